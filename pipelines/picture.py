"""The picture of a radiograph that pages show."""

import io

import numpy as np
from jaxtyping import Float
from PIL import Image as Picture

__all__ = ["picture_of"]

_LONGEST_SIDE = 1024  # px


def picture_of(display: Float[np.ndarray, "rows columns"]) -> bytes:
    """Encode display values of [0, 1] as an 8-bit grey PNG, long side at most 1,024 px."""
    picture = Picture.fromarray(np.round(np.clip(display, 0.0, 1.0) * 255.0).astype(np.uint8))
    picture.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE), Picture.Resampling.LANCZOS)
    encoded = io.BytesIO()
    picture.save(encoded, "PNG", optimize=False, compress_level=6)
    return encoded.getvalue()
