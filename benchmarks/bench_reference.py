"""The published algorithm against ours: same weights, same machine, one run. The last line is ``ratio: X``.

Each side runs in a process of its own, one after the other and in turns, so that the peaks of memory are apart and a
change of the machine's speed meets both.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import torch

from audit.attribution.denormals import flushed_denormals
from audit.attribution.explain import M2IB
from audit.attribution.m2ib import M2IBSettings
from audit.encoders.loading import load_encoder
from benchmarks.machine import peak_memory_gb, write_section
from benchmarks.models import FULL, PHRASES, SMALL, plain_towers, write_checkpoint
from benchmarks.reference import plain_maps

_LAYERS, _SEED = (9, 7), 3


def _pixels(size: int) -> torch.Tensor:
    return torch.randn(3, size, size, generator=torch.Generator().manual_seed(1))


def measure(side: str, folder: Path, *, repeats: int) -> dict[str, object]:
    """Time one side on one pair; both maps. Loading is not counted."""
    encoder = load_encoder(str(folder))
    pixels, phrase, settings = _pixels(encoder.preprocessing.size), PHRASES[0], M2IBSettings()
    if side == "ours":
        method = M2IB(settings, image_layer=_LAYERS[0], text_layer=_LAYERS[1])

        def explain() -> list[float]:
            return method.explain(encoder, pixels, [phrase], seeds=[_SEED])[0].heat.flatten().tolist()

    else:
        ids = encoder.text.tokenise([phrase]).ids[0]
        del encoder
        towers = plain_towers(folder)

        def explain() -> list[float]:
            with flushed_denormals():
                heat, _ = plain_maps(towers, pixels, ids, layers=_LAYERS, seed=_SEED, settings=settings)
            return [float(nats) for nats in heat[1:]]

    seconds, heat = [], []
    for _ in range(repeats):
        start = time.perf_counter()
        heat = explain()
        seconds.append(time.perf_counter() - start)
    return {"seconds": seconds, "peak_gb": peak_memory_gb(), "heat": heat}


def _in_process(side: str, folder: Path, repeats: int) -> dict[str, object]:
    command = [sys.executable, "-m", "benchmarks.bench_reference", "--side", side, "--folder", str(folder)]
    done = subprocess.run([*command, "--repeats", str(repeats)], capture_output=True, text=True, check=True)
    answer: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return answer


def main() -> None:
    """Measure both sides in turns and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="a small model: to see that it works, not to measure")
    parser.add_argument("--rounds", type=int, default=2, help="turns of both sides")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--side", choices=["ours", "reference"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        print(json.dumps(measure(given.side, given.folder, repeats=given.repeats)))
        return
    answers: dict[str, list[dict[str, object]]] = {"ours": [], "reference": []}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_checkpoint(folder, SMALL if given.small else FULL)
        for _ in range(given.rounds):
            answers["ours"].append(_in_process("ours", folder, given.repeats))
            answers["reference"].append(_in_process("reference", folder, 1))
    seconds = {
        side: median(value for answer in told for value in answer["seconds"])  # type: ignore[attr-defined]
        for side, told in answers.items()
    }
    peaks = {side: max(float(str(answer["peak_gb"])) for answer in told) for side, told in answers.items()}
    heats = torch.tensor([answers[side][0]["heat"] for side in ("ours", "reference")])
    pearson, apart = float(torch.corrcoef(heats)[0, 1]), float((heats[0] - heats[1]).abs().max() / heats.abs().max())
    ratio = seconds["reference"] / seconds["ours"]
    lines = [
        "| | seconds a pair, both maps | peak memory, GB |",
        "|---|---|---|",
        f"| as published | {seconds['reference']:.1f} | {peaks['reference']:.2f} |",
        f"| ours | {seconds['ours']:.2f} | {peaks['ours']:.2f} |",
        "",
        f"Heat under the same noise: Pearson {pearson:.6f}, largest difference {apart:.1e} of the maximum.",
        "",
        f"ratio: {ratio:.1f}",
    ]
    if not given.small:
        write_section("bench_reference", command="python -m benchmarks.bench_reference", lines=lines)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
