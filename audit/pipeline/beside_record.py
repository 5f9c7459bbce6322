"""What is stored beside the record of an image: its heat maps, pictures of changed images, and embeddings."""

import numpy as np

from audit.pipeline.explain import ExplainedCase
from audit.pipeline.scoring_context import Grid
from reports.reading import erased_pictures
from reports.record import ErasedRecord, ScoredImage

__all__ = ["erased_record", "stored_beside", "stored_heat", "total_of"]

_LARGEST_HALF, _SMALLEST_HALF = 6e4, 1e-2  # in this range half precision keeps three digits of the maximum cell


def erased_record(explained: ExplainedCase, index: int, name: str) -> ErasedRecord | None:
    """Return the record of a phrase's changed images, with the names of its pictures; None if there are none."""
    erased = next((each for each in explained.erased if each.index == index), None)
    if erased is None:
        return None
    return ErasedRecord(
        fill=erased.fill.value,
        region=erased.region,
        elsewhere=erased.elsewhere,
        blank=erased.blank,
        reason=erased.reason,
        pictures=erased_pictures(name, len(erased.pictures)),
    )


def stored_beside(
    explained: ExplainedCase, image: ScoredImage, prefix: str
) -> tuple[dict[str, bytes], dict[str, np.ndarray]]:
    """Return the pictures and the embeddings of an image that are stored beside its record, by their names.

    A phrase of which words are masked has none: whoever has the model could try what the words are.
    """
    pictures: dict[str, bytes] = {}
    for erased in explained.erased:
        names = erased_pictures(f"{prefix}-phrase-{erased.index + 1}", len(erased.pictures))
        pictures |= dict(zip(names, erased.pictures, strict=True))
    if explained.embeddings is None:
        return pictures, {}
    vectors = {
        image.phrases[index].heat: vector
        for index, vector in explained.embeddings.phrases.items()
        if image.phrases[index].text == explained.loaded.case.phrases[index].text
    }
    embeddings = {prefix: explained.embeddings.image, **vectors}
    return pictures, {name: vector[None].astype(np.float32) for name, vector in embeddings.items()}


def stored_heat(heat: Grid) -> Grid:
    """Convert a heat map to its stored precision before scoring, so that rescoring gives the same result.

    It is half precision, unless that would lose the range of the heat (gradients are small) or make two cells the
    maximum instead of one: then it is single precision.
    """
    largest = float(np.abs(heat).max(initial=0.0))
    if largest != 0.0 and not _SMALLEST_HALF <= largest <= _LARGEST_HALF:
        return heat.astype(np.float32)
    half = heat.astype(np.float16)
    if np.count_nonzero(half == half.max()) != np.count_nonzero(heat == heat.max()):
        return heat.astype(np.float32)
    return half


def total_of(heat: Grid) -> float:
    """Return the sum of a heat map, in its unit."""
    return float(heat.astype(np.float64).sum())
