"""A method's pointing game beside the content-blind map that does best on the same phrases."""

from dataclasses import dataclass

import pandas as pd

from audit.scoring.scores import BLIND_METHODS, POINTING
from audit.scoring.statistics import Interval, paired_difference

__all__ = ["POINTING_SCORE", "BestBlind", "best_blind", "hits_beside_blind", "values_of"]

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


def hits_beside_blind(table: pd.DataFrame, method: str) -> pd.DataFrame:
    """Take a method's values of :data:`POINTING_SCORE` (:func:`values_of`), and beside them each content-blind map's.

    The maps' columns have their names, and hold NaN where a map was not scored.
    """
    hits = values_of(table, method, POINTING_SCORE)
    for name in BLIND_METHODS:
        theirs = values_of(table, name, POINTING_SCORE)[[*_CASE, "value"]].rename(columns={"value": name})
        hits = hits.merge(theirs, on=_CASE, how="left")
    return hits


def best_blind(hits: pd.DataFrame) -> BestBlind | None:
    """Find the best content-blind map on a method's phrases; None where none of them was scored by any.

    Args:
        hits: the method's values beside the maps' (:func:`hits_beside_blind`), of all phrases or some.
    """
    shares = {name: float(hits[name].mean()) for name in BLIND_METHODS if hits[name].notna().any()}
    if not shares:
        return None
    best = max(shares, key=shares.__getitem__)
    both = hits[hits[best].notna()]
    difference = paired_difference(
        both["value"].to_numpy(dtype=float),
        both[best].to_numpy(dtype=float),
        both["patient"].tolist(),
    )
    return BestBlind(method=best, share=shares[best], difference=difference)
