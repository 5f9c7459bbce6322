"""Tokens grouped into the words that a reader sees."""

import warnings
from collections.abc import Callable, Sequence
from functools import partial

import torch
from transformers import PreTrainedTokenizerBase

from audit.encoders.protocol import Tokens

__all__ = ["CutPhraseWarning", "tokeniser_of", "words_of"]

_WORD_BEGINS = "▁"  # SentencePiece's sign for the space before a word


class CutPhraseWarning(UserWarning):
    """A phrase is longer than the model's context, and its end was not read."""


def tokeniser_of(
    tokenizer: PreTrainedTokenizerBase, *, context: int, device: torch.device, padding_is_read: bool = False
) -> Callable[[Sequence[str]], Tokens]:
    """Return the function with which a text tower tokenises (see :func:`words_of`)."""
    return partial(words_of, tokenizer, context=context, device=device, padding_is_read=padding_is_read)


def words_of(
    tokenizer: PreTrainedTokenizerBase,
    phrases: Sequence[str],
    *,
    context: int,
    device: torch.device,
    padding_is_read: bool = False,
) -> Tokens:
    """Tokenise ``phrases`` and record which tokens belong to which word.

    Args:
        tokenizer: the folder's own.
        phrases: one or more.
        context: maximum tokens of a phrase, including start and end; longer ones are truncated
            (:class:`CutPhraseWarning`).
        device: for the tokens.
        padding_is_read: pad each phrase to the whole context and let the tower see the padding (SigLIP).

    Raises:
        ValueError: no phrase.
    """
    if not phrases:
        raise ValueError("at least one phrase is needed")
    encoded = tokenizer(
        list(phrases),
        padding="max_length" if padding_is_read else True,
        padding_side=tokenizer.padding_side if padding_is_read else "right",
        truncation=True,
        max_length=context,
        return_offsets_mapping=tokenizer.is_fast,
        return_special_tokens_mask=True,
        return_attention_mask=True,
        return_token_type_ids=False,
    )
    seen = torch.tensor(encoded["attention_mask"], dtype=torch.bool, device=device)
    special = torch.tensor(encoded["special_tokens_mask"], dtype=torch.bool, device=device) | ~seen
    words = []
    for row, phrase in enumerate(phrases):
        plain = [index for index, is_special in enumerate(special[row].tolist()) if not is_special]
        if tokenizer.is_fast:
            spans = encoded["offset_mapping"][row]
            cut = bool(plain) and bool(phrase[spans[plain[-1]][1] :].strip())
            words.append(_group(phrase, [(index, *spans[index]) for index in plain]))
        else:
            pieces = tokenizer.convert_ids_to_tokens([encoded["input_ids"][row][index] for index in plain])
            cut = len(tokenizer.tokenize(phrase)) > len(plain)
            words.append(_group_pieces(phrase, list(zip(plain, pieces, strict=True))))
        if cut:
            # Its words stay unsaid: a warning goes to the log, and a phrase may name the patient.
            warnings.warn(
                f"a phrase of {len(phrase.split())} words is longer than the model's context of {context} tokens: its "
                "end was not read",
                CutPhraseWarning,
                stacklevel=3,
            )
    return Tokens(
        ids=torch.tensor(encoded["input_ids"], device=device),
        mask=torch.ones_like(seen) if padding_is_read else seen,
        special=special,
        words=tuple(words),
        neutral=tokenizer.mask_token_id,
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


def _group_pieces(phrase: str, pieces: Sequence[tuple[int, str]]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Join SentencePiece pieces, of which a word's first begins with a bar, and label them with the phrase's own words.

    The tokeniser drops punctuation, so a word without a letter or digit has no piece.
    """
    groups: list[tuple[str, list[int]]] = []
    for index, piece in pieces:
        if not groups or piece.startswith(_WORD_BEGINS):
            groups.append((piece.removeprefix(_WORD_BEGINS), [index]))
        else:
            groups[-1] = (groups[-1][0] + piece, [*groups[-1][1], index])
    own = [word for word in phrase.split() if any(character.isalnum() for character in word)]
    names = own if len(own) >= len(groups) else [name for name, _ in groups]  # a cut phrase has fewer
    return tuple((name, tuple(members)) for name, (_, members) in zip(names, groups, strict=False))
