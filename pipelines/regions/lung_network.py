"""The network that finds the lungs: a small U-Net (Ronneberger, Fischer and Brox 2015) with committed weights.

It was trained on synthetic chests and phantoms alone (:mod:`audit.phantom.lung_training`) and measured on real films
(``benchmarks/bench_films.py``).
"""

from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import interpolate, pixel_shuffle

__all__ = ["WEIGHTS", "LungNetwork", "lung_probabilities", "standardised"]

WEIGHTS = Path(__file__).with_name("lungs.safetensors")

_SIZE = 128  # px: rows and columns of the input
_CHANNELS = (16, 32, 64, 96)  # from 64 x 64 to 8 x 8
_LEAST_SPREAD = 1e-3  # of an image in [0, 1]


class LungNetwork(nn.Module):
    """Logits of two masks: the lung on the left of the image, and the one on its right."""

    def __init__(self) -> None:
        super().__init__()
        first, deepest = _CHANNELS[0], _CHANNELS[-1]
        self.stem = nn.Sequential(_block(1, first, size=5, stride=2), _block(first, first))
        self.down = nn.ModuleList(
            nn.Sequential(_block(above, below, stride=2), _block(below, below)) for above, below in pairwise(_CHANNELS)
        )
        self.bottom = nn.Sequential(_block(deepest, deepest, stride=2), _block(deepest, deepest))
        self.up = nn.ModuleList(
            _block(below + beside, beside)
            for below, beside in zip((deepest, *_CHANNELS[::-1]), _CHANNELS[::-1], strict=False)
        )
        self.head = nn.Conv2d(first, 2 * 4, 3, padding=1)  # four sub-pixels of each mask

    def forward(self, images: Float[Tensor, "batch 1 128 128"]) -> Float[Tensor, "batch 2 128 128"]:
        """Return logits for images of :func:`standardised`."""
        levels = [self.stem(images)]
        for down in self.down:
            levels.append(down(levels[-1]))
        maps = self.bottom(levels[-1])
        for up, level in zip(self.up, levels[::-1], strict=True):
            maps = interpolate(maps, size=level.shape[-2:], mode="bilinear", align_corners=False)
            maps = up(torch.cat([maps, level], dim=1))
        return pixel_shuffle(self.head(maps), 2)


def _block(channels: int, out: int, *, size: int = 3, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(channels, out, size, stride=stride, padding=size // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out), nn.ReLU(inplace=True))


def standardised(images: Float[Tensor, "batch 1 rows columns"]) -> Float[Tensor, "batch 1 rows columns"]:
    """Bring each image to mean 0 and standard deviation 1."""
    mean, spread = images.mean((2, 3), keepdim=True), images.std((2, 3), keepdim=True)
    return (images - mean) / spread.clamp(min=_LEAST_SPREAD)


@cache
def _network() -> LungNetwork:
    network = LungNetwork()
    network.load_state_dict(load_file(WEIGHTS))  # half precision on disk, copied into single
    return network.eval()


def lung_probabilities(picture: UInt8[np.ndarray, "rows columns"]) -> Float[np.ndarray, "2 2 rows columns"]:
    """Return twice how likely each pixel belongs to the lung on the left, and to the one on the right, of the image.

    The first answer is for the image, the second for its mirror image, mirrored back: where they differ, both are
    guesses.

    Args:
        picture: display values, white is dense; of any aspect, since the network has seen many.
    """
    pixels = torch.tensor(picture, dtype=torch.float32)[None, None] / 255.0
    small = interpolate(pixels, size=(_SIZE, _SIZE), mode="bilinear", antialias=True, align_corners=False)
    network = _network()  # loaded outside of inference mode, as any other model of the process
    with torch.inference_mode():
        straight, mirrored = network.forward(standardised(torch.cat([small, small.flip(-1)])))
        answers = torch.stack([straight, mirrored.flip(-1).flip(0)])  # a mirrored image exchanges the sides
        large = interpolate(answers, size=picture.shape, mode="bilinear", align_corners=False)
    probabilities: Float[np.ndarray, "2 2 rows columns"] = large.sigmoid().numpy()
    return probabilities
