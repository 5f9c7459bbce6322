"""transformers' ``BertModel`` and its kin taken apart: the text tower of BiomedCLIP and of vision-text dual encoders.

Source: Devlin et al. 2019, "BERT: Pre-training of deep bidirectional transformers for language understanding".
"""

from typing import Any

from torch.nn import Sequential

from audit.encoders.blocks import Affine, Block

__all__ = ["bert_blocks"]


def bert_blocks(bert: Any) -> tuple[Block, ...]:
    """Take the layers of a ``BertModel`` or ``RobertaModel`` apart."""
    return tuple(_block_of(layer) for layer in bert.encoder.layer)


def _block_of(layer: Any) -> Block:
    attention, output, output_of_mlp = layer.attention.self, layer.attention.output, layer.output
    return Block(
        query=Affine.of(attention.query),
        key=Affine.of(attention.key),
        value=Affine.of(attention.value),
        out=output.dense,
        mlp=Sequential(layer.intermediate, output_of_mlp.dense).eval(),  # without the sum and the norm that follow
        norm1=output.LayerNorm,
        norm2=output_of_mlp.LayerNorm,
        heads=attention.num_attention_heads,
        norm_first=False,
    )
