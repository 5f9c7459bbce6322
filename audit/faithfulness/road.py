"""ROAD: remove the most, and the least, attributed patches, fill the gap so that its shape tells nothing, look again.

A hole of mean grey gives away by its outline what was there; noisy linear imputation hides the outline, and the model
needs no retraining. A faithful heat loses much when its hottest patches go and little when its coldest do.

Source: Rong et al. 2022, "A consistent and efficient evaluation strategy for attribution methods" (ICML).
Departures: whole patches are removed, since a map on a grid ranks no pixels; exactly the share asked for is
removed where heat is tied, the ties by a seeded shuffle; and the score is the cosine, for there are no classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from audit.encoders.protocol import DualEncoder
from audit.faithfulness.curves import cells_on_input
from audit.faithfulness.imputation import impute_linearly
from audit.faithfulness.pairs import ExplainedPair, cosines_of_images, hottest_first

__all__ = ["Road", "RoadSettings", "road"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoadSettings:
    """How much is removed, and the noise of what is filled in."""

    percentiles: tuple[float, ...] = (10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0)  # of the patches
    noise: float = 0.01  # standard deviation, in units of the normalised tensor

    def __post_init__(self) -> None:
        """Refuse what cannot be removed.

        Raises:
            ValueError: no percentile, one that is not between 0 and 100, or a negative noise.
        """
        if not self.percentiles or not all(0.0 < percentile < 100.0 for percentile in self.percentiles):
            raise ValueError(f"percentiles must lie between 0 and 100, got {self.percentiles}")
        if self.noise < 0.0:
            raise ValueError(f"noise must not be negative, got {self.noise}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Road:
    """Cosines of one pair, -1 to 1, after each percentile of the patches was removed."""

    percentiles: tuple[float, ...]
    most_first: tuple[float, ...]  # the hottest removed (MoRF): low is good
    least_first: tuple[float, ...]  # the coldest removed (LeRF): high is good

    @property
    def difference(self) -> float:
        """Half the mean of least first minus most first, -1 to 1; 0 for a random order, on average.

        Source: pytorch-grad-cam's ``ROADCombined``.
        """
        gaps = [least - most for least, most in zip(self.least_first, self.most_first, strict=True)]
        return sum(gaps) / len(gaps) / 2.0


def road(
    encoder: DualEncoder, pairs: Sequence[ExplainedPair], settings: RoadSettings | None = None
) -> list[Road | None]:
    """Remove each image's hottest and coldest patches; None where the grid has a single cell.

    A flat heat has no order: its hottest patches are a seeded random choice. The noise is seeded by the pair.
    """
    settings = settings or RoadSettings()
    return [_road_of(encoder, pair, settings) if pair.heat.numel() > 1 else None for pair in pairs]


def _road_of(encoder: DualEncoder, pair: ExplainedPair, settings: RoadSettings) -> Road:
    """Fill and run all of a pair's images together: 18 with nine percentiles."""
    images = _with_parts_removed(pair, settings)
    cosines = cosines_of_images(encoder, [pair], [[partial(images.__getitem__, row) for row in range(len(images))]])[0]
    half = len(settings.percentiles)
    return Road(percentiles=settings.percentiles, most_first=tuple(cosines[:half]), least_first=tuple(cosines[half:]))


@torch.no_grad()
def _with_parts_removed(pair: ExplainedPair, settings: RoadSettings) -> Float[Tensor, "images 3 size size"]:
    cells, (rows, columns), size = pair.heat.numel(), pair.heat.shape, pair.pixels.shape[-1]
    hottest = hottest_first(pair.heat, seed=pair.seed)
    counts = [min(max(round(percentile * cells / 100.0), 1), cells - 1) for percentile in settings.percentiles]
    masks = [
        cells_on_input(order[:count], (rows, columns), size) for order in (hottest, hottest.flip(0)) for count in counts
    ]
    filled = torch.stack([impute_linearly(pair.pixels, mask) for mask in masks])
    missing = torch.stack(masks).to(filled.device)
    generator = torch.Generator().manual_seed(pair.seed % 2**63)  # on the CPU: the same noise on every device
    noise = settings.noise * torch.randn(filled.shape, generator=generator)
    return torch.where(missing[:, None], filled + noise.to(filled.device), filled)
