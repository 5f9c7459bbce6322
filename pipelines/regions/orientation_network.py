"""The networks that tell how a chest radiograph lies: two small convolutional ones with committed weights.

They were trained on synthetic chests and phantoms alone (:mod:`audit.phantom.orientation_training`) and measured on
real films (``benchmarks/bench_films.py``).
"""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import interpolate

from pipelines.regions.lung_network import standardised
from pipelines.regions.orientation import turned
from pipelines.study import Orientation

__all__ = ["SIZE", "WEIGHTS", "OrientationNetwork", "orientation_scores", "stands_like_a_chest"]

WEIGHTS = Path(__file__).with_name("orientation.safetensors")

SIZE = 96
"""Rows and columns of the input."""

_COUNT = 2  # networks, whose errors partly cancel
_LAYERS = ((16, 2), (32, 2), (32, 1), (64, 2), (64, 1), (96, 2), (96, 1))  # channels and stride
_CELLS = 3  # the last layer's mean is taken in a grid of so many cells a side
_DROPPED = 0.2  # share of its features, in training
_LEAST_MARGIN = 1.5  # natural logarithm: two of 155 films have less, and nearly all images without a chest


class OrientationNetwork(nn.Sequential):
    """Logits of the eight orientations, in their order, for images of :func:`standardised`."""

    def __init__(self) -> None:
        before, layers = 1, list[nn.Module]()
        for channels, stride in _LAYERS:
            layers += [nn.Conv2d(before, channels, 3, stride=stride, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
            before = channels
        head = nn.Linear(before * _CELLS**2, len(Orientation))
        super().__init__(*layers, nn.AdaptiveAvgPool2d(_CELLS), nn.Flatten(), nn.Dropout(_DROPPED), head)


@cache
def _networks() -> nn.ModuleList:
    networks = nn.ModuleList(OrientationNetwork() for _ in range(_COUNT))
    networks.load_state_dict(load_file(WEIGHTS))  # half precision on disk, copied into single
    return networks.eval()


def orientation_scores(picture: UInt8[np.ndarray, "rows columns"]) -> Float[np.ndarray, " 8"]:
    """Return the logarithm of each orientation's probability, up to a constant.

    The networks see the image in all eight orientations, and the logarithms of what they say of each, as it applies to
    the image itself, are averaged. So a mirrored or rotated copy of an image gets the same scores, in another order.

    Args:
        picture: display values, white is dense; of any aspect, since the networks have seen many.
    """
    pixels = torch.tensor(picture, dtype=torch.float32)[None, None] / 255.0
    small = interpolate(pixels, size=(SIZE, SIZE), mode="bilinear", antialias=True, align_corners=False)[0].numpy()
    views = np.stack([turned(small, view) for view in Orientation])
    networks = _networks()  # loaded outside of inference mode, as any other model of the process
    with torch.inference_mode():
        inputs = standardised(torch.from_numpy(views))
        answers: Tensor = torch.stack([network(inputs).log_softmax(-1) for network in networks]).mean(0)
    found = answers.numpy()
    rows = np.arange(len(Orientation))
    scores: Float[np.ndarray, " 8"] = np.array([found[rows, seen].mean() for seen in _SEEN])
    return scores


def stands_like_a_chest(picture: UInt8[np.ndarray, "rows columns"]) -> bool:
    """Return True if an image is likelier to be an upright or mirrored chest than one that is rotated.

    An image that is no chest looks like none of these, or like each as much.
    """
    scores = orientation_scores(picture)
    stands = np.array([each.quarter_turns == 0 for each in Orientation])
    return float(scores[stands].max() - scores[~stands].max()) >= _LEAST_MARGIN


def _compositions() -> list[list[int]]:
    """Return for each orientation of an image how each of its views is oriented."""
    square = np.arange(4).reshape(2, 2)
    known = [turned(square, each).tolist() for each in Orientation]
    return [[known.index(turned(turned(square, own), view).tolist()) for view in Orientation] for own in Orientation]


_SEEN = _compositions()
