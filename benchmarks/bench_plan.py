"""Planned power against simulated cohorts with clustered patients, and how often the tests err."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from audit.metrics.hypotheses import difference_of_groups, mcnemar_exact
from audit.metrics.statistics import Interval, paired_difference, patient_interval
from audit.planning.clustering import intraclass_correlation
from audit.planning.sizes import Assumptions, plan_sizes, power_of
from benchmarks.bench_intervals import shares_of_patients
from benchmarks.machine import command_line, command_parser, write_section
from reports.protocol_record import (
    NonInferiorityQuestion,
    PrecisionQuestion,
    Question,
    SubgroupQuestion,
    SuperiorityQuestion,
)

ALPHA, POWER = 0.05, 0.8
MEAN = 2.0  # phrases per patient: one, and a Poisson number of others
SETTINGS = ((0.05, 0.5), (0.2, 0.5), (0.3, 0.7))
"""Correlation within patients, and hit rate."""
LEAD, HALF_WIDTH, MARGIN, GAP = 0.12, 0.06, 0.10, 0.20


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohorts:
    """Where simulated cohorts come from."""

    correlation: float
    rate: float
    patients: int
    generator: np.random.Generator

    def of(self, patients: int) -> np.ndarray:
        """Give each patient one phrase and a Poisson number of others."""
        return np.repeat(np.arange(patients), 1 + self.generator.poisson(MEAN - 1.0, patients))

    def hits(self, patients: int, rate: float) -> tuple[np.ndarray, np.ndarray]:
        """Draw hits and their patients."""
        index = self.of(patients)
        own = shares_of_patients((rate, 1.0 - rate), self.correlation, patients, self.generator)[index, 0]
        return (self.generator.random(len(index)) < own).astype(float), index

    def pairs(self, difference: float, discordance: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draw pairs of hits: only the first, only the second, both or none."""
        index = self.of(self.patients)
        only = (discordance + difference) / 2.0, (discordance - difference) / 2.0
        outcomes = (*only, 1.0 - discordance)
        own = shares_of_patients(outcomes, self.correlation, self.patients, self.generator)[index]
        drawn = self.generator.random(len(index))
        first = drawn < own[:, 0]
        second = ~first & (drawn < own[:, 0] + own[:, 1])
        return first.astype(float), second.astype(float), index


def assumptions(correlation: float, rate: float, *, lead: float = LEAD) -> Assumptions:
    """Give the truth of the simulation as assumptions."""
    return Assumptions(
        rate=rate,
        blind_rate=rate - lead,
        icc=correlation,
        phrases_per_study=MEAN,
        studies_per_patient=1.0,
        variation=float(np.sqrt(MEAN - 1.0) / MEAN),
    )


QUESTIONS: tuple[Question, ...] = (
    PrecisionQuestion(kind="precision", name="precision", half_width=HALF_WIDTH),
    SuperiorityQuestion(kind="superiority", name="superiority", margin=0.0),
    NonInferiorityQuestion(kind="non-inferiority", name="non-inferiority", margin=MARGIN),
    SubgroupQuestion(kind="subgroup gap", name="subgroup gap", attribute="sex", group="female", margin=GAP),
)


def answers(question: Question, given: Assumptions, cohorts: Cohorts, *, is_null: bool) -> Iterator[bool]:
    """Give for one cohort after the other whether its interval answers the question.

    Args:
        question: one of :data:`QUESTIONS`.
        given: the truth, if ``is_null`` is not set.
        cohorts: where they come from.
        is_null: draw from the edge of the hypothesis that the test rejects.
    """
    chance = given.rate * (1.0 - given.blind_rate) + given.blind_rate * (1.0 - given.rate)
    of_models = 2.0 * given.rate * (1.0 - given.rate)
    while True:
        if isinstance(question, PrecisionQuestion):
            interval = patient_interval(*cohorts.hits(cohorts.patients, given.rate))
            yield (interval.high - interval.low) / 2.0 <= question.half_width
        elif isinstance(question, SuperiorityQuestion):
            lead = 0.0 if is_null else given.rate - given.blind_rate
            yield paired_difference(*cohorts.pairs(lead, chance)).low > 0.0
        elif isinstance(question, NonInferiorityQuestion):
            lead = -question.margin if is_null else 0.0
            yield paired_difference(*cohorts.pairs(lead, of_models)).low > -question.margin
        else:
            found = _gap(cohorts, given, 0.0 if is_null else question.margin)
            yield not found.low <= 0.0 <= found.high


