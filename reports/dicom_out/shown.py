"""One audited image with what every kind of result shows of it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from pydicom.dataset import Dataset

from pipelines.dicom.source import text
from reports.dicom_out.identity import Identity
from reports.dicom_out.regions import HotRegion, hot_region
from reports.folder import StudyFolder
from reports.overlay import placement_of
from reports.record import ImageRecord, ModelRecord, PhraseRecord, StudyRecord

__all__ = ["Shown", "ShownPhrase", "show"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownPhrase:
    """One phrase put to the model, its heat, and where that is hot."""

    number: int  # over all images of the study, from 1
    record: PhraseRecord
    heat: Float[np.ndarray, "grid_rows grid_columns"]
    region: HotRegion | None  # None: the map shows nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One image of an audited study, beside its original's header."""

    identity: Identity
    record: ImageRecord
    source: Dataset
    picture: bytes
    phrases: tuple[ShownPhrase, ...]

    @property
    def study(self) -> StudyRecord:
        """The record of its study."""
        return self.identity.study.record

    @property
    def model(self) -> ModelRecord:
        """The model that was audited."""
        return self.study.model

    @property
    def is_inverted(self) -> bool:
        """Whether low stored values are shown bright."""
        inverted = {("PhotometricInterpretation", "MONOCHROME1"), ("PresentationLUTShape", "INVERSE")}
        return any(text(self.source, keyword) == value for keyword, value in inverted)


def show(
    study: StudyFolder,
    image: ImageRecord,
    *,
    source: Dataset,
    valid: Bool[np.ndarray, "rows columns"],
    identity: Identity,
    first: int,
) -> Shown:
    """Bring together what the results of an image show; its phrases are counted from ``first``."""
    phrases = []
    for number, phrase in enumerate(image.phrases, start=first):
        grid = study.heats[phrase.heat]
        on_source = placement_of(image.placement).heat_to_source(grid)
        on_source[~valid] = np.nan
        region = hot_region(on_source, phrase.hottest)
        phrases.append(ShownPhrase(number=number, record=phrase, heat=grid, region=region))
    return Shown(
        identity=identity,
        record=image,
        source=source,
        picture=study.pictures[image.picture],
        phrases=tuple(phrases),
    )
