"""Confidence drop and increase: the change of the cosine when the input is weighted by its own heat.

Heat that shows what the cosine depends on preserves it (a small drop) or, by hiding contrary evidence, increases it.

Source: Chattopadhay et al. 2018, "Grad-CAM++: generalized gradient-based visual explanations for deep convolutional
networks", section 4.1. As in pytorch-grad-cam's metrics (``cam_mult_image``), which M2IB's authors report, the heat
multiplies the normalised tensor, so that hidden pixels become the mean grey, and the drop is not divided by o, because
a cosine may be 0 or negative.

Departures from the code of M2IB's authors: their image measure passes the map without a batch axis, so that its first
row weights every row of the image; their text measure keeps the token ids above the median of the token map and
replaces the others, except start and end, by the id 0. Here the whole map weights the image, and words are weighted in
their embeddings, with start and end kept, because an id 0 is another token. With :attr:`TextMask.MEDIAN` weights are 0
or 1 as there, by the median over words instead of word pieces.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from statistics import median

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from audit.encoders.protocol import DualEncoder
from audit.faithfulness.pairs import ExplainedPair, cosines_of_images, cosines_of_phrases, unit_range

__all__ = [
    "Confidence",
    "TextMask",
    "image_confidence",
    "text_confidence",
    "weights_on_input",
]

_RESOLUTION = 1e-6  # what fp32 leaves of a cosine: the same input in another batch differs by as much


class TextMask(StrEnum):
    """How the heat of words becomes weights."""

    MEDIAN = "median"  # 1 above the median of the phrase's words, else 0: as M2IB's authors do
    MINMAX = "minmax"  # the min-max heat, 0 to 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Confidence:
    """The cosine of one pair, -1 to 1, before and after one side is weighted by its heat."""

    whole: float  # o
    weighted: float  # s

    @property
    def drop(self) -> float:
        """Loss of the cosine, max(0, o - s), 0 to 2; a difference below the resolution of fp32 is 0."""
        lost = self.whole - self.weighted
        return lost if lost > _RESOLUTION else 0.0

    @property
    def increased(self) -> bool:
        """True if s > o by more than the resolution of fp32."""
        return self.weighted - self.whole > _RESOLUTION


def image_confidence(encoder: DualEncoder, pairs: Sequence[ExplainedPair]) -> list[Confidence | None]:
    """Weight each image by its heat; None where the grid has a single cell, which can pick nothing out.

    A flat heat picks nothing out either, but that is the method's doing: it leaves a grey image.
    """
    measured = [pair for pair in pairs if pair.heat.numel() > 1]
    changes: list[list[Callable[[], Tensor]]] = [
        [partial(_unchanged, pair.pixels), partial(_weighted, pair.pixels, pair.heat)] for pair in measured
    ]
    cosines = cosines_of_images(encoder, measured, changes)
    return _spread([pair.heat.numel() > 1 for pair in pairs], cosines)


def text_confidence(
    encoder: DualEncoder, pairs: Sequence[ExplainedPair], *, mask: TextMask = TextMask.MINMAX
) -> list[Confidence | None]:
    """Weight each word's token embeddings by the heat of the words; None for a phrase of fewer than two.

    In a tower that normalises before each block (CLIP, SigLIP) a weight between 0 and 1 acts on the residual alone;
    there the scores of :func:`audit.faithfulness.curves.word_curves`, where weights are 0 or 1, say more.

    Raises:
        ModelError: the text tower does not hand out its embeddings.
        ValueError: a pair's words are not those of its phrase.
    """
    measured = [pair for pair in pairs if len(pair.words) > 1]
    weights = [[[1.0] * len(pair.words), _word_weights(pair, mask)] for pair in measured]
    cosines = cosines_of_phrases(encoder, measured, weights)
    return _spread([len(pair.words) > 1 for pair in pairs], cosines)


def weights_on_input(heat: Float[Tensor, "grid_rows grid_columns"], size: int) -> Float[Tensor, "size size"]:
    """Interpolate heat from the model's grid to its input (bilinear, clamped at the border) and scale it to 0 to 1."""
    fine = interpolate(heat.detach().float()[None, None], size=(size, size), mode="bilinear", align_corners=False)
    return unit_range(fine[0, 0])


def _unchanged(pixels: Float[Tensor, "3 size size"]) -> Float[Tensor, "3 size size"]:
    return pixels


def _weighted(
    pixels: Float[Tensor, "3 size size"], heat: Float[Tensor, "grid_rows grid_columns"]
) -> Float[Tensor, "3 size size"]:
    return pixels * weights_on_input(heat.to(pixels.device), pixels.shape[-1])


def _word_weights(pair: ExplainedPair, mask: TextMask) -> list[float]:
    weights: list[float] = unit_range(Tensor([heat for _, heat in pair.words])).tolist()
    if mask is TextMask.MINMAX:
        return weights
    middle = median(weights)
    return [float(weight > middle) for weight in weights]


def _spread(is_measured: Sequence[bool], cosines: Sequence[Sequence[float]]) -> list[Confidence | None]:
    """Return the result of each pair, None if it was not measured."""
    iterator = (Confidence(whole=whole, weighted=weighted) for whole, weighted in cosines)
    return [next(iterator) if measured else None for measured in is_measured]
