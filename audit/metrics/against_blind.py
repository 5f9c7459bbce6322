"""A method's pointing game compared with the best content-blind map on the same phrases."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from audit.metrics.statistics import Interval, Labels, paired_difference
from reports.score_catalogue import BLIND_METHODS, POINTING

__all__ = ["BestBlind", "best_blind", "best_of", "filled", "hits_with_blind", "values_of"]

_CASE = ["image", "phrase", "finding"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BestBlind:
    """The content-blind map that hits most often on a method's phrases."""

    method: str
    share: float  # of hits
    difference: Interval  # of the method's share minus this one
    low: float  # the lowest lower end of the differences to all maps: above 0 where the method beats each of them


def values_of(table: pd.DataFrame, method: str, score: str) -> pd.DataFrame:
    """Return a method's values of one score, per case: ``image``, ``phrase``, ``finding``, ``patient``, ``value``."""
    chosen = (table["method"] == method) & (table["score"] == score) & table["value"].notna()
    return table.loc[chosen, [*_CASE, "patient", "value"]].astype(dict.fromkeys(("image", "finding", "patient"), "str"))


def hits_with_blind(table: pd.DataFrame, method: str) -> pd.DataFrame:
    """Join a method's values of the pointing game (:func:`values_of`) with those of each content-blind map.

    The maps' columns have their names, with NaN where a map was not scored.
    """
    hits = values_of(table, method, POINTING)
    for name in BLIND_METHODS:
        theirs = values_of(table, name, POINTING)[[*_CASE, "value"]].rename(columns={"value": name})
        hits = hits.merge(theirs, on=_CASE, how="left")
    return hits


def filled(
    references: Mapping[str, Float[np.ndarray, " cases"]],
) -> dict[str, Float[np.ndarray, " cases"]]:
    """Fill in every content-blind map's missing values, so that all maps are compared on the same cases.

    Without boxes of other patients a blind guess is the centre or any point: missing values of the words-only prior are
    those of the class-mean box, then of the centre, then of the random point. Otherwise a map that exists for two
    phrases and hits both would be the best.

    Args:
        references: values by the names of ``BLIND_METHODS``; NaN where a map was not scored.
    """
    found: dict[str, Float[np.ndarray, " cases"]] = {}
    simpler: Float[np.ndarray, " cases"] | None = None
    for name in (name for name in BLIND_METHODS if name in references):
        values = references[name]
        if np.isnan(values).all():
            continue
        simpler = values if simpler is None else np.where(np.isnan(values), simpler, values)
        found[name] = simpler
    return found


def best_of(
    own: Float[np.ndarray, " cases"],
    references: Mapping[str, Float[np.ndarray, " cases"]],
    patients: Labels,
    *,
    groups: Labels | None = None,
) -> BestBlind | None:
    """Return the content-blind map with the highest score on a method's cases; None if none was scored.

    Args:
        own: the method's values, all of them scored.
        references: the maps' values on the same cases; NaN where a map was not scored.
        patients: of the cases.
        groups: of the cases, for the difference of macro means.
    """
    differences: dict[str, tuple[float, Interval]] = {}
    for name, values in filled(references).items():
        both = ~np.isnan(values)
        chosen = None if groups is None else np.asarray(groups)[both]
        difference = paired_difference(own[both], values[both], np.asarray(patients)[both], groups=chosen)
        differences[name] = float(values[both].mean()), difference
    if not differences:
        return None
    best = min(differences, key=lambda name: (differences[name][1].estimate, differences[name][1].low))
    share, difference = differences[best]
    return BestBlind(
        method=best,
        share=share,
        difference=difference,
        low=min(each.low for _, each in differences.values()),
    )


def best_blind(hits: pd.DataFrame) -> BestBlind | None:
    """Return the best content-blind map on a method's phrases; None if no map was scored on any of them.

    Args:
        hits: the method's values and the maps' (:func:`hits_with_blind`), of all phrases or some.
    """
    references = {name: hits[name].to_numpy(dtype=float) for name in BLIND_METHODS}
    return best_of(hits["value"].to_numpy(dtype=float), references, hits["patient"].tolist())
