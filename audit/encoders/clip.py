"""transformers' ``CLIPModel``: PubMedCLIP, OpenAI's models and the phantom encoder.

Source: Radford et al. 2021, "Learning transferable visual models from natural language supervision"; the modules are
transformers' own, only the order in which they run stands here.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import CLIPModel

from audit.encoders.blocks import Affine, Block
from audit.encoders.model_folder import features, load_pretrained, load_tokenizer, parameters_of, read_preprocessing
from audit.encoders.protocol import Encoder, EncoderInfo, Tokens
from audit.encoders.transformer import Pooling, Stack, TransformerImageTower, TransformerTextTower
from audit.encoders.words import tokeniser_of
from pipelines.geometry import Fit

__all__ = ["block_of", "load", "vision_stack"]


def load(folder: Path, info: EncoderInfo, device: torch.device, fit: Fit | None) -> Encoder:
    """Load a ``CLIPModel`` folder: config.json, weights, tokeniser and preprocessor_config.json.

    Raises:
        ModelError: a file is missing or unreadable, or the weights do not fit the configuration.
    """
    model = load_pretrained(CLIPModel, folder, device)
    tokenizer = load_tokenizer(folder)
    vision, text = model.config.vision_config, model.config.text_config
    context = min(text.max_position_embeddings, tokenizer.model_max_length)

    def forward_text(tokens: Tokens) -> Tensor:
        return features(model.get_text_features(input_ids=tokens.ids, attention_mask=tokens.mask.long()))

    return Encoder(
        info=info,
        preprocessing=read_preprocessing(folder, size=vision.image_size, channels=vision.num_channels, fit=fit),
        image=TransformerImageTower(
            vision_stack(model.vision_model, model.visual_projection),
            embed=lambda pixels: model.vision_model.pre_layrnorm(model.vision_model.embeddings(pixels)),
            forward=lambda pixels: features(model.get_image_features(pixels)),
            grid=(vision.image_size // vision.patch_size,) * 2,
            leading_tokens=1,
        ),
        text=TransformerTextTower(
            _text_stack(model.text_model, model.text_projection),
            embed=lambda tokens: model.text_model.embeddings(input_ids=tokens.ids),
            forward=forward_text,
            tokenise=tokeniser_of(tokenizer, context=context, device=device),
            context=context,
        ),
    )


def vision_stack(vision: Any, projection: Any) -> Stack:
    """Take a ``CLIPVisionModel`` apart; the embedding is read from its CLS token."""
    return Stack(
        blocks=tuple(block_of(layer) for layer in vision.encoder.layers),
        pool=Pooling.FIRST,
        head=lambda pooled: projection(vision.post_layernorm(pooled)),
        parameters=parameters_of(vision, projection),
    )


def _text_stack(text: Any, projection: Any) -> Stack:
    return Stack(
        blocks=tuple(block_of(layer) for layer in text.encoder.layers),
        pool=Pooling.LAST,
        head=lambda pooled: projection(text.final_layer_norm(pooled)),
        parameters=parameters_of(text, projection),
        causal=True,
    )


def block_of(layer: Any) -> Block:
    """Take an encoder layer of CLIP or SigLIP apart."""
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
