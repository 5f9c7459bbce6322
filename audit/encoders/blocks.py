"""Pre-norm transformer blocks as CLIP and SigLIP lay them out, run from the modules' own weights.

In the last block only the pooled token is read, so only its query is computed: keys and values for all tokens, one
query, one row of the MLP (design, section 11).
"""

from typing import Any

from jaxtyping import Bool, Float, Int
from torch import Tensor, arange
from torch.nn.functional import scaled_dot_product_attention

__all__ = ["run_block", "run_block_at", "select_tokens"]

Hidden = Float[Tensor, "batch tokens width"]


def select_tokens(hidden: Hidden, position: Int[Tensor, " batch"]) -> Float[Tensor, "batch 1 width"]:
    """Take one token of each row."""
    return hidden[arange(hidden.shape[0], device=hidden.device), position][:, None]


def _heads(projected: Tensor, heads: int) -> Tensor:
    batch, tokens, width = projected.shape
    return projected.view(batch, tokens, heads, width // heads).transpose(1, 2)


def _attend(block: Any, queries: Tensor, context: Tensor, mask: Tensor | None) -> Tensor:
    attention = block.self_attn
    heads = attention.num_heads
    mixed = scaled_dot_product_attention(
        _heads(attention.q_proj(queries), heads),
        _heads(attention.k_proj(context), heads),
        _heads(attention.v_proj(context), heads),
        attn_mask=mask,
    )
    projected: Tensor = attention.out_proj(mixed.transpose(1, 2).flatten(2))
    return projected


def run_block(block: Any, hidden: Hidden, mask: Bool[Tensor, "batch 1 queries keys"] | None) -> Hidden:
    """Run one block on all tokens; ``mask`` is True where a query may look at a key."""
    normed = block.layer_norm1(hidden)
    hidden = hidden + _attend(block, normed, normed, mask)
    out: Hidden = hidden + block.mlp(block.layer_norm2(hidden))
    return out


def run_block_at(
    block: Any,
    hidden: Hidden,
    position: Int[Tensor, " batch"],
    mask: Bool[Tensor, "batch 1 1 keys"] | None,
) -> Float[Tensor, "batch 1 width"]:
    """Run one block for the token at ``position`` only."""
    normed = block.layer_norm1(hidden)
    pooled = select_tokens(hidden, position) + _attend(block, select_tokens(normed, position), normed, mask)
    out: Float[Tensor, "batch 1 width"] = pooled + block.mlp(block.layer_norm2(pooled))
    return out