def _gap(cohorts: Cohorts, given: Assumptions, gap: float) -> Interval:
    women = round(given.subgroup_share * cohorts.patients)
    own, first = cohorts.hits(women, given.rate - gap)
    other, second = cohorts.hits(cohorts.patients - women, given.rate)
    in_group = np.arange(len(own) + len(other)) < len(own)
    return difference_of_groups(np.r_[own, other], in_group, np.r_[first, second + women].tolist())


def share_of(drawn: Iterator[bool], cohorts: int) -> float:
    """Give the share of cohorts that say yes."""
    return float(np.mean([next(drawn) for _ in range(cohorts)]))


def power_rows(cohorts: int, seed: int) -> Iterator[tuple[str, float, float]]:
    """Give a line for each question and setting, the simulated minus the planned power, and the share of errors."""
    for correlation, rate in SETTINGS:
        given = assumptions(correlation, rate)
        planned = plan_sizes(QUESTIONS, given, alpha=ALPHA, power=POWER, multiplicity="none").rows
        for place, row in enumerate(planned):
            question, size = row.question, row.question.size
            if size is None:
                raise ValueError(f"{question.name} has no size in this setting")
            generator = np.random.default_rng([seed, place, round(100 * correlation)])
            drawn = Cohorts(correlation=correlation, rate=rate, patients=size.patients, generator=generator)
            expected = power_of(question, given, size.patients, level=1.0 - ALPHA)
            found = share_of(answers(question, given, drawn, is_null=False), cohorts)
            errors, cell = 0.0, "–"
            if not isinstance(question, PrecisionQuestion):
                errors = share_of(answers(question, given, drawn, is_null=True), cohorts)
                cell = f"{100 * errors:.1f} %"
            line = (
                f"| {question.name} | {correlation:g} | {rate:g} | {size.patients:,} | {100 * expected:.1f} % "
                f"| {100 * found:.1f} % | {cell} |"
            )
            yield line, found - expected, errors


def mcnemar_errors(cohorts: int, seed: int) -> float:
    """Give how often exact McNemar, which takes phrases for independent, errs at a correlation of 0.3."""
    generator = np.random.default_rng([seed, 99])
    drawn = Cohorts(correlation=0.3, rate=0.5, patients=150, generator=generator)
    return float(np.mean([mcnemar_exact(*drawn.pairs(0.0, 0.4)[:2]) <= ALPHA for _ in range(cohorts)]))


def correlations(cohorts: int, seed: int) -> Iterator[str]:
    """Give mean and spread of the estimated correlation for each true one."""
    for correlation in (0.05, 0.1, 0.3):
        for patients in (40, 200):
            generator = np.random.default_rng([seed, patients, round(100 * correlation)])
            made = Cohorts(correlation=correlation, rate=0.4, patients=patients, generator=generator)
            drawn = (intraclass_correlation(*made.hits(patients, made.rate)) for _ in range(cohorts))
            found = [value for value in drawn if value is not None]
            yield f"| {correlation:g} | {patients} | {np.mean(found):.3f} | {np.std(found):.3f} |"


def main() -> None:
    """Measure every question and write the section."""
    parser = command_parser(__doc__, cohorts=2000)
    given = parser.parse_args()
    lines = [
        (
            f"{given.cohorts:,} cohorts a cell; patients with one phrase and a Poisson number of others (mean "
            f"{MEAN:g}); alpha {ALPHA:g}, two-sided; sizes for a power of {100 * POWER:.0f} %. Precision: half-width "
            f"{HALF_WIDTH:g}. Superiority: true lead {LEAD:g}, errors at a lead of 0. Non-inferiority: margin "
            f"{MARGIN:g}, true difference 0, errors at the margin. Gap: {GAP:g}, errors without a gap. The tests of "
            "superiority and non-inferiority use one end of the interval: 2.5 % errors are nominal."
        ),
        "",
        "| question | correlation | hit rate | patients | planned power | simulated power | errors |",
        "|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines))
    distances, errors = [], []
    for line, distance, wrong in power_rows(given.cohorts, given.seed):
        lines.append(line)
        distances.append(abs(distance))
        errors.append(wrong)
        print(line, flush=True)
    lines += [
        "",
        (
            f"Largest difference of planned and simulated power: {100 * max(distances):.1f} points. Largest share of "
            f"errors: {100 * max(errors):.1f} %. Exact McNemar, which takes phrases for independent, errs in "
            f"{100 * mcnemar_errors(given.cohorts, given.seed):.1f} % at a correlation of 0.3: it decides nothing."
        ),
        "",
        "| true correlation | patients | mean estimate (analysis of variance) | its standard deviation |",
        "|---|---|---|---|",
        *correlations(given.cohorts // 2, given.seed),
    ]
    print("\n".join(lines[-10:]))
    if not given.no_write:
        write_section("bench_plan", command=command_line("bench_plan"), lines=lines)


if __name__ == "__main__":
    main()
