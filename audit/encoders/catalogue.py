"""The known models, and the information recorded about a loaded model.

The entries are from each model's own page. If a page states no licence, the entry says so; none is assumed.

A hub may redirect a request for weights to any address. Only known hosts are followed, and credentials are sent to the
hub only. The client of the hub's newer storage (hf_xet) follows addresses without a check, so it is not used: the same
files are fetched by HTTP.

Source: huggingface_hub's documentation names huggingface.co and hf.co; weights come from hosts below these two.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from huggingface_hub import constants, get_session

from audit.encoders.model_folder import read_json
from audit.encoders.protocol import EncoderInfo
from audit.encoders.weights import checksum, weights_files
from pipelines.errors import ModelError

__all__ = ["KNOWN", "SHIPPED", "KnownModel", "find_known", "hub_page", "info_of", "only_known_hosts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownModel:
    """A model that the tool knows by name."""

    hub_id: str | None  # None: it is on no hub
    architecture: str
    family: str  # as in FAMILIES of audit.encoders.loading
    licence: str
    terms: str  # one sentence: what its card says of its use
    how_to_get: str  # by hand
    gated: bool = False  # the hub hands it out only to who has accepted its terms


def hub_page(hub_id: str) -> str:
    """Return the address of a model's page with its model card."""
    return f"https://huggingface.co/{hub_id}"


def _by_hand(hub_id: str) -> str:
    return f"`hf download {hub_id} --local-dir DIR`"


_BIOMEDCLIP = "microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224"
_PUBMEDCLIP = "flaviagiammarino/pubmed-clip-vit-base-patch32"
_MEDSIGLIP = "google/medsiglip-448"
_CLIP = "openai/clip-vit-base-patch32"
_SIGLIP = "google/siglip-base-patch16-224"

KNOWN = {
    "biomedclip": KnownModel(
        hub_id=_BIOMEDCLIP,
        architecture="ViT-B/16 + PubMedBERT, 224 px, context 256",
        family="open_clip",
        licence="MIT",
        terms="MIT licence; its card says: research only, any deployed use case is out of scope",
        how_to_get=_by_hand(_BIOMEDCLIP),
    ),
    "pubmedclip": KnownModel(
        hub_id=_PUBMEDCLIP,
        architecture="CLIP ViT-B/32, 224 px, context 77",
        family="clip",
        licence="MIT",
        terms="MIT licence according to its card; trained on ROCO, figures of PubMed articles",
        how_to_get=_by_hand(_PUBMEDCLIP),
    ),
    "medsiglip": KnownModel(
        hub_id=_MEDSIGLIP,
        architecture="SigLIP So400m/14, 448 px, context 64",
        family="siglip",
        licence="HAI-DEF terms of use",
        terms="use is governed by Google's Health AI Developer Foundations terms of use, to be accepted on its page",
        how_to_get=f"accept the terms on {hub_page(_MEDSIGLIP)}, `hf auth login`, then {_by_hand(_MEDSIGLIP)}",
        gated=True,
    ),
    "clip": KnownModel(
        hub_id=_CLIP,
        architecture="CLIP ViT-B/32, 224 px, context 77",
        family="clip",
        licence="see its card",
        terms="no licence stated for the weights; its card says: for research, any deployed use case is out of scope",
        how_to_get=_by_hand(_CLIP),
    ),
    "siglip": KnownModel(
        hub_id=_SIGLIP,
        architecture="SigLIP ViT-B/16, 224 px, context 64",
        family="siglip",
        licence="Apache-2.0",
        terms="Apache-2.0 licence according to its card; trained on WebLI, images of the web",
        how_to_get=_by_hand(_SIGLIP),
    ),
    "chexzero": KnownModel(
        hub_id=None,
        architecture="CLIP ViT-B/32, 224 px, context 77",
        family="open_clip",
        licence="see its repository",
        terms="see https://github.com/rajpurkarlab/CheXzero; trained on MIMIC-CXR",
        how_to_get=(
            "take one checkpoint from the link in https://github.com/rajpurkarlab/CheXzero, put it into a folder with "
            f"tokenizer.json, tokenizer_config.json and preprocessor_config.json of {_CLIP}, and set the latter's "
            "image_mean to three times 0.39799 and image_std to three times 0.32721, CheXzero's own"
        ),
    ),
}


