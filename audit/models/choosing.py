"""Selects the files of a hub repository for a model folder: configuration, tokeniser, card, and one set of weights.

Repositories contain the same weights in several formats (safetensors, pickle, TensorFlow, Flax, ONNX). Only files that
the loader would read are needed, so the loader itself decides, on a folder of empty files with the repository's names.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from audit.encoders.loading import family_of
from audit.encoders.weights import weights_files
from pipelines.errors import ModelError

__all__ = ["BESIDE_WEIGHTS", "CONFIGS", "choose_files", "needed_names"]

CONFIGS = ("config.json", "open_clip_config.json")
"""What a model's family is told by; the rest of a repository can be judged by its names."""

_PLAIN_NAME = re.compile(r"[\w+-][\w.+ -]*")  # of a file at the top: no folder, no way out of this one

BESIDE_WEIGHTS = (
    *CONFIGS,
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
    "README.md",  # the card: terms travel with the weights
    "LICENSE",
    "LICENSE.md",
    "LICENSE.txt",
    "NOTICE",
)


def choose_files(names: Iterable[str], scratch: Path) -> tuple[str, tuple[str, ...]]:
    """Select a repository's files.

    Args:
        names: of all its files, with folders separated by ``/``; only those at the top are used.
        scratch: a folder with those of :data:`CONFIGS` that the repository has, to be filled with empty files.

    Returns:
        The model's family, and the names of the files to fetch, the weights last.

    Raises:
        ModelError: it contains no model of a known family; the message names ``scratch``.
    """
    top = sorted(name for name in names if _PLAIN_NAME.fullmatch(name))
    for name in top:
        (scratch / name).touch()
    family = family_of(scratch)
    weights = [path.name for path in weights_files(scratch, transformers=family != "open_clip")]
    if weights[0].endswith(".index.json") and len(weights) == 1:
        raise ModelError(f"{scratch}: {weights[0]} names shards of weights, and none of them is there")
    return family, (*(name for name in BESIDE_WEIGHTS if name in top), *weights)


def needed_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return which of a repository's files :func:`choose_files` has to read."""
    return tuple(name for name in CONFIGS if name in set(names))
