"""How often a table of subgroups shows a gap although no group differs, with and without adjusted p-values."""

import numpy as np

from audit.metrics.subgroup_gaps import GroupOfPhrases, gaps_of
from benchmarks.bench_plan import Cohorts
from benchmarks.machine import command_line, command_parser, write_section

ALPHA, PATIENTS, RATE = 0.05, 150, 0.5
CORRELATIONS = (0.05, 0.3)
OF_PATIENTS = {"sex": 2, "age": 5, "manufacturer": 4, "view": 2}
"""Number of groups of the attributes that are a patient's."""
OF_PHRASES = {"finding": 4, "box size": 3}


def groups_of(patients: np.ndarray, generator: np.random.Generator) -> list[GroupOfPhrases]:
    """Draw the groups of every attribute, which have nothing to do with the hits."""
    groups = []
    for attribute, count in {**OF_PATIENTS, **OF_PHRASES}.items():
        if attribute in OF_PATIENTS:
            values = generator.integers(count, size=PATIENTS)[patients]
        else:
            values = generator.integers(count, size=len(patients))
        groups += [
            GroupOfPhrases(attribute=attribute, members=values == value, others=values != value)
            for value in range(count)
        ]
    return groups


def family_errors(cohorts: int, correlation: float, seed: int) -> tuple[float, float, float]:
    """Give the share of cohorts with a gap: without adjustment, by Holm, and by Benjamini and Hochberg."""
    generator = np.random.default_rng([seed, round(100 * correlation)])
    drawn = Cohorts(correlation=correlation, rate=RATE, patients=PATIENTS, generator=generator)
    found = np.zeros(3)
    for _ in range(cohorts):
        hits, patients = drawn.hits(PATIENTS, RATE)
        gaps = [gap for gap in gaps_of(hits, patients, groups_of(patients, generator)) if gap is not None]
        found += [min(getattr(gap, name) for gap in gaps) <= ALPHA for name in ("p", "p_holm", "p_bh")]
    return tuple(found / cohorts)


def main() -> None:
    """Measure and write the section."""
    given = command_parser(__doc__, cohorts=400).parse_args()
    count = sum({**OF_PATIENTS, **OF_PHRASES}.values())
    lines = [
        (
            f"{given.cohorts:,} cohorts a line of {PATIENTS} patients with one phrase and a Poisson number of others "
            f"(mean 2), {count} groups of {len(OF_PATIENTS) + len(OF_PHRASES)} attributes that have nothing to do with "
            f"the hits. Share of cohorts in which at least one gap has a p of {ALPHA:g} or less."
        ),
        "",
        "| correlation | not adjusted | Holm | Benjamini-Hochberg |",
        "|---|---|---|---|",
    ]
    for correlation in CORRELATIONS:
        shares = family_errors(given.cohorts, correlation, given.seed)
        lines.append(f"| {correlation:g} | {' | '.join(f'{100 * share:.1f} %' for share in shares)} |")
        print(lines[-1], flush=True)
    if not given.no_write:
        write_section("bench_subgroups", command=command_line("bench_subgroups"), lines=lines)


if __name__ == "__main__":
    main()
