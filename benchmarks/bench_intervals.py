"""How often the intervals over patients hold the truth, on made-up cohorts whose truth is known."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from audit.metrics.statistics import INTERVAL, Interval, paired_difference, patient_interval
from benchmarks.machine import command_line, command_parser, write_section

SIZES = (10, 20, 50, 200)
RATES = (0.0, 0.1, 0.4, 0.9, 1.0)
AIM = (0.93, 0.97)  # share of intervals that hold the truth
CORRELATIONS = (0.05, 0.3)  # of a patient's hits
PAIRS = ((0.0, 0.0), (0.02, 0.02), (0.05, 0.0), (0.1, 0.1), (0.3, 0.3), (0.2, 0.1), (0.35, 0.05), (0.1, 0.3))
"""Shares of pairs where only the one hits, and where only the other does."""
FREQUENCIES = (0.4, 0.3, 0.15, 0.1, 0.05)
"""Of the findings that macro means are taken over."""

Values = tuple[np.ndarray, np.ndarray]  # of the cases, and the case's patient
Draw = Callable[[int, np.random.Generator], Interval]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One kind of cohort: what is drawn, and its true value."""

    name: str
    truth: float
    draw: Draw


def patients_of(count: int, generator: np.random.Generator) -> np.ndarray:
    """Give each of ``count`` patients 1 to 6 cases."""
    return np.repeat(np.arange(count), generator.integers(1, 7, count))


def shares_of_patients(
    shares: tuple[float, ...], correlation: float, count: int, generator: np.random.Generator
) -> np.ndarray:
    """Draw each patient's own shares of the outcomes: a Dirichlet around ``shares``."""
    scale = 1.0 / correlation - 1.0
    drawn = np.stack([generator.gamma(max(share * scale, 1e-9), size=count) for share in shares], axis=-1) + 1e-300
    shared: np.ndarray = drawn / drawn.sum(-1, keepdims=True)
    return shared


def hits(rate: float, correlation: float, count: int, generator: np.random.Generator) -> Values:
    """Draw hits at a rate that differs from patient to patient."""
    patients = patients_of(count, generator)
    if rate in {0.0, 1.0}:
        return np.full(len(patients), rate), patients
    own = shares_of_patients((rate, 1.0 - rate), correlation, count, generator)[patients, 0]
    return (generator.random(len(patients)) < own).astype(float), patients


def rates(correlation: float) -> Iterator[Row]:
    """Give shares of hits at every rate."""
    for rate in RATES:

        def draw(count: int, generator: np.random.Generator, rate: float = rate) -> Interval:
            return patient_interval(*hits(rate, correlation, count, generator))

        yield Row(name=f"hits, rate {rate:g}, correlation {correlation:g}", truth=rate, draw=draw)


