"""A file with several frames: each is an image of its own where a run is told so, from its pixels to its page."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import RLELossless
from run_configs import run_config

from audit.configuration import RunConfig
from audit.execution.run import RunResult, run
from audit.output.rescoring import rescore
from audit.privacy.pseudonyms import Pseudonyms
from pipelines.cohort import each_frame
from pipelines.dicom.decode import MAX_PIXELS
from pipelines.images.scan import scan_folder
from pipelines.phantom.cohort import make_cohort
from reports.record import ScoredImage
from reports.results_folder import read_record, study_folders

NAME = "phantom-00001"


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two studies, one of which has two exposures in one file: the second upside down."""
    folder = tmp_path_factory.mktemp("cohort")
    make_cohort(folder, count=2, seed=5, columns=128, brief=True)
    path = folder / "dicom" / f"{NAME}.dcm"
    dataset = dcmread(path)
    pixels = dataset.pixel_array
    dataset.NumberOfFrames = 2
    dataset.PixelData = np.stack([pixels, pixels[::-1]]).tobytes()
    dataset.save_as(path)
    return folder


def settings_for(cohort: Path, out: Path, **changes: object) -> RunConfig:
    values = {
        "dicom_dir": cohort / "dicom",
        "reports": cohort / "reports",
        "boxes": cohort / "boxes.csv",
        "out": out,
        "model": "phantom",
        "device": "cpu",
        "controls": 0,
        "steps": 2,
        "samples": 2,
        "frames": "each",
    }
    return run_config(**values | changes)


@pytest.fixture(scope="module")
def finished(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunResult, Path]:
    out = tmp_path_factory.mktemp("finished") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("M2IB_AUDIT_SALT", "a salt for tests only")
        return run(settings_for(cohort, out)), out


def images_of(out: Path) -> list[ScoredImage]:
    """The images of the study that has several."""
    records = [read_record(folder) for folder in study_folders(out)]
    return max((list(record.images) for record in records), key=len)


def test_each_frame_has_its_own_heat_boxes_and_place_on_the_page(finished: tuple[RunResult, Path]) -> None:
    result, out = finished
    assert result.failed == ()
    first, second = images_of(out)
    assert [(image.frame, image.frames) for image in (first, second)] == [(1, 2), (2, 2)]
    assert first.key != second.key
    assert first.boxes == second.boxes != ()  # a table that names no frame means all of them
    assert [phrase.text for phrase in first.phrases] == [phrase.text for phrase in second.phrases]
    assert [phrase.total_nats for phrase in first.phrases] != [phrase.total_nats for phrase in second.phrases]
    pages = [path.read_text() for path in out.glob("studies/*/index.html")]
    (page,) = (text for text in pages if "frame 2 of 2" in text)
    assert "frame 1 of 2" in page
    scores = pd.read_parquet(out / "scores.parquet")
    assert {first.key, second.key} <= set(scores["image"])


def test_without_the_flag_the_first_frame_is_audited_as_it_is_with_it(
    cohort: Path, finished: tuple[RunResult, Path], tmp_path: Path
) -> None:
    result = run(settings_for(cohort, tmp_path / "out", frames="first"))
    assert [item.stage for item in result.record.failures] == ["frames"]
    (alone,) = (
        record.images[0] for record in map(read_record, study_folders(tmp_path / "out")) if record.images[0].frames == 2
    )
    assert alone.key == images_of(finished[1])[0].key
    for one, other in zip(alone.phrases, images_of(finished[1])[0].phrases, strict=True):
        assert (one.total_nats, one.hottest, one.tokens) == (other.total_nats, other.hottest, other.tokens)


def test_a_run_that_goes_on_does_nothing_again(cohort: Path, finished: tuple[RunResult, Path]) -> None:
    history = run(settings_for(cohort, finished[1])).record.history
    assert (history.done_before, history.done_again) == (2, ())


@pytest.mark.parametrize(
    ("image", "frame", "expected"),
    [("uid", "", [1, 1]), ("uid", "2", [0, 1]), (NAME, "1", [1, 0]), ("key", "", [0, 1]), (NAME, "2", [0, 1])],
)
def test_boxes_that_are_read_later_lie_on_the_frames_that_they_name(
    cohort: Path, finished: tuple[RunResult, Path], tmp_path: Path, image: str, frame: str, expected: list[int]
) -> None:
    uid = str(dcmread(cohort / "dicom" / f"{NAME}.dcm", stop_before_pixels=True).SOPInstanceUID)
    named = {"uid": uid, "key": images_of(finished[1])[1].key}.get(image, image)
    label = images_of(finished[1])[0].phrases[0].finding
    boxes = tmp_path / "boxes.csv"
    boxes.write_text(f"image,label,x,y,width,height,frame\n{named},{label},10,10,20,20,{frame}\n")
    found = rescore(finished[1], [boxes])
    assert (found.failed, [item for item in found.record.failures if item.stage == "boxes"]) == ((), [])
    assert [len(each.boxes) for each in images_of(finished[1])] == expected


def test_the_same_box_on_two_frames_in_two_files_is_two_boxes(
    cohort: Path, finished: tuple[RunResult, Path], tmp_path: Path
) -> None:
    label = images_of(finished[1])[0].phrases[0].finding
    for frame in (1, 2):
        row = f"{NAME},{label},10,10,20,20,{frame}"
        (tmp_path / f"{frame}.csv").write_text(f"image,label,x,y,width,height,frame\n{row}\n")
    rescore(finished[1], [tmp_path / "1.csv", tmp_path / "2.csv"])
    assert [len(each.boxes) for each in images_of(finished[1])] == [1, 1]


def test_a_frame_that_the_file_does_not_have_is_said(cohort: Path, tmp_path: Path) -> None:
    boxes = tmp_path / "boxes.csv"
    boxes.write_text(f"image,label,x,y,width,height,frame\n{NAME},nodule,10,10,20,20,7\n")
    result = run(settings_for(cohort, tmp_path / "out", boxes=(boxes,), limit=1))
    assert "lies on frame 7 of an image of 2: correct the frame's number" in result.failed[0].reason


def test_a_frame_that_cannot_be_read_leaves_the_other_one(cohort: Path, tmp_path: Path) -> None:
    (tmp_path / "dicom").mkdir()
    path = tmp_path / "dicom" / f"{NAME}.dcm"
    dataset = dcmread(cohort / "dicom" / f"{NAME}.dcm")
    dataset.compress(RLELossless, generate_instance_uid=False)
    whole, _ = generate_frames(dataset.PixelData, number_of_frames=2)
    dataset.PixelData = encapsulate([whole, bytes(200)])
    dataset.save_as(path)
    result = run(settings_for(cohort, tmp_path / "out", dicom_dir=tmp_path / "dicom", show_phi=True))
    (failed,) = (item for item in result.record.failures if item.stage == "pixels")
    assert failed.source == f"{NAME}.dcm frame 2"
    assert [image.frame for image in images_of(tmp_path / "out")] == [1]


def test_a_header_that_promises_too_many_frames_is_one_image_and_no_million(cohort: Path) -> None:
    (image, *_) = scan_folder(cohort / "dicom").images
    endless = replace(image, frames=MAX_PIXELS), replace(image, frames=MAX_PIXELS, rows=1, columns=1)
    assert list(each_frame(endless)) == list(endless)
    assert (
        len({Pseudonyms(b"salt").key("image", each.instance) for each in each_frame([replace(image, frames=9)])}) == 9
    )
