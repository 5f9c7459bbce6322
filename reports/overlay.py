"""Converts heat to colour: the colour tables, the display range, and the image of a heat map.

``assets/heat.js`` has the same arithmetic; a test compares the two. Every table rises evenly in lightness, so that its
colours can be distinguished without colour vision and on a grey print.

Source: "inferno" and "viridis" by Nathaniel Smith and Stéfan van der Walt (2015, CC0), "cividis" by Nuñez, Anderton and
Renslow (2018); every 15th of their 256 entries, between which they are straight to within 5 % of full scale.
"""

import io
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, UnidentifiedImageError

from pipelines.errors import DamagedError
from pipelines.geometry import Placement

__all__ = [
    "COLOURS",
    "FULL_COLOUR_FROM",
    "TABLES",
    "check_picture",
    "colour_heat",
    "display_range",
    "picture_size",
    "thumbnail",
]

_UNREADABLE = (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError)
_FORMATS = ("JPEG", "PNG")  # of the pictures in a run's folder; older versions wrote PNG

_INFERNO = (
    "000004 0a0722 1e0c45 380962 510e6c 69166e 801f6c 982766 b0315b "
    "c63d4d d94d3d e9612b f47918 fa9407 fcb014 f8cd37 f2ea69 fcffa4"
)
_VIRIDIS = (
    "440154 481769 472a7a 433d84 3d4e8a 355e8d 2e6d8e 297b8e 23898e "
    "1f978b 21a585 2eb37c 46c06f 65cb5e 89d548 b0dd2f d8e219 fde725"
)
_CIVIDIS = (
    "00224e 002d68 163770 2e416d 3f4c6c 4e566c 5c616e 696b71 767676 "
    "838179 928c78 a09875 afa471 bfb06b cfbd62 dfca57 f0d846 fee838"
)

FULL_COLOUR_FROM: Final = 0.6
"""Share of the display range from which colour is solid; below it fades out, so that cold pixels stay radiograph."""


def _colour_table(entries: str) -> UInt8[np.ndarray, "256 3"]:
    anchors = np.array([list(bytes.fromhex(anchor)) for anchor in entries.split()], dtype=float)
    positions = np.linspace(0, 255, len(anchors))
    channels = [np.interp(np.arange(256), positions, anchors[:, channel]) for channel in range(3)]
    table: UInt8[np.ndarray, "256 3"] = np.floor(np.stack(channels, axis=1) + 0.5).astype(np.uint8)
    table.setflags(write=False)
    return table


TABLES: Final[Mapping[str, UInt8[np.ndarray, "256 3"]]] = {
    "inferno": _colour_table(_INFERNO),
    "viridis": _colour_table(_VIRIDIS),
    "cividis": _colour_table(_CIVIDIS),
}
"""Red, green and blue for each of 256 steps of the display range, coldest first; pages offer each by its name."""
COLOURS: Final = TABLES["inferno"]
"""The table of every picture until its reader chooses another."""


def display_range(heat: Float[np.ndarray, "grid_rows grid_columns"]) -> tuple[float, float] | None:
    """Return the coldest and hottest cell in nats, or None for a map that is flat, empty or not finite."""
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
    """Colour a heat map as the page does, for an image of the whole source at ``height`` x ``width`` px.

    Returns:
        RGBA; transparent where the model did not see the pixel, and everywhere if the map is flat.
    """
    coloured: UInt8[np.ndarray, "height width 4"] = np.zeros((height, width, 4), dtype=np.uint8)
    scale = display_range(heat)
    if scale is None:
        return coloured
    low, high = scale
    over_picture = replace(placement, rows=height, columns=width)
    share = (over_picture.heat_to_source(heat) - low) / (high - low)
    seen = np.isfinite(share)
    share = np.clip(np.where(seen, share, 0.0), 0.0, 1.0)
    coloured[..., :3] = COLOURS[np.floor(share * 255 + 0.5).astype(int)]
    coloured[..., 3] = np.floor(np.minimum(share / FULL_COLOUR_FROM, 1.0) ** 1.5 * 255 + 0.5)
    coloured[~seen] = 0
    return coloured


def picture_size(encoded: bytes, *, name: str) -> tuple[int, int]:
    """Read width and height of an image file, in pixels.

    Raises:
        DamagedError: the bytes are neither JPEG nor PNG.
    """
    try:
        with Image.open(io.BytesIO(encoded), formats=_FORMATS) as picture:
            return picture.size
    except _UNREADABLE as error:
        raise DamagedError(f"{name} is neither JPEG nor PNG: audit the study again for its picture") from error


def check_picture(encoded: bytes, *, name: str) -> None:
    """Decode an image file completely.

    Raises:
        DamagedError: the bytes are neither JPEG nor PNG, or the end is missing.
    """
    try:
        with Image.open(io.BytesIO(encoded), formats=_FORMATS) as picture:
            picture.load()
    except _UNREADABLE as error:
        raise DamagedError(f"{name} is not a readable JPEG or PNG: audit the study again") from error


def thumbnail(
    encoded: bytes,
    *,
    heats: Mapping[str, Float[np.ndarray, "grid_rows grid_columns"]],
    show: str | None,
    placement: Placement,
    side: int = 96,
) -> bytes:
    """Shrink an image to at most ``side`` px, with the heat named ``show`` over it, if any.

    Returns:
        A PNG of at most 256 colours, a few kilobytes.

    Raises:
        DamagedError: the bytes are not a readable JPEG or PNG.
    """
    try:
        with Image.open(io.BytesIO(encoded), formats=_FORMATS) as opened:
            opened.thumbnail((side, side), Image.Resampling.LANCZOS)
            picture = opened.convert("L")
    except _UNREADABLE as error:
        raise DamagedError("the picture of a thumbnail is not a readable JPEG or PNG: audit the study again") from error
    shown = picture.convert("RGBA")
    if show is not None:
        overlay = colour_heat(heats[show], placement, height=picture.height, width=picture.width)
        overlay[..., 3] = overlay[..., 3] * 0.7
        shown.alpha_composite(Image.fromarray(overlay))
    out = io.BytesIO()
    shown.convert("RGB").quantize(128).save(out, format="PNG", optimize=True)
    return out.getvalue()
