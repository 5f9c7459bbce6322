"""Trains the networks that tell how a radiograph lies, from synthetic chests and phantoms; they never see a film."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn.functional import affine_grid, cross_entropy, grid_sample

from audit.phantom.chest_images import Style, make_lung_images
from audit.phantom.lung_training import phantom_lung_images, with_gamma_and_noise
from audit.phantom.network_training import NetworkTraining, refuse_existing, save_half, trained
from audit.phantom.no_chests import make_other_images
from pipelines.regions.lung_network import standardised
from pipelines.regions.orientation import turned
from pipelines.regions.orientation_network import SIZE, OrientationNetwork
from pipelines.study import Orientation

__all__ = ["COMMITTED", "OrientationTraining", "train_orientation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrientationTraining(NetworkTraining):
    """Settings of one network's training. The same settings on the same machine give the same weights."""

    batch: int = 48
    chests: int
    style: Style  # of the chests
    phantoms: int = 1000
    others: int = 600  # without a chest
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    cycle_momentum: bool = True
    smoothing: float = 0.02  # of the labels


COMMITTED = (
    OrientationTraining(steps=3000, chests=8000, style="sided", seed=20261201),
    OrientationTraining(steps=2000, chests=4000, style="plain", seed=20261202),
)
"""Of the two committed networks, which err on different images: they were trained on chests of different styles."""


def train_orientation(
    out: Path, settings: Sequence[OrientationTraining], *, processes: int, on_message: Callable[[str], None]
) -> None:
    """Train a network for each of ``settings`` and write their weights in half precision to ``out``, as safetensors.

    Raises:
        OutputError: ``out`` exists already.
    """
    refuse_existing(out)
    save_half(nn.ModuleList(_network(each, processes, on_message) for each in settings), out)


def _network(settings: OrientationTraining, processes: int, on_message: Callable[[str], None]) -> OrientationNetwork:
    """Train one network.

    The loss is the cross-entropy with the orientation in which an image was shown. For images without a chest every
    orientation is equally true, so that the network learns to be unsure of them (Hendrycks, Mazeika and Dietterich
    2019, "Deep anomaly detection with outlier exposure").
    """
    on_message(f"Rendering {settings.chests} chests and {settings.phantoms} phantoms")
    chests = make_lung_images(settings.chests, seed=settings.seed, processes=processes, style=settings.style).images
    phantoms = phantom_lung_images(settings.phantoms, seed=settings.seed).images
    others = make_other_images(settings.others, seed=settings.seed)
    images = np.concatenate([chests, phantoms, others])

    def loss_of(network: OrientationNetwork, rng: np.random.Generator) -> Tensor:
        drawn = rng.integers(len(images), size=settings.batch)
        shown = rng.integers(len(Orientation), size=settings.batch)
        truth = np.eye(len(Orientation), dtype=np.float32)[shown]
        truth[drawn >= len(images) - len(others)] = 1.0 / len(Orientation)
        logits = network(_augmented(images[drawn], shown, rng))
        return cross_entropy(logits, torch.from_numpy(truth), label_smoothing=settings.smoothing)

    return trained(OrientationNetwork, loss_of, settings, on_message)


def _augmented(
    images: UInt8[np.ndarray, "batch 128 128"], shown: np.ndarray, rng: np.random.Generator
) -> Float[Tensor, "batch 1 96 96"]:
    """Shift, rotate, stretch and reduce upright images, change gamma and noise, and orient each as ``shown`` says."""
    count = len(images)
    angle, stretch = np.deg2rad(rng.normal(0.0, 5.0, count)), np.exp(rng.normal(0.0, 0.08, (count, 2)))
    mapping = np.empty((count, 2, 3), dtype=np.float32)
    mapping[:, 0, :2] = np.stack([np.cos(angle), -np.sin(angle)], axis=1) * stretch[:, :1]
    mapping[:, 1, :2] = np.stack([np.sin(angle), np.cos(angle)], axis=1) * stretch[:, 1:]
    mapping[:, :, 2] = rng.normal(0.0, 0.05, (count, 2))
    grid = affine_grid(torch.from_numpy(mapping), [count, 1, SIZE, SIZE], align_corners=False)
    pixels = torch.from_numpy(images[:, None].astype(np.float32) / 255.0)
    small = grid_sample(pixels, grid, padding_mode="border", align_corners=False).numpy()
    orientations = list(Orientation)
    views = np.stack([turned(view, orientations[index]) for view, index in zip(small, shown, strict=True)])
    return standardised(torch.from_numpy(with_gamma_and_noise(views, rng)))
