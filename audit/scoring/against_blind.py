"""A method's pointing game beside the content-blind map that does best on the same phrases."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from audit.scoring.scores import BLIND_METHODS, POINTING
from audit.scoring.statistics import Interval, paired_difference

__all__ = ["POINTING_SCORE", "BestBlind", "best_blind", "blind_hits", "values_of"]

POINTING_SCORE = POINTING[0]

_CASE = ["image", "phrase", "finding"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BestBlind:
    """The content-blind map that hits most often on a method's phrases."""

    method: str
    share: float  # of hits
    difference: Interval  # of the method's share minus this one


def values_of(table: pd.DataFrame, method: str, score: str) -> pd.DataFrame:
    """Take a method's values of one score, a row a case: ``image``, ``phrase``, ``finding``, ``patient``, ``value``."""
    chosen = (table["method"] == method) & (table["score"] == score) & table["value"].notna()
    return table.loc[chosen, [*_CASE, "patient", "value"]].astype(dict.fromkeys(("image", "finding", "patient"), "str"))


def blind_hits(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Take every content-blind map's values of :data:`POINTING_SCORE` (:func:`values_of`), without the patient."""
    return {name: values_of(table, name, POINTING_SCORE).drop(columns="patient") for name in BLIND_METHODS}


def best_blind(blind: Mapping[str, pd.DataFrame], hits: pd.DataFrame, *, seed: int) -> BestBlind | None:
    """Find the best content-blind map on the phrases of ``hits``; None where none of them was scored by any.

    Args:
        blind: the content-blind maps' values (:func:`blind_hits`).
        hits: a method's values of :data:`POINTING_SCORE`, of all phrases or some.
        seed: of the bootstrap over patients.
    """
    best: tuple[float, str, pd.DataFrame] | None = None
    for reference, theirs in blind.items():
        both = hits.merge(theirs, on=_CASE, suffixes=("", "_blind"))
        share = float(both["value_blind"].mean())
        if not both.empty and (best is None or share > best[0]):
            best = share, reference, both
    if best is None:
        return None
    share, reference, both = best
    difference = paired_difference(
        both["value"].to_numpy(dtype=float),
        both["value_blind"].to_numpy(dtype=float),
        both["patient"].tolist(),
        generator=np.random.default_rng(seed),
    )
    return BestBlind(method=reference, share=share, difference=difference)
