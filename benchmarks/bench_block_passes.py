"""How many block-passes one pair takes, both maps, beside the budget of the design.

A block-pass is one transformer block on one input, forward; backward through activations counts one more. A block of
which only the pooled token's row is computed counts by its products: those of its one row, and the two by which that
row looks at all tokens.
"""

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from audit.attribution.bottleneck import BottleneckSettings
from audit.attribution.m2ib import M2IB
from audit.attribution.pairs import Request
from audit.encoders import blocks, transformer
from audit.encoders.loading import load_encoder
from audit.encoders.protocol import DualEncoder
from benchmarks.machine import command_line, write_section
from benchmarks.models import FULL, LAYERS, PHRASES, SMALL, write_checkpoint

_DEPTH, _STEPS, _SAMPLES = 12, 10, 10
_WEIGHTS_TOO = 3  # forward, backward through activations, backward into weights
_REFERENCE = 2 * _STEPS * _SAMPLES * _DEPTH * _WEIGHTS_TOO  # either tower runs for both maps
_KEYS_AND_VALUES = 1 / 6  # of a block's products: what a single query was thought to need of all tokens


@dataclass(slots=True)
class Passes:
    """Block-passes of one tower."""

    forward: float = 0.0
    backward: float = 0.0

    @property
    def both(self) -> float:
        """Forward and backward together."""
        return self.forward + self.backward


def budget(layer: int, *, last: float) -> float:
    """Block-passes that one map needs in its own tower, after the design: its last block counts ``last``."""
    return _DEPTH + _STEPS * _SAMPLES * 2 * (_DEPTH - layer - 2 + last)


def share_of_pooled(tokens: int, width: int, inner: int) -> float:
    """Products of a pooled-only block over those of a whole one, per input."""
    whole = tokens * (4 * width**2 + 2 * width * inner) + 2 * tokens**2 * width
    heads = width // 64
    one_row = 4 * width**2 + 2 * width * inner
    looking = 2 * tokens * heads * width
    return (one_row + looking) / whole


def count(encoder: DualEncoder, pixels: Tensor, phrase: str, *, inner: int) -> dict[str, Passes]:
    """Count the block-passes of each tower while one pair is explained, by wrapping what runs a block.

    Args:
        encoder: of transformer towers.
        pixels: [3, size, size].
        phrase: of the pair.
        inner: width inside the MLP of both towers.
    """
    passes = {"image": Passes(), "text": Passes()}
    towers = {id(block): name for name in passes for block in getattr(encoder, name).stack.blocks}

    def counted(run: Callable[..., Tensor], *, pooled: bool) -> Callable[..., Tensor]:
        def wrapped(block: Any, hidden: Tensor, *args: Any) -> Tensor:
            share = share_of_pooled(hidden.shape[1], hidden.shape[2], inner) if pooled else 1.0
            output = run(block, hidden, *args)
            tower = passes[towers[id(block)]]
            tower.forward += len(hidden) * share
            if output.requires_grad:  # every graph of this method is walked back once
                tower.backward += len(hidden) * share
            return output

        return wrapped

    with (
        mock.patch.object(transformer, "run_block", counted(blocks.run_block, pooled=False)),
        mock.patch.object(transformer, "run_block_at", counted(blocks.run_block_at, pooled=True)),
    ):
        method = M2IB(BottleneckSettings(), image_layer=LAYERS[0], text_layer=LAYERS[1])
        method.explain_batch(encoder, [Request(pixels=pixels, phrases=[phrase], seeds=[1])])
    return passes


def table(passes: dict[str, Passes]) -> list[str]:
    """Lay out what was counted beside the budget."""
    image, text = passes["image"], passes["text"]
    plain, pooled = ([budget(layer, last=last) for layer in LAYERS] for last in (1.0, _KEYS_AND_VALUES))
    return [
        f"| block-passes of a pair, both maps | image tower, layer {LAYERS[0]} | text tower, layer {LAYERS[1]} |",
        "|---|---|---|",
        f"| as published (whole towers, weight gradients) | {_REFERENCE} | {_REFERENCE} |",
        f"| budget: suffix only | {plain[0]:.0f} | {plain[1]:.0f} |",
        f"| budget: pooled token only in the last block | {pooled[0]:.0f} | {pooled[1]:.0f} |",
        f"| ours, forward | {image.forward:.1f} | {text.forward:.1f} |",
        f"| ours, backward | {image.backward:.1f} | {text.backward:.1f} |",
        f"| **ours, both** | **{image.both:.1f}** | **{text.both:.1f}** |",
        "",
        "Ours is below the budget since the last of the ten steps needs no pass (its capacity is the heat, and is",
        "known before it), and since one query needs neither keys nor values (`audit/encoders/blocks.py`). The text",
        "tower is squeezed two blocks earlier than the image tower: two more blocks run there in every step.",
    ]


def main() -> None:
    """Count and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="a small model: to see that it works, not to measure")
    given = parser.parse_args()
    shape = SMALL if given.small else FULL
    with tempfile.TemporaryDirectory() as temporary:
        write_checkpoint(Path(temporary), shape)
        encoder = load_encoder(temporary)
    lines = table(count(encoder, torch.randn(3, shape.size, shape.size), PHRASES[0], inner=shape.inner))
    if not given.small:
        write_section("bench_block_passes", command=command_line("bench_block_passes"), lines=lines)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
