"""All DICOM objects of one audited study."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Bool
from pydicom.dataset import Dataset

from pipelines.dicom.source import tolerant_reading
from reports.dicom_out.capture import make_captures
from reports.dicom_out.frames import as_single_film, refer_to_frame
from reports.dicom_out.identity import Identity
from reports.dicom_out.presentation_state import make_presentations
from reports.dicom_out.segmentation import make_segmentations
from reports.dicom_out.shown import Shown, show
from reports.dicom_out.structured_report import make_report
from reports.folder import StudyFolder

__all__ = ["Kind", "Result", "make_results"]


class Kind(StrEnum):
    """What a result is."""

    CAPTURE = "sc"
    SEGMENTATION = "seg"
    REPORT = "sr"
    PRESENTATION = "gsps"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One object for the PACS."""

    kind: Kind
    dataset: Dataset


_MAKERS: Mapping[Kind, Callable[[Shown, int], list[Dataset]]] = {
    Kind.CAPTURE: lambda shown, _number: make_captures(shown),
    Kind.SEGMENTATION: make_segmentations,
    Kind.REPORT: lambda shown, number: [make_report(shown, number)],
    Kind.PRESENTATION: lambda shown, _number: make_presentations(shown),
}


def make_results(
    study: StudyFolder,
    *,
    sources: Mapping[str, Dataset],
    valid: Mapping[str, Bool[np.ndarray, "rows columns"]],
    secret: bytes,
    kinds: frozenset[Kind] = frozenset(Kind),
) -> list[Result]:
    """Make the results of the images of a study whose originals are at hand.

    Args:
        study: an audited study, as :func:`reports.folder.read_study` gives it.
        sources: headers by the key of the image (:func:`reports.dicom_out.read_source`).
        valid: by the key of the image, where it shows something (:func:`reports.folder.valid_of`).
        secret: the salt; UIDs follow from it and from what the objects show.
        kinds: which objects are wanted.

    Returns:
        Captures and presentation states, one a phrase; segmentations and reports, one an image.
    """
    identity = Identity(secret=secret, study=study)
    made: list[Result] = []
    first = 1
    for number, image in enumerate(study.record.images, start=1):
        if image.key in sources and image.phrases:
            source = sources[image.key]
            film = as_single_film(source)
            shown = show(study, image, source=film, valid=valid[image.key], identity=identity, first=first)
            with tolerant_reading():  # of what the originals hold and results copy
                for kind in (kind for kind in Kind if kind in kinds):
                    for dataset in _MAKERS[kind](shown, number):
                        identity.finish(dataset, source)
                        if film is not source:
                            refer_to_frame(dataset, source, image.frame)
                        made.append(Result(kind=kind, dataset=dataset))
        first += len(image.phrases)
    return made
