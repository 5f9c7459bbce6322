"""Names in many character sets through a whole run: neither stops, and no name shows."""

import warnings
from pathlib import Path

from pydicom import dcmread
from pydicom.data import get_charset_files
from run_configs import FAST
from typer.testing import CliRunner

from audit.cli import app
from pipelines.phantom.cohort import make_cohort
from reports.results_folder import study_folders

CHARACTER_SETS = ("chrArab", "chrGreek", "chrHbrw", "chrH31", "chrH32", "chrKoreanMulti", "chrRuss", "chrX1", "chrX2")


def test_names_in_many_character_sets_stop_no_run_and_show_nowhere(tmp_path: Path) -> None:
    make_cohort(tmp_path, count=len(CHARACTER_SETS), seed=3, columns=160)
    secrets = []
    for path, name in zip(sorted((tmp_path / "dicom").glob("*.dcm")), CHARACTER_SETS, strict=True):
        (source,) = get_charset_files(f"{name}.dcm")
        named, film = dcmread(source), dcmread(path)
        for keyword in ("SpecificCharacterSet", "PatientName"):
            film[keyword] = named.get_item(keyword)
        secrets.append(named.get_item("PatientName").value.strip())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            secrets.append(str(named.PatientName).encode())
            film.save_as(path)
    out = tmp_path / "out"
    words = ["run", "--dicom-dir", tmp_path / "dicom", "--reports", tmp_path / "reports", "--out", out]
    words += [*FAST, "--controls", "0"]
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    assert len(study_folders(out)) == len(CHARACTER_SETS)
    written = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file()) + result.output.encode()
    assert not [secret for secret in secrets if secret in written]
