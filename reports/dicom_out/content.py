"""The content of an image's DICOM results: its phrases with their heat, and the hot region of each."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from pydicom.dataset import Dataset
from skimage.filters import threshold_otsu
from skimage.measure import label

from pipelines.dicom.source import text
from reports.dicom_out.identity import Identity
from reports.record import ModelRecord, Pixel, ScoredImage, ScoredPhrase, StudyRecord
from reports.results_folder import StudyFolder

__all__ = ["HotRegion", "ImageContent", "PhraseContent", "content_of", "hot_region", "outline_of"]

_BINS = 256
_LAST_BITS = 8  # units in the last place: what interpolation may leave of a flat map


@dataclass(frozen=True, slots=True, kw_only=True)
class HotRegion:
    """The hot pixels of one heat on its source image."""

    mask: Bool[np.ndarray, "rows columns"]
    threshold: float  # in the heat's unit; pixels above it are hot
    box: tuple[float, float, float, float] | None  # left, top, right, bottom of the hottest region, edge-based px

    @property
    def outline(self) -> list[tuple[float, float]] | None:
        """The box as a closed polyline of five points (column, row)."""
        return None if self.box is None else outline_of(*self.box)


def outline_of(left: float, top: float, right: float, bottom: float) -> list[tuple[float, float]]:
    """Return a rectangle as a closed polyline of five points (column, row)."""
    return [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]


def hot_region(heat: Float[np.ndarray, "rows columns"], hottest: Pixel | None) -> HotRegion | None:
    """Return the hot region of a heat map; None if the map is flat or nowhere finite.

    Args:
        heat: on source pixels; pixels that are not finite are ignored.
        hottest: (row, column) of the peak, edge-based; None if the map has no single one: the region then has
            no box.

    Source: Otsu 1979, "A threshold selection method from gray-level histograms"; the same threshold as that of the
    score "IoU at Otsu".
    """
    seen = np.isfinite(heat)
    values = heat[seen]
    if values.size == 0:
        return None
    largest = max(abs(float(values.max())), abs(float(values.min())))
    if float(values.max() - values.min()) <= _LAST_BITS * float(np.finfo(heat.dtype).eps) * largest:
        return None
    threshold = float(threshold_otsu(values, nbins=_BINS))  # type: ignore[no-untyped-call]
    mask = seen & (np.where(seen, heat, threshold) > threshold)
    return HotRegion(mask=mask, threshold=threshold, box=None if hottest is None else _box_around(mask, hottest))


def _box_around(mask: Bool[np.ndarray, "rows columns"], hottest: Pixel) -> tuple[float, float, float, float] | None:
    """Return the bounding box of the connected component (8 neighbours) of a mask that contains a point."""
    rows, columns = mask.shape
    point = min(int(hottest[0]), rows - 1), min(int(hottest[1]), columns - 1)
    if not mask[point]:
        return None
    parts = label(mask, connectivity=2)  # type: ignore[no-untyped-call]
    own_rows, own_columns = np.nonzero(parts == parts[point])
    return (
        float(own_columns.min()),
        float(own_rows.min()),
        float(own_columns.max() + 1),
        float(own_rows.max() + 1),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PhraseContent:
    """One phrase with its heat and hot region."""

    number: int  # among the phrases of the study, from 1
    record: ScoredPhrase
    heat: Float[np.ndarray, "grid_rows grid_columns"]
    region: HotRegion | None  # None if the heat is flat


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageContent:
    """One image of an audited study with the header of its original."""

    identity: Identity
    record: ScoredImage
    source: Dataset
    picture: bytes
    phrases: tuple[PhraseContent, ...]

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
        """Whether low stored values are displayed bright."""
        inverted = {("PhotometricInterpretation", "MONOCHROME1"), ("PresentationLUTShape", "INVERSE")}
        return any(text(self.source, keyword) == value for keyword, value in inverted)


def content_of(
    study: StudyFolder,
    image: ScoredImage,
    *,
    source: Dataset,
    valid: Bool[np.ndarray, "rows columns"],
    identity: Identity,
    first: int,
) -> ImageContent:
    """Collect the content of an image's results; the phrases are numbered from ``first``."""
    phrases = []
    for number, phrase in enumerate(image.phrases, start=first):
        grid = study.heats[phrase.heat]
        on_source = image.placement.heat_to_source(grid)
        on_source[~valid] = np.nan
        region = hot_region(on_source, phrase.hottest)
        phrases.append(PhraseContent(number=number, record=phrase, heat=grid, region=region))
    return ImageContent(
        identity=identity,
        record=image,
        source=source,
        picture=study.pictures[image.picture],
        phrases=tuple(phrases),
    )