def _shipped(terms: str, *, family: str = "clip", words: str = "") -> KnownModel:
    return KnownModel(
        hub_id=None,
        architecture=f"CLIP ViT/10 of 3 blocks{words}, 160 px, context 40",
        family=family,
        licence="Apache-2.0",
        terms=f"Apache-2.0; trained on synthetic radiographs only: it says nothing about patients{terms}",
        how_to_get="it is part of this installation",
    )


_DUAL = {"family": "vision-text-dual-encoder", "words": " + BERT of 2 blocks"}

SHIPPED = {
    "phantom": _shipped("", **_DUAL),
    "phantom-ungrounded": _shipped("; known to be bad: it classifies and does not look"),
    "phantom-shortcut": _shipped("; known to be bad: it reads tags on the film"),
    "phantom-image-blind": _shipped("; known to be bad: it ignores the image", **_DUAL),
    "phantom-habit": _shipped("; known to be bad: it looks by habit", **_DUAL),
}
"""The encoders that ship with the tool: one that looks, and four with a fault that an audit must detect."""


def find_known(name: str) -> KnownModel | None:
    """Find what is known of a model by its name or hub id."""
    return KNOWN.get(name) or next((known for known in KNOWN.values() if known.hub_id == name), None)


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
        text_beta=_optional_float(path, hints, "text_beta"),
    )


def _name(name: str, folder: Path, *, is_folder: bool) -> str:
    if is_folder:
        return folder.resolve().name
    return name if name in {*KNOWN, *SHIPPED} else name.rsplit("/", 1)[-1]


def _source(name: str, folder: Path, known: KnownModel | None, hints: dict[str, Any], *, is_folder: bool) -> str:
    """Return the hub id, with the commit if the folder states it, or the folder's name."""
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


_OWN_HOSTS = ("huggingface.co", "hf.co")
_MORE_HOSTS = "M2IB_AUDIT_HUB_HOSTS"
_CREDENTIALS = ("authorization", "cookie", "proxy-authorization")


@contextmanager
def only_known_hosts(endpoint: str | None = None) -> Iterator[None]:
    """Prevent requests of huggingface_hub to any other host.

    Args:
        endpoint: the hub; the environment's (HF_ENDPOINT) by default.

    Raises:
        ModelError: the hub, or a redirect, leads to an unknown host.
    """
    hub = urlsplit(endpoint or constants.ENDPOINT)

    def check(request: Any) -> None:
        url = urlsplit(str(request.url))
        if (url.scheme, url.netloc) == (hub.scheme, hub.netloc):
            return
        host = url.hostname or ""
        if url.scheme != "https" or not any(host == known or host.endswith(f".{known}") for known in _known_hosts()):
            raise ModelError(
                f"{hub.netloc} leads to {url.scheme}://{url.netloc}, which is not a host of the hub, so it is not "
                f"followed; if it is your mirror's, name it in the variable {_MORE_HOSTS}"
            )
        for header in _CREDENTIALS:
            request.headers.pop(header, None)

    client = get_session()
    before = client.event_hooks
    client.event_hooks = {**before, "request": [*before["request"], check]}
    xet = constants.HF_HUB_DISABLE_XET
    constants.HF_HUB_DISABLE_XET = True
    try:
        yield
    finally:
        client.event_hooks = before
        constants.HF_HUB_DISABLE_XET = xet


def _known_hosts() -> tuple[str, ...]:
    return (*_OWN_HOSTS, *os.environ.get(_MORE_HOSTS, "").replace(",", " ").split())
