"""How often `m2ib-audit watch` gives a false alarm on series without a change, and how soon it finds planted changes.

Score tables are drawn, not computed: no model is asked. A patient's own effect on every value gives the cases of a
patient a correlation. Figures of the grounded encoder and of the encoders of known faults are near those that
bench_commission and `m2ib-audit commission` measured on phantoms; others, those of a lost window and of a new scanner
among them, are assumptions.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from types import MappingProxyType

import numpy as np
import pandas as pd
from scipy.special import ndtr
from scipy.stats import beta

from audit.watching.monitoring import monitor
from audit.watching.quantities import AuditTables, cases_of
from audit.watching.stop_rule import decide
from benchmarks.machine import command_line, command_parser, write_section
from reports.score_catalogue import COSINE, MARKER_HEAT, MARKER_POINT, OUTSIDE_HEAT, PERCENTILE, POINTING, RELIANCE

STUDIES, AUDITS, REFERENCES, WITHIN = 100, 12, 4, 3
METHOD = "m2ib"
_FIRST = date(2026, 1, 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """Where audits come from: a model, a department and its scanners."""

    hits: float = 0.86
    recognition: float = 0.93  # mean percentile
    reliance: float = 2.0  # SD, each phrase with a standard deviation of 1.5
    on_markers: float = 0.03  # share of peaks
    heat_on_markers: float = 0.003  # mean share
    outside: float = 0.34
    cosine: float = 0.31  # standard deviation 0.05
    habit: float = 0.0  # share of peaks in one place, whatever the image
    scanners: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({"A": 0.5, "B": 0.3, "C": 0.2}))
    excluded: float = 0.06
    correlation: float = 0.2  # of the cases of a patient, on the scale of the normal distribution
    between: float = 0.0  # standard deviation of audits beyond chance, on the same scale


GROUNDED = Process()
CHANGES: Mapping[str, Process] = MappingProxyType(
    {
        "encoder swapped (fixed place: phantom-habit)": replace(
            GROUNDED, hits=0.30, recognition=0.91, reliance=1.0, on_markers=0.0, habit=0.9
        ),
        "encoder swapped (place not learnt: phantom-ungrounded)": replace(
            GROUNDED, hits=0.40, recognition=0.90, reliance=1.2, outside=0.4
        ),
        "marker shortcut (phantom-shortcut)": replace(
            GROUNDED, hits=0.20, recognition=0.60, reliance=0.3, on_markers=0.90, heat_on_markers=0.02
        ),
        "image ignored (phantom-image-blind)": replace(
            GROUNDED, hits=0.02, recognition=0.50, reliance=0.0, on_markers=0.19, cosine=0.25
        ),
        "window lost (assumed: hits .66, recognition .85)": replace(
            GROUNDED, hits=0.66, recognition=0.85, reliance=1.5, cosine=0.28
        ),
        "new scanner (assumed: 30 % of images, hits .80)": replace(
            GROUNDED, hits=0.80, cosine=0.305, scanners=MappingProxyType({"A": 0.35, "B": 0.21, "C": 0.14, "D": 0.30})
        ),
        "slow decline (assumed: hits fall by 4 points an audit)": GROUNDED,
    }
)
_DECLINE = 0.04


def tables_of(process: Process, place: int, generator: np.random.Generator) -> AuditTables:
    """Draw the tables of one audit of about 100 studies: 1.3 of a patient, 1.7 phrases each."""
    patient_of_study = np.repeat(np.arange(STUDIES), 1 + generator.poisson(0.3, STUDIES))[:STUDIES]
    study_of_phrase = np.repeat(np.arange(STUDIES), 1 + generator.poisson(0.7, STUDIES))
    patients = patient_of_study[study_of_phrase]
    names = np.array([f"{place}-{patient}" for patient in range(STUDIES)])

    def ranks() -> np.ndarray:
        """Draw a number from 0 to 1 for each phrase, correlated within patients."""
        own, shared = process.correlation, generator.normal(size=STUDIES)[patients]
        shift = process.between * generator.normal()
        drawn: np.ndarray = ndtr(
            np.sqrt(own) * shared + np.sqrt(1.0 - own) * generator.normal(size=len(patients)) + shift
        )
        return drawn

    values = {
        POINTING: (ranks() < process.hits).astype(float),
        PERCENTILE: _beta(process.recognition, 6.0).ppf(ranks()),
        RELIANCE: process.reliance + 1.5 * (ranks() - 0.5) * 3.4,
        MARKER_POINT: (ranks() < process.on_markers).astype(float),
        MARKER_HEAT: _beta(process.heat_on_markers, 100.0).ppf(ranks()),
        OUTSIDE_HEAT: _beta(process.outside, 20.0).ppf(ranks()),
    }
    has_marker = generator.random(len(patients)) < 0.7
    is_sampled = generator.random(len(patients)) < 0.6
    sampled = {RELIANCE: is_sampled, MARKER_POINT: has_marker, MARKER_HEAT: has_marker}
    scores = pd.concat(
        [
            pd.DataFrame(
                {
                    "image": study_of_phrase.astype(str),
                    "phrase": np.arange(len(patients)),
                    "finding": "nodule",
                    "patient": names[patients],
                    "method": COSINE if score in {PERCENTILE, RELIANCE} else METHOD,
                    "score": score,
                    "value": value,
                }
            )[sampled.get(score, np.ones(len(patients), dtype=bool))]
            for score, value in values.items()
        ],
        ignore_index=True,
    )
    fixed = generator.random(len(patients)) < process.habit
    phrases = pd.DataFrame(
        {
            "patient": names[patients],
            "cosine": process.cosine + 0.05 * (ranks() - 0.5) * 3.4,
            "row": np.where(fixed, 0.7, np.minimum(ranks(), 0.999)),
            "column": np.where(fixed, 0.3, np.minimum(ranks(), 0.999)),
        }
    )
    age = np.array(["18 to 39", "40 to 59", "60 to 79", "80 and over"])
    images = pd.DataFrame(
        {
            "patient": names[patient_of_study],
            "view": generator.choice(["PA", "AP"], STUDIES, p=[0.7, 0.3]),
            "manufacturer": generator.choice(list(process.scanners), STUDIES, p=list(process.scanners.values())),
            "age": generator.choice(age, STUDIES, p=[0.2, 0.3, 0.35, 0.15])[patient_of_study],
            "sex": generator.choice(["female", "male"], STUDIES)[patient_of_study],
        }
    )
    return AuditTables(
        label=str(place),
        day=_FIRST + timedelta(days=7 * place),
        method=METHOD,
        scores=scores,
        phrases=phrases,
        images=images,
        studies=STUDIES,
        included=STUDIES,
        excluded=int(generator.binomial(STUDIES, process.excluded)),
        identity={},
    )


def _beta(mean: float, size: float) -> "beta":
    return beta(mean * size, (1.0 - mean) * size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was found in one series, as numbers of audits after the change; None: nothing."""

    signal: int | None
    stop: int | None
    quantities: tuple[str, ...] = ()


