"""Trains the network that finds the lungs, from synthetic chests and phantoms; it never sees a film."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image as Picture
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from audit.phantom.chest_images import LungImages, make_lung_images
from audit.phantom.chest_shapes import SIZE
from audit.phantom.network_training import NetworkTraining, refuse_existing, save_half, trained
from pipelines.phantom.anatomy import Grid
from pipelines.phantom.render import render, sample_phantom
from pipelines.regions.lung_network import LungNetwork, standardised

__all__ = ["LungTraining", "phantom_lung_images", "train_lungs", "with_gamma_and_noise"]

_COLUMNS = 200  # px, width at which phantoms are rendered before they are reduced to the network's input


@dataclass(frozen=True, slots=True, kw_only=True)
class LungTraining(NetworkTraining):
    """Settings of a training run. The same settings on the same machine give the same weights."""

    steps: int = 3000
    batch: int = 16
    chests: int = 6000
    phantoms: int = 1000
    learning_rate: float = 4e-3
    weight_decay: float = 1e-3
    seed: int = 20261130


def train_lungs(out: Path, settings: LungTraining, *, processes: int, on_message: Callable[[str], None]) -> None:
    """Train the network and write its weights in half precision to ``out``, a safetensors file.

    The loss is the cross-entropy of pixels plus one minus the soft Dice coefficient of each mask (Milletari, Navab and
    Ahmadi 2016).

    Raises:
        OutputError: ``out`` exists already.
    """
    refuse_existing(out)
    on_message(f"Rendering {settings.chests} chests and {settings.phantoms} phantoms")
    chests = make_lung_images(settings.chests, seed=settings.seed, processes=processes)
    phantoms = phantom_lung_images(settings.phantoms, seed=settings.seed)
    images, lungs = (np.concatenate([getattr(one, name) for one in (chests, phantoms)]) for name in ("images", "lungs"))

    def loss_of(network: LungNetwork, rng: np.random.Generator) -> Tensor:
        drawn = rng.integers(len(images), size=settings.batch)
        pixels, truth = _augmented(images[drawn], lungs[drawn], rng)
        return _loss(network.forward(pixels), truth)

    save_half(trained(LungNetwork, loss_of, settings, on_message), out)


def phantom_lung_images(count: int, *, seed: int) -> LungImages:
    """Render phantoms at the network's size, with the lungs that the generator drew."""
    images = np.empty((count, SIZE, SIZE), dtype=np.uint8)
    lungs = np.empty((count, 2, SIZE, SIZE), dtype=bool)
    for index in range(count):
        phantom = sample_phantom(np.random.default_rng([seed, index]))
        image = render(phantom, columns=_COLUMNS).image
        images[index] = _reduced(image)
        drawn = Grid(phantom.anatomy, *image.shape).lungs
        lungs[index] = [_reduced(drawn[side]) > 127 for side in ("right", "left")]
    return LungImages(images=images, lungs=lungs)


def _reduced(values: Float[np.ndarray, "rows columns"]) -> UInt8[np.ndarray, "128 128"]:
    picture = Picture.fromarray((255.0 * values).astype(np.uint8))
    return np.asarray(picture.resize((SIZE, SIZE), Picture.Resampling.BOX))


def _augmented(
    images: UInt8[np.ndarray, "batch 128 128"], lungs: Bool[np.ndarray, "batch 2 128 128"], rng: np.random.Generator
) -> tuple[Float[Tensor, "batch 1 128 128"], Float[Tensor, "batch 2 128 128"]]:
    """Change gamma and noise, and mirror every other batch: the masks are of the image's sides, not of the body's."""
    pixels = with_gamma_and_noise(images[:, None].astype(np.float32) / 255.0, rng)
    truth = lungs.astype(np.float32)
    if rng.random() < 0.5:
        pixels, truth = pixels[..., ::-1], truth[:, ::-1, :, ::-1]
    tensors = [torch.from_numpy(np.ascontiguousarray(values)) for values in (pixels, truth)]
    return standardised(tensors[0]), tensors[1]


def with_gamma_and_noise(
    pixels: Float[np.ndarray, "batch 1 rows columns"], rng: np.random.Generator
) -> Float[np.ndarray, "batch 1 rows columns"]:
    """Change the gamma of images in [0, 1], and add noise, by another amount for each."""
    each = (len(pixels), 1, 1, 1)
    changed = np.maximum(pixels, 1e-4) ** np.exp(rng.normal(0.0, 0.35, each))
    changed = changed + rng.normal(0.0, 1.0, pixels.shape) * rng.uniform(0.0, 0.05, each)
    return np.asarray(changed, dtype=np.float32)


def _loss(logits: Float[Tensor, "batch 2 128 128"], truth: Float[Tensor, "batch 2 128 128"]) -> Float[Tensor, ""]:
    found = logits.sigmoid()
    shared, total = (found * truth).sum((2, 3)), (found + truth).sum((2, 3))
    dice = (2.0 * shared + 1.0) / (total + 1.0)
    return binary_cross_entropy_with_logits(logits, truth) + 1.0 - dice.mean()
