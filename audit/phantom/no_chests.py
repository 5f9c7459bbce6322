"""Images without a frontal chest, for the training of networks that have to notice it: limbs, textures and pages."""

import numpy as np
from jaxtyping import UInt8
from PIL import Image as Picture
from PIL import ImageDraw, ImageFilter
from scipy.ndimage import gaussian_filter

from audit.phantom.chest_shapes import SIZE, ellipse, rounded

__all__ = ["make_other_images"]

_DRAWN = 2 * SIZE


def make_other_images(count: int, *, seed: int) -> UInt8[np.ndarray, "count 128 128"]:
    """Draw ``count`` images that show no frontal chest."""
    kinds = (_limb, _limb, _head, _texture, _scene)
    images = np.empty((count, SIZE, SIZE), dtype=np.uint8)
    for index in range(count):
        rng = np.random.default_rng([seed, index, 1])
        values = kinds[rng.integers(len(kinds))](rng)
        values = values + rng.uniform(0.0, 0.06) * rng.normal(0.0, 1.0, values.shape)
        low, high = np.quantile(values, [rng.uniform(0.0, 0.05), rng.uniform(0.95, 1.0)])
        values = np.clip((values - low) / max(high - low, 1e-3), 0.0, 1.0) ** np.exp(rng.normal(0.0, 0.3))
        images[index] = (255.0 * values).astype(np.uint8)
    return images


def _drawn(outlines: list[np.ndarray], blur: float) -> np.ndarray:
    picture = Picture.new("L", (_DRAWN, _DRAWN), 0)
    draw = ImageDraw.Draw(picture)
    for outline in outlines:
        draw.polygon((outline * _DRAWN).ravel().tolist(), fill=255)
    return np.asarray(picture.filter(ImageFilter.BoxBlur(blur)).reduce(2), dtype=np.float32) / 255.0


def _limb(rng: np.random.Generator) -> np.ndarray:
    """Soft tissue with one or two bones along it, and at times a joint or a row of small bones."""
    uniform = rng.uniform
    width, bones, shafts = uniform(0.15, 0.45), int(rng.integers(1, 6)), []
    tissue = np.array([(0.5 - width, -0.6), (0.5 + width, -0.6), (0.5 + width * uniform(0.6, 1.2), 1.6)])
    tissue = np.concatenate([tissue, [(0.5 - width * uniform(0.6, 1.2), 1.6)]])
    thickness, gap = width / (bones + 1) * uniform(0.4, 0.9), uniform(0.3, 0.7)
    for place in np.linspace(0.5 - width, 0.5 + width, bones + 2)[1:-1]:
        for top, bottom in ((-0.6, gap - 0.01), (gap + 0.01, 1.6)):
            ends = [(place - thickness, top), (place + thickness, top), (place + 1.3 * thickness, bottom)]
            shafts.append(rounded([*ends, (place - 1.3 * thickness, bottom)]))
    angle = uniform(0.0, 2.0 * np.pi)
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    outlines = [(outline - 0.5) @ rotation + 0.5 for outline in (tissue, *shafts)]
    return uniform(0.2, 0.6) * _drawn(outlines[:1], uniform(1, 6)) + uniform(0.1, 0.5) * _drawn(outlines[1:], 1.5)


def _head(rng: np.random.Generator) -> np.ndarray:
    """Ellipses in each other: a skull, a pelvis, an abdomen."""
    uniform, image = rng.uniform, np.zeros((SIZE, SIZE), dtype=np.float32)
    for _ in range(rng.integers(2, 7)):
        radii = (uniform(0.05, 0.45), uniform(0.05, 0.45))
        outline = ellipse((uniform(0.3, 0.7), uniform(0.3, 0.7)), radii, uniform(0.0, np.pi))
        image += uniform(-0.4, 0.6) * _drawn([outline], uniform(0.5, 8.0))
    return image


def _texture(rng: np.random.Generator) -> np.ndarray:
    """Noise of several scales, with a slope."""
    image = np.zeros((SIZE, SIZE))
    for scale in rng.choice([0.0, 1.0, 3.0, 8.0, 20.0], size=3, replace=False):
        noise = gaussian_filter(rng.normal(0.0, 1.0, (SIZE, SIZE)), scale)
        image += rng.uniform(0.0, 1.0) * noise / noise.std()
    along = np.arange(SIZE) / SIZE
    return np.asarray(image + rng.normal(0.0, 1.5) * along + rng.normal(0.0, 1.5) * along[:, None])


def _scene(rng: np.random.Generator) -> np.ndarray:
    """Polygons of many greys over each other, as on a photograph or a page."""
    uniform, image = rng.uniform, np.full((SIZE, SIZE), rng.uniform(), dtype=np.float32)
    for _ in range(rng.integers(3, 25)):
        corners = uniform(-0.1, 1.1, 2) + uniform(-0.3, 0.3, (int(rng.integers(3, 7)), 2))
        shape = _drawn([corners], uniform(0.0, 4.0))
        image += shape * (np.float32(uniform()) - image)
    return image
