"""Absence: does the model tell an image that lacks a finding from one that has it, where a report denies the finding?

Two sentences that differ in one word, "Pleural effusion." and "No pleural effusion.", are compared on every image. For
an image whose report denies the finding:

- **denial preferred**: whether the denial has the higher cosine. A model that always prefers denials wins here too, so
  the same comparison on the images that have the finding is reported with it.
- **percentile**: the share of other patients' images with the finding that have a higher cosine with the assertion. Its
  mean is the area under the ROC curve of the assertion as a classifier of images: a model that ignores the image gets
  0.5, whatever its sentences prefer.

No heat is used: there is no region to show.

Source: Tiu et al. 2022, "Expert-level detection of pathologies from unannotated chest X-ray images via self-supervised
learning" (a finding and its negation as two sentences); Hanley and McNeil 1982 (area under the ROC curve).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from audit.metrics.recognition import auc_estimate, drawn_percentiles, estimate_of, patient_weights, share_won
from reports.run_record import AbsenceTest, CosineTest
from reports.score_catalogue import ABSENCE_PERCENTILE, ASSERTION_PREFERRED, COSINE_ROUNDING, DENIAL_PREFERRED

__all__ = ["Absence", "StatedImage", "absence_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedImage:
    """An image with its cosines, and what report and boxes say of it."""

    key: str
    patient: str
    cosines: Mapping[str, tuple[float, float]]  # with each finding asserted, and denied
    denied: Mapping[str, int]  # number of the absent phrase, by its finding
    has: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Absence:
    """What follows from all denials of a cohort."""

    tests: tuple[CosineTest, ...] = ()  # over all findings, then of each
    images: Mapping[str, Mapping[str, AbsenceTest]]  # by key of the image and finding


@dataclass(frozen=True, slots=True, kw_only=True)
class _Denials:
    """One finding: the images that lack it, and those that have it."""

    finding: str
    lacking: Sequence[StatedImage]
    having: Sequence[StatedImage]
    percentiles: Sequence[float | None]  # of the images that lack it
    others: Sequence[int]  # other patients' images that have it, of each image that lacks it
    sums: Float[np.ndarray, " resamples"]
    counts: Float[np.ndarray, " resamples"]


def absence_of(images: Sequence[StatedImage]) -> Absence:
    """Compare the images of which a finding is denied with their own assertion, and with images that have the finding.

    Intervals of the area under the ROC curve are percentiles of a bootstrap over patients, as for
    :mod:`audit.metrics.recognition`; others are those of :mod:`audit.metrics.statistics`.
    """
    names, patients = np.unique([image.patient for image in images], return_inverse=True)
    places = {image.key: place for image, place in zip(images, patients.tolist(), strict=True)}
    weights = patient_weights(len(names)) if len(images) else np.zeros((0, 0), dtype=np.float32)
    findings = sorted({finding for image in images for finding in image.denied if finding in image.cosines})
    found = [_denials(finding, images, places, weights) for finding in findings]
    by_image: dict[str, dict[str, AbsenceTest]] = {}
    for each in found:
        for image, percentile, others in zip(each.lacking, each.percentiles, each.others, strict=True):
            by_image.setdefault(image.key, {})[each.finding] = AbsenceTest(percentile=percentile, images=others)
    tests = [test for group in ([found] if found else []) for test in _tests(None, group)]
    tests += [test for each in found for test in _tests(each.finding, [each])]
    return Absence(tests=tuple(tests), images=by_image)


def _denials(
    finding: str,
    images: Sequence[StatedImage],
    places: Mapping[str, int],
    weights: Float[np.ndarray, "patients resamples"],
) -> _Denials:
    known = [image for image in images if np.isfinite(image.cosines.get(finding, np.nan)).all()]
    lacking = [image for image in known if finding in image.denied]
    having = [image for image in known if finding in image.has]
    mine, theirs = (np.array([image.cosines[finding][0] for image in group]) for group in (lacking, having))
    rows, columns = (np.array([places[image.key] for image in group], dtype=int) for group in (lacking, having))
    ahead = theirs[None, :] - mine[:, None]
    others = rows[:, None] != columns[None, :]
    wins = np.where(others, np.where(np.abs(ahead) <= COSINE_ROUNDING, 0.5, ahead > 0.0), 0.0)
    counts = others.sum(axis=1)
    sums, drawn = drawn_percentiles(wins, others, rows, columns, weights)
    return _Denials(
        finding=finding,
        lacking=lacking,
        having=having,
        percentiles=[
            float(total / count) if count else None for total, count in zip(wins.sum(axis=1), counts, strict=True)
        ],
        others=counts.tolist(),
        sums=sums,
        counts=drawn,
    )


def _tests(finding: str | None, groups: Sequence[_Denials]) -> Iterator[CosineTest]:
    percentiles = [
        (image.patient, percentile)
        for each in groups
        for image, percentile in zip(each.lacking, each.percentiles, strict=True)
    ]
    sums, drawn = (np.sum([getattr(each, name) for each in groups], axis=0) for name in ("sums", "counts"))
    denied = [(image.patient, _preference(image, each.finding)) for each in groups for image in each.lacking]
    asserted = [
        (image.patient, None if (denial := _preference(image, each.finding)) is None else 1.0 - denial)
        for each in groups
        for image in each.having
    ]
    for test, result in (
        (ABSENCE_PERCENTILE, auc_estimate(percentiles, sums, drawn)),
        (DENIAL_PREFERRED, estimate_of(denied)),
        (ASSERTION_PREFERRED, estimate_of(asserted)),
    ):
        if result is not None:
            yield CosineTest(kind="absence", test=test, finding=finding, result=result, chance=0.5)


def _preference(image: StatedImage, finding: str) -> float | None:
    assertion, denial = image.cosines[finding]
    return share_won(denial, assertion)
