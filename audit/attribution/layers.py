"""Selects the blocks at which a method works: as given, else as in the model's folder, else as published."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cosine_similarity

from audit.encoders.protocol import DualEncoder, EncoderInfo

__all__ = ["check_layer", "cosine_gradient", "default_layer", "first_of_last", "layers_for"]

_PUBLISHED_DEPTH = 12  # number of blocks to which the published layers refer


def default_layer(published_layer: int, depth: int) -> int:
    """Scale a published layer (of 12 blocks) to a tower of ``depth`` blocks; at least one block follows it."""
    return max(0, min(depth - 2, round(published_layer * depth / _PUBLISHED_DEPTH)))


def layers_for(
    encoder: DualEncoder, image_layer: int | None, text_layer: int | None, *, published: tuple[int, int]
) -> tuple[int, int]:
    """Choose the image block and the text block at which a method works.

    Args:
        encoder: the model; its folder may name the blocks at which it is explained best.
        image_layer: 0-based, None if not given.
        text_layer: 0-based, None if not given.
        published: blocks of towers with 12 blocks, scaled in proportion to other depths.

    Raises:
        ValueError: the model has no such block.
    """
    info: EncoderInfo = encoder.info
    image = _first_layer(image_layer, info.image_layer, default_layer(published[0], encoder.image.depth))
    text = _first_layer(text_layer, info.text_layer, default_layer(published[1], encoder.text.depth))
    for tower, layer, depth in (("image", image, encoder.image.depth), ("text", text, encoder.text.depth)):
        check_layer(tower, layer, depth)
    return image, text


def check_layer(tower: str, layer: int, depth: int) -> None:
    """Refuse a block that a tower does not have.

    Raises:
        ValueError: ``layer`` is not one of the blocks 0 to ``depth - 1``.
    """
    if not 0 <= layer < depth:
        raise ValueError(f"{tower} layer {layer} is outside this model's blocks 0 to {depth - 1}")


def first_of_last(depth: int, count: int) -> int:
    """Return the index of the first of a tower's last ``count`` blocks; a larger number than exists means all."""
    return max(0, depth - count)


def _first_layer(*values: int | None) -> int:
    return next(value for value in values if value is not None)


def cosine_gradient(
    run: Callable[[Tensor], Tensor], state: Float[Tensor, "batch ..."], target: Float[Tensor, "batch dim"]
) -> Float[Tensor, "batch ..."]:
    """Differentiate each row's cos(run(state), target) with respect to that row's state; no graph is kept."""
    leaf = state.detach().requires_grad_()
    fit = cosine_similarity(run(leaf), target, dim=-1).sum()
    (gradient,) = torch.autograd.grad(fit, leaf)
    return gradient
