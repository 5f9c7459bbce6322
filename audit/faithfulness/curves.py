"""Deletion and insertion: how fast the cosine falls or rises when the hottest parts are removed or inserted first.

Patches and words are ranked by the heat only, so that a method is judged by its order, not its scale. Hidden patches
become the model's mean grey or a blur of themselves; hidden words get a zero embedding.

Source: Petsiuk et al. 2018, "RISE: randomized input sampling for explanation of black-box models" (deletion and
insertion). The paper uses single pixels and the probability of a class; here patches of the grid, because a map on a
grid does not rank pixels, and the cosine.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, pad

from audit.encoders.protocol import DualEncoder
from audit.faithfulness.pairs import ExplainedPair, cosines_of_images, cosines_of_phrases, order_by_heat

__all__ = [
    "Baseline",
    "Change",
    "Curve",
    "CurveSettings",
    "blurred",
    "cells_on_input",
    "image_curves",
    "word_curve_name",
    "word_curves",
]


class Change(StrEnum):
    """Which way the curve is walked."""

    DELETION = "deletion"  # from the whole input, the hottest is hidden first; a low area is good
    INSERTION = "insertion"  # from nothing, the hottest is shown first; a high area is good


class Baseline(StrEnum):
    """The content of hidden patches."""

    GREY = "mean grey"  # the mean that preprocessing subtracts: 0 in the normalised tensor
    BLUR = "blur"


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveSettings:
    """How an image is changed; the paper deletes to grey and inserts into a blur."""

    change: Change = Change.DELETION
    baseline: Baseline = Baseline.GREY
    steps: int = 20  # of equal numbers of patches; no more than there are patches
    blur_sigma: float = 0.05  # of the blur, as a share of the input's side

    def __post_init__(self) -> None:
        """Refuse what gives no curve.

        Raises:
            ValueError: no step, or a blur that does not blur.
        """
        if self.steps < 1 or self.blur_sigma <= 0.0:
            raise ValueError(f"steps and blur_sigma must be positive, got {self.steps} and {self.blur_sigma}")

    @property
    def name(self) -> str:
        """The name of the score, which includes the baseline."""
        return f"image {self.change} AUC, {self.baseline}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Cosines, -1 to 1, as more and more of one side is hidden (deletion) or shown (insertion)."""

    fractions: tuple[float, ...]  # of the patches or words, from 0 to 1
    cosines: tuple[float, ...]

    @property
    def area(self) -> float:
        """Area under the curve by the trapezoid rule, in units of the cosine, -1 to 1."""
        return float(np.trapezoid(self.cosines, self.fractions))


def image_curves(
    encoder: DualEncoder, pairs: Sequence[ExplainedPair], settings: CurveSettings | None = None
) -> list[Curve | None]:
    """Hide or show each image's patches in the order of its heat; None where the grid has a single cell.

    A flat heat has no order: it gets the area of a seeded random one.
    """
    settings = settings or CurveSettings()
    measured = [pair for pair in pairs if pair.heat.numel() > 1]
    counts = [_counts(pair.heat.numel(), settings.steps) for pair in measured]
    changes = [
        [partial(_changed, pair, settings, count) for count in own] for pair, own in zip(measured, counts, strict=True)
    ]
    cosines = iter(zip(counts, cosines_of_images(encoder, measured, changes), strict=True))
    return [_curve(*next(cosines)) if pair.heat.numel() > 1 else None for pair in pairs]


def word_curves(
    encoder: DualEncoder, pairs: Sequence[ExplainedPair], change: Change = Change.DELETION
) -> list[Curve | None]:
    """Zero or restore the embeddings of each phrase's words, one word a step, in the order of their heat.

    None for a phrase of fewer than two words. A flat heat gets the area of a seeded random order.

    Raises:
        ModelError: the text tower does not hand out its embeddings.
        ValueError: a pair's words are not those of its phrase.
    """
    measured = [pair for pair in pairs if len(pair.words) > 1]
    weights = [[_kept(pair, change, count) for count in range(len(pair.words) + 1)] for pair in measured]
    cosines = iter(cosines_of_phrases(encoder, measured, weights))
    return [_curve(range(len(pair.words) + 1), next(cosines)) if len(pair.words) > 1 else None for pair in pairs]


def word_curve_name(change: Change) -> str:
    """Return the score name of a word curve's area."""
    return f"text {change} AUC, zero embeddings"


def cells_on_input(cells: Int[Tensor, " cells"], grid: tuple[int, int], size: int) -> Bool[Tensor, "size size"]:
    """Mark the input's pixels whose centre lies in one of ``cells``, indices into the flattened grid."""
    marked = torch.zeros(grid[0] * grid[1])
    marked[cells] = 1.0
    return interpolate(marked.view(1, 1, *grid), size=(size, size), mode="nearest-exact")[0, 0] > 0.5


def blurred(pixels: Float[Tensor, "channels height width"], sigma: float) -> Float[Tensor, "channels height width"]:
    """Blur by a Gaussian of ``sigma`` px, cut off at three sigma; the border is continued."""
    radius = max(1, round(3.0 * sigma))
    offsets = torch.arange(-radius, radius + 1, device=pixels.device, dtype=pixels.dtype)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = kernel / kernel.sum()
    rows = pad(pixels[:, None], (0, 0, radius, radius), mode="replicate")
    rows = conv2d(rows, kernel.view(1, 1, -1, 1))
    return conv2d(pad(rows, (radius, radius, 0, 0), mode="replicate"), kernel.view(1, 1, 1, -1))[:, 0]


def _counts(cells: int, steps: int) -> list[int]:
    """Return the number of changed cells at each step, from none to all."""
    steps = min(steps, cells)
    return [round(step * cells / steps) for step in range(steps + 1)]


def _changed(pair: ExplainedPair, settings: CurveSettings, count: int) -> Float[Tensor, "3 size size"]:
    size = pair.pixels.shape[-1]
    chosen = order_by_heat(pair.heat, seed=pair.seed)[:count]
    rows, columns = pair.heat.shape
    marked = cells_on_input(chosen, (rows, columns), size).to(pair.pixels.device)
    hidden = marked if settings.change is Change.DELETION else ~marked
    if settings.baseline is Baseline.GREY:
        return torch.where(hidden, 0.0, pair.pixels)
    return torch.where(hidden, blurred(pair.pixels, settings.blur_sigma * size), pair.pixels)


def _kept(pair: ExplainedPair, change: Change, count: int) -> list[float]:
    """Weights of the words after ``count`` of them were changed."""
    chosen = set(order_by_heat(Tensor([heat for _, heat in pair.words]), seed=pair.seed)[:count].tolist())
    return [float((word in chosen) is (change is Change.INSERTION)) for word in range(len(pair.words))]


def _curve(counts: Sequence[int], cosines: Sequence[float]) -> Curve:
    return Curve(fractions=tuple(count / counts[-1] for count in counts), cosines=tuple(cosines))
