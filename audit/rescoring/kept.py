"""A study as its record keeps it, in the form that scores are computed from."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from audit.engine.keys import Keys, path_key
from audit.engine.shown import shown_text
from pipelines.boxes import BoxRow
from pipelines.study import Box, Case, Context, Image, Phrase, Report, Side, Study, View, Zone, instance_of
from pipelines.text.table import plain_stem
from reports.record import BoxRecord, ImageRecord, PhraseRecord, StudyRecord
from reports.targets import own_boxes

__all__ = ["kept_study", "keyed_rows"]


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
        frames=image.frames,
        frame=image.frame,
    )


def kept_study(record: StudyRecord) -> Study:
    """Make a study again from its record, with the boxes that the run had for it."""
    cases = (_case(record, image) for image in record.images)
    return Study(
        study_instance_uid=record.key,
        report=Report(source="", text=""),
        report_joined_by=record.report_joined_by,
        cases=tuple(cases),
    )


def _case(record: StudyRecord, image: ImageRecord) -> Case:
    own = own_boxes(image)
    places = {box.id: place for place, box in enumerate(own.boxes)}
    return Case(
        image=_image(record, image),
        phrases=tuple(map(_phrase, image.phrases)),
        boxes=tuple(map(_box, own.boxes)),
        targets=tuple(tuple(places[box] for box in target) for target in own.targets),
    )


def keyed_rows(
    row: BoxRow, images: Mapping[str, Image], keys: Keys, *, show_phi: bool, most_frames: int = 1
) -> Iterator[BoxRow]:
    """Bring a box that is read later into a record's terms: its reference to its image becomes a key.

    A reference that is a key of ``images`` is one already (``m2ib-audit review boxes`` writes such). Else the keys are
    those of the UID if they are among them, one for each frame that was audited, or one of each path part. The sentence
    that the box was drawn for is masked as the record's sentences are, for it is compared with them.

    Args:
        row: as it was read.
        images: of the run, by their keys.
        most_frames: the highest number of a frame among them.
        keys: of the run.
        show_phi: whether the run shows sentences unmasked.
    """
    wording = None if row.box.phrase is None else shown_text(row.box.phrase, show_phi=show_phi).text
    uids, frames = dict.fromkeys((row.image, plain_stem(row.image))), range(1, most_frames + 1)
    found = [key for uid in uids for frame in frames if (key := keys.key("image", instance_of(uid, frame))) in images]
    named = [key for key in found if not row.frames or images[key].frame in row.frames]
    for key in [row.image] if row.image in images else named or found[:1] or [path_key(row.image, keys)]:
        yield replace(row, image=key, box=replace(row.box, phrase=wording))


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
