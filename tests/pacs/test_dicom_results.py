"""What is made of an audit: valid objects that say what the record says, where it says it."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import highdicom
import numpy as np
import pytest
from making import SALT, results_of
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import UID, MultiFrameGrayscaleWordSecondaryCaptureImageStorage
from skimage.filters import threshold_otsu

from audit.privacy.pseudonyms import Pseudonyms
from pipelines.boxes import read_boxes
from pipelines.boxes.dicom_annotations import structured_report_boxes
from pipelines.dicom.source import tolerant_reading
from pipelines.errors import DicomError
from pipelines.findings import FINDINGS
from pipelines.geometry import Fit, Placement
from pipelines.images.scan import scan_folder
from pipelines.text.reports import read_reports
from reports.dicom_out import ObjectKind, Result, make_results, read_source
from reports.dicom_out.codes import finding_code
from reports.results_folder import StudyFolder

Results = dict[str, list[Result]]

MADE_WITHOUT_REVIEWERS = set(ObjectKind) - {ObjectKind.ASSESSMENT}


def of_kind(results: list[Result], kind: ObjectKind) -> list[Dataset]:
    return [result.dataset for result in results if result.kind is kind]


def written(dataset: Dataset) -> bytes:
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def invalid(results: list[Result], folder: Path, dciodvfy: Callable[[Path], list[str]]) -> dict[str, list[str]]:
    found = {}
    for number, result in enumerate(results):
        path = folder / f"{number}-{result.kind}.dcm"
        path.write_bytes(written(result.dataset))
        if errors := dciodvfy(path):
            found[path.name] = errors
    return found


def test_the_validator_finds_no_error_in_any_object(
    results: Results, tmp_path: Path, dciodvfy: Callable[[Path], list[str]]
) -> None:
    every = [result for of_study in results.values() for result in of_study]
    assert {result.kind for result in every} == MADE_WITHOUT_REVIEWERS
    assert invalid(every, tmp_path, dciodvfy) == {}


def test_the_validator_would_have_found_one(results: Results, tmp_path: Path, dciodvfy) -> None:
    (path,) = [tmp_path / "bad.dcm"]
    bad = dcmread(io.BytesIO(written(next(iter(results.values()))[0].dataset)))
    del bad.Rows
    bad.save_as(path)
    assert any("Rows" in error for error in dciodvfy(path))


def test_results_of_a_real_film_are_valid(
    studies: list[StudyFolder], audited: Path, tmp_path: Path, dciodvfy: Callable[[Path], list[str]]
) -> None:
    path = Path(str(get_testdata_file("RG1_UNCR.dcm")))
    film = read_source(path)
    study = on_film(studies[0], film)
    valid = {study.record.images[0].key: np.ones((film.Rows, film.Columns), dtype=bool)}
    made = make_results(study, sources={study.record.images[0].key: film}, valid=valid, secret=b"secret")
    assert {result.kind for result in made} == MADE_WITHOUT_REVIEWERS
    assert invalid(made, tmp_path, dciodvfy) == {}
    (segmentation,) = of_kind(made, ObjectKind.SEGMENTATION)
    assert (segmentation.Rows, segmentation.Columns) == (1955, 1841)
    assert highdicom.seg.segread(io.BytesIO(written(segmentation))).number_of_segments >= 1
    original = dcmread(path, stop_before_pixels=True)
    assert {r.dataset.PatientName for r in made} == {original.PatientName}
    assert {r.dataset.StudyInstanceUID for r in made} == {original.StudyInstanceUID}


def on_film(study: StudyFolder, film: Dataset) -> StudyFolder:
    """Let a study's first image have the size of another film."""
    image = study.record.images[0]
    placement = Placement.of(film.Rows, film.Columns, size=image.placement.size, fit=Fit.LETTERBOX)
    moved = replace(image, rows=film.Rows, columns=film.Columns, placement=placement)
    return replace(study, record=study.record.model_copy(update={"images": (moved,)}))


