"""What the check of a method itself measures: randomised models, repeatability and max-sensitivity."""

from typing import Literal

from reports.record import Record

__all__ = ["Change", "MethodSanity", "Repeatability", "SampleMean", "SanityStage", "TowerVerdict"]

Change = Literal["second seed", "other window", "shift"]
"""What differs between two explanations of the same pair by the same model."""


class SampleMean(Record):
    """A mean with its 95 % interval over patients; the ends are missing if there is one patient only."""

    estimate: float
    low: float | None
    high: float | None
    cases: int
    patients: int


class SanityStage(Record):
    """One tower with a number of randomised blocks: similarity of the heat to that of the trained model."""

    tower: Literal["image", "text"]
    blocks: int  # randomised, from the top
    of: int  # blocks that the tower has
    spearman: SampleMean | None  # of the image heat; None where no pair of maps could be compared
    ssim: SampleMean | None  # of the image heat
    words_spearman: SampleMean | None
    cosine: SampleMean | None  # of image and phrase under the randomised model


class TowerVerdict(Record):
    """Whether a method passes for one tower: the SSIM with all blocks random is below that of random pairs of maps."""

    tower: Literal["image", "text"]
    ssim: SampleMean
    passes: bool
    is_clear: bool  # the intervals of the SSIM and of the random pairs do not overlap


class Repeatability(Record):
    """Similarity of two image heats of the same pair when something that should not matter is changed."""

    change: Change
    ssim: SampleMean | None
    peak_px: SampleMean | None  # distance of the hottest cells, in pixels of the model's input
    spearman: SampleMean | None


class MethodSanity(Record):
    """What the check found for one method."""

    method: str
    phrases: int
    random_pairs: int  # pairs of maps of different patients that make the reference
    reference: SampleMean | None  # mean SSIM of these pairs; None where there are too few patients
    stages: tuple[SanityStage, ...]
    verdicts: tuple[TowerVerdict, ...]  # of the towers that were randomised, where both means were measured
    repeatability: tuple[Repeatability, ...]
    max_sensitivity: SampleMean | None  # largest relative change of the heat over ``draws`` of noise
    draws: int
    epsilon: float  # largest change of a pixel by the noise, of a display range of 1
