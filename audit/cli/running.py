"""Runs an audit from the terminal: prints what is done again, what failed, and how the run ends."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import typer

from audit.cli.ending import Ending, counts_of
from audit.cli.options import FAILURES_LISTED, print_message, progress_bar
from audit.cli.terminal import INTERRUPTED, Signals, print_messages
from pipelines.errors import AuditError
from pipelines.quoting import counted

if TYPE_CHECKING:
    from audit.configuration import RunConfig
    from audit.output.reuse import Plan

__all__ = ["print_plan", "run_and_print", "submit_to_slurm"]

_PLACE = ("execution.engine=", "execution.slurm.")  # not passed to the jobs, which run locally


def submit_to_slurm(words: Sequence[str], config: "RunConfig", *, dry_run: bool, ending: Ending) -> None:
    """Submit the shards and the closing job of a run; scripts and logs go into a folder next to OUT.

    Args:
        words: the command line's words after ``run``.
        config: the configuration that they describe.
        dry_run: whether ``--dry-run`` was given.
        ending: how the run ends, if it is waited for.

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
    ending.print_run(read_run(out), out / "index.html")
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


def run_and_print(config: "RunConfig", ending: Ending | None = None) -> None:
    """Run an audit; print counts, verdicts and, last, the page's path to stdout, everything else to stderr.

    Args:
        config: of the run.
        ending: how it ends on the terminal; a shard has no verdict, and prints counts alone.

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
    ending = ending or Ending()
    if shard is None:
        ending.print_run(result.record, result.page)
    else:
        typer.echo(counts_of(result.record))
        typer.echo(result.page)
    print_message(
        f"The audit log ends with {result.head}; store this elsewhere for `m2ib-audit log verify {out} --head`"
    )
    print_messages(study_messages(result.damaged, out, keys=None))
    if result.interrupted:
        raise typer.Exit(signals.status or INTERRUPTED)
    status = FAILURES_LISTED if result.failed or result.damaged else 0
    if shard is None:
        status = ending.status(result.record, status)
    if status:
        raise typer.Exit(status)


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
