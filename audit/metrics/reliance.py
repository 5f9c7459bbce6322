"""Reliance: does the model's answer depend on the region that the radiologist marked?

The region is erased from the image, and equal areas elsewhere in the chest. Reliance is the fall of the phrase's cosine
for the region minus the mean fall elsewhere, in standard deviations of a phrase's cosines over the cohort's images. 0:
the region matters no more than any other. The differences are paired: whatever erasing itself does to the cosine is in
both.

Source: Zeiler and Fergus 2014, "Visualizing and understanding convolutional networks", section 4.2 (occlusion).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from audit.metrics.recognition import PhraseRecognition, Recognition, estimate_of
from reports.run_record import CosineTest
from reports.score_catalogue import (
    COSINE_ROUNDING,
    FALL_BLANK,
    FALL_ELSEWHERE,
    FALL_REGION,
    FALL_SAME,
    FALL_WITHOUT,
    RELIANCE,
)

__all__ = ["ErasedPhrase", "reliance_tests", "reliance_values"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasedPhrase:
    """A phrase's cosines with its image and with changed images; None or empty: not measured."""

    image: str
    patient: str
    phrase: int
    finding: str | None
    cosine: float
    region: float | None = None  # with the phrase's target erased
    elsewhere: tuple[float, ...] = ()  # with an equal area erased, at several places
    blank: float | None = None  # with an image of one grey value


def reliance_values(
    erased: ErasedPhrase | None, recognised: PhraseRecognition | None, sd: float | None
) -> dict[str, float]:
    """Return the measured values of one phrase by score, in standard deviations of the cosine.

    Args:
        erased: its cosines with changed images.
        recognised: its cosines with other patients' images.
        sd: standard deviation of a phrase's cosines over the cohort's images; None if they are all alike.

    Returns:
        Nothing if the cosine does not vary over images.
    """
    if sd is None or not sd > COSINE_ROUNDING:
        return {}
    falls: dict[str, float | None] = {}
    if erased is not None:
        elsewhere = [erased.cosine - cosine for cosine in erased.elsewhere]
        region = None if erased.region is None else erased.cosine - erased.region
        mean = float(np.mean(elsewhere)) if elsewhere else None
        falls = {
            RELIANCE: None if region is None or mean is None else region - mean,
            FALL_REGION: region,
            FALL_ELSEWHERE: mean,
            FALL_BLANK: None if erased.blank is None else erased.cosine - erased.blank,
        }
    if recognised is not None:
        falls |= {FALL_SAME: recognised.fall_same, FALL_WITHOUT: recognised.fall_without}
    return {score: fall / sd for score, fall in falls.items() if fall is not None and np.isfinite(fall)}


def reliance_tests(erased: Sequence[ErasedPhrase], recognition: Recognition) -> Iterator[CosineTest]:
    """Summarise the falls over all phrases and for each finding, with intervals over patients."""
    by_phrase = {(phrase.image, phrase.phrase): phrase for phrase in erased}
    recognised = {(phrase.image, phrase.phrase): phrase for phrase in recognition.phrases}
    rows: list[tuple[str, str | None, dict[str, float]]] = []
    for place in {**by_phrase, **recognised}:
        about = by_phrase.get(place) or recognised[place]
        values = reliance_values(by_phrase.get(place), recognised.get(place), recognition.sd)
        rows.append((about.patient, about.finding, values))
    findings = sorted({finding for _, finding, _ in rows if finding is not None})
    for finding in (None, *findings):
        chosen = [(patient, values) for patient, of, values in rows if finding is None or of == finding]
        for score in (RELIANCE, FALL_REGION, FALL_ELSEWHERE, FALL_BLANK, FALL_SAME, FALL_WITHOUT):
            result = estimate_of([(patient, values.get(score)) for patient, values in chosen], are_shares=False)
            if result is not None:
                yield CosineTest(kind="reliance", test=score, finding=finding, result=result, chance=0.0)
