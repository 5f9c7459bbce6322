"""Tables and paths of public sets say whose an image file is, and what is contradictory or unclear is listed."""

from datetime import date
from pathlib import Path

import pytest
from made_up_films import (
    CHEXPERT_HEADER,
    CHEXPERT_ROWS,
    MIMIC_HEADER,
    MIMIC_NAME,
    MIMIC_ROWS,
    NIH_HEADER,
    NIH_ROWS,
    PADCHEST_HEADER,
    PADCHEST_ROWS,
    saved_film,
    saved_table,
)
from pydicom import dcmread
from pydicom.data import get_testdata_file

from pipelines.errors import InputError
from pipelines.images.collection import ImageCollection, collect_images
from pipelines.images.layouts import path_within_set
from pipelines.images.source import read_radiograph
from pipelines.study import Image, View


def described(folder: Path, **options: object) -> dict[str, Image]:
    return {image.sop_instance_uid: image for image in collect_images(folder, **options).images}


def films_of(folder: Path, *names: str) -> Path:
    for name in names:
        saved_film(folder / name)
    return folder


def test_nih_says_patient_view_sex_age_and_spacing_of_the_resized_file(tmp_path: Path) -> None:
    films_of(tmp_path, *(f"images_001/images/{row.partition(',')[0]}" for row in NIH_ROWS))
    saved_table(tmp_path / "Data_Entry_2017.csv", NIH_HEADER, *NIH_ROWS)
    found = collect_images(tmp_path)
    image = found.images[0]
    assert (image.study_instance_uid, image.patient_id) == ("00000001_000", "00000001")
    assert (image.view, image.view_source, image.sex, image.age_years) == (
        View.PA,
        "NIH ChestX-ray14, View Position",
        "M",
        58.0,
    )
    assert image.spacing_mm == pytest.approx((0.143 * 2749 / 160, 0.143 * 2682 / 128))  # row, column
    assert found.left_out == ()
    [said] = found.sentences
    assert said == (
        "This looks like NIH ChestX-ray14: 3 of 3 image files are named as it names them; its table describes 3 of 3 "
        "image files."
    )


def test_a_set_whose_table_is_missing_says_which(tmp_path: Path) -> None:
    films_of(tmp_path, *(row.partition(",")[0] for row in NIH_ROWS))
    [said] = collect_images(tmp_path).sentences
    assert "NIH ChestX-ray14" in said
    assert "Data_Entry_2017.csv is missing" in said
    image = described(tmp_path)["00000001_001.png"]
    assert (image.patient_id, image.view) == ("00000001", View.UNKNOWN)


def test_chexpert_says_study_and_view_by_its_paths_wherever_it_was_unpacked(tmp_path: Path) -> None:
    paths = [row.partition(",")[0].partition("/")[2] for row in CHEXPERT_ROWS]
    films_of(tmp_path / "here", *paths)
    without = described(tmp_path / "here")
    assert [without[path].view for path in paths] == [View.FRONTAL, View.FRONTAL, View.LATERAL]
    saved_table(tmp_path / "here" / "train.csv", CHEXPERT_HEADER, *CHEXPERT_ROWS)
    images = described(tmp_path / "here")
    assert [images[path].study_instance_uid for path in paths] == [
        "patient00001/study1",
        "patient00002/study1",
        "patient00002/study1",
    ]
    assert [images[path].view for path in paths] == [View.AP, View.AP, View.LATERAL]
    assert [images[path].age_years for path in paths] == [68, 83, 83]
    assert {image.sex for image in images.values()} == {"F"}


def test_mimic_says_study_and_patient_by_folders_and_the_view_by_its_table(tmp_path: Path) -> None:
    path = f"files/p10/p10000032/s50414267/{MIMIC_NAME}.jpg"
    films_of(tmp_path, path)
    saved_table(tmp_path / "mimic-cxr-2.0.0-metadata.csv", MIMIC_HEADER, *MIMIC_ROWS)
    image = described(tmp_path)[path]
    assert (image.study_instance_uid, image.patient_id, image.view) == ("50414267", "10000032", View.PA)


def test_padchest_says_projection_and_age_at_the_image(tmp_path: Path) -> None:
    names = [row.partition(",")[0] for row in PADCHEST_ROWS]
    films_of(tmp_path, *names)
    saved_table(tmp_path / "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv", PADCHEST_HEADER, *PADCHEST_ROWS)
    images = described(tmp_path)
    assert [(images[name].view, images[name].age_years) for name in names] == [(View.PA, 84.0), (View.LATERAL, 86.0)]
    assert images[names[0]].manufacturer == "ImagingDynamicsCompanyLtd"
    assert images[names[0]].study_date == date(2014, 9, 15)
    assert images[names[0]].original_shape == (2682, 2749)


def test_vindr_is_described_by_its_boxes_and_sizes(tmp_path: Path) -> None:
    name = "50a418190bc3fb1ef1633bf9678929b3"
    films_of(tmp_path / "train", f"{name}.png")
    boxes = saved_table(
        tmp_path / "elsewhere" / "train.csv",
        "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max",
        f"{name},No finding,14,R11,,,,",
        f"{name},Cardiomegaly,3,R10,691.0,1375.0,1653.0,1831.0",
    )
    saved_table(tmp_path / "train" / "train_meta.csv", "image_id,dim0,dim1", f"{name},2336,2080")
    image = described(tmp_path / "train", others=[boxes])[f"{name}.png"]
    assert (image.view, image.original_shape) == (View.PA, (2336, 2080))


