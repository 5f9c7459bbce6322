"""Whether a picture shows letters that were burned into a film: by its pixels, at any size, under colours too."""

import io
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from containers import unpacked
from PIL import Image
from pydicom import dcmread
from skimage.feature import match_template

__all__ = ["LEGIBLE", "legible_in", "pictures_in"]

LEGIBLE = 0.4
"""Correlation of a picture with letters from which on they count as legible."""

_ROOM_PX = 4  # around the letters: what they stand out from
_ASPECT = 0.02  # of a picture that is a whole film, relative to the film's
_SIGNS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF", b"GIF8")
_FILM_IN_RESULTS = 1024  # px: the longest side of the film in a secondary capture (reports/dicom_out/capture.py)
_ABOVE_FILM = 92  # px: the warning of a secondary capture

Named = tuple[str, bytes]


def pictures_in(named: Iterable[Named]) -> Iterator[tuple[str, np.ndarray]]:
    """Give every picture as grey values, of files and of all that is packed in them; DICOM objects too."""
    for name, data in named:
        if data[128:132] == b"DICM":
            found = dcmread(io.BytesIO(data))
            if "PixelData" in found and found.get("SamplesPerPixel") == 3:
                yield name, found.pixel_array.mean(axis=-1)
            continue
        for place, content in unpacked(name, data):
            if content.startswith(_SIGNS):
                with Image.open(io.BytesIO(content)) as picture:
                    yield place, np.asarray(picture.convert("RGBA").convert("L"), dtype=float)


def legible_in(picture: np.ndarray, inks: Sequence[np.ndarray]) -> float:
    """Give the highest correlation of a picture with the letters of any film, scaled as the film is in it."""
    return max((_correlation(part, letters) for ink in inks for part, letters in _pairs(picture, ink)), default=0.0)


def _pairs(picture: np.ndarray, ink: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Give the part of a picture in which a film's letters may stand, with the letters at the size they would have."""
    (rows, columns), film = picture.shape, ink.shape
    if abs(rows / columns - film[0] / film[1]) < _ASPECT * film[0] / film[1]:
        scale, below, beside = columns / film[1], 0, 0
    elif max(picture.shape) > _FILM_IN_RESULTS:
        scale = _FILM_IN_RESULTS / max(film)
        below, beside = _ABOVE_FILM, (columns - round(film[1] * scale)) // 2
    else:
        return
    letters, top, left = _letters(ink, scale)
    top, left = max(0, top + below - _ROOM_PX), max(0, left + beside - _ROOM_PX)
    yield picture[top:, left:][: letters.shape[0] + 2 * _ROOM_PX, : letters.shape[1] + 2 * _ROOM_PX], letters


def _correlation(part: np.ndarray, letters: np.ndarray) -> float:
    if any(has < needs for has, needs in zip(part.shape, letters.shape, strict=True)):
        return 0.0
    return float(np.abs(match_template(part, letters)).max())


def _letters(ink: np.ndarray, scale: float) -> tuple[np.ndarray, int, int]:
    """Give letters with a little room around them, at a scale, and the row and column at which they begin."""
    rows, columns = np.nonzero(ink)
    top, left = max(0, rows.min() - _ROOM_PX), max(0, columns.min() - _ROOM_PX)
    part = ink[top : rows.max() + _ROOM_PX, left : columns.max() + _ROOM_PX]
    size = max(2, int(part.shape[1] * scale)), max(2, int(part.shape[0] * scale))
    grey = Image.fromarray(part.astype(np.uint8) * 255).resize(size, Image.Resampling.BILINEAR)
    return np.asarray(grey, dtype=float), int(top * scale), int(left * scale)
