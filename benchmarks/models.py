"""A BiomedCLIP of random weights: as a checkpoint in its own format, and as transformers' plain modules."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor, nn
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, ViTConfig, ViTModel

__all__ = ["FULL", "LAYERS", "PHRASES", "SMALL", "PlainTowers", "Shape", "plain_towers", "write_checkpoint"]

PHRASES = (
    "There is a focal consolidation in the right lower lobe.",
    "Small left pleural effusion with adjacent atelectasis.",
    "The heart is enlarged.",
    "A nodule is seen in the left upper zone.",
)
LAYERS = (9, 7)  # of the image and the text tower: the paper's for chest X-rays
_MEAN, _STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]


@dataclass(frozen=True)
class Shape:
    """Sizes of both towers."""

    width: int = 768
    inner: int = 3072
    depth: int = 12
    size: int = 224
    patch: int = 16
    vocabulary: int = 30522
    context: int = 256
    hidden_projection: int = 640
    dim: int = 512


FULL = Shape()
"""BiomedCLIP's own (196 million weights)."""
SMALL = Shape(width=128, inner=256, depth=12, size=64, vocabulary=200, context=64, hidden_projection=48, dim=32)
"""As deep, and small enough for a test."""


def _tensors(shape: Shape, seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    tensors: dict[str, Tensor] = {}

    def add(name: str, *sizes: int, scale: float) -> None:
        tensors[name] = torch.randn(*sizes, generator=generator) * scale

    def linear(name: str, out: int, into: int) -> None:
        add(f"{name}.weight", out, into, scale=0.7 * into**-0.5)
        add(f"{name}.bias", out, scale=0.02)

    def norm(name: str) -> None:
        tensors[f"{name}.weight"] = 1 + 0.1 * torch.randn(shape.width, generator=generator)
        add(f"{name}.bias", shape.width, scale=0.02)

    width, inner = shape.width, shape.inner
    add("visual.trunk.cls_token", 1, 1, width, scale=0.02)
    add("visual.trunk.pos_embed", 1, 1 + (shape.size // shape.patch) ** 2, width, scale=0.3)
    add("visual.trunk.patch_embed.proj.weight", width, 3, shape.patch, shape.patch, scale=0.03)
    add("visual.trunk.patch_embed.proj.bias", width, scale=0.02)
    for index in range(shape.depth):
        at = f"visual.trunk.blocks.{index}."
        norm(at + "norm1")
        norm(at + "norm2")
        linear(at + "attn.qkv", 3 * width, width)
        linear(at + "attn.proj", width, width)
        linear(at + "mlp.fc1", inner, width)
        linear(at + "mlp.fc2", width, inner)
    norm("visual.trunk.norm")
    add("visual.head.proj.weight", shape.dim, width, scale=0.03)
    bert = "text.transformer."
    add(bert + "embeddings.word_embeddings.weight", shape.vocabulary, width, scale=0.3)
    add(bert + "embeddings.position_embeddings.weight", 512, width, scale=0.1)
    add(bert + "embeddings.token_type_embeddings.weight", 2, width, scale=0.02)
    norm(bert + "embeddings.LayerNorm")
    for index in range(shape.depth):
        at = f"{bert}encoder.layer.{index}."
        for part in ("query", "key", "value"):
            linear(f"{at}attention.self.{part}", width, width)
        linear(at + "attention.output.dense", width, width)
        norm(at + "attention.output.LayerNorm")
        linear(at + "intermediate.dense", inner, width)
        linear(at + "output.dense", width, inner)
        norm(at + "output.LayerNorm")
    add("text.proj.0.weight", shape.hidden_projection, width, scale=0.03)
    add("text.proj.2.weight", shape.dim, shape.hidden_projection, scale=0.03)
    return tensors


def _tokenizer(shape: Shape) -> PreTrainedTokenizerFast:
    words = sorted({word for phrase in PHRASES for word in phrase.lower().replace(".", " .").split()})
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words]
    vocabulary += [f"[unused{number}]" for number in range(shape.vocabulary - len(vocabulary))]
    unknown = "[UNK]"
    tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(vocabulary)}, unk_token=unknown))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"pad_token": "[PAD]", "unk_token": unknown, "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)  # type: ignore[no-untyped-call]


