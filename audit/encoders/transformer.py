"""Towers of transformer blocks: where they split, which token they pool, and the head after the last block.

A family converts its model to a :class:`Stack`; the towers here are the same for all families.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from audit.encoders.blocks import Block, run_block, run_block_at, select_tokens
from audit.encoders.protocol import Tokens

__all__ = ["Pooling", "Stack", "TransformerImageTower", "TransformerTextTower"]

Hidden = Float[Tensor, "batch tokens width"]
Embedding = Float[Tensor, "batch dim"]
Mask = Bool[Tensor, "batch tokens"]


class Pooling(Enum):
    """The part of the last block's output that the head uses."""

    FIRST = auto()  # the CLS token
    LAST = auto()  # the last token that is seen: CLIP's end of text, SigLIP's last of all
    ALL = auto()  # every token: SigLIP's attention pooling


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A transformer tower as its blocks, and the head that computes the embedding of the pooled tokens."""

    blocks: tuple[Block, ...]
    pool: Pooling
    head: Callable[[Tensor], Tensor]  # [batch, width], or [batch, tokens, width] where it pools all
    parameters: int
    causal: bool = False

    def run_first(self, hidden: Hidden, layer: int, mask: Mask | None) -> Hidden:
        """Run blocks 0 to ``layer`` on the embedded inputs.

        Raises:
            ValueError: there is no such block.
        """
        self._check(layer)
        allowed = self._allowed(mask)
        for block in self.blocks[: layer + 1]:
            hidden = run_block(block, hidden, allowed)
        return hidden

    def run_rest(self, hidden: Hidden, layer: int, mask: Mask | None) -> Embedding:
        """Run the blocks after ``layer``, the last one for the pooled token only where one is pooled, and the head.

        Raises:
            ValueError: there is no such block.
        """
        self._check(layer)
        blocks, allowed = self.blocks[layer + 1 :], self._allowed(mask)
        if self.pool is Pooling.ALL:
            for block in blocks:
                hidden = run_block(block, hidden, allowed)
            return self.head(hidden)
        for block in blocks[:-1]:
            hidden = run_block(block, hidden, allowed)
        position = self._position(hidden, mask)
        # What is pooled may look at all that is seen: under a causal mask it stands last.
        pooled = run_block_at(blocks[-1], hidden, position, mask) if blocks else select_tokens(hidden, position)
        return self.head(pooled[:, 0])

    def run_all(self, embedded: Hidden, mask: Mask | None) -> Embedding:
        """Run every block on the embedded inputs, and the head."""
        return self.run_rest(self.run_first(embedded, 0, mask), 0, mask)

    def _position(self, hidden: Hidden, mask: Mask | None) -> Tensor:
        if self.pool is Pooling.FIRST:
            return torch.zeros(hidden.shape[0], dtype=torch.long, device=hidden.device)
        if mask is None:
            return torch.full((hidden.shape[0],), hidden.shape[1] - 1, device=hidden.device)
        return mask.sum(1) - 1

    def _allowed(self, mask: Mask | None) -> Tensor | None:
        """Which query may look at which key; None where all may look at all."""
        if not self.causal:
            return None if mask is None else mask[:, None, None]
        if mask is None:
            raise ValueError("a causal tower needs the mask of its tokens")
        tokens = mask.shape[1]
        earlier = torch.ones(tokens, tokens, dtype=torch.bool, device=mask.device).tril()
        return earlier & mask[:, None, None]

    def _check(self, layer: int) -> None:
        if not 0 <= layer < len(self.blocks):
            raise ValueError(f"layer {layer} is outside this tower's blocks 0 to {len(self.blocks) - 1}")


class TransformerImageTower:
    """The image half: patches row by row after ``leading_tokens`` others."""

    def __init__(
        self,
        stack: Stack,
        *,
        embed: Callable[[Tensor], Tensor],
        forward: Callable[[Tensor], Tensor],
        grid: tuple[int, int],
        leading_tokens: int,
    ) -> None:
        self.stack = stack
        self.depth, self.parameters = len(stack.blocks), stack.parameters
        self.leading_tokens = leading_tokens
        self._embed, self._forward, self._grid = embed, forward, grid

    def grid_at(self, layer: int) -> tuple[int, int]:  # noqa: ARG002 - the same at every block
        """Rows and columns of patches."""
        return self._grid

    def embed(self, pixels: Float[Tensor, "batch 3 size size"]) -> Hidden:
        """Embed the patches, positions included: what block 0 reads; differentiable in ``pixels``."""
        return self._embed(pixels)

    @torch.no_grad()
    def prefix(self, pixels: Float[Tensor, "batch 3 size size"], layer: int) -> Hidden:
        """Embed the patches and run blocks 0 to ``layer``."""
        return self.stack.run_first(self._embed(pixels), layer, None)

    def suffix(
        self,
        hidden: Hidden,
        layer: int,
        mask: Mask | None = None,  # noqa: ARG002 - all patches are seen
    ) -> Embedding:
        """Run the blocks after ``layer``, pool and project."""
        return self.stack.run_rest(hidden, layer, None)

    def forward(self, pixels: Float[Tensor, "batch 3 size size"]) -> Embedding:
        """Run the model's own forward pass; differentiable in its input."""
        return self._forward(pixels)

    def with_stack(self, stack: Stack) -> "TransformerImageTower":
        """Return this tower with other blocks; the rest is shared, and ``forward`` runs the new blocks."""
        return TransformerImageTower(
            stack,
            embed=self._embed,
            forward=lambda pixels: stack.run_all(self._embed(pixels), None),
            grid=self._grid,
            leading_tokens=self.leading_tokens,
        )


