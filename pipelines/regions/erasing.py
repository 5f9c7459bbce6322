"""Erases a region of an image: the region on the model's input, equal areas elsewhere in the chest, and the fill.

Regions are erased in the model's input, not in the source image: the model sees nothing finer, and the fill of an input
takes milliseconds. Erasing in the source and resizing afterwards differs from this by the reach of the resizing kernel
alone, by which the region is widened.

A fill may itself be a sign of disease: a smooth patch in a lung looks like a consolidation.
``benchmarks/bench_erasing.py`` measures on phantoms without lesions how far each fill changes the cosines.

Source: Perez, Gangnet and Blake 2003, "Poisson image editing" (membrane interpolation and seamless cloning).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import binary_dilation, find_objects, gaussian_filter, label
from scipy.signal import fftconvolve
from scipy.sparse import csc_array, csr_array, diags_array, eye_array, kron
from scipy.sparse.linalg import splu

from pipelines.findings import may_look_alike
from pipelines.geometry import Placement
from pipelines.regions.alignment import align
from pipelines.study import Box

__all__ = ["Donor", "Eraser", "Fill", "region_of_boxes", "regions_elsewhere", "without_hidden"]

Mask = Bool[np.ndarray, "rows columns"]
Grey = Float[np.ndarray, "rows columns"]
Part = Bool[np.ndarray, "_part_rows _part_columns"]

_RIM_PX = 1  # reach of the resizing kernel at the input's scale
_RING_PX = 6  # width of the surroundings of a region that a source is compared in
_GRAIN_PX = 1.0  # standard deviation of the filter that separates grain from content
_SMOOTH_PX = 1.5  # standard deviation of the filter for border values, which would else draw streaks of noise
_LEFT_BY_GRAIN = float(np.sqrt(1.0 - 1.0 / np.pi + 1.0 / (4.0 * np.pi)))  # spread of white noise after the grain filter
_MEDIAN_OF_NORMAL = 0.6745  # median absolute value of a normal distribution
_USABLE = 0.98  # share of a region in which a source must have pixels
_OUTSIDE = 0.1  # share of an equal area that may lie outside the chest: regions at the chest wall have no other place


class Fill(StrEnum):
    """What an erased region is filled with."""

    OTHER_PATIENTS = "other-patients"  # the same place of the most similar other patient's image
    CONTRALATERAL = "contralateral"  # the mirrored side
    INPAINTING = "inpainting"  # a membrane from the region's border, with grain


@dataclass(frozen=True, slots=True, kw_only=True)
class Donor:
    """Another patient's image to copy from."""

    image: Float[np.ndarray, "donor_rows donor_columns"]  # grey values of the model's input, without padding
    blocked: Bool[np.ndarray, "donor_rows donor_columns"]  # what must not be copied: its own findings, hidden text
    unplaced: frozenset[str] = frozenset()  # findings that it has at an unknown place

    def mirrored(self) -> "Donor":
        """Exchange left and right, for an image that is stored the other way round."""
        return replace(self, image=self.image[:, ::-1], blocked=self.blocked[:, ::-1])


def region_of_boxes(boxes: Sequence[Box], placement: Placement) -> Mask:
    """Mark the pixels of the model's input that boxes or their shapes cover, with a rim for the resizing."""
    size = placement.size
    scale = placement.resized_columns / placement.columns, placement.resized_rows / placement.rows
    origin = -placement.left / scale[0], -placement.top / scale[1]
    region = np.zeros((size, size), dtype=bool)
    for box in boxes:
        if box.shape is not None:
            region |= box.shape.mapped(origin, scale).mask(size, size)
            continue
        top, left = placement.to_model(box.y, box.x)
        bottom, right = placement.to_model(box.y + box.height, box.x + box.width)
        rows, columns = (slice(max(round(low), 0), max(round(high), 0)) for low, high in ((top, bottom), (left, right)))
        region[rows, columns] = True
    return np.asarray(binary_dilation(region, np.ones((3, 3), dtype=bool), iterations=_RIM_PX))


def without_hidden(image: Grey, hidden: Mask) -> Grey:
    """Replace hidden pixels by the image's median, so that not even the rim of a letter is copied."""
    return np.where(hidden, np.median(image), image) if hidden.any() else image


