"""The verdict on a method's heat for a model: eight categories, one rule, and every test with its values.

Three questions are asked apart: whether the model matches phrases to their images (recognition), whether its answer
depends on the region that the radiologist marked (reliance), and whether the heat shows that region (localisation).
*Grounded* is the answer yes to all three; a question that was not asked is not taken for answered.

``benchmarks/bench_verdict.py`` measures how often maps that ignore the image are called grounded.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from audit.controls.plan import Control
from audit.controls.verdict_rule import (
    ACTIONS,
    BLANK_SD,
    BLIND_MARGIN,
    CHANCE,
    FIXED_PLACE,
    LEAST_OF_PART,
    LEAST_PATIENTS,
    LEAST_PHRASES,
    MARKER_SHARE,
    RULE,
    WEAK_AREA,
)
from audit.metrics.against_blind import best_blind, hits_with_blind, values_of
from audit.metrics.statistics import Interval, paired_difference, patient_interval, recorded
from pipelines.quoting import counted
from reports.run_record import (
    ControlSummary,
    CosineTest,
    Estimate,
    StepOutcome,
    VerdictRecord,
    VerdictStep,
    VerdictTest,
    VerdictWord,
)
from reports.score_catalogue import (
    FALL_BLANK,
    MARKER_POINT,
    MEAN_HEAT_CORRELATION,
    PERCENTILE,
    POINTING,
    RELIANCE,
    mean_heat_name,
)

__all__ = ["recognition_step", "verdict_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """One test, and the verdict if it failed."""

    step: VerdictStep
    if_failed: VerdictWord


_CONSTANT = "a phrase has the same cosine with every image, so that there is no spread to compare a change with"


def verdict_of(
    table: pd.DataFrame,
    controls: Sequence[ControlSummary],
    tests: Sequence[CosineTest],
    *,
    method: str,
    is_constant: bool = False,
) -> VerdictRecord:
    """Judge one method on one model by :data:`audit.controls.verdict_rule.RULE`.

    Args:
        table: every score of the run (:func:`audit.metrics.summary.score_table`).
        controls: summaries of the run's controls.
        tests: recognition and reliance of the run's model.
        method: the method whose heat is judged.
        is_constant: whether each phrase has the same cosine with every image, so that falls of the cosine have no unit.
    """
    asked = tuple(_asked(table, controls, tests, method, is_constant=is_constant))
    place, verdict = _decided(asked)
    steps = [each.step for each in asked]
    if place is not None:
        steps[place] = steps[place].model_copy(update={"decides": True})
    told = len(steps) if place is None or (place > 0 and verdict == "too few cases to say") else place + 1
    return VerdictRecord(
        method=method,
        verdict=verdict,
        because=tuple(step.sentence for step in steps[:told]),
        rule=RULE,
        steps=tuple(steps),
        action=ACTIONS[verdict],
    )


def _decided(asked: Sequence[_Asked]) -> tuple[int | None, VerdictWord]:
    """Return the index of the test that the verdict follows from, None if all passed; and the verdict."""
    open_ones = [place for place, each in enumerate(asked) if each.step.outcome != "passed"]
    if 0 not in open_ones:  # enough cases
        for place in open_ones:
            if asked[place].step.outcome == "failed" and asked[place].if_failed != "too few cases to say":
                return place, asked[place].if_failed
    return (open_ones[0], "too few cases to say") if open_ones else (None, "grounded")


def _asked(
    table: pd.DataFrame,
    controls: Sequence[ControlSummary],
    tests: Sequence[CosineTest],
    method: str,
    *,
    is_constant: bool,
) -> Iterator[_Asked]:
    """Run every test, in the order of the rule."""
    hits, results = hits_with_blind(table, method), {test.test: test.result for test in tests if test.finding is None}
    recognition = recognition_step(results.get(PERCENTILE))
    mean_heat = _mean_heat(hits, table, method)
    yield _Asked(step=_enough(hits), if_failed="too few cases to say")
    yield _Asked(step=recognition, if_failed="ignores the image")
    yield _Asked(step=_blank(results.get(FALL_BLANK), is_constant=is_constant), if_failed="ignores the image")
    marker = values_of(table, method, MARKER_POINT)
    if len(marker):
        yield _Asked(step=_marker(marker), if_failed="looks at the marker")
    fixed = _fixed_place(values_of(table, method, MEAN_HEAT_CORRELATION), mean_heat)
    yield _Asked(step=fixed, if_failed="looks by habit")
    yield _Asked(step=_blind(hits), if_failed="not better than a blind map")
    yield _Asked(step=mean_heat, if_failed="looks by habit")
    yield _Asked(step=_words(controls, method), if_failed="does not depend on the words")
    recognises = recognition.outcome == "passed"  # without the right answer, its place cannot be wrong
    yield _Asked(
        step=_reliance(results.get(RELIANCE), is_constant=is_constant),
        if_failed="right answer, wrong place" if recognises else "too few cases to say",
    )


def _step(
    test: VerdictTest,
    figure: Interval | Estimate | None,
    sentence: str,
    *,
    limit: float,
    is_failed: bool = False,
    reference: str | None = None,
) -> VerdictStep:
    """Make a test's record; without a figure it was not asked, and few cases leave it open."""
    outcome: StepOutcome = "failed" if is_failed else "passed"
    if isinstance(figure, Interval):
        figure = recorded(figure)
    if figure is None:
        outcome = "not asked"
    elif _are_few(figure.cases, figure.patients):
        outcome = "too few cases"
        sentence = f"{sentence}; at least {LEAST_OF_PART[0]} phrases and {LEAST_OF_PART[1]} patients are required"
    return VerdictStep(test=test, figure=figure, limit=limit, reference=reference, outcome=outcome, sentence=sentence)


