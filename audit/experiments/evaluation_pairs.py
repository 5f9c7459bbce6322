"""The file of measurements: one row per pair and method, written as soon as it is known, and read to resume."""

import csv
import io
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import get_type_hints

import torch
from jaxtyping import Float
from torch import Tensor

from audit.attribution.engine import Method, pair_seed
from audit.attribution.pairs import Request
from audit.encoders.protocol import DualEncoder
from audit.encoders.words import CutPhraseWarning
from audit.experiments.pair_table import PairRow, PairTable
from audit.faithfulness.confidence import Confidence, TextMask, image_confidence, text_confidence
from audit.faithfulness.pairs import ExplainedPair, shuffled
from pipelines.errors import InputError, OutputError
from pipelines.image_file import RANGE, Picture, read_image
from pipelines.quoting import defused
from pipelines.transforms import place_image
from reports.writing import write_text_atomically

__all__ = [
    "CUT_CAPTION",
    "MEASURES",
    "STRETCHED",
    "LoadedPair",
    "Measurement",
    "append",
    "load_pair",
    "measure",
    "read_measurements",
    "rewrite",
]

MEASURES = ("image_drop", "image_increase", "text_drop", "text_increase")
"""The scores that a heat's own values at random places have too, under the same name after ``shuffled_``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """The scores of one method's heat on one pair; None means not measured, and is an empty cell in the file.

    Drops are 100 max(0, o - s) and increases 100 or 0, so that their means are the published scores.
    """

    row: int  # of the pair in the table
    image: str  # path as the table gives it
    method: str
    cosine: float | None = None  # o, of the whole image and the whole caption, -1 to 1
    image_drop: float | None = None
    image_increase: float | None = None
    text_drop: float | None = None
    text_increase: float | None = None
    shuffled_image_drop: float | None = None
    shuffled_image_increase: float | None = None
    shuffled_text_drop: float | None = None
    shuffled_text_increase: float | None = None
    seconds: float | None = None  # of the attribution; those of a batch are shared out evenly
    error: str | None = None  # why nothing was measured
    note: str | None = None


_FIELDS = tuple(field.name for field in fields(Measurement))
_FLOATS = tuple(name for name, hint in get_type_hints(Measurement).items() if hint == float | None)


def append(path: Path, measurements: Sequence[Measurement]) -> None:
    """Append rows to the file and close it, so that a killed run does not lose them.

    Raises:
        OutputError: they cannot be written.
    """
    try:
        with path.open("a", encoding="utf-8", newline="") as stream:
            csv.writer(stream, lineterminator="\n").writerows(_cells(measurement) for measurement in measurements)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror}): is the disk full, or the folder read-only?"
        ) from error


def rewrite(path: Path, measurements: Sequence[Measurement]) -> None:
    """Replace the content of the file by the header and these rows.

    Raises:
        OutputError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_FIELDS)
    writer.writerows(_cells(measurement) for measurement in measurements)
    write_text_atomically(path, text.getvalue())


def read_measurements(path: Path) -> tuple[Measurement, ...]:
    """Read the complete rows of a file; an incomplete last row of a killed run is ignored.

    Raises:
        OutputError: the file cannot be read, or was not written by an evaluation.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise OutputError(f"{path} cannot be read: pass --overwrite to start again") from error
    lines = csv.reader(io.StringIO(text, newline=""))
    if tuple(next(lines, ())) != _FIELDS:
        raise OutputError(f"{path} was not written by an evaluation of this version: pass --overwrite to start again")
    rows = list(lines)
    if not text.endswith("\n"):
        rows.pop()
    try:
        return tuple(_measurement(cells) for cells in rows)
    except ValueError as error:
        raise OutputError(f"{path} was changed by hand ({error}): pass --overwrite to start again") from error


def _cells(measurement: Measurement) -> list[str]:
    return [_cell(value) for value in asdict(measurement).values()]


def _cell(value: float | str | None) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    return defused(str(value))


def _measurement(cells: Sequence[str]) -> Measurement:
    values = dict(zip(_FIELDS, cells, strict=True))
    return Measurement(
        row=int(values["row"]),
        image=values["image"],
        method=values["method"],
        error=values["error"] or None,
        note=values["note"] or None,
        **{name: float(values[name]) if values[name] else None for name in _FLOATS},
    )


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
    """Read a row's image and fit it to the model's input, or return why that is not possible."""
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
    """Explain pairs by one method and score its heat; a pair's result does not depend on the other pairs.

    ``text_mask`` decides how the heat of words becomes their weights.

    Raises:
        ModelError: the method cannot explain this model, or the model's text tower provides no embeddings.
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
    """Return notes about how a pair was processed."""
    yield from (f"{STRETCHED}: {step.detail}" for step in picture.steps if step.step == RANGE)
    if _is_cut(encoder, caption):
        yield f"{CUT_CAPTION} of {encoder.text.context} tokens: its end was not read"


def _is_cut(encoder: DualEncoder, caption: str) -> bool:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        encoder.text.tokenise([caption])
    return any(issubclass(warning.category, CutPhraseWarning) for warning in caught)


@contextmanager
def _silent_about_captions() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CutPhraseWarning)
        yield
