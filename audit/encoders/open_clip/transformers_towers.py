"""The transformers in open_clip's and OpenAI's checkpoints, loaded as the models that transformers has of them.

=====================================  =======================================================
half of the checkpoint                 model of transformers
=====================================  =======================================================
CLIP's own ViT (CheXzero, OpenAI)      ``CLIPVisionModelWithProjection``
CLIP's own text transformer            ``CLIPTextModelWithProjection``
timm's plain ViT (BiomedCLIP)          ``ViTModel`` and a projection of its CLS token
BERT read at CLS (BiomedCLIP)          ``BertModel`` and a projection of its CLS token
=====================================  =======================================================

The shapes are read from the tensors; heads are 64 wide where the config does not say otherwise (design, section 3).

Source: Radford et al. 2021, "Learning transferable visual models from natural language supervision", section 2.4;
Zhang et al. 2023, "BiomedCLIP", section 3.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    BertConfig,
    BertModel,
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    PreTrainedConfig,
    PreTrainedModel,
    ViTConfig,
    ViTModel,
)

from audit.encoders.blocks import Half, depth_of
from audit.encoders.clip import image_tower, text_tower
from audit.encoders.dual_encoder import bert_tower, vit_tower
from audit.encoders.model_folder import load_pretrained, load_tokenizer, parameters_of
from audit.encoders.protocol import Tokens
from audit.encoders.transformer import TransformerImageTower, TransformerTextTower
from audit.encoders.weights import check_fit, fill
from audit.encoders.words import tokeniser_of
from pipelines.errors import ModelError

__all__ = ["bert_text", "clip_image", "clip_text", "vit_image"]

_HEAD_WIDTH = 64  # of every size that OpenAI released, of timm's tiny to large, of BERT
_PLAIN_VIT = re.compile(r"vit_(tiny|small|base|large)_patch\d+_\d+(\.\w+)?")
_BERT_POOLER = "cls_last_hidden_state_pooler"
_BERT_CONTEXT = 77  # open_clip's, where the config is silent

# How a name of transformers is made into the checkpoint's: each pattern is replaced in turn.
_CLIP_NAMES = {
    r"^(vision|text)_model\.(embeddings\.)?": "",
    r"^encoder\.layers\.": "transformer.resblocks.",
    r"self_attn\.[qkv]_proj\.": "attn.in_proj_",
    r"self_attn\.": "attn.",
    r"\.layer_norm": ".ln_",
    r"mlp\.fc1": "mlp.c_fc",
    r"mlp\.fc2": "mlp.c_proj",
    r"^patch_embedding": "conv1",
    r"^position_embedding\.weight": "positional_embedding",
    r"^pre_layrnorm": "ln_pre",
    r"^post_layernorm": "ln_post",
    r"^final_layer_norm": "ln_final",
    r"^visual_projection\.weight": "proj",
    r"^text_projection\.weight": "text_projection",
}
_VIT_NAMES = {
    r"^layers\.": "blocks.",
    r"attention\.[qkv]_proj": "attn.qkv",
    r"attention\.o_proj": "attn.proj",
    r"layernorm_before": "norm1",
    r"layernorm_after": "norm2",
    r"^layernorm": "norm",
    r"^embeddings\.position_embeddings": "pos_embed",
    r"^embeddings\.patch_embeddings\.projection": "patch_embed.proj",
    r"^embeddings\.": "",
    r"^": "trunk.",
}
_BERT_NAMES = {r"^": "transformer."}
_FUSED = re.compile(r"\.([qkv])_proj\.")  # the checkpoint has query, key and value as the thirds of one tensor
_TRANSPOSED = {"proj", "text_projection"}  # [width, dim], where transformers has [dim, width]


def clip_image(half: Half) -> tuple[TransformerImageTower, int]:
    """Build CLIP's vision transformer from the tensors under ``visual.`` and give the side of its input, px.

    Raises:
        ModelError: tensors that do not fit.
    """
    _check(half, {"pool_type": "tok", "global_average_pool": False, "attentional_pool": False, "output_tokens": False})
    with _shape_of(half, "CLIP's ViT"):
        width, _, patch, _ = half.tensors["conv1.weight"].shape
        size = math.isqrt(half.tensors["positional_embedding"].shape[0] - 1) * patch
        config = CLIPVisionConfig(
            **_clip_shape(half, width, width // half.config.get("head_width", _HEAD_WIDTH)),
            image_size=size,
            patch_size=patch,
            projection_dim=half.tensors["proj"].shape[1],
        )
    model = _loaded(CLIPVisionModelWithProjection, config, half, _CLIP_NAMES)
    return image_tower(model.vision_model, model.visual_projection), size


def clip_text(half: Half) -> TransformerTextTower:
    """Build CLIP's text transformer; its tokeniser comes from the folder.

    Raises:
        ModelError: tensors that do not fit, or no tokeniser.
    """
    _check(half, {"pool_type": "argmax", "embed_cls": False, "no_causal_mask": False, "output_tokens": False})
    tokenizer = load_tokenizer(half.folder)
    with _shape_of(half, "CLIP's text transformer"):
        vocabulary, width = half.tensors["token_embedding.weight"].shape
        config = CLIPTextConfig(
            **_clip_shape(half, width, half.config.get("heads", width // _HEAD_WIDTH)),
            vocab_size=vocabulary,
            max_position_embeddings=half.tensors["positional_embedding"].shape[0],
            projection_dim=half.tensors["text_projection"].shape[1],
            bos_token_id=None,
            eos_token_id=vocabulary - 1 if tokenizer.eos_token_id is None else tokenizer.eos_token_id,
            pad_token_id=None,
        )
        stated = int(half.config.get("context_length", config.max_position_embeddings))
    model = _loaded(CLIPTextModelWithProjection, config, half, _CLIP_NAMES)
    context = min(config.max_position_embeddings, stated, tokenizer.model_max_length)
    tokenise = partial(
        _tokenise_checked, tokeniser_of(tokenizer, context=context, device=half.device), config, half.folder
    )
    tokenise = partial(_tokenise_checked, tokenise, config, half.folder)
    return text_tower(model.text_model, model.text_projection, tokenise, context)


def vit_image(half: Half) -> tuple[TransformerImageTower, int]:
    """Build timm's plain ViT from the tensors under ``visual.`` and give the side of its input, px.

    Raises:
        ModelError: another vision transformer than the plain one, or tensors that do not fit.
    """
    name, pool, projection = (str(half.config.get(key) or "") for key in ("timm_model_name", "timm_pool", "timm_proj"))
    if not _PLAIN_VIT.fullmatch(name) or pool not in {"", "token"} or projection != "linear":
        raise ModelError(
            f"{half.folder}: open_clip_config.json names the timm model {name!r} with pool {pool!r} and projection "
            f"{projection!r}; plain ones (vit_base_patch16_224) with their CLS token and a linear projection are read"
        )
    with _shape_of(half, "a ViT"):
        width, _, patch, _ = half.tensors["trunk.patch_embed.proj.weight"].shape
        size = math.isqrt(half.tensors["trunk.pos_embed"].shape[1] - 1) * patch
        config = ViTConfig(
            hidden_size=width,
            num_hidden_layers=depth_of(half.tensors, "trunk.blocks."),
            num_attention_heads=width // _HEAD_WIDTH,
            intermediate_size=half.tensors["trunk.blocks.0.mlp.fc1.weight"].shape[0],
            image_size=size,
            patch_size=patch,
            layer_norm_eps=1e-6,
        )
        head = nn.Sequential()
        head.add_module("proj", nn.Linear(width, half.tensors["head.proj.weight"].shape[0], bias=False))
    vit = _loaded(ViTModel, config, half, _VIT_NAMES, head, "head.", add_pooling_layer=False)
    return vit_tower(vit, head, parameters=parameters_of(vit, head)), size


def bert_text(half: Half) -> TransformerTextTower:
    """Build a BERT from the tensors under ``text.``; its tokeniser comes from the folder.

    Raises:
        ModelError: another text model than a BERT read at CLS, or tensors that do not fit.
    """
    name, pooler, projection = (
        str(half.config.get(key) or "") for key in ("hf_model_name", "hf_pooler_type", "hf_proj_type")
    )
    if "roberta" in name.lower() or pooler != _BERT_POOLER or projection not in {"mlp", "linear"}:
        raise ModelError(
            f"{half.folder}: open_clip_config.json names the text model {name!r} with pooler {pooler!r} and projection "
            f"{projection!r}; a BERT with {_BERT_POOLER} and the projection mlp or linear is read"
        )
    with _shape_of(half, "a BERT"):
        vocabulary, width = half.tensors["transformer.embeddings.word_embeddings.weight"].shape
        config = BertConfig(
            vocab_size=vocabulary,
            hidden_size=width,
            num_hidden_layers=depth_of(half.tensors, "transformer.encoder.layer."),
            num_attention_heads=width // _HEAD_WIDTH,
            intermediate_size=half.tensors["transformer.encoder.layer.0.intermediate.dense.weight"].shape[0],
            max_position_embeddings=half.tensors["transformer.embeddings.position_embeddings.weight"].shape[0],
            type_vocab_size=half.tensors["transformer.embeddings.token_type_embeddings.weight"].shape[0],
        )
        head = _bert_projection(half, projection)
        stated = int(half.config.get("context_length", _BERT_CONTEXT))
    bert = _loaded(BertModel, config, half, _BERT_NAMES, head, "proj.", add_pooling_layer=False)
    tokenizer = load_tokenizer(half.folder)
    context = min(stated, config.max_position_embeddings, tokenizer.model_max_length)
    return bert_tower(
        bert,
        head,
        parameters=parameters_of(bert, head),
        tokenise=tokeniser_of(tokenizer, context=context, device=half.device),
        context=context,
    )


def _bert_projection(half: Half, kind: str) -> nn.Module:
    if kind == "linear":
        dim, width = half.tensors["proj.weight"].shape
        return nn.Linear(width, dim, bias=False)
    inner, width = half.tensors["proj.0.weight"].shape
    return nn.Sequential(
        nn.Linear(width, inner, bias=False),
        nn.GELU(),
        nn.Linear(inner, half.tensors["proj.2.weight"].shape[0], bias=False),
    )


def _clip_shape(half: Half, width: int, heads: int) -> dict[str, Any]:
    return {
        "hidden_size": width,
        "num_hidden_layers": depth_of(half.tensors, "transformer.resblocks."),
        "num_attention_heads": heads,
        "intermediate_size": half.tensors["transformer.resblocks.0.mlp.c_fc.weight"].shape[0],
        "hidden_act": half.activation,
    }


def _check(half: Half, plain: Mapping[str, object]) -> None:
    """Refuse the variants that no tensor gives away."""
    for name, value in plain.items():
        if half.config.get(name, value) != value:
            raise ModelError(
                f"{half.folder}: {name} is {half.config[name]!r} in open_clip_config.json; {value!r} is read here"
            )


@contextmanager
def _shape_of(half: Half, architecture: str) -> Iterator[None]:
    try:
        yield
    except (KeyError, ValueError, IndexError, TypeError, ArithmeticError) as error:
        raise ModelError(f"{half.folder}: the weights have not the shape of {architecture} ({error})") from error


def _loaded(
    kind: type[PreTrainedModel],
    config: PreTrainedConfig,
    half: Half,
    names: Mapping[str, str],
    head: nn.Module | None = None,
    prefix: str = "",
    **options: Any,
) -> Any:
    """Load a half as a model of transformers, and what is under ``prefix`` into ``head``.

    Raises:
        ModelError: tensors that are missing, unexpected or of another shape; they have the checkpoint's names.
    """
    with torch.device("meta"):
        wanted = {_Name(name, names): tensor for name, tensor in kind(config, **options).state_dict().items()}
    shapes = {name.in_checkpoint: name.shape_in_checkpoint(tensor) for name, tensor in wanted.items()}
    if head is not None:
        shapes |= {prefix + name: tuple(tensor.shape) for name, tensor in head.state_dict().items()}
    check_fit(shapes, half.tensors, folder=half.folder)
    if head is not None:
        own = {name.removeprefix(prefix): half.tensors[name] for name in half.tensors if name.startswith(prefix)}
        fill(head, own, folder=half.folder)
        head.to(half.device)
    tensors = {name.own: name.taken_from(half.tensors[name.in_checkpoint]) for name in wanted}
    return load_pretrained(kind, half.folder, half.device, config=config, tensors=tensors, **options)


class _Name:
    """A tensor in transformers' model, and where it is in the checkpoint: as it is, transposed, or a third of one."""

    def __init__(self, own: str, names: Mapping[str, str]) -> None:
        self.own = self.in_checkpoint = own
        for pattern, replacement in names.items():
            self.in_checkpoint = re.sub(pattern, replacement, self.in_checkpoint)
        fused = _FUSED.search(own)
        self._third = "qkv".index(fused[1]) if fused else None
        self._transposed = self.in_checkpoint in _TRANSPOSED

    def shape_in_checkpoint(self, tensor: Tensor) -> tuple[int, ...]:
        shape = tuple(tensor.T.shape) if self._transposed else tuple(tensor.shape)
        return shape if self._third is None else (3 * shape[0], *shape[1:])

    def taken_from(self, tensor: Tensor) -> Tensor:
        taken = tensor.T if self._transposed else tensor
        return taken if self._third is None else taken.chunk(3)[self._third]


def _tokenise_checked(
    tokenise: Callable[[Sequence[str]], Tokens], config: CLIPTextConfig, folder: Path, phrases: Sequence[str]
) -> Tokens:
    """Tokenise, and check that the tokeniser is this model's: its end of text is the highest number.

    Raises:
        ModelError: it is another model's tokeniser.
    """
    tokens = tokenise(phrases)
    ends, highest = tokens.ids.gather(1, tokens.mask.sum(1, keepdim=True) - 1), int(tokens.ids.max())
    if highest >= config.vocab_size or bool((ends != highest).any()) or highest != config.eos_token_id:
        raise ModelError(
            f"{folder}: the tokeniser in this folder is not that of these weights ({config.vocab_size} tokens, the "
            "last of them the end of text); add tokenizer.json of openai/clip-vit-base-patch32"
        )
    return tokens
