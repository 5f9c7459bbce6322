"""Transformer blocks taken apart, so that one function runs every family's.

A :class:`Block` holds the maps of one block, each a module or function of the model's own weights. In the last block
only the pooled token is read, so only its query is computed: keys and values for all tokens, one query, one row of the
MLP (design, section 11).
"""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor, arange
from torch.nn.functional import scaled_dot_product_attention

__all__ = ["Block", "run_block", "run_block_at", "select_tokens"]

Hidden = Float[Tensor, "batch tokens width"]
Map = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Self-attention and MLP, each with its residual and its norm."""

    query: Map
    key: Map
    value: Map
    out: Map
    mlp: Map
    norm1: Map
    norm2: Map
    heads: int
    norm_first: bool = True  # CLIP, SigLIP and ViT; BERT normalises after each sum


def select_tokens(hidden: Hidden, position: Int[Tensor, " batch"]) -> Float[Tensor, "batch 1 width"]:
    """Take one token of each row."""
    return hidden[arange(hidden.shape[0], device=hidden.device), position][:, None]


def run_block(block: Block, hidden: Hidden, mask: Bool[Tensor, "batch 1 queries keys"] | None) -> Hidden:
    """Run one block on all tokens; ``mask`` is True where a query may look at a key."""
    return _run(block, hidden, hidden, mask)


def run_block_at(
    block: Block,
    hidden: Hidden,
    position: Int[Tensor, " batch"],
    mask: Bool[Tensor, "batch 1 1 keys"] | None,
) -> Float[Tensor, "batch 1 width"]:
    """Run one block for the token at ``position`` only."""
    return _run(block, hidden, select_tokens(hidden, position), mask)


def _run(
    block: Block, context: Hidden, asking: Float[Tensor, "batch queries width"], mask: Tensor | None
) -> Float[Tensor, "batch queries width"]:
    """Let the tokens ``asking``, which are all or some of ``context``, look at ``context``."""
    if not block.norm_first:
        mixed = block.norm1(asking + _attend(block, asking, context, mask))
        return block.norm2(mixed + block.mlp(mixed))
    normed = block.norm1(context)
    queries = normed if asking is context else block.norm1(asking)
    mixed = asking + _attend(block, queries, normed, mask)
    return mixed + block.mlp(block.norm2(mixed))


def _attend(block: Block, queries: Tensor, context: Tensor, mask: Tensor | None) -> Tensor:
    mixed = scaled_dot_product_attention(
        _heads(block.query(queries), block.heads),
        _heads(block.key(context), block.heads),
        _heads(block.value(context), block.heads),
        attn_mask=mask,
    )
    return block.out(mixed.transpose(1, 2).flatten(2))


def _heads(projected: Tensor, heads: int) -> Tensor:
    batch, tokens, width = projected.shape
    return projected.view(batch, tokens, heads, width // heads).transpose(1, 2)
