"""The pointing game by subgroup: is localisation as good in women, in children, on other machines?

A subgroup is a value of one attribute of the image or its phrase. Each is compared with the content-blind map that is
best on its own phrases, because location and size of boxes differ between groups, and with the other phrases.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool

from audit.metrics.against_blind import best_blind, hits_with_blind
from audit.metrics.statistics import patient_interval
from audit.metrics.subgroup_gaps import GroupOfPhrases, gaps_of
from pipelines.study import Image
from reports.run_record import ScoreDifference, SubgroupSummary
from reports.score_catalogue import POINTING

__all__ = ["ATTRIBUTES", "NOT_KNOWN", "ImageFacts", "age_band", "facts_of", "groups_of", "summarise_subgroups"]

NOT_KNOWN = "not known"
ATTRIBUTES = ("view", "sex", "age", "manufacturer", "photometric interpretation", "finding", "box size")
"""What phrases are grouped by, in the order of the tables."""

_BANDS = ((18.0, "0 to 17"), (40.0, "18 to 39"), (60.0, "40 to 59"), (80.0, "60 to 79"))
_OLDEST = "80 and over"
_SEXES = {"F": "female", "M": "male", "O": "other"}
_SIZES = ("smallest third", "middle third", "largest third")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """The subgroup attributes from an image's header."""

    view: str
    sex: str
    age: str
    manufacturer: str
    photometric_interpretation: str


def age_band(years: float | None) -> str:
    """Return the band of an age in years, upper ends excluded."""
    if years is None:
        return NOT_KNOWN
    return next((name for end, name in _BANDS if years < end), _OLDEST)


def facts_of(image: Image) -> ImageFacts:
    """Read the subgroup attributes from a header; the age becomes a band and is not stored."""
    return ImageFacts(
        view=image.view.value,
        sex=_SEXES.get(image.sex or "", NOT_KNOWN),
        age=age_band(image.age_years),
        manufacturer=image.manufacturer or NOT_KNOWN,
        photometric_interpretation=image.photometric_interpretation or NOT_KNOWN,
    )


def summarise_subgroups(
    table: pd.DataFrame,
    facts: Mapping[str, ImageFacts],
    methods: Sequence[str],
) -> tuple[SubgroupSummary, ...]:
    """Summarise the pointing game of each method in every subgroup that has a scored phrase.

    Args:
        table: every score (:func:`audit.metrics.summary.score_table`).
        facts: by ``image`` of the table.
        methods: whose heat was scored.
    """
    pointing = table[table["score"] == POINTING]
    return tuple(
        summary for method in methods for summary in _of_method(hits_with_blind(pointing, method), method, facts)
    )


def _of_method(hits: pd.DataFrame, method: str, facts: Mapping[str, ImageFacts]) -> Iterator[SubgroupSummary]:
    found = list(_groups(hits, facts))
    groups = [
        GroupOfPhrases(attribute=attribute, members=members, others=others) for attribute, _, members, others in found
    ]
    patients = np.unique(hits["patient"].to_numpy(dtype=str), return_inverse=True)[1]
    gaps = gaps_of(hits["value"].to_numpy(dtype=float), patients, groups)
    for (attribute, value, members, _), gap in zip(found, gaps, strict=True):
        yield _summary(hits[members], method, attribute, value).model_copy(update={"gap": gap})


def _groups(
    hits: pd.DataFrame, facts: Mapping[str, ImageFacts]
) -> Iterator[tuple[str, str, Bool[np.ndarray, " cases"], Bool[np.ndarray, " cases"]]]:
    """Yield attribute, value, the phrases with it, and those with another known value."""
    for attribute in () if hits.empty else ATTRIBUTES:
        values = groups_of(hits, facts, attribute).to_numpy()
        for value in sorted(set(values), key=_rank):
            members = values == value
            others = ~members & (values != NOT_KNOWN) & (value != NOT_KNOWN)
            yield attribute, value, members, others


def groups_of(hits: pd.DataFrame, facts: Mapping[str, ImageFacts], attribute: str) -> pd.Series:
    """Return the subgroup of each phrase.

    Args:
        hits: of a method (:func:`audit.metrics.against_blind.hits_with_blind`).
        facts: by ``image`` of the table.
        attribute: one of :data:`ATTRIBUTES`.
    """
    if attribute == "finding":
        return hits["finding"]
    if attribute == "box size":
        return _sizes(hits["random"])
    name = attribute.replace(" ", "_")
    return hits["image"].map(lambda image: getattr(facts[image], name))


def _rank(value: str) -> tuple[bool, int, str]:
    """Sort by name, thirds by size, and what is not known last."""
    third = next((place for place, name in enumerate(_SIZES) if value.startswith(name)), 0)
    return value == NOT_KNOWN, third, value


def _sizes(areas: pd.Series) -> pd.Series:
    """Return each phrase's third by the area of its boxes: the chance that a random point hits them."""
    if areas.isna().all():
        return pd.Series(NOT_KNOWN, index=areas.index)
    ends = np.nanquantile(areas, [1 / 3, 2 / 3]).tolist()
    names = np.array([_size(place, ends) for place in range(len(_SIZES))])
    return pd.Series(names[np.searchsorted(ends, areas.fillna(0.0))]).where(areas.notna(), NOT_KNOWN)


def _size(place: int, ends: Sequence[float]) -> str:
    low, high = (f"{100.0 * end:.1f} % of the image" for end in ends)
    return f"{_SIZES[place]}: {(f'up to {low}', f'up to {high}', f'above {high}')[place]}"


def _summary(group: pd.DataFrame, method: str, attribute: str, value: str) -> SubgroupSummary:
    interval = patient_interval(group["value"].to_numpy(dtype=float), group["patient"].tolist())
    blind = best_blind(group)
    return SubgroupSummary(
        attribute=attribute,
        value=value,
        method=method,
        score=POINTING,
        estimate=interval.estimate,
        low=interval.low,
        high=interval.high,
        scored=interval.values,
        patients=interval.patients,
        blind=None if blind is None else blind.share,
        difference=None
        if blind is None
        else ScoreDifference(
            reference=blind.method,
            estimate=blind.difference.estimate,
            low=blind.difference.low,
            high=blind.difference.high,
            scored=blind.difference.values,
            patients=blind.difference.patients,
        ),
    )