def _are_few(cases: int, patients: int, least: tuple[int, int] = LEAST_OF_PART) -> bool:
    return cases < least[0] or patients < least[1]


def _enough(hits: pd.DataFrame) -> VerdictStep:
    cases, patients = len(hits), int(hits["patient"].nunique())
    sentence = f"{counted(cases, 'phrase')} of {counted(patients, 'patient')} could be scored against a box"
    is_enough = not _are_few(cases, patients, (LEAST_PHRASES, LEAST_PATIENTS))
    if not is_enough:
        sentence += f"; at least {LEAST_PHRASES} phrases and {LEAST_PATIENTS} patients are required"
    return VerdictStep(
        test="cases",
        figure=Estimate(estimate=cases, low=cases, high=cases, cases=cases, patients=patients),
        limit=LEAST_PHRASES,
        outcome="passed" if is_enough else "too few cases",
        sentence=sentence,
    )


def recognition_step(auc: Estimate | None) -> VerdictStep:
    """Test the area under the ROC curve of a phrase's own image; None if it was not measured."""
    if auc is None:
        sentence = (
            "not asked whether the model recognises the image: no embeddings are stored, or no image lacks a finding"
        )
        return _step("recognition", None, sentence, limit=CHANCE)
    sentence = (
        f"of other patients' images without the finding, a phrase ranks {_format(auc)} below its own image, in "
        f"{counted(auc.cases, 'phrase')}"
    )
    may_be_chance = auc.low <= CHANCE
    step = _step("recognition", auc, sentence, limit=CHANCE, is_failed=may_be_chance and auc.high < WEAK_AREA)
    if step.outcome != "passed" or not may_be_chance:
        return step
    sentence += f"; the interval holds {CHANCE} and {WEAK_AREA}, so more patients are required"
    return step.model_copy(update={"outcome": "too few cases", "sentence": sentence})


def _blank(fall: Estimate | None, *, is_constant: bool) -> VerdictStep:
    if fall is None:
        why = _CONSTANT if is_constant else "no control with changed images was run"
        sentence = f"not asked whether a blank image changes the cosine: {why}"
        return _step("blank image", None, sentence, limit=BLANK_SD)
    sentence = f"with a blank image the cosine falls by {_deviations(fall)} in {counted(fall.cases, 'phrase')}"
    is_failed = fall.low > -BLANK_SD and fall.high < BLANK_SD
    return _step("blank image", fall, sentence, limit=BLANK_SD, is_failed=is_failed)


def _marker(marker: pd.DataFrame) -> VerdictStep:
    """Test the phrases on images with a marker; few of them are no reason for doubt."""
    share = patient_interval(marker["value"].to_numpy(dtype=float), marker["patient"].tolist())
    phrases = counted(len(marker), "phrase")
    sentence = f"the peak of the heat lies on a burned-in marker in {_format(share)} of {phrases}"
    is_failed = share.low > MARKER_SHARE and not _are_few(share.values, share.patients)
    return VerdictStep(
        test="marker",
        figure=recorded(share),
        limit=MARKER_SHARE,
        outcome="failed" if is_failed else "passed",
        sentence=sentence,
    )


