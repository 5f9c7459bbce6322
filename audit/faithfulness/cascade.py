"""Cascading randomisation: towers whose top blocks have random weights, and the similarity of heat before and after.

The loaded model is not changed. Every weight tensor of a randomised block is drawn from a normal distribution with that
tensor's own mean and standard deviation. The paper initialises the weights as before training; keeping each tensor's
scale keeps the activations in their range, so that heat changes because the learnt weights are gone and not because
numbers vanish or overflow. The cascade begins with the top block: that of the paper begins with the class logits, which
a dual encoder does not have. The projection into the shared space stays as trained.

Heat that stays the same while blocks become random shows the edges of the image or the rare words of the phrase, not
the model. :mod:`audit.faithfulness.similarity` compares heat maps.

Source: Adebayo et al. 2018, "Sanity checks for saliency maps" (cascading randomization).
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from enum import StrEnum
from typing import TypeVar

import torch
from torch import Tensor, nn

from audit.attribution.engine import pair_seed
from audit.encoders.blocks import Affine, Block
from audit.encoders.protocol import DualEncoder, Encoder
from audit.encoders.transformer import TransformerImageTower, TransformerTextTower
from pipelines.errors import ModelError

__all__ = [
    "TowerName",
    "depth_of",
    "randomisable",
    "randomised",
    "randomised_tower",
]

Tower = TypeVar("Tower", TransformerImageTower, TransformerTextTower)
Map = Callable[[Tensor], Tensor]


class TowerName(StrEnum):
    """Which half of a dual encoder."""

    IMAGE = "image"
    TEXT = "text"


def depth_of(encoder: DualEncoder, tower: TowerName) -> int:
    """Return the number of blocks of a tower."""
    return (encoder.image if tower is TowerName.IMAGE else encoder.text).depth


def randomisable(encoder: DualEncoder) -> tuple[TowerName, ...]:
    """List the towers that consist of transformer blocks."""
    made_of_blocks = {
        TowerName.IMAGE: isinstance(encoder.image, TransformerImageTower),
        TowerName.TEXT: isinstance(encoder.text, TransformerTextTower),
    }
    return tuple(tower for tower, is_made in made_of_blocks.items() if is_made)


def randomised(encoder: DualEncoder, tower: TowerName, *, blocks: int, seed: int) -> DualEncoder:
    """Return a model with the top ``blocks`` blocks of one tower randomised; the rest is shared with ``encoder``.

    Raises:
        ModelError: the tower does not consist of transformer blocks.
        ValueError: it has fewer blocks, or ``blocks`` is negative.
    """
    image, text = encoder.image, encoder.text
    half = image if tower is TowerName.IMAGE else text
    if isinstance(half, TransformerImageTower):
        image = randomised_tower(half, blocks, seed=seed)
    elif isinstance(half, TransformerTextTower):
        text = randomised_tower(half, blocks, seed=seed)
    else:
        raise ModelError(
            f"{encoder.info.name}: its {tower} tower ({type(half).__name__}) is not made of transformer blocks and "
            "cannot be randomised block by block; check the sanity of its other tower"
        )
    return Encoder(info=encoder.info, preprocessing=encoder.preprocessing, image=image, text=text)


def randomised_tower(tower: Tower, blocks: int, *, seed: int) -> Tower:
    """Return a copy of ``tower`` with its top ``blocks`` blocks random; weights depend only on seed and position.

    A longer cascade therefore contains the random blocks of a shorter one.

    Raises:
        ValueError: the tower has fewer blocks, or ``blocks`` is negative.
    """
    if not 0 <= blocks <= tower.depth:
        raise ValueError(f"this tower has {tower.depth} blocks, {blocks} cannot be randomised")
    return tower.with_stack(replace(tower.stack, blocks=_with_top_redrawn(tower.stack.blocks, blocks, seed)))


def _with_top_redrawn(blocks: tuple[Block, ...], count: int, seed: int) -> tuple[Block, ...]:
    first = len(blocks) - count
    generators = [torch.Generator().manual_seed(pair_seed(seed, str(place))) for place in range(first, len(blocks))]
    redrawn = (_redrawn_block(block, own) for block, own in zip(blocks[first:], generators, strict=True))
    return (*blocks[:first], *redrawn)


@torch.no_grad()
def _redrawn_block(block: Block, generator: torch.Generator) -> Block:
    return replace(
        block,
        query=_redrawn_affine(block.query, generator),
        key=_redrawn_affine(block.key, generator),
        value=_redrawn_affine(block.value, generator),
        out=_redrawn(block.out, generator),
        mlp=_redrawn(block.mlp, generator),
        norm1=_redrawn(block.norm1, generator),
        norm2=_redrawn(block.norm2, generator),
    )


def _redrawn(part: Map, generator: torch.Generator) -> Map:
    """Copy a map with random weights.

    Raises:
        TypeError: it is neither a module nor an affine map, so its weights cannot be found.
    """
    if isinstance(part, Affine):
        return _redrawn_affine(part, generator)
    if isinstance(part, nn.Module):
        return _redrawn_module(part, generator)
    raise TypeError(f"the weights of {part!r} cannot be found: make it a module or an affine map")


def _redrawn_module(module: nn.Module, generator: torch.Generator) -> nn.Module:
    copy = deepcopy(module)
    for parameter in copy.parameters():
        parameter.copy_(_drawn_like(parameter, generator))
    return copy


def _redrawn_affine(affine: Affine, generator: torch.Generator) -> Affine:
    bias = None if affine.bias is None else _drawn_like(affine.bias, generator)
    return Affine(weight=_drawn_like(affine.weight, generator), bias=bias)


def _drawn_like(weight: Tensor, generator: torch.Generator) -> Tensor:
    """Draw on the CPU, so that a seed means the same on every device."""
    drawn = torch.randn(weight.shape, generator=generator).to(weight)
    return drawn * weight.std(correction=0) + weight.mean()
