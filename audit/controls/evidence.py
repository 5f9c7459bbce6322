"""Summaries of a run's controls: how much the heat changes, how many hits are lost, and what the totals separate."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from audit.controls.plan import Control
from audit.metrics.statistics import paired_difference, patient_interval, recorded
from reports.run_record import ControlSummary, Estimate, EvidenceRecord

__all__ = ["ControlRow", "evidence_of", "pearson", "summarise_controls"]

_SCALE_PERCENTILE = 99.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlRow:
    """One phrase under one control, with the result of the same phrase without it."""

    patient: str
    method: str
    control: str
    pearson: float | None
    hit: bool | None
    hit_before: bool | None
    cosine: float
    cosine_before: float
    total: float
    total_before: float


def pearson(
    one: Float[np.ndarray, "grid_rows grid_columns"], other: Float[np.ndarray, "grid_rows grid_columns"]
) -> float | None:
    """Correlate two maps, -1 to 1; None if either is constant or not finite."""
    first, second = one.ravel().astype(np.float64), other.ravel().astype(np.float64)
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        return None
    first, second = first - first.mean(), second - second.mean()
    norms = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(np.clip(first @ second / norms, -1.0, 1.0)) if norms > 0 else None


def summarise_controls(rows: Sequence[ControlRow]) -> tuple[ControlSummary, ...]:
    """Summarise each method and control, in the order of first occurrence; intervals are over patients."""
    groups: dict[tuple[str, str], list[ControlRow]] = {}
    for row in rows:
        groups.setdefault((row.method, row.control), []).append(row)
    order = {control.value: place for place, control in enumerate(Control)}
    methods = list(dict.fromkeys(row.method for row in rows))
    found = sorted(groups.items(), key=lambda item: (methods.index(item[0][0]), order[item[0][1]]))
    return tuple(_summary(method, control, members) for (method, control), members in found)


def _summary(method: str, control: str, rows: Sequence[ControlRow]) -> ControlSummary:
    scored = [row for row in rows if row.hit is not None and row.hit_before is not None]
    cosine_change = _estimate([(row.patient, row.cosine - row.cosine_before) for row in rows], bound=2.0)
    if cosine_change is None:
        raise ValueError(f"{control} of {method} has no row")
    return ControlSummary(
        method=method,
        control=control,
        phrases=len(rows),
        pearson=_estimate([(row.patient, row.pearson) for row in rows if row.pearson is not None], bound=1.0),
        hit=_estimate([(row.patient, float(bool(row.hit))) for row in scored]),
        hit_fall=_fall(scored),
        cosine_change=cosine_change,
    )


def evidence_of(
    rows: Sequence[ControlRow], peaks: Mapping[str, Sequence[float]], units: Mapping[str, str]
) -> tuple[EvidenceRecord, ...]:
    """Test whether a heat map's total separates a report's phrase from another patient's on the same image.

    Args:
        rows: rows of all controls; those of shuffled reports are used.
        peaks: maximum grid cell of every phrase of the run, by method: they set the scale.
        units: unit of each method's heat.
    """
    return tuple(_evidence(rows, peaks, units))


def _evidence(
    rows: Sequence[ControlRow], peaks: Mapping[str, Sequence[float]], units: Mapping[str, str]
) -> Iterator[EvidenceRecord]:
    for method, of_method in peaks.items():
        shuffled = [row for row in rows if (row.method, row.control) == (method, Control.SHUFFLED.value)]
        comparable = [row for row in shuffled if np.isfinite(row.total) and np.isfinite(row.total_before)]
        finite = [peak for peak in of_method if np.isfinite(peak)]
        exceeds = _estimate([(row.patient, _exceeds(row)) for row in comparable])
        if exceeds is None or not finite:
            continue
        yield EvidenceRecord(
            method=method,
            unit=units[method],
            floor=float(np.median([row.total for row in comparable])),
            exceeds=exceeds,
            tells=exceeds.low > 0.5,
            scale=float(np.percentile(finite, _SCALE_PERCENTILE)),
        )


def _exceeds(row: ControlRow) -> float:
    return 0.5 if row.total_before == row.total else float(row.total_before > row.total)


def _fall(rows: Sequence[ControlRow]) -> Estimate | None:
    """Return the share of hits without the control minus that with it."""
    if not rows:
        return None
    before, under = (
        np.array([bool(getattr(row, name)) for row in rows], dtype=float) for name in ("hit_before", "hit")
    )
    return recorded(paired_difference(before, under, [row.patient for row in rows]))


def _estimate(values: Sequence[tuple[str, float]], *, bound: float = 1.0) -> Estimate | None:
    if not values:
        return None
    numbers = np.array([value for _, value in values], dtype=float)
    return recorded(patient_interval(numbers, [patient for patient, _ in values], bound=bound))
