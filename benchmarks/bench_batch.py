"""Throughput of attribution against pairs per batch, in fp32 and bf16, on a CPU or a GPU."""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median
from unittest import mock

import torch

from audit.attribution import batching
from audit.attribution.explain import M2IB, Request
from audit.attribution.m2ib import M2IBSettings
from audit.attribution.precision import Precision
from audit.encoders.loading import load_encoder
from audit.encoders.protocol import DualEncoder
from benchmarks.machine import write_section
from benchmarks.models import FULL, PHRASES, SMALL, Shape, write_checkpoint

_SIZES = {"cpu": (1, 2, 4), "cuda": (8, 16, 32, 64, 128)}


def pairs_per_second(
    encoder: DualEncoder, device: torch.device, pairs: int, *, precision: Precision, repeats: int, compiler: str | None
) -> float:
    """Explain ``pairs`` images with one phrase each in one batch, both maps; median over ``repeats``."""
    size = encoder.preprocessing.size
    pixels = torch.randn(pairs, 3, size, size, generator=torch.Generator().manual_seed(1)).to(device)
    requests = [
        Request(pixels=image, phrases=[PHRASES[index % len(PHRASES)]], seeds=[index])
        for index, image in enumerate(pixels)
    ]
    method = M2IB(M2IBSettings(), image_layer=9, text_layer=7, precision=precision, compiler=compiler)
    seconds = []
    with mock.patch.object(batching, "_MOST", {device.type: pairs}):
        method.explain_batch(encoder, requests)  # warms up, and compiles where that is asked for
        for _ in range(repeats):
            _wait_for(device)
            start = time.perf_counter()
            method.explain_batch(encoder, requests)
            _wait_for(device)
            seconds.append(time.perf_counter() - start)
    return pairs / median(seconds)


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def matrix_rate(device: torch.device, dtype: torch.dtype, *, side: int) -> float:
    """Measured rate of a square matrix product, operations a second."""
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    for _ in range(3):
        left @ right
    _wait_for(device)
    start = time.perf_counter()
    for _ in range(10):
        left @ right
    _wait_for(device)
    return 10 * 2 * side**3 / (time.perf_counter() - start)


def operations_a_pair(shape: Shape, text_tokens: int) -> float:
    """Operations that the mathematics needs for both maps of a pair (products alone), from the shapes."""

    def block(tokens: int) -> float:
        return 2 * tokens * (4 * shape.width**2 + 2 * shape.width * shape.inner) + 4 * tokens**2 * shape.width

    image, text = block(1 + (shape.size // shape.patch) ** 2), block(text_tokens)
    steps = 9 * 10 * 2  # steps that run, samples, forward and backward
    return image * (shape.depth + 1 * steps) + text * (shape.depth + 3 * steps)


def main() -> None:
    """Measure and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--small", action="store_true", help="a small model: to see that it works, not to measure")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--compile", action="store_true", help="through torch.compile")
    given = parser.parse_args()
    device, shape = torch.device(given.device), SMALL if given.small else FULL
    with tempfile.TemporaryDirectory() as temporary:
        write_checkpoint(Path(temporary), shape)
        encoder = load_encoder(temporary, device=device)
    precisions = (Precision.FP32,) if device.type == "cpu" else (Precision.FP32, Precision.BF16)
    tokens = int(encoder.text.tokenise(PHRASES).mask.sum(1).float().mean())
    lines = [
        f"On {device.type}.",
        "",
        "| pairs a batch | precision | pairs/s | share of the measured matrix rate |",
        "|---|---|---|---|",
    ]
    for precision in precisions:
        dtype = torch.bfloat16 if precision is Precision.BF16 else torch.float32
        rate = matrix_rate(device, dtype, side=8192 if device.type == "cuda" else 2048)
        for pairs in _SIZES[device.type]:
            compiler = "inductor" if given.compile else None
            speed = pairs_per_second(
                encoder, device, pairs, precision=precision, repeats=given.repeats, compiler=compiler
            )
            share = speed * operations_a_pair(shape, tokens) / rate
            lines.append(f"| {pairs} | {precision.value} | {speed:.3g} | {share:.0%} of {rate / 1e12:.3g} T/s |")
    if device.type == "cpu":
        lines += ["", "On a GPU: not measured, no GPU was at hand."]
    if not given.small:
        write_section("bench_batch", command=f"python -m benchmarks.bench_batch --device {device.type}", lines=lines)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
