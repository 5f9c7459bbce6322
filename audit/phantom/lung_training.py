"""Trains the network that finds the lungs, from synthetic chests and phantoms; it never sees a film."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image as Picture
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from audit.attribution.numerics import flushed_denormals
from audit.phantom.chest_images import LungImages, make_lung_images
from audit.phantom.chest_shapes import SIZE
from pipelines.errors import OutputError
from pipelines.phantom.anatomy import Grid
from pipelines.phantom.render import render, sample_phantom
from pipelines.regions.lung_network import LungNetwork, standardised

__all__ = ["LungTraining", "halved", "phantom_lung_images", "save_half", "train_lungs", "with_gamma_and_noise"]

_COLUMNS = 200  # px, width at which phantoms are rendered before they are reduced to the network's input
_TELL_EVERY = 100  # steps


@dataclass(frozen=True, slots=True, kw_only=True)
class LungTraining:
    """Settings of a training run. The same settings on the same machine give the same weights."""

    steps: int = 3000
    batch: int = 16
    chests: int = 6000
    phantoms: int = 1000
    learning_rate: float = 4e-3  # highest; the rate rises to it and falls to nearly 0 ("one cycle", Smith 2018)
    weight_decay: float = 1e-3
    seed: int = 20261130


def train_lungs(out: Path, settings: LungTraining, *, processes: int, on_message: Callable[[str], None]) -> None:
    """Train the network and write its weights in half precision to ``out``, a safetensors file.

    The loss is the cross-entropy of pixels plus one minus the soft Dice coefficient of each mask (Milletari, Navab and
    Ahmadi 2016).

    Raises:
        OutputError: ``out`` exists already.
    """
    if out.exists():
        raise OutputError(f"{out} exists already: name a new file")
    on_message(f"Rendering {settings.chests} chests and {settings.phantoms} phantoms")
    chests = make_lung_images(settings.chests, seed=settings.seed, processes=processes)
    phantoms = phantom_lung_images(settings.phantoms, seed=settings.seed)
    images, lungs = (np.concatenate([getattr(one, name) for one in (chests, phantoms)]) for name in ("images", "lungs"))
    torch.manual_seed(settings.seed)
    network = LungNetwork().train()
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.learning_rate, total_steps=settings.steps, cycle_momentum=False
    )
    rng = np.random.default_rng(settings.seed)
    with flushed_denormals():
        for step in range(settings.steps):
            drawn = rng.integers(len(images), size=settings.batch)
            pixels, truth = _augmented(images[drawn], lungs[drawn], rng)
            loss = _loss(network.forward(pixels), truth)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            if (step + 1) % _TELL_EVERY == 0:
                on_message(f"step {step + 1} of {settings.steps}: loss {float(loss.detach()):.3f}")
    save_half(network, out)


def save_half(network: nn.Module, out: Path) -> None:
    """Write a network's weights in half precision."""
    weights = {name: halved(tensor) for name, tensor in network.state_dict().items()}
    save_file(weights, out, metadata={"format": "pt"})


def halved(tensor: Tensor) -> Tensor:
    """Return a tensor in half precision; counts stay as they are."""
    return tensor.half() if tensor.is_floating_point() else tensor


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
