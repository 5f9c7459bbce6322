"""The watched quantities, and their values in one audit."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

import numpy as np
import pandas as pd

from audit.metrics.against_blind import values_of
from audit.watching.charts import LEAST_CASES
from audit.watching.reference_mean import Cases
from reports.score_catalogue import (
    COSINE,
    MARKER_HEAT,
    MARKER_POINT,
    OUTSIDE_HEAT,
    PERCENTILE,
    POINTING,
    RELIANCE,
    SCORES,
)

__all__ = ["QUANTITIES", "SCORES_READ", "AuditTables", "Kind", "cases_of"]

Kind = Literal["mean", "distance"]

_OF_TABLE: Final[dict[str, tuple[str, bool]]] = {
    "hit rate": (POINTING, True),
    "recognition": (PERCENTILE, False),
    "reliance": (RELIANCE, False),
    "share on markers": (MARKER_POINT, True),
    "heat on markers": (MARKER_HEAT, True),
    "heat outside the chest": (OUTSIDE_HEAT, True),
}
"""The score of the table, and whether it is one of the heat of a method or of cosines"""
SCORES_READ: Final = tuple(score for score, _ in _OF_TABLE.values())

_EXCLUDED, _COSINE, _PEAK = "excluded share", "cosine", "peak"
_COSINES = "distribution of cosines"
_COVARIATES = ("view", "manufacturer", "age", "sex")
_ANY = (-np.inf, np.inf)

QUANTITIES: Final[dict[str, tuple[Kind, tuple[float, float]]]] = {
    **{name: ("mean", SCORES[score].limits) for name, (score, _) in _OF_TABLE.items()},
    _COSINE: ("mean", (-1.0, 1.0)),
    _COSINES: ("distance", _ANY),
    _PEAK: ("distance", _ANY),
    _EXCLUDED: ("mean", (0.0, 1.0)),
    **dict.fromkeys(_COVARIATES, ("distance", _ANY)),
}
"""Each watched quantity with the kind of its chart and the limits of a case, in the order of the page"""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditTables:
    """What one audit says, as far as it is watched."""

    label: str  # its date or period, unique in the series
    day: date
    method: str
    scores: pd.DataFrame  # rows of the table of scores, of the scores in SCORES_READ
    phrases: pd.DataFrame  # patient, cosine, row and column (0 to 1) of the peak
    images: pd.DataFrame  # patient, and the covariates
    studies: int
    included: int  # images
    excluded: int | None  # files, reports and studies that failed or were left out; None: not known
    identity: Mapping[str, str]  # what must stay the same, as text: model, settings, version


def cases_of(audit: AuditTables) -> dict[str, Cases]:
    """Return the cases of every quantity that the audit measured in at least :data:`LEAST_CASES` cases."""
    found = {}
    for name, (score, is_of_heat) in _OF_TABLE.items():
        rows = values_of(audit.scores, audit.method if is_of_heat else COSINE, score)
        found[name] = Cases(values=rows["value"].to_numpy(dtype=float), patients=rows["patient"].to_numpy(dtype=str))
    of_phrases = audit.phrases["patient"].to_numpy(dtype=str)
    cosines = audit.phrases["cosine"].to_numpy(dtype=float)
    found[_COSINE] = found[_COSINES] = Cases(values=cosines, patients=of_phrases)
    pointed = audit.phrases["row"].notna().to_numpy()
    found[_PEAK] = Cases(values=_ninths(audit.phrases[pointed]), patients=of_phrases[pointed])
    of_images = audit.images["patient"].to_numpy(dtype=str)
    found |= {name: Cases(values=audit.images[name].to_numpy(dtype=str), patients=of_images) for name in _COVARIATES}
    if audit.excluded is not None:
        values = np.repeat([0.0, 1.0], [audit.included, audit.excluded])
        patients = np.array([f"{audit.label} {place}" for place in range(len(values))])  # each file for itself
        found[_EXCLUDED] = Cases(values=values, patients=patients)
    return {name: cases for name, cases in found.items() if len(cases) >= LEAST_CASES}


def _ninths(phrases: pd.DataFrame) -> np.ndarray:
    """Return which of nine parts of the image holds each peak: "upper left" and so on, as displayed."""
    rows, columns = (
        np.minimum((3.0 * phrases[name].to_numpy(dtype=float)).astype(int), 2) for name in ("row", "column")
    )
    names = np.array([[f"{high} {side}" for side in _SIDES] for high in _HEIGHTS])
    ninths: np.ndarray = names[rows, columns]
    return ninths


_HEIGHTS, _SIDES = ("upper", "middle", "lower"), ("left", "middle", "right")
