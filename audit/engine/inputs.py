"""Gather what a run audits: scan, reports and boxes joined into studies, and everything that takes no part."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from audit.engine.settings import RunSettings
from pipelines.boxes import BoxTable, read_boxes
from pipelines.cohort import join
from pipelines.dicom.scan import Scan, keep_views, scan_folder
from pipelines.errors import CohortError
from pipelines.study import LeftOut, Study
from pipelines.text import read_reports

__all__ = ["Inputs", "gather"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """The studies to audit, in the order of their files."""

    studies: tuple[Study, ...]
    left_out: tuple[LeftOut, ...]
    counts: dict[str, int]


def gather(settings: RunSettings, *, progress: Callable[[int, int], None] | None = None) -> Inputs:
    """Scan the DICOM folder, read reports and boxes, and join them.

    Images, reports and boxes are joined before views are chosen, so that the report of a lateral view is known for what
    it is and not taken for an orphan.

    Raises:
        InputError: a folder or file is missing or of no known format.
        CohortError: nothing is left to audit.
    """
    reports = read_reports(settings.reports)
    boxes = read_boxes(settings.boxes) if settings.boxes is not None else BoxTable(rows=(), left_out=())
    scan = scan_folder(settings.dicom_dir, progress=progress)
    cohort = join(scan.images, reports, boxes)
    studies, by_view = (cohort.studies, ()) if settings.all_views else _audited_views(scan, cohort.studies)
    if not studies:
        raise CohortError(
            f"{settings.dicom_dir}: {len(scan.images)} images joined a report, none of them a frontal view; "
            "pass --all-views to audit them all the same"
        )
    left_out = (*scan.left_out, *by_view, *cohort.left_out)
    cases = [case for study in studies for case in study.cases]
    counts = {
        "files": scan.files,
        "reports": len(reports.reports),
        "box rows": len(boxes.rows),
        "studies": len(studies),
        "images": len(cases),
        "phrases": sum(len(case.phrases) for case in cases),
        "boxes": sum(len(case.boxes) for case in cases),
    }
    return Inputs(studies=studies, left_out=left_out, counts=counts)


def _audited_views(scan: Scan, studies: tuple[Study, ...]) -> tuple[tuple[Study, ...], tuple[LeftOut, ...]]:
    kept, left_out = keep_views(scan.images)
    paths = {image.path for image in kept}
    chosen = (
        replace(study, cases=tuple(case for case in study.cases if case.image.path in paths)) for study in studies
    )
    return tuple(study for study in chosen if study.cases), left_out
