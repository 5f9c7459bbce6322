"""How ``run`` and ``demo`` speak: what OUT holds already, what failed, and how to go on."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from audit.cli.ending import counts_of, findings_of
from audit.cli.options import progress_bar, tell
from audit.cli.stopping import INTERRUPTED, Signals
from audit.cli.telling import tell_what_is_wrong
from audit.counting import counted

if TYPE_CHECKING:
    from audit.engine.resuming import Plan
    from audit.engine.settings import RunSettings

__all__ = ["run_and_tell", "say_what_is_to_do"]

_FAILURES_LISTED = 3  # exit status


def run_and_tell(settings: "RunSettings") -> None:
    """Run, and say how it went: on stdout counts, verdicts with their figures and, last, the page; the rest on stderr.

    Raises:
        AuditError: the run could not start, or OUT could not be written.
    """
    from audit.engine.run import run

    signals = Signals()
    try:
        with progress_bar() as progress:
            result = run(settings, progress=progress, tell=_tell_what_is_held, stopping=signals.held_back)
    except KeyboardInterrupt as error:
        tell(f"Stopped. {_GO_ON}")
        raise typer.Exit(signals.status or INTERRUPTED) from error
    tell_what_is_wrong(result.told)
    if result.failed and settings.shard is None:
        tell(f"All are listed in {settings.out / 'failures.csv'}")
    history = result.record.history
    if history is not None and history.failed_before:
        tell(f"Not tried again: {_studies(history.failed_before)} that failed before (--retry-failed tries)")
    if result.record.not_done:
        tell(f"{_studies(result.record.not_done)} still to be audited. {_GO_ON if result.interrupted else _THE_REST}")
    typer.echo(counts_of(result.record))
    for line in findings_of(result.record) if settings.shard is None else ():
        typer.echo(line)
    typer.echo(result.page)
    tell(
        f"The audit log ends with {result.head}; kept elsewhere, `m2ib-audit log verify {settings.out} --head` takes it"
    )
    for sentence in result.damaged:
        tell(f"  {sentence}")
    if result.interrupted:
        raise typer.Exit(signals.status or INTERRUPTED)
    if result.failed or result.damaged:
        raise typer.Exit(_FAILURES_LISTED)


def say_what_is_to_do(settings: "RunSettings") -> None:
    """Print what a run with these settings would do, and write nothing.

    Raises:
        AuditError: the run could not start.
    """
    from audit.engine.out_folder import check_writable
    from audit.engine.preparing import prepare
    from audit.engine.resuming import Standing

    check_writable(settings.out, overwrite=settings.overwrite)
    with progress_bar() as progress:
        prepared = prepare(settings, progress=progress)
        plan = prepared.plan(progress)
    typer.echo(f"{_studies(len(plan.studies))} in the inputs{f', shard {settings.shard}' if settings.shard else ''}")
    parts = {
        "done already": plan.count(Standing.DONE),
        "to do": plan.count(Standing.NEW),
        "to do again": plan.count(Standing.AGAIN),
        "whose heat is scored again": plan.count(Standing.RESCORE),
        "failed before, not tried again": plan.count(Standing.FAILED),
        "left for a later run": plan.count(Standing.WAITING),
        "in OUT but not in the result, to be set aside": len(plan.set_aside),
    }
    for name, count in parts.items():
        if count or name in {"done already", "to do"}:
            typer.echo(f"{count:7,} {name}")
    for sentence in _reasons(plan):
        typer.echo(sentence)


_GO_ON = "Give the same command again to go on; what is finished is kept."
_THE_REST = "A run without --limit does them."


def _tell_what_is_held(plan: "Plan") -> None:
    from audit.engine.resuming import Standing
    from audit.logbook import AUDIT_LOG

    kept = plan.count(Standing.DONE, Standing.RESCORE, Standing.FAILED)
    if plan.known.fault is not None:
        tell(f"{AUDIT_LOG} is {plan.known.fault}; what follows there is not believed")
    if not plan.known.is_there and kept:
        tell(f"{AUDIT_LOG} is gone: a new one is begun over the studies that are there, and says so")
    if kept or plan.again() or plan.set_aside:
        tell(f"{_studies(plan.count(Standing.DONE))} done already, {len(plan.to_do)} to do")
    for sentence in _reasons(plan):
        tell(sentence)
    if plan.set_aside:
        tell(
            f"{_studies(len(plan.set_aside))} in OUT, not in this run: moved to the folder set-aside, out of the result"
        )


def _reasons(plan: "Plan") -> Iterator[str]:
    for group in plan.again():
        what = "scored again from stored heat" if group.rescored else "done again"
        yield f"  {_studies(len(group.studies))} {what}: {'; '.join(group.because)}"


def _studies(count: int) -> str:
    return counted(count, "study", "studies")
