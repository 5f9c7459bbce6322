"""The picture of a radiograph that pages show."""

import io

import numpy as np
from jaxtyping import Float
from PIL import Image as Picture

__all__ = ["picture_of"]

_LONGEST_SIDE = 2560  # px: as many as the best reading displays have rows
_QUALITY = 90  # off by about one grey level of 256; a film of 2,000 x 2,000 px takes 300 to 500 kB


def picture_of(display: Float[np.ndarray, "rows columns"]) -> bytes:
    """Encode display values of [0, 1] as an 8-bit grey JPEG, long side at most 2,560 px."""
    picture = Picture.fromarray(np.round(np.clip(display, 0.0, 1.0) * 255.0).astype(np.uint8))
    picture.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE), Picture.Resampling.LANCZOS)
    encoded = io.BytesIO()
    picture.save(encoded, "JPEG", quality=_QUALITY)
    return encoded.getvalue()
