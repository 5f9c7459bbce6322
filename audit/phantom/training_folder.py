"""Trains a phantom encoder and writes it as a transformers folder, as the committed ones were written."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from shutil import copyfile

import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPModel, PreTrainedTokenizerFast, VisionTextDualEncoderModel

from audit.attribution.numerics import flushed_denormals
from audit.encoders.loading import model_folder
from audit.encoders.model_folder import load_pretrained, load_tokenizer
from audit.phantom.architecture import build_model, build_tokenizer, initialise, save_processor
from audit.phantom.faulty import HABIT_LAYER, FaultSettings, train_habit, train_image_blind
from audit.phantom.pool import PhantomPool, make_pool
from audit.phantom.text_training import MASK, TextSettings, embed_images, train_text_tower, with_bert
from audit.phantom.training import TrainingSettings, normalised, train
from pipelines.errors import OutputError

__all__ = ["TrainingGoal", "train_to_folder"]

_SIZE = 160  # px
_TELL_EVERY = 50  # steps
_TEXT_BETA = 1.0  # of the bottleneck in the new text tower; at 10 all words lose their information

_HINTS = {
    "phantom": True,
    "image_layer": 0,
    "text_layer": 0,
    "beta": 10.0,
    "terms": "Apache-2.0; trained on synthetic radiographs only: it says nothing about patients",
}
"""Contents of ``m2ib_audit.json`` for these models: where they are explained best, and what they are."""


class TrainingGoal(StrEnum):
    """What an encoder is trained to be. All but the first have a known fault, which an audit must detect."""

    GROUNDED = "grounded"
    UNGROUNDED = "ungrounded"  # no multiple-instance loss: it classifies without having to look
    SHORTCUT = "shortcut"  # a tag in the corner reveals each finding of its training images
    IMAGE_BLIND = "image-blind"  # its answers do not depend on the image
    HABIT = "habit"  # reads each finding from one patch, the same on every image


_FAULTS = {
    TrainingGoal.IMAGE_BLIND: (train_image_blind, FaultSettings(steps=150, learning_rate=5e-3, shrinkage=10.0)),
    TrainingGoal.HABIT: (train_habit, FaultSettings(steps=260, batch=48, learning_rate=2e-3, known=0.7, attention=3.0)),
}
"""The encoders that are derived from the committed grounded one."""

_PHANTOMS, _PHANTOMS_DERIVED = 24_000, 3_000  # by default


def train_to_folder(
    out: Path,
    *,
    steps: int | None,
    pool_size: int | None,
    seed: int | None,
    kind: TrainingGoal,
    processes: int,
    on_message: Callable[[str], None],
) -> None:
    """Train a phantom encoder and write it as a transformers folder with half-precision weights.

    Args:
        out: an empty or a new folder.
        steps: of the training; None: as many as the goal's settings have.
        pool_size: number of phantoms to train on; None: 24,000, and 3,000 for an encoder derived from the grounded one.
        seed: of the phantoms and of the training; None: that of the committed weights.
        kind: what it is trained to be.
        processes: that render phantoms.
        on_message: called with the progress.

    Raises:
        OutputError: ``out`` holds files already, or cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        held = next(out.iterdir(), None)
    except OSError as error:
        raise OutputError(f"{out} cannot be written ({error.strerror}): name another folder") from error
    if held is not None:
        raise OutputError(f"{out} already holds files ({held.name}): name an empty or a new folder")
    count = pool_size or (_PHANTOMS_DERIVED if kind in _FAULTS else _PHANTOMS)
    pool_seed = TrainingSettings().seed if seed is None else seed
    on_message(f"Rendering {count} phantoms in {processes} processes")
    pool = make_pool(count, size=_SIZE, seed=pool_seed, processes=processes, tagged=kind is TrainingGoal.SHORTCUT)
    with flushed_denormals():
        build = _derived if kind in _FAULTS else _trained
        model, save_tokenizer, own_hints = build(kind, pool, steps, pool_seed, on_message)
    model.save_pretrained(out)
    _halve(out / "model.safetensors")
    save_tokenizer(out)
    save_processor(out, _SIZE)
    hints = {**_HINTS, "kind": kind.value, "phantoms": count, **own_hints}
    (out / "m2ib_audit.json").write_text(json.dumps(hints, indent=2) + "\n", "utf-8")


