"""The end of a run on the terminal: counts, and for each method its verdict and share of hits."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from audit.counting import counted

if TYPE_CHECKING:
    from reports.record import RunRecord, ScoreSummary

__all__ = ["counts_of", "findings_of"]

_VERDICT_WITHOUT_SCORES = "No verdict: no phrase was put to the model"


def counts_of(run: "RunRecord") -> str:
    """Say how many studies were audited, failed and were left out by rule."""
    audited = counted(run.counts["audited"], "study", "studies")
    return f"{audited} audited, {run.counts['failed']:,} failed, {run.counts['left out']:,} left out by rule"


def findings_of(run: "RunRecord") -> Iterator[str]:
    """Say of each method its verdict and, from the summaries of ``run.json``, how often it hits.

    The share of hits is that of the pointing game (tau 0) over all scored phrases. Beside it stands the share of the
    content-blind reference that the page names as the best. A line holds figures and names of methods only: no word of
    a report, no file name, no key.
    """
    if not run.verdicts:
        yield _VERDICT_WITHOUT_SCORES
    for verdict in run.verdicts:
        yield f"Verdict on {verdict.method}: {verdict.verdict}"
        yield f"  {_hits(run, verdict.method)}"


def _hits(run: "RunRecord", method: str) -> str:
    from reports.words import POINTING, best_reference, reference_name

    own = next((each for each in run.summaries if _is_overall(each, method, POINTING)), None)
    if own is None or own.estimate is None or own.low is None or own.high is None:
        return f"hits: not measured, {_unscored(0 if own is None else own.unscored)}"
    interval = f"95 % interval {100 * own.low:.0f} to {100 * own.high:.0f}; {counted(own.patients, 'patient')}"
    scored = counted(own.scored, "scored phrase")
    told = f"hits {_percent(own.estimate)} of {scored} ({interval}), {_unscored(own.unscored)}"
    best = best_reference(run)
    if best is None or best.estimate is None:
        return f"{told}; no blind reference could be scored"
    return f"{told}; best blind reference: {reference_name(best.method)}, {_percent(best.estimate)}"


def _is_overall(summary: "ScoreSummary", method: str, score: str) -> bool:
    """Whether a summary is that of a method's score over all phrases, each counted once."""
    about = (summary.method, summary.score, summary.finding, summary.averaging)
    return about == (method, score, None, "micro")


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _unscored(count: int) -> str:
    return f"{count:,} not scored"