def test_a_table_states_the_view_of_a_dicom_file_whose_header_does_not(tmp_path: Path) -> None:
    """Of VinDr-CXR, both of whose tables are recognised, and named once."""
    film = dcmread(get_testdata_file("RG1_UNCR.dcm"))
    for name, view in (("a", ""), ("b", "LL")):
        film.ViewPosition, film.SOPInstanceUID = view, f"1.2.{len(view)}"
        film.PatientOrientation = ""
        film.save_as(tmp_path / f"{name}.dicom")
    saved_table(tmp_path / "train.csv", "image_id,class_name,rad_id", "a,No finding,R1", "b,No finding,R1")
    saved_table(tmp_path / "train_meta.csv", "image_id,dim0,dim1", "a,2336,2080")
    found = collect_images(tmp_path)
    assert {image.path.stem: (image.view, image.view_source) for image in found.images} == {
        "a": (View.PA, "VinDr-CXR has no other view"),
        "b": (View.LATERAL, "ViewPosition"),
    }
    assert found.images[0].patient_id == film.PatientID
    assert found.sentences == ("This looks like VinDr-CXR: its table describes 1 of 1 image file.",)


def test_a_table_of_ones_own_says_all_that_a_header_would(tmp_path: Path) -> None:
    films_of(tmp_path, "a.png", "b.png")
    table = saved_table(
        tmp_path / "my.csv",
        "Image,Patient ID,Patient Name,Study,Accession Number,View,Sex,Age,Spacing_mm",
        "a.png,7,Doe^John,1,A1,AP,male,61,0.2",
        "b.png,8,Roe^Jane,1,A2,lateral,F,11M,",
    )
    images = described(tmp_path)
    one, other = images["a.png"], images["b.png"]
    assert (one.patient_id, one.study_instance_uid, one.accession_number, one.people) == (
        "7",
        "7/1",
        "A1",
        ("Doe John",),
    )
    assert (one.view, one.view_source, one.sex, one.age_years) == (View.AP, "a table of images, View", "M", 61)
    assert one.spacing_mm == (0.2, 0.2)
    assert (other.study_instance_uid, other.view, other.age_years) == ("8/1", View.LATERAL, pytest.approx(11 / 12))
    assert read_radiograph(one).identifiers.names == ("Doe John",)
    assert {"7", "A1", "a"} <= set(read_radiograph(one).identifiers.others)
    assert described(tmp_path, tables=[table]) == images


def collected(tmp_path: Path, *rows: str) -> ImageCollection:
    films_of(tmp_path, "x/a.png", "y/a.png", "b.png")
    saved_table(tmp_path / "my.csv", "image,patient,view", *rows)
    return collect_images(tmp_path)


def test_rows_that_contradict_each_other_describe_nothing(tmp_path: Path) -> None:
    found = collected(tmp_path, "b.png,1,PA", "b.png,2,PA")
    assert {image.view for image in found.images} == {View.UNKNOWN}
    [left] = found.left_out
    assert "the rows about 1 image contradict each other" in left.reason
    assert left.failed


def test_a_name_in_two_folders_needs_its_folder(tmp_path: Path) -> None:
    found = collected(tmp_path, "a.png,1,PA", "y/a.png,2,AP")
    assert {image.sop_instance_uid: image.view for image in found.images} == {
        "b.png": View.UNKNOWN,
        "x/a.png": View.UNKNOWN,
        "y/a.png": View.AP,
    }
    assert ["1 row of the table of images: several images have the name" in left.reason for left in found.left_out] == [
        True
    ]


def test_a_row_that_cannot_be_read_is_counted(tmp_path: Path) -> None:
    [left] = collected(tmp_path, "b.png,1,PA", "b.png,1,PA,more").left_out
    assert "1 row of the table of images cannot be read; the first is row 3" in left.reason


def test_a_given_table_that_is_none_is_an_error_that_names_its_columns(tmp_path: Path) -> None:
    films_of(tmp_path, "a.png")
    table = saved_table(tmp_path / "other" / "t.csv", "image,label,x,y,width,height", "a.png,Mass,1,2,3,4")
    with pytest.raises(InputError, match=r"not a table of images: its columns are .image, label"):
        collect_images(tmp_path, tables=[table])


@pytest.mark.parametrize(
    ("path", "within"),
    [
        ("CheXpert-v1.0/train/patient1/study2/view1_frontal.jpg", "patient1/study2/view1_frontal.jpg"),
        (f"files/p10/p10000032/s50414267/{MIMIC_NAME}.jpg", f"p10000032/s50414267/{MIMIC_NAME}.jpg"),
        ("images_001\\images\\00000001_000.png", "00000001_000.png"),
        ("a/b.png", "a/b.png"),
    ],
)
def test_folders_that_a_set_was_unpacked_to_are_not_part_of_a_reference(path: str, within: str) -> None:
    assert path_within_set(path) == within
