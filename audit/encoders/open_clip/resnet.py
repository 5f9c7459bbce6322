"""OpenAI's ResNet image towers (RN50 and larger): convolutional, with a grid of features instead of tokens.

A block is one bottleneck of one of the four stages. Its output, [batch, channels, rows, columns], is returned as
tokens, row by row, so that the grid has a quarter of the tokens after each later stage. The embedding is computed by
attention pooling: the mean of the grid is the query, mean and grid are the keys.

Source: Radford et al. 2021, "Learning transferable visual models from natural language supervision", section 2.4; He et
al. 2016, "Deep residual learning for image recognition".
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import multi_head_attention_forward

from audit.encoders.blocks import Half, depth_of
from audit.encoders.model_folder import parameters_of
from audit.encoders.weights import fill
from pipelines.errors import ModelError

__all__ = ["ResNetImageTower", "build"]

Hidden = Float[Tensor, "batch tokens width"]
Embedding = Float[Tensor, "batch dim"]

_HEAD_WIDTH = 64
_REDUCTION = 32  # of the input's side, by the stem (4) and stages 2 to 4 (2 each)
_STAGES = (1, 2, 3, 4)
_WIDENING = 4  # of a bottleneck's channels at its end


def build(half: Half) -> tuple["ResNetImageTower", int]:
    """Build the tower from the tensors under ``visual.`` and say the side of its input, px.

    Raises:
        ModelError: tensors that do not fit.
    """
    visual = _Visual.shaped_as(half)
    fill(visual, half.tensors, folder=half.folder)
    return ResNetImageTower(visual.to(half.device)), visual.size


class ResNetImageTower:
    """The image half; its hidden state is a grid of features, flattened row by row."""

    leading_tokens = 0

    def __init__(self, visual: "_Visual") -> None:
        self._visual = visual
        self._blocks: list[Any] = [block for stage in visual.stages() for block in stage]
        self._strides = [int(block.stride) for block in self._blocks]
        self.depth, self.parameters = len(self._blocks), parameters_of(visual)

    def grid_at(self, layer: int) -> tuple[int, int]:
        """Rows and columns of features after block ``layer``.

        Raises:
            ValueError: there is no such block.
        """
        if not 0 <= layer < self.depth:
            raise ValueError(f"layer {layer} is outside this tower's blocks 0 to {self.depth - 1}")
        side = self._visual.size // 4 // math.prod(self._strides[: layer + 1])
        return side, side

    @torch.no_grad()
    def prefix(self, pixels: Float[Tensor, "batch 3 size size"], layer: int) -> Hidden:
        """Run the stem and blocks 0 to ``layer``."""
        self.grid_at(layer)
        hidden = self._visual.stem(pixels)
        for block in self._blocks[: layer + 1]:
            hidden = block(hidden)
        return hidden.flatten(2).transpose(1, 2)

    def suffix(
        self,
        hidden: Hidden,
        layer: int,
        mask: Bool[Tensor, "batch tokens"] | None = None,  # noqa: ARG002 - the whole grid is seen
    ) -> Embedding:
        """Run the blocks after ``layer`` and pool."""
        rows, columns = self.grid_at(layer)
        grid = hidden.transpose(1, 2).reshape(len(hidden), -1, rows, columns)
        for block in self._blocks[layer + 1 :]:
            grid = block(grid)
        pooled: Tensor = self._visual.attnpool(grid)
        return pooled

    def forward(self, pixels: Float[Tensor, "batch 3 size size"]) -> Embedding:
        """Run the model's own forward pass; differentiable in its input."""
        embedded: Tensor = self._visual(pixels)
        return embedded


class _Bottleneck(nn.Module):
    """1 x 1, 3 x 3, 1 x 1; a stride is an average over 2 x 2, not a step of the convolution."""

    def __init__(self, channels: int, inner: int, stride: int, *, shortcut: bool) -> None:
        super().__init__()
        outer = inner * _WIDENING
        self.stride = stride
        self.conv1, self.bn1 = nn.Conv2d(channels, inner, 1, bias=False), nn.BatchNorm2d(inner)
        self.conv2, self.bn2 = nn.Conv2d(inner, inner, 3, padding=1, bias=False), nn.BatchNorm2d(inner)
        self.conv3, self.bn3 = nn.Conv2d(inner, outer, 1, bias=False), nn.BatchNorm2d(outer)
        self.shrink = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.downsample: nn.Module | None = None
        if shortcut:  # numbered as in the checkpoint, where the average before it has no number of a tensor
            self.downsample = nn.Sequential()
            self.downsample.add_module("0", nn.Conv2d(channels, outer, 1, bias=False))
            self.downsample.add_module("1", nn.BatchNorm2d(outer))

    def forward(self, grid: Tensor) -> Tensor:
        out = self.bn1(self.conv1(grid)).relu()
        out = self.bn2(self.conv2(out)).relu()
        out = self.bn3(self.conv3(self.shrink(out)))
        kept = grid if self.downsample is None else self.downsample(self.shrink(grid))
        summed: Tensor = (out + kept).relu()
        return summed


