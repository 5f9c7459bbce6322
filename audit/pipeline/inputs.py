"""Collects the inputs of a run: scan, reports and boxes joined to studies, and everything that is excluded."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from audit.configuration import InputsConfig
from audit.storage.folder import index_of, refuse_among
from pipelines.boxes import BoxTable, read_boxes
from pipelines.boxes.placing import images_with_boxes
from pipelines.cohort import Cohort, Frames, Join, each_frame, is_taken_apart, match
from pipelines.errors import CohortError
from pipelines.finding_file import read_findings
from pipelines.findings import AddedFindings, use_findings
from pipelines.images.collection import collect_images
from pipelines.images.scan import select_views
from pipelines.quoting import counted
from pipelines.study import PART_OF_FILE, Exclusion, Image, Study
from pipelines.text.reports import ReportTable, read_reports

__all__ = ["NO_VIEW", "Inputs", "gather", "survey"]

_NO_BOXES = (
    "nothing to audit: no box refers to one of the {:,} images; give --boxes the boxes of these images, or omit "
    "inputs.only-with-boxes"
)
NO_VIEW = "none of the study's images is a frontal view: pass --all-views to audit them anyway"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """The studies to audit, in the order of their files."""

    studies: tuple[Study, ...]
    left_out: tuple[Exclusion, ...]
    counts: dict[str, int]
    images: tuple[Image, ...] = ()  # every image found, audited or not
    joins: Mapping[str, Join] = field(default_factory=dict)  # by source, for every joined report, audited or not
    nothing: str | None = None  # if there is no study to audit: what was found, and what to correct first
    sentences: tuple[str, ...] = ()  # which public set the image files look like, and what is missing
    languages: tuple[str, ...] = ()  # sentences that say how many reports are in other languages


def gather(
    config: InputsConfig, *, out: Path | None = None, progress: Callable[[int, int], None] | None = None
) -> Inputs:
    """Scan the DICOM folder, read reports and boxes, and join them.

    Raises:
        InputError: a folder or file is missing or of no known format, or the index would lie among images or results.
        CohortError: nothing is left to audit.
    """
    inputs = survey(config, out=out, progress=progress)
    if inputs.nothing is not None:
        raise CohortError(inputs.nothing)
    return inputs


def index_path(config: InputsConfig, *, out: Path | None = None) -> Path | None:
    """Return the file that caches the headers; None for no cache.

    Raises:
        InputError: it would be among images or results.
    """
    if isinstance(config.index, str):
        return index_of(config.dicom_dir) if config.index == "auto" else None
    folders = [config.dicom_dir, config.reports, *([] if out is None else [out])]
    refuse_among(config.index, folders, name="inputs.index")
    return config.index


def survey(
    config: InputsConfig, *, out: Path | None = None, progress: Callable[[int, int], None] | None = None
) -> Inputs:
    """Gather the inputs and the exclusions, even if nothing is left to audit.

    Images, reports and boxes are joined before views are selected, so that the report of a lateral view is recognised
    and not reported as an orphan.

    Raises:
        InputError: a folder or file is missing or of no known format, or the index would lie among images or results.
        CohortError: the DICOM folder is empty.
    """
    index, frames = index_path(config, out=out), Frames(config.frames)
    use_findings(AddedFindings() if config.findings is None else read_findings(config.findings))
    reports = read_reports(config.reports)
    boxes = read_boxes(config.boxes)
    scan = collect_images(
        config.dicom_dir,
        tables=config.image_tables,
        others=(*config.boxes, config.reports),  # some sets describe their images in these
        index=index,
        progress=progress,
    )
    unread = tuple(_unless_read(scan.left_out, reports, boxes, given=(config.reports, *config.boxes)))
    every = scan.images if frames is Frames.FIRST else tuple(each_frame(scan.images))
    images, unboxed = _with_boxes(every, boxes) if config.only_with_boxes else (every, ())
    cohort = match(images, reports, boxes, without=(*unread, *unboxed), selected=config.only_with_boxes)
    studies, by_view = (cohort.studies, ()) if config.all_views else _audited_views(images, cohort.studies)
    nothing = _NO_BOXES.format(len(every)) if every and not images else cohort.nothing
    if nothing is None and not studies:
        nothing = (
            f"{config.dicom_dir}: {len(images)} images joined a report, none of them a frontal view; "
            "pass --all-views to audit them anyway"
        )
    kept = {study.study_instance_uid for study in studies}
    without_view = (study.report.source for study in cohort.studies if study.study_instance_uid not in kept)
    left_out = (
        *unread,
        *unboxed,
        *by_view,
        *_unless_listed(cohort.left_out, by_view),
        *(Exclusion(source=source, stage="view", reason=NO_VIEW, failed=False) for source in without_view),
        *_partly_left_out(studies, cohort.boxes_on, frames),
    )
    return Inputs(
        studies=studies,
        left_out=left_out,
        counts={
            "files": scan.files,
            "reports": len(reports.reports),
            "box rows": len(boxes.rows),
            **_taking_part(studies),
        },
        images=every,
        joins=cohort.joins,
        nothing=nothing,
        sentences=scan.sentences,
        languages=tuple(_languages(cohort)),
    )


def _with_boxes(images: tuple[Image, ...], boxes: BoxTable) -> tuple[tuple[Image, ...], tuple[Exclusion, ...]]:
    """Split the images into those with boxes and the others, which are excluded by rule."""
    boxed = images_with_boxes(images, boxes.rows)
    without = (
        Exclusion(
            source=image.source,
            stage="selection",
            reason="No box lies on the image; inputs.only-with-boxes leaves it out.",
            failed=False,
            study_instance_uid=image.study_instance_uid,
            accession_number=image.accession_number,
            accession_issuer=image.accession_issuer,
        )
        for image in images
        if image not in boxed
    )
    return tuple(image for image in images if image in boxed), tuple(without)


def _languages(cohort: Cohort) -> Iterator[str]:
    """Say how many reports are not in English."""
    for language, count in sorted(cohort.languages.items(), key=lambda item: -item[1]):
        yield (
            f"{count:,} of {counted(len(cohort.joins), 'joined report')} {'is' if count == 1 else 'are'} in {language} "
            "and left out: findings and negation are read in English only."
        )


def _taking_part(studies: Sequence[Study]) -> dict[str, int]:
    cases = [case for study in studies for case in study.cases]
    return {
        "studies": len(studies),
        "images": len(cases),
        "phrases": sum(len(case.phrases) for case in cases),
        "absent phrases": sum(len(case.absent) for case in cases),
        "normal studies": sum(not any(case.phrases for case in study.cases) for study in studies),
        "boxes": sum(len(case.boxes) for case in cases),
    }


def _audited_views(
    images: Sequence[Image], studies: tuple[Study, ...]
) -> tuple[tuple[Study, ...], tuple[Exclusion, ...]]:
    kept, left_out = select_views(images)
    paths = {image.path for image in kept}
    chosen = (
        replace(study, cases=tuple(case for case in study.cases if case.image.path in paths)) for study in studies
    )
    return tuple(study for study in chosen if study.cases), left_out


def _partly_left_out(studies: Sequence[Study], boxes_on: Mapping[Image, int], frames: Frames) -> Iterator[Exclusion]:
    """List the boxes of excluded images, and the frames of audited images that are not audited."""
    audited = {case.image: None for study in studies for case in study.cases}
    for image, count in boxes_on.items():
        if image not in audited:
            boxes = "1 box lies" if count == 1 else f"{count:,} boxes lie"
            reason = f"{boxes} on an image that is not audited: see the image's own entry"
            yield Exclusion(source=image.source, stage="boxes", reason=reason, failed=False)
    for image in audited:
        if image.frames > 1 and not (frames is Frames.EACH and is_taken_apart(image)):
            remedy = "pass --set inputs.frames=each" if is_taken_apart(image) else "export each as an image of its own"
            reason = (
                f"the first of the image's {image.frames:,} frames is audited and the others are not: {remedy} if they "
                "should be"
            )
            yield Exclusion(source=image.source, stage="frames", reason=reason, failed=False)


def _unless_listed(left_out: Iterable[Exclusion], before: Iterable[Exclusion]) -> Iterator[Exclusion]:
    """Yield what is not listed yet: the lateral view of a study without a report is excluded only for its view."""
    listed = {item.source for item in before}
    return (item for item in left_out if item.source not in listed)


def _unless_read(
    left_out: Iterable[Exclusion], reports: ReportTable, boxes: BoxTable, *, given: Iterable[Path]
) -> Iterator[Exclusion]:
    """Yield the files of a DICOM folder that no reader used: reports and boxes may be among the images.

    A subfolder that cannot be listed is a failure of each input that contains it, and is listed once.
    """
    left = (*reports.left_out, *boxes.left_out)
    read = {PART_OF_FILE.sub("", item.source) for items in (reports.reports, left, boxes.rows) for item in items}
    read.update(map(str, given))
    name = {(item.source, item.reason) for item in left}
    for item in left_out:
        if (item.source, item.reason) not in name if item.failed else item.source not in read:
            yield item
