"""From nothing to a model folder: pool, first weights, training, files."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from pathlib import Path

from safetensors.torch import load_file, save_file

from audit.attribution.denormals import flushed_denormals
from audit.phantom.architecture import build_model, build_tokenizer, save_processor
from audit.phantom.initialisation import initialise
from audit.phantom.pool import make_pool
from audit.phantom.training import TrainingSettings, train
from pipelines.errors import OutputError

__all__ = ["HINTS", "Kind", "train_to_folder"]

_SIZE = 160  # px
_TELL_EVERY = 50  # steps

HINTS = {
    "phantom": True,
    "image_layer": 0,
    "text_layer": 0,
    "beta": 10.0,
    "terms": "Apache-2.0; trained on synthetic radiographs only: it says nothing about patients",
}
"""What ``m2ib_audit.json`` tells the audit about this model: where it is best explained, and what it is."""


class Kind(StrEnum):
    """What an encoder is trained to be. The last two are known to be bad, and an audit has to tell them apart."""

    GROUNDED = "grounded"
    UNGROUNDED = "ungrounded"  # no multiple-instance loss: it classifies and does not have to look
    SHORTCUT = "shortcut"  # a tag in the corner betrays each finding of its training films


def train_to_folder(
    out: Path,
    *,
    steps: int | None,
    pool_size: int,
    seed: int | None,
    kind: Kind,
    processes: int,
    tell: Callable[[str], None],
) -> None:
    """Train a phantom encoder and write it as a transformers folder with half-precision weights.

    Raises:
        OutputError: ``out`` holds files already, or cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        held = next(out.iterdir(), None)
    except OSError as error:
        raise OutputError(f"{out} cannot be written ({error.strerror}): name another folder") from error
    if held is not None:
        raise OutputError(f"{out} holds files already ({held.name}): name an empty or a new folder")
    default = TrainingSettings()
    settings = replace(
        default,
        steps=steps or default.steps,
        seed=default.seed if seed is None else seed,
        multiple_instance=0.0 if kind is Kind.UNGROUNDED else default.multiple_instance,
    )
    tell(f"Rendering {pool_size} phantoms in {processes} processes")
    pool = make_pool(pool_size, size=_SIZE, seed=settings.seed, processes=processes, tagged=kind is Kind.SHORTCUT)
    tokenizer = build_tokenizer()
    model = build_model(tokenizer, seed=settings.seed)
    initialise(model, pool.images, seed=settings.seed)
    start = time.perf_counter()

    def report(step: int, losses: dict[str, float]) -> None:
        if (step + 1) % _TELL_EVERY == 0:
            rate = (step + 1) * settings.batch / (time.perf_counter() - start)
            told = ", ".join(f"{name} {value:.3f}" for name, value in losses.items())
            tell(f"step {step + 1} of {settings.steps}: {told}; {rate:.0f} images/s")

    with flushed_denormals():
        train(model, tokenizer, pool, settings, report=report)
    model.save_pretrained(out)
    _halve(out / "model.safetensors")
    tokenizer.save_pretrained(out)
    save_processor(out, _SIZE)
    (out / "m2ib_audit.json").write_text(
        json.dumps({**HINTS, "kind": kind.value, "phantoms": pool_size, "training": str(settings)}, indent=2) + "\n",
        "utf-8",
    )


def _halve(path: Path) -> None:
    """Store weights in half precision: half the size, and no figure moves."""
    weights = {name: tensor.half() for name, tensor in load_file(path).items()}
    save_file(weights, path, metadata={"format": "pt"})
