"""The network that finds single letters, and reads L and R: fully convolutional, with committed weights.

At each cell it answers which shape has its middle there, and how far its borders are. It was trained on synthetic
images alone (:mod:`audit.phantom.letter_training`) and measured on real films (``benchmarks/bench_films.py``).

Source: the form of the answer is that of FCOS (Tian, Shen, Chen and He 2019), for one size of object.
"""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, pad

from pipelines.regions.letter_shapes import LetterShape

__all__ = ["WEIGHTS", "LetterNetwork", "letter_answers", "standardised"]

WEIGHTS = Path(__file__).with_name("letters.safetensors")

_CHANNELS = (12, 24, 32)
_WINDOW = 33  # px: contrast is measured in a square of this size
_LEAST_SPREAD = 0.015  # of an image in [0, 1]: fainter structures stay faint
_NONE_FIRST = 5.0  # logit with which training begins: nearly all cells hold no letter
_PIXELS_TO_UNIT = 16.0  # the borders are answered in multiples of it


class LetterNetwork(nn.Module):
    """Logits of each shape, and the distances to the borders."""

    def __init__(self) -> None:
        super().__init__()
        first, second, third = _CHANNELS
        self.body = nn.Sequential(
            _block(1, first, size=5, stride=2),
            _block(first, second, stride=2),
            _block(second, third),
            _block(third, third, dilation=2),
            _block(third, third, dilation=2),
            _block(third, third),
        )
        self.shape = nn.Conv2d(third, len(LetterShape), 1)
        self.borders = nn.Conv2d(third, 4, 1)
        nn.init.zeros_(self.shape.bias)  # type: ignore[arg-type]
        with torch.no_grad():
            self.shape.bias[LetterShape.NONE] = _NONE_FIRST  # type: ignore[index]

    def forward(
        self, images: Float[Tensor, "batch 1 rows columns"]
    ) -> tuple[Float[Tensor, "batch 6 cell_rows cell_columns"], Float[Tensor, "batch 4 cell_rows cell_columns"]]:
        """Return logits, and px to the top, left, bottom and right, for images of :func:`standardised`."""
        maps = self.body(images)
        return self.shape(maps), _PIXELS_TO_UNIT * self.borders(maps)


def _block(channels: int, out: int, *, size: int = 3, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    padding = dilation * (size // 2)
    convolution = nn.Conv2d(channels, out, size, stride=stride, padding=padding, dilation=dilation, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out), nn.ReLU(inplace=True))


def standardised(images: Float[Tensor, "batch 1 rows columns"]) -> Float[Tensor, "batch 1 rows columns"]:
    """Bring the surroundings of each pixel to mean 0 and a standard deviation of about 1."""
    mean = _mean_around(images)
    spread = (_mean_around(images * images) - mean * mean).clamp(min=0.0).sqrt()
    return (images - mean) / (spread + _LEAST_SPREAD)


def _mean_around(images: Float[Tensor, "batch 1 rows columns"]) -> Float[Tensor, "batch 1 rows columns"]:
    half = _WINDOW // 2
    for size, edges in (((1, _WINDOW), (half, half, 0, 0)), ((_WINDOW, 1), (0, 0, half, half))):
        images = avg_pool2d(pad(images, edges, mode="replicate"), size, stride=1)
    return images


@cache
def _network() -> LetterNetwork:
    network = LetterNetwork()
    network.load_state_dict(load_file(WEIGHTS))  # half precision on disk, copied into single
    return network.eval()


def letter_answers(
    picture: UInt8[np.ndarray, "rows columns"],
) -> tuple[Float[np.ndarray, "6 cell_rows cell_columns"], Float[np.ndarray, "4 cell_rows cell_columns"]]:
    """Return how likely each shape has its middle at each cell, and the px to its borders.

    Args:
        picture: display values, at a scale at which letters have a height of ``LETTER_PX``.
    """
    pixels = torch.tensor(picture, dtype=torch.float32)[None, None] / 255.0
    network = _network()  # loaded outside of inference mode, as any other model of the process
    with torch.inference_mode():
        logits, borders = network.forward(standardised(pixels))
    return logits[0].softmax(0).numpy(), borders[0].numpy()
