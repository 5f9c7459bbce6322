"""Tokens grouped into the words that a reader sees."""

import warnings
from collections.abc import Sequence

import torch
from transformers import PreTrainedTokenizerBase

from audit.encoders.protocol import Tokens

__all__ = ["words_of"]


def words_of(
    tokenizer: PreTrainedTokenizerBase, phrases: Sequence[str], *, context: int, device: torch.device
) -> Tokens:
    """Tokenise ``phrases`` and note which tokens make up which word.

    Raises:
        ValueError: no phrase, or the tokeniser is not a fast one (offsets are needed).
    """
    if not phrases or not tokenizer.is_fast:
        raise ValueError(f"a fast tokeniser and at least one phrase are needed, got {len(phrases)} phrases")
    encoded = tokenizer(
        list(phrases),
        padding=True,
        truncation=True,
        max_length=context,
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
        return_attention_mask=True,
        return_token_type_ids=False,
    )
    words = []
    for row, phrase in enumerate(phrases):
        spans = encoded["offset_mapping"][row]
        plain = [i for i, special in enumerate(encoded["special_tokens_mask"][row]) if not special]
        if plain and phrase[spans[plain[-1]][1] :].strip():
            warnings.warn(
                f"the phrase {phrase!r} is longer than the model's context of {context} tokens: the end was not read",
                stacklevel=3,
            )
        words.append(_group(phrase, [(index, *spans[index]) for index in plain]))
    mask = torch.tensor(encoded["attention_mask"], dtype=torch.bool, device=device)
    return Tokens(
        ids=torch.tensor(encoded["input_ids"], device=device),
        mask=mask,
        special=torch.tensor(encoded["special_tokens_mask"], dtype=torch.bool, device=device) | ~mask,
        words=tuple(words),
    )


def _group(phrase: str, tokens: list[tuple[int, int, int]]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Join tokens (index, start, end) that no white space parts."""
    groups: list[tuple[int, int, list[int]]] = []
    for index, start, end in tokens:
        if (
            groups
            and not phrase[groups[-1][1] : start].strip()
            and groups[-1][1] == start
            and not _opens(phrase, start)
        ):
            groups[-1] = (groups[-1][0], end, [*groups[-1][2], index])
        else:
            groups.append((start, end, [index]))
    return tuple((phrase[start:end].strip(), tuple(members)) for start, end, members in groups)


def _opens(phrase: str, start: int) -> bool:
    return start < len(phrase) and phrase[start].isspace()
