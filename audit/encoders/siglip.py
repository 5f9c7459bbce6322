"""transformers' ``SiglipModel`` and ``Siglip2Model``: SigLIP, SigLIP 2 and MedSigLIP.

There is no CLS token: an attention head with a learned query pools all patches. The text tower was trained to read its
padding, so every phrase fills the whole context and its last token is pooled.

Source: Zhai et al. 2023, "Sigmoid loss for language image pre-training"; Tschannen et al. 2025, "SigLIP 2". The modules
are those of transformers, this module only defines the order in which they run.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import Siglip2Model, SiglipModel

from audit.encoders.clip import block_of
from audit.encoders.model_folder import features, load_pretrained, load_tokenizer, parameters_of, read_preprocessing
from audit.encoders.protocol import Encoder, EncoderInfo, Tokens
from audit.encoders.transformer import Pooling, Stack, TransformerImageTower, TransformerTextTower
from audit.encoders.words import tokeniser_of
from pipelines.errors import ModelError
from pipelines.geometry import Fit

__all__ = ["load", "load_naflex"]


def load(folder: Path, info: EncoderInfo, device: torch.device, fit: Fit | None) -> Encoder:
    """Load a ``SiglipModel`` folder: config.json, weights, tokeniser and preprocessor_config.json.

    Raises:
        ModelError: a file is missing or unreadable, or the weights do not fit the configuration.
    """
    model = load_pretrained(SiglipModel, folder, device)
    vision = model.config.vision_config
    side = vision.image_size // vision.patch_size
    return Encoder(
        info=info,
        preprocessing=read_preprocessing(folder, size=vision.image_size, channels=vision.num_channels, fit=fit),
        image=TransformerImageTower(
            _vision_stack(folder, model.vision_model),
            embed=model.vision_model.embeddings,
            forward=lambda pixels: features(model.get_image_features(pixels)),
            grid=(side, side),
            leading_tokens=0,
        ),
        text=_text_tower(model, folder, device),
    )


def load_naflex(folder: Path, info: EncoderInfo, device: torch.device, fit: Fit | None) -> Encoder:
    """Load a ``Siglip2Model`` folder (NaFlex) for the largest square that its patch budget allows.

    Raises:
        ModelError: a file is missing or unreadable, or the weights do not fit the configuration.
    """
    model = load_pretrained(Siglip2Model, folder, device)
    vision = model.config.vision_config
    side = math.isqrt(vision.num_patches)
    patches = _patches(vision.patch_size, side)

    def forward_image(pixels: Tensor) -> Tensor:
        flat, shapes = patches(pixels)
        seen = torch.ones(flat.shape[:2], dtype=torch.long, device=flat.device)
        return features(model.get_image_features(pixel_values=flat, pixel_attention_mask=seen, spatial_shapes=shapes))

    size = side * vision.patch_size
    return Encoder(
        info=info,
        preprocessing=read_preprocessing(folder, size=size, channels=vision.num_channels, fit=fit, sized=False),
        image=TransformerImageTower(
            _vision_stack(folder, model.vision_model),
            embed=lambda pixels: model.vision_model.embeddings(*patches(pixels)),
            forward=forward_image,
            grid=(side, side),
            leading_tokens=0,
        ),
        text=_text_tower(model, folder, device),
    )


def _patches(patch: int, side: int) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """Cut images into flat patches (row, column, channel), as this model reads them, with their numbers."""

    def cut(pixels: Tensor) -> tuple[Tensor, Tensor]:
        batch, channels = pixels.shape[:2]
        tiles = pixels.reshape(batch, channels, side, patch, side, patch).permute(0, 2, 4, 3, 5, 1)
        shapes = torch.full((batch, 2), side, dtype=torch.long, device=pixels.device)
        return tiles.reshape(batch, side * side, patch * patch * channels), shapes

    return cut


def _vision_stack(folder: Path, vision: Any) -> Stack:
    if getattr(vision, "head", None) is None:
        raise ModelError(f"{folder}: this SigLIP has no pooling head (vision_use_head false): it embeds no image")
    return Stack(
        blocks=tuple(block_of(layer) for layer in vision.encoder.layers),
        pool=Pooling.ALL,
        head=lambda hidden: vision.head(vision.post_layernorm(hidden)),
        parameters=parameters_of(vision),
    )


def _text_tower(model: Any, folder: Path, device: torch.device) -> TransformerTextTower:
    text = model.text_model
    context = model.config.text_config.max_position_embeddings

    def forward(tokens: Tokens) -> Tensor:
        return features(model.get_text_features(input_ids=tokens.ids))

    return TransformerTextTower(
        Stack(
            blocks=tuple(block_of(layer) for layer in text.encoder.layers),
            pool=Pooling.LAST,
            head=lambda pooled: text.head(text.final_layer_norm(pooled)),
            parameters=parameters_of(text),
        ),
        embed=lambda tokens: text.embeddings(input_ids=tokens.ids),
        forward=forward,
        tokenise=tokeniser_of(load_tokenizer(folder), context=context, device=device, padding_is_read=True),
        context=context,
    )
