"""Agreement between reviewers beyond chance, question by question, with an interval over patients."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
from jaxtyping import Float

from reports.review_record import VERDICTS

__all__ = ["Agreement", "Judged", "agreements"]

_RESAMPLES: Final = 2000
_DEFINED_AT_LEAST: Final = 0.95  # share of resamples with a defined kappa that an interval needs

Kappa = Callable[[Float[np.ndarray, "sums features"]], Float[np.ndarray, " sums"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The latest answer of every reviewer for one heat map; reviewers without an answer are not included."""

    patient: str
    finding: str | None
    verdicts: Mapping[str, str]  # by reviewer


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """One agreement statistic on the heat maps that all of ``reviewers`` judged."""

    question: str  # column of the exported table: "verdict" or "region_needed"
    statistic: str  # "Cohen's kappa", "Cohen's kappa, linear weights" or "Fleiss' kappa"
    finding: str | None  # None: all
    reviewers: tuple[str, ...]
    heats: int
    patients: int
    agree: float | None  # share of heats (Fleiss: of pairs of reviewers, mean over heats) with the same verdict
    kappa: float | None  # None if all verdicts are equal, so that chance alone would always agree
    low: float | None  # 95 % over patients; None for fewer than two patients, or if kappa is rarely defined
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Statistic:
    """A kappa as a function of sums over heat maps, so that patients are resampled by weighting their sums."""

    name: str
    features: Float[np.ndarray, "heats features"]
    agree: Kappa
    kappa: Kappa


def agreements(
    judged: Sequence[Judged], *, question: str = "verdict", verdicts: Sequence[str] = VERDICTS, seed: int = 0
) -> tuple[Agreement, ...]:
    """Compute all statistics of one question over all heat maps, then for each finding.

    Cohen's kappa for each pair of reviewers, plain and with linear weights (``verdicts`` are in order), and for three
    or more Fleiss' kappa on the heat maps that all of them judged.

    Source: Cohen 1960, "A coefficient of agreement for nominal scales"; Cohen 1968, "Weighted kappa"; Fleiss 1971,
    "Measuring nominal scale agreement among many raters", equations 1 to 7. Intervals: percentiles over resampled
    patients, Davison and Hinkley 1997, "Bootstrap methods and their application", section 3.8.
    """
    reviewers = sorted({reviewer for each in judged for reviewer in each.verdicts})
    findings = sorted({each.finding for each in judged if each.finding is not None})
    found = []
    for finding in (None, *findings):
        chosen = [each for each in judged if finding is None or each.finding == finding]
        groups = [tuple(reviewers)] if len(reviewers) > 2 else []
        for group in (*groups, *combinations(reviewers, 2)):
            shared = [each for each in chosen if set(group) <= each.verdicts.keys()]
            statistics = _cohen(shared, group, verdicts) if len(group) == 2 else (_fleiss(shared, group, verdicts),)
            found += [_agreement(question, each, shared, group, finding, seed=seed) for each in statistics]
    return tuple(found)


def _cohen(judged: Sequence[Judged], pair: tuple[str, ...], verdicts: Sequence[str]) -> tuple[_Statistic, ...]:
    """Return both kappas of two reviewers; a heat map's features are its cell in the table of their verdicts."""
    size = len(verdicts)
    features = np.zeros((len(judged), size * size))
    for row, each in enumerate(judged):
        first, second = (verdicts.index(each.verdicts[reviewer]) for reviewer in pair)
        features[row, first * size + second] = 1.0
    apart = np.abs(np.subtract.outer(np.arange(size), np.arange(size)))
    plain, linear = (apart > 0).astype(float), apart / (size - 1)

    def kappa(weights: Float[np.ndarray, "verdicts verdicts"]) -> Kappa:
        def of(sums: Float[np.ndarray, "sums features"]) -> Float[np.ndarray, " sums"]:
            table = sums.reshape(-1, size, size)
            total = table.sum((-2, -1))
            chance = table.sum(-1)[:, :, None] * table.sum(-2)[:, None, :] / _nonzero(total)[:, None, None]
            return _beyond((weights * table).sum((-2, -1)), (weights * chance).sum((-2, -1)))

        return of

    def agree(sums: Float[np.ndarray, "sums features"]) -> Float[np.ndarray, " sums"]:
        same: Float[np.ndarray, " sums"] = sums[:, :: size + 1].sum(-1) / _nonzero(sums.sum(-1))
        return same

    return (
        _Statistic(name="Cohen's kappa", features=features, agree=agree, kappa=kappa(plain)),
        _Statistic(name="Cohen's kappa, linear weights", features=features, agree=agree, kappa=kappa(linear)),
    )


