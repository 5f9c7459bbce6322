"""Structured reports and presentation states that highdicom writes are read, their readers' names left behind."""

from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from highdicom import pr, sr
from made_up_image import made_up_image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from pipelines.boxes import BoxTable, read_boxes
from pipelines.boxes.dicom_annotations import UNNAMED
from pipelines.boxes.placing import place_boxes
from pipelines.cohort import each_frame
from pipelines.errors import BoxError
from pipelines.shapes import Ellipse, Polygons
from pipelines.study import Image

SQUARE = [[20.0, 30.0], [60.0, 30.0], [60.0, 90.0], [20.0, 90.0], [20.0, 30.0]]
READER = "Kim^Reader"


@pytest.fixture(scope="module")
def film() -> Dataset:
    return dcmread(str(get_testdata_file("CT_small.dcm")))


def of_two_frames(film: Dataset) -> Image:
    return made_up_image(
        "film.dcm",
        sop_instance_uid=str(film.SOPInstanceUID),
        study_instance_uid=str(film.StudyInstanceUID),
        rows=film.Rows,
        columns=film.Columns,
        frames=2,
    )


def uid(name: str) -> str:
    return generate_uid(entropy_srcs=[name])


def report_of(film: Dataset, path: Path, regions: list[tuple[str, list[list[float]]]]) -> BoxTable:
    source = sr.SourceImageForRegion(
        referenced_sop_class_uid=film.SOPClassUID, referenced_sop_instance_uid=film.SOPInstanceUID
    )
    groups = [
        sr.PlanarROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=sr.TrackingIdentifier(uid=uid(f"t{number}"), identifier=f"Lesion {number}"),
            referenced_region=sr.ImageRegion(graphic_type=kind, graphic_data=np.array(points), source_image=source),
            finding_type=codes.SCT.Nodule if number % 2 == 0 else codes.SCT.PleuralEffusion,
        )
        for number, (kind, points) in enumerate(regions)
    ]
    observer = sr.ObserverContext(
        observer_type=codes.DCM.Person,
        observer_identifying_attributes=sr.PersonObserverIdentifyingAttributes(name=READER),
    )
    report = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_person_context=observer),
        procedure_reported=codes.LN.CTUnspecifiedBodyRegion,
        imaging_measurements=groups,
    )
    written = sr.ComprehensiveSR(
        evidence=[film],
        content=report[0],
        series_number=1,
        series_instance_uid=uid("s"),
        sop_instance_uid=uid("i"),
        instance_number=1,
        manufacturer="maker",
    )
    written.save_as(path)
    return read_boxes(path)


def state_of(film: Dataset, path: Path, *annotations: pr.GraphicAnnotation, creator: str = READER) -> Dataset:
    state = pr.GrayscaleSoftcopyPresentationState(
        referenced_images=[film],
        series_instance_uid=uid("ps"),
        series_number=2,
        sop_instance_uid=uid("pi"),
        instance_number=1,
        manufacturer="maker",
        manufacturer_model_name="model",
        software_versions="1",
        device_serial_number="1",
        content_label="MARKS",
        content_creator_name=creator,
        graphic_annotations=list(annotations),
        graphic_layers=[annotation_layer()],
        voi_lut_transformations=[hd.pr.SoftcopyVOILUTTransformation(window_center=40.0, window_width=400.0)],
    )
    state.save_as(path)
    return state


def annotation_layer() -> pr.GraphicLayer:
    return pr.GraphicLayer(layer_name="L1", order=1, description="drawn by hand")


def annotated(
    film: Dataset, kind: str, points: list[list[float]], *, label: str | None = "Nodule", units: str = "PIXEL"
) -> pr.GraphicAnnotation:
    texts = [pr.TextObject(text_value=label, units="PIXEL", anchor_point=(5.0, 5.0))] if label else []
    return pr.GraphicAnnotation(
        referenced_images=[film],
        graphic_layer=annotation_layer(),
        graphic_objects=[pr.GraphicObject(graphic_type=kind, graphic_data=np.array(points), units=units)],
        text_objects=texts,
    )


