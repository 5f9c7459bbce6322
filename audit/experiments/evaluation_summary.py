"""Means over the pairs with 95 % intervals, next to those of the same heat with shuffled cells.

A drop alone favours broad heat, which hides little. Every drop and increase is therefore listed with the value that the
same heat reaches when it is shuffled over the patches or words, and the paired difference to it. Intervals are over
images, not pairs, because a table may have several captions per image.
"""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np

from audit.experiments.evaluation_pairs import MEASURES, Measurement
from audit.metrics.statistics import Interval, paired_difference, patient_interval

__all__ = ["Mean", "as_csv", "as_text", "summarise"]

_COLUMNS = ("cosine", *MEASURES, "seconds")
_BETTER = {"drop": "lower is better", "increase": "higher is better"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """One score's mean over the pairs where it was measured; all None if it was measured nowhere."""

    method: str
    score: str  # "cosine", "image drop", ...
    mean: float | None
    low: float | None
    high: float | None
    shuffled_mean: float | None = None  # of the heat's own values at random places
    difference: float | None = None  # to that, on the same pairs
    difference_low: float | None = None
    difference_high: float | None = None
    pairs: int
    unmeasured: int
    images: int


def summarise(measurements: Sequence[Measurement]) -> tuple[Mean, ...]:
    """Average each score of each method, methods in the order of their first row."""
    methods = dict.fromkeys(measurement.method for measurement in measurements)
    return tuple(
        _mean([measurement for measurement in measurements if measurement.method == method], column)
        for method in methods
        for column in _COLUMNS
    )


def as_text(means: Sequence[Mean]) -> str:
    """Format the means, one line per method and score."""
    lines = [["method", "score", "mean [95 % interval]", "shuffled", "difference [95 % interval]", "n"]]
    for mean in means:
        reference = "" if mean.shuffled_mean is None else f"{mean.shuffled_mean:.3f}"
        own = _interval(mean.mean, mean.low, mean.high)
        difference = _interval(mean.difference, mean.difference_low, mean.difference_high)
        lines.append([mean.method, _spoken(mean.score), own or "-", reference, difference, f"{mean.pairs:,}"])
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    align: tuple[Callable[[str, int], str], ...] = (str.ljust, str.ljust, *([str.rjust] * 4))
    return "\n".join(
        "  ".join(put(cell, width) for put, cell, width in zip(align, line, widths, strict=True)).rstrip()
        for line in lines
    )


def as_csv(means: Sequence[Mean]) -> str:
    """Format the means as CSV, one row per method and score."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Mean)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(mean) for mean in means)
    return text.getvalue()


def _mean(measurements: Sequence[Measurement], column: str) -> Mean:
    measured = [(m.image, value) for m in measurements if (value := _value(m, column)) is not None]
    images = [image for image, _ in measured]
    values = np.array([value for _, value in measured])
    own = patient_interval(values, images) if measured else None
    shuffled = [_value(m, f"shuffled_{column}") for m in measurements if _value(m, column) is not None]
    reference = np.array([value for value in shuffled if value is not None])
    difference = None
    if measured and len(reference) == len(values):
        difference = paired_difference(values, reference, images)
    return Mean(
        method=measurements[0].method,
        score=column.replace("_", " "),
        **dict(zip(("mean", "low", "high"), _ends(own), strict=True)),
        shuffled_mean=None if difference is None else float(reference.mean()),
        **dict(zip(("difference", "difference_low", "difference_high"), _ends(difference), strict=True)),
        pairs=len(measured),
        unmeasured=len(measurements) - len(measured),
        images=len(set(images)),
    )


def _value(measurement: Measurement, column: str) -> float | None:
    value: float | None = getattr(measurement, column, None)
    return value


def _ends(interval: Interval | None) -> Iterator[float | None]:
    if interval is None:
        return iter((None, None, None))
    return iter((interval.estimate, *((interval.low, interval.high) if interval.is_bounded else (None, None))))


def _interval(mean: float | None, low: float | None, high: float | None) -> str:
    if mean is None:
        return ""
    return f"{mean:.3f}" if low is None or high is None else f"{mean:.3f} [{low:.3f}, {high:.3f}]"


def _spoken(score: str) -> str:
    better = _BETTER.get(score.rsplit(" ", maxsplit=1)[-1])
    return score if better is None else f"{score} ({better})"