ODD = {
    "a Japanese name": {"SpecificCharacterSet": ["", "ISO 2022 IR 87"], "PatientName": "Yamada^Tarou=山田^太郎"},
    "a Greek name": {"SpecificCharacterSet": "ISO_IR 126", "PatientName": "Διονυσιος"},
    "words for sex": {"PatientSex": "MALE"},
    "old dates": {"PatientBirthDate": "1950.02.01", "StudyDate": "2026.01.01"},
    "no dates": {"PatientBirthDate": "unknown", "StudyDate": "", "StudyTime": "noon"},
    "age without unit": {"PatientAge": "45"},
    "a time zone": {"TimezoneOffsetFromUTC": "+0530"},
    "a long ID": {"PatientID": "X" * 64},
    "no orientation": {"PatientOrientation": "", "ViewPosition": ""},
    "a frame of reference": {"FrameOfReferenceUID": "1.2.3"},
    "a calibrated spacing": {"PixelSpacing": [0.143, 0.143]},
    "several windows": {"WindowCenter": [2000, 1000], "WindowWidth": [4000, 500]},
}


@pytest.mark.parametrize("odd", ODD)
def test_odd_headers_of_originals_give_valid_results(
    odd: str, cohort: Path, studies: list[StudyFolder], audited: Path, tmp_path: Path, dciodvfy
) -> None:
    film = dcmread(cohort / "dicom" / "phantom-00003.dcm")
    with tolerant_reading():
        for keyword, value in ODD[odd].items():
            setattr(film, keyword, value)
        film.save_as(tmp_path / "film.dcm")
    source = read_source(tmp_path / "film.dcm")
    study = next(s for s in studies if s.record.images[0].photometric_interpretation == "MONOCHROME1")
    made = results_of(study, {study.record.images[0].key: source}, audited)
    first = {result.kind: result for result in made}
    assert invalid(list(first.values()), tmp_path, dciodvfy) == {}
    highdicom.seg.segread(io.BytesIO(written(first[ObjectKind.SEGMENTATION].dataset)))
    read = dcmread(io.BytesIO(written(first[ObjectKind.REPORT].dataset)))
    assert read.PatientName == film.PatientName
    assert read.PatientID == film.PatientID


def test_a_film_of_a_class_of_one_frame_that_has_several_gets_no_results(cohort: Path, tmp_path: Path) -> None:
    film = dcmread(cohort / "dicom" / "phantom-00003.dcm")
    film.NumberOfFrames = 2
    film.PixelData *= 2
    film.save_as(tmp_path / "film.dcm")
    with pytest.raises(DicomError, match="several frames, but its SOP class allows one"):
        read_source(tmp_path / "film.dcm")


def test_results_of_a_capture_of_several_frames_name_theirs(
    cohort: Path, studies: list[StudyFolder], audited: Path, tmp_path: Path, dciodvfy
) -> None:
    film = dcmread(cohort / "dicom" / "phantom-00003.dcm")
    film.NumberOfFrames = 2
    film.PixelData *= 2
    film.SOPClassUID = film.file_meta.MediaStorageSOPClassUID = MultiFrameGrayscaleWordSecondaryCaptureImageStorage
    film.save_as(tmp_path / "film.dcm")
    study = next(s for s in studies if s.record.images[0].photometric_interpretation == "MONOCHROME1")
    image = replace(study.record.images[0], frame=2, frames=2)
    study = replace(study, record=study.record.model_copy(update={"images": (image, *study.record.images[1:])}))
    made = results_of(study, {image.key: read_source(tmp_path / "film.dcm", frame=2)}, audited)
    assert {result.kind for result in made} == MADE_WITHOUT_REVIEWERS
    assert invalid(made, tmp_path, dciodvfy) == {}
    for result in made:
        named = [item for item in result.dataset.iterall() if item.keyword == "ReferencedFrameNumber"]
        assert {int(item.value) for item in named} == {2}
    for number, result in enumerate(of_kind(made, ObjectKind.REPORT) + of_kind(made, ObjectKind.PRESENTATION)):
        path = tmp_path / f"drawn-{number}.dcm"
        path.write_bytes(written(result))
        rows = read_boxes(path).rows
        assert {row.frames for row in rows} <= {(2,)}


