"""What the tables of a run take from a study's record: scores, controls, hottest cells."""

from collections.abc import Iterable, Iterator

from audit.controls.summary import ControlRow
from audit.scoring.scores import POINTING
from reports.record import ImageRecord, PhraseRecord, StudyRecord

__all__ = ["control_rows", "peaks", "score_rows"]


def score_rows(images: Iterable[ImageRecord], *, study: str, patient: str | None) -> Iterator[dict[str, object]]:
    """Give a row of the score table a phrase, method and score, under the keys of study and patient."""
    for image in images:
        for index, phrase in enumerate(image.phrases):
            shared = {
                "study": study,
                "image": image.key,
                "patient": patient,
                "phrase": index,
                "finding": phrase.finding,
                "side": phrase.side,
                "zone": phrase.zone,
                "context": phrase.context,
            }
            yield from ({**shared, **score.model_dump()} for score in phrase.scores)


def control_rows(record: StudyRecord) -> Iterator[ControlRow]:
    """Give a row a control, beside the phrase as it stands in the report."""
    for phrase in _phrases(record):
        totals = {record.method: phrase.total_nats} | {other.method: other.total for other in phrase.others}
        hits = {score.method: score.value for score in phrase.scores if score.score == POINTING[0]}
        for control in phrase.controls:
            before = hits.get(control.method)
            yield ControlRow(
                patient=record.patient or record.key,
                method=control.method,
                control=control.control,
                pearson=control.pearson,
                hit=control.hit,
                hit_before=None if before is None else before > 0,
                cosine=control.cosine,
                cosine_before=phrase.cosine,
                total=control.total,
                total_before=totals[control.method],
            )


def peaks(record: StudyRecord) -> Iterator[tuple[str, float]]:
    """Give each heat's method and hottest cell."""
    for phrase in _phrases(record):
        yield record.method, phrase.peak_nats
        yield from ((other.method, other.peak) for other in phrase.others)


def _phrases(record: StudyRecord) -> Iterator[PhraseRecord]:
    return (phrase for image in record.images for phrase in image.phrases)
