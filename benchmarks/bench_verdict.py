"""How often a map that reads the words and never looks is called better than every blind map, by size of the cohort.

The boxes are those of the NIH (BBox_List_2017.csv, Wang et al. 2017). Each becomes a phrase that names finding, side
and zone. The map points, for every phrase, at the hottest place of the mean box of the same finding, side and zone in a
training half of the patients: what an encoder can learn without looking. Cohorts are drawn from the other half. Beside
it stand maps that do look, and hit at the rates of ``RATES`` wherever the box is.
"""

import csv
import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audit.controls.verdict import BLIND_MARGIN
from audit.metrics.against_blind import best_of
from audit.metrics.blind import BlindCase, BlindMaps, blind_point, centre_map, rasterise
from benchmarks.machine import command_line, command_parser, write_section

SIZES = (20, 30, 40, 50, 60, 80, 120, 160)  # patients
RATES = (0.7, 0.8, 0.9)
_NIH_PX = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """One phrase: who it is of, and what each map scores."""

    patient: str
    blind: float  # of the map under test
    references: dict[str, float]


def cases_of(path: Path) -> list[BlindCase]:
    """Read the NIH's boxes."""
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [_case(row) for row in list(csv.reader(content.decode().splitlines()))[1:]]


def _case(row: Sequence[str]) -> BlindCase:
    x, y, width, height = (float(value) / _NIH_PX for value in row[2:6])
    across, down = x + width / 2, y + height / 2
    has_side = row[1] != "Cardiomegaly"
    return BlindCase(
        patient=row[0].split("_")[0],
        finding=row[1],
        side=("right" if across < 0.5 else "left") if has_side else None,
        zone=("upper" if down < 0.38 else "mid" if down < 0.6 else "lower") if has_side else None,
        boxes=((x, y, x + width, y + height),),
    )


def _hit(blind: np.ndarray, target: np.ndarray) -> float:
    row, column = blind_point(blind)
    return float(target[int(row * len(target)), int(column * len(target))])


def scored(cohort: Sequence[BlindCase], population: BlindMaps) -> list[Scored]:
    """Score the map under test and the blind references on one cohort."""
    maps, found = BlindMaps(cohort), []
    for case in cohort:
        target = rasterise(case.boxes)
        learnt = population.words_only_prior(case)
        references = {"random": float(target.mean()), "centre": _hit(centre_map(), target)}
        for name, reference in (
            ("class-mean box", maps.class_mean_box(case)),
            ("words-only prior", maps.words_only_prior(case)),
        ):
            references[name] = np.nan if reference is None else _hit(reference, target)
        blind = 0.0 if learnt is None else _hit(learnt, target)
        found.append(Scored(patient=case.patient, blind=blind, references=references))
    return found


def beats(own: np.ndarray, cohort: Sequence[Scored]) -> bool:
    """Whether hits lie above those of each blind map by the rule's margin."""
    references = {name: np.array([each.references[name] for each in cohort]) for name in cohort[0].references}
    best = best_of(own, references, [each.patient for each in cohort])
    return best is not None and best.low > BLIND_MARGIN


def main() -> None:
    """Draw the cohorts of every size and write the section."""
    parser = command_parser(__doc__, cohorts=400)
    parser.add_argument("boxes", type=Path, help="BBox_List_2017.csv, or .csv.gz")
    given = parser.parse_args()
    cases, generator = cases_of(given.boxes), np.random.default_rng(given.seed)
    everybody = sorted({case.patient for case in cases})
    training = set(generator.permutation(everybody)[: len(everybody) // 2])
    population = BlindMaps([case for case in cases if case.patient in training])
    rest: dict[str, list[BlindCase]] = {}
    for case in cases:
        if case.patient not in training:
            rest.setdefault(case.patient, []).append(case)
    names = sorted(rest)
    lines = [
        f"{len(cases)} boxes; {given.cohorts} cohorts of each size, seed {given.seed}.",
        "Share of cohorts where the map that never looks, and maps that hit at a rate, beat every blind map.",
        "",
        f"| patients | phrases | never looks | {' | '.join(f'hits {rate:.0%}' for rate in RATES)} |",
        f"|---|---|---|{'---|' * len(RATES)}",
    ]
    print("\n".join(lines))
    for size in SIZES:
        never, looks, phrases = 0, np.zeros(len(RATES)), 0
        for _ in range(given.cohorts):
            chosen = generator.choice(names, size, replace=False)
            cohort = scored([case for name in chosen for case in rest[name]], population)
            never += beats(np.array([each.blind for each in cohort]), cohort)
            phrases += len(cohort)
            drawn = generator.random(len(cohort))
            looks += [beats((drawn < rate).astype(float), cohort) for rate in RATES]
        shares = " | ".join(f"{100 * each / given.cohorts:.1f} %" for each in (never, *looks))
        lines.append(f"| {size} | {phrases / given.cohorts:.0f} | {shares} |")
        print(lines[-1], flush=True)
    if not given.no_write:
        write_section("bench_verdict", command=command_line("bench_verdict"), lines=lines)


if __name__ == "__main__":
    main()
