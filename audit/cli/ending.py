"""The end of a run on the terminal: counts, verdicts, the three answers, the best blind map; as lines or as JSON."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import typer

from audit.cli.options import ALARM
from pipelines.errors import AuditError
from pipelines.quoting import counted

if TYPE_CHECKING:
    from reports.grounding import GroundingCell
    from reports.run_record import Estimate, RunRecord, ScoreSummary

__all__ = ["ANY_FAULT", "Ending", "counts_of", "findings_of", "state_of"]

ANY_FAULT = "any"
"""A word of ``--fail-on``: every verdict but *grounded*, and none at all."""
_VERDICT_WITHOUT_SCORES = "No verdict: no phrase was given to the model"
_ANSWERS = ("recognises", "relies", "localises")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a run ends on the terminal."""

    as_json: bool = False  # one object instead of lines
    fail_on: tuple[str, ...] = ()  # verdicts on the main method that give exit status 4

    @classmethod
    def of(cls, *, as_json: bool = False, fail_on: Sequence[str] | None = None) -> "Ending":
        """Check the verdicts.

        Raises:
            AuditError: one is not a verdict.
        """
        from reports.run_record import VerdictWord

        known = (*get_args(VerdictWord), ANY_FAULT)
        for word in fail_on or ():
            if word not in known:
                raise AuditError(f"--fail-on {word}: is no verdict; give one of {', '.join(known)}")
        return cls(as_json=as_json, fail_on=tuple(fail_on or ()))

    def print_run(self, run: "RunRecord", page: Path) -> None:
        """Print a finished run to stdout; the last line names its page."""
        if self.as_json:
            typer.echo(json.dumps({**state_of(run), "page": str(page)}, ensure_ascii=False))
            return
        for line in (counts_of(run), *findings_of(run), page):
            typer.echo(line)

    def status(self, run: "RunRecord", otherwise: int) -> int:
        """Return the exit status: 4 for a verdict that ``--fail-on`` names, else that of the run itself."""
        verdict = next((each.verdict for each in run.verdicts if each.method == run.method), None)
        is_fault = ANY_FAULT in self.fail_on and verdict != "grounded"
        return ALARM if is_fault or verdict in self.fail_on else otherwise


def counts_of(run: "RunRecord") -> str:
    """Return the numbers of studies that were audited, failed, or were left out by rule as one line."""
    audited = counted(run.counts["audited"], "study", "studies")
    return f"{audited} audited, {run.counts['failed']:,} failed, {run.counts['left out']:,} left out by rule"


def findings_of(run: "RunRecord") -> Iterator[str]:
    """Yield the verdict on each method, its share of hits and what to do, then the three answers and the planned ones.

    The share of hits is that of the pointing game (tau 0) over all scored phrases. It is followed by the share of the
    best content-blind reference. The lines contain only figures and names of methods: no report text, no file names
    and no keys.
    """
    from reports.planned import planned_lines

    if not run.verdicts:
        yield _VERDICT_WITHOUT_SCORES
    for verdict in run.verdicts:
        yield f"Verdict on {verdict.method}: {verdict.verdict}"
        yield f"  {_hits(run, verdict.method)}"
        if verdict.action:
            yield f"  {verdict.action}"
    yield from _answers(run)
    yield from planned_lines(run)
    yield from _absence(run)


def _answers(run: "RunRecord") -> Iterator[str]:
    """Yield whether the model recognises, relies and localises, over all phrases; nothing for older runs."""
    found = _cells(run)
    if found:
        words = {"unknown": "not known"}
        figures = ", ".join(
            f"{name} {words.get(cell.answer, cell.answer)} ({_figure(name, cell)})" for name, cell in found.items()
        )
        yield f"Over all phrases: {figures}"


def _cells(run: "RunRecord") -> "dict[str, GroundingCell]":
    from reports.grounding import grounding_rows

    row = next((each for each in grounding_rows(run) if not each.finding), None)
    return {} if row is None else dict(zip(_ANSWERS, row.cells, strict=True))


