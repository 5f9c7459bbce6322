"""The file of measurements: one row per pair and method, written as soon as it is known, and read to resume."""

import csv
import io
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import get_type_hints

from audit.encoders.protocol import DualEncoder
from audit.encoders.words import CutPhraseWarning
from audit.experiments.pair_table import PairRow
from audit.pipeline.explain import ExplainedStudy, Explainer
from pipelines.errors import OutputError
from pipelines.image_file import RANGE
from pipelines.quoting import defused
from pipelines.study import PixelStep
from reports.score_catalogue import shuffled_name
from reports.writing import write_text_atomically

__all__ = [
    "CUT_CAPTION",
    "MEASURES",
    "STRETCHED",
    "Measurement",
    "append",
    "measurements_of",
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

_SCORES = {measure: measure.replace("_", " confidence ") for measure in MEASURES}  # their names in the catalogue


def measurements_of(row: PairRow, explained: ExplainedStudy, explainer: Explainer) -> tuple[Measurement, ...]:
    """Return a row's measurement for each method; for a pair that could not be explained, the reason."""
    names = [method.name for method in explainer.methods]
    if not explained.cases:
        reason = explained.left_out[-1].reason
        return tuple(Measurement(row=row.number, image=row.image, method=name, error=reason) for name in names)
    (case,) = explained.cases
    values = {(score.method, score.score): score.value for score in case.faithfulness[0]}
    note = "; ".join(_notes(case.loaded.steps, row.caption, explainer.encoder)) or None
    return tuple(
        Measurement(
            row=row.number,
            image=row.image,
            method=name,
            cosine=attribution.cosine,
            seconds=seconds,
            error=None,
            note=note,
            **{measure: values[name, score] for measure, score in _SCORES.items()},
            **{f"shuffled_{measure}": values[shuffled_name(name), score] for measure, score in _SCORES.items()},
        )
        for name, (attribution,), seconds in zip(names, case.explanations, case.seconds_a_pair, strict=True)
    )


def _notes(steps: Sequence[PixelStep], caption: str, encoder: DualEncoder) -> Iterator[str]:
    """Yield notes about how a pair was processed."""
    yield from (f"{STRETCHED}: {step.detail}" for step in steps if step.step == RANGE)
    if _is_cut(encoder, caption):
        yield f"{CUT_CAPTION} of {encoder.text.context} tokens: its end was not read"


def _is_cut(encoder: DualEncoder, caption: str) -> bool:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        encoder.text.tokenise([caption])
    return any(issubclass(warning.category, CutPhraseWarning) for warning in caught)
