"""``m2ib-audit compare`` with two runs, and with two models."""

from pathlib import Path

import pytest
import typer
from made_up_runs import OTHER_MODEL, write_made_up_run
from typer.testing import CliRunner

from audit.cli import app
from audit.cli.options import FAILURES_LISTED
from audit.configuration import RunConfig

MODELS = ["--model", "phantom", "--model", "phantom-habit"]


@pytest.fixture
def runs(tmp_path: Path) -> list[str]:
    first = write_made_up_run(tmp_path / "a", hits=0.3, count=4)
    second = write_made_up_run(tmp_path / "b", hits=0.9, count=4, model=OTHER_MODEL)
    return [str(first), str(second)]


def test_two_finished_runs_are_compared(runs: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["compare", *runs, "--out", str(out), "--margin", "0.1"])
    assert done.exit_code == 0, done.output
    said = done.stdout.splitlines()
    assert "are in both runs." in said[0]
    assert said[-2].startswith("Not planned: ")
    assert said[-1] == str(out / "index.html")
    assert (out / "comparison.json").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "phantom"], "--model cannot be combined: the runs are finished; omit it"),
        (["--sanity", "3"], "--sanity cannot be combined"),
        (["--set", "method.seed=3"], "--set cannot be combined"),
        (["--margin", "0.1", "--method", "nib,m2ib"], "this command takes one method"),
    ],
    ids=["model", "sanity", "set", "methods"],
)
def test_flags_that_would_change_nothing_in_finished_runs_are_refused(
    runs: list[str], tmp_path: Path, words: list[str], message: str
) -> None:
    done = CliRunner().invoke(app, ["compare", *runs, "--out", str(tmp_path / "out"), *words])
    assert done.exit_code == 1
    assert message in done.stderr


@pytest.mark.parametrize(
    ("words", "message", "status"),
    [
        (["--model", "phantom", "--model", "phantom"], "compare takes one model, or two different ones", 1),
        ([*MODELS, "--phantoms", "3"], "--phantoms cannot be combined: two models are compared on studies", 1),
        (MODELS, "--out is not given", 2),
        (["--model", "phantom", "--margin", "0.1"], "--margin and --protocol ask about two models", 1),
    ],
    ids=["the same", "phantoms", "no out", "margin of one"],
)
def test_what_cannot_be_asked_of_models_is_refused(words: list[str], message: str, status: int) -> None:
    done = CliRunner().invoke(app, ["compare", *words])
    assert (done.exit_code, message in done.stderr) == (status, True), done.output


def test_both_models_are_audited_in_the_same_way_and_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[RunConfig] = []

    def audited(config: RunConfig) -> None:
        """Write a run as the audit of this model would, with a file that failed."""
        asked.append(config)
        models = {"phantom": {}, "phantom-habit": {"model": OTHER_MODEL}}
        write_made_up_run(config.output.out, hits=0.2 + 0.6 * len(asked), count=3, **models[config.model.model])
        raise typer.Exit(FAILURES_LISTED)

    monkeypatch.setattr("audit.cli.running.run_and_print", audited)
    given = ["--dicom-dir", "d", "--reports", "r", "--seed", "4", "--set", "scoring.fill=inpainting"]
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["compare", *MODELS, *given, "--out", str(out)])
    assert done.exit_code == FAILURES_LISTED, done.output
    assert [config.output.out for config in asked] == [out / "a", out / "b"]
    apart = {"model": None, "output": None}
    assert asked[0].model_copy(update=apart) == asked[1].model_copy(update=apart)
    assert (asked[0].method.seed, asked[0].scoring.fill) == (4, "inpainting")
    page = (out / "index.html").read_text("utf-8")
    assert 'href="a/index.html"' in page
    assert 'href="b/index.html"' in page
