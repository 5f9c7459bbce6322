"""Finds the pixels that show the patient: not padding, not behind the shutter, not outside the collimated field."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Integer
from PIL import Image, ImageDraw
from pydicom.dataset import FileDataset
from pydicom.pixels.processing import apply_color_lut

from pipelines.dicom.decode import MAX_PIXELS, Encoding, decode_frame, read_dataset
from pipelines.dicom.grayscale import apply_modality, apply_polarity, apply_voi, little_endian_palette
from pipelines.dicom.headers import lift_functional_groups
from pipelines.dicom.identifiers import identifiers_in
from pipelines.dicom.source import READ_ERRORS, numbers, text, texts, tolerant_reading
from pipelines.errors import DicomError
from pipelines.study import Identifiers, PixelStep

__all__ = ["PixelStep", "Pixels", "find_valid_pixels", "read_pixels"]

Mask = Bool[np.ndarray, "rows columns"]

# A mask that leaves less than this share of the image visible is an error in the header, not a field of exposure.
_LEAST_SHARE = 0.05

# Real headers have edges up to this share of a side outside the image. Edges farther out are in another unit: the chest
# radiograph of pydicom-data has columns from -184 to 184, which are millimetres from the centre.
_SLACK = 0.05


def find_valid_pixels(
    dataset: FileDataset, stored: Integer[np.ndarray, "rows columns"]
) -> tuple[Mask, tuple[PixelStep, ...]]:
    """Mask out padding, display shutter and collimator; an implausible mask is ignored, and the step says so.

    Returns:
        True where a pixel shows the patient, and one processing step for each mask in the header.

    Source: PS3.3 C.7.5.1.1.2 (Pixel Padding Value), C.7.6.11 (Display Shutter), C.8.7.3 (X-Ray Collimator).
    """
    valid: Mask = np.ones(stored.shape, dtype=bool)
    steps: list[PixelStep] = []
    for name, mask, detail in (
        ("padding", *_padding(dataset, stored)),
        ("shutter", *_shapes(dataset, "Shutter", stored.shape)),
        ("collimation", *_shapes(dataset, "Collimator", stored.shape)),
    ):
        if not detail:
            continue
        if mask is None or (valid & mask).mean() < _LEAST_SHARE:
            steps.append(PixelStep(step=name, detail=f"ignored as implausible: {detail}"))
            continue
        valid &= mask
        steps.append(PixelStep(step=name, detail=f"{detail}; {1.0 - mask.mean():.1%} of the picture is masked"))
    return valid, tuple(steps)


def _padding(dataset: FileDataset, stored: Integer[np.ndarray, "rows columns"]) -> tuple[Mask | None, str]:
    """Mask pixels with a stored value between PixelPaddingValue and PixelPaddingRangeLimit."""
    values = numbers(dataset, "PixelPaddingValue")
    if len(values) != 1:
        return None, ""
    limits = numbers(dataset, "PixelPaddingRangeLimit") or values
    low, high = sorted(_as_stored(int(value), stored.dtype) for value in (values[0], limits[0]))
    return (stored < low) | (stored > high), f"stored values {low} to {high} are padding"


def _as_stored(value: int, dtype: np.dtype[np.integer]) -> int:
    """Correct a padding value that was written with the wrong signedness: 65,535 for -1, or the reverse."""
    bits = 8 * int(dtype.itemsize)
    if dtype.kind == "u":
        return value % (1 << bits)
    return (value + (1 << (bits - 1))) % (1 << bits) - (1 << (bits - 1))


def _shapes(dataset: FileDataset, kind: str, shape: tuple[int, ...]) -> tuple[Mask | None, str]:
    """Intersect the shapes that ShutterShape or CollimatorShape lists."""
    names = [name.upper() for name in texts(dataset, f"{kind}Shape") if name]
    if not names:
        return None, ""
    mask: Mask = np.ones(shape, dtype=bool)
    details = []
    for name in names:
        part, detail = _SHAPES[name](dataset, kind, shape) if name in _SHAPES else (None, "of no known shape")
        details.append(f"{name.lower()} {detail}")
        if part is None:
            return None, ", ".join(details)
        mask &= part
    return mask, ", ".join(details)


def _rectangle(dataset: FileDataset, kind: str, shape: tuple[int, ...]) -> tuple[Mask | None, str]:
    """Keep the pixels between the edges, edges included; coordinates start at 1 (at 0 for some manufacturers)."""
    keywords = ("UpperHorizontalEdge", "LowerHorizontalEdge", "LeftVerticalEdge", "RightVerticalEdge")
    edges = [numbers(dataset, kind + keyword) for keyword in keywords]
    if any(len(edge) != 1 for edge in edges):
        return None, "without its edges"
    upper, lower, left, right = (int(edge[0]) for edge in edges)
    detail = f"rows {upper} to {lower}, columns {left} to {right}"
    rows, columns = shape
    if not (_inside(upper, lower, rows) and _inside(left, right, columns)):
        return None, detail
    mask: Mask = np.zeros(shape, dtype=bool)
    mask[max(upper - 1, 0) : max(lower, 0), max(left - 1, 0) : max(right, 0)] = True
    return mask, detail


def _inside(low: int, high: int, size: int) -> bool:
    return -_SLACK * size <= low < high <= (1.0 + _SLACK) * size + 1


def _circle(dataset: FileDataset, kind: str, shape: tuple[int, ...]) -> tuple[Mask | None, str]:
    """Keep the pixels whose centre is within the radius; the circle's centre is (row, column), counted from 1."""
    centre, radius = numbers(dataset, f"CenterOfCircular{kind}"), numbers(dataset, f"RadiusOfCircular{kind}")
    if len(centre) != 2 or len(radius) != 1:
        return None, "without centre or radius"
    rows = np.arange(1, shape[0] + 1, dtype=np.float32)[:, None] - np.float32(centre[0])
    columns = np.arange(1, shape[1] + 1, dtype=np.float32)[None, :] - np.float32(centre[1])
    mask: Mask = rows**2 + columns**2 <= np.float32(radius[0]) ** 2
    return mask, f"centre row {centre[0]:g}, column {centre[1]:g}, radius {radius[0]:g}"


