"""Small random models of every family, written as folders the way their makers write them."""

import json
from dataclasses import dataclass
from pathlib import Path

import sentencepiece
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor
from transformers import (
    BertConfig,
    BertModel,
    CLIPConfig,
    CLIPModel,
    CLIPVisionConfig,
    CLIPVisionModel,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
    Siglip2Config,
    Siglip2Model,
    SiglipConfig,
    SiglipModel,
    SiglipTokenizer,
    VisionTextDualEncoderModel,
    ViTConfig,
    ViTModel,
)

PHRASES = [
    "There is a focal consolidation in the right lower lobe.",
    "Left pleural effusion, no pneumothorax.",
    "Cardiomegaly.",
]
SIZE, PATCH, WIDTH, DEPTH = 64, 16, 128, 3
MEAN, STD = [0.5, 0.4, 0.3], [0.3, 0.2, 0.25]
_SHAPE = {"hidden_size": WIDTH, "intermediate_size": 160, "num_hidden_layers": DEPTH, "num_attention_heads": 2}
_VISION = {**_SHAPE, "image_size": SIZE, "patch_size": PATCH}


@dataclass(frozen=True)
class Made:
    """A model folder, and the library's own model with the same weights."""

    folder: Path
    reference: PreTrainedModel | None


def seeded(kind: type[PreTrainedModel], config: object) -> PreTrainedModel:
    with torch.random.fork_rng():
        torch.manual_seed(17)
        model = kind(config).eval()
        for name, parameter in model.named_parameters():
            if name.endswith("bias") or "norm" in name.lower():  # new ones are all 0 or 1 and would hide mistakes
                parameter.data.add_(torch.randn_like(parameter) * 0.1)
    return model


def write_processor(folder: Path, **changes: object) -> None:
    content = {"size": {"shortest_edge": SIZE}, "crop_size": {"height": SIZE, "width": SIZE}, "do_center_crop": True}
    content |= {"image_mean": MEAN, "image_std": STD} | changes
    (folder / "preprocessor_config.json").write_text(json.dumps(content))