def test_the_regions_of_a_measurement_report_are_boxes_of_their_findings(film: Dataset, tmp_path: Path) -> None:
    ellipse = [[20.0, 50.0], [60.0, 50.0], [40.0, 40.0], [40.0, 60.0]]
    regions = [("POLYLINE", SQUARE), ("CIRCLE", [[50.0, 50.0], [50.0, 60.0]]), ("ELLIPSE", ellipse)]
    table = report_of(film, tmp_path / "sr.dcm", regions)
    assert [row.box.label for row in table.rows] == ["nodule", "pleural effusion", "nodule"]
    assert {row.image for row in table.rows} == {film.SOPInstanceUID}
    assert {row.box.reader for row in table.rows} == {"reader 1"}
    polygon, circle, oval = (row.box for row in table.rows)
    assert polygon.shape == Polygons(rings=(((20.0, 30.0), (60.0, 30.0), (60.0, 90.0), (20.0, 90.0)),))
    assert (circle.x, circle.y, circle.width, circle.height) == (40.0, 40.0, 20.0, 20.0)
    assert oval.shape == Ellipse(centre=(40.0, 50.0), first=(20.0, 0.0), second=(0.0, 10.0))
    assert table.left_out == ()


def test_points_of_a_report_cover_nothing_and_are_left_out_by_rule(film: Dataset, tmp_path: Path) -> None:
    table = report_of(film, tmp_path / "sr.dcm", [("POINT", [[50.0, 50.0]]), ("POLYLINE", SQUARE)])
    (left,) = table.left_out
    assert len(table.rows) == 1
    assert "region 1 is a point or a line without an area" in left.reason
    assert not left.failed


@pytest.mark.parametrize(("frames", "drawn"), [([2], 0), ([2, 1], 1), ([1], 1)])
def test_what_lies_on_a_later_frame_is_not_taken_for_the_first(
    film: Dataset, tmp_path: Path, frames: list[int], drawn: int
) -> None:
    report_of(film, tmp_path / "sr.dcm", [("POLYLINE", SQUARE)])
    state_of(film, tmp_path / "pr.dcm", annotated(film, "POLYLINE", SQUARE))
    for path in tmp_path.glob("*.dcm"):
        dataset = dcmread(path)
        for element in dataset.iterall():
            if element.keyword in {"ReferencedSOPSequence", "ReferencedImageSequence"}:
                for item in element.value:
                    item.ReferencedFrameNumber = frames
        dataset.save_as(path)
        scanned = of_two_frames(film)
        placed = place_boxes([scanned], read_boxes(path).rows)
        assert len(placed.by_image.get(scanned, ())) == drawn
        assert ["lies on frame 2 of its image" in left.reason for left in placed.left_out] == [True] * (1 - drawn)
        each = place_boxes(list(each_frame([scanned])), read_boxes(path).rows)
        assert {image.frame for image in each.by_image} == set(frames)
        assert each.left_out == ()


def test_frames_that_are_no_numbers_are_refused_and_not_taken_for_all(film: Dataset, tmp_path: Path) -> None:
    report_of(film, tmp_path / "sr.dcm", [("POLYLINE", SQUARE)])
    content = dcmread(tmp_path / "sr.dcm")
    for each in content.iterall():
        if each.keyword == "ReferencedSOPSequence":
            each.value[0].ReferencedFrameNumber = 12345678
    content.save_as(tmp_path / "sr.dcm")
    written = (tmp_path / "sr.dcm").read_bytes()
    (tmp_path / "sr.dcm").write_bytes(written.replace(b"12345678", b"abcdefgh"))
    (left,) = read_boxes(tmp_path / "sr.dcm").left_out
    assert "has invalid frame numbers" in left.reason


