"""Noisy linear imputation's linear part: each missing pixel becomes the weighted mean of its eight neighbours.

The equations of all missing pixels are solved together, so that what is filled in blends with what stands around it
and does not give away where something was cut out. With W the neighbours' weights (1/6 beside, 1/12 across the corner),
D what of them lies inside the image, and known pixels k, the missing ones v satisfy

    (D - W) v = W k

which is symmetric and positive definite as long as one pixel is known: conjugate gradients solve it, for a batch of
images at once and on their own device, from a first guess that is averaged down and up again.

Source: Rong et al. 2022, "A consistent and efficient evaluation strategy for attribution methods" (noisy linear
imputation), with the weights of its authors' code, which solves by elimination; Hestenes and Stiefel 1952, "Methods of
conjugate gradients for solving linear systems".
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, interpolate

__all__ = ["impute_linearly"]

Planes = Float[Tensor, "images channels height width"]
Known = Bool[Tensor, "images 1 height width"]

_BESIDE, _ACROSS = 1.0 / 6.0, 1.0 / 12.0
_RESIDUAL = 1e-5  # root mean square over the missing pixels, in units of the image's own spread
_MOST_ITERATIONS = 2000


def impute_linearly(pixels: Planes, missing: Bool[Tensor, "images height width"]) -> Planes:
    """Fill the missing pixels from the known ones; known ones stay as they are.

    Raises:
        ValueError: an image has no known pixel.
    """
    known = ~missing[:, None]
    if not bool(known.flatten(1).any(1).all()):
        raise ValueError("an image without a known pixel cannot be imputed")
    count = known.flatten(2).sum(2)[..., None, None]
    centre = torch.where(known, pixels, 0.0).sum((2, 3), keepdim=True) / count
    values = torch.where(known, pixels - centre, 0.0)  # about 0: the residual is then relative to the contrast
    spread = (values.square().sum((2, 3), keepdim=True) / count).sqrt()
    filled = _solved(values, known, spread)
    return torch.where(known, pixels, filled + centre)


def _solved(values: Planes, known: Known, spread: Float[Tensor, "images channels 1 1"]) -> Planes:
    """Conjugate gradients on the missing pixels of every plane at once."""
    inside = _neighbours(torch.ones_like(values[:1, :1]))
    solution = torch.where(known, 0.0, _guess(values, known))

    def operate(part: Planes) -> Planes:
        return torch.where(known, 0.0, inside * part - _neighbours(part))

    residual = torch.where(known, 0.0, _neighbours(values)) - operate(solution)
    direction, power = residual, _squares(residual)
    enough = (_RESIDUAL * spread).square() * (~known).flatten(2).sum(2)[..., None, None]
    for _ in range(_MOST_ITERATIONS):
        if bool((power <= enough).all()):
            break
        along = operate(direction)
        step = _ratio(power, (direction * along).sum((2, 3), keepdim=True))
        solution = solution + step * direction
        residual = residual - step * along
        before, power = power, _squares(residual)
        direction = residual + _ratio(power, before) * direction
    return solution


def _guess(values: Planes, known: Known) -> Planes:
    """Average known pixels two by two until there is one everywhere, and interpolate back."""
    if bool(known.all()):
        return values
    share = avg_pool2d(known.to(values.dtype), 2, ceil_mode=True)
    means = _ratio(avg_pool2d(torch.where(known, values, 0.0), 2, ceil_mode=True), share)
    coarse = _guess(means, share > 0)
    fine = interpolate(coarse, size=values.shape[2:], mode="bilinear", align_corners=False)
    return torch.where(known, values, fine)


def _neighbours(planes: Planes) -> Planes:
    """Weighted sum of each pixel's neighbours inside the image."""
    kernel = planes.new_tensor([[_ACROSS, _BESIDE, _ACROSS], [_BESIDE, 0.0, _BESIDE], [_ACROSS, _BESIDE, _ACROSS]])
    return conv2d(planes.flatten(0, 1)[:, None], kernel[None, None], padding=1).view_as(planes)


def _squares(planes: Planes) -> Float[Tensor, "images channels 1 1"]:
    return planes.square().sum((2, 3), keepdim=True)


def _ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Divide, and give 0 where a plane is solved or a cell holds nothing and both are 0."""
    positive = denominator > 0
    return torch.where(positive, numerator / torch.where(positive, denominator, 1.0), 0.0)
