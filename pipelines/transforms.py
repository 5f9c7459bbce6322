"""Loads cases as tensors: MONAI dict transforms around our own reader, in this process or in worker processes.

This is the only module that imports MONAI. Its PydicomReader is not used, because it drops the VOI and the polarity and
transposes the image. Workers are those of :mod:`pipelines.processes`: if a process of torch's loader dies, the whole
loader ends.
"""

import logging
import sys
import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import interpolate

from pipelines.dicom.source import reason_without_path
from pipelines.errors import InputError, WorkerError
from pipelines.geometry import Fit, Placement
from pipelines.image_file import picture_of
from pipelines.images.source import read_radiograph
from pipelines.limits import NEEDS_MORE_MEMORY, is_out_of_memory
from pipelines.privacy.burned_in import Area, BurnedIn, blanked, examine
from pipelines.processes import ProcessPool, outcomes_in_order
from pipelines.study import Case, Exclusion, Identifiers, PixelStep


@contextmanager
def _not_installed(*packages: str) -> Iterator[None]:
    """Make the import of these packages fail temporarily, unless they have been imported already."""
    absent = [name for name in packages if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type] # None: https://docs.python.org/3/reference/import.html#the-module-cache
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


# MONAI imports all its modules, which import what they might use where it is installed. These two packages take half of
# the seconds, in each process that reads images, and only its bundles and networks use them.
with _not_installed("jsonschema", "transformers"):
    from monai.data.dataloader import DataLoader
    from monai.data.dataset import CacheDataset, Dataset
    from monai.transforms.compose import Compose
    from monai.transforms.transform import MapTransform, Transform

__all__ = [
    "BurnedInRadiographd",
    "CaseLoader",
    "IsolatedTransform",
    "LoadRadiographd",
    "LoadedCase",
    "PictureRadiographd",
    "PlaceRadiographd",
    "Preprocessing",
    "load_cases",
    "place_image",
]

_A_WORKER = 2  # images per worker that are queued or being read

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """The input that the model's image tower expects."""

    size: int  # side of the square input, px
    mean: tuple[float, float, float]  # per channel, subtracted from values in [0, 1]
    std: tuple[float, float, float]  # per channel, divides the result
    fit: Fit = Fit.LETTERBOX

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: ``size`` or an entry of ``std`` is not positive.
        """
        if self.size < 1 or min(self.std) <= 0.0:
            raise ValueError(f"size and std must be positive, got {self.size} and {self.std}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedCase:
    """A case with its image, ready for the model and for the page. The arrays may be shared with a cache: read only."""

    case: Case
    picture: bytes  # PNG for the page
    valid: Bool[np.ndarray, "rows columns"]  # False in padding, behind the shutter, outside the collimated field
    steps: tuple[PixelStep, ...]
    placement: Placement
    inputs: Float[Tensor, "3 size size"]  # normalised
    seconds: float  # time for reading and placing
    identifiers: Identifiers = field(default_factory=Identifiers)  # from the header; masked in the report, never stored
    blanked: tuple[Area, ...] = ()  # burned-in text that the picture hides, in source pixels; the inputs show it


class LoadRadiographd(MapTransform):
    """Read the pixels of the image header under each key.

    Adds ``display``, ``valid`` and ``steps``, or ``left_out`` if the pixels cannot be read, so that a bad file stops
    neither the cache nor a worker.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of ``data`` with the pixels, or with the reason why there are none."""
        result = dict(data) | {"began": time.perf_counter()}
        for key in self.key_iterator(result):
            image = result[key]
            try:
                pixels = read_radiograph(image)
            except InputError as error:
                reason = reason_without_path(error, image.path)
                result["left_out"] = Exclusion(source=image.source, stage="pixels", reason=reason, failed=True)
            else:
                result |= {"display": pixels.display, "valid": pixels.valid, "steps": pixels.steps}
                result |= {"identifiers": pixels.identifiers, "stated_burned_in": pixels.stated_burned_in}
        return result


class BurnedInRadiographd(MapTransform):
    """Detect burned-in text in the display values under each key.

    Adds ``blanked``, the areas to blank in the picture, and a step to the ``steps``; or replaces the pixels by
    ``left_out``. The model's input is not changed.
    """

    def __init__(self, keys: Sequence[str], policy: BurnedIn, *, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.policy = policy

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of ``data`` with the areas, or with the reason why the image is excluded."""
        result = dict(data)
        for key in self.key_iterator(result):
            found = examine(result[key], self.policy, stated=result["stated_burned_in"])
            if isinstance(found, str):
                source = result["image"].source
                result["left_out"] = Exclusion(source=source, stage="burned-in text", reason=found, failed=False)
                del result[key]
            else:
                areas, step = found
                result |= {"blanked": areas, "steps": (*result["steps"], step)}
        return result


