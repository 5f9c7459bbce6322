"""The text half of BiomedCLIP: a BERT of transformers' own, read at CLS, and a projection without biases.

The folder has no config of the BERT: its shape is read off the tensors, heads are 64 wide (design, section 3).

Source: Zhang et al. 2023, "BiomedCLIP", section 3; Devlin et al. 2019, "BERT".
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from transformers import BertConfig, BertModel

from audit.encoders.blocks import bert_blocks
from audit.encoders.model_folder import load_tokenizer, parameters_of
from audit.encoders.open_clip.half import Half, depth_of, finished
from audit.encoders.protocol import Tokens
from audit.encoders.transformer import Pooling, Stack, TransformerTextTower
from audit.encoders.words import tokeniser_of
from pipelines.errors import ModelError

__all__ = ["build"]

_HEAD_WIDTH = 64
_POOLER = "cls_last_hidden_state_pooler"
_DEFAULT_CONTEXT = 77  # open_clip's, where the config is silent


def build(half: Half) -> TransformerTextTower:
    """Build the tower from the tensors under ``text.``; its tokeniser comes from the folder.

    Raises:
        ModelError: another text model than a BERT read at CLS, or tensors that do not fit.
    """
    name, pooler, projection = (
        str(half.config.get(key) or "") for key in ("hf_model_name", "hf_pooler_type", "hf_proj_type")
    )
    if "roberta" in name.lower() or pooler != _POOLER or projection not in {"mlp", "linear"}:
        raise ModelError(
            f"{half.folder}: open_clip_config.json names the text model {name!r} with pooler {pooler!r} and projection "
            f"{projection!r}; a BERT with {_POOLER} and the projection mlp or linear is read"
        )
    return finished(_Text.shaped_as(half), half).tower(half)


class _Text(nn.Module):
    """The module whose state dict is what a checkpoint has under ``text.``."""

    def __init__(self, config: BertConfig, projection: nn.Module) -> None:
        super().__init__()
        self.transformer: Any = BertModel(config, add_pooling_layer=False)
        self.proj = projection

    @classmethod
    def shaped_as(cls, half: Half) -> "_Text":
        try:
            return cls(_bert_config(half.tensors), _projection(half))
        except (KeyError, ValueError, IndexError) as error:
            raise ModelError(f"{half.folder}: no shape of a BERT in the weights under text. ({error})") from error

    def forward(self, tokens: Tokens) -> Tensor:
        hidden = self.transformer(input_ids=tokens.ids, attention_mask=tokens.mask.long()).last_hidden_state
        embedded: Tensor = self.proj(hidden[:, 0])
        return embedded

    def tower(self, half: Half) -> TransformerTextTower:
        tokenizer = load_tokenizer(half.folder)
        positions = self.transformer.config.max_position_embeddings
        stated = half.config.get("context_length", _DEFAULT_CONTEXT)
        context = min(int(stated), positions, tokenizer.model_max_length)
        stack = Stack(
            blocks=bert_blocks(self.transformer), pool=Pooling.FIRST, head=self.proj, parameters=parameters_of(self)
        )
        return TransformerTextTower(
            stack,
            embed=lambda tokens: self.transformer.embeddings(input_ids=tokens.ids),
            forward=self,
            tokenise=tokeniser_of(tokenizer, context=context, device=half.device),
            context=context,
        )


def _bert_config(tensors: Mapping[str, Tensor]) -> BertConfig:
    vocabulary, width = tensors["transformer.embeddings.word_embeddings.weight"].shape
    return BertConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        num_hidden_layers=depth_of(tensors, "transformer.encoder.layer."),
        num_attention_heads=width // _HEAD_WIDTH,
        intermediate_size=tensors["transformer.encoder.layer.0.intermediate.dense.weight"].shape[0],
        max_position_embeddings=tensors["transformer.embeddings.position_embeddings.weight"].shape[0],
        type_vocab_size=tensors["transformer.embeddings.token_type_embeddings.weight"].shape[0],
    )


def _projection(half: Half) -> nn.Module:
    if half.config["hf_proj_type"] == "linear":
        dim, width = half.tensors["proj.weight"].shape
        return nn.Linear(width, dim, bias=False)
    inner, width = half.tensors["proj.0.weight"].shape
    return nn.Sequential(
        nn.Linear(width, inner, bias=False),
        nn.GELU(),
        nn.Linear(inner, half.tensors["proj.2.weight"].shape[0], bias=False),
    )
