"""Which projection a header says the radiograph is, and which way round the patient lies in it.

Real headers leave ViewPosition blank in a third of files (2,586 of the 7,469 of the Indiana collection), so the code,
the patient's orientation and the free text are asked next. What names no projection, or two, is not guessed.
"""

import re

from pydicom.dataset import Dataset, FileDataset

from pipelines.dicom.source import items, text, texts
from pipelines.study import View

__all__ = ["VIEW_KEYWORDS", "find_view", "is_mirrored"]

_TEXT_KEYWORDS = ("SeriesDescription", "ProtocolName", "AcquisitionDeviceProcessingDescription", "StudyDescription")

VIEW_KEYWORDS = (
    "ViewPosition",
    "ViewCodeSequence",
    "PatientOrientation",
    "FieldOfViewHorizontalFlip",
    *_TEXT_KEYWORDS,
)

# PS3.16 CID 4010 "DX View": SNOMED CT codes, and the SNOMED RT codes that older files hold. Codes of the list that are
# not here (obliques, skull and breast views) are no chest view that is read against a frontal report.
_VIEW_CODES = {
    **dict.fromkeys(("272479007", "R-10214", "R-40888"), View.PA),
    **dict.fromkeys(("399348003", "R-10206"), View.AP),
    **dict.fromkeys(("399033003", "R-10202"), View.FRONTAL),
    **dict.fromkeys(("399067008", "399173006", "399198007", "R-102CD", "R-10236", "R-10232"), View.LATERAL),
}

_WORDS = {
    **dict.fromkeys(("PA", "POSTEROANTERIOR"), View.PA),
    **dict.fromkeys(("AP", "ANTEROPOSTERIOR"), View.AP),
    **dict.fromkeys(("FRONTAL", "FRONT"), View.FRONTAL),
    **dict.fromkeys(("LATERAL", "LAT", "LATERALE", "LL", "RL", "SEITLICH"), View.LATERAL),
    # Neither the upright frontal nor the lateral chest, whatever else the text says ("AP LLD", "AP OBLIQUE").
    **dict.fromkeys(("LAO", "RAO", "LPO", "RPO", "LLO", "RLO", "OBLIQUE", "OBL"), View.UNKNOWN),
    **dict.fromkeys(("LLD", "RLD", "DECUBITUS", "DECUB", "SWIMMERS", "XTABLE", "CROSSTABLE"), View.UNKNOWN),
}

# "P.A.", "A/P" and "postero-anterior" are one word each.
_ABBREVIATIONS = re.compile(r"\b(?:(P)[./-]?(A)|(A)[./-]?(P))\b|\b(POSTERO|ANTERO)[ -](ANTERIOR|POSTERIOR)\b")


def find_view(dataset: FileDataset) -> tuple[View, str]:
    """Decide the projection from ViewPosition, else ViewCodeSequence, PatientOrientation, then the descriptions.

    The code comes before the orientation since it tells PA from AP, and before free text since it is unambiguous.

    Returns:
        The view, and the element that decided it ("" where none did).

    Source: PS3.3 C.8.1.1 and C.8.11.5 (ViewPosition, ViewCodeSequence), C.7.6.1.1.1 (PatientOrientation).
    """
    view = _view_in_words(text(dataset, "ViewPosition"))
    if view is not None:
        return view, "ViewPosition"
    view = _view_of_codes(items(dataset, "ViewCodeSequence"))
    if view is not None:
        return view, "ViewCodeSequence"
    view = _view_of_orientation(texts(dataset, "PatientOrientation"))
    if view is not None:
        return view, "PatientOrientation"
    for keyword in _TEXT_KEYWORDS:
        view = _view_in_words(text(dataset, keyword))
        if view is not None:
            return view, keyword
    return View.UNKNOWN, ""


def is_mirrored(dataset: FileDataset) -> bool:
    r"""Say whether the patient's right lies at the image's right.

    PatientOrientation describes the image as it is stored and decides. FieldOfViewHorizontalFlip only says how the
    image was made from the detector's: all 61 PA films of the Indiana collection that carry YES are oriented L\F, the
    usual way round. It is therefore asked only where the orientation is blank.

    Source: PS3.3 C.7.6.1.1.1 (PatientOrientation), C.8.11.4 (FieldOfViewHorizontalFlip).
    """
    row_direction = _first_letters(texts(dataset, "PatientOrientation"))[:1]
    if row_direction in {"L", "R"}:
        return row_direction == "R"
    if row_direction:
        return False  # a lateral: left and right are not in the picture
    return text(dataset, "FieldOfViewHorizontalFlip").upper() == "YES"


def _view_in_words(description: str) -> View | None:
    """Read a view from words; None where they name none, or two that differ ("PA AND LATERAL")."""
    joined = _ABBREVIATIONS.sub(lambda match: "".join(part for part in match.groups() if part), description.upper())
    found = {_WORDS[word] for word in re.findall(r"[^\W\d_]+", joined) if word in _WORDS}
    if View.UNKNOWN in found:
        return View.UNKNOWN
    if len(found) > 1:
        found.discard(View.FRONTAL)  # "frontal, PA" is PA
    return found.pop() if len(found) == 1 else None


def _view_of_codes(codes: tuple[Dataset, ...]) -> View | None:
    for code in codes:
        value = text(code, "CodeValue")
        if value:
            return _VIEW_CODES.get(value, View.UNKNOWN)
    return None


def _first_letters(orientation: tuple[str, ...]) -> str:
    r"""First letter of each direction: "LF" for L\F, and for "LH\FP" of a slightly turned patient too."""
    return "".join(direction[:1] for direction in orientation).upper()


def _view_of_orientation(orientation: tuple[str, ...]) -> View | None:
    letters = _first_letters(orientation)
    if len(letters) != 2 or letters[1] not in "FH":
        return None
    if letters[0] in "LR":
        return View.FRONTAL
    return View.LATERAL if letters[0] in "AP" else None
