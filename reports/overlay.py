"""Heat becomes colour: the colour table, the display range, and the picture of a heat map.

The same arithmetic stands in ``assets/study.js``; a test holds the two together. Colours run from dark violet over red
to pale yellow, rising evenly in lightness, so that they are told apart without colour vision and on a grey print.

Source: the table is "inferno" by Nathaniel Smith and Stéfan van der Walt (2015, CC0), every 15th of its 256 entries;
between them it is straight to within 2 % of full scale.
"""

import io
from collections.abc import Mapping
from typing import Final

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, UnidentifiedImageError

from pipelines.errors import OutputError
from pipelines.geometry import Fit, Placement
from reports.record import PlacementRecord

__all__ = [
    "COLOURS",
    "FULL_COLOUR_FROM",
    "check_picture",
    "colour_heat",
    "display_range",
    "picture_size",
    "placement_of",
    "thumbnail",
]

_ANCHORS = (
    "000004 0a0722 1e0c45 380962 510e6c 69166e 801f6c 982766 b0315b "
    "c63d4d d94d3d e9612b f47918 fa9407 fcb014 f8cd37 f2ea69 fcffa4"
)

FULL_COLOUR_FROM: Final = 0.6
"""Share of the display range from which colour is solid; below it fades out, so that cold pixels stay radiograph."""


def _colour_table() -> UInt8[np.ndarray, "256 3"]:
    anchors = np.array([list(bytes.fromhex(anchor)) for anchor in _ANCHORS.split()], dtype=float)
    positions = np.linspace(0, 255, len(anchors))
    channels = [np.interp(np.arange(256), positions, anchors[:, channel]) for channel in range(3)]
    return np.floor(np.stack(channels, axis=1) + 0.5).astype(np.uint8)


COLOURS: Final[UInt8[np.ndarray, "256 3"]] = _colour_table()
"""Red, green and blue for each of 256 steps of the display range, coldest first."""
COLOURS.setflags(write=False)


def placement_of(record: PlacementRecord) -> Placement:
    """Make the record's placement one that computes."""
    return Placement(**{**record.model_dump(), "fit": Fit(record.fit)})


def display_range(heat: Float[np.ndarray, "grid_rows grid_columns"]) -> tuple[float, float] | None:
    """Give the coldest and hottest cell in nats, or None for a map that shows nothing (flat, empty or not finite)."""
    if heat.size == 0 or not np.isfinite(heat).all():
        return None
    low, high = float(heat.min()), float(heat.max())
    return (low, high) if high > low else None


def colour_heat(
    heat: Float[np.ndarray, "grid_rows grid_columns"],
    placement: Placement,
    *,
    height: int,
    width: int,
) -> UInt8[np.ndarray, "height width 4"]:
    """Colour a heat map as the page shows it, over a picture of the whole source image at ``height`` x ``width`` px.

    Returns:
        RGBA; transparent where the model did not see the pixel, and everywhere for a map that shows nothing.
    """
    coloured: UInt8[np.ndarray, "height width 4"] = np.zeros((height, width, 4), dtype=np.uint8)
    scale = display_range(heat)
    if scale is None:
        return coloured
    low, high = scale
    over_picture = Placement(
        rows=height,
        columns=width,
        size=placement.size,
        fit=placement.fit,
        resized_rows=placement.resized_rows,
        resized_columns=placement.resized_columns,
        top=placement.top,
        left=placement.left,
    )
    share = (over_picture.heat_to_source(heat) - low) / (high - low)
    seen = np.isfinite(share)
    share = np.clip(np.where(seen, share, 0.0), 0.0, 1.0)
    coloured[..., :3] = COLOURS[np.floor(share * 255 + 0.5).astype(int)]
    coloured[..., 3] = np.floor(np.minimum(share / FULL_COLOUR_FROM, 1.0) ** 1.5 * 255 + 0.5)
    coloured[~seen] = 0
    return coloured


def picture_size(png: bytes, *, name: str) -> tuple[int, int]:
    """Read width and height of a PNG, in pixels.

    Raises:
        OutputError: the bytes are no PNG.
    """
    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as picture:
            return picture.size
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise OutputError(f"{name} is no readable PNG: audit the study again, the page needs its picture") from error


def check_picture(png: bytes, *, name: str) -> None:
    """Read a PNG to its end.

    Raises:
        OutputError: the bytes are no PNG, or its end is missing.
    """
    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as picture:
            picture.load()
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise OutputError(f"{name} is no readable PNG: audit the study again") from error


def thumbnail(
    png: bytes,
    *,
    heats: Mapping[str, Float[np.ndarray, "grid_rows grid_columns"]],
    show: str | None,
    placement: PlacementRecord,
    side: int = 96,
) -> bytes:
    """Shrink a picture to at most ``side`` px and lay the heat named ``show`` over it, if any.

    Returns:
        A PNG of at most 256 colours, a few kilobytes.

    Raises:
        OutputError: the bytes are no PNG.
    """
    picture_size(png, name="the picture of a thumbnail")
    with Image.open(io.BytesIO(png), formats=["PNG"]) as opened:
        picture = opened.convert("L")
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    shown = picture.convert("RGBA")
    if show is not None:
        overlay = colour_heat(heats[show], placement_of(placement), height=picture.height, width=picture.width)
        overlay[..., 3] = overlay[..., 3] * 0.7
        shown.alpha_composite(Image.fromarray(overlay))
    out = io.BytesIO()
    shown.convert("RGB").quantize(128).save(out, format="PNG", optimize=True)
    return out.getvalue()