def test_the_same_audit_gives_the_same_bytes(
    results: Results, studies: list[StudyFolder], sources: dict[str, Dataset], audited: Path
) -> None:
    study = studies[0]
    again = results_of(study, sources, audited)
    assert [written(r.dataset) for r in again] == [written(r.dataset) for r in results[study.record.key]]


def test_uids_are_valid_and_follow_from_the_salt(
    results: Results, studies: list[StudyFolder], sources: dict[str, Dataset], audited: Path
) -> None:
    every = [r.dataset.SOPInstanceUID for of_study in results.values() for r in of_study]
    assert len(set(every)) == len(every)
    assert all(UID(uid).is_valid and uid.startswith("2.25.") for uid in every)
    other = results_of(studies[0], sources, audited, b"another salt altogether")
    assert not {r.dataset.SOPInstanceUID for r in other} & set(every)


def test_other_scores_make_another_report_and_leave_the_pictures(
    results: Results, studies: list[StudyFolder], sources: dict[str, Dataset], audited: Path
) -> None:
    image = studies[0].record.images[0]
    phrase = replace(image.phrases[0], scores=())
    changed = replace(image, phrases=(phrase, *image.phrases[1:]))
    study = replace(studies[0], record=studies[0].record.model_copy(update={"images": (changed,)}))
    pairs = zip(results[study.record.key], results_of(study, sources, audited), strict=True)
    same = {before.kind: before.dataset.SOPInstanceUID == after.dataset.SOPInstanceUID for before, after in pairs}
    assert same == {
        ObjectKind.CAPTURE: True,
        ObjectKind.SEGMENTATION: True,
        ObjectKind.REPORT: False,
        ObjectKind.PRESENTATION: True,
    }


def test_other_heat_makes_other_objects(
    results: Results, studies: list[StudyFolder], sources: dict[str, Dataset], audited: Path
) -> None:
    study = replace(studies[0], heats={name: heat * 2 for name, heat in studies[0].heats.items()})
    before, after = (
        {r.dataset.SOPInstanceUID for r in made}
        for made in (results[study.record.key], results_of(study, sources, audited))
    )
    assert not before & after


def test_segments_are_the_heat_above_the_threshold_that_they_state(
    results: Results, studies: list[StudyFolder]
) -> None:
    for study in studies:
        image = study.record.images[0]
        (dataset,) = of_kind(results[study.record.key], ObjectKind.SEGMENTATION)
        (series,) = dataset.ReferencedSeriesSequence
        (original,) = [part.ReferencedSOPInstanceUID for part in series.ReferencedInstanceSequence]
        assert Pseudonyms(SALT.encode()).key("image", original) == image.key
        read = highdicom.seg.segread(io.BytesIO(written(dataset)))
        frames = dcmread(io.BytesIO(written(dataset))).pixel_array
        segments = [
            int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
            for group in dataset.PerFrameFunctionalGroupsSequence
        ]
        assert segments == list(range(1, len(image.phrases) + 1))
        for number, phrase in enumerate(image.phrases, start=1):
            heat = image.placement.heat_to_source(study.heats[phrase.heat])
            threshold = threshold_otsu(heat, nbins=256)
            assert (frames[number - 1] == (heat > threshold)).all()
            described = read.get_segment_description(number)
            assert f"above {threshold:.6g} nats" in described.SegmentDescription
            assert phrase.text in described.SegmentDescription
            assert described.SegmentLabel.startswith(f"{number}: ")


