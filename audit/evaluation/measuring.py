"""Pairs are read, explained by each method in batches, and their heat is weighed against the cosine."""

import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from audit.attribution.engine import Method, pair_seed
from audit.attribution.pairs import Request
from audit.encoders.protocol import DualEncoder
from audit.encoders.words import CutPhraseWarning
from audit.evaluation.pair_table import PairRow, PairTable
from audit.evaluation.rows import MEASURES, Measurement
from audit.faithfulness.confidence import Confidence, TextMask, image_confidence, text_confidence
from audit.faithfulness.pairs import ExplainedPair, shuffled
from pipelines.errors import InputError
from pipelines.image_file import RANGE, Picture, read_image
from pipelines.transforms import place_image

__all__ = ["CUT_CAPTION", "STRETCHED", "LoadedPair", "load_pair", "measure"]

CUT_CAPTION = "the caption is longer than the model's context"
STRETCHED = "the picture has more than 8 bits"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedPair:
    """One pair, ready for the model."""

    row: PairRow
    pixels: Float[Tensor, "3 size size"]
    seed: int
    note: str | None


def load_pair(
    table: PairTable, row: PairRow, encoder: DualEncoder, *, device: torch.device, seed: int
) -> LoadedPair | str:
    """Read a row's image and place it as the model wants it, or say why that cannot be."""
    if row.wrong is not None:
        return row.wrong
    path = table.file_of(row)
    try:
        picture = read_image(path)
    except InputError as error:
        return str(error).removeprefix(f"{path}: ")  # the path stands beside it, as the table gives it
    pixels, _ = place_image(picture.display, encoder.preprocessing)
    own_seed = pair_seed(seed, row.image, row.caption)
    notes = "; ".join(_notes(picture, row.caption, encoder))
    return LoadedPair(row=row, pixels=pixels.to(device), seed=own_seed, note=notes or None)


def measure(
    encoder: DualEncoder, method: Method, pairs: Sequence[LoadedPair], text_mask: TextMask = TextMask.MINMAX
) -> tuple[Measurement, ...]:
    """Explain pairs by one method and weigh its heat; a pair gives what it gives alone.

    ``text_mask`` says how the heat of words becomes their weights.

    Raises:
        ModelError: the method cannot explain this model, or the model's text tower hands out no embeddings.
    """
    with _silent_about_captions():
        begun = time.perf_counter()
        requests = [Request(pixels=pair.pixels, phrases=(pair.row.caption,), seeds=(pair.seed,)) for pair in pairs]
        answers = method.explain_batch(encoder, requests)
        seconds = (time.perf_counter() - begun) / len(pairs)
        explained = [
            one
            for request, answer in zip(requests, answers, strict=True)
            for one in ExplainedPair.all_of(request, answer)
        ]
        own = _scores(encoder, explained, text_mask)
        at_random = _scores(encoder, [shuffled(pair, seed=pair.seed) for pair in explained], text_mask)
    return tuple(
        Measurement(
            row=pair.row.number,
            image=pair.row.image,
            method=method.name,
            cosine=explanation.cosine,
            seconds=seconds,
            error=None,
            note=pair.note,
            **scores,
            **{f"shuffled_{name}": value for name, value in reference.items()},
        )
        for pair, (explanation,), scores, reference in zip(pairs, answers, own, at_random, strict=True)
    )


def _scores(encoder: DualEncoder, pairs: Sequence[ExplainedPair], text_mask: TextMask) -> list[dict[str, float | None]]:
    sides = zip(image_confidence(encoder, pairs), text_confidence(encoder, pairs, mask=text_mask), strict=True)
    return [dict(zip(MEASURES, (*_in_percent(image), *_in_percent(text)), strict=True)) for image, text in sides]


def _in_percent(confidence: Confidence | None) -> tuple[float | None, float | None]:
    return (None, None) if confidence is None else (100.0 * confidence.drop, 100.0 * confidence.increased)


def _notes(picture: Picture, caption: str, encoder: DualEncoder) -> Iterator[str]:
    """What was done to a pair that its reader should know."""
    yield from (f"{STRETCHED}: {step.detail}" for step in picture.receipt if step.step == RANGE)
    if _is_cut(encoder, caption):
        yield f"{CUT_CAPTION} of {encoder.text.context} tokens: its end was not read"


def _is_cut(encoder: DualEncoder, caption: str) -> bool:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        encoder.text.tokenise([caption])
    return any(issubclass(warning.category, CutPhraseWarning) for warning in told)


@contextmanager
def _silent_about_captions() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CutPhraseWarning)
        yield
