"""The table of all scores, and their summary over a cohort: estimates, intervals, and what is left over a reference."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from audit.scoring.cohort_threshold import iou_at_cohort_threshold
from audit.scoring.human import HUMAN
from audit.scoring.scores import BLIND_METHODS
from audit.scoring.shortcuts import AREA_SHARE
from audit.scoring.statistics import paired_difference, patient_bootstrap
from reports.record import ScoreDifference, ScoreSummary

__all__ = ["REFERENCES", "is_reference", "score_table", "shuffled_name", "summarise"]

REFERENCES = (*BLIND_METHODS, HUMAN, AREA_SHARE)
"""What is listed beside a method and is none itself."""

_SHUFFLED = "shuffled "

_WORD = "category"  # a word stands in a cohort's table a thousand times, and is kept once

_COLUMNS = {
    "study": _WORD,
    "image": _WORD,
    "patient": _WORD,
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

_WORDS = [name for name, kind in _COLUMNS.items() if kind == _WORD]


def shuffled_name(method: str) -> str:
    """Name the reference that is a method's own heat with its cells in another order: what any such values get."""
    return _SHUFFLED + method


def is_reference(method: str) -> bool:
    """Whether a name of the table's ``method`` column stands beside methods and is none itself."""
    return method in REFERENCES or method.startswith(_SHUFFLED)


def score_table(rows: pd.DataFrame | Sequence[Mapping[str, object]]) -> pd.DataFrame:
    """Make the long table, a row per image, phrase, method and score; ``value`` is missing where unscored.

    Rows that carry ``levels`` instead of a value get it here, at the threshold that the other patients' rows choose.
    """
    columns = [*_COLUMNS, "levels"]
    table = pd.DataFrame(rows) if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows), columns=columns)
    return _at_cohort_threshold(table)[list(_COLUMNS)].astype(_COLUMNS)


def _at_cohort_threshold(table: pd.DataFrame) -> pd.DataFrame:
    """Fill in the values of rows with levels; the table that was handed in stays as it is."""
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


def summarise(table: pd.DataFrame, *, seed: int) -> list[ScoreSummary]:
    """Summarise each method and score over all phrases (micro and macro over findings) and for each finding.

    Beside a method's estimate stands its difference to each reference, on the cases where both were scored. Intervals
    are 95 % bootstraps over patients. Each begins anew from ``seed``, so that their order does not matter and methods
    scored on the same patients meet the same resamples.
    """
    summaries = []
    for score, rows_of_score in table.groupby("score", observed=True, sort=False):
        # One score at a time, in plain words: a table of all of them would be the largest thing that a run holds.
        of_score = _on_the_same_cases(rows_of_score.astype(dict.fromkeys(_WORDS, "str")))
        cases = _Cases(of_score)
        for method, rows in of_score.groupby("method", sort=False):
            beside = None if is_reference(str(method)) else cases
            name = {"method": str(method), "score": str(score)}
            summaries.append(_summary(rows, name | {"averaging": "micro"}, cases=beside, finding=None, seed=seed))
            summaries.append(_summary(rows, name | {"averaging": "macro"}, cases=beside, finding=None, seed=seed))
            for finding, of_finding in rows.groupby("finding", sort=True):
                one = name | {"averaging": "micro"}
                summaries.append(_summary(of_finding, one, cases=beside, finding=str(finding), seed=seed))
    return summaries


def _on_the_same_cases(table: pd.DataFrame) -> pd.DataFrame:
    """Take the references' values of a score where no model was scored: a box lost to cropping is lost to both."""
    case = pd.MultiIndex.from_frame(table[["image", "phrase"]])
    reference = table["method"].map(is_reference).astype(bool)
    if reference.all():
        return table
    scored = case[~reference & table["value"].notna()]
    return table.assign(value=table["value"].mask(reference & ~case.isin(scored)))


def _summary(
    rows: pd.DataFrame, name: Mapping[str, str], *, cases: "_Cases | None", finding: str | None, seed: int
) -> ScoreSummary:
    scored = rows[rows["value"].notna()]
    counts = {"scored": len(scored), "unscored": len(rows) - len(scored), "patients": scored["patient"].nunique()}
    if scored.empty:
        return ScoreSummary.model_validate(
            {**name, **counts, "finding": finding, "estimate": None, "low": None, "high": None}
        )
    is_macro = name["averaging"] == "macro"
    interval = patient_bootstrap(
        scored["value"].to_numpy(dtype=float),
        scored["patient"].tolist(),
        generator=np.random.default_rng(seed),
        groups=_groups(scored["finding"]) if is_macro else None,
    )
    numbers = {"estimate": interval.estimate, "low": interval.low, "high": interval.high}
    differences = (
        () if cases is None else tuple(cases.differences(name["method"], finding, is_macro=is_macro, seed=seed))
    )
    return ScoreSummary.model_validate({**name, **counts, **numbers, "finding": finding, "differences": differences})


def _groups(findings: pd.Series) -> list[str]:
    return findings.fillna("no finding named").tolist()


class _Cases:
    """Every method's and reference's values of one score, in one order of the cases."""

    def __init__(self, of_score: pd.DataFrame) -> None:
        case = of_score.groupby(["image", "phrase", "finding"], sort=False, dropna=False).ngroup()
        first = ~case.duplicated()
        self._findings, self._patients = (of_score.loc[first, name] for name in ("finding", "patient"))
        self._values: dict[str, Float[np.ndarray, " cases"]] = {}
        for method, places in case.groupby(of_score["method"], sort=False):
            values = np.full(int(first.sum()), np.nan)
            values[places] = of_score.loc[places.index, "value"]
            self._values[str(method)] = values

    def differences(self, method: str, finding: str | None, *, is_macro: bool, seed: int) -> Iterator[ScoreDifference]:
        """Give the method minus each reference where both were scored, over all phrases or those of one finding."""
        own, of_finding = self._values[method], True if finding is None else (self._findings == finding).to_numpy()
        for reference in (*REFERENCES, shuffled_name(method)):
            theirs = self._values.get(reference)
            if theirs is None:
                continue
            chosen = ~np.isnan(own) & ~np.isnan(theirs) & of_finding
            if not chosen.any():
                continue
            difference = paired_difference(
                own[chosen],
                theirs[chosen],
                self._patients[chosen].tolist(),
                generator=np.random.default_rng(seed),
                groups=_groups(self._findings[chosen]) if is_macro else None,
            )
            yield ScoreDifference(
                reference=reference,
                estimate=difference.estimate,
                low=difference.low,
                high=difference.high,
                scored=difference.values,
                patients=difference.patients,
            )
