"""Transformer blocks in a common form, so that one function runs the blocks of every family.

A :class:`Block` consists of modules and functions of the model's own weights. In the last block only the pooled token
is used, so only its row is computed (:func:`run_block_at`; design, section 11).

Source: Devlin et al. 2019, "BERT: Pre-training of deep bidirectional transformers for language understanding".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, arange, einsum
from torch.nn import Sequential
from torch.nn.functional import linear, scaled_dot_product_attention

from pipelines.errors import ModelError

__all__ = ["Affine", "Block", "Half", "bert_blocks", "depth_of", "run_block", "run_block_at", "select_tokens"]

Hidden = Float[Tensor, "batch tokens width"]
Map = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Affine:
    """A linear map with its offset; the tensors are the model's own, or rows of them."""

    weight: Float[Tensor, "out into"]
    bias: Float[Tensor, " out"] | None

    @classmethod
    def of(cls, module: Any) -> "Affine":
        """Create one from an ``nn.Linear``."""
        return cls(weight=module.weight, bias=module.bias)

    def __call__(self, value: Tensor) -> Tensor:
        """Apply it to the last axis."""
        return linear(value, self.weight, self.bias)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Self-attention and MLP, each with its residual and its norm."""

    query: Affine
    key: Affine
    value: Affine
    out: Map
    mlp: Map
    norm1: Map
    norm2: Map
    heads: int
    norm_first: bool = True  # CLIP, SigLIP and ViT; BERT normalises after each sum


def select_tokens(hidden: Hidden, position: Int[Tensor, " batch"]) -> Float[Tensor, "batch 1 width"]:
    """Select one token of each row."""
    return hidden[arange(hidden.shape[0], device=hidden.device), position][:, None]


def run_block(block: Block, hidden: Hidden, mask: Bool[Tensor, "batch 1 queries keys"] | None) -> Hidden:
    """Run one block on all tokens; ``mask`` is True where a query may look at a key."""
    normed = block.norm1(hidden) if block.norm_first else hidden
    mixed = scaled_dot_product_attention(
        _heads(block.query(normed), block.heads),
        _heads(block.key(normed), block.heads),
        _heads(block.value(normed), block.heads),
        attn_mask=mask,
    )
    return _finish(block, hidden, mixed.transpose(1, 2).flatten(2))


def run_block_at(
    block: Block,
    hidden: Hidden,
    position: Int[Tensor, " batch"],
    mask: Bool[Tensor, "batch tokens"] | None,
) -> Float[Tensor, "batch 1 width"]:
    """Run one block for the token at ``position`` only; ``mask`` is True for what it may look at.

    One query needs no keys and no values: q . (K x) is (K' q) . x, and a weighted mean of V x is V of the weighted mean
    of x. So both matrices are applied once a head, not once a token; the key's offset adds the same to every score and
    drops out of the softmax.
    """
    normed = block.norm1(hidden) if block.norm_first else hidden
    asking = select_tokens(hidden, position)
    query = block.query(select_tokens(normed, position)).view(len(hidden), block.heads, -1)
    keys, values = (part.weight.view(block.heads, -1, part.weight.shape[1]) for part in (block.key, block.value))
    logits = einsum("bhd,hdw->bhw", query, keys) * query.shape[-1] ** -0.5
    scores = logits @ normed.transpose(1, 2)
    if mask is not None:
        scores = scores.masked_fill(~mask[:, None], float("-inf"))
    seen = scores.softmax(-1).to(normed.dtype) @ normed
    mixed = einsum("bhw,hdw->bhd", seen, values).flatten(1)[:, None]
    if block.value.bias is not None:
        mixed = mixed + block.value.bias
    return _finish(block, asking, mixed)


def _finish(block: Block, hidden: Tensor, mixed: Tensor) -> Tensor:
    """Run the part of a block after attention: projection, residual, MLP, residual."""
    if not block.norm_first:
        hidden = block.norm1(hidden + block.out(mixed))
        return block.norm2(hidden + block.mlp(hidden))
    hidden = hidden + block.out(mixed)
    return hidden + block.mlp(block.norm2(hidden))


def _heads(projected: Tensor, heads: int) -> Tensor:
    batch, tokens, width = projected.shape
    return projected.view(batch, tokens, heads, width // heads).transpose(1, 2)


def bert_blocks(bert: Any) -> tuple[Block, ...]:
    """Convert the layers of a ``BertModel`` or ``RobertaModel`` to blocks."""
    return tuple(_block_of(layer) for layer in bert.encoder.layer)


def _block_of(layer: Any) -> Block:
    attention, output, output_of_mlp = layer.attention.self, layer.attention.output, layer.output
    return Block(
        query=Affine.of(attention.query),
        key=Affine.of(attention.key),
        value=Affine.of(attention.value),
        out=output.dense,
        mlp=Sequential(layer.intermediate, output_of_mlp.dense).eval(),  # without the sum and the norm that follow
        norm1=output.LayerNorm,
        norm2=output_of_mlp.LayerNorm,
        heads=attention.num_attention_heads,
        norm_first=False,
    )


_LONGEST_NUMBER = 18  # digits


@dataclass(frozen=True, slots=True, kw_only=True)
class Half:
    """The tensors of one half under their names without its prefix, and what the config says of it."""

    tensors: Mapping[str, Tensor]
    config: Mapping[str, Any]  # vision_cfg or text_cfg; empty where a state dict comes without a config
    folder: Path
    device: torch.device
    activation: str  # of OpenAI's architectures, as transformers names it: gelu or quick_gelu


def depth_of(tensors: Mapping[str, Tensor], prefix: str) -> int:
    """Count what is numbered under ``prefix``: one more than the highest number.

    Raises:
        ModelError: the highest number is more than the number of tensors.
    """
    numbers = {name.removeprefix(prefix).split(".")[0] for name in tensors if name.startswith(prefix)}
    depth = 1 + max((int(number[:_LONGEST_NUMBER]) for number in numbers if number.isdecimal()), default=-1)
    if depth > len(tensors):
        raise ModelError(
            f"the weights number {prefix[:-1]} up to {depth - 1:,} and have {len(tensors):,} tensors there"
        )
    return depth