def _polygon(dataset: FileDataset, kind: str, shape: tuple[int, ...]) -> tuple[Mask | None, str]:
    """Keep the pixels inside the polygon, border included; its vertices are (row, column), counted from 1."""
    values = numbers(dataset, f"VerticesOfThePolygonal{kind}")
    vertices = [(column - 1.0, row - 1.0) for row, column in zip(values[::2], values[1::2], strict=False)]
    if len(vertices) < 3:
        return None, "without its vertices"
    rows, columns = shape
    largest = max(abs(coordinate) for vertex in vertices for coordinate in vertex)
    if largest > 2 * max(rows, columns):
        return None, f"of {len(vertices)} vertices far outside the picture"
    canvas = Image.new("1", (columns, rows))
    ImageDraw.Draw(canvas).polygon(vertices, fill=1, outline=1)
    return np.array(canvas, dtype=bool), f"of {len(vertices)} vertices"


def _bitmap(dataset: FileDataset, kind: str, shape: tuple[int, ...]) -> tuple[Mask | None, str]:
    """Keep the pixels where the overlay that ShutterOverlayGroup names is 0; it must have the size of the image.

    Source: PS3.3 C.7.6.15 (Bitmap Display Shutter), C.9.2 (Overlay Plane).
    """
    group = numbers(dataset, f"{kind}OverlayGroup")
    if len(group) != 1 or int(group[0]) not in range(0x6000, 0x6100, 2):
        return None, "without its overlay"
    detail = f"of overlay {int(group[0]):04X}"
    try:
        covered = dataset.overlay_array(int(group[0]))
    except READ_ERRORS:
        return None, f"{detail}, which cannot be read"
    if covered.shape != shape:
        return None, f"{detail}, which is not as large as the picture"
    return covered == 0, detail


_SHAPES = {"RECTANGULAR": _rectangle, "CIRCULAR": _circle, "POLYGONAL": _polygon, "BITMAP": _bitmap}