_Trained = tuple[CLIPModel | VisionTextDualEncoderModel, Callable[[Path], object], dict[str, object]]
"""A model, what writes its tokeniser to a folder, and what ``m2ib_audit.json`` says of it beside :data:`_HINTS`."""


def _trained(
    kind: TrainingGoal, pool: PhantomPool, steps: int | None, seed: int, on_message: Callable[[str], None]
) -> _Trained:
    """Train an encoder from new weights."""
    default = TrainingSettings()
    settings = replace(
        default,
        steps=steps or default.steps,
        seed=seed,
        multiple_instance=0.0 if kind is TrainingGoal.UNGROUNDED else default.multiple_instance,
    )
    tokenizer = build_tokenizer()
    model = build_model(tokenizer, seed=seed)
    initialise(model, pool.images, seed=seed)
    report = _reporter("step", settings.steps, on_message, batch=settings.batch)
    train(model, tokenizer, pool, settings, report=report)
    hints: dict[str, object] = {"training": str(settings)}
    if kind is not TrainingGoal.GROUNDED:
        return model, tokenizer.save_pretrained, hints
    of_words = TextSettings()
    of_words = replace(of_words, text_steps=min(settings.steps, of_words.text_steps), seed=seed)
    joined = _with_words(model, tokenizer, pool, of_words, on_message)
    return joined, tokenizer.save_pretrained, {**hints, "text_beta": _TEXT_BETA, "text_training": str(of_words)}


def _derived(
    kind: TrainingGoal, pool: PhantomPool, steps: int | None, seed: int, on_message: Callable[[str], None]
) -> _Trained:
    """Train the image tower of the committed grounded encoder to have a fault."""
    train_fault, settings = _FAULTS[kind]
    settings = replace(settings, steps=steps or settings.steps, seed=seed)
    folder = model_folder("phantom")
    model = load_pretrained(VisionTextDualEncoderModel, folder, torch.device("cpu"))
    report = _reporter("step", settings.steps, on_message)
    train_fault(model, load_tokenizer(folder), pool, settings, report=report)
    hints: dict[str, object] = {"training": str(settings), "text_beta": _TEXT_BETA}
    hints |= {"image_layer": HABIT_LAYER} if kind is TrainingGoal.HABIT else {}
    return model, partial(_copy_tokenizer, folder), hints


def _copy_tokenizer(source: Path, out: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        copyfile(source / name, out / name)


def _reporter(
    name: str, steps: int, on_message: Callable[[str], None], *, batch: int = 0
) -> Callable[[int, dict[str, float]], None]:
    """Return a function that reports every 50th step, with the rate in images if ``batch`` is given."""
    start = time.perf_counter()

    def report(step: int, losses: dict[str, float]) -> None:
        if (step + 1) % _TELL_EVERY == 0:
            parts = [", ".join(f"{loss} {value:.3f}" for loss, value in losses.items())]
            if batch:
                parts.append(f"{(step + 1) * batch / (time.perf_counter() - start):.0f} images/s")
            on_message(f"{name} {step + 1} of {steps}: {'; '.join(parts)}")

    return report


def _with_words(
    model: CLIPModel,
    tokenizer: PreTrainedTokenizerFast,
    pool: PhantomPool,
    settings: TextSettings,
    on_message: Callable[[str], None],
) -> VisionTextDualEncoderModel:
    """Replace the text tower of a trained encoder by one that reads its words, on the same image tower."""
    tokenizer.add_special_tokens({"mask_token": MASK})  # an entry of the vocabulary already
    on_message(f"Training the text tower for {settings.text_steps} steps")
    batches = (pool.images[start : start + settings.images] for start in range(0, len(pool), settings.images))
    embeddings = embed_images(model, (normalised(images) for images in batches))
    joined = with_bert(model, tokenizer, seed=settings.seed)
    report = _reporter("text step", settings.text_steps, on_message)
    train_text_tower(joined, tokenizer, (embeddings, pool.truth), settings, report=report)
    return joined


def _halve(path: Path) -> None:
    """Store weights in half precision: half the size, with the same results."""
    weights = {name: tensor.half() for name, tensor in load_file(path).items()}
    save_file(weights, path, metadata={"format": "pt"})
