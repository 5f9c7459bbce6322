"""Cosines of an image under masks: what the methods that perturb the input ask of a model."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cosine_similarity

from audit.attribution.batching import in_chunks
from audit.encoders.protocol import DualEncoder

__all__ = ["masked_cosines"]

_AT_ONCE = {"cpu": 16, "cuda": 256}  # masked images through the tower; fewer where memory runs out


@torch.no_grad()
def masked_cosines(
    encoder: DualEncoder,
    pixels: Float[Tensor, "3 size size"],
    masks: Float[Tensor, "masks size size"],
    target: Float[Tensor, " dim"],
) -> Float[Tensor, " masks"]:
    """Cosine of the image under each mask with a phrase's embedding.

    A mask multiplies the normalised image, so what it takes away becomes the mean grey of the training images.
    """

    def run(chunk: Sequence[Tensor]) -> list[Tensor]:
        embedded = encoder.image.forward(pixels * torch.stack(list(chunk))[:, None])
        return list(cosine_similarity(embedded, target[None], dim=-1))

    cosines, _ = in_chunks(list(masks), run, size=_AT_ONCE.get(pixels.device.type, 1))
    return torch.stack(cosines)