def outcome_of(before: Process, after: Process, generator: np.random.Generator, *, decline: float = 0.0) -> Outcome:
    """Draw a series of which the audits after the reference come from another process."""
    processes = [before] * REFERENCES + [
        replace(after, hits=after.hits - decline * (step + 1)) for step in range(AUDITS - REFERENCES)
    ]
    series = [cases_of(tables_of(process, place, generator)) for place, process in enumerate(processes)]
    found = monitor(series, references=REFERENCES)
    first = min((place for each in found.quantities for place in each.signals), default=None)
    stop = decide(found.quantities, len(series), None).fired
    return Outcome(
        signal=None if first is None else first - REFERENCES + 1,
        stop=None if stop is None else stop - REFERENCES + 1,
        quantities=() if first is None else found.signals(first),
    )


def _share(outcomes: list[Outcome], kind: str, within: int) -> str:
    found = [getattr(each, kind) for each in outcomes]
    return f"{100 * np.mean([place is not None and place <= within for place in found]):.1f} %"


def lines_of(series: int, seed: int) -> Iterator[str]:
    """Give the rows of the table."""
    monitored = AUDITS - REFERENCES
    nulls = {
        "none": GROUNDED,
        "none; correlation within patients 0.5": replace(GROUNDED, correlation=0.5),
        "none; audits differ by 0.1 SD beyond chance": replace(GROUNDED, between=0.1),
    }
    for place, (name, process) in enumerate(nulls.items()):
        count = series if process is GROUNDED else series // 2
        generator = np.random.default_rng([seed, place])
        outcomes = [outcome_of(process, process, generator) for _ in range(count)]
        signal, stop = (_share(outcomes, kind, monitored) for kind in ("signal", "stop"))
        yield f"| {name} | {count} | {signal} | {stop} | – |"
    for place, (name, process) in enumerate(CHANGES.items()):
        generator = np.random.default_rng([seed, 100 + place])
        decline = _DECLINE if name.startswith("slow") else 0.0
        outcomes = [outcome_of(GROUNDED, process, generator, decline=decline) for _ in range(series // 6)]
        seen = [quantity for each in outcomes for quantity in each.quantities]
        most = sorted(set(seen), key=lambda quantity: -seen.count(quantity))[:3]
        yield (
            f"| {name} | {series // 6} | {_share(outcomes, 'signal', WITHIN)} | {_share(outcomes, 'stop', WITHIN)} "
            f"| {', '.join(most)} |"
        )


def main() -> None:
    """Measure false alarms and detection, and write the section."""
    parser = command_parser(__doc__, cohorts=200)
    given = parser.parse_args()
    lines = [
        (
            f"Series of {AUDITS} audits of {STUDIES} studies, the first {REFERENCES} of them the reference; a change "
            f"takes place after these. Without a change: share of series with any signal, and with the default "
            f"stop rule fired, among their {AUDITS - REFERENCES} monitored audits. With a change: share in which it "
            f"is found within {WITHIN} audits. Patients have 1.3 studies of 1.7 phrases, correlated by 0.2."
        ),
        "",
        "| change | series | signal | stop rule | first seen in |",
        "|---|---|---|---|---|",
    ]
    print("\n".join(lines))
    for line in lines_of(given.cohorts, given.seed):
        lines.append(line)
        print(line, flush=True)
    if not given.no_write:
        write_section("bench_watch", command=command_line("bench_watch"), lines=lines)


if __name__ == "__main__":
    main()