def regions_elsewhere(
    region: Mask, chest: Mask, targets: Mask, *, midline: float, draws: int, generator: np.random.Generator
) -> tuple[Mask, ...]:
    """Find places for the same area: the mirrored side first, then random places, at most ``draws`` in all.

    Each connected part of the region keeps its size and shape (mirrored in the first place only). Nine tenths of its
    area lie in the chest, and none of it on a target.

    Args:
        region: the region to move.
        chest: the chest on the same grid.
        targets: the targets of all phrases of the image.
        midline: edge-based column in which the first place is mirrored.
        draws: number of places asked for.
        generator: draws the places.

    Returns:
        Fewer places than asked for, or none, if there is no room.
    """
    parts, blocked = _parts(region), region | targets
    if not parts:
        return ()
    places = []
    mirrored, _ = _mirrored(region, midline)
    outside = (mirrored & ~chest).sum() / region.sum()
    if mirrored.sum() == region.sum() and not (mirrored & blocked).any() and outside <= _OUTSIDE:
        places.append(mirrored)
    while len(places) < draws:
        place = _placed(parts, chest, blocked, generator)
        if place is None:
            break
        places.append(place)
    return tuple(places)


class Eraser:
    """Erases regions of one image."""

    def __init__(
        self,
        image: Grey,
        *,
        fill: Fill,
        midline: float,
        targets: Mask,
        hidden: Mask | None = None,
        donors: Sequence[Donor] = (),
    ) -> None:
        """Prepare an image.

        Args:
            image: grey values of the model's input, without the padding of a letterbox.
            fill: what regions are filled with.
            midline: edge-based column of the image's mirror.
            targets: the targets of all phrases: they are not copied, and do not count where donors are aligned.
            hidden: burned-in text, which is not copied; None: there is none.
            donors: images of other patients, for :attr:`Fill.OTHER_PATIENTS`.
        """
        self._image, self._fill = image, fill
        self._sources: list[_Source] = []
        if fill is Fill.OTHER_PATIENTS:
            self._sources = [_aligned(donor, image, ~targets) for donor in donors]
        elif fill is Fill.CONTRALATERAL:
            hidden = np.zeros_like(targets) if hidden is None else hidden
            mirror, inside = _mirrored(without_hidden(image, hidden), midline)
            self._sources = [_Source(mirror, inside, _mirrored(targets | hidden, midline)[0])]

    def erase(self, region: Mask, generator: np.random.Generator, *, finding: str | None = None) -> Grey | None:
        """Fill a region, and keep all other pixels.

        Args:
            region: what to erase.
            generator: draws the grain of an inpainted region.
            finding: what must not be copied from an image that has it, or what looks alike, at an unknown place. An
                image with another finding at an unknown place is copied only if no other one suits.

        Returns:
            None if no image has a suitable place to copy.
        """
        if not region.any() or region.all():
            return None
        smooth, (rows, columns) = _smooth_outside(self._image, region), _around(region)
        inside, ring = region[rows, columns], np.asarray(binary_dilation(region, iterations=_RING_PX)) & ~region
        if self._fill is Fill.INPAINTING:
            residual = (self._image - gaussian_filter(self._image, _GRAIN_PX))[ring]
            spread = float(np.median(np.abs(residual))) / (_MEDIAN_OF_NORMAL * _LEFT_BY_GRAIN)
            content = _membrane(smooth[rows, columns], inside) + spread * generator.standard_normal(inside.shape)
        else:
            suitable = [each for each in self._sources if each.suits(region, finding)]
            if not suitable:
                return None
            source = min(
                suitable, key=lambda each: (bool(each.unplaced), float((each.image - self._image)[ring].std()))
            ).image
            mismatch = smooth - gaussian_filter(source, _SMOOTH_PX)
            content = source[rows, columns] + _membrane(mismatch[rows, columns], inside)
        filled = self._image.copy()
        filled[rows, columns][inside] = content[inside]
        clipped: Grey = np.clip(filled, self._image.min(), self._image.max())
        return clipped


@dataclass(frozen=True, slots=True)
class _Source:
    """An image to copy from, on the pixels of the image to fill."""

    image: Grey
    inside: Mask  # False where the source has no pixel
    blocked: Mask  # what must not be copied
    unplaced: frozenset[str] = frozenset()

    def suits(self, region: Mask, finding: str | None) -> bool:
        if finding is not None and any(may_look_alike(finding, other) for other in self.unplaced):
            return False
        return not self.blocked[region].any() and float(self.inside[region].mean()) >= _USABLE


