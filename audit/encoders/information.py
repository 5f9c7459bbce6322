"""Where a model folder's files come from and under what terms they may be used, as far as the folder says."""

import re
from pathlib import Path
from typing import Any

from audit.encoders.catalogue import KNOWN, SHIPPED, KnownModel, find_known
from audit.encoders.folder import read_json
from audit.encoders.protocol import EncoderInfo
from audit.encoders.weights import checksum, weights_files
from pipelines.errors import ModelError

__all__ = ["info_of"]

_OWN = "m2ib_audit.json"  # written by `models fetch`, and by whoever knows where the model is best explained
_FRONT_MATTER = re.compile(r"\A---\s*\n(.*?)\n---", re.DOTALL)
_LICENCE = re.compile(r"^license:\s*([\w.+-]+)\s*$", re.MULTILINE)
_BIOMEDCLIP_TEXT = re.compile(r"BiomedNLP-(BiomedBERT|PubMedBERT)-base-uncased-abstract")
_SMALLEST_CARD, _LONGEST_CARD = 8, 1_000_000  # characters


def info_of(name: str, folder: Path, family: str) -> EncoderInfo:
    """Gather what is known of the model in ``folder``, which was asked for as ``name``.

    Raises:
        ModelError: no weights in the folder, or its hints are not readable.
    """
    weights = weights_files(folder, transformers=family != "open_clip")
    path = folder / _OWN
    hints = read_json(path) if path.is_file() else {}
    is_folder = Path(name).expanduser().is_dir()
    known = None if is_folder else find_known(name)
    return EncoderInfo(
        name=_name(name, folder, is_folder=is_folder),
        family=family,
        source=_source(name, folder, known, hints, is_folder=is_folder),
        sha256=checksum(weights),
        terms=known.terms if known is not None else _terms(folder, hints),
        is_phantom=hints.get("phantom") is True,
        image_layer=_optional_int(path, hints, "image_layer"),
        text_layer=_optional_int(path, hints, "text_layer"),
        beta=_optional_float(path, hints, "beta"),
    )


def _name(name: str, folder: Path, *, is_folder: bool) -> str:
    if is_folder:
        return folder.resolve().name
    return name if name in {*KNOWN, *SHIPPED} else name.rsplit("/", 1)[-1]


def _source(name: str, folder: Path, known: KnownModel | None, hints: dict[str, Any], *, is_folder: bool) -> str:
    """Give the hub id, with the commit where the folder names it, or the folder's name."""
    fetched, revision = hints.get("source"), hints.get("revision")
    if isinstance(fetched, str):
        return f"{fetched} at {revision}" if isinstance(revision, str) else fetched
    if known is not None and known.hub_id is not None:
        return known.hub_id
    return folder.resolve().name if is_folder else name


def _terms(folder: Path, hints: dict[str, Any]) -> str:
    """Find what the folder says of the model's use; what it does not say is not guessed."""
    if isinstance(hints.get("terms"), str):
        return str(hints["terms"])
    config = folder / "open_clip_config.json"
    if config.is_file() and _BIOMEDCLIP_TEXT.search(config.read_text(encoding="utf-8", errors="replace")):
        return f"not stated in its folder; it is built as BiomedCLIP, whose terms are: {KNOWN['biomedclip'].terms}"
    licence = _licence_of_card(folder / "README.md")
    if licence is not None:
        return f"licence {licence} according to the README.md in its folder; the card says what use is in scope"
    return "not stated: see the model's own card"


def _licence_of_card(card: Path) -> str | None:
    """Read the licence from a hub card's front matter."""
    if not card.is_file() or not _SMALLEST_CARD <= card.stat().st_size <= _LONGEST_CARD:
        return None
    front = _FRONT_MATTER.match(card.read_text(encoding="utf-8", errors="replace"))
    licence = _LICENCE.search(front[1]) if front else None
    return licence[1] if licence else None


def _optional_int(path: Path, hints: dict[str, Any], key: str) -> int | None:
    value = hints.get(key)
    if value is not None and not isinstance(value, int):
        raise ModelError(f"{path}: {key} must be a whole number, not {value!r}")
    return value


def _optional_float(path: Path, hints: dict[str, Any], key: str) -> float | None:
    value = hints.get(key)
    if value is not None and not isinstance(value, int | float):
        raise ModelError(f"{path}: {key} must be a number, not {value!r}")
    return value
