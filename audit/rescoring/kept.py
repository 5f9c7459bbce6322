"""A study as its record keeps it, in the form that scores are computed from."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from audit.engine.keys import Keys, path_key
from audit.engine.shown import shown_text
from audit.scoring.subgroups import NOT_KNOWN, ImageFacts
from pipelines.boxes import BoxRow
from pipelines.burned_in import Area
from pipelines.geometry import Placement
from pipelines.study import Box, Case, Context, Image, Phrase, Report, Side, Study, View, Zone
from pipelines.text.table import plain_stem
from reports.record import BoxRecord, ImageRecord, PhraseRecord, StudyRecord

__all__ = ["KeptImage", "kept_facts", "kept_study", "keyed_row"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptImage:
    """One image of a finished study (:class:`audit.engine.targets.Seen`)."""

    case: Case
    picture: bytes
    valid: Bool[np.ndarray, "rows columns"]
    placement: Placement
    blanked: tuple[Area, ...] = ()


def _image(record: StudyRecord, image: ImageRecord) -> Image:
    """Make the header of an image again; keys stand for identifiers and for the parts of its path."""
    return Image(
        path=Path(image.path_key or image.key),
        sop_instance_uid=image.key,
        study_instance_uid=record.key,
        patient_id=record.patient or record.key,
        accession_number="",
        rows=image.rows,
        columns=image.columns,
        view=View(image.view),
        view_source=image.view_source,
        photometric_interpretation=image.photometric_interpretation or "",
        spacing_mm=image.spacing_mm,
        spacing_source=image.spacing_source,
        sex=None,
        age_years=None,
        manufacturer=image.manufacturer,
        series_description="",
        horizontally_flipped=image.horizontally_flipped,
    )


def kept_study(record: StudyRecord) -> Study:
    """Make a study again from its record."""
    cases = (
        Case(
            image=_image(record, image),
            phrases=tuple(map(_phrase, image.phrases)),
            boxes=tuple(map(_box, image.boxes)),
        )
        for image in record.images
    )
    return Study(
        study_instance_uid=record.key,
        report=Report(source="", text=""),
        report_joined_by=record.report_joined_by,
        cases=tuple(cases),
    )


def kept_facts(image: ImageRecord) -> ImageFacts:
    """What a record says of the groups that an image belongs to."""
    return ImageFacts(
        view=image.view,
        sex=image.sex or NOT_KNOWN,
        age=image.age or NOT_KNOWN,
        manufacturer=image.manufacturer or NOT_KNOWN,
        photometric_interpretation=image.photometric_interpretation or NOT_KNOWN,
    )


def keyed_row(row: BoxRow, images: frozenset[str], keys: Keys, *, show_phi: bool) -> BoxRow:
    """Bring a box that is read later into a record's terms: its reference to its image becomes a key.

    A reference that is one of ``images`` is a key already (``m2ib-audit review boxes`` writes such). Else the key is
    that of the UID if it is one of them, or one of each path part. The sentence that the box was drawn for is masked
    as the record's sentences are, for it is compared with them.
    """
    uids = (row.image, *(keys.key("image", uid) for uid in (row.image, plain_stem(row.image))))
    wording = None if row.box.phrase is None else shown_text(row.box.phrase, show_phi=show_phi)
    return replace(
        row,
        image=next((uid for uid in uids if uid in images), path_key(row.image, keys)),
        box=replace(row.box, phrase=wording),
    )


def _phrase(phrase: PhraseRecord) -> Phrase:
    return Phrase(
        text=phrase.text,
        section=phrase.section,
        finding=phrase.finding,
        context=Context(phrase.context),
        side=Side(phrase.side) if phrase.side else None,
        zone=Zone(phrase.zone) if phrase.zone else None,
    )


def _box(box: BoxRecord) -> Box:
    return Box(
        x=box.x,
        y=box.y,
        width=box.width,
        height=box.height,
        label=box.label,
        reader=box.reader,
        phrase=box.phrase,
        shape=box.shape,
    )
