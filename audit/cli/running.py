"""Runs an audit from the terminal and prints counts and, for each method, its verdict and share of hits."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipelines.quoting import counted

if TYPE_CHECKING:
    from reports.run_record import Estimate, RunRecord, ScoreSummary
from collections.abc import Sequence

import typer

from audit.cli.options import FAILURES_LISTED, print_message, progress_bar
from audit.cli.terminal import INTERRUPTED, Signals, print_messages
from pipelines.errors import AuditError

if TYPE_CHECKING:
    from audit.configuration import RunConfig
    from audit.output.reuse import Plan

__all__ = ["counts_of", "findings_of", "print_plan", "run_and_print", "submit_to_slurm"]

_VERDICT_WITHOUT_SCORES = "No verdict: no phrase was given to the model"


def counts_of(run: "RunRecord") -> str:
    """Return the numbers of studies that were audited, failed, or were left out by rule as one line."""
    audited = counted(run.counts["audited"], "study", "studies")
    return f"{audited} audited, {run.counts['failed']:,} failed, {run.counts['left out']:,} left out by rule"


def findings_of(run: "RunRecord") -> Iterator[str]:
    """Yield the verdict on each method, its share of hits, what to do, and the answers to planned questions.

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
    yield from planned_lines(run)
    yield from _absence(run)


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


_PLACE = ("execution.engine=", "execution.slurm.")  # not passed to the jobs, which run locally


def submit_to_slurm(words: Sequence[str], config: "RunConfig", *, dry_run: bool) -> None:
    """Submit the shards and the closing job of a run; scripts and logs go into a folder next to OUT.

    Args:
        words: the command line's words after ``run``.
        config: the configuration that they describe.
        dry_run: whether ``--dry-run`` was given.

    Raises:
        AuditError: the configuration cannot be combined with shards, or the scheduler refuses.
    """
    from audit.execution.slurm import submit
    from reports.results_folder import read_run

    refused = {
        "--overwrite": config.output.overwrite,
        "--dry-run": dry_run,
        "execution.shard": config.execution.shard is not None,
    }
    for name, is_given in refused.items():
        if is_given:
            raise AuditError(f"execution.engine slurm: cannot be combined with {name}; omit {name}")
    out = config.output.out
    folder = out.absolute().with_name(f"{out.absolute().name}-slurm")
    done = submit(_for_each_job(words), config.execution.slurm, folder)
    if done.status is None:
        array = done.shards[0].split("_")[0]
        print_message(f"{len(done.shards)} shards are job {array}; job {done.closing} completes the run:")
        print_message(f"  squeue --jobs {array},{done.closing}")
        print_message(f"Logs go to {done.folder}; the page will be {out / 'index.html'}")
        return
    run = read_run(out)
    for line in (counts_of(run), *findings_of(run)):
        typer.echo(line)
    typer.echo(out / "index.html")
    if done.status:
        raise typer.Exit(done.status)


def _for_each_job(words: Sequence[str]) -> list[str]:
    """Remove the settings of Slurm, so that each job runs on its own machine."""
    kept: list[str] = []
    for word in words:
        setting = word.removeprefix("--set=")
        if not setting.replace("-", "_").startswith(_PLACE):
            kept.append(word)
        elif setting == word:
            kept.pop()  # the --set before it
    return [*kept, "--set", "execution.engine=local"]


def run_and_print(config: "RunConfig") -> None:
    """Run an audit; print counts, verdicts and, last, the page's path to stdout, everything else to stderr.

    Raises:
        AuditError: the run could not start, or OUT could not be written.
    """
    from audit.execution.run import run
    from audit.privacy.messages import study_messages

    signals, out, shard = Signals(), config.output.out, config.execution.shard
    try:
        with progress_bar() as progress:
            result = run(config, progress=progress, on_plan=_print_stored, stopping=signals.held_back)
    except KeyboardInterrupt as error:
        print_message(f"Stopped. {_CONTINUE}")
        raise typer.Exit(signals.status or INTERRUPTED) from error
    print_messages(result.messages)
    if result.failed and shard is None:
        print_message(f"All are listed in {out / 'failures.csv'}")
    history = result.record.history
    if history is not None and history.failed_before:
        failed = _studies(history.failed_before)
        print_message(f"Not retried: {failed} that failed before (retry with --set execution.retry-failed=true)")
    if result.record.not_done:
        advice = _CONTINUE if result.interrupted else _WITHOUT_LIMIT
        print_message(f"{_studies(result.record.not_done)} still to be audited. {advice}")
    typer.echo(counts_of(result.record))
    for line in findings_of(result.record) if shard is None else ():
        typer.echo(line)
    typer.echo(result.page)
    print_message(
        f"The audit log ends with {result.head}; store this elsewhere for `m2ib-audit log verify {out} --head`"
    )
    print_messages(study_messages(result.damaged, out, keys=None))
    if result.interrupted:
        raise typer.Exit(signals.status or INTERRUPTED)
    if result.failed or result.damaged:
        raise typer.Exit(FAILURES_LISTED)


def print_plan(config: "RunConfig") -> None:
    """Print what a run with this configuration would do; write nothing.

    Raises:
        AuditError: the run could not start.
    """
    from audit.execution.prepare import prepare
    from audit.output.reuse import StudyStatus
    from audit.storage.folder import check_writable

    check_writable(config.output.out, overwrite=config.output.overwrite)
    with progress_bar() as progress:
        prepared = prepare(config, progress=progress)
        plan = prepared.plan(progress)
    shard = config.execution.shard
    typer.echo(f"{_studies(len(plan.studies))} in the inputs{f', shard {shard}' if shard else ''}")
    parts = {
        "done already": plan.count(StudyStatus.DONE),
        "to do": plan.count(StudyStatus.NEW),
        "to do again": plan.count(StudyStatus.AGAIN),
        "whose heat is scored again": plan.count(StudyStatus.RESCORE),
        "failed before, not retried": plan.count(StudyStatus.FAILED),
        "left for a later run": plan.count(StudyStatus.WAITING),
        "in OUT but not in the result, to be archived": len(plan.archived),
    }
    for name, count in parts.items():
        if count or name in {"done already", "to do"}:
            typer.echo(f"{count:7,} {name}")
    for sentence in _reasons(plan):
        typer.echo(sentence)


_CONTINUE = "Repeat the same command to continue; finished studies are reused."
_WITHOUT_LIMIT = "A run without --limit audits them."


def _print_stored(plan: "Plan") -> None:
    from audit.logbook import AUDIT_LOG
    from audit.output.reuse import StudyStatus

    kept = plan.count(StudyStatus.DONE, StudyStatus.RESCORE, StudyStatus.FAILED)
    if plan.known.fault is not None:
        print_message(f"{AUDIT_LOG} is {plan.known.fault}; the entries after that are ignored")
    if not plan.known.is_there and kept:
        print_message(f"{AUDIT_LOG} is missing: a new one is started over the existing studies, and records that")
    if kept or plan.again() or plan.archived:
        print_message(f"{_studies(plan.count(StudyStatus.DONE))} done already, {len(plan.to_do)} to do")
    for sentence in _reasons(plan):
        print_message(sentence)
    if plan.archived:
        print_message(
            f"{_studies(len(plan.archived))} in OUT are not part of this run: archived in the folder set-aside"
        )


def _reasons(plan: "Plan") -> Iterator[str]:
    for group in plan.again():
        what = "scored again from stored heat" if group.rescored else "done again"
        yield f"  {_studies(len(group.studies))} {what}: {'; '.join(group.because)}"


def _studies(count: int) -> str:
    return counted(count, "study", "studies")
