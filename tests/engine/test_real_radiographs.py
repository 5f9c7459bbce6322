"""A real radiograph goes the whole way."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture
from pydicom import dcmread
from pydicom.data import get_testdata_file
from run_configs import run_config
from short_runs import FAST

from audit.execution.run import run
from reports.results_folder import read_study, study_folders
from reports.score_catalogue import names_of

SCORES, SHORTCUT_SCORES = names_of("localisation"), names_of("shortcut")


@pytest.mark.parametrize("name", ["RG1_UNCR.dcm", pytest.param("RG1_J2KR.dcm", marks=pytest.mark.slow)])
def test_a_real_radiograph_goes_all_the_way_upright_with_dark_lungs(tmp_path: Path, name: str) -> None:
    (tmp_path / "dicom").mkdir()
    (tmp_path / "reports").mkdir()
    shutil.copy(str(get_testdata_file(name)), tmp_path / "dicom" / "chest.dcm")
    (tmp_path / "reports" / "chest.txt").write_text(
        "FINDINGS: There is a left pleural effusion. No pneumothorax.\nIMPRESSION: Left pleural effusion.\n"
    )
    settings = run_config(
        dicom_dir=tmp_path / "dicom", reports=tmp_path / "reports", out=tmp_path / "out", all_views=True, **FAST
    )
    result = run(settings)
    assert result.failed == ()
    (folder,) = study_folders(tmp_path / "out")
    (image,) = read_study(folder).record.images
    assert any("MONOCHROME1" in step.detail for step in image.receipt)
    picture = _picture(folder / image.picture)
    height, width = picture.shape
    lungs = picture[int(0.3 * height) : int(0.5 * height), int(0.22 * width) : int(0.38 * width)].mean()
    spine = picture[int(0.55 * height) : int(0.7 * height), int(0.45 * width) : int(0.55 * width)].mean()
    assert lungs < spine
    scores = [score for phrase in image.phrases for score in phrase.scores]
    assert {score.outcome for score in scores if score.score in SCORES} == {"unscored"}  # nobody drew a box
    found = {score.score for score in scores if score.score in SHORTCUT_SCORES and score.value is not None}
    assert {"heat outside the chest", "heat on the named side"} <= found
    assert "index.html" in {path.name for path in folder.iterdir()}


def _picture(path: Path) -> np.ndarray:
    return np.asarray(Picture.open(path), dtype=float)


def test_uncompressed_and_lossless_jpeg_2000_give_the_same_heat(tmp_path: Path) -> None:
    heats = []
    for name in ("RG1_UNCR.dcm", "RG1_J2KR.dcm"):
        folder = tmp_path / name
        (folder / "dicom").mkdir(parents=True)
        dataset = dcmread(str(get_testdata_file(name)))
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
        dataset.save_as(folder / "dicom" / "chest.dcm")
        (folder / "reports.csv").write_text("filename,report\nchest,FINDINGS: There is a left pleural effusion.\n")
        run(
            run_config(
                dicom_dir=folder / "dicom", reports=folder / "reports.csv", out=folder / "out", all_views=True, **FAST
            )
        )
        (study,) = study_folders(folder / "out")
        heats.append(read_study(study).heats)
    for key in heats[0]:
        np.testing.assert_array_equal(heats[0][key], heats[1][key])
