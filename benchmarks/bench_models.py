"""How often a comparison of two models concludes wrongly, on simulated score tables with clustered patients."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from audit.experiments.model_differences import hits_of, margin_answer
from audit.metrics.hypotheses import mcnemar_exact
from benchmarks.bench_plan import Cohorts
from benchmarks.machine import command_line, command_parser, write_section
from reports.score_catalogue import POINTING

ALPHA, MARGIN, DISCORDANCE = 0.05, 0.10, 0.4
SETTINGS = ((0.05, 60), (0.3, 60), (0.3, 150))
"""Correlation within patients, and their number."""


def score_table(cohorts: Cohorts, difference: float) -> pd.DataFrame:
    """Draw the joined score table of two runs, B minus A with a true difference of hits."""
    second, first, patients = cohorts.pairs(difference, DISCORDANCE)
    return pd.DataFrame(
        {
            "pair": np.arange(len(first)),
            "patient": patients,
            "finding": "nodule",
            "method": "m2ib",
            "score": POINTING,
            "first": first,
            "second": second,
        }
    )


def errors(cohorts: Cohorts, count: int, difference: float) -> tuple[float, float, float]:
    """Give how often B is called superior, called not inferior or superior, and how often McNemar's test rejects."""
    found = np.zeros(3)
    for _ in range(count):
        hits = hits_of(score_table(cohorts, difference), "m2ib")
        answer = margin_answer(hits, margin=MARGIN, alpha=ALPHA)
        rejected = mcnemar_exact(hits.first, hits.second) <= ALPHA
        found += [answer.conclusion == "superior", answer.conclusion != "not-shown", rejected]
    return tuple(found / count)


def rows(count: int, seed: int) -> Iterator[tuple[str, float]]:
    """Give a line for each setting, and the largest share of wrong conclusions."""
    for correlation, patients in SETTINGS:
        made = [
            Cohorts(
                correlation=correlation,
                rate=0.5,
                patients=patients,
                generator=np.random.default_rng([seed, place, patients, round(100 * correlation)]),
            )
            for place in range(2)
        ]
        superior, _, mcnemar = errors(made[0], count, 0.0)
        _, within, _ = errors(made[1], count, -MARGIN)
        shares = " | ".join(f"{100 * share:.1f} %" for share in (superior, within, mcnemar))
        yield f"| {correlation:g} | {patients} | {shares} |", max(superior, within)


def main() -> None:
    """Measure and write the section."""
    given = command_parser(__doc__, cohorts=2000).parse_args()
    lines = [
        (
            f"{given.cohorts:,} cohorts a cell; patients with one phrase and a Poisson number of others (mean 2); "
            f"{100 * DISCORDANCE:.0f} % of the phrases discordant; alpha {ALPHA:g}, two-sided, so that 2.5 % errors "
            f"are nominal. Superiority: the models are equally good. Non-inferiority: B is worse by the margin of "
            f"{100 * MARGIN:.0f} points. Exact McNemar decides nothing."
        ),
        "",
        "| correlation | patients | superior, wrongly | not inferior, wrongly | McNemar, wrongly (nominal 5 %) |",
        "|---|---|---|---|---|",
    ]
    largest = 0.0
    for line, share in rows(given.cohorts, given.seed):
        print(line, flush=True)
        lines.append(line)
        largest = max(largest, share)
    lines += ["", f"Largest share of wrong conclusions: {100 * largest:.1f} %."]
    print(lines[-1])
    if not given.no_write:
        write_section("bench_models", command=command_line("bench_models"), lines=lines)


if __name__ == "__main__":
    main()
