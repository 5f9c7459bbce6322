"""From every pair's scores to those of every method: intervals, and differences to a reference and to a baseline."""

from collections.abc import Iterator, Sequence

import pandas as pd

from audit.faithfulness.scores import is_lower_better
from audit.scoring.scores import BLIND_METHODS, SCORES
from audit.scoring.shortcuts import AREA_SHARE, COLLIMATION_HEAT, MARKER_HEAT, MARKER_POINT, OUTSIDE_HEAT
from audit.scoring.shortcuts import SHORTCUT_SCORES as OF_SHORTCUTS
from audit.scoring.statistics import paired_difference
from audit.scoring.summary import is_reference, shuffled_name, summarise
from reports.comparison_record import ComparedScore, ScoreKind
from reports.record import ScoreDifference, ScoreSummary

__all__ = ["compared_scores"]

_LOW_SHORTCUTS = (MARKER_POINT, MARKER_HEAT, OUTSIDE_HEAT, COLLIMATION_HEAT)
_CASE = ["image", "phrase", "finding"]
_NO_FINDING = "no finding named"


def compared_scores(table: pd.DataFrame, *, baseline: str) -> tuple[ComparedScore, ...]:
    """Summarise a score table over all phrases (micro, and macro over findings) and for each finding.

    Args:
        table: of :func:`audit.scoring.summary.score_table`.
        baseline: the method that the others' differences are to.
    """
    if table.empty:
        return ()
    summaries = summarise(table)
    pairs = _BaselinePairs(table, baseline)
    best = {place: _best_blind(summaries, place) for place in {_place(summary) for summary in summaries}}
    return tuple(_compared(summary, best[_place(summary)], pairs) for summary in summaries)


_Place = tuple[str, str | None, str]


def _place(summary: ScoreSummary) -> _Place:
    return summary.score, summary.finding, summary.averaging


def _best_blind(summaries: Sequence[ScoreSummary], place: _Place) -> str | None:
    """Name the blind reference that scores highest; all scores of place are better when they are higher."""
    blind = [
        (each.estimate, each.method)
        for each in summaries
        if _place(each) == place and each.method in BLIND_METHODS and each.estimate is not None
    ]
    return max(blind)[1] if blind else None


def _compared(summary: ScoreSummary, blind: str | None, pairs: "_BaselinePairs") -> ComparedScore:
    kind = _kind(summary.score)
    reference = {"localisation": blind, "shortcut": AREA_SHARE, "faithfulness": shuffled_name(summary.method)}[kind]
    lower = summary.score in _LOW_SHORTCUTS or (kind == "faithfulness" and is_lower_better(summary.score))
    return ComparedScore(
        **summary.model_dump(exclude={"differences"}),
        is_reference=is_reference(summary.method),
        kind=kind,
        lower_is_better=lower,
        to_reference=next((each for each in summary.differences if each.reference == reference), None),
        to_baseline=pairs.difference(summary),
    )


def _kind(score: str) -> ScoreKind:
    if score in SCORES:
        return "localisation"
    return "shortcut" if score in OF_SHORTCUTS else "faithfulness"


class _BaselinePairs:
    """Each method's values beside the baseline's, on the cases where both were scored."""

    def __init__(self, table: pd.DataFrame, baseline: str) -> None:
        self._baseline = baseline
        plain = table.loc[table["value"].notna(), [*_CASE, "patient", "method", "score", "value"]]
        plain = plain.astype(dict.fromkeys(("image", "finding", "patient", "method", "score"), "str"))
        plain = plain.assign(finding=plain["finding"].fillna(_NO_FINDING))
        self._joined = {str(score): dict(self._join(rows)) for score, rows in plain.groupby("score", sort=False)}

    def _join(self, of_score: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
        theirs = of_score.loc[of_score["method"] == self._baseline, [*_CASE, "value"]]
        for method, rows in of_score.groupby("method", sort=False):
            if method != self._baseline and not is_reference(str(method)):
                yield str(method), rows.merge(theirs, on=_CASE, suffixes=("", "_baseline"))

    def difference(self, summary: ScoreSummary) -> ScoreDifference | None:
        """Give a method minus the baseline, over the phrases of a summary; None where nothing can be said."""
        pairs = self._joined.get(summary.score, {}).get(summary.method)
        if pairs is None:
            return None
        chosen = pairs if summary.finding is None else pairs[pairs["finding"] == summary.finding]
        if chosen.empty:
            return None
        found = paired_difference(
            chosen["value"].to_numpy(dtype=float),
            chosen["value_baseline"].to_numpy(dtype=float),
            chosen["patient"].tolist(),
            groups=chosen["finding"].tolist() if summary.averaging == "macro" else None,
        )
        if not found.is_bounded:
            return None
        return ScoreDifference(
            reference=self._baseline,
            estimate=found.estimate,
            low=found.low,
            high=found.high,
            scored=found.values,
            patients=found.patients,
        )