_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # of R, G, B; ITU-R BT.601, as in PS3.3 C.7.6.3.1.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Pixels:
    """A radiograph as it is displayed: dense tissue bright, lungs dark."""

    display: Float[np.ndarray, "rows columns"]  # float32, 0 to 1
    valid: Bool[np.ndarray, "rows columns"]  # False in padding, behind the shutter and outside the collimated field
    steps: tuple[PixelStep, ...]
    identifiers: Identifiers = field(default_factory=Identifiers)  # of the header, to be masked in the report
    stated_burned_in: bool = False  # BurnedInAnnotation is YES (PS3.3 C.7.6.1)


def read_pixels(path: Path, *, frame: int = 1, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Decode a frame of a file and convert it to display values.

    Args:
        path: the DICOM file.
        frame: number of the frame, counted from 1.
        max_pixels: limit for rows x columns x frames; a larger file is refused before it is decoded.

    Raises:
        DicomError: the file cannot be read, has no such frame, claims too many pixels, or needs a decoder that is not
            installed.

    Source: PS3.4 N.2 (the order of the grayscale transformations), PS3.3 C.11.1 and C.11.2.
    """
    with tolerant_reading():
        dataset = read_dataset(path)
        values, encoding = decode_frame(dataset, path, frame=frame, max_pixels=max_pixels)
        lift_functional_groups(dataset, frame)
        steps = [PixelStep(step="decoding", detail=_describe(encoding))]
        if encoding.frames > 1:
            steps.append(PixelStep(step="frame", detail=f"{frame} of {encoding.frames}"))
        if values.ndim == 3 or encoding.photometric_interpretation == "PALETTE COLOR":
            pixels = _from_colour(dataset, values, steps, path, encoding.bits_stored)
        else:
            pixels = _from_grey(dataset, values, steps)
        return replace(
            pixels,
            identifiers=identifiers_in(dataset),
            stated_burned_in=text(dataset, "BurnedInAnnotation").upper() == "YES",
        )


def _from_grey(dataset: FileDataset, stored: Integer[np.ndarray, "rows columns"], steps: list[PixelStep]) -> Pixels:
    valid, masks = find_valid_pixels(dataset, stored)
    limits = np.iinfo(stored.dtype)
    index = stored if limits.min == 0 else stored.astype(np.int32) - limits.min
    counts = np.bincount(index[valid], minlength=limits.max - limits.min + 1)
    table, modality = apply_modality(dataset, np.arange(limits.min, limits.max + 1, dtype=np.float64))
    table, voi = apply_voi(dataset, table, counts)
    table, polarity = apply_polarity(dataset, table)
    display = table.astype(np.float32)[index]
    return Pixels(display=display, valid=valid, steps=(*steps, modality, *masks, voi, polarity))


def _from_colour(
    dataset: FileDataset,
    values: Integer[np.ndarray, "rows columns *samples"],
    steps: list[PixelStep],
    path: Path,
    bits: int,
) -> Pixels:
    """Compute the luminance of a colour image, which is a secondary capture and is shown as stored.

    Modality and VOI transformations do not apply to colour (PS3.3 C.11.1, C.11.2: monochrome only). Full scale is that
    of the stored ``bits`` (more if the values need it), or that of the palette's entries.
    """
    if values.ndim == 2:
        try:
            values = apply_color_lut(values, little_endian_palette(dataset))
        except READ_ERRORS as error:
            raise DicomError(f"{path}: the colour palette cannot be read; export it as MONOCHROME2.") from error
        steps = [*steps, PixelStep(step="palette", detail="palette colour looked up")]
        bits = 8 * values.itemsize
    valid, masks = find_valid_pixels(dataset, values[..., 0])
    full_scale = np.float32(2**bits - 1 if values.max() < 2**bits else np.iinfo(values.dtype).max)
    display = np.clip(values.astype(np.float32) @ _LUMA / full_scale, 0.0, 1.0)
    luminance = PixelStep(step="luminance", detail="0.299 R + 0.587 G + 0.114 B of a colour picture")
    return Pixels(display=display, valid=valid, steps=(*steps, *masks, luminance))


def _describe(encoding: Encoding) -> str:
    sign = "signed" if encoding.signed else "unsigned"
    return f"{encoding.transfer_syntax.name}, {encoding.bits_stored} of {encoding.bits_allocated} bits, {sign}"
