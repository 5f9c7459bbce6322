"""Throughput of attribution against pairs per batch, in fp32 and bf16, on a CPU or a GPU."""

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch

from audit.attribution.bottleneck import BottleneckSettings
from audit.attribution.m2ib import M2IB
from audit.attribution.numerics import Precision
from audit.attribution.pairs import Request
from audit.encoders.loading import load_encoder
from audit.encoders.protocol import DualEncoder
from benchmarks.bench_block_passes import share_of_pooled
from benchmarks.machine import command_line, peak_memory_gb, write_device_section
from benchmarks.models import FULL, LAYERS, PHRASES, SMALL, Shape, write_checkpoint

_SIZES = {"cpu": (1, 2, 4, 8), "cuda": (16, 32, 64, 128, 256)}
_PRECISIONS = {"cpu": (Precision.FP32,), "cuda": (Precision.FP32, Precision.BF16)}
_DTYPES = {Precision.FP32: torch.float32, Precision.BF16: torch.bfloat16}
MATRIX_SIDE = {"cpu": 2048, "cuda": 8192}
_MATRIX_PRODUCTS = {"cpu": 10, "cuda": 100}


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """How fast batches of one size are explained."""

    pairs_per_second: float
    peak_gb: float  # 10^9 bytes: of the device's memory, on a CPU of the process so far


def measure(encoder: DualEncoder, method: M2IB, device: torch.device, pairs: int, *, repeats: int) -> Speed:
    """Explain ``pairs`` images with one phrase each in one batch, both maps; median over ``repeats``."""
    size = encoder.preprocessing.size
    pixels = torch.randn(pairs, 3, size, size, generator=torch.Generator().manual_seed(1)).to(device)
    requests = [
        Request(pixels=image, phrases=[PHRASES[index % len(PHRASES)]], seeds=[index])
        for index, image in enumerate(pixels)
    ]
    seconds = []
    method.explain_batch(encoder, requests)  # warms up, and compiles where that is asked for
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    for _ in range(repeats):
        _wait_for(device)
        start = time.perf_counter()
        method.explain_batch(encoder, requests)
        _wait_for(device)
        seconds.append(time.perf_counter() - start)
    peak = torch.cuda.max_memory_allocated(device) / 1e9 if device.type == "cuda" else peak_memory_gb()
    return Speed(pairs_per_second=pairs / median(seconds), peak_gb=peak)


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Measure the rate of a large square matrix product, in operations a second."""
    side, products = MATRIX_SIDE[device.type], _MATRIX_PRODUCTS[device.type]
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    for _ in range(3):
        left @ right
    _wait_for(device)
    start = time.perf_counter()
    for _ in range(products):
        left @ right
    _wait_for(device)
    return products * 2 * side**3 / (time.perf_counter() - start)


def operations_a_pair(shape: Shape, text_tokens: int, settings: BottleneckSettings) -> float:
    """Count the operations that both maps of a pair need, from the shapes; of matrix products alone."""
    passes = 2 * (settings.steps - 1) * settings.samples  # forward and backward; the last step runs no tower

    def tower(tokens: int, layer: int) -> float:
        width, inner = shape.width, shape.inner
        block = 2 * tokens * (4 * width**2 + 2 * width * inner) + 4 * tokens**2 * width
        pooled = share_of_pooled(tokens, width, inner)
        return block * (shape.depth - 1 + pooled + passes * (shape.depth - layer - 2 + pooled))

    image_tokens = 1 + (shape.size // shape.patch) ** 2
    return tower(image_tokens, LAYERS[0]) + tower(text_tokens, LAYERS[1])


def _table(encoder: DualEncoder, device: torch.device, shape: Shape, given: argparse.Namespace) -> list[str]:
    settings = BottleneckSettings()
    operations = operations_a_pair(shape, int(encoder.text.tokenise(PHRASES).mask.sum(1).float().mean()), settings)
    lines = ["| pairs a batch | precision | pairs/s | share of the measured matrix rate | peak memory, GB |"]
    lines.append("|---|---|---|---|---|")
    for precision in given.precisions or _PRECISIONS[device.type]:
        rate = matrix_rate(device, _DTYPES[precision])
        for pairs in given.sizes or _SIZES[device.type]:
            method = M2IB(
                settings,
                image_layer=LAYERS[0],
                text_layer=LAYERS[1],
                precision=precision,
                compiler="inductor" if given.compile else None,
                pairs_at_once=pairs,
            )
            speed = measure(encoder, method, device, pairs, repeats=given.repeats)
            share = speed.pairs_per_second * operations / rate
            lines.append(
                f"| {pairs} | {precision.value} | {speed.pairs_per_second:.3g} | {share:.0%} of {rate / 1e12:.3g} T/s "
                f"| {speed.peak_gb:.2f} |"
            )
    return lines


def _given() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--small", action="store_true", help="a small model: to see that it works, not to measure")
    parser.add_argument("--sizes", type=int, nargs="+", help="pairs a batch")
    parser.add_argument("--precisions", type=Precision, nargs="+", choices=list(_DTYPES))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, help="of torch; by default its own choice")
    parser.add_argument("--compile", action="store_true", help="through torch.compile")
    return parser.parse_args()


def main() -> None:
    """Measure and write the section."""
    given = _given()
    if given.threads is not None:
        torch.set_num_threads(given.threads)
    device, shape = torch.device(given.device), SMALL if given.small else FULL
    with tempfile.TemporaryDirectory() as temporary:
        write_checkpoint(Path(temporary), shape)
        encoder = load_encoder(temporary, device=device)
    lines = _table(encoder, device, shape, given)
    if not given.small:
        on_gpu = device.type == "cuda"
        write_device_section("bench_batch", command=command_line("bench_batch"), lines=lines, on_gpu=on_gpu)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
