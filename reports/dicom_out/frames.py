"""Of an original with several frames, results name the one that they are about."""

from collections.abc import Iterator

from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from pipelines.dicom.headers import MULTI_FRAME_CLASSES
from pipelines.dicom.source import items, text

__all__ = ["as_single_film", "items_within", "refer_to_frame"]


def as_single_film(source: Dataset) -> Dataset:
    """Give the header of one frame as that of a film.

    Of a class with several frames highdicom asks for functional groups, which secondary captures need not have.
    """
    if source.SOPClassUID not in MULTI_FRAME_CLASSES:
        return source
    film = Dataset()
    film.update(source)
    film.add_new("SOPClassUID", "UI", SecondaryCaptureImageStorage)  # an element of its own: the others are shared
    return film


def refer_to_frame(result: Dataset, source: Dataset, frame: int) -> None:
    """Let a result that was made of :func:`as_single_film` refer to one frame of the original.

    Args:
        result: changed in place.
        source: the header of the original.
        frame: counted from 1.

    Source: PS3.3 table 10-3 (Image SOP Instance Reference Macro), which image content items of structured reports use
    as well (C.18.4); other references (table 10-11) name no frame.
    """
    for part in items_within(result):
        if text(part, "ReferencedSOPInstanceUID") == source.SOPInstanceUID:
            part.ReferencedSOPClassUID = source.SOPClassUID
        of_report = text(part, "ValueType") == "IMAGE"
        for keyword in ("ReferencedSOPSequence",) if of_report else ("ReferencedImageSequence", "SourceImageSequence"):
            for reference in items(part, keyword):
                reference.ReferencedFrameNumber = frame


def items_within(dataset: Dataset) -> Iterator[Dataset]:
    """Give a data set and every item of every sequence in it."""
    yield dataset
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from items_within(item)