class TransformerTextTower:
    """The text half."""

    def __init__(
        self,
        stack: Stack,
        *,
        embed: Callable[[Tokens], Tensor],
        forward: Callable[[Tokens], Tensor],
        tokenise: Callable[[Sequence[str]], Tokens],
        context: int,
    ) -> None:
        self.stack = stack
        self.depth, self.parameters, self.context = len(stack.blocks), stack.parameters, context
        self._embed, self._forward, self._tokenise = embed, forward, tokenise

    def tokenise(self, phrases: Sequence[str]) -> Tokens:
        """Tokenise with the folder's tokeniser; a phrase longer than the context is truncated with a warning."""
        return self._tokenise(phrases)

    @torch.no_grad()
    def prefix(self, tokens: Tokens, layer: int) -> Hidden:
        """Embed the tokens and run blocks 0 to ``layer``."""
        return self.stack.run_first(self._embed(tokens), layer, tokens.mask)

    def suffix(self, hidden: Hidden, layer: int, mask: Mask | None = None) -> Embedding:
        """Run the blocks after ``layer``, pool and project; without ``mask`` every token is seen."""
        if mask is None:
            mask = torch.ones(hidden.shape[:2], dtype=torch.bool, device=hidden.device)
        return self.stack.run_rest(hidden, layer, mask)

    def forward(self, tokens: Tokens) -> Embedding:
        """Run the model's own forward pass; differentiable in its input."""
        return self._forward(tokens)

    def embed(self, tokens: Tokens) -> Hidden:
        """Embed the tokens, positions included: what block 0 reads."""
        return self._embed(tokens)

    def run(self, embedded: Hidden, mask: Mask) -> Embedding:
        """Run from the output of :meth:`embed`, also weighted, to the embedding; differentiable in ``embedded``."""
        return self.stack.run_all(embedded, mask)

    def with_stack(self, stack: Stack) -> "TransformerTextTower":
        """Return this tower with other blocks; the rest is shared, and ``forward`` runs the new blocks."""
        return TransformerTextTower(
            stack,
            embed=self._embed,
            forward=lambda tokens: stack.run_all(self._embed(tokens), tokens.mask),
            tokenise=self._tokenise,
            context=self.context,
        )
