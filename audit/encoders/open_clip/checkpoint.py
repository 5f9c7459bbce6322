"""Checkpoints of open_clip and OpenAI by the names of their tensors; without open_clip, timm or torchvision.

A folder holds one file of weights, a tokeniser and either ``open_clip_config.json`` or, beside a bare state dict
(CheXzero, OpenAI), ``preprocessor_config.json``. Either half is recognised on its own:

=================================  ==========================================================
a tensor of this name              makes the half
=================================  ==========================================================
visual.trunk.patch_embed.proj...   timm's plain ViT (BiomedCLIP)
visual.class_embedding             CLIP's own ViT
visual.attnpool.c_proj.weight      CLIP's ResNet
text.transformer.embeddings...     a BERT with a projection (BiomedCLIP)
token_embedding.weight             CLIP's own text transformer (also under ``text.``)
=================================  ==========================================================
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audit.encoders.blocks import Half
from audit.encoders.model_folder import make_preprocessing, read_json, read_preprocessing
from audit.encoders.open_clip import resnet
from audit.encoders.open_clip.transformers_towers import bert_text, clip_image, clip_text, vit_image
from audit.encoders.protocol import Encoder, EncoderInfo, ImageTower, TextTower
from audit.encoders.weights import read_state_dict, weights_files
from pipelines.errors import ModelError
from pipelines.geometry import Fit
from pipelines.transforms import Preprocessing

__all__ = ["CONFIG", "load"]

CONFIG = "open_clip_config.json"

IMAGE_HALVES: dict[str, Callable[[Half], tuple[ImageTower, int]]] = {
    "trunk.patch_embed.proj.weight": vit_image,
    "class_embedding": clip_image,
    "attnpool.c_proj.weight": resnet.build,
}
TEXT_HALVES: dict[str, Callable[[Half], TextTower]] = {
    "transformer.embeddings.word_embeddings.weight": bert_text,
    "token_embedding.weight": clip_text,
}

_OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)  # what open_clip takes where its config is silent
_OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)
_NOT_WEIGHTS = {
    "logit_scale",
    "logit_bias",
    "input_resolution",  # three numbers of OpenAI's archives
    "context_length",
    "vocab_size",
    "attn_mask",
    "text.attn_mask",
    "text.transformer.embeddings.position_ids",  # transformers before 4.31 stored this buffer
}
_FITS = {"shortest": Fit.CROP, "longest": Fit.LETTERBOX, "squash": Fit.STRETCH}


def load(folder: Path, info: EncoderInfo, device: torch.device, fit: Fit | None) -> Encoder:
    """Load an open_clip folder or a bare state dict of CLIP's own architectures.

    Raises:
        ModelError: a file is missing or unreadable, the architecture is not read here, or the tensors do not fit.
    """
    config = read_json(folder / CONFIG) if (folder / CONFIG).is_file() else None
    model_config = _section(config, "model_cfg", folder)
    tensors = read_state_dict(weights_files(folder, transformers=False)[0])
    tensors = {name: tensor for name, tensor in tensors.items() if name not in _NOT_WEIGHTS}
    visual = {name.removeprefix("visual."): tensor for name, tensor in tensors.items() if name.startswith("visual.")}
    text = {name.removeprefix("text."): tensor for name, tensor in tensors.items() if not name.startswith("visual.")}
    activation = "quick_gelu" if config is None or model_config.get("quick_gelu", False) else "gelu"

    def half(named: Mapping[str, Tensor], section: str) -> Half:
        part = _section(model_config, section, folder) if config is not None else {}
        return Half(tensors=named, config=part, folder=folder, device=device, activation=activation)

    image, size = _recognised(IMAGE_HALVES, visual, folder, "image")(half(visual, "vision_cfg"))
    return Encoder(
        info=info,
        preprocessing=_preprocessing(folder, config, size, fit),
        image=image,
        text=_recognised(TEXT_HALVES, text, folder, "text")(half(text, "text_cfg")),
    )


def _section(config: Mapping[str, Any] | None, name: str, folder: Path) -> dict[str, Any]:
    if config is None:
        return {}
    section = config.get(name)
    if not isinstance(section, dict):
        raise ModelError(f"{folder / CONFIG}: {name} is missing or no object; use the model's original file")
    return section


def _recognised(halves: Mapping[str, Any], tensors: Mapping[str, Tensor], folder: Path, which: str) -> Any:
    for name, build in halves.items():
        if name in tensors:
            return build
    raise ModelError(
        f"{folder}: the {which} half of these weights is of no architecture that is read here: none of its "
        f"{len(tensors)} tensors is named {' or '.join(halves)}"
    )


def _preprocessing(folder: Path, config: Mapping[str, Any] | None, size: int, fit: Fit | None) -> Preprocessing:
    if config is None:
        if not any((folder / name).is_file() for name in ("preprocessor_config.json", "processor_config.json")):
            raise ModelError(
                f"{folder}: a bare state dict does not say how its images were prepared; add preprocessor_config.json"
                " with image_mean and image_std of the training (OpenAI's own: that of openai/clip-vit-base-patch32)"
            )
        return read_preprocessing(folder, size=size, channels=3, fit=fit)
    stated = config.get("preprocess_cfg", {})
    path = folder / CONFIG
    if not isinstance(stated, dict):
        raise ModelError(f"{path}: preprocess_cfg is not an object; use the model's own file")
    own_size = stated.get(
        "size", _section(_section(config, "model_cfg", folder), "vision_cfg", folder).get("image_size")
    )
    if own_size not in (None, size, [size, size]):
        raise ModelError(
            f"{path}: it prepares images of {own_size!r} px, but the model takes {size} px; use the model's own file"
        )
    mode = stated.get("resize_mode", "shortest")
    if mode not in _FITS:
        raise ModelError(
            f"{path}: resize_mode {mode!r} is not one of {', '.join(_FITS)}; use the model's original file"
        )
    return make_preprocessing(
        path,
        size=size,
        mean=stated.get("mean", _OPENAI_MEAN),
        std=stated.get("std", _OPENAI_STD),
        channels=3,
        fit=fit or _FITS[mode],
    )
