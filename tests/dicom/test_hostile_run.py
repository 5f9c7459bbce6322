"""Damaged files through a whole run: each is audited or listed, and none takes another with it."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydicom import dcmread
from run_configs import FAST
from typer.testing import CliRunner

from audit.cli import app
from benchmarks.bench_hostile import MUTATIONS, REPRODUCED
from pipelines.dicom import bounded
from pipelines.phantom.cohort import make_cohort
from reports.results_folder import read_run, read_study, study_folders

SOUND = 2
DAMAGED = ("bits flipped", "header bits flipped", "cut short", "blanked", "repeated", "wrong length")
LARGE = ("deflated flood", "bomb, false group length")


def write_cohort(folder: Path, rounds: int) -> int:
    """Write sound studies, damaged copies of them (each a study of its own) and hostile files; returns their count."""
    make_cohort(folder / "source", count=SOUND, seed=5, columns=160)
    (folder / "dicom").mkdir()
    sources = sorted((folder / "source" / "dicom").glob("*.dcm"))
    rows, number = [], 0
    for mutation in (None, *DAMAGED * rounds):
        for source in sources:
            path = folder / "dicom" / f"film-{number:03d}.dcm"
            dataset = dcmread(source)
            dataset.StudyInstanceUID, dataset.SOPInstanceUID = f"1.2.826.{number}", f"1.2.826.{number}.1"
            dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
            dataset.save_as(path)
            if mutation is not None:
                rng = np.random.default_rng([9, number])
                path.write_bytes(MUTATIONS[mutation][0](path.read_bytes(), rng))
            rows.append(f"{path.stem},FINDINGS: There is a left pleural effusion.")
            number += 1
    for name in LARGE:
        (folder / "dicom" / f"{name}.dcm").write_bytes(REPRODUCED[name]())
        number += 1
    (folder / "reports.csv").write_text("\n".join(["filename,report", *rows]))
    return number


@pytest.mark.parametrize("rounds", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_every_file_of_a_folder_of_damaged_ones_is_audited_or_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rounds: int
) -> None:
    monkeypatch.setattr(bounded, "MAX_DICOM_READS", 20_000)
    files = write_cohort(tmp_path, rounds)
    out = tmp_path / "out"
    flags = {"--dicom-dir": tmp_path / "dicom", "--reports": tmp_path / "reports.csv", "--out": out}
    words = [str(word) for flag in flags.items() for word in flag]
    words += [*FAST, "--controls", "0"]
    result = CliRunner().invoke(app, ["run", *words, "--show-phi"])
    assert result.exit_code == 3, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)

    counts = read_run(out).counts
    listed = pd.read_csv(out / "failures.csv")
    of_files = {Path(path).name for path in listed["path"] if str(path).endswith(".dcm")}
    audited = sum(len(read_study(folder).record.images) for folder in study_folders(out))
    assert audited + len(of_files) == files
    assert counts["audited"] == len(study_folders(out))
    assert audited >= SOUND
    assert {f"film-{number:03d}.dcm" for number in range(SOUND)}.isdisjoint(of_files)
    assert {f"{name}.dcm" for name in LARGE} <= of_files
    assert (listed["reason"].str.len() > 20).all()
    stages = Counter(listed["stage"])
    assert min(stages["header"], len(of_files)) > 5
