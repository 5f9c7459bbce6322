"""First weights that let a plain patch embedding learn within minutes.

A fresh linear patch embedding passes on little but each patch's mean. Here its rows are the pool's patches' principal
components, whitened, so that faint edges and dots enter at the same strength as brightness; positions start as sines
and cosines, so that neighbours are alike from the first step. Image content only: no label and no box is used.
"""

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from transformers import CLIPModel

from audit.phantom.architecture import IMAGE_MEAN, IMAGE_STD

__all__ = ["initialise"]

_PATCHES = 200_000
_FLOOR = 0.02  # of the largest eigenvalue's root: what lies below is grain
_GAIN = 0.35


def initialise(model: CLIPModel, images: UInt8[np.ndarray, "count size size"], *, seed: int) -> None:
    """Set patch and position embeddings of ``model`` in place from unlabelled ``images``."""
    config: Any = model.config.vision_config
    embeddings: Any = model.vision_model.embeddings
    patch, width = config.patch_size, config.hidden_size
    values, vectors = _components(images, patch, np.random.default_rng(seed))
    kept = min(width, values.size)
    scale = _GAIN / np.sqrt(values[:kept] + (_FLOOR**2) * values[0])
    rows = (vectors[:, :kept] * scale).T.reshape(kept, 1, patch, patch) / config.num_channels
    with torch.no_grad():
        weight = embeddings.patch_embedding.weight
        weight[:kept] = torch.from_numpy(rows).to(weight.dtype).expand(-1, config.num_channels, -1, -1)
        side = config.image_size // patch
        embeddings.position_embedding.weight[1:] = _GAIN * _sines(side, width)


def _components(
    images: np.ndarray, patch: int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, " components"], Float[np.ndarray, "pixels components"]]:
    side = images.shape[1] // patch
    count = max(1, min(len(images), _PATCHES // side**2))
    chosen = images[rng.choice(len(images), count, replace=False)].astype(np.float64) / 255.0
    standard = (chosen - IMAGE_MEAN) / IMAGE_STD
    patches = standard.reshape(count, side, patch, side, patch).transpose(0, 1, 3, 2, 4).reshape(-1, patch * patch)
    values, vectors = np.linalg.eigh(np.cov(patches, rowvar=False))
    return values[::-1], vectors[:, ::-1]


def _sines(side: int, width: int) -> Float[Tensor, "positions width"]:
    """Sines and cosines of row and column (Vaswani et al. 2017, section 3.5, along two axes), unit root mean square."""
    quarter = width // 4
    frequencies = torch.exp(-math.log(100.0) * torch.arange(quarter) / quarter)
    row, column = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    angles = [axis.flatten()[:, None] * frequencies for axis in (row, column)]
    parts = [function(angle) for angle in angles for function in (torch.sin, torch.cos)]
    return math.sqrt(2.0) * torch.cat(parts, dim=1)