def discordant(
    shares: tuple[float, float], correlation: float, count: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw pairs where only the one hits, or only the other, at ``shares``, and whose they are."""
    patients = patients_of(count, generator)
    own = shares_of_patients((*shares, 1.0 - sum(shares)), correlation, count, generator)[patients]
    drawn = generator.random(len(patients))
    first = (drawn < own[:, 0]).astype(float)
    return first, ((drawn >= own[:, 0]) & (drawn < own[:, 0] + own[:, 1])).astype(float), patients


def differences(correlation: float) -> Iterator[Row]:
    """Give paired differences of hits."""
    for one, other in PAIRS:

        def draw(count: int, generator: np.random.Generator, shares: tuple[float, float] = (one, other)) -> Interval:
            return paired_difference(*discordant(shares, correlation, count, generator))

        yield Row(
            name=f"difference, {one:g} against {other:g}, correlation {correlation:g}", truth=one - other, draw=draw
        )


def others(correlation: float) -> Iterator[Row]:
    """Give real values, among them skewed ones."""

    def energy(count: int, generator: np.random.Generator) -> Interval:
        patients = patients_of(count, generator)
        centre = generator.beta(2.0, 8.0, count)[patients]
        return patient_interval(generator.beta(10.0 * centre + 1e-6, 10.0 * (1.0 - centre) + 1e-6), patients)

    def contrast(count: int, generator: np.random.Generator) -> Interval:
        patients = patients_of(count, generator)
        return patient_interval(_contrasts(correlation, patients, generator), patients)

    def exponential(count: int, generator: np.random.Generator) -> Interval:
        patients = patients_of(count, generator)
        shared, own = generator.exponential(size=count)[patients], generator.exponential(size=len(patients))
        return patient_interval(0.5 + shared + own, patients)

    def lognormal(count: int, generator: np.random.Generator) -> Interval:
        patients = patients_of(count, generator)
        shared, own = generator.lognormal(size=count)[patients], generator.lognormal(size=len(patients))
        return patient_interval(0.5 * (shared + own), patients)

    yield Row(name="shares of energy, mean 0.2", truth=0.2, draw=energy)
    yield Row(name=f"CNR, mean 0.5, correlation {correlation:g}", truth=0.5, draw=contrast)
    yield Row(name="skewed values, exponential", truth=2.5, draw=exponential)
    yield Row(name="skewed values, lognormal", truth=float(np.exp(0.5)), draw=lognormal)


def _contrasts(correlation: float, patients: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    shared = generator.standard_normal(int(patients.max()) + 1)[patients]
    own = generator.standard_normal(len(patients))
    contrasts: np.ndarray = 0.5 + np.sqrt(correlation) * shared + np.sqrt(1.0 - correlation) * own
    return contrasts


def macros(correlation: float) -> Iterator[Row]:
    """Give means over findings of unequal frequency; the rarest has one or two cases among ten patients."""

    def findings(patients: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        return generator.choice(len(FREQUENCIES), size=len(patients), p=FREQUENCIES)

    for rate in (0.1, 0.4, 0.9):

        def shares(count: int, generator: np.random.Generator, rate: float = rate) -> Interval:
            values, patients = hits(rate, correlation, count, generator)
            return patient_interval(values, patients, groups=findings(patients, generator))

        yield Row(
            name=f"hits, macro over 5 findings, rate {rate:g}, correlation {correlation:g}", truth=rate, draw=shares
        )

    def difference(count: int, generator: np.random.Generator) -> Interval:
        first, second, patients = discordant((0.3, 0.1), correlation, count, generator)
        return paired_difference(first, second, patients, groups=findings(patients, generator))

    def contrast(count: int, generator: np.random.Generator) -> Interval:
        patients = patients_of(count, generator)
        values = _contrasts(correlation, patients, generator)
        return patient_interval(values, patients, groups=findings(patients, generator))

    yield Row(name=f"difference, macro, 0.3 against 0.1, correlation {correlation:g}", truth=0.3 - 0.1, draw=difference)
    yield Row(name=f"CNR, macro, mean 0.5, correlation {correlation:g}", truth=0.5, draw=contrast)


def coverage(row: Row, count: int, cohorts: int, seed: int) -> tuple[float, float, float]:
    """Give the share of cohorts whose interval holds the truth, the mean width, and the share of width 0."""
    generator = np.random.default_rng([seed, count])
    found = [row.draw(count, generator) for _ in range(cohorts)]
    low, high = (np.array([getattr(each, end) for each in found]) for end in ("low", "high"))
    return (
        float(((low <= row.truth) & (row.truth <= high)).mean()),
        float((high - low).mean()),
        float((high == low).mean()),
    )


def outside(found: Sequence[tuple[str, float]]) -> Iterator[str]:
    """Say how many cells lie within the aim, and name those below it.

    Args:
        found: what was drawn, and the share of intervals that hold the truth.
    """
    low, high = AIM
    below = [f"{name} ({held:.3f})" for name, held in found if held < low]
    above = sum(held > high for _, held in found)
    inside = len(found) - len(below) - above
    yield f"{inside} of {len(found)} cells lie within {low:g} and {high:g}, {above} above, {len(below)} below."
    yield ""
    yield (
        "Above are rates of 0 and 1, pairs that hardly ever disagree (an interval from one or two of them holds the "
        "truth or is far off), macro means of ten to twenty patients, where a rare finding rests on one or two cases, "
        "and, by less, ten to twenty patients whose cases are nearly independent."
    )
    if below:
        yield ""
        yield f"Below: {'; '.join(below)}. A few skewed values do not show their tail."


def main() -> None:
    """Measure every kind of cohort and write the section."""
    parser = command_parser(__doc__, cohorts=2000)
    given = parser.parse_args()
    lines = [
        f"{INTERVAL}.",
        "",
        f"{given.cohorts:,} cohorts a cell, patients with 1 to 6 cases: share that holds the truth, mean width.",
        "",
        f"| cohort | {' | '.join(f'{size} patients' for size in SIZES)} |",
        f"|---|{'---|' * len(SIZES)}",
    ]
    print("\n".join(lines))
    found = []
    kinds = (rates, differences, macros, others)
    rows = {row.name: row for rho in CORRELATIONS for kind in kinds for row in kind(rho)}
    for row in rows.values():
        cells = []
        for size in SIZES:
            held, width, flat = coverage(row, size, given.cohorts, given.seed)
            found.append((f"{row.name}, {size} patients", held))
            cells.append(f"{held:.3f} ({width:.2f}{'; some of width 0' if flat else ''})")
        lines.append(f"| {row.name} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    lines += ["", *outside(found)]
    if not given.no_write:
        write_section("bench_intervals", command=command_line("bench_intervals"), lines=lines)


if __name__ == "__main__":
    main()
