"""transformers' ``VisionTextDualEncoderModel``: a ViT or CLIP image tower and a BERT or RoBERTa text tower.

Source: Zhai et al. 2022, "LiT: Zero-shot transfer with locked-image text tuning"; the modules are those of
transformers, this module only defines the order in which they run.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import VisionTextDualEncoderModel

from audit.encoders.blocks import Affine, Block, bert_blocks
from audit.encoders.clip import image_tower
from audit.encoders.model_folder import load_pretrained, load_tokenizer, parameters_of, read_json, read_preprocessing
from audit.encoders.protocol import Encoder, EncoderInfo, Tokens
from audit.encoders.transformer import Pooling, Stack, TransformerImageTower, TransformerTextTower
from audit.encoders.words import tokeniser_of
from pipelines.errors import ModelError
from pipelines.geometry import Fit

__all__ = ["bert_tower", "load", "vit_tower"]

_IMAGE_TYPES = ("vit", "clip_vision_model")
_TEXT_TYPES = ("bert", "roberta", "xlm-roberta")


def load(folder: Path, info: EncoderInfo, device: torch.device, fit: Fit | None) -> Encoder:
    """Load a ``VisionTextDualEncoderModel`` folder.

    Raises:
        ModelError: a file is missing or unreadable, a half is of a kind that is not read here, or the weights do not
            fit the configuration.
    """
    _check_halves(folder)
    model = load_pretrained(VisionTextDualEncoderModel, folder, device)
    vision = model.config.vision_config
    return Encoder(
        info=info,
        preprocessing=read_preprocessing(folder, size=vision.image_size, channels=vision.num_channels, fit=fit),
        image=_image_tower(model),
        text=_text_tower(model, folder, device),
    )


def _check_halves(folder: Path) -> None:
    config = read_json(folder / "config.json")
    for half, known in (("vision_config", _IMAGE_TYPES), ("text_config", _TEXT_TYPES)):
        part = config.get(half)
        kind = part.get("model_type") if isinstance(part, dict) else None
        if kind not in known:
            raise ModelError(
                f"{folder}: the {half} of this vision-text dual encoder is of type {kind!r}; "
                f"one of {', '.join(known)} is read"
            )


def _image_tower(model: Any) -> TransformerImageTower:
    vision, projection = model.vision_model, model.visual_projection
    if model.config.vision_config.model_type == "clip_vision_model":
        return image_tower(vision, projection)
    return vit_tower(
        vision,
        lambda pooled: projection(vision.pooler(pooled[:, None])),  # it takes the first token of several
        parameters=parameters_of(vision, projection),
    )


def vit_tower(vit: Any, head: Callable[[Tensor], Tensor], *, parameters: int) -> TransformerImageTower:
    """Return the tower of a ``ViTModel``; ``head`` computes the embedding of its CLS token after the last norm."""
    return TransformerImageTower(
        Stack(
            blocks=tuple(_vit_block(layer) for layer in vit.layers),
            pool=Pooling.FIRST,
            head=lambda pooled: head(vit.layernorm(pooled)),
            parameters=parameters,
        ),
        embed=vit.embeddings,
        forward=lambda pixels: head(vit(pixel_values=pixels).last_hidden_state[:, 0]),
        grid=(vit.config.image_size // vit.config.patch_size,) * 2,
        leading_tokens=1,
    )


def _vit_block(layer: Any) -> Block:
    attention = layer.attention
    return Block(
        query=Affine.of(attention.q_proj),
        key=Affine.of(attention.k_proj),
        value=Affine.of(attention.v_proj),
        out=attention.o_proj,
        mlp=layer.mlp,
        norm1=layer.layernorm_before,
        norm2=layer.layernorm_after,
        heads=attention.num_attention_heads,
    )


def _text_tower(model: Any, folder: Path, device: torch.device) -> TransformerTextTower:
    text, projection, tokenizer = model.text_model, model.text_projection, load_tokenizer(folder)
    config = model.config.text_config
    taken = config.pad_token_id + 1 if "roberta" in config.model_type else 0  # RoBERTa's positions begin after padding
    context = min(config.max_position_embeddings - taken, tokenizer.model_max_length)
    return bert_tower(
        text,
        lambda pooled: projection(text.pooler(pooled[:, None])),  # it takes the first token of several
        parameters=parameters_of(text, projection),
        tokenise=tokeniser_of(tokenizer, context=context, device=device),
        context=context,
    )


def bert_tower(
    bert: Any,
    head: Callable[[Tensor], Tensor],
    *,
    parameters: int,
    tokenise: Callable[[Sequence[str]], Tokens],
    context: int,
) -> TransformerTextTower:
    """Return the tower of a ``BertModel`` or ``RobertaModel``; ``head`` computes the embedding of its CLS token."""
    return TransformerTextTower(
        Stack(blocks=bert_blocks(bert), pool=Pooling.FIRST, head=head, parameters=parameters),
        embed=lambda tokens: bert.embeddings(input_ids=tokens.ids),
        forward=lambda tokens: head(
            bert(input_ids=tokens.ids, attention_mask=tokens.mask.long()).last_hidden_state[:, 0]
        ),
        tokenise=tokenise,
        context=context,
    )
