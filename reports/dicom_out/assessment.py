"""What reviewers answered about the model's results, as measurement reports: one per image and reviewer.

Each names its reviewer as the observer, and refers to the report of the model's results; groups about the same phrase
have the same tracking identifier in both. IHE RAD AI Result Assessment for Imaging (AIRAI) tells three answers apart:
a result is accepted, rejected, or supplemented, here by a region that the reviewer drew. Concepts without a DICOM code
are those of our own scheme.
"""

from collections.abc import Sequence
from itertools import groupby

from highdicom.sr import (
    ObservationContext,
    ObserverContext,
    PersonObserverIdentifyingAttributes,
    QualitativeEvaluation,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import UID, Comprehensive3DSRStorage

from reports.dicom_out.codes import own_code
from reports.dicom_out.content import ImageContent, PhraseContent, outline_of
from reports.dicom_out.identity import SeriesLabel, plain_line
from reports.dicom_out.measurement_report import Group, group, measurement_report
from reports.dicom_out.structured_report import REPORTS
from reports.review_record import ReviewEntry
from reports.texts import text

__all__ = ["ASSESSMENTS", "Assessment", "assessments_of", "make_assessment"]

ASSESSMENTS = SeriesLabel(name="assessment", number=9806, title="reviewers' answers")

_PER_IMAGE = 1000  # instance numbers of the reviewers of one image

Assessment = tuple[ReviewEntry, ...]
"""One reviewer's answers about the phrases of an image."""

_ASSESSMENT = own_code("assessment", "Assessment of the result")
_REGION_NEEDED = own_code("region-needed", "Is the model expected to need the region?")
_REASON = own_code("reason", "Reason")
_SUPPLEMENTED = own_code("supplemented", "Supplemented by a region that the reviewer drew")
_OPINIONS = {
    "agree": own_code("accepted", "Accepted"),
    "partly": own_code("accepted-part", "Accepted in part"),
    "disagree": own_code("rejected", "Rejected"),
}
_REGION_ANSWERS = {"yes": codes.SCT.Yes, "unsure": codes.SCT.Undetermined, "no": codes.SCT.No}


def assessments_of(entries: Sequence[ReviewEntry], image: str) -> list[Assessment]:
    """Sort each reviewer's latest entries about an image, which say something, by reviewer."""
    about = sorted((entry for entry in entries if entry.subject.image == image), key=lambda entry: entry.reviewer)
    told = [entry for entry in about if not entry.is_empty]
    return [tuple(of_one) for _, of_one in groupby(told, key=lambda entry: entry.reviewer)]


def make_assessment(content: ImageContent, number: int, place: int, entries: Assessment) -> Dataset:
    """Write one reviewer's answers about an image's phrases as a Comprehensive 3D SR.

    Args:
        content: the image.
        number: of the image among those of the study, from 1.
        place: of the reviewer among those of the image, from 1.
        entries: of the reviewer; at least one.
    """
    phrases = {phrase.record.heat: phrase for phrase in content.phrases}
    groups = [made for entry in entries if entry.subject.heat in phrases for made in _groups(content, phrases, entry)]
    identifiers = content.identity.of_object(ASSESSMENTS, content.record.key, number, scored=True)
    own = content.identity.uid(ASSESSMENTS.name, content.record.key, *(entry.id for entry in entries), scored=True)
    return measurement_report(
        content,
        groups,
        ObservationContext(observer_person_context=_observer(entries[0].reviewer)),
        identifiers | {"sop_instance_uid": UID(own), "instance_number": _PER_IMAGE * number + place},
        about=[_assessed(content, number)],
    )


def _observer(reviewer: str) -> ObserverContext:
    name = plain_line(reviewer.replace("^", " ").replace("=", " "))  # they divide the parts of a name
    person = PersonObserverIdentifyingAttributes(name=f"{name}^")
    return ObserverContext(observer_type=codes.DCM.Person, observer_identifying_attributes=person)


def _assessed(content: ImageContent, number: int) -> Dataset:
    """Stand for the report of the model's results."""
    report = content.identity.of_object(REPORTS, content.record.key, number, scored=True)
    reference = Dataset()
    reference.StudyInstanceUID = content.source.StudyInstanceUID
    reference.SeriesInstanceUID = report["series_instance_uid"]
    reference.SOPClassUID, reference.SOPInstanceUID = Comprehensive3DSRStorage, report["sop_instance_uid"]
    return reference


def _groups(content: ImageContent, phrases: dict[str, PhraseContent], entry: ReviewEntry) -> list[Group]:
    """Return the group of an entry's answers, and one for each region that the reviewer drew."""
    phrase = phrases[entry.subject.heat]
    made = []
    answers = _answers(entry)
    if answers or entry.comment:
        made.append(group(content, phrase, None, qualitative_evaluations=answers))
    if entry.comment:
        comment = TextContentItem(
            name=codes.DCM.Comment, value=entry.comment, relationship_type=RelationshipTypeValues.CONTAINS
        )
        made[0][0].ContentSequence.append(comment)
    supplement = [QualitativeEvaluation(name=_ASSESSMENT, value=_SUPPLEMENTED)]
    for box in entry.boxes:
        outline = outline_of(box.x, box.y, box.x + box.width, box.y + box.height)
        made.append(group(content, phrase, outline, qualitative_evaluations=supplement))
    return made


def _answers(entry: ReviewEntry) -> list[QualitativeEvaluation]:
    found = []
    if entry.verdict is not None:
        found.append((_ASSESSMENT, _OPINIONS[entry.verdict]))
    if entry.region_needed is not None:
        found.append((_REGION_NEEDED, _REGION_ANSWERS[entry.region_needed]))
    found += [(_REASON, own_code(reason[:16], text(f"reason.{reason}"))) for reason in entry.reasons]
    return [QualitativeEvaluation(name=name, value=value) for name, value in found]
