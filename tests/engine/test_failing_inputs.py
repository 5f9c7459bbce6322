"""One bad input or one bug is named with its remedy, stops no other study, and what cannot run leaves nothing."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from short_runs import command, settings_for
from typer.testing import CliRunner, Result

from audit.attribution.m2ib import M2IB
from audit.cli import app
from audit.execution.run import run
from audit.pipeline.score import Finisher
from pipelines.errors import AuditError, CohortError, InputError, OutputError
from reports.results_folder import study_folders


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.fixture(scope="module")
def spoilt(phantom_cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A run over a cohort with several bad inputs: its OUT, and how the command ended."""
    folder = tmp_path_factory.mktemp("spoilt")
    cohort = Path(shutil.copytree(phantom_cohort, folder / "cohort"))
    truncate(cohort / "dicom" / "phantom-00002.dcm")
    (cohort / "dicom" / "x.dcm").write_text("hello")
    (cohort / "reports" / "orphan.txt").write_text("FINDINGS: There is a nodule.")
    append(cohort / "boxes.csv", "phantom-00001,nodule,5000,5000,9,9,phantom\n")
    (cohort / "reports" / "more").mkdir()
    (cohort / "reports" / "more" / "phantom-00003.txt").write_text("FINDINGS: There is a pneumothorax.")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("M2IB_AUDIT_SALT", "a salt for tests only")
        ended = CliRunner().invoke(app, command(cohort, folder / "out", "--set", "inputs.index=none", "--show-phi"))
    return folder / "out", ended


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param("phantom-00002.dcm", "truncated", id="truncated DICOM"),
        pytest.param("x.dcm", "DICOM", id="text named .dcm"),
        pytest.param("orphan.txt", "no image has the report's name", id="report without image"),
        pytest.param("boxes.csv", "box", id="box outside the image"),
        pytest.param("phantom-00003.txt", "different reports belong to one study", id="two reports"),
    ],
)
def test_each_bad_input_is_named_with_its_remedy(spoilt: tuple[Path, Result], name: str, reason: str) -> None:
    out, ended = spoilt
    assert ended.exit_code == 3
    failures = pd.read_csv(out / "failures.csv")
    failed = failures[failures["failed"]]
    assert failed["reason"].str.len().min() > 20
    of_input = failed[failed["path"].str.contains(name, regex=False, na=False)]
    assert of_input["reason"].str.contains(reason, case=False).any()


def test_bad_inputs_stop_no_other(spoilt: tuple[Path, Result]) -> None:
    out, ended = spoilt
    assert ended.stderr.count("different reports belong to one study") >= 2
    assert len(study_folders(out)) == 2


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        pytest.param({"dicom_dir": Path("no-such-folder")}, InputError, "no-such-folder", id="missing folder"),
        pytest.param({"reports": Path("no-such-reports")}, AuditError, "no-such-reports", id="missing reports"),
        pytest.param({"boxes": (Path("no-such-boxes.csv"),)}, AuditError, "no-such-boxes", id="missing boxes"),
        pytest.param({"device": "cuda:99"}, AuditError, "--device cuda:99", id="device"),
        pytest.param({"image_layer": 40}, AuditError, "image layer 40", id="layer"),
        pytest.param({"model": "no-such-model"}, AuditError, "no-such-model", id="model"),
    ],
)
def test_what_cannot_run_says_why_and_leaves_nothing(cohort: Path, tmp_path: Path, changes, error, text) -> None:
    with pytest.raises(error, match=text):
        run(settings_for(cohort, tmp_path / "out", **changes))
    assert not (tmp_path / "out").exists()


def test_an_empty_folder_is_named(cohort: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(CohortError, match="is empty"):
        run(settings_for(cohort, tmp_path / "out", dicom_dir=tmp_path / "empty"))


def test_an_out_that_is_taken_is_refused(cohort: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.docx").write_text("mine")
    with pytest.raises(OutputError, match=r"other files \(thesis.docx\)"):
        run(settings_for(cohort, out, overwrite=True))
    assert (out / "thesis.docx").read_text() == "mine"


def test_an_out_below_a_file_is_refused_in_one_line(cohort: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(app, command(cohort, tmp_path / "file" / "out"))
    assert result.exit_code == 1
    assert result.stderr.startswith("m2ib-audit: --out")
    assert "Traceback" not in result.output


TOO_LITTLE_MEMORY = (
    "the audit of this study needs more memory than is available: free memory or use fewer execution.workers, "
    "then run again with --set execution.retry-failed=true"
)


@pytest.mark.parametrize(
    ("kind", "function", "error", "said"),
    [
        pytest.param(M2IB, "explain_batch", ZeroDivisionError("a bug"), "ZeroDivisionError", id="a bug in the model"),
        pytest.param(Finisher, "finish", ZeroDivisionError("a bug"), "ZeroDivisionError", id="a bug in the scores"),
        pytest.param(Finisher, "finish", MemoryError(), TOO_LITTLE_MEMORY, id="too little memory"),
    ],
)
def test_what_ends_one_study_stops_no_other(cohort: Path, tmp_path: Path, monkeypatch, kind, function, error, said):
    real, calls = getattr(kind, function), []

    def fail_once(self, *args, **kwargs):
        calls.append(args)
        if len(calls) == 2:
            raise error
        return real(self, *args, **kwargs)

    monkeypatch.setattr(kind, function, fail_once)
    result = run(settings_for(cohort, tmp_path / "out"))
    assert len(study_folders(tmp_path / "out")) == 3
    (failed,) = result.failed
    assert failed.stage == "audit"
    assert said in failed.reason
    assert ("report it as a bug" in failed.reason) == isinstance(error, ZeroDivisionError)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"method": ("magic",)}, "--method magic: unknown; give all, or some of m2ib"),
        ({"method": ("nib",)}, "all.samples is a number of m2ib, iba"),
        ({"method": ("nib",), "steps": None, "samples": None, "compile": True}, "model.compile is for m2ib"),
    ],
    ids=["unknown", "another's number", "another's compiler"],
)
def test_a_method_that_cannot_be_had_is_one_sentence(cohort: Path, tmp_path: Path, change, told) -> None:
    with pytest.raises(AuditError, match=told):
        run(settings_for(cohort, tmp_path / "out", **change))
    assert not (tmp_path / "out").exists()
