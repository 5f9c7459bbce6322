"""Runs transformer towers with accessible attention maps, for the methods that read attention.

Each block is computed from its own parts (see :mod:`audit.encoders.blocks`), so no module is hooked or replaced. The
maps are part of the graph, and the embedding can be differentiated with respect to them.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from audit.attribution.pairs import TowerBatch
from audit.encoders.blocks import Block, run_block, select_tokens
from audit.encoders.protocol import Tokens
from audit.encoders.transformer import Pooling, Stack, TransformerImageTower, TransformerTextTower
from pipelines.errors import ModelError

__all__ = ["Attended", "Opened", "attend", "embedding_of", "mean_embedding", "open_tower", "pooled_rows"]

Hidden = Float[Tensor, "batch tokens width"]
Mask = Bool[Tensor, "batch tokens"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attended:
    """The attention and the output of one block; all tensors are part of the graph."""

    query: Hidden
    key: Hidden
    value: Hidden
    weights: Float[Tensor, "batch heads queries keys"]
    mixed: Hidden  # weighted sum of the values, before the output projection
    output: Hidden  # output of the whole block


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A tower's blocks, and the input of the first one."""

    stack: Stack
    embedded: Hidden
    mask: Mask | None

    @property
    def allowed(self) -> Tensor | None:
        """The mask of queries and keys; None if every query may attend to every key."""
        if self.mask is None:
            return None
        keys = self.mask[:, None, None]
        if not self.stack.causal:
            return keys
        tokens = self.mask.shape[1]
        return keys & torch.ones(tokens, tokens, dtype=torch.bool, device=keys.device).tril()

    @torch.no_grad()
    def before(self, block: int) -> Hidden:
        """Return the input of block ``block``, without a graph."""
        hidden = self.embedded
        for earlier in self.stack.blocks[:block]:
            hidden = run_block(earlier, hidden, self.allowed)
        return hidden


def open_tower(side: TowerBatch, *, method: str) -> Opened:
    """Return a tower's blocks with its embedded inputs, one row per pair.

    Raises:
        ModelError: the tower is not made of transformer blocks.
    """
    tower, inputs = side.tower, side.inputs
    with torch.no_grad():
        if isinstance(tower, TransformerImageTower) and isinstance(inputs, Tensor):
            return Opened(stack=tower.stack, embedded=tower.embed(inputs)[side.rows], mask=None)
        if isinstance(tower, TransformerTextTower) and isinstance(inputs, Tokens):
            return Opened(stack=tower.stack, embedded=tower.embed(inputs), mask=side.mask)
    raise ModelError(
        f"{method} reads the attention of transformer blocks, but this model's {type(tower).__name__} has none: "
        "choose a method that does not need it, such as m2ib, nib or grad_cam"
    )


def attend(block: Block, hidden: Hidden, allowed: Tensor | None) -> Attended:
    """Run one block with its attention map in the graph, even if ``hidden`` has no graph."""
    normed = block.norm1(hidden) if block.norm_first else hidden
    query, key, value = block.query(normed), block.key(normed), block.value(normed)
    by_head = [part.view(*part.shape[:2], block.heads, -1).transpose(1, 2) for part in (query, key, value)]
    scores = by_head[0] @ by_head[1].transpose(-1, -2) * by_head[0].shape[-1] ** -0.5
    if allowed is not None:
        scores = scores.masked_fill(~allowed, float("-inf"))
    weights = scores.softmax(-1)
    if not weights.requires_grad:
        weights.requires_grad_()
    mixed = (weights @ by_head[2]).transpose(1, 2).flatten(2)
    if block.norm_first:
        between = hidden + block.out(mixed)
        output = between + block.mlp(block.norm2(between))
    else:
        between = block.norm1(hidden + block.out(mixed))
        output = block.norm2(between + block.mlp(between))
    return Attended(query=query, key=key, value=value, weights=weights, mixed=mixed, output=output)


def embedding_of(opened: Opened, hidden: Hidden) -> Float[Tensor, "batch dim"]:
    """Compute the embedding that the head makes from a block's output."""
    if opened.stack.pool is Pooling.ALL:
        return opened.stack.head(hidden)
    return opened.stack.head(select_tokens(hidden, _position(opened))[:, 0])


def mean_embedding(opened: Opened, hidden: Hidden, seen: Bool[Tensor, "batch tokens"]) -> Float[Tensor, "batch dim"]:
    """Apply the head to the mean of all visible tokens; a head that pools all tokens gets all of them."""
    if opened.stack.pool is Pooling.ALL:
        return opened.stack.head(hidden)
    weight = seen[..., None] / seen.sum(1)[:, None, None]
    return opened.stack.head((hidden * weight).sum(1))


def pooled_rows(opened: Opened, relevance: Float[Tensor, "batch queries keys"]) -> Float[Tensor, "batch keys"]:
    """Return the row of the pooled token, or the mean of all rows if the head pools all tokens."""
    if opened.stack.pool is Pooling.ALL:
        return relevance.mean(1)
    return select_tokens(relevance, _position(opened))[:, 0]


def _position(opened: Opened) -> Int[Tensor, " batch"]:
    batch, tokens = opened.embedded.shape[:2]
    device = opened.embedded.device
    if opened.stack.pool is Pooling.FIRST:
        return torch.zeros(batch, dtype=torch.long, device=device)
    if opened.mask is None:
        return torch.full((batch,), tokens - 1, device=device)
    return opened.mask.sum(1) - 1
