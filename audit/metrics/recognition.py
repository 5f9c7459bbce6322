"""Recognition: does the cosine of a phrase single out the image that it was written about?

Each phrase's cosine with its own image is ranked among its cosines with other patients' images that lack the finding:
those whose report does not name it (a sentence that denies it counts as lacking) and that have no box of it. The mean
of these percentiles is the area under the ROC curve of the phrase as a classifier of images. No heat is used.

Source: Hanley and McNeil 1982, "The meaning and use of the area under a receiver operating characteristic (ROC)
curve"; Radford et al. 2021, "Learning transferable visual models from natural language supervision" (retrieval).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int

from audit.metrics.statistics import patient_interval, recorded
from reports.run_record import CosineTest, Estimate
from reports.score_catalogue import BEATS_NEGATION, BEATS_OTHER_SIDE, COSINE_ROUNDING, PERCENTILE, RECALL

__all__ = [
    "EmbeddedImage",
    "EmbeddedPhrase",
    "PhraseRecognition",
    "RankedFinding",
    "Recognition",
    "auc_estimate",
    "drawn_percentiles",
    "estimate_of",
    "patient_weights",
    "ranked_by_finding",
    "recognise",
    "resampled_estimate",
    "share_won",
]

_RESAMPLES, _TAIL = 1000, 0.025
_SEED = 17  # of the bootstrap: the same cohort has the same interval
_TOGETHER = 512  # phrases whose cosines are in memory at once
_RANKS = (1, 5, 10)
_FEW_RESAMPLED = 10  # patients, below which too few resamples differ: the interval holds the one without resampling


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedPhrase:
    """A phrase of a report as the model sees it."""

    index: int  # among the image's phrases
    finding: str | None
    embedding: Float[np.ndarray, " dim"]
    cosine: float  # with its own image
    negated: float | None = None  # cosine of the own image with the finding denied; None if no finding is named
    other_side: float | None = None  # cosine with left and right swapped; None where that may be true as well


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedImage:
    """An image as the model sees it, with its phrases."""

    key: str
    study: str
    patient: str
    embedding: Float[np.ndarray, " dim"]
    phrases: tuple[EmbeddedPhrase, ...]
    has: frozenset[str]  # findings of its phrases and boxes
    unclear: frozenset[str] = frozenset()  # findings that its report neither affirms nor denies: historical ones


@dataclass(frozen=True, slots=True, kw_only=True)
class PhraseRecognition:
    """The cosines of one phrase with its own image and with those of other patients; None: not measured."""

    image: str
    patient: str
    phrase: int
    finding: str | None
    percentile: float | None = None  # share of the images without the finding that it ranks below its own; ties half
    images: int | None = None  # number of these images
    beats_negation: float | None = None  # 1, or 0.5 for a tie
    beats_other_side: float | None = None
    fall_same: float | None = None  # own cosine minus the mean with other patients' images of the same finding
    fall_without: float | None = None  # the same for images without the finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognition:
    """All phrases of a cohort, and what follows for the model."""

    phrases: tuple[PhraseRecognition, ...] = ()
    tests: tuple[CosineTest, ...] = ()
    sd: float | None = None  # of a phrase's cosines over the images, pooled over phrases; None if these are all alike


@dataclass(slots=True)
class _Cohort:
    """The images in the order of their patients."""

    images: Sequence[EmbeddedImage]
    matrix: Float[np.ndarray, "images dim"] = field(init=False)
    names: list[str] = field(init=False)  # of patients
    patient: Int[np.ndarray, " images"] = field(init=False)

    def __post_init__(self) -> None:
        self.images = sorted(self.images, key=lambda image: (image.patient, image.key))
        self.matrix = _unit(np.stack([image.embedding for image in self.images]))
        names, self.patient = np.unique([image.patient for image in self.images], return_inverse=True)
        self.names = names.tolist()

    def lacks(self, finding: str) -> Bool[np.ndarray, " images"]:
        """Mark the images that lack a finding."""
        return np.array([finding not in image.has | image.unclear for image in self.images])

    def has(self, finding: str) -> Bool[np.ndarray, " images"]:
        """Mark the images that have a finding."""
        return np.array([finding in image.has for image in self.images])


def recognise(images: Sequence[EmbeddedImage]) -> Recognition:
    """Rank each phrase's own image, compare phrases with their opposites, and retrieve reports.

    Intervals of the AUC are percentiles of a bootstrap over patients, who are drawn with all their phrases and images:
    an image is a case of its own phrases and a comparison for those of others. Other intervals are those of
    :mod:`audit.metrics.statistics`.
    """
    if not any(image.phrases for image in images):
        return Recognition()
    cohort = _Cohort(images)
    ranked = _ranked_by_finding(cohort)
    phrases = tuple(phrase for group in ranked.values() for phrase in group.phrases)
    count = sum(group.variances.size for group in ranked.values())
    pooled = sum(float(group.variances.sum()) for group in ranked.values()) / count if count else 0.0
    sd = float(np.sqrt(pooled))
    return Recognition(phrases=phrases, tests=tuple(_tests(cohort, ranked)), sd=sd if sd > COSINE_ROUNDING else None)


def ranked_by_finding(images: Sequence[EmbeddedImage]) -> "dict[str | None, RankedFinding]":
    """Rank the own image of each phrase among those without its finding, by finding.

    Cohorts of the same patients are resampled in the same way, so that their resamples are paired.
    """
    return _ranked_by_finding(_Cohort(images))


def _ranked_by_finding(cohort: _Cohort) -> "dict[str | None, RankedFinding]":
    by_finding: dict[str | None, list[tuple[int, EmbeddedPhrase]]] = {}
    for place, image in enumerate(cohort.images):
        for phrase in image.phrases:
            by_finding.setdefault(phrase.finding, []).append((place, phrase))
    weights = patient_weights(len(cohort.names))
    return {
        finding: _ranked(cohort, finding, members, weights)
        for finding, members in sorted(by_finding.items(), key=lambda item: str(item[0]))
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedFinding:
    """The phrases of one finding."""

    phrases: tuple[PhraseRecognition, ...]
    variances: Float[np.ndarray, " phrases"]  # of each phrase's cosines over all images
    sums: Float[np.ndarray, " resamples"]  # of the percentiles, in each resample
    counts: Float[np.ndarray, " resamples"]


def _ranked(
    cohort: _Cohort,
    finding: str | None,
    members: Sequence[tuple[int, EmbeddedPhrase]],
    weights: Float[np.ndarray, "patients resamples"],
) -> RankedFinding:
    phrases: list[PhraseRecognition] = []
    variances, sums, counts = [], np.zeros(_RESAMPLES), np.zeros(_RESAMPLES)
    for start in range(0, len(members), _TOGETHER):
        part = members[start : start + _TOGETHER]
        own = np.array([place for place, _ in part])
        cosines = _unit(np.stack([phrase.embedding for _, phrase in part])) @ cohort.matrix.T
        variances.append(cosines.var(axis=1, dtype=np.float64))
        measured = dict[str, list[float | None]]()
        if finding is not None:
            others = cohort.patient[own][:, None] != cohort.patient[None, :]
            lacking, having = (others & mask(finding)[None, :] for mask in (cohort.lacks, cohort.has))
            mine = cosines[np.arange(len(own)), own][:, None]
            ahead = mine - cosines
            wins = np.where(lacking, np.where(np.abs(ahead) <= COSINE_ROUNDING, 0.5, ahead > 0.0), 0.0)
            measured = {
                "percentile": _means(wins, lacking),
                "fall_without": _means(ahead, lacking),
                "fall_same": _means(ahead, having),
            }
            won, drawn = drawn_percentiles(wins, lacking, cohort.patient[own], cohort.patient, weights)
            sums += won
            counts += drawn
        phrases += [
            PhraseRecognition(
                image=cohort.images[place].key,
                patient=cohort.images[place].patient,
                phrase=phrase.index,
                finding=finding,
                images=None if finding is None else int(lacking[row].sum()),
                beats_negation=share_won(phrase.cosine, phrase.negated),
                beats_other_side=share_won(phrase.cosine, phrase.other_side),
                **{name: values[row] for name, values in measured.items()},
            )
            for row, (place, phrase) in enumerate(part)
        ]
    return RankedFinding(phrases=tuple(phrases), variances=np.concatenate(variances), sums=sums, counts=counts)


def _unit(vectors: np.ndarray) -> Float[np.ndarray, "rows dim"]:
    unit: Float[np.ndarray, "rows dim"] = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return unit


def _means(values: np.ndarray, chosen: Bool[np.ndarray, "phrases images"]) -> list[float | None]:
    counts = chosen.sum(axis=1)
    sums = np.where(chosen, values, 0.0).sum(axis=1, dtype=np.float64)
    return [float(total / count) if count else None for total, count in zip(sums, counts, strict=True)]


def patient_weights(patients: int) -> Float[np.ndarray, "patients resamples"]:
    """Draw how often each patient is in each bootstrap sample; the same for the same number of patients."""
    drawn = np.random.default_rng(_SEED).multinomial(patients, np.full(patients, 1.0 / patients), size=_RESAMPLES)
    weights: Float[np.ndarray, "patients resamples"] = drawn.T.astype(np.float32)
    return weights


def drawn_percentiles(
    wins: np.ndarray,
    compared: Bool[np.ndarray, "cases images"],
    rows: Int[np.ndarray, " cases"],
    columns: Int[np.ndarray, " images"],
    weights: Float[np.ndarray, "patients resamples"],
) -> tuple[Float[np.ndarray, " resamples"], Float[np.ndarray, " resamples"]]:
    """Return the sum of the cases' percentiles in each bootstrap sample over patients, and how many it has.

    Args:
        wins: 1 where a case ranks ahead of an image, 0.5 for a tie, 0 where the two are not compared.
        compared: whether a case is compared with an image.
        rows: patient of each case.
        columns: patient of each image.
        weights: of each patient in each sample.
    """
    won, of = (values.astype(np.float32) @ weights[columns] for values in (wins, compared))  # exact: halves
    drawn = weights[rows] * (of > 0)
    return (drawn * won / np.maximum(of, 1.0)).sum(axis=0), drawn.sum(axis=0)


def share_won(cosine: float, other: float | None) -> float | None:
    """Return 1 if a cosine is above another, 0.5 for a tie within rounding, else 0; None if there is no other."""
    if other is None or not np.isfinite(cosine - other):
        return None
    return 0.5 if abs(cosine - other) <= COSINE_ROUNDING else float(cosine > other)


def _tests(cohort: _Cohort, ranked: dict[str | None, RankedFinding]) -> Iterator[CosineTest]:
    for finding in (None, *(name for name in ranked if name is not None)):
        groups = list(ranked.values()) if finding is None else [ranked[finding]]
        phrases = [phrase for group in groups for phrase in group.phrases]
        sums, counts = (np.sum([getattr(group, name) for group in groups], axis=0) for name in ("sums", "counts"))
        auc = auc_estimate([(phrase.patient, phrase.percentile) for phrase in phrases], sums, counts)
        if auc is not None:
            yield CosineTest(kind="recognition", test=PERCENTILE, finding=finding, result=auc, chance=0.5)
        for test, name in ((BEATS_NEGATION, "beats_negation"), (BEATS_OTHER_SIDE, "beats_other_side")):
            result = estimate_of([(phrase.patient, getattr(phrase, name)) for phrase in phrases])
            if result is not None:
                yield CosineTest(kind="recognition", test=test, finding=finding, result=result, chance=0.5)
    yield from _retrieval(cohort)


def auc_estimate(
    values: Sequence[tuple[str, float | None]],
    sums: Float[np.ndarray, " resamples"],
    counts: Float[np.ndarray, " resamples"],
) -> Estimate | None:
    """Return the mean percentile with its bootstrap interval; None if none was measured.

    Args:
        values: patient and percentile of each case.
        sums: sum of the percentiles in each resample.
        counts: number of percentiles in each resample.
    """
    plain = estimate_of(values)
    if plain is None or len({value for _, value in values if value is not None}) == 1:
        return plain  # all alike: resampling would say that there is no doubt
    return resampled_estimate(plain, sums[counts > 0] / counts[counts > 0])


def resampled_estimate(plain: Estimate, resampled: Float[np.ndarray, " resamples"]) -> Estimate:
    """Return an estimate with the interval of a bootstrap over patients.

    Args:
        plain: the estimate, with its interval without resampling.
        resampled: the statistic in each resample.
    """
    low, high = (float(end) for end in np.quantile(resampled, [_TAIL, 1.0 - _TAIL]))
    if plain.patients < _FEW_RESAMPLED:
        low, high = min(low, plain.low), max(high, plain.high)
    return plain.model_copy(update={"low": min(low, plain.estimate), "high": max(high, plain.estimate)})


def estimate_of(values: Sequence[tuple[str, float | None]], *, are_shares: bool = True) -> Estimate | None:
    """Return the mean of the measured values with its interval over patients; None if nothing was measured.

    Args:
        values: patient and value of each case.
        are_shares: they lie within 0 and 1; else they may be any number, and one patient gives no interval.
    """
    measured = [(patient, value) for patient, value in values if value is not None]
    if not measured:
        return None
    found = patient_interval(
        np.array([value for _, value in measured]),
        [patient for patient, _ in measured],
        may_be_negative=not are_shares,
    )
    return recorded(found)


def _retrieval(cohort: _Cohort) -> Iterator[CosineTest]:
    """Rank the reports of all patients for each image by the mean cosine with their phrases.

    Other studies of the same patient do not compete. Of equal reports each may be the first: a share of a hit.
    """
    reports: dict[str, tuple[str, Float[np.ndarray, " dim"]]] = {}
    for image in cohort.images:
        if image.phrases:
            mean = _unit(np.stack([phrase.embedding for phrase in image.phrases])).mean(axis=0)
            reports.setdefault(image.study, (image.patient, mean))
    if len(reports) < 2:
        return
    patients, studies = np.array([patient for patient, _ in reports.values()]), list(reports)
    cosines = cohort.matrix @ np.stack([mean for _, mean in reports.values()]).T
    hits: dict[int, list[tuple[str, float | None]]] = {rank: [] for rank in _RANKS}
    chances: dict[int, list[float]] = {rank: [] for rank in _RANKS}
    for image, row in zip(cohort.images, cosines, strict=True):
        if image.study not in reports:
            continue
        own, rivals = row[studies.index(image.study)], row[patients != image.patient]
        better, alike = int((rivals > own).sum()), int((rivals == own).sum()) + 1
        for rank in _RANKS:
            hits[rank].append((image.patient, float(np.clip((rank - better) / alike, 0.0, 1.0))))
            chances[rank].append(min(rank / (len(rivals) + 1), 1.0))
    for rank in _RANKS:
        result = estimate_of(hits[rank])
        if result is not None:
            chance = float(np.mean(chances[rank]))
            yield CosineTest(kind="recognition", test=RECALL.format(rank), finding=None, result=result, chance=chance)