def _figure(name: str, cell: "GroundingCell") -> str:
    result = cell.result
    if cell.note or result is None or result.estimate is None:
        return cell.note
    if name == "localises":
        return _percent(result.estimate)
    return f"AUC {result.estimate:.2f}" if name == "recognises" else f"{result.estimate:.2f} SD"


def state_of(run: "RunRecord") -> dict[str, object]:
    """Return what :func:`findings_of` says as values for JSON; shares are 0 to 1, and None is not measured."""
    from reports.outcomes import best_reference, overall_hits

    main = next((each for each in run.verdicts if each.method == run.method), None)
    own, best = overall_hits(run), best_reference(run)
    return {
        "verdict": None if main is None else main.verdict,
        "action": None if main is None else main.action,
        "verdicts": {each.method: each.verdict for each in run.verdicts},
        "answers": {
            name: {"answer": cell.answer, **_interval(cell.result), "note": cell.note}
            for name, cell in _cells(run).items()
        },
        "hits": None if own is None else _interval(own),
        "best_blind": None if best is None else {"method": best.method, "estimate": best.estimate},
        "planned": {} if run.protocol is None else {each.question: each.outcome for each in run.protocol.answers},
        "audited": run.counts["audited"],
        "failed": run.counts["failed"],
        "left_out": run.counts["left out"],
        "not_done": run.not_done,
    }


def _interval(result: "Estimate | ScoreSummary | None") -> dict[str, object]:
    if result is None:
        return {"estimate": None, "low": None, "high": None, "patients": 0}
    return {"estimate": result.estimate, "low": result.low, "high": result.high, "patients": result.patients}


def _absence(run: "RunRecord") -> Iterator[str]:
    """Yield how often the model prefers the denial of a finding that a report denies, if any report does."""
    from reports.absence import absence_rows, absence_summary

    summary = absence_summary(run)
    if summary is not None:
        yield summary
    for row in absence_rows(run)[:1]:  # over all findings
        line = f"  denial preferred in {_estimate(row.denied)} of {counted(row.denied.cases, 'absent phrase')}"
        if row.asserted is not None:
            line += f", assertion preferred in {_estimate(row.asserted)} of {row.asserted.cases:,} with the finding"
        yield line
        if row.percentile is not None:
            auc = row.percentile
            figures = f"{auc.estimate:.2f} (95 % interval {auc.low:.2f} to {auc.high:.2f})"
            yield f"  images without a finding told from those with it: AUC {figures}"


def _estimate(share: "Estimate") -> str:
    return f"{_percent(share.estimate)} (95 % interval {100 * share.low:.0f} to {100 * share.high:.0f})"


def _hits(run: "RunRecord", method: str) -> str:
    from reports.outcomes import best_reference, reference_name
    from reports.score_catalogue import POINTING

    own = next((each for each in run.summaries if _is_overall(each, method, POINTING)), None)
    if own is None or own.estimate is None or own.low is None or own.high is None:
        return f"hits: not measured, {_unscored(0 if own is None else own.unscored)}"
    interval = f"95 % interval {100 * own.low:.0f} to {100 * own.high:.0f}; {counted(own.patients, 'patient')}"
    scored = counted(own.scored, "scored phrase")
    line = f"hits {_percent(own.estimate)} of {scored} ({interval}), {_unscored(own.unscored)}"
    best = best_reference(run)
    if best is None or best.estimate is None:
        return f"{line}; no blind reference could be scored"
    return f"{line}; best blind reference: {reference_name(best.method)}, {_percent(best.estimate)}"


def _is_overall(summary: "ScoreSummary", method: str, score: str) -> bool:
    """Return True for the summary of a method's score over all phrases (micro average)."""
    about = (summary.method, summary.score, summary.finding, summary.averaging)
    return about == (method, score, None, "micro")


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _unscored(count: int) -> str:
    return f"{count:,} not scored"
