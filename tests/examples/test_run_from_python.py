"""An audit from Python: a configuration in, records and data frames out; the folder is read back the same."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from run_configs import run_config

from audit import RunResult, load_run, make_cohort, run
from pipelines.errors import DamagedError

NOTEBOOK = Path(__file__).parents[2] / "examples" / "quickstart.ipynb"


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    folder = tmp_path_factory.mktemp("audit")
    make_cohort(folder / "cohort", count=2, seed=3, columns=128)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("M2IB_AUDIT_SALT", "a salt for tests only")
        return run(
            run_config(
                dicom_dir=folder / "cohort" / "dicom",
                reports=folder / "cohort" / "reports",
                boxes=folder / "cohort" / "boxes.csv",
                out=folder / "out",
                model="phantom",
                device="cpu",
                method="saliency",
                words=False,
                controls=0,
                limit=1,
            )
        )


def test_a_run_gives_verdict_scores_and_summaries_as_data_frames(result: RunResult) -> None:
    assert list(result.verdict["method"]) == ["saliency"]
    assert set(result.scores["method"]) >= {"saliency"}
    assert len(result.summaries) == len(result.record.summaries)
    assert {"method", "score", "estimate", "low", "high"} <= set(result.summaries.columns)


def test_the_folder_is_read_back_the_same(result: RunResult) -> None:
    stored = load_run(str(result.out))
    on_disk = {"files", "seal"}  # what vouches for run.json and its tables
    assert stored.record.model_dump(exclude=on_disk) == result.record.model_dump(exclude=on_disk)
    pd.testing.assert_frame_equal(stored.scores, result.scores)
    assert [study.key for study in stored.studies()] == sorted(set(result.scores["study"]))


def test_a_folder_that_no_run_wrote_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DamagedError, match=r"run\.json"):
        load_run(tmp_path)


def test_the_quickstart_imports_nothing_deeper_than_the_package() -> None:
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    code = "".join("".join(cell["source"]) + "\n" for cell in cells if cell["cell_type"] == "code")
    imported = set(re.findall(r"^(?:from|import) ((?:audit|reports|pipelines)\S*)", code, re.MULTILINE))
    assert imported == {"audit"}