def test_the_report_says_what_the_record_says(results: Results, studies: list[StudyFolder]) -> None:
    for study in studies:
        (dataset,) = of_kind(results[study.record.key], ObjectKind.REPORT)
        report = highdicom.sr.srread(io.BytesIO(written(dataset)))
        groups = report.content.get_planar_roi_measurement_groups()
        phrases = study.record.images[0].phrases
        assert [group.tracking_identifier for group in groups] == [phrase.text for phrase in phrases]
        for group, phrase in zip(groups, phrases, strict=True):
            values = {m.name.value: (m.value, m.unit.value) for m in group.get_measurements()}
            assert values["cosine"] == (pytest.approx(phrase.cosine), "1")
            assert values["heat-total"] == (pytest.approx(phrase.total_nats), "{nat}")
            assert values["heat-peak"] == (pytest.approx(phrase.peak_nats), "{nat}")
            said = {
                e.name.value: e.value.value
                for e in group.get_qualitative_evaluations()
                if e.name.scheme_designator == "99M2IB"
            }
            scored = {
                f"pointing-{tau}": score.outcome
                for score in phrase.scores
                for tau in ("0", "15")
                if (score.method, score.score) == ("m2ib", f"pointing game, tau {tau}") and score.outcome != "unscored"
            }
            assert said == scored
            region = group.roi
            points = region.value
            assert points.shape == (5, 2)
            assert (points[0] == points[-1]).all()
            (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
            assert phrase.hottest is not None
            row, column = phrase.hottest
            assert left < column < right
            assert top < row < bottom
            assert group.finding_type.meaning.lower() == (phrase.finding or "phrase of the report")


def test_the_report_names_its_algorithm_with_model_and_settings(results: Results, studies: list[StudyFolder]) -> None:
    (dataset,) = of_kind(results[studies[0].record.key], ObjectKind.REPORT)
    words = [element.value for element in dataset.iterall() if element.keyword == "TextValue"]
    assert "m2ib of phantom" in words
    assert f"model sha256={studies[0].record.model.sha256}" in words
    assert "beta=10.0" in words
    assert (dataset.PreliminaryFlag, dataset.VerificationFlag) == ("PRELIMINARY", "UNVERIFIED")


def test_our_own_reader_finds_the_frames_of_the_report(results: Results, studies: list[StudyFolder]) -> None:
    (dataset,) = of_kind(results[studies[0].record.key], ObjectKind.REPORT)
    boxes = list(structured_report_boxes("sr", dcmread(io.BytesIO(written(dataset)))))
    presentations = of_kind(results[studies[0].record.key], ObjectKind.PRESENTATION)
    frames = [d.GraphicAnnotationSequence[0].GraphicObjectSequence[0].GraphicData for d in presentations]
    assert len(boxes) == len(frames)
    for box, frame in zip(boxes, frames, strict=True):
        x, y, width, height = box.shape.bounds()
        corners = min(frame[::2]), min(frame[1::2]), max(frame[::2]), max(frame[1::2])
        assert (x, y, x + width, y + height) == pytest.approx(corners)


def test_presentations_keep_the_polarity_of_the_film(results: Results, studies: list[StudyFolder]) -> None:
    found = {}
    for study in studies:
        shapes = {d.PresentationLUTShape for d in of_kind(results[study.record.key], ObjectKind.PRESENTATION)}
        found[study.record.images[0].photometric_interpretation] = shapes
    assert found == {"MONOCHROME1": {"INVERSE"}, "MONOCHROME2": {"IDENTITY"}}


def test_captures_bear_the_warning_and_no_patient(results: Results, studies: list[StudyFolder]) -> None:
    for study in studies:
        captures = of_kind(results[study.record.key], ObjectKind.CAPTURE)
        pictures = [dcmread(io.BytesIO(written(capture))).pixel_array for capture in captures]
        assert len({picture.tobytes() for picture in pictures}) == len(study.record.images[0].phrases)
        for capture, picture in zip(captures, pictures, strict=True):
            assert capture.BurnedInAnnotation == "YES"
            assert picture[3, 3].tolist() == [170, 28, 36]
            assert (picture[:60, :400] > 200).all(axis=-1).sum() > 500  # letters
            assert picture.shape[1] >= 820


def test_every_object_is_marked_as_research_and_as_ours(results: Results, sources: dict[str, Dataset]) -> None:
    patients = {(s.StudyInstanceUID, s.PatientID, s.PatientName, s.AccessionNumber) for s in sources.values()}
    for of_study in results.values():
        numbers = {(r.kind, r.dataset.SeriesNumber, r.dataset.SeriesInstanceUID) for r in of_study}
        assert len(numbers) == 4
        for result in of_study:
            d = result.dataset
            assert (d.ContentQualification, d.Manufacturer) == ("RESEARCH", "m2ib-audit")
            assert "not for diagnosis" in d.SeriesDescription
            assert len(d.SeriesDescription) <= 64
            assert (d.StudyInstanceUID, d.PatientID, d.PatientName, d.AccessionNumber) in patients


def test_a_heat_that_shows_nothing_gets_no_region(
    studies: list[StudyFolder], sources: dict[str, Dataset], audited: Path, tmp_path: Path, dciodvfy
) -> None:
    image = studies[0].record.images[0]
    phrases = tuple(replace(phrase, hottest=None) for phrase in image.phrases)
    record = studies[0].record.model_copy(update={"images": (replace(image, phrases=phrases),)})
    flat = {name: np.ones_like(heat) for name, heat in studies[0].heats.items()}
    made = results_of(replace(studies[0], record=record, heats=flat), sources, audited)
    assert of_kind(made, ObjectKind.SEGMENTATION) == []
    assert invalid(made, tmp_path, dciodvfy) == {}
    report = highdicom.sr.srread(io.BytesIO(written(of_kind(made, ObjectKind.REPORT)[0])))
    assert report.content.get_planar_roi_measurement_groups() == []
    assert len(report.content.get_image_measurement_groups()) == len(phrases)
    for presentation in of_kind(made, ObjectKind.PRESENTATION):
        (annotation,) = presentation.GraphicAnnotationSequence
        assert "GraphicObjectSequence" not in annotation
        assert "points nowhere" in annotation.TextObjectSequence[0].UnformattedTextValue


def test_hostile_phrases_and_names_stay_text(
    studies: list[StudyFolder], sources: dict[str, Dataset], audited: Path, tmp_path: Path, dciodvfy
) -> None:
    image = studies[0].record.images[0]
    words = "back\\slash \x00 null \r\n line " + "very long " * 300 + "\u80ba\u708e"
    phrases = (replace(image.phrases[0], text=words),)
    model = studies[0].record.model.model_copy(update={"name": "m\\n\x07" * 40, "terms": "t" * 3000, "sha256": ""})
    record = studies[0].record.model_copy(update={"images": (replace(image, phrases=phrases),), "model": model})
    made = results_of(replace(studies[0], record=record), sources, audited)
    assert len(made) == 4
    assert invalid(made, tmp_path, dciodvfy) == {}


def test_codes_of_findings_are_distinct_and_short() -> None:
    found = [finding_code(finding) for finding in FINDINGS]
    assert len({(code.scheme_designator, code.value) for code in found}) == len(FINDINGS)
    assert all(len(code.value) <= 16 for code in found)


def test_results_are_taken_for_no_film_no_report_and_no_box(results: Results, tmp_path: Path) -> None:
    for number, result in enumerate(next(iter(results.values()))):
        (tmp_path / f"{number}.dcm").write_bytes(written(result.dataset))
    count = len(list(tmp_path.iterdir()))
    scan = scan_folder(tmp_path)
    assert scan.images == ()
    assert not any(item.failed for item in scan.left_out)
    assert sum("result of an earlier m2ib-audit run" in item.reason for item in scan.left_out) == len(
        of_kind(next(iter(results.values())), ObjectKind.CAPTURE)
    )
    read = read_reports(tmp_path)
    assert read.reports == ()
    assert not any(item.failed for item in read.left_out)
    assert any("result of an earlier m2ib-audit run" in item.reason for item in read.left_out)
    boxes = read_boxes([tmp_path])
    assert boxes.rows == ()
    assert not any(item.failed for item in boxes.left_out)
    assert count > 4