def _fleiss(judged: Sequence[Judged], group: tuple[str, ...], verdicts: Sequence[str]) -> _Statistic:
    """Return Fleiss' kappa; a heat map's features are its count of each verdict and the share of agreeing pairs."""
    raters = len(group)
    features = np.zeros((len(judged), len(verdicts) + 1))
    for row, each in enumerate(judged):
        for reviewer in group:
            features[row, verdicts.index(each.verdicts[reviewer])] += 1.0
    features[:, -1] = ((features[:, :-1] ** 2).sum(1) - raters) / (raters * (raters - 1))

    def agree(sums: Float[np.ndarray, "sums features"]) -> Float[np.ndarray, " sums"]:
        share: Float[np.ndarray, " sums"] = sums[:, -1] / _nonzero(sums[:, :-1].sum(-1) / raters)
        return share

    def kappa(sums: Float[np.ndarray, "sums features"]) -> Float[np.ndarray, " sums"]:
        counts = sums[:, :-1]
        shares = counts / _nonzero(counts.sum(-1))[:, None]
        return _beyond(1.0 - agree(sums), 1.0 - (shares**2).sum(-1))

    return _Statistic(name="Fleiss' kappa", features=features, agree=agree, kappa=kappa)


def _agreement(
    question: str,
    statistic: _Statistic,
    judged: Sequence[Judged],
    group: tuple[str, ...],
    finding: str | None,
    *,
    seed: int,
) -> Agreement:
    patients, index = np.unique(np.array([each.patient for each in judged], dtype=str), return_inverse=True)
    total = statistic.features.sum(0)[None]
    kappa = float(statistic.kappa(total)[0]) if judged else float("nan")
    low, high = None, None
    if len(patients) > 1 and np.isfinite(kappa):
        sums = np.zeros((len(patients), statistic.features.shape[1]))
        np.add.at(sums, index, statistic.features)
        low, high = _interval(sums, statistic.kappa, np.random.default_rng(seed))
    return Agreement(
        question=question,
        statistic=statistic.name,
        finding=finding,
        reviewers=group,
        heats=len(judged),
        patients=len(patients),
        agree=float(statistic.agree(total)[0]) if judged else None,
        kappa=kappa if np.isfinite(kappa) else None,
        low=low,
        high=high,
    )


def _interval(
    sums: Float[np.ndarray, "patients features"], kappa: Kappa, generator: np.random.Generator
) -> tuple[float | None, float | None]:
    """Return the percentile interval over resampled patients; resamples without a defined kappa are ignored."""
    count = len(sums)
    drawn = generator.multinomial(count, np.full(count, 1.0 / count), size=_RESAMPLES)
    values = kappa(drawn @ sums)
    defined = values[np.isfinite(values)]
    if len(defined) < _DEFINED_AT_LEAST * _RESAMPLES:
        return None, None
    low, high = np.quantile(defined, [0.025, 0.975])
    return float(low), float(high)


def _beyond(observed: Float[np.ndarray, " sums"], by_chance: Float[np.ndarray, " sums"]) -> Float[np.ndarray, " sums"]:
    """Return 1 minus observed disagreement divided by chance disagreement; NaN if the latter is 0."""
    share = np.full(by_chance.shape, np.nan)
    np.divide(observed, by_chance, out=share, where=by_chance > 1e-12)
    beyond: Float[np.ndarray, " sums"] = 1.0 - share
    return beyond


def _nonzero(totals: Float[np.ndarray, " sums"]) -> Float[np.ndarray, " sums"]:
    """Avoid 0 / 0 if nothing was judged: the numerator is 0 too."""
    positive: Float[np.ndarray, " sums"] = np.maximum(totals, 1e-300)
    return positive
