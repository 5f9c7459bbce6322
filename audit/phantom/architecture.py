"""The phantom encoder's shape: an ordinary transformers ``CLIPModel`` and a word-piece tokeniser, both small."""

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast

from pipelines.findings import FINDINGS
from pipelines.phantom.wording import CLAIMS, sentences_of

__all__ = ["IMAGE_MEAN", "IMAGE_STD", "build_model", "build_tokenizer", "save_processor"]

IMAGE_MEAN, IMAGE_STD = 0.45, 0.27  # of the pool, rounded
_CONTEXT = 40  # tokens
_SPECIAL = ("[PAD]", "[UNK]", "[MASK]", "[BOS]", "[EOS]")
_COMMON = "left right lung base apex upper lower mid zone lobe opacity acute normal clear heart chest seen without"


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Word pieces: the phantoms' words whole, everything else by letters, so that no sentence is unreadable."""
    words = {piece for claim in CLAIMS for sentence in sentences_of(claim) for piece in _words(sentence)}
    words |= {piece for finding in FINDINGS for piece in _words(finding)} | set(_COMMON.split())
    characters = "abcdefghijklmnopqrstuvwxyz0123456789.,;:!?'\"()/-+%"
    pieces = [*_SPECIAL, *characters, *(f"##{letter}" for letter in characters), *sorted(words - set(characters))]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))  # noqa: S106 - a vocabulary entry
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[BOS] $A [EOS]",
        special_tokens=[("[BOS]", vocabulary["[BOS]"]), ("[EOS]", vocabulary["[EOS]"])],
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        model_max_length=_CONTEXT,
        pad_token="[PAD]",  # noqa: S106 - a vocabulary entry
        unk_token="[UNK]",  # noqa: S106 - a vocabulary entry
        bos_token="[BOS]",  # noqa: S106 - a vocabulary entry
        eos_token="[EOS]",  # noqa: S106 - a vocabulary entry
    )


def _words(sentence: str) -> list[str]:
    split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str(sentence.lower())
    return [word for word, _ in split]


def build_model(tokenizer: PreTrainedTokenizerFast, *, seed: int) -> CLIPModel:
    """Draw a model's first weights; the global random state is left as it was."""
    config = CLIPConfig(
        projection_dim=128,
        vision_config={
            "hidden_size": 128,
            "intermediate_size": 512,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "image_size": 160,
            "patch_size": 10,
            "num_channels": 3,
            "hidden_act": "gelu",
            "projection_dim": 128,
        },
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": 128,
            "intermediate_size": 384,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": _CONTEXT,
            "hidden_act": "gelu",
            "projection_dim": 128,
            "pad_token_id": tokenizer.pad_token_id,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
        },
        initializer_factor=1.0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return CLIPModel(config)


def save_processor(folder: Path, size: int) -> None:
    """Write ``preprocessor_config.json``, as transformers' own tools read it."""
    content = {
        "image_processor_type": "CLIPImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": size},
        "do_center_crop": True,
        "crop_size": {"height": size, "width": size},
        "do_rescale": True,
        "do_normalize": True,
        "image_mean": [IMAGE_MEAN] * 3,
        "image_std": [IMAGE_STD] * 3,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