def word_piece(*, context: int) -> PreTrainedTokenizerFast:
    """A BERT tokeniser trained on the phrases."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))  # noqa: S106 - a token, no password
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer.train_from_iterator(PHRASES, trainers.WordPieceTrainer(vocab_size=90, special_tokens=special))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=context, **names)


def byte_pairs(*, context: int) -> PreTrainedTokenizerFast:
    """A tokeniser as OpenAI's: end of text has the highest number and is the padding too."""
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator(PHRASES, trainers.BpeTrainer(vocab_size=98, end_of_word_suffix="</w>"))
    first = tokenizer.get_vocab_size()
    tokenizer.add_special_tokens(["<|startoftext|>", "<|endoftext|>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|startoftext|> $A <|endoftext|>",
        special_tokens=[("<|startoftext|>", first), ("<|endoftext|>", first + 1)],
    )
    names = {"pad_token": "<|endoftext|>", "bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=context, **names)


def clip(folder: Path) -> Made:
    """PubMedCLIP's format."""
    tokenizer = byte_pairs(context=20)
    text = {
        **_SHAPE,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 20,
        "eos_token_id": tokenizer.eos_token_id,
    }
    config = CLIPConfig(text_config=text, vision_config=_VISION, projection_dim=24)
    model = seeded(CLIPModel, config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_processor(folder)
    return Made(folder, model)


def siglip(folder: Path) -> Made:
    """MedSigLIP's format, with a SentencePiece tokeniser."""
    folder.mkdir(exist_ok=True, parents=True)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([phrase.lower().replace(".", "").replace(",", "") for phrase in PHRASES] * 5),
        model_prefix=str(folder / "spiece"),
        vocab_size=60,
        hard_vocab_limit=False,
        pad_id=-1,
        bos_id=-1,
        minloglevel=2,
    )
    (folder / "spiece.vocab").unlink()
    tokenizer = SiglipTokenizer(str(folder / "spiece.model"), model_max_length=64)
    text = {**_SHAPE, "vocab_size": len(tokenizer), "max_position_embeddings": 64, "projection_size": WIDTH}
    model = seeded(SiglipModel, SiglipConfig(text_config=text, vision_config=_VISION))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_processor(folder, size={"height": SIZE, "width": SIZE}, crop_size=None, do_center_crop=None)
    content = json.loads((folder / "preprocessor_config.json").read_text())
    kept = {name: value for name, value in content.items() if value is not None}
    (folder / "preprocessor_config.json").write_text(json.dumps(kept))
    return Made(folder, model)


def siglip2(folder: Path) -> Made:
    """SigLIP 2 NaFlex: flat patches, positions resized to the grid."""
    tokenizer = word_piece(context=64)
    text = {**_SHAPE, "vocab_size": len(tokenizer), "max_position_embeddings": 64, "projection_size": WIDTH}
    vision = {**_SHAPE, "patch_size": PATCH, "num_patches": (SIZE // PATCH) ** 2}
    model = seeded(Siglip2Model, Siglip2Config(text_config=text, vision_config=vision))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"patch_size": PATCH, "max_num_patches": 16, "image_mean": MEAN, "image_std": STD})
    )
    return Made(folder, model)


def dual_encoder(folder: Path, *, image: str = "vit", text: str = "bert") -> Made:
    """``VisionTextDualEncoderModel``."""
    tokenizer = word_piece(context=30)
    vision = (
        seeded(ViTModel, ViTConfig(**_VISION, pooler_output_size=WIDTH))
        if image == "vit"
        else seeded(CLIPVisionModel, CLIPVisionConfig(**_VISION))
    )
    shape = {**_SHAPE, "vocab_size": len(tokenizer), "max_position_embeddings": 32}
    words = (
        seeded(BertModel, BertConfig(**shape, pad_token_id=0))
        if text == "bert"
        else seeded(RobertaModel, RobertaConfig(**shape, pad_token_id=0))
    )
    with torch.random.fork_rng():
        torch.manual_seed(18)
        model = VisionTextDualEncoderModel(vision_model=vision, text_model=words).eval()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_processor(folder)
    return Made(folder, model)


def openai_names(model: CLIPModel) -> dict[str, Tensor]:
    """Give the weights of transformers' CLIP the names that OpenAI's state dicts have."""
    tensors = {"logit_scale": model.logit_scale.data}
    for half, prefix in ((model.vision_model, "visual."), (model.text_model, "")):
        for index, layer in enumerate(half.encoder.layers):
            at = f"{prefix}transformer.resblocks.{index}."
            attention = layer.self_attn
            parts = (attention.q_proj, attention.k_proj, attention.v_proj)
            tensors[at + "attn.in_proj_weight"] = torch.cat([part.weight for part in parts])
            tensors[at + "attn.in_proj_bias"] = torch.cat([part.bias for part in parts])
            named = {
                "attn.out_proj": attention.out_proj,
                "ln_1": layer.layer_norm1,
                "ln_2": layer.layer_norm2,
                "mlp.c_fc": layer.mlp.fc1,
                "mlp.c_proj": layer.mlp.fc2,
            }
            for name, module in named.items():
                tensors[f"{at}{name}.weight"], tensors[f"{at}{name}.bias"] = module.weight, module.bias
    vision, text = model.vision_model, model.text_model
    tensors |= {
        "visual.class_embedding": vision.embeddings.class_embedding,
        "visual.positional_embedding": vision.embeddings.position_embedding.weight,
        "visual.conv1.weight": vision.embeddings.patch_embedding.weight,
        "visual.ln_pre.weight": vision.pre_layrnorm.weight,
        "visual.ln_pre.bias": vision.pre_layrnorm.bias,
        "visual.ln_post.weight": vision.post_layernorm.weight,
        "visual.ln_post.bias": vision.post_layernorm.bias,
        "visual.proj": model.visual_projection.weight.T,
        "token_embedding.weight": text.embeddings.token_embedding.weight,
        "positional_embedding": text.embeddings.position_embedding.weight,
        "ln_final.weight": text.final_layer_norm.weight,
        "ln_final.bias": text.final_layer_norm.bias,
        "text_projection": model.text_projection.weight.T,
    }
    return {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}


def openai(folder: Path, *, patch: int = PATCH) -> Made:
    """CheXzero's format: a bare state dict of CLIP's ViT and text transformer, QuickGELU."""
    folder.mkdir(exist_ok=True, parents=True)
    tokenizer = byte_pairs(context=20)
    text = {
        **_SHAPE,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 20,
        "eos_token_id": tokenizer.eos_token_id,
    }
    vision = {**_VISION, "patch_size": patch}
    model = seeded(CLIPModel, CLIPConfig(text_config=text, vision_config=vision, projection_dim=24))
    torch.save(openai_names(model), folder / "best.pt")
    tokenizer.save_pretrained(folder)
    write_processor(folder)
    return Made(folder, model)


def open_clip_own(folder: Path) -> Made:
    """What open_clip trains from a config of its own: safetensors, exact GELU."""
    folder.mkdir(exist_ok=True, parents=True)
    tokenizer = byte_pairs(context=20)
    shape = {**_SHAPE, "hidden_act": "gelu"}
    text = {
        **shape,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 20,
        "eos_token_id": tokenizer.eos_token_id,
    }
    vision = {**_VISION, "hidden_act": "gelu"}
    model = seeded(CLIPModel, CLIPConfig(text_config=text, vision_config=vision, projection_dim=24))
    save_file(openai_names(model), folder / "open_clip_model.safetensors")
    tokenizer.save_pretrained(folder)
    config = {
        "model_cfg": {
            "embed_dim": 24,
            "vision_cfg": {"image_size": SIZE, "layers": DEPTH, "width": WIDTH, "patch_size": PATCH},
            "text_cfg": {
                "context_length": 20,
                "vocab_size": len(tokenizer),
                "width": WIDTH,
                "heads": 2,
                "layers": DEPTH,
            },
        },
        "preprocess_cfg": {"mean": MEAN, "std": STD, "resize_mode": "squash"},
    }
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return Made(folder, model)


def resnet_names(depths: tuple[int, ...] = (1, 2, 1, 1), *, width: int = 16, dim: int = 24) -> dict[str, Tensor]:
    """Random tensors of OpenAI's ResNet for an input of 64 px, without ``visual.``."""
    generator = torch.Generator().manual_seed(23)
    tensors: dict[str, Tensor] = {}

    def convolution(name: str, out: int, into: int, side: int) -> None:
        tensors[name + ".weight"] = (
            torch.randn(out, into, side, side, generator=generator) * (2 / (into * side**2)) ** 0.5
        )

    def norm(name: str, channels: int) -> None:
        tensors[name + ".weight"] = torch.rand(channels, generator=generator) + 0.5
        tensors[name + ".bias"] = torch.randn(channels, generator=generator) * 0.1
        tensors[name + ".running_mean"] = torch.randn(channels, generator=generator) * 0.1
        tensors[name + ".running_var"] = torch.rand(channels, generator=generator) + 0.5
        tensors[name + ".num_batches_tracked"] = torch.tensor(5)

    for number, (out, into) in enumerate(((width // 2, 3), (width // 2, width // 2), (width, width // 2)), start=1):
        convolution(f"conv{number}", out, into, 3)
        norm(f"bn{number}", out)
    channels = width
    for stage, depth in enumerate(depths, start=1):
        inner = width * 2 ** (stage - 1)
        for block in range(depth):
            at = f"layer{stage}.{block}."
            for number, (out, into, side) in enumerate(
                ((inner, channels, 1), (inner, inner, 3), (4 * inner, inner, 1)), start=1
            ):
                convolution(f"{at}conv{number}", out, into, side)
                norm(f"{at}bn{number}", out)
            if block == 0:
                convolution(at + "downsample.0", 4 * inner, channels, 1)
                norm(at + "downsample.1", 4 * inner)
            channels = 4 * inner
    tensors["attnpool.positional_embedding"] = torch.randn((SIZE // 32) ** 2 + 1, channels, generator=generator)
    for name, out in (("q_proj", channels), ("k_proj", channels), ("v_proj", channels), ("c_proj", dim)):
        tensors[f"attnpool.{name}.weight"] = torch.randn(out, channels, generator=generator) * channels**-0.5
        tensors[f"attnpool.{name}.bias"] = torch.randn(out, generator=generator) * 0.1
    return tensors


def openai_resnet(folder: Path) -> Made:
    """OpenAI's RN50 in small, beside CLIP's text transformer."""
    made = openai(folder)
    text = {name: tensor for name, tensor in openai_names(made.reference).items() if not name.startswith("visual.")}
    image = {f"visual.{name}": tensor for name, tensor in resnet_names().items()}
    torch.save(text | image, folder / "best.pt")
    return made


def biomedclip(folder: Path) -> Made:
    """The committed fixture, made by open_clip itself."""
    return Made(Path(__file__).parent / "biomedclip-tiny", None)  # open_clip is not installed


FAMILIES = {
    "biomedclip": biomedclip,
    "clip": clip,
    "siglip": siglip,
    "siglip2": siglip2,
    "vit and bert": dual_encoder,
    "clip vision and roberta": lambda folder: dual_encoder(folder, image="clip", text="roberta"),
    "openai state dict": openai,
    "open_clip's own": open_clip_own,
    "openai resnet": openai_resnet,
}
