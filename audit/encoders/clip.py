"""transformers' ``CLIPModel``: PubMedCLIP, OpenAI's models and two of the known-bad phantom encoders.

Source: Radford et al. 2021, "Learning transferable visual models from natural language supervision"; the modules are
those of transformers, this module only defines the order in which they run.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import CLIPModel

from audit.encoders.blocks import Affine, Block
from audit.encoders.model_folder import load_pretrained, load_tokenizer, parameters_of, read_preprocessing
from audit.encoders.protocol import Encoder, EncoderInfo, Tokens
from audit.encoders.transformer import Pooling, Stack, TransformerImageTower, TransformerTextTower
from audit.encoders.words import tokeniser_of
from pipelines.geometry import Fit

__all__ = ["block_of", "image_tower", "load", "text_tower"]


def load(folder: Path, info: EncoderInfo, device: torch.device, fit: Fit | None) -> Encoder:
    """Load a ``CLIPModel`` folder: config.json, weights, tokeniser and preprocessor_config.json.

    Raises:
        ModelError: a file is missing or unreadable, or the weights do not fit the configuration.
    """
    model = load_pretrained(CLIPModel, folder, device)
    tokenizer = load_tokenizer(folder)
    vision = model.config.vision_config
    context = min(model.config.text_config.max_position_embeddings, tokenizer.model_max_length)
    tokenise = tokeniser_of(tokenizer, context=context, device=device)
    return Encoder(
        info=info,
        preprocessing=read_preprocessing(folder, size=vision.image_size, channels=vision.num_channels, fit=fit),
        image=image_tower(model.vision_model, model.visual_projection),
        text=text_tower(model.text_model, model.text_projection, tokenise, context),
    )


def image_tower(vision: Any, projection: Any) -> TransformerImageTower:
    """Return the tower of a ``CLIPVisionModel``; the embedding is read from its CLS token."""
    return TransformerImageTower(
        Stack(
            blocks=tuple(block_of(layer) for layer in vision.encoder.layers),
            pool=Pooling.FIRST,
            head=lambda pooled: projection(vision.post_layernorm(pooled)),
            parameters=parameters_of(vision, projection),
        ),
        embed=lambda pixels: vision.pre_layrnorm(vision.embeddings(pixels)),
        forward=lambda pixels: projection(vision(pixel_values=pixels).pooler_output),
        grid=(vision.config.image_size // vision.config.patch_size,) * 2,
        leading_tokens=1,
    )


def text_tower(
    text: Any, projection: Any, tokenise: Callable[[Sequence[str]], Tokens], context: int
) -> TransformerTextTower:
    """Return the tower of a ``CLIPTextModel``; the embedding is read from the end of text."""

    def forward(tokens: Tokens) -> Tensor:
        embedded: Tensor = projection(text(input_ids=tokens.ids, attention_mask=tokens.mask.long()).pooler_output)
        return embedded

    return TransformerTextTower(
        Stack(
            blocks=tuple(block_of(layer) for layer in text.encoder.layers),
            pool=Pooling.LAST,
            head=lambda pooled: projection(text.final_layer_norm(pooled)),
            parameters=parameters_of(text, projection),
            causal=True,
        ),
        embed=lambda tokens: text.embeddings(input_ids=tokens.ids),
        forward=forward,
        tokenise=tokenise,
        context=context,
    )


def block_of(layer: Any) -> Block:
    """Convert an encoder layer of CLIP or SigLIP to a block."""
    attention = layer.self_attn
    return Block(
        query=Affine.of(attention.q_proj),
        key=Affine.of(attention.k_proj),
        value=Affine.of(attention.v_proj),
        out=attention.out_proj,
        mlp=layer.mlp,
        norm1=layer.layer_norm1,
        norm2=layer.layer_norm2,
        heads=attention.num_heads,
    )
