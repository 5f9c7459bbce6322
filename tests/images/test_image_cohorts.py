"""A folder of image files goes through `check`, the loading of a run, its keys, and is refused by an archive."""

from pathlib import Path

import numpy as np
import pytest
from made_up_films import CHEXPERT_HEADER, CHEXPERT_ROWS, NIH_HEADER, NIH_ROWS, drawn_film, saved_film, saved_table
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from typer.testing import CliRunner

from audit.cli import app
from audit.configuration import InputsConfig
from audit.input_check import check
from audit.output.pseudonym_map import keys_of_files
from audit.pacs.pushing import NO_DICOM_IDENTITY, PushSettings, push
from audit.pipeline.inputs import Inputs, gather, survey
from audit.privacy.pseudonyms import Pseudonyms
from pipelines.errors import InputError
from pipelines.study import View
from pipelines.transforms import LoadedCase, Preprocessing, load_cases

KEYS = Pseudonyms(b"a salt for tests only")
PLAIN = Preprocessing(size=32, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
BOXES = "Image Index,Finding Label,Bbox [x,y,w,h],,,"


@pytest.fixture
def nih(tmp_path: Path) -> Path:
    """The layout of NIH ChestX-ray14: three images with labels, of which one has a box."""
    folder = tmp_path / "nih"
    for row in NIH_ROWS:
        name = row.partition(",")[0]
        saved_film(folder / "images" / name, mode="RGBA" if name.endswith("001.png") else "L")
    saved_table(folder / "Data_Entry_2017.csv", NIH_HEADER, *NIH_ROWS)
    saved_table(folder / "BBox_List_2017.csv", BOXES, "00000001_000.png,Cardiomegaly,256,512,512,256,,,")
    return folder


def inputs_of(folder: Path, **changes: object) -> InputsConfig:
    given = {"boxes": folder / "BBox_List_2017.csv", "reports": folder / "Data_Entry_2017.csv"} | changes
    return InputsConfig(dicom_dir=folder, index="none", **given)


def test_nih_is_audited_by_its_own_files_alone(nih: Path) -> None:
    inputs: Inputs = gather(inputs_of(nih))
    [first, second, normal] = inputs.studies
    assert [case.image.path.name for study in inputs.studies for case in study.cases] == [
        "00000001_000.png",
        "00000001_001.png",
        "00000002_000.png",
    ]
    assert [phrase.text for phrase in second.cases[0].phrases] == ["Cardiomegaly.", "Emphysema."]
    [box] = first.cases[0].boxes
    assert (box.x, box.y, box.width, box.height) == (32, 80, 64, 40)  # of 1,024 px, on 128 x 160 px
    assert normal.cases[0].phrases == ()  # "No Finding"
    assert len(normal.cases[0].absent) == 1
    assert inputs.left_out == ()


def test_only_images_with_boxes_are_audited_on_request_and_the_rest_is_no_failure(nih: Path) -> None:
    saved_table(nih / "more.csv", "image,report", "00000009_000,Nodule.")
    (nih / "Data_Entry_2017.csv").rename(saved_table(nih / "reports" / "labels.csv", ""))
    (nih / "more.csv").rename(saved_table(nih / "reports" / "more.csv", ""))
    config = inputs_of(nih, reports=nih / "reports", only_with_boxes=True)
    found = gather(config)
    assert [study.study_instance_uid for study in found.studies] == ["00000001_000"]
    assert {(Path(item.source).name, item.stage, item.failed) for item in found.left_out} == {
        ("00000001_001.png", "selection", False),
        ("00000002_000.png", "selection", False),
        ("labels.csv row 3", "join", False),
        ("labels.csv row 4", "join", False),
        ("more.csv row 2", "join", False),
    }
    nothing = survey(config.model_copy(update={"boxes": ()})).nothing
    assert nothing is not None
    assert "no box refers to one of the 3 images" in nothing


def test_labels_of_images_that_are_not_there_are_no_failure(nih: Path) -> None:
    (nih / "images" / "00000002_000.png").unlink()
    [left] = gather(inputs_of(nih)).left_out
    assert ("table describes a whole set" in left.reason, left.failed) == (True, False)


def test_both_kinds_of_files_are_loaded_side_by_side(nih: Path) -> None:
    film = dcmread(get_testdata_file("RG1_UNCR.dcm"))
    film.ViewPosition = "PA"
    film.save_as(nih / "a-film.dcm")
    saved_table(nih / "more.csv", "image,report", "a-film,Nodule.")
    for path in (nih / "Data_Entry_2017.csv", nih / "more.csv"):
        path.rename(saved_table(nih / "reports" / path.name, ""))
    studies = gather(inputs_of(nih, reports=nih / "reports")).studies
    loaded = list(load_cases([case for study in studies for case in study.cases], PLAIN))
    assert all(isinstance(case, LoadedCase) for case in loaded)
    assert [case.case.image.file_format for case in loaded] == ["DICOM", "PNG", "PNG", "PNG"]
    np.testing.assert_array_equal(loaded[1].inputs, loaded[2].inputs)  # grey, and the same in colours


def test_check_names_the_set_and_an_unreadable_file(nih: Path) -> None:
    broken = nih / "images" / "00000003_000.png"
    broken.write_bytes((nih / "images" / "00000001_000.png").read_bytes()[:30])
    flags = ["--images", nih, "--reports", nih / "Data_Entry_2017.csv", "--set", "inputs.index=none"]
    result = CliRunner().invoke(app, ["check", *map(str, flags)])
    assert "This looks like NIH ChestX-ray14: 3 of 3 image files" in result.stdout
    assert "its beginning is damaged" in result.stdout
    assert "00000003" not in result.stdout
    assert result.exit_code == 3


def test_a_stray_picture_does_not_make_a_folder_of_dicom_fail(tmp_path: Path) -> None:
    film = dcmread(get_testdata_file("RG1_UNCR.dcm"))
    film.ViewPosition = "PA"
    (tmp_path / "films").mkdir()
    film.save_as(tmp_path / "films" / "a.dcm")
    saved_film(tmp_path / "films" / "logo.png")
    (tmp_path / "a.txt").write_text("FINDINGS: Nodule.")
    checked = check(InputsConfig(dicom_dir=tmp_path / "films", reports=tmp_path / "a.txt", index="none"), KEYS)
    assert (checked.counts["studies"], checked.failed) == (1, 0)


def test_a_study_of_two_views_is_one_study_and_its_lateral_is_left_out(tmp_path: Path) -> None:
    for row in CHEXPERT_ROWS:
        saved_film(tmp_path / "chexpert" / row.partition(",")[0])
    saved_table(tmp_path / "chexpert" / "train.csv", CHEXPERT_HEADER, *CHEXPERT_ROWS)
    inputs = gather(
        InputsConfig(dicom_dir=tmp_path / "chexpert", reports=tmp_path / "chexpert" / "train.csv", index="none")
    )
    assert {study.study_instance_uid: len(study.cases) for study in inputs.studies} == {
        "patient00001/study1": 1,
        "patient00002/study1": 1,
    }
    assert [case.image.view for study in inputs.studies for case in study.cases] == [View.AP, View.AP]


def test_boxes_in_pixels_of_an_original_are_scaled_to_the_resized_file(tmp_path: Path) -> None:
    name = "50a418190bc3fb1ef1633bf9678929b3"
    saved_film(tmp_path / "vindr" / f"{name}.png", drawn_film(160, 128))
    saved_table(tmp_path / "vindr" / "train_meta.csv", "image_id,dim0,dim1", f"{name},1600,1280")
    boxes = saved_table(
        tmp_path / "train.csv",
        "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max",
        f"{name},Cardiomegaly,3,R10,100,200,600,800",
    )
    report = saved_table(tmp_path / "reports.csv", "image,report", f"{name},Cardiomegaly.")
    inputs = gather(InputsConfig(dicom_dir=tmp_path / "vindr", reports=report, boxes=boxes, index="none"))
    [box] = inputs.studies[0].cases[0].boxes
    assert (box.x, box.y, box.width, box.height) == (10, 20, 50, 60)


def test_keys_of_a_folder_name_the_image_file_and_its_study(nih: Path) -> None:
    image = gather(inputs_of(nih)).studies[0].cases[0].image
    rows = {row.key: row.stands_for for row in keys_of_files([nih], KEYS)}
    assert rows[KEYS.key("image", image.instance)] == "images/00000001_000.png"
    assert rows[KEYS.key("study", image.study_instance_uid)] == "00000001_000"


def test_pages_of_a_tiff_are_audited_on_request(tmp_path: Path) -> None:
    pages = [Image.fromarray(np.full((70, 80), grey, np.uint8)) for grey in (50, 100)]
    (tmp_path / "films").mkdir()
    pages[0].save(tmp_path / "films" / "a.tif", save_all=True, append_images=pages[1:])
    saved_table(tmp_path / "films" / "t.csv", "image,view,report", "a,PA,Nodule.")
    config = InputsConfig(dicom_dir=tmp_path / "films", reports=tmp_path / "films" / "t.csv", index="none")
    assert [item.stage for item in gather(config).left_out] == ["frames"]
    each = gather(config.model_copy(update={"frames": "each"})).studies[0].cases
    assert [case.image.frame for case in each] == [1, 2]


def test_an_archive_gets_no_results_of_image_files(nih: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.pacs.pushing.read_run", lambda _out: None)
    with pytest.raises(InputError) as refused:
        push(PushSettings(out=tmp_path / "OUT", dicom_dir=nih), None)
    assert NO_DICOM_IDENTITY in str(refused.value)
