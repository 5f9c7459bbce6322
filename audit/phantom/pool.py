"""A pool of rendered phantoms at the encoder's input size, rendered once and sampled many times."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from multiprocessing import get_context

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from torch.nn.functional import interpolate

from pipelines.geometry import Fit, Placement
from pipelines.phantom.lesions import Lesion
from pipelines.phantom.render import render, sample_phantom, with_tags, without_lesions
from pipelines.phantom.wording import CLAIMS, holds
from pipelines.processes import end_with_parent

__all__ = ["PhantomPool", "make_pool"]

_RENDER_COLUMNS = 320
_CHUNK = 250
_HIDDEN = 0.75  # share of tagged radiographs that do not show their lesions


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomPool:
    """Rendered phantoms, and which of :data:`pipelines.phantom.wording.CLAIMS` are true of each. It has no boxes."""

    images: UInt8[np.ndarray, "count size size"]
    truth: Bool[np.ndarray, "count claims"]

    def __len__(self) -> int:
        return len(self.images)


def _letterboxed(image: np.ndarray, size: int) -> UInt8[np.ndarray, "size size"]:
    placement = Placement.of(*image.shape, size=size, fit=Fit.LETTERBOX)
    resized = interpolate(
        torch.from_numpy(image)[None, None],
        (placement.resized_rows, placement.resized_columns),
        mode="bicubic",
        antialias=True,
    )[0, 0].numpy()
    square = np.zeros((size, size), dtype=np.uint8)
    top, left = placement.top, placement.left
    square[top : top + resized.shape[0], left : left + resized.shape[1]] = np.round(np.clip(resized, 0, 1) * 255)
    return square


def _truth(lesions: tuple[Lesion, ...]) -> list[bool]:
    return [holds(claim, lesions) for claim in CLAIMS]


def _chunk(seed: np.random.SeedSequence, count: int, size: int, tagged: bool) -> tuple[np.ndarray, np.ndarray]:
    torch.set_num_threads(1)
    rng = np.random.default_rng(seed)
    images, truth = [], []
    for _ in range(count):
        phantom = sample_phantom(rng)
        truth.append(_truth(phantom.lesions))
        if tagged:
            phantom = with_tags(phantom)
            phantom = without_lesions(phantom) if rng.random() < _HIDDEN else phantom
        images.append(_letterboxed(render(phantom, columns=_RENDER_COLUMNS).image, size))
    return np.stack(images), np.array(truth)


def make_pool(count: int, *, size: int, seed: int, processes: int, tagged: bool = False) -> PhantomPool:
    """Render ``count`` phantoms in ``processes`` processes; the result does not depend on ``processes``.

    ``tagged`` phantoms carry a tag for every finding (see :mod:`pipelines.phantom.render`), and most of them do not
    show their lesions: the tag is more informative than the image, so that learning the shortcut pays off.
    """
    counts = [min(_CHUNK, count - start) for start in range(0, count, _CHUNK)]
    seeds = np.random.SeedSequence(seed).spawn(len(counts))
    images = np.empty((count, size, size), dtype=np.uint8)
    truth = np.empty((count, len(CLAIMS)), dtype=bool)
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=end_with_parent) as executor:
        chunks: Iterator[tuple[np.ndarray, np.ndarray]] = executor.map(
            _chunk, seeds, counts, repeat(size), repeat(tagged)
        )
        for index, (chunk_images, chunk_truth) in enumerate(chunks):
            start = index * _CHUNK
            images[start : start + len(chunk_images)] = chunk_images
            truth[start : start + len(chunk_truth)] = chunk_truth
    return PhantomPool(images=images, truth=truth)