def test_graphics_of_a_presentation_state_take_the_text_beside_them(film: Dataset, tmp_path: Path) -> None:
    state_of(
        film,
        tmp_path / "ps.dcm",
        annotated(film, "POLYLINE", SQUARE, label="Pleural effusion"),
        annotated(film, "CIRCLE", [[50.0, 50.0], [50.0, 60.0]], label="Doe, Jane 1950"),
        annotated(film, "POLYLINE", [[1.0, 1.0], [9.0, 9.0]]),
    )
    table = read_boxes(tmp_path / "ps.dcm")
    effusion, other = table.rows
    assert (effusion.box.label, other.box.label) == ("pleural effusion", UNNAMED)
    assert (effusion.image, effusion.box.reader) == (film.SOPInstanceUID, "reader 1")
    assert "Jane" not in repr(table)
    assert "Kim" not in repr(table)
    assert any("point or a line" in left.reason for left in table.left_out)


@pytest.mark.parametrize(
    ("rotation", "top_left", "bottom_right", "expected"),
    [
        # The same quarter of a 128 x 128 image: its upper left, wherever the display has turned it to.
        pytest.param(0, (1, 1), (128, 128), (0.0, 0.0, 0.5, 0.5), id="upright"),
        pytest.param(0, (128, 1), (1, 128), (0.5, 0.0, 1.0, 0.5), id="flipped"),
        pytest.param(90, (1, 128), (128, 1), (0.5, 0.0, 1.0, 0.5), id="quarter turn"),
        pytest.param(180, (128, 128), (1, 1), (0.5, 0.5, 1.0, 1.0), id="half turn"),
    ],
)
def test_shares_of_the_displayed_area_become_pixels(
    film: Dataset,
    tmp_path: Path,
    rotation: int,
    top_left: tuple[int, int],
    bottom_right: tuple[int, int],
    expected: tuple[float, float, float, float],
) -> None:
    left, top, right, bottom = expected
    corners = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
    state = state_of(film, tmp_path / "ps.dcm", annotated(film, "POLYLINE", corners, units="DISPLAY"))
    area = state.DisplayedAreaSelectionSequence[0]
    area.DisplayedAreaTopLeftHandCorner, area.DisplayedAreaBottomRightHandCorner = list(top_left), list(bottom_right)
    state.ImageRotation, state.ImageHorizontalFlip = rotation, "N"
    state.save_as(tmp_path / "ps.dcm")
    (row,) = read_boxes(tmp_path / "ps.dcm").rows
    assert (row.box.x, row.box.y, row.box.width, row.box.height) == (0.0, 0.0, 64.0, 64.0)


def test_shares_of_an_area_that_is_not_given_are_named(film: Dataset, tmp_path: Path) -> None:
    corners = [[0.1, 0.1], [0.5, 0.1], [0.5, 0.5], [0.1, 0.1]]
    state = state_of(film, tmp_path / "ps.dcm", annotated(film, "POLYLINE", corners, units="DISPLAY"))
    del state.DisplayedAreaSelectionSequence
    state.save_as(tmp_path / "ps.dcm")
    (left,) = read_boxes(tmp_path / "ps.dcm").left_out
    assert "displayed area that the file does not state" in left.reason
    assert left.failed


def test_readers_are_numbered_alike_in_every_file(film: Dataset, tmp_path: Path) -> None:
    report_of(film, tmp_path / "a.dcm", [("POLYLINE", SQUARE)])
    state_of(film, tmp_path / "b.dcm", annotated(film, "CIRCLE", [[9.0, 9.0], [9.0, 12.0]]), creator="Lee^Other")
    state_of(film, tmp_path / "c.dcm", annotated(film, "CIRCLE", [[40.0, 9.0], [40.0, 12.0]]))
    film.save_as(tmp_path / "d.dcm")
    table = read_boxes(tmp_path)
    assert [row.box.reader for row in table.rows] == ["reader 1", "reader 2", "reader 1"]
    (left,) = table.left_out
    assert "1 file holds no annotations" in left.reason


def test_dicom_that_holds_no_annotations_is_refused_when_given_itself(film: Dataset, tmp_path: Path) -> None:
    film.save_as(tmp_path / "film.dcm")
    with pytest.raises(BoxError, match="neither a structured report nor a presentation state"):
        read_boxes(tmp_path / "film.dcm")


@pytest.mark.parametrize("name", ["reportsi.dcm", "test-SR.dcm"])
def test_real_reports_without_regions_give_no_box(name: str) -> None:
    assert read_boxes(Path(str(get_testdata_file(name)))).rows == ()
