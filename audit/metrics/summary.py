"""The one threshold that suits a cohort best, chosen for each patient on all the others."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from audit.metrics.against_blind import filled
from audit.metrics.statistics import paired_difference, patient_interval
from reports.run_record import ScoreDifference, ScoreSummary
from reports.score_catalogue import (
    BLIND_METHODS,
    REFERENCES,
    SCORES,
    is_reference,
    mean_heat_name,
    shuffled_name,
    untrained_name,
)

__all__ = ["iou_at_cohort_threshold", "score_table", "summarise"]


def iou_at_cohort_threshold(
    ious: Float[np.ndarray, "cases levels"], patients: Sequence[str]
) -> Float[np.ndarray, " cases"]:
    """Return each case's IoU at the level with the highest mean IoU over the other patients' cases.

    Of equal levels the lowest is used. A patient's own cases never choose, because the score would then be fitted to
    what it measures.

    Args:
        ious: IoU of each case at each of a fixed ladder of thresholds, as stored by a streamed run.
        patients: of the cases.

    Returns:
        NaN, not measured, if there is no other patient.

    Source: Saporta et al. 2022, "Benchmarking saliency methods for chest X-ray interpretation", methods (one threshold
    tuned on other cases for the best mean IoU); leaving one patient out is ours.
    """
    names, index = np.unique(np.asarray(patients), return_inverse=True)
    if len(names) < 2:
        return np.full(len(ious), np.nan)
    sums = np.zeros((len(names), ious.shape[1]))
    counts = np.zeros(len(names))
    np.add.at(sums, index, ious)
    np.add.at(counts, index, 1.0)
    others = (sums.sum(0) - sums) / (counts.sum() - counts)[:, None]
    # Rounded, so that sums taken in another order choose the same of two equal levels.
    best = np.round(others, 9).argmax(1)
    chosen: Float[np.ndarray, " cases"] = ious[np.arange(len(ious)), best[index]]
    return chosen


_WORD = "category"  # a word stands in a cohort's table a thousand times, and is kept once

_COLUMNS = {
    "study": _WORD,
    "image": _WORD,
    "patient": _WORD,
    "date": _WORD,  # of the study
    "phrase": "int64",
    "finding": _WORD,
    "side": _WORD,
    "zone": _WORD,
    "context": _WORD,
    "method": _WORD,
    "score": _WORD,
    "value": "float64",
    "outcome": _WORD,
    "reason": _WORD,
}

_NO_FINDING = -1


def score_table(rows: pd.DataFrame | Sequence[Mapping[str, object]]) -> pd.DataFrame:
    """Return the long table, one row per image, phrase, method and score; ``value`` is missing if unscored.

    Rows that carry ``levels`` instead of a value get it here, at the threshold that the other patients' rows choose.
    """
    columns = [*_COLUMNS, "levels"]
    table = pd.DataFrame(rows) if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows), columns=columns)
    return _at_cohort_threshold(table)[list(_COLUMNS)].astype(_COLUMNS)


def _at_cohort_threshold(table: pd.DataFrame) -> pd.DataFrame:
    """Fill in the values of rows with levels, in a copy of the table."""
    filled = table.reset_index(drop=True)
    waiting = filled[filled["levels"].notna()]
    for _, rows in waiting.groupby("method", observed=True, sort=False):
        levels = np.array(rows["levels"].tolist(), dtype=float)
        values = iou_at_cohort_threshold(levels, rows["patient"].astype(str).tolist())
        measured = ~np.isnan(values)
        chosen, alone = rows.index[measured], rows.index[~measured]
        outcomes = filled["outcome"].astype("object").where(~filled.index.isin(chosen), "scored")
        reasons = filled["reason"].astype("object").where(~filled.index.isin(chosen), None)
        reasons = reasons.where(~filled.index.isin(alone), "no other patient to choose a threshold on")
        values_now = filled["value"].astype("float64")
        values_now.loc[chosen] = values[measured]
        filled = filled.assign(value=values_now, outcome=outcomes, reason=reasons)
    return filled


def summarise(table: pd.DataFrame) -> list[ScoreSummary]:
    """Summarise each method and score over all phrases (micro and macro over findings) and for each finding.

    A method's estimate is followed by its difference to each reference, on the cases where both were scored. Intervals
    are those of :mod:`audit.metrics.statistics`.
    """
    summaries = []
    for score, rows in table.groupby("score", observed=True, sort=False):
        # One score at a time: a table of all of them would be the largest thing that a run holds.
        cases = _Cases.of(rows)
        for method, found in cases.methods.items():
            summary = partial(cases.summary, {"method": method, "score": str(score)}, found)
            summaries += [summary(averaging="micro"), summary(averaging="macro")]
            codes = np.unique(cases.findings[found.present])
            summaries += [summary(averaging="micro", finding=int(code)) for code in codes if code != _NO_FINDING]
    return summaries


@dataclass(frozen=True, slots=True)
class _MethodValues:
    """The values of one score for a method or a reference."""

    present: Bool[np.ndarray, " cases"]  # where the table has a row
    values: Float[np.ndarray, " cases"]  # NaN where there is no row, or nothing was scored


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cases:
    """Every method's and reference's values of one score, in one order of the cases."""

    patients: Int[np.ndarray, " cases"]  # numbered in the order of their names
    findings: Int[np.ndarray, " cases"]  # places in ``names``, or _NO_FINDING
    names: Sequence[str]  # of findings, sorted
    methods: Mapping[str, _MethodValues]

    @classmethod
    def of(cls, rows: pd.DataFrame) -> "_Cases":
        """Align the rows of one score by case: an image, a phrase and its finding."""
        words = rows[["image", "patient", "finding", "method"]].astype("str")
        case = words.assign(phrase=rows["phrase"])
        key = ["image", "phrase", "finding"]
        case["repeat"] = case.groupby([*key, "method"], sort=False, dropna=False).cumcount()
        place = case.groupby([*key, "repeat"], sort=False, dropna=False).ngroup().to_numpy()
        first = np.unique(place, return_index=True)[1]
        patients, _ = pd.factorize(words["patient"].iloc[first], sort=True)
        findings, names = pd.factorize(words["finding"].iloc[first], sort=True)
        values = rows["value"].to_numpy(dtype=float)
        methods: dict[str, _MethodValues] = {}
        for method, numbers in words.groupby("method", sort=False).indices.items():
            present, found = np.zeros(len(first), dtype=bool), np.full(len(first), np.nan)
            present[place[numbers]], found[place[numbers]] = True, values[numbers]
            methods[str(method)] = _MethodValues(present, found)
        pairs = case.iloc[first].groupby(["image", "phrase"], sort=False).ngroup().to_numpy()
        return cls(
            patients=patients, findings=findings, names=names.tolist(), methods=_on_the_same_cases(methods, pairs)
        )

    def summary(
        self, name: Mapping[str, str], found: _MethodValues, *, averaging: str, finding: int | None = None
    ) -> ScoreSummary:
        """Summarise what a method has, over all phrases or those of one finding."""
        selected = found.present if finding is None else found.present & (self.findings == finding)
        scored = selected & ~np.isnan(found.values)
        about = {
            **name,
            "averaging": averaging,
            "finding": None if finding is None else self.names[finding],
            "scored": int(scored.sum()),
            "unscored": int((selected & ~scored).sum()),
            "patients": len(np.unique(self.patients[scored])),
        }
        if not scored.any():
            return ScoreSummary.model_validate({**about, "estimate": None, "low": None, "high": None})
        interval = patient_interval(
            found.values[scored],
            self.patients[scored],
            groups=self.findings[scored] if averaging == "macro" else None,
        )
        beside = () if is_reference(name["method"]) else self._differences(name["method"], selected, averaging)
        low, high = (interval.low, interval.high) if interval.is_bounded else (None, None)
        if low is not None and high is not None and name["score"] in SCORES:
            least, most = SCORES[name["score"]].limits  # ranks of 1 look like hits, and others like any number
            low, high = max(low, least), min(high, most)
        numbers = {"estimate": interval.estimate, "low": low, "high": high}
        return ScoreSummary.model_validate({**about, **numbers, "differences": tuple(beside)})

    def _differences(
        self, method: str, selected: Bool[np.ndarray, " cases"], averaging: str
    ) -> Iterator[ScoreDifference]:
        """Return the method minus each reference where both were scored; needs enough patients."""
        own = self.methods[method].values
        for reference in (*REFERENCES, mean_heat_name(method), untrained_name(method), shuffled_name(method)):
            if reference not in self.methods:
                continue
            theirs = self.methods[reference].values
            chosen = selected & ~np.isnan(own) & ~np.isnan(theirs)
            if not chosen.any():
                continue
            difference = paired_difference(
                own[chosen],
                theirs[chosen],
                self.patients[chosen],
                groups=self.findings[chosen] if averaging == "macro" else None,
            )
            if not difference.is_bounded:
                continue
            yield ScoreDifference(
                reference=reference,
                estimate=difference.estimate,
                low=difference.low,
                high=difference.high,
                scored=difference.values,
                patients=difference.patients,
            )


def _on_the_same_cases(
    methods: Mapping[str, _MethodValues], pairs: Int[np.ndarray, " cases"]
) -> Mapping[str, _MethodValues]:
    """Remove the references' values of cases where no model was scored: a box lost to cropping is lost to both.

    Content-blind maps are compared on the same cases (:func:`audit.metrics.against_blind.filled`).

    Args:
        methods: the values of each method and reference.
        pairs: the same number for cases of one image and phrase.
    """
    own = [found for method, found in methods.items() if not is_reference(method)]
    if not own:
        return methods
    judged = np.any([~np.isnan(found.values) for found in own], axis=0)
    kept = np.isin(pairs, pairs[judged])
    blind = filled({method: found.values for method, found in methods.items() if method in BLIND_METHODS})
    return {
        method: replace(found, values=np.where(kept, blind.get(method, found.values), np.nan))
        if is_reference(method)
        else found
        for method, found in methods.items()
    }
