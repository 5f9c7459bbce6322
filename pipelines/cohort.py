"""Joins images, reports and boxes to studies; anything that cannot be joined is listed with its reason, not guessed.

A report belongs to a study by its StudyInstanceUID, else by its accession number within the issuer, else by name: the
report's file stem (or id column) equals the UID of the study or of an image, an image's file stem, or the folder of an
image. A box belongs to an image by SOP Instance UID, path or file stem. A key that matches two studies is not used.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from pipelines.boxes import BoxTable
from pipelines.boxes.placing import place_boxes
from pipelines.dicom.decode import MAX_PIXELS
from pipelines.errors import CohortError
from pipelines.study import Case, Context, Exclusion, Image, Study
from pipelines.text.absent import absent_phrases, is_refuted_by
from pipelines.text.joining import JoinedReports, join_reports
from pipelines.text.language import language_of
from pipelines.text.phrases import phrases_of
from pipelines.text.reports import ReportTable

__all__ = ["Cohort", "Frames", "Join", "each_frame", "is_taken_apart", "join", "match"]

_AMBIGUOUS = "several different reports belong to this study: keep the one that describes its images"
_WITHOUT_REPORT = (
    "no report belongs to this study: give its report under its StudyInstanceUID, its accession number, or the name of "
    "its DICOM file or folder"
)
_IN_LANGUAGE = "the report is in {}; findings and negation are read in English only: translate it to have it audited"
_WITHOUT_PHRASE = (
    "the report's findings and impression neither name nor deny a known finding, so there is nothing to put to the "
    "model; `m2ib-audit findings` lists the known ones, and --findings FILE adds others"
)


@dataclass(frozen=True, slots=True)
class Join:
    """The study that a report was joined to."""

    study_instance_uid: str
    by: str  # same values as Study.report_joined_by


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """The studies to audit, in the order of their images, and everything that is excluded.

    ``left_out`` holds the images and reports that could not be joined, and everything that the readers of reports and
    boxes had excluded before.
    """

    studies: tuple[Study, ...]
    left_out: tuple[Exclusion, ...]
    joins: Mapping[str, Join] = field(default_factory=dict)  # by source, for every joined report, audited or not
    nothing: str | None = None  # if there is no study to audit: what was found, and what to correct first
    languages: Mapping[str, int] = field(default_factory=dict)  # reports that are not in English, by their language
    boxes_on: Mapping[Image, int] = field(default_factory=dict)  # number of boxes on each image, audited or not


def join(images: Sequence[Image], reports: ReportTable, boxes: BoxTable | None = None) -> Cohort:
    """Join images, reports and boxes into at least one study: see :func:`match`.

    Raises:
        CohortError: there is nothing to audit.
    """
    cohort = match(images, reports, boxes)
    if cohort.nothing is not None:
        raise CohortError(cohort.nothing)
    return cohort


def match(
    images: Sequence[Image],
    reports: ReportTable,
    boxes: BoxTable | None = None,
    *,
    without: Sequence[Exclusion] = (),
    selected: bool = False,
) -> Cohort:
    """Join images, reports and boxes into studies; an empty result is not an error here.

    Args:
        images: the images to audit; several of one study result in several cases.
        reports: the reports as read; a study with two different reports is excluded.
        boxes: the boxes as read; they are rescaled to each image's own pixels and clipped here.
        without: files that were excluded before: a report named after one of them is not reported as an orphan.
        selected: the images are a selection, so that a report of none of them is excluded by rule.
    """
    by_study: dict[str, list[Image]] = defaultdict(list)
    for image in images:
        by_study[image.study_instance_uid].append(image)
    joined = join_reports(by_study, reports.reports, without, selected=selected)
    drawn = BoxTable(rows=(), left_out=()) if boxes is None else boxes
    placed = place_boxes(images, drawn.rows)
    left_out = [*reports.left_out, *drawn.left_out, *joined.left_out, *placed.left_out]
    studies: list[Study] = []
    languages: Counter[str] = Counter()
    for uid, members in by_study.items():
        found = joined.by_study.get(uid)
        if found is None:
            why = _AMBIGUOUS if uid in joined.ambiguous else _WITHOUT_REPORT
            left_out += [_left_out(image.source, why, failed=True) for image in members]
            continue
        language = None if found.report.from_labels else language_of(found.report.text)
        if language is not None:
            languages[language] += 1
            sources = (found.report.source, *(image.source for image in members))
            left_out += [_left_out(source, _IN_LANGUAGE.format(language), failed=False) for source in sources]
            continue
        named = phrases_of(found.report.text)
        phrases = tuple(phrase for phrase in named if phrase.context in {Context.PRESENT, Context.UNCERTAIN})
        drawn_for = {box.label for image in members for box in placed.by_image.get(image, ())}
        absent = tuple(
            phrase
            for phrase in absent_phrases(found.report.text, named)
            if not any(is_refuted_by(str(phrase.finding), label) for label in drawn_for)
        )
        if not (phrases or absent):
            sources = (found.report.source, *(image.source for image in members))
            left_out += [_left_out(source, _WITHOUT_PHRASE, failed=False) for source in sources]
            continue
        cases = tuple(
            Case(image=image, phrases=phrases, boxes=tuple(placed.by_image.get(image, ())), absent=absent)
            for image in members
        )
        studies.append(Study(study_instance_uid=uid, report=found.report, report_joined_by=found.by.value, cases=cases))
    joins = {each.report.source: Join(uid, each.by.value) for uid, each in joined.by_study.items()}
    nothing = None if studies else _nothing(len(images), reports, len(drawn.rows), joined, languages)
    boxes_on = {image: len(found) for image, found in placed.by_image.items()}
    return Cohort(
        studies=tuple(studies),
        left_out=tuple(left_out),
        joins=joins,
        nothing=nothing,
        languages=languages,
        boxes_on=boxes_on,
    )


def _left_out(source: str, reason: str, *, failed: bool) -> Exclusion:
    return Exclusion(source=source, stage="join", reason=reason, failed=failed)


def _nothing(images: int, reports: ReportTable, boxes: int, joined: JoinedReports, languages: Mapping[str, int]) -> str:
    """Describe what was found and what to correct first."""
    if not images:
        remedy = "give --dicom-dir a folder with frontal chest radiographs in DICOM, PNG, JPEG or TIFF"
    elif not reports.reports and reports.left_out:
        remedy = "no report could be read; `m2ib-audit check` gives the reason for each"
    elif not reports.reports:
        remedy = "give --reports a folder or table of reports"
    elif languages:
        remedy = (
            f"{sum(languages.values())} of {len(joined.by_study)} joined reports are in {', '.join(languages)}; "
            "findings and negation are read in English only, so translate the reports"
        )
    elif joined.by_study:
        remedy = (
            f"{len(joined.by_study)} reports joined their studies and neither name nor deny a known finding; look at "
            "one of them, and at its FINDINGS and IMPRESSION"
        )
    elif joined.ambiguous:
        remedy = "several different reports belong to each study; `m2ib-audit check` names them"
    else:
        remedy = (
            "no report joined a study; name each report file by the StudyInstanceUID, the accession number, or the "
            "name of the DICOM file or its folder, or give these in a column of a table"
        )
    return f"nothing to audit in {images} images, {len(reports.reports)} reports and {boxes} boxes: {remedy}"


_MOST_FRAMES = 1000  # per file: a header of a few bytes can claim a hundred million


class Frames(StrEnum):
    """Which frames of a file to audit."""

    FIRST = "first"
    EACH = "each"


def each_frame(images: Iterable[Image]) -> Iterator[Image]:
    """Yield an image for each frame of each file, in their order; a file that is not split stays one image."""
    for image in images:
        if is_taken_apart(image):
            yield from (replace(image, frame=number) for number in range(1, image.frames + 1))
        else:
            yield image


def is_taken_apart(image: Image) -> bool:
    """Return True if a file's frames may be read as images: their number and their pixels are within the limits."""
    return image.frames <= _MOST_FRAMES and image.rows * image.columns * image.frames <= MAX_PIXELS
