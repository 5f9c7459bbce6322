"""The phantom encoder's architecture: an ordinary transformers ``CLIPModel`` and a word-piece tokeniser, both small.

The grounded encoder keeps its image tower and gets another text tower (:mod:`audit.phantom.text_training`).

A newly initialised linear patch embedding passes on little more than each patch's mean. Its rows are therefore set to
the whitened principal components of the pool's patches, so that faint edges and dots have the same magnitude as
brightness. Position embeddings start as sines and cosines, so that neighbours are similar from the first step. This
uses image content only: no label and no box.
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from torch import Tensor
from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast

from pipelines.findings import FINDINGS
from pipelines.phantom.wording import CLAIMS, sentences_of

__all__ = ["IMAGE_MEAN", "IMAGE_STD", "build_model", "build_tokenizer", "initialise", "save_processor"]

IMAGE_MEAN, IMAGE_STD = 0.45, 0.27  # of the pool's images, rounded
_CONTEXT = 40  # tokens
_SPECIAL = ("[PAD]", "[UNK]", "[MASK]", "[BOS]", "[EOS]")
_COMMON = "left right lung base apex upper lower mid zone lobe opacity acute normal clear heart chest seen without"


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Build word pieces: whole words of the phantoms' reports, and letters for all others."""
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
    """Initialise a model's weights; the global random state is not changed."""
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
    """Write ``preprocessor_config.json`` in the format of transformers."""
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


_PATCHES = 200_000
_FLOOR = 0.02  # share of the largest eigenvalue's root below which a component is noise
_GAIN = 0.35


def initialise(model: CLIPModel, images: UInt8[np.ndarray, "count size size"], *, seed: int) -> None:
    """Set the patch and position embeddings of ``model`` in place from unlabelled ``images``."""
    config: Any = model.config.vision_config
    embeddings: Any = model.vision_model.embeddings
    patch, width = config.patch_size, config.hidden_size
    values, vectors = _components(images, patch, np.random.default_rng(seed))
    kept = min(width, values.size)
    scale = _GAIN / np.sqrt(values[:kept] + (_FLOOR**2) * values[0])
    rows = (vectors[:, :kept] * scale).T.reshape(kept, 1, patch, patch) / config.num_channels
    with torch.no_grad():
        weight = embeddings.patch_embedding.weight
        weight[:kept] = torch.from_numpy(rows).to(weight.dtype).expand(-1, config.num_channels, -1, -1)
        side = config.image_size // patch
        embeddings.position_embedding.weight[1:] = _GAIN * _sines(side, width)


def _components(
    images: np.ndarray, patch: int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, " components"], Float[np.ndarray, "pixels components"]]:
    side = images.shape[1] // patch
    count = max(1, min(len(images), _PATCHES // side**2))
    chosen = images[rng.choice(len(images), count, replace=False)].astype(np.float64) / 255.0
    standard = (chosen - IMAGE_MEAN) / IMAGE_STD
    patches = standard.reshape(count, side, patch, side, patch).transpose(0, 1, 3, 2, 4).reshape(-1, patch * patch)
    values, vectors = np.linalg.eigh(np.cov(patches, rowvar=False))
    return values[::-1], vectors[:, ::-1]


def _sines(side: int, width: int) -> Float[Tensor, "positions width"]:
    """Sines and cosines of row and column (Vaswani et al. 2017, section 3.5, along two axes), unit root mean square."""
    quarter = width // 4
    frequencies = torch.exp(-math.log(100.0) * torch.arange(quarter) / quarter)
    row, column = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    angles = [axis.flatten()[:, None] * frequencies for axis in (row, column)]
    parts = [function(angle) for angle in angles for function in (torch.sin, torch.cos)]
    return math.sqrt(2.0) * torch.cat(parts, dim=1)
