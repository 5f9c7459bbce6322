"""The published algorithm against ours: same weights, same machine, one run. The last line is ``ratio: X``.

Each side runs in processes of its own, one after the other and in turns, so that the peaks of memory are apart and a
change of the machine's speed meets both.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

import torch

from audit.attribution.bottleneck import BottleneckSettings
from audit.attribution.m2ib import M2IB
from audit.attribution.numerics import flushed_denormals
from audit.attribution.pairs import Request
from audit.encoders.loading import load_encoder
from benchmarks.machine import command_line, peak_memory_gb, write_section
from benchmarks.models import FULL, LAYERS, PHRASES, SMALL, plain_towers, write_checkpoint
from benchmarks.reference import plain_maps

_SEED = 3
_OURS, _REFERENCE = "ours", "reference"

Explain = Callable[[int, BottleneckSettings], tuple[list[float], list[float]]]
"""From a pair's number to the nats of its patches and of its words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one process of one side tells."""

    seconds: list[float]  # a pair, both maps; loading and warming up are not in it
    peak_gb: float  # 10^9 bytes, loading included
    patches: list[float]  # nats, of all pairs
    words: list[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far the maps of both sides are the same."""

    pearson: float
    largest: float  # difference, as a share of the maximum

    @classmethod
    def of(cls, ours: Sequence[float], reference: Sequence[float]) -> "Agreement":
        """Compare two maps under the same noise."""
        both = torch.tensor([ours, reference], dtype=torch.float64)
        largest = (both[0] - both[1]).abs().max() / both.abs().max()
        return cls(pearson=float(torch.corrcoef(both)[0, 1]), largest=float(largest))

    def __str__(self) -> str:
        """Say it in words."""
        return f"Pearson {self.pearson:.6f}, largest difference {self.largest:.1e} of the maximum"


def measure(side: str, folder: Path, *, pairs: int, repeats: int) -> Measured:
    """Time one side in this process."""
    explain, settings = (_ours if side == _OURS else _reference)(folder), BottleneckSettings()
    explain(0, replace(settings, steps=2))
    seconds: list[float] = []
    patches: list[float] = []
    words: list[float] = []
    for repeat in range(repeats):
        for pair in range(pairs):
            start = time.perf_counter()
            heat, nats = explain(pair, settings)
            seconds.append(time.perf_counter() - start)
            if repeat == 0:
                patches += heat
                words += nats
    return Measured(seconds=seconds, peak_gb=peak_memory_gb(), patches=patches, words=words)


def _ours(folder: Path) -> Explain:
    encoder = load_encoder(str(folder))

    def explain(pair: int, settings: BottleneckSettings) -> tuple[list[float], list[float]]:
        method = M2IB(settings, image_layer=LAYERS[0], text_layer=LAYERS[1])
        pixels, phrase = _pair(pair, encoder.preprocessing.size)
        request = Request(pixels=pixels, phrases=[phrase], seeds=[_SEED + pair])
        ((explanation,),) = method.explain_batch(encoder, [request])
        return explanation.heat.flatten().tolist(), [nats for _, nats in explanation.words]

    return explain


def _reference(folder: Path) -> Explain:
    encoder = load_encoder(str(folder))
    size, tokens = encoder.preprocessing.size, [encoder.text.tokenise([phrase]) for phrase in PHRASES]
    del encoder
    towers = plain_towers(folder)

    def explain(pair: int, settings: BottleneckSettings) -> tuple[list[float], list[float]]:
        pixels, phrase = _pair(pair, size)
        own = tokens[PHRASES.index(phrase)]
        with flushed_denormals():
            image, text = plain_maps(towers, pixels, own.ids[0], layers=LAYERS, seed=_SEED + pair, settings=settings)
        patches: list[float] = image[1:].tolist()
        return patches, [sum(float(text[index]) for index in members) for _, members in own.words[0]]

    return explain


def _pair(number: int, size: int) -> tuple[torch.Tensor, str]:
    pixels = torch.randn(3, size, size, generator=torch.Generator().manual_seed(number + 1))
    return pixels, PHRASES[number % len(PHRASES)]


def _in_process(side: str, folder: Path, given: argparse.Namespace) -> Measured:
    command = [sys.executable, "-m", "benchmarks.bench_reference", "--side", side, "--folder", str(folder)]
    command += ["--pairs", str(given.pairs), "--repeats", str(given.repeats if side == _OURS else 1)]
    command += ["--threads", str(given.threads)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def _table(told: dict[str, list[Measured]]) -> list[str]:
    seconds = {side: median(value for one in told[side] for value in one.seconds) for side in told}
    peaks = {side: max(one.peak_gb for one in told[side]) for side in told}
    ours, reference = told[_OURS][0], told[_REFERENCE][0]
    return [
        "| | seconds a pair, both maps | peak memory, GB |",
        "|---|---|---|",
        f"| as published | {seconds[_REFERENCE]:.2f} | {peaks[_REFERENCE]:.2f} |",
        f"| ours | {seconds[_OURS]:.2f} | {peaks[_OURS]:.2f} |",
        "",
        "Under the same noise, at the end of all steps:",
        "",
        f"- image map: {Agreement.of(ours.patches, reference.patches)};",
        f"- words: {Agreement.of(ours.words, reference.words)}.",
        "",
        f"ratio: {seconds[_REFERENCE] / seconds[_OURS]:.1f}",
    ]


def _given() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="a small model: to see that it works, not to measure")
    parser.add_argument("--rounds", type=int, default=2, help="turns of both sides")
    parser.add_argument("--pairs", type=int, default=1, help="pairs that either side explains in its turn")
    parser.add_argument("--repeats", type=int, default=3, help="of ours, in each turn")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of torch, on either side")
    parser.add_argument("--side", choices=[_OURS, _REFERENCE], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Measure both sides in turns and write the section."""
    given = _given()
    torch.set_num_threads(given.threads)
    if given.side:
        print(json.dumps(asdict(measure(given.side, given.folder, pairs=given.pairs, repeats=given.repeats))))
        return
    told: dict[str, list[Measured]] = {_OURS: [], _REFERENCE: []}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_checkpoint(folder, SMALL if given.small else FULL)
        for _ in range(given.rounds):
            for side, measured in told.items():
                measured.append(_in_process(side, folder, given))
    lines = _table(told)
    if not given.small:
        write_section("bench_reference", command=command_line("bench_reference"), lines=lines)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
