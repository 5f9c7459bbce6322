"""A study that is done already, as a run that finishes it would hand it on: read from its record."""

from collections.abc import Sequence

from audit.engine.finishing import FinishedStudy
from audit.engine.keys import Keys
from audit.engine.rows import control_rows, peaks, score_rows
from audit.scoring.subgroups import NOT_KNOWN, ImageFacts
from pipelines.study import LeftOut, Study
from reports.record import ImageRecord, StudyRecord
from reports.resume_record import LeftOutImage

__all__ = ["finished_before", "left_out_before", "recorded_facts"]


def finished_before(record: StudyRecord, left_out: tuple[LeftOut, ...] = ()) -> FinishedStudy:
    """Take from a record what the tables and conclusions of a run need of its study."""
    return FinishedStudy(
        images=len(record.images),
        phrases=sum(len(image.phrases) for image in record.images),
        is_phantom=record.phantom_images,
        rows=list(score_rows(record.images, study=record.key, patient=record.patient)),
        controls=list(control_rows(record)),
        facts=[(image.key, recorded_facts(image)) for image in record.images],
        peaks=list(peaks(record)),
        left_out=left_out,
        key=record.key,
    )


def left_out_before(noted: Sequence[LeftOutImage], study: Study, keys: Keys) -> tuple[LeftOut, ...]:
    """Name the files of what an earlier run noted by key."""
    paths = {keys.key("image", case.image.instance): case.image.source for case in study.cases}
    return tuple(
        LeftOut(source=paths.get(item.image, item.image), stage=item.stage, reason=item.reason, failed=True)
        for item in noted
    )


def recorded_facts(image: ImageRecord) -> ImageFacts:
    """What a record says of the groups that an image belongs to."""
    return ImageFacts(
        view=image.view,
        sex=image.sex or NOT_KNOWN,
        age=image.age or NOT_KNOWN,
        manufacturer=image.manufacturer or NOT_KNOWN,
        photometric_interpretation=image.photometric_interpretation or NOT_KNOWN,
    )
