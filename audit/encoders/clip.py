"""transformers' ``CLIPModel`` (PubMedCLIP and the phantom encoder among them) as a dual encoder.

Source: Radford et al. 2021, "Learning transferable visual models from natural language supervision"; the modules are
transformers' own, only the order in which they run stands here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from transformers import CLIPModel, PreTrainedTokenizerBase

from audit.encoders.blocks import run_block, run_block_at
from audit.encoders.folder import load_pretrained, load_tokenizer, read_preprocessing
from audit.encoders.protocol import EncoderInfo, Tokens
from audit.encoders.words import words_of
from pipelines.geometry import Fit
from pipelines.transforms import Preprocessing

__all__ = ["ClipEncoder", "ClipImageTower", "ClipTextTower", "load"]

Hidden = Float[Tensor, "batch tokens width"]
Embedding = Float[Tensor, "batch dim"]


class ClipImageTower:
    """The vision transformer: a CLS token, then patches row by row; the embedding is read from CLS."""

    def __init__(self, model: CLIPModel) -> None:
        self._vision: Any = model.vision_model
        self._projection = model.visual_projection
        config: Any = model.config.vision_config
        side = config.image_size // config.patch_size
        self.depth: int = config.num_hidden_layers
        self.grid: tuple[int, int] = (side, side)
        self.leading_tokens = 1

    @torch.no_grad()
    def prefix(self, pixels: Float[Tensor, "batch 3 size size"], layer: int) -> Hidden:
        """Run patches and blocks 0 to ``layer``."""
        hidden: Hidden = self._vision.pre_layrnorm(self._vision.embeddings(pixels))
        for block in self._vision.encoder.layers[: layer + 1]:
            hidden = run_block(block, hidden, None)
        return hidden

    def suffix(
        self,
        hidden: Hidden,
        layer: int,
        mask: Bool[Tensor, "batch tokens"] | None = None,  # noqa: ARG002 - all patches are seen
    ) -> Embedding:
        """Run the blocks after ``layer``, the last one for CLS only, and project."""
        blocks = self._vision.encoder.layers[layer + 1 :]
        for block in blocks[:-1]:
            hidden = run_block(block, hidden, None)
        first = torch.zeros(hidden.shape[0], dtype=torch.long, device=hidden.device)
        pooled = run_block_at(blocks[-1], hidden, first, None) if len(blocks) else hidden[:, :1]
        embedding: Tensor = self._projection(self._vision.post_layernorm(pooled[:, 0]))
        return embedding


class ClipTextTower:
    """The causal text transformer; the embedding is read from the end-of-text token."""

    def __init__(self, model: CLIPModel, tokenizer: PreTrainedTokenizerBase) -> None:
        self._text: Any = model.text_model
        self._projection, self._tokenizer = model.text_projection, tokenizer
        config: Any = model.config.text_config
        self.depth: int = config.num_hidden_layers
        self._context: int = min(config.max_position_embeddings, tokenizer.model_max_length)

    def tokenise(self, phrases: Sequence[str]) -> Tokens:
        """Tokenise with the folder's own tokeniser; a phrase longer than the context is cut with a warning."""
        return words_of(self._tokenizer, phrases, context=self._context, device=self._projection.weight.device)

    @torch.no_grad()
    def prefix(self, tokens: Tokens, layer: int) -> Hidden:
        """Run embeddings and blocks 0 to ``layer``."""
        hidden: Hidden = self._text.embeddings(input_ids=tokens.ids)
        mask = _causal(tokens.mask)
        for block in self._text.encoder.layers[: layer + 1]:
            hidden = run_block(block, hidden, mask)
        return hidden

    def suffix(self, hidden: Hidden, layer: int, mask: Bool[Tensor, "batch tokens"] | None = None) -> Embedding:
        """Run the blocks after ``layer``, the last one for the end-of-text token only, and project."""
        if mask is None:
            mask = torch.ones(hidden.shape[:2], dtype=torch.bool, device=hidden.device)
        blocks = self._text.encoder.layers[layer + 1 :]
        causal = _causal(mask)
        end = mask.sum(1) - 1
        for block in blocks[:-1]:
            hidden = run_block(block, hidden, causal)
        if len(blocks):
            pooled = run_block_at(blocks[-1], hidden, end, mask[:, None, None])
        else:
            pooled = hidden[torch.arange(len(end), device=end.device), end][:, None]
        embedding: Tensor = self._projection(self._text.final_layer_norm(pooled[:, 0]))
        return embedding


def _causal(mask: Bool[Tensor, "batch tokens"]) -> Bool[Tensor, "batch 1 tokens tokens"]:
    """Each token sees itself and what stands before it; nobody sees padding."""
    tokens = mask.shape[1]
    earlier = torch.ones(tokens, tokens, dtype=torch.bool, device=mask.device).tril()
    return earlier & mask[:, None, None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipEncoder:
    """Both towers of a ``CLIPModel``."""

    info: EncoderInfo
    preprocessing: Preprocessing
    image: ClipImageTower
    text: ClipTextTower


def load(folder: Path, info: EncoderInfo, device: torch.device, fit: Fit) -> ClipEncoder:
    """Load a ``CLIPModel`` folder: config.json, weights, tokeniser and preprocessor_config.json.

    Raises:
        ModelError: a file is missing or unreadable, or the weights do not fit the configuration.
    """
    model: Any = load_pretrained(CLIPModel, folder)
    model.to(device)
    tokenizer = load_tokenizer(folder)
    return ClipEncoder(
        info=info,
        preprocessing=read_preprocessing(folder, default_size=model.config.vision_config.image_size, fit=fit),
        image=ClipImageTower(model),
        text=ClipTextTower(model, tokenizer),
    )
