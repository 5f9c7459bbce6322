"""The image half of BiomedCLIP: timm's plain vision transformer, its tensors named as timm names them.

qkv is fused, LayerNorm's eps is 1e-6, heads are 64 wide, the MLP has the exact GELU, and the CLS token after the last
norm goes through a projection without bias (design, section 3).

Source: Dosovitskiy et al. 2021, "An image is worth 16x16 words".
"""

import math
import re
from typing import Any

import torch
from torch import Tensor, nn

from audit.encoders.blocks import Block
from audit.encoders.model_folder import parameters_of
from audit.encoders.open_clip.half import Half, depth_of, finished, rows_of
from audit.encoders.transformer import Pooling, Stack, TransformerImageTower
from pipelines.errors import ModelError

__all__ = ["build"]

_EPS = 1e-6
_HEAD_WIDTH = 64  # of tiny, small, base and large
_PLAIN = re.compile(r"vit_(tiny|small|base|large)_patch\d+_\d+(\.\w+)?")


def build(half: Half) -> tuple[TransformerImageTower, int]:
    """Build the tower from the tensors under ``visual.`` and say the side of its input, px.

    Raises:
        ModelError: another vision transformer than the plain one, or tensors that do not fit.
    """
    name, pool, projection = (str(half.config.get(key) or "") for key in ("timm_model_name", "timm_pool", "timm_proj"))
    if not _PLAIN.fullmatch(name) or pool not in {"", "token"} or projection != "linear":
        raise ModelError(
            f"{half.folder}: open_clip_config.json names the timm model {name!r} with pool {pool!r} and projection "
            f"{projection!r}; plain ones (vit_base_patch16_224) with their CLS token and a linear projection are read"
        )
    visual = finished(_Visual.shaped_as(half), half)
    return visual.tower(), visual.trunk.size


class _Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = width // _HEAD_WIDTH
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, hidden: Tensor) -> Tensor:
        batch, tokens, width = hidden.shape
        fused = self.qkv(hidden).reshape(batch, tokens, 3, self.heads, -1)
        query, key, value = fused.permute(2, 0, 3, 1, 4)
        weights = (query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])).softmax(-1)
        mixed: Tensor = self.proj((weights @ value).transpose(1, 2).reshape(batch, tokens, width))
        return mixed


class _Mlp(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, hidden: Tensor) -> Tensor:
        narrowed: Tensor = self.fc2(nn.functional.gelu(self.fc1(hidden)))
        return narrowed


class _Layer(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=_EPS), nn.LayerNorm(width, eps=_EPS)
        self.attn, self.mlp = _Attention(width), _Mlp(width, inner)

    def forward(self, hidden: Tensor) -> Tensor:
        hidden = hidden + self.attn(self.norm1(hidden))
        out: Tensor = hidden + self.mlp(self.norm2(hidden))
        return out

    def block(self) -> Block:
        fused = self.attn.qkv
        query, key, value = (rows_of(fused.weight, fused.bias, part, 3) for part in range(3))
        return Block(
            query=query,
            key=key,
            value=value,
            out=self.attn.proj,
            mlp=self.mlp,
            norm1=self.norm1,
            norm2=self.norm2,
            heads=self.attn.heads,
        )


class _PatchEmbed(nn.Module):
    def __init__(self, width: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, stride=patch)


class _Trunk(nn.Module):
    def __init__(self, *, width: int, inner: int, depth: int, patch: int, side: int) -> None:
        super().__init__()
        self.side, self.size = side, side * patch
        self.cls_token = nn.Parameter(torch.empty(1, 1, width))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + side * side, width))
        self.patch_embed = _PatchEmbed(width, patch)
        self.blocks: Any = nn.ModuleList(_Layer(width, inner) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=_EPS)

    def embed(self, pixels: Tensor) -> Tensor:
        patches = self.patch_embed.proj(pixels).flatten(2).transpose(1, 2)
        return torch.cat([self.cls_token.expand(len(pixels), -1, -1), patches], dim=1) + self.pos_embed


class _Head(nn.Module):
    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, dim, bias=False)


class _Visual(nn.Module):
    """The module whose state dict is what a checkpoint has under ``visual.``."""

    def __init__(self, trunk: _Trunk, head: _Head) -> None:
        super().__init__()
        self.trunk, self.head = trunk, head

    @classmethod
    def shaped_as(cls, half: Half) -> "_Visual":
        """Read the shape off the tensors; their values come later."""
        try:
            width, _, patch, _ = half.tensors["trunk.patch_embed.proj.weight"].shape
            inner = half.tensors["trunk.blocks.0.mlp.fc1.weight"].shape[0]
            side = math.isqrt(half.tensors["trunk.pos_embed"].shape[1] - 1)
            dim = half.tensors["head.proj.weight"].shape[0]
        except (KeyError, ValueError, IndexError) as error:
            raise ModelError(f"{half.folder}: no shape of a ViT in the weights under visual. ({error})") from error
        depth = depth_of(half.tensors, "trunk.blocks.")
        with torch.device("meta"):
            return cls(_Trunk(width=width, inner=inner, depth=depth, patch=patch, side=side), _Head(width, dim))

    def forward(self, pixels: Tensor) -> Tensor:
        hidden = self.trunk.embed(pixels)
        for layer in self.trunk.blocks:
            hidden = layer(hidden)
        projected: Tensor = self.head.proj(self.trunk.norm(hidden)[:, 0])
        return projected

    def tower(self) -> TransformerImageTower:
        trunk = self.trunk
        stack = Stack(
            blocks=tuple(layer.block() for layer in trunk.blocks),
            pool=Pooling.FIRST,
            head=lambda pooled: self.head.proj(trunk.norm(pooled)),
            parameters=parameters_of(self),
        )
        return TransformerImageTower(
            stack, embed=trunk.embed, forward=self, grid=(trunk.side, trunk.side), leading_tokens=1
        )
