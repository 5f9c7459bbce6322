"""``compare`` for two models: their runs, made now or finished before."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from audit.cli.options import FAILURES_LISTED, errors_in_one_line, one_method, print_message, progress_bar, read_config
from pipelines.errors import AuditError

if TYPE_CHECKING:
    from audit.experiments.model_comparison import ModelsRequest

__all__ = ["compare_finished", "compare_models"]

_FOLDERS = ("a", "b")  # in OUT, of the runs of both models
_EVERYTHING = ("inputs", "model", "method", "scoring", "output", "execution")


def compare_finished(
    runs: Sequence[Path],
    out: Path | None,
    *,
    method: Sequence[str] | None,
    protocol: Path | None,
    margin: float | None,
    overwrite: bool | None,
    others: Mapping[str, object],
) -> None:
    """Compare two finished runs.

    Args:
        runs: their folders, of model A and of model B.
        out: folder to write to.
        method: whose hits are tested.
        protocol: file of the protocol.
        margin: of non-inferiority.
        overwrite: replace an earlier comparison.
        others: further flags, which only audits take; None where one is not given.
    """
    from audit.config_file import NotGivenError
    from audit.experiments.model_comparison import ModelsRequest

    with errors_in_one_line():
        _refuse(others, "the runs are finished")
        if len(runs) != len(_FOLDERS):
            raise AuditError(f"compare takes two finished runs, of model A and of model B; {len(runs)} given")
        if out is None:
            raise NotGivenError("--out is not given: name a folder for the comparison")
        request = ModelsRequest(
            first=runs[0],
            second=runs[1],
            out=out,
            method=one_method([part for name in method for part in name.split(",")]) if method else None,
            margin=margin,
            protocol=protocol,
            overwrite=bool(overwrite),
        )
        _compare_and_print(request)


def compare_models(
    models: Sequence[str],
    given: Mapping[str, object],
    *,
    config: Path | None,
    settings: Sequence[str] | None,
    margin: float | None,
    others: Mapping[str, object],
) -> None:
    """Audit the same studies with two models, and compare the runs; finished studies are reused.

    Args:
        models: model A and model B.
        given: flags of a run, by field.
        config: file of ``--config``.
        settings: of ``--set``.
        margin: of non-inferiority.
        others: further flags, which only a comparison of methods takes; None where one is not given.
    """
    from audit.cli.running import run_and_print
    from audit.config_file import NotGivenError
    from audit.configuration import RunConfig
    from audit.experiments.model_comparison import ModelsRequest, check_request

    with errors_in_one_line():
        _refuse(others, "two models are compared on studies")
        if len(models) != len(_FOLDERS) or models[0] == models[1]:
            raise AuditError(f"--model {', '.join(models)}: compare takes one model, or two different ones")
        out = given["out"]
        if not isinstance(out, Path):
            raise NotGivenError("--out is not given: name a folder for both runs and their comparison")
        configs = [
            read_config(RunConfig, config, settings, {**given, "model": model, "out": out / folder}, reads=_EVERYTHING)
            for model, folder in zip(models, _FOLDERS, strict=True)
        ]
        request = ModelsRequest(
            first=out / _FOLDERS[0],
            second=out / _FOLDERS[1],
            out=out,
            margin=margin,
            overwrite=True,  # of the comparison, which follows from the runs
            own_folders=_FOLDERS,
        )
        check_request(request)
        has_failures = False
        for model, each in zip(models, configs, strict=True):
            print_message(f"Auditing with {model}")
            try:
                run_and_print(each)
            except typer.Exit as ended:
                if ended.exit_code != FAILURES_LISTED:
                    raise
                has_failures = True
        _compare_and_print(request)
    if has_failures:
        raise typer.Exit(FAILURES_LISTED)


def _refuse(others: Mapping[str, object], because: str) -> None:
    """Refuse flags that have no effect.

    Raises:
        AuditError: one is given.
    """
    for name, value in others.items():
        if value not in (None, (), []):
            raise AuditError(f"--{name.replace('_', '-')} cannot be combined: {because}; omit it")


def _compare_and_print(request: "ModelsRequest") -> None:
    from audit.experiments.model_comparison import compare_runs
    from reports.model_comparison_page import answer_sentence, summary_of_models

    with progress_bar() as progress:
        result = compare_runs(request, progress=progress)
    for sentence in (*summary_of_models(result.record), *map(answer_sentence, result.record.answers)):
        typer.echo(sentence)
    typer.echo(result.page)
