"""``run --engine slurm``: hand the run to a cluster and say how to follow it."""

from collections.abc import Sequence
from pathlib import Path

import typer

from audit.cli.ending import counts_of, findings_of
from audit.cli.options import tell
from pipelines.errors import AuditError

__all__ = ["submit_to_slurm"]

_CHOOSE = ("--engine", "--slurm")  # where the work is done: each job does its own
_REFUSED = ("--shard", "--dry-run", "--overwrite")


def submit_to_slurm(words: Sequence[str], options_file: Path | None, out: Path) -> None:
    """Submit shards and the closing job of a run; scripts and logs go beside OUT.

    Args:
        words: that stood behind ``run``.
        options_file: of the cluster.
        out: of the run.

    Raises:
        AuditError: the options are wrong, or the scheduler refuses.
    """
    from audit.engine.on_slurm import read_options, submit
    from reports.folder import read_run

    refused = [word for word in words if word.split("=")[0] in _REFUSED]
    if refused:
        raise AuditError(f"--engine slurm: {refused[0]} does not go with it; leave it away")
    options = read_options(options_file)
    done = submit(_for_each_job(words), options, out.absolute().with_name(f"{out.absolute().name}-slurm"))
    if done.status is None:
        array = done.shards[0].split("_")[0]
        tell(f"{len(done.shards)} shards are job {array}, the job that closes the run is {done.closing}:")
        tell(f"  squeue --jobs {array},{done.closing}")
        tell(f"Logs go to {done.folder}; the page will be {out / 'index.html'}")
        return
    run = read_run(out)
    for line in (counts_of(run), *findings_of(run)):
        typer.echo(line)
    typer.echo(out / "index.html")
    if done.status:
        raise typer.Exit(done.status)


def _for_each_job(words: Sequence[str]) -> list[str]:
    """Leave out the flags that chose Slurm, with their values."""
    kept: list[str] = []
    coming = iter(words)
    for word in coming:
        if word in _CHOOSE:
            next(coming)
        elif word.split("=")[0] not in _CHOOSE:
            kept.append(word)
    return kept
