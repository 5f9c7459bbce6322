"""Cascading randomisation: does the heat change when the model forgets what it has learnt, from the top block down?

A heat that stays the same while blocks turn random shows the image's edges or the phrase's rare words, not the model.

Source: Adebayo et al. 2018, "Sanity checks for saliency maps" (cascading randomization). The heats are compared on the
model's own grid: brought up to the input's size, as the paper's, all would be alike in what interpolation adds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from scipy.stats import spearmanr
from skimage.metrics import structural_similarity

from audit.attribution.pairs import Attribution, Request
from audit.encoders.protocol import DualEncoder
from audit.faithfulness.randomisation import TowerName, randomised

__all__ = ["CascadeSettings", "Explainer", "PairSimilarity", "SanityStep", "cascade", "rank_correlation", "similarity"]

_WINDOW = 7  # cells a side, of the structural similarity; less where the grid is smaller
_FEWEST = 3  # values to rank, and cells a side of a window


@runtime_checkable
class Explainer(Protocol):
    """An attribution method, as far as this check asks."""

    def explain_batch(
        self, encoder: DualEncoder, requests: Sequence[Request], *, words: bool = True
    ) -> tuple[tuple[Attribution, ...], ...]:
        """Explain each request's image with each of its phrases."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CascadeSettings:
    """Which tower forgets, how far down, and the seed of its new weights."""

    tower: TowerName = TowerName.IMAGE
    blocks: tuple[int, ...] | None = None  # numbers of randomised blocks, from the top; None: 1, 2, ... all
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PairSimilarity:
    """How like its trained self one pair's heat still is."""

    spearman: float | None  # of the image heat, -1 to 1; None where either is flat, not finite or of under three cells
    ssim: float | None  # of the min-max image heat, -1 to 1; None as above, or where a side has under three cells
    words_spearman: float | None  # of the word heat; None as above, or where words were not explained
    cosine: float  # of the pair under the randomised model


@dataclass(frozen=True, slots=True, kw_only=True)
class SanityStep:
    """All pairs with one number of random blocks."""

    tower: TowerName
    blocks: int
    pairs: tuple[tuple[PairSimilarity, ...], ...]  # for each request, one a phrase

    @property
    def spearman(self) -> float | None:
        """Mean rank correlation of the image heats that could be compared; None where none could."""
        return _mean([pair.spearman for request in self.pairs for pair in request])

    @property
    def ssim(self) -> float | None:
        """Mean structural similarity of the image heats that could be compared; None where none could."""
        return _mean([pair.ssim for request in self.pairs for pair in request])

    @property
    def words_spearman(self) -> float | None:
        """Mean rank correlation of the word heats that could be compared; None where none could."""
        return _mean([pair.words_spearman for request in self.pairs for pair in request])


def cascade(
    method: Explainer,
    encoder: DualEncoder,
    requests: Sequence[Request],
    settings: CascadeSettings | None = None,
    *,
    words: bool = True,
) -> Iterator[SanityStep]:
    """Explain the requests with the trained model, then with ever more of one tower random, and compare.

    The pairs keep their seeds, so a method's own noise is the same at every step. A step is worked out when it is
    asked for, and its copy of the tower is dropped with it.

    Raises:
        ModelError: the tower is not made of transformer blocks.
        ValueError: it has fewer blocks than were asked for.
    """
    settings = settings or CascadeSettings()
    half = encoder.image if settings.tower is TowerName.IMAGE else encoder.text
    trained = method.explain_batch(encoder, requests, words=words)
    numbers = range(1, half.depth + 1) if settings.blocks is None else settings.blocks
    for blocks in numbers:
        model = randomised(encoder, settings.tower, blocks=blocks, seed=settings.seed)
        found = method.explain_batch(model, requests, words=words)
        compared = tuple(
            tuple(similarity(before, after) for before, after in zip(own, others, strict=True))
            for own, others in zip(trained, found, strict=True)
        )
        yield SanityStep(tower=settings.tower, blocks=blocks, pairs=compared)


def similarity(trained: Attribution, found: Attribution) -> PairSimilarity:
    """Compare two explanations of one pair; the first is the trained model's."""
    first, second = (one.heat.detach().cpu().double().numpy() for one in (trained, found))
    words = (np.array([heat for _, heat in one.words], dtype=float) for one in (trained, found))
    return PairSimilarity(
        spearman=rank_correlation(first, second),
        ssim=_structural(first, second),
        words_spearman=rank_correlation(*words),
        cosine=found.cosine,
    )


def rank_correlation(first: Float[np.ndarray, "*shape"], second: Float[np.ndarray, "*shape"]) -> float | None:
    """Spearman's rank correlation, ties at their mean rank, -1 to 1; None for a flat map or fewer than three values."""
    if first.size < _FEWEST or not (_has_relief(first) and _has_relief(second)):
        return None
    return float(spearmanr(first.ravel(), second.ravel()).statistic)


def _structural(first: Float[np.ndarray, "rows columns"], second: Float[np.ndarray, "rows columns"]) -> float | None:
    """Structural similarity of two maps brought to 0 to 1, in windows of up to seven cells a side.

    Source: Wang et al. 2004, "Image quality assessment: from error visibility to structural similarity".
    """
    side = min(first.shape)
    if side < _FEWEST or not (_has_relief(first) and _has_relief(second)):
        return None
    window = min(_WINDOW, side - (side + 1) % 2)
    scaled = [(one - one.min()) / (one.max() - one.min()) for one in (first, second)]
    return float(structural_similarity(*scaled, data_range=1.0, win_size=window))  # type: ignore[no-untyped-call]


def _has_relief(values: Float[np.ndarray, "*shape"]) -> bool:
    return bool(np.isfinite(values).all()) and float(values.max()) > float(values.min())


def _mean(values: Sequence[float | None]) -> float | None:
    measured = [value for value in values if value is not None]
    return sum(measured) / len(measured) if measured else None
