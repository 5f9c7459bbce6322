"""The verdict on a method's heat for a model: five categories, one rule, and every test with its values."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from audit.controls.plan import Control
from audit.metrics.against_blind import best_blind, hits_with_blind, values_of
from audit.metrics.statistics import INTERVAL, Interval, patient_interval
from pipelines.quoting import counted
from reports.run_record import ControlSummary, Estimate, VerdictRecord, VerdictWord
from reports.score_catalogue import MARKER_POINT

__all__ = ["BLIND_MARGIN", "LEAST_PHRASES", "RULE", "verdict_of"]

# The mean boxes of few phrases are weak references: benchmarks/bench_verdict.py measures how often they are beaten by a
# map that ignores the image and learned its mean boxes elsewhere.
LEAST_PHRASES, _LEAST_PATIENTS = 100, 20
_LEAST_OF_PART = (20, 10)  # phrases and patients, for the controls and for images with a marker
_MARKER_SHARE = 0.25
# The class-mean box of a hundred patients is itself a random sample: on such cohorts of phantoms, an encoder that never
# learned to look was up to 15 points above it (lower end: 8), and one that did learn was 49 above (lower end: 42).
BLIND_MARGIN = 0.10

RULE = (
    f"{INTERVAL}. 1. Fewer than {LEAST_PHRASES} scored phrases or "
    f"{_LEAST_PATIENTS} patients: too few cases to say, because mean boxes of so few are weak references. "
    "2. The hottest point lies on a burned-in marker in more than "
    f"{_MARKER_SHARE:.0%} of the phrases on images with a marker, by the lower end of the interval: looks at the "
    "marker. 3. The share of hits is not more than "
    f"{100 * BLIND_MARGIN:.0f} points above that of every content-blind map on the same phrases, by the lower end "
    "of the paired difference: not better than a blind map, because an encoder that never learned to look may come "
    "as close. 4. The share of hits does not drop with another patient's phrase, by the lower end of the paired "
    "difference: does not depend on the words; with fewer than "
    f"{_LEAST_OF_PART[0]} such phrases or {_LEAST_OF_PART[1]} patients: too few cases to say. "
    "5. Otherwise: grounded. The first condition that holds is the verdict."
)
"""The meaning of a verdict, as stored in run.json and shown on the page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """One test of the rule: its result, and the verdict if it is decisive."""

    because: str
    verdict: VerdictWord | None


def verdict_of(table: pd.DataFrame, controls: Sequence[ControlSummary], *, method: str) -> VerdictRecord:
    """Judge one method on one model by :data:`RULE`.

    Args:
        table: every score of the run (:func:`audit.metrics.summary.score_table`).
        controls: summaries of the run's controls.
        method: the method whose heat is judged.
    """
    because: list[str] = []
    for step in _steps(table, controls, method):
        because.append(step.because)
        if step.verdict is not None:
            return VerdictRecord(method=method, verdict=step.verdict, because=tuple(because), rule=RULE)
    return VerdictRecord(method=method, verdict="grounded", because=tuple(because), rule=RULE)


def _steps(table: pd.DataFrame, controls: Sequence[ControlSummary], method: str) -> Iterator[_Step]:
    hits = hits_with_blind(table, method)
    yield _enough(hits)
    marker = values_of(table, method, MARKER_POINT)
    if len(marker):
        yield _marker(marker)
    yield _blind(hits)
    yield _words(controls, method)


def _are_few(cases: int, patients: int, least: tuple[int, int] = _LEAST_OF_PART) -> bool:
    return cases < least[0] or patients < least[1]


def _enough(hits: pd.DataFrame) -> _Step:
    cases, patients = len(hits), int(hits["patient"].nunique())
    sentence = f"{counted(cases, 'phrase')} of {counted(patients, 'patient')} could be scored against a box"
    if _are_few(cases, patients, (LEAST_PHRASES, _LEAST_PATIENTS)):
        least = f"at least {LEAST_PHRASES} phrases and {_LEAST_PATIENTS} patients are required"
        return _Step(because=f"{sentence}; {least}", verdict="too few cases to say")
    return _Step(because=sentence, verdict=None)


def _marker(marker: pd.DataFrame) -> _Step:
    share = patient_interval(marker["value"].to_numpy(dtype=float), marker["patient"].tolist())
    sentence = f"the hottest point lies on a burned-in marker in {_format(share)} of {counted(len(marker), 'phrase')}"
    looks = share.low > _MARKER_SHARE and not _are_few(share.values, share.patients)
    return _Step(because=sentence, verdict="looks at the marker" if looks else None)


def _blind(hits: pd.DataFrame) -> _Step:
    best = best_blind(hits)
    if best is None:
        return _Step(because="no content-blind map could be scored", verdict="too few cases to say")
    sentence = (
        f"it hits in {_percent(hits['value'].mean())} of them, {best.method} in {_percent(best.share)}: "
        f"{_points(best.difference)}"
    )
    return _Step(because=sentence, verdict=None if best.low > BLIND_MARGIN else "not better than a blind map")


def _words(controls: Sequence[ControlSummary], method: str) -> _Step:
    shuffled = [c for c in controls if (c.method, c.control) == (method, Control.SHUFFLED.value)]
    fall = shuffled[0].hit_fall if shuffled else None
    if fall is None or _are_few(fall.cases, fall.patients):
        count = 0 if fall is None else fall.cases
        sentence = f"only {count} scored phrases were replaced by another patient's phrase, too few to conclude"
        return _Step(because=sentence, verdict="too few cases to say")
    sentence = (
        f"with another patient's phrase, hits drop by {_points(fall, sign='')} in {counted(fall.cases, 'phrase')}"
    )
    return _Step(because=sentence, verdict=None if fall.low > 0 else "does not depend on the words")


def _percent(share: float) -> str:
    return f"{100.0 * share:.0f} %"


def _format(interval: Interval) -> str:
    return f"{_percent(interval.estimate)} (95 % interval {100 * interval.low:.0f} to {100 * interval.high:.0f})"


def _points(difference: Interval | Estimate, *, sign: str = "+") -> str:
    points, low, high = (f"{100 * value:{sign}.0f}" for value in (difference.estimate, difference.low, difference.high))
    return f"{points} points (95 % interval {low} to {high})"