def write_checkpoint(folder: Path, shape: Shape, *, seed: int = 0) -> None:
    """Write a folder as BiomedCLIP's, with random weights as safetensors."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(_tensors(shape, seed), folder / "open_clip_model.safetensors")
    _tokenizer(shape).save_pretrained(folder)
    vision = {"timm_model_name": f"vit_base_patch{shape.patch}_224", "timm_pool": "", "timm_proj": "linear"}
    text = {"hf_model_name": "random-bert", "hf_proj_type": "mlp", "hf_pooler_type": "cls_last_hidden_state_pooler"}
    config = {
        "model_cfg": {
            "embed_dim": shape.dim,
            "vision_cfg": {**vision, "image_size": shape.size},
            "text_cfg": {**text, "context_length": shape.context},
        },
        "preprocess_cfg": {"mean": _MEAN, "std": _STD},
    }
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=1))
    (folder / "shape.json").write_text(json.dumps(asdict(shape)))


@dataclass(frozen=True)
class PlainTowers:
    """Both towers as transformers' modules, every weight asking for a gradient, as published code has them."""

    vision: Any
    vision_projection: nn.Module
    text: Any
    text_projection: nn.Module

    def embed_images(self, pixels: Tensor) -> Tensor:
        """[batch, 3, size, size] to [batch, dim]."""
        pooled: Tensor = self.vision_projection(self.vision(pixels).last_hidden_state[:, 0])
        return pooled

    def embed_texts(self, ids: Tensor) -> Tensor:
        """[batch, tokens] to [batch, dim]."""
        pooled: Tensor = self.text_projection(self.text(ids).last_hidden_state[:, 0])
        return pooled


def plain_towers(folder: Path) -> PlainTowers:
    """Put the weights of a folder that :func:`write_checkpoint` wrote into transformers' ViT and BERT."""
    shape = Shape(**json.loads((folder / "shape.json").read_text()))
    tensors = load_file(folder / "open_clip_model.safetensors")
    sizes: dict[str, Any] = {"hidden_size": shape.width, "intermediate_size": shape.inner}
    sizes |= {"num_hidden_layers": shape.depth, "num_attention_heads": shape.width // 64}
    vision: Any = ViTModel(
        ViTConfig(**sizes, image_size=shape.size, patch_size=shape.patch, layer_norm_eps=1e-6), add_pooling_layer=False
    )
    text: Any = BertModel(BertConfig(**sizes, vocab_size=shape.vocabulary), add_pooling_layer=False)
    text.load_state_dict(_below(tensors, "text.transformer."))
    vision.load_state_dict(_as_vit(_below(tensors, "visual.trunk."), shape))
    projection = nn.Linear(shape.width, shape.dim, bias=False)
    projection.load_state_dict(_below(tensors, "visual.head.proj."))
    words = nn.Sequential(
        nn.Linear(shape.width, shape.hidden_projection, bias=False),
        nn.GELU(),
        nn.Linear(shape.hidden_projection, shape.dim, bias=False),
    )
    words.load_state_dict(_below(tensors, "text.proj."))
    return PlainTowers(vision.eval(), projection, text.eval(), words)


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _as_vit(trunk: dict[str, Tensor], shape: Shape) -> dict[str, Tensor]:
    """Give timm's tensors the names of transformers' ViT."""
    named = {
        "embeddings.cls_token": trunk["cls_token"],
        "embeddings.position_embeddings": trunk["pos_embed"],
        "embeddings.patch_embeddings.projection.weight": trunk["patch_embed.proj.weight"],
        "embeddings.patch_embeddings.projection.bias": trunk["patch_embed.proj.bias"],
        "layernorm.weight": trunk["norm.weight"],
        "layernorm.bias": trunk["norm.bias"],
    }
    parts = {"attn.proj": "attention.o_proj", "norm1": "layernorm_before", "norm2": "layernorm_after"}
    parts |= {"mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2"}
    for index in range(shape.depth):
        for kind in ("weight", "bias"):
            for theirs, ours in parts.items():
                named[f"layers.{index}.{ours}.{kind}"] = trunk[f"blocks.{index}.{theirs}.{kind}"]
            fused = trunk[f"blocks.{index}.attn.qkv.{kind}"].chunk(3)
            for part, tensor in zip(("q_proj", "k_proj", "v_proj"), fused, strict=True):
                named[f"layers.{index}.attention.{part}.{kind}"] = tensor
    return named