class _AttentionPool(nn.Module):
    def __init__(self, side: int, width: int, dim: int) -> None:
        super().__init__()
        self.heads = max(1, width // _HEAD_WIDTH)
        self.positional_embedding = nn.Parameter(torch.empty(side * side + 1, width))
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(width, width) for _ in range(3))
        self.c_proj = nn.Linear(width, dim)

    def forward(self, grid: Tensor) -> Tensor:
        tokens = grid.flatten(2).permute(2, 0, 1)  # [tokens, batch, width]
        tokens = torch.cat([tokens.mean(0, keepdim=True), tokens]) + self.positional_embedding[:, None]
        pooled, _ = multi_head_attention_forward(
            query=tokens[:1],
            key=tokens,
            value=tokens,
            embed_dim_to_check=tokens.shape[-1],
            num_heads=self.heads,
            in_proj_weight=None,
            in_proj_bias=torch.cat([self.q_proj.bias, self.k_proj.bias, self.v_proj.bias]),
            bias_k=None,
            bias_v=None,
            add_zero_attn=False,
            dropout_p=0.0,
            out_proj_weight=self.c_proj.weight,
            out_proj_bias=self.c_proj.bias,
            training=False,
            need_weights=False,
            use_separate_proj_weight=True,
            q_proj_weight=self.q_proj.weight,
            k_proj_weight=self.k_proj.weight,
            v_proj_weight=self.v_proj.weight,
        )
        return pooled[0]


class _Visual(nn.Module):
    """The module whose state dict is what a checkpoint has under ``visual.``."""

    def __init__(self, *, width: int, depths: tuple[int, ...], side: int, dim: int) -> None:
        super().__init__()
        self.size = side * _REDUCTION
        narrow = width // 2
        self.conv1, self.bn1 = nn.Conv2d(3, narrow, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(narrow)
        self.conv2, self.bn2 = nn.Conv2d(narrow, narrow, 3, padding=1, bias=False), nn.BatchNorm2d(narrow)
        self.conv3, self.bn3 = nn.Conv2d(narrow, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        channels = width
        for number, depth in zip(_STAGES, depths, strict=True):
            inner = width * 2 ** (number - 1)
            first = _Bottleneck(channels, inner, 1 if number == 1 else 2, shortcut=True)
            channels = inner * _WIDENING
            rest = (_Bottleneck(channels, inner, 1, shortcut=False) for _ in range(depth - 1))
            self.add_module(f"layer{number}", nn.Sequential(first, *rest))
        self.attnpool = _AttentionPool(side, channels, dim)

    @classmethod
    def shaped_as(cls, half: Half) -> "_Visual":
        tensors: Mapping[str, Tensor] = half.tensors
        try:
            width = tensors["conv3.weight"].shape[0]
            side = math.isqrt(tensors["attnpool.positional_embedding"].shape[0] - 1)
            dim = tensors["attnpool.c_proj.weight"].shape[0]
        except (KeyError, IndexError) as error:
            raise ModelError(f"{half.folder}: no shape of CLIP's ResNet in the weights ({error})") from error
        depths = tuple(depth_of(tensors, f"layer{number}.") for number in _STAGES)
        if not all(depths):
            raise ModelError(f"{half.folder}: a stage of CLIP's ResNet is missing: {depths} blocks in its four stages")
        with torch.device("meta"):
            return cls(width=width, depths=depths, side=side, dim=dim)

    def stages(self) -> list[nn.Sequential]:
        return [getattr(self, f"layer{number}") for number in _STAGES]

    def stem(self, pixels: Tensor) -> Tensor:
        grid = self.bn1(self.conv1(pixels)).relu()
        grid = self.bn2(self.conv2(grid)).relu()
        return nn.functional.avg_pool2d(self.bn3(self.conv3(grid)).relu(), 2)

    def forward(self, pixels: Tensor) -> Tensor:
        grid = self.stem(pixels)
        for stage in self.stages():
            grid = stage(grid)
        pooled: Tensor = self.attnpool(grid)
        return pooled
