"""Trains the network that finds and reads side markers, from synthetic images; it never sees a film."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from audit.phantom.letter_images import Grey, LetterImages, make_letter_images
from audit.phantom.network_training import NetworkTraining, refuse_existing, save_half, trained
from pipelines.phantom.render import render, sample_phantom
from pipelines.regions.letter_network import LetterNetwork, standardised
from pipelines.regions.letter_shapes import LetterShape

__all__ = ["LetterTraining", "train_letters"]

_COLUMNS = 400  # px, width at which phantoms are rendered for backgrounds
_FOCUS = 1.0  # exponent of the focal loss: how much less a cell counts that is answered well
_BORDERS = 0.05  # weight of a px that a border is off
_MIRRORED = (
    LetterShape.NONE,
    LetterShape.MIRRORED_L,
    LetterShape.MIRRORED_R,
    LetterShape.L,
    LetterShape.R,
    LetterShape.OTHER,
)  # of each shape in order


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterTraining(NetworkTraining):
    """Settings of a training run. The same settings on the same machine give the same weights."""

    steps: int = 2500
    batch: int = 32
    images: int = 10000
    phantoms: int = 60
    learning_rate: float = 4e-3
    weight_decay: float = 1e-3
    seed: int = 20261130


def train_letters(out: Path, settings: LetterTraining, *, on_message: Callable[[str], None]) -> None:
    """Train the network and write its weights in half precision to ``out``, a safetensors file.

    The loss is the focal loss of the shapes (Lin, Goyal, Girshick, He and Dollár 2017) plus the absolute error of the
    borders.

    Raises:
        OutputError: ``out`` exists already.
    """
    refuse_existing(out)
    on_message(f"Drawing {settings.images} images with and without letters")
    chests = [_chest(np.random.default_rng([settings.seed, index])) for index in range(settings.phantoms)]
    drawn = make_letter_images(settings.images, chests=chests, seed=settings.seed)

    def loss_of(network: LetterNetwork, rng: np.random.Generator) -> Tensor:
        chosen = rng.integers(len(drawn.images), size=settings.batch)
        pixels, shapes, borders = _augmented(drawn, chosen, rng)
        return _loss(*network.forward(standardised(pixels)), shapes, borders)

    save_half(trained(LetterNetwork, loss_of, settings, on_message), out)


def _chest(rng: np.random.Generator) -> Grey:
    """Render a phantom without its side marker."""
    phantom = sample_phantom(rng)
    return render(replace(phantom, anatomy=replace(phantom.anatomy, marker=" ")), columns=_COLUMNS).image


def _augmented(
    drawn: LetterImages, chosen: Int[np.ndarray, " batch"], rng: np.random.Generator
) -> tuple[Float[Tensor, "batch 1 128 128"], Int[Tensor, "batch 32 32"], Float[Tensor, "batch 4 32 32"]]:
    """Change gamma and noise, invert some, and mirror every other batch."""
    count = len(chosen)
    pixels = drawn.images[chosen][:, None].astype(np.float32) / 255.0
    pixels = np.maximum(pixels, 1e-4) ** np.exp(rng.normal(0.0, 0.25, (count, 1, 1, 1)))
    pixels = pixels + rng.normal(0.0, 1.0, pixels.shape) * rng.uniform(0.0, 0.015, (count, 1, 1, 1))
    pixels = np.where(rng.random((count, 1, 1, 1)) < 0.1, 1.0 - pixels, pixels)
    shapes, borders = drawn.shapes[chosen], drawn.borders[chosen]
    if rng.random() < 0.5:
        pixels, shapes, borders = pixels[..., ::-1], shapes[..., ::-1], borders[:, [0, 3, 2, 1], :, ::-1]
        shapes = np.where(shapes >= 0, np.array(_MIRRORED)[shapes], shapes)
    images = torch.from_numpy(np.ascontiguousarray(pixels, dtype=np.float32))
    return images, torch.from_numpy(np.ascontiguousarray(shapes)), torch.from_numpy(np.ascontiguousarray(borders))


def _loss(
    logits: Float[Tensor, "batch 6 32 32"],
    found: Float[Tensor, "batch 4 32 32"],
    shapes: Int[Tensor, "batch 32 32"],
    borders: Float[Tensor, "batch 4 32 32"],
) -> Float[Tensor, ""]:
    entropy = cross_entropy(logits, shapes, ignore_index=-1, reduction="none")
    focal = (1.0 - (-entropy).exp()) ** _FOCUS * entropy
    letters = shapes > 0
    count = letters.sum().clamp(min=1)
    off = (found - borders).abs().mean(1)
    return (focal.sum() + _BORDERS * off[letters].sum()) / count