class PlaceRadiographd(MapTransform):
    """Resize the image under each key to the model's square input.

    Adds ``inputs`` (NumPy, float32 [3, size, size]) and ``placement``.
    """

    def __init__(self, keys: Sequence[str], preprocessing: Preprocessing, *, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.preprocessing = preprocessing

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of ``data`` with the model's input and its placement."""
        result = dict(data)
        for key in self.key_iterator(result):
            inputs, placement = place_image(result[key], self.preprocessing)
            result |= {"inputs": inputs.numpy(), "placement": placement}
        return result


class PictureRadiographd(MapTransform):
    """Replace the display values under each key by the ``picture`` for the pages, which takes a thirtieth of the bytes.

    Adds the ``seconds`` since reading began.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of ``data`` with the picture and without the display values."""
        result = dict(data)
        for key in self.key_iterator(result):
            display = result.pop(key)
            areas = result.get("blanked", ())
            result["picture"] = picture_of(blanked(display, areas) if areas else display)
        return result | {"seconds": time.perf_counter() - result.pop("began")}


class IsolatedTransform(Transform):
    """Runs other transforms; if memory runs out, or on an error of our own, only that image is excluded."""

    def __init__(self, transforms: Sequence[Transform]) -> None:
        self._all = Compose(transforms)

    def __call__(self, data: Mapping[Hashable, Any]) -> Mapping[Hashable, Any]:
        """Return the result of the transforms, or ``data`` with ``left_out``."""
        try:
            result: Mapping[Hashable, Any] = self._all(data)
        except Exception as error:  # noqa: BLE001 - the place where a batch isolates an image
            cause = error.__cause__ or error  # MONAI wraps the exception of a transform
            _log.error("an image could not be read", exc_info=cause)
            if is_out_of_memory(cause):
                reason = f"reading this image {NEEDS_MORE_MEMORY}"
            else:
                reason = f"reading this image failed ({type(cause).__name__}); see the log, and report it as a bug"
            left_out = Exclusion(source=data["image"].source, stage="pixels", reason=reason, failed=True)
            return dict(data) | {"left_out": left_out}
        return result


class CaseLoader:
    """Loads cases in their order, each time it is iterated.

    Args:
        cases: the cases to load.
        preprocessing: the input that the image tower expects.
        workers: number of processes that decode; 0 decodes in this process.
        cache_rate: share of the cases, 0 to 1, whose pixels are kept in memory for the next pass; useless for a loader
            that is iterated once.
        burned_in: how to treat images with burned-in text; experiments that show pictures do not keep it.
    """

    def __init__(
        self,
        cases: Sequence[Case],
        preprocessing: Preprocessing,
        *,
        workers: int = 0,
        cache_rate: float = 0.0,
        burned_in: BurnedIn = BurnedIn.KEEP,
    ) -> None:
        self._cases = tuple(cases)
        self._workers = min(workers, len(self._cases))
        self._transform = transform = IsolatedTransform(
            [
                LoadRadiographd(("image",)),
                BurnedInRadiographd(("display",), burned_in, allow_missing_keys=True),
                PlaceRadiographd(("display",), preprocessing, allow_missing_keys=True),
                PictureRadiographd(("display",), allow_missing_keys=True),
            ]
        )
        items = self._items = _items(self._cases)
        self._dataset = (
            CacheDataset(
                items,
                transform,
                cache_rate=cache_rate,
                num_workers=max(1, workers),
                progress=False,
                copy_cache=False,
                # A worker's own cache would be lost with it, so the cache is filled here and inherited.
                runtime_cache=workers == 0,
            )
            if cache_rate > 0.0
            else Dataset(items, transform)
        )

    def __len__(self) -> int:
        """Return the number of cases."""
        return len(self._cases)

    def __iter__(self) -> Iterator[LoadedCase | Exclusion]:
        """Yield each case with its pixels, or the reason why it has none, in the order of the cases."""
        if not self._cases:
            return
        if self._workers:
            yield from self._in_processes()
            return
        loader = DataLoader(
            self._dataset,
            batch_size=None,
            collate_fn=_as_it_is,
            # A separate generator: otherwise MONAI and torch draw from the global one and re-seed it.
            generator=torch.Generator(),
        )
        for item in loader:
            yield self._loaded(item)

    def _in_processes(self) -> Iterator[LoadedCase | Exclusion]:
        """Load the cases that are not cached in other processes."""
        pool = ProcessPool(self._transform, self._workers, name="reads the image")
        held = self._dataset.cache_num if isinstance(self._dataset, CacheDataset) else 0
        try:
            for index in range(held):
                yield self._loaded(self._dataset[index])
            rest = self._items[held:]
            for item, future in outcomes_in_order(pool, rest, most=self._workers * _A_WORKER):
                try:
                    yield self._loaded(future.result())
                except WorkerError as error:
                    image = item["image"]
                    yield Exclusion(source=image.source, stage="pixels", reason=str(error), failed=True)
        finally:
            pool.close(at_once=True)

    def _loaded(self, item: Mapping[Hashable, Any]) -> LoadedCase | Exclusion:
        left_out: Exclusion | None = item.get("left_out")
        if left_out is not None:
            return left_out
        return LoadedCase(
            case=self._cases[item["index"]],
            picture=item["picture"],
            valid=item["valid"],
            steps=item["steps"],
            placement=item["placement"],
            inputs=torch.from_numpy(item["inputs"]),
            seconds=item["seconds"],
            identifiers=item["identifiers"],
            blanked=item["blanked"],
        )


def load_cases(
    cases: Sequence[Case],
    preprocessing: Preprocessing,
    *,
    workers: int = 0,
    cache_rate: float = 0.0,
    burned_in: BurnedIn = BurnedIn.KEEP,
) -> Iterator[LoadedCase | Exclusion]:
    """Load cases once, in their order; a case with unreadable pixels is returned as :class:`Exclusion` in its place.

    Closing the iterator early ends the workers. See :class:`CaseLoader` for the arguments.
    """
    return iter(CaseLoader(cases, preprocessing, workers=workers, cache_rate=cache_rate, burned_in=burned_in))


def place_image(
    display: Float[np.ndarray, "rows columns *colours"], preprocessing: Preprocessing
) -> tuple[Float[Tensor, "3 size size"], Placement]:
    """Resize an image in [0, 1] to the model's square, pad it with 0 (black) and normalise it.

    A grey image [rows, columns] fills all three channels; a colour image is [rows, columns, 3] (R, G, B). Interpolation
    is bicubic and antialiased, on floats; overshoots are clamped to the image's own range.

    Raises:
        ValueError: the third axis is not R, G, B.

    Source: the resizing that CLIP's own preprocessing does (Radford et al. 2021), but without rounding to 8 bits.
    """
    if display.ndim not in {2, 3} or display.shape[2:] not in {(), (3,)}:
        raise ValueError(f"a picture is [rows, columns] or [rows, columns, 3], not {list(display.shape)}")
    rows, columns = display.shape[:2]
    placement = Placement.of(rows, columns, size=preprocessing.size, fit=preprocessing.fit)
    source = torch.from_numpy(np.ascontiguousarray(display, dtype=np.float32))
    planes = source[None] if source.ndim == 2 else source.permute(2, 0, 1)
    resized = interpolate(
        planes[None],
        size=(placement.resized_rows, placement.resized_columns),
        mode="bicubic",
        align_corners=False,
        antialias=True,
    )[0].clamp_(float(source.min()), float(source.max()))
    square = torch.zeros(len(planes), preprocessing.size, preprocessing.size)
    to_rows, from_rows = _overlap(placement.top, placement.resized_rows, preprocessing.size)
    to_columns, from_columns = _overlap(placement.left, placement.resized_columns, preprocessing.size)
    square[:, to_rows, to_columns] = resized[:, from_rows, from_columns]
    mean, std = (torch.tensor(values)[:, None, None] for values in (preprocessing.mean, preprocessing.std))
    return (square - mean) / std, placement


def _overlap(offset: int, length: int, size: int) -> tuple[slice, slice]:
    """Return where a strip of ``length`` at ``offset`` overlaps ``size`` places: slices of the places and the strip."""
    start, stop = max(offset, 0), min(offset + length, size)
    return slice(start, stop), slice(start - offset, stop - offset)


def _items(cases: Sequence[Case]) -> list[dict[Hashable, Any]]:
    return [{"index": index, "image": case.image} for index, case in enumerate(cases)]


def _as_it_is(item: dict[str, Any]) -> dict[str, Any]:
    """Keep MONAI from collating NumPy arrays and dataclasses into batches of tensors."""
    return item
