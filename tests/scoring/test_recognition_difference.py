"""The difference of two areas under the ROC curve, against one that compares every phrase with every image."""

from dataclasses import replace

import numpy as np
import pytest

from audit.metrics.recognition import EmbeddedImage, EmbeddedPhrase, patient_weights, recognise
from audit.metrics.recognition_difference import area_differences
from reports.score_catalogue import PERCENTILE

FINDINGS = ("effusion", "nodule")


def seen_by(strength: float, *, count: int = 14, seed: int = 1) -> list[EmbeddedImage]:
    """Images of patients whose phrases resemble their finding, the more the better the model is."""
    generator, images = np.random.default_rng(seed), []
    for number in range(count):
        finding = FINDINGS[number % 2]
        noise = generator.normal(size=(2, 6))
        direction = np.eye(6)[number % 2]
        image, phrase = (_unit(strength * direction + row) for row in noise)
        images.append(
            EmbeddedImage(
                key=f"i{number}",
                study=f"s{number}",
                patient=f"p{number:02}",
                embedding=image,
                phrases=(EmbeddedPhrase(index=0, finding=finding, embedding=phrase, cosine=float(image @ phrase)),),
                has=frozenset({finding}),
            )
        )
    return images


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def area_in(images: list[EmbeddedImage], weights: np.ndarray) -> float:
    """The area if each patient counts as often as the weights say."""
    total, count = 0.0, 0.0
    for place, image in enumerate(images):
        (phrase,) = image.phrases
        others = [each for each, other in enumerate(images) if phrase.finding not in other.has]
        drawn = weights[others]
        if not weights[place] or not drawn.sum():
            continue
        wins = np.array([phrase.embedding @ (image.embedding - images[each].embedding) > 0.0 for each in others])
        total += weights[place] * (drawn @ wins) / drawn.sum()
        count += weights[place]
    return total / count if count else np.nan


def test_the_interval_is_that_of_differences_in_resamples_of_the_same_patients() -> None:
    first, second = seen_by(0.5), seen_by(1.5, seed=2)
    before, after, difference = area_differences(first, second)[None]
    assert (before, after) == pytest.approx([area_in(images, np.ones(14)) for images in (first, second)])
    assert difference.estimate == pytest.approx(after - before)
    drawn = patient_weights(14).T
    resampled = [area_in(second, weights) - area_in(first, weights) for weights in drawn]
    low, high = np.nanquantile(resampled, [0.025, 0.975])
    assert (difference.low, difference.high) == pytest.approx((low, high), abs=1e-5)


def test_each_area_is_that_of_the_models_own_run() -> None:
    first, second = seen_by(0.5), seen_by(1.5, seed=2)
    found = area_differences(first, second)
    assert set(found) == {None, *FINDINGS}
    for place, images in enumerate((first, second)):
        own = {each.finding: each.result.estimate for each in recognise(images).tests if each.test == PERCENTILE}
        assert {finding: areas[place] for finding, areas in found.items()} == pytest.approx(own)


def test_the_other_order_turns_the_sign_and_the_same_model_has_no_difference() -> None:
    first, second = seen_by(0.5), seen_by(1.5, seed=2)
    plain, turned = area_differences(first, second)[None][2], area_differences(second, first)[None][2]
    assert (plain.estimate, plain.low) == pytest.approx((-turned.estimate, -turned.high))
    assert area_differences(first, first)[None][2].estimate == 0.0


def test_other_images_or_phrases_are_an_error() -> None:
    images = seen_by(0.5)
    for other in (images[:-1], [replace(images[0], phrases=()), *images[1:]]):
        with pytest.raises(ValueError, match="same images and phrases"):
            area_differences(images, other)
