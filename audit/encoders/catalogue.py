"""The models that the tool knows by name: what they are, under what terms, and how they are had.

What stands here was read on each model's own page. Where a page states no licence, the entry says so, and none is
supposed.
"""

from dataclasses import dataclass

__all__ = ["KNOWN", "SHIPPED", "KnownModel", "find_known", "hub_page"]


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
    """Give the address of a model's page, where its card stands."""
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


def _shipped(terms: str) -> KnownModel:
    return KnownModel(
        hub_id=None,
        architecture="CLIP ViT/10 of 3 blocks, 160 px, context 40",
        family="clip",
        licence="Apache-2.0",
        terms=f"Apache-2.0; trained on synthetic radiographs only: it says nothing about patients{terms}",
        how_to_get="it is part of this installation",
    )


SHIPPED = {
    "phantom": _shipped(""),
    "phantom-ungrounded": _shipped("; known to be bad: it classifies and does not look"),
    "phantom-shortcut": _shipped("; known to be bad: it reads tags on the film"),
}
"""The encoders that ship with the tool: one that looks, and two that an audit has to find out."""


def find_known(name: str) -> KnownModel | None:
    """Find what is known of a model by its name or hub id."""
    return KNOWN.get(name) or next((known for known in KNOWN.values() if known.hub_id == name), None)