def _mean_heat(hits: pd.DataFrame, table: pd.DataFrame, method: str) -> VerdictStep:
    """Compare hits with those of the method's mean heat over other patients' images."""
    reference = mean_heat_name(method)
    theirs = values_of(table, reference, POINTING).rename(columns={"value": "mean"})
    both = hits.merge(theirs.drop(columns="patient"), on=["image", "phrase", "finding"])
    if both.empty:
        sentence = "not asked whether it is better than its mean heat: no other patient's image has heat"
        return _step("mean heat", None, sentence, limit=0.0, reference=reference)
    own, mean = both["value"].to_numpy(dtype=float), both["mean"].to_numpy(dtype=float)
    difference = paired_difference(own, mean, both["patient"].tolist())
    sentence = (
        f"its mean heat on other patients' images hits in {_percent(float(np.mean(mean)))} of "
        f"{counted(len(both), 'phrase')}, it itself in {_percent(float(np.mean(own)))}: {_points(difference)}"
    )
    return _step("mean heat", difference, sentence, limit=0.0, reference=reference, is_failed=not difference.low > 0.0)


def _fixed_place(likeness: pd.DataFrame, mean_heat: VerdictStep) -> VerdictStep:
    if likeness.empty:
        sentence = "not asked whether the heat lies at one place on every image: no other patient's image has heat"
        return _step("fixed place", None, sentence, limit=FIXED_PLACE)
    found = patient_interval(
        likeness["value"].to_numpy(dtype=float), likeness["patient"].tolist(), bound=1.0, may_be_negative=True
    )
    sentence = f"the correlation of the heat with its mean on other patients' images is {_number(found)}"
    is_failed = found.low > FIXED_PLACE and mean_heat.outcome == "failed"
    return _step("fixed place", found, sentence, limit=FIXED_PLACE, is_failed=is_failed)


def _blind(hits: pd.DataFrame) -> VerdictStep:
    best = best_blind(hits)
    if best is None:
        return _step("blind map", None, "no content-blind map could be scored", limit=BLIND_MARGIN)
    sentence = (
        f"it hits in {_percent(hits['value'].mean())} of them, {best.method} in {_percent(best.share)}: "
        f"{_points(best.difference)}"
    )
    figure = recorded(best.difference)
    if figure is not None:  # the lower end is that of all maps: each of them must be beaten
        figure = figure.model_copy(update={"low": best.low})
    return _step(
        "blind map",
        figure,
        sentence,
        limit=BLIND_MARGIN,
        reference=best.method,
        is_failed=not best.low > BLIND_MARGIN,
    )


def _words(controls: Sequence[ControlSummary], method: str) -> VerdictStep:
    shuffled = [c for c in controls if (c.method, c.control) == (method, Control.SHUFFLED.value)]
    fall = shuffled[0].hit_fall if shuffled else None
    if fall is None:
        sentence = "not asked whether hits depend on the words: no scored phrase was replaced by another patient's"
        return _step("words", None, sentence, limit=0.0)
    sentence = (
        f"with another patient's phrase, hits drop by {_points(fall, sign='')} in {counted(fall.cases, 'phrase')}"
    )
    return _step("words", fall, sentence, limit=0.0, is_failed=not fall.low > 0.0)


def _reliance(reliance: Estimate | None, *, is_constant: bool) -> VerdictStep:
    if reliance is None:
        why = _CONSTANT if is_constant else "no region could be erased"
        sentence = f"not asked whether the model relies on the marked region: {why}"
        return _step("reliance", None, sentence, limit=0.0)
    sentence = (
        f"with the marked region erased, the cosine falls by {_deviations(reliance)} more than with equal areas erased "
        f"elsewhere, in {counted(reliance.cases, 'phrase')}"
    )
    return _step("reliance", reliance, sentence, limit=0.0, is_failed=not reliance.low > 0.0)


def _percent(share: float) -> str:
    return f"{100.0 * share:.0f} %"


def _format(interval: Interval | Estimate) -> str:
    return f"{_percent(interval.estimate)} (95 % interval {100 * interval.low:.0f} to {100 * interval.high:.0f})"


def _number(interval: Interval | Estimate) -> str:
    return f"{interval.estimate:.2f} (95 % interval {interval.low:.2f} to {interval.high:.2f})"


def _deviations(fall: Estimate) -> str:
    return f"{fall.estimate:.2f} standard deviations (95 % interval {fall.low:.2f} to {fall.high:.2f})"


def _points(difference: Interval | Estimate, *, sign: str = "+") -> str:
    points, low, high = (f"{100 * value:{sign}.0f}" for value in (difference.estimate, difference.low, difference.high))
    return f"{points} points (95 % interval {low} to {high})"
