"""OpenAI's own CLIP architectures by their state dict: the vision transformer and the text transformer.

CheXzero, OpenAI's ViT-B/32 and ViT-B/16 and what open_clip trains from its own configs have these names.

Source: Radford et al. 2021, "Learning transferable visual models from natural language supervision", section 2.4.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from audit.encoders.blocks import Block
from audit.encoders.model_folder import load_tokenizer, parameters_of
from audit.encoders.open_clip.half import Half, depth_of, finished, rows_of
from audit.encoders.protocol import Tokens
from audit.encoders.transformer import Pooling, Stack, TransformerImageTower, TransformerTextTower
from audit.encoders.words import tokeniser_of
from pipelines.errors import ModelError

__all__ = ["build_image", "build_text"]

_HEAD_WIDTH = 64  # of every size that OpenAI released


def build_image(half: Half) -> tuple[TransformerImageTower, int]:
    """Build the vision transformer from the tensors under ``visual.`` and say the side of its input, px.

    Raises:
        ModelError: tensors that do not fit.
    """
    _check(half, {"pool_type": "tok", "global_average_pool": False, "attentional_pool": False, "output_tokens": False})
    visual = finished(_Visual.shaped_as(half), half)
    return visual.tower(), visual.size


def build_text(half: Half) -> TransformerTextTower:
    """Build the text transformer; its tokeniser comes from the folder.

    Raises:
        ModelError: tensors that do not fit, or no tokeniser.
    """
    _check(half, {"pool_type": "argmax", "embed_cls": False, "no_causal_mask": False, "output_tokens": False})
    return finished(_Text.shaped_as(half), half).tower(half)


def _check(half: Half, plain: Mapping[str, object]) -> None:
    """Refuse the variants that no tensor gives away."""
    for name, value in plain.items():
        if half.config.get(name, value) != value:
            raise ModelError(
                f"{half.folder}: {name} is {half.config[name]!r} in open_clip_config.json; {value!r} is read here"
            )


class _Layer(nn.Module):
    def __init__(self, width: int, heads: int, inner: int, activation: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = nn.Sequential()
        self.mlp.add_module("c_fc", nn.Linear(width, inner))
        self.mlp.add_module("gelu", activation())
        self.mlp.add_module("c_proj", nn.Linear(inner, width))

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        normed = self.ln_1(hidden)
        hidden = hidden + self.attn(normed, normed, normed, need_weights=False, attn_mask=mask)[0]
        out: Tensor = hidden + self.mlp(self.ln_2(hidden))
        return out

    def block(self) -> Block:
        query, key, value = (rows_of(self.attn.in_proj_weight, self.attn.in_proj_bias, part, 3) for part in range(3))
        return Block(
            query=query,
            key=key,
            value=value,
            out=self.attn.out_proj,
            mlp=self.mlp,
            norm1=self.ln_1,
            norm2=self.ln_2,
            heads=self.attn.num_heads,
        )


class _Transformer(nn.Module):
    def __init__(self, half: Half, *, width: int, heads: int) -> None:
        super().__init__()
        inner = half.tensors["transformer.resblocks.0.mlp.c_fc.weight"].shape[0]
        depth = depth_of(half.tensors, "transformer.resblocks.")
        self.resblocks: Any = nn.ModuleList(_Layer(width, heads, inner, half.activation) for _ in range(depth))

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        for layer in self.resblocks:
            hidden = layer(hidden, mask)
        return hidden

    def blocks(self) -> tuple[Block, ...]:
        return tuple(layer.block() for layer in self.resblocks)


class _Visual(nn.Module):
    """The module whose state dict is what a checkpoint has under ``visual.``."""

    def __init__(self, transformer: _Transformer, *, width: int, dim: int, patch: int, side: int) -> None:
        super().__init__()
        self.side, self.size = side, side * patch
        self.class_embedding = nn.Parameter(torch.empty(width))
        self.positional_embedding = nn.Parameter(torch.empty(1 + side * side, width))
        self.proj = nn.Parameter(torch.empty(width, dim))
        self.conv1 = nn.Conv2d(3, width, patch, stride=patch, bias=False)
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.transformer = transformer

    @classmethod
    def shaped_as(cls, half: Half) -> "_Visual":
        try:
            width, _, patch, _ = half.tensors["conv1.weight"].shape
            side = math.isqrt(half.tensors["positional_embedding"].shape[0] - 1)
            dim = half.tensors["proj"].shape[1]
            with torch.device("meta"):
                heads = width // half.config.get("head_width", _HEAD_WIDTH)
                transformer = _Transformer(half, width=width, heads=heads)
                return cls(transformer, width=width, dim=dim, patch=patch, side=side)
        except (KeyError, ValueError, IndexError) as error:
            raise ModelError(f"{half.folder}: no shape of CLIP's ViT in the weights under visual. ({error})") from error

    def embed(self, pixels: Tensor) -> Tensor:
        patches = self.conv1(pixels).flatten(2).transpose(1, 2)
        first = self.class_embedding.expand(len(pixels), 1, -1)
        embedded: Tensor = self.ln_pre(torch.cat([first, patches], dim=1) + self.positional_embedding)
        return embedded

    def forward(self, pixels: Tensor) -> Tensor:
        embedded: Tensor = self.ln_post(self.transformer(self.embed(pixels), None)[:, 0]) @ self.proj
        return embedded

    def tower(self) -> TransformerImageTower:
        stack = Stack(
            blocks=self.transformer.blocks(),
            pool=Pooling.FIRST,
            head=lambda pooled: self.ln_post(pooled) @ self.proj,
            parameters=parameters_of(self),
        )
        return TransformerImageTower(
            stack, embed=self.embed, forward=self, grid=(self.side, self.side), leading_tokens=1
        )


class _Text(nn.Module):
    """The module whose state dict is the text half of a checkpoint."""

    def __init__(self, transformer: _Transformer, *, width: int, dim: int, vocabulary: int, context: int) -> None:
        super().__init__()
        self.context = context
        self.token_embedding = nn.Embedding(vocabulary, width)
        self.positional_embedding = nn.Parameter(torch.empty(context, width))
        self.text_projection = nn.Parameter(torch.empty(width, dim))
        self.ln_final = nn.LayerNorm(width)
        self.transformer = transformer

    @classmethod
    def shaped_as(cls, half: Half) -> "_Text":
        try:
            vocabulary, width = half.tensors["token_embedding.weight"].shape
            context = half.tensors["positional_embedding"].shape[0]
            dim = half.tensors["text_projection"].shape[1]
            with torch.device("meta"):
                heads = half.config.get("heads", width // _HEAD_WIDTH)
                transformer = _Transformer(half, width=width, heads=heads)
                return cls(transformer, width=width, dim=dim, vocabulary=vocabulary, context=context)
        except (KeyError, ValueError, IndexError) as error:
            raise ModelError(f"{half.folder}: no shape of CLIP's text transformer in the weights ({error})") from error

    def embed(self, tokens: Tokens) -> Tensor:
        embedded: Tensor = self.token_embedding(tokens.ids) + self.positional_embedding[: tokens.ids.shape[1]]
        return embedded

    def forward(self, tokens: Tokens) -> Tensor:
        """Read the embedding at end of text, which OpenAI's vocabulary gives the highest number of all."""
        length = tokens.ids.shape[1]
        unseen = torch.full((length, length), float("-inf"), device=tokens.ids.device).triu(1)
        hidden = self.ln_final(self.transformer(self.embed(tokens), unseen))
        rows = torch.arange(len(hidden), device=hidden.device)
        embedded: Tensor = hidden[rows, tokens.ids.argmax(-1)] @ self.text_projection
        return embedded

    def tower(self, half: Half) -> TransformerTextTower:
        tokenizer = load_tokenizer(half.folder)
        stated = half.config.get("context_length", self.context)
        context = min(self.context, int(stated), tokenizer.model_max_length)
        tokenise = tokeniser_of(tokenizer, context=context, device=half.device)
        stack = Stack(
            blocks=self.transformer.blocks(),
            pool=Pooling.LAST,
            head=lambda pooled: self.ln_final(pooled) @ self.text_projection,
            parameters=parameters_of(self),
            causal=True,
        )
        return TransformerTextTower(
            stack, embed=self.embed, forward=self, tokenise=partial(_checked, tokenise, half), context=context
        )


def _checked(tokenise: Callable[[Sequence[str]], Tokens], half: Half, phrases: Sequence[str]) -> Tokens:
    """Tokenise, and see that the tokeniser is this model's: its end of text is the highest number.

    Raises:
        ModelError: it is another model's tokeniser.
    """
    tokens = tokenise(phrases)
    vocabulary = half.tensors["token_embedding.weight"].shape[0]
    ends = tokens.ids.gather(1, tokens.mask.sum(1, keepdim=True) - 1)
    if int(tokens.ids.max()) >= vocabulary or bool((ends < tokens.ids.amax(1, keepdim=True)).any()):
        raise ModelError(
            f"{half.folder}: the tokeniser in this folder is not that of these weights ({vocabulary} tokens, the last "
            "of them the end of text); bring tokenizer.json of openai/clip-vit-base-patch32"
        )
    return tokens