def _aligned(donor: Donor, image: Grey, counted: Mask) -> _Source:
    alignment = align(donor.image, image, counted)
    warped, inside = alignment.warp(donor.image, image.shape)
    blocked, _ = alignment.warp(donor.blocked.astype(float), image.shape)
    return _Source(warped, inside, blocked > 0.0, donor.unplaced)


def _mirrored(values: np.ndarray, midline: float) -> tuple[np.ndarray, Mask]:
    """Mirror an image or a mask in a column; the second mask is False where the mirror has no pixel."""
    columns = np.floor(2.0 * midline - (np.arange(values.shape[1]) + 0.5)).astype(int)
    reached = np.clip(columns, 0, values.shape[1] - 1)
    inside = np.broadcast_to(columns == reached, values.shape)
    mirrored = values[:, reached]
    return mirrored & inside if values.dtype == bool else mirrored, inside


def _parts(region: Mask) -> list[Part]:
    """Cut each connected part out of the region, the largest first."""
    pieces, _ = label(region, np.ones((3, 3), dtype=bool))
    parts = [pieces[where] == number for number, where in enumerate(find_objects(pieces), start=1)]
    return sorted(parts, key=lambda part: -int(part.sum()))


def _placed(parts: Sequence[Part], chest: Mask, blocked: Mask, generator: np.random.Generator) -> Mask | None:
    """Place all parts at random, none on another; None if one has no room."""
    place = np.zeros_like(chest)
    for part in parts:
        lies_in, lies_on = (_overlaps(mask, part) for mask in (chest, blocked | place))
        corners = np.argwhere((lies_in >= (1.0 - _OUTSIDE) * part.sum()) & (lies_on < 0.5))
        if len(corners) == 0:
            return None
        top, left = corners[int(generator.integers(len(corners)))]
        place[top : top + part.shape[0], left : left + part.shape[1]] |= part
    return place


def _overlaps(mask: Mask, part: Part) -> Float[np.ndarray, "tops lefts"]:
    """Count the pixels of a part that lie on a mask, for every place of its upper left corner."""
    counted: Float[np.ndarray, "tops lefts"] = fftconvolve(mask.astype(float), part[::-1, ::-1].astype(float), "valid")
    return counted


def _around(region: Mask) -> tuple[slice, slice]:
    """Return the rows and columns of a region with a margin of one pixel, within the image."""
    found = find_objects(region.astype(int))[0]
    rows, columns = (
        slice(max(span.start - 1, 0), min(span.stop + 1, length))
        for span, length in zip(found, region.shape, strict=True)
    )
    return rows, columns


def _smooth_outside(image: Grey, region: Mask) -> Grey:
    """Smooth the image without the region's content (normalised convolution)."""
    known = (~region).astype(float)
    smooth: Grey = gaussian_filter(image * known, _SMOOTH_PX) / np.maximum(gaussian_filter(known, _SMOOTH_PX), 1e-9)
    return smooth


def _membrane(values: Grey, inside: Mask) -> Grey:
    """Solve Laplace's equation inside, with the values outside as boundary and no flow through the image's edges."""
    filled = values.astype(float)
    solve, boundary = _laplacian(inside.shape, inside.tobytes())
    filled[inside] = solve(-(boundary @ filled[~inside]))
    return filled


@lru_cache(maxsize=4)  # an equal area elsewhere has the same equations
def _laplacian(
    shape: tuple[int, int], inside: bytes
) -> tuple[Callable[[Float[np.ndarray, " unknown"]], Float[np.ndarray, " unknown"]], csr_array]:
    flat = np.frombuffer(inside, dtype=bool)
    down, across = (_second_difference(length) for length in shape)
    operator = csr_array(kron(down, eye_array(shape[1])) + kron(eye_array(shape[0]), across))[flat]
    return splu(csc_array(operator[:, flat])).solve, operator[:, ~flat]


def _second_difference(length: int) -> csr_array:
    neighbours = np.ones(length - 1)
    main = np.full(length, -2.0)
    main[0] += 1.0
    main[-1] += 1.0  # one pixel alone has no neighbour
    return csr_array(diags_array([neighbours, main, neighbours], offsets=[-1, 0, 1], shape=(length, length)))
