"""What was done to a radiograph's pixels, step by step."""

from dataclasses import dataclass

__all__ = ["PixelStep"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelStep:
    """One step between the stored values and the displayed image. Holds no value that could name a patient."""

    step: str  # "decoding", "modality", "VOI window", "polarity", ...
    detail: str  # what was applied, with its numbers and the header element it came from
