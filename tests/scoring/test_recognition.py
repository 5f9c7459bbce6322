"""Recognition and reliance: cosines of made-up embeddings whose ranks are known."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from audit.metrics.recognition import EmbeddedImage, EmbeddedPhrase, Recognition, recognise
from audit.metrics.reliance import ErasedPhrase, reliance_tests, reliance_values
from reports.run_record import CosineTest
from reports.score_catalogue import (
    BEATS_NEGATION,
    BEATS_OTHER_SIDE,
    FALL_BLANK,
    FALL_ELSEWHERE,
    FALL_REGION,
    FALL_SAME,
    FALL_WITHOUT,
    PERCENTILE,
    RECALL,
    RELIANCE,
)

FINDINGS = ("consolidation", "nodule", "pneumothorax")
DIRECTIONS = dict(zip(FINDINGS, np.eye(8)[:3], strict=True))


def cohort(count: int, *, signal: float, seed: int = 0, images_each: int = 1) -> list[EmbeddedImage]:
    """Make patients with one or two findings whose images point towards them, by ``signal`` beside noise of 1."""
    generator = np.random.default_rng(seed)
    images = []
    for patient in range(count):
        chosen = generator.choice(FINDINGS, size=int(generator.integers(1, 3)), replace=False).tolist()
        for view in range(images_each):
            pixels = generator.standard_normal(8) + signal * sum(DIRECTIONS[name] for name in chosen)
            pixels /= np.linalg.norm(pixels)
            phrases = tuple(
                EmbeddedPhrase(
                    index=index,
                    finding=name,
                    embedding=DIRECTIONS[name] + 0.1 * generator.standard_normal(8),
                    cosine=float(pixels @ DIRECTIONS[name]),
                    negated=float(-pixels @ DIRECTIONS[name]),
                )
                for index, name in enumerate(chosen)
            )
            images.append(
                EmbeddedImage(
                    key=f"image {patient} {view}",
                    study=f"study {patient}",
                    patient=f"patient {patient:03d}",
                    embedding=pixels,
                    phrases=phrases,
                    has=frozenset(chosen),
                )
            )
    return images


def result(found: Recognition, test: str, finding: str | None = None) -> CosineTest:
    (chosen,) = [each for each in found.tests if (each.test, each.finding) == (test, finding)]
    return chosen


def test_a_percentile_is_the_share_of_images_without_the_finding_that_the_phrase_ranks_below_its_own() -> None:
    images = cohort(30, signal=1.0)
    found = recognise(images)
    assert len(found.phrases) == sum(len(image.phrases) for image in images)
    by_key = {image.key: image for image in images}
    for phrase in found.phrases:
        image = by_key[phrase.image]
        text = image.phrases[phrase.phrase]
        lacking = [other for other in images if text.finding not in other.has]
        cosines = [float(text.embedding @ other.embedding) for other in (image, *lacking)]
        truth = roc_auc_score([1] + [0] * len(lacking), cosines)
        assert phrase.percentile == pytest.approx(truth)
        assert phrase.images == len(lacking)


def test_the_area_under_the_curve_tells_a_model_that_looks_from_one_that_does_not() -> None:
    looks = result(recognise(cohort(60, signal=3.0)), PERCENTILE).result
    guesses = result(recognise(cohort(60, signal=0.0)), PERCENTILE).result
    assert looks.low > 0.9
    assert guesses.low < 0.5 < guesses.high
    assert looks.patients == 60


def test_the_interval_of_the_area_holds_chance_in_cohorts_of_a_model_that_guesses() -> None:
    held = 0
    for seed in range(60):
        interval = result(recognise(cohort(24, signal=0.0, seed=seed, images_each=2)), PERCENTILE).result
        held += interval.low <= 0.5 <= interval.high
    assert held >= 52  # 95 % of 60 are 57; fewer than 52 happen once in a hundred cohorts of cohorts


def test_images_of_the_same_patient_and_unclear_ones_are_no_comparison() -> None:
    image, other, twin = cohort(3, signal=2.0)[:3]
    finding = image.phrases[0].finding
    assert finding is not None
    image = replace(image, phrases=image.phrases[:1], has=frozenset({finding}))
    twin = replace(twin, patient=image.patient, has=frozenset(), phrases=())
    lacks = replace(other, has=frozenset(), phrases=())
    assert recognise([image, twin]).phrases[0].percentile is None
    assert recognise([image, twin, lacks]).phrases[0].percentile is not None
    unclear = replace(lacks, unclear=frozenset({finding}))
    assert recognise([image, twin, unclear]).phrases[0].percentile is None


def test_a_phrase_is_compared_with_its_negation_and_with_the_other_side() -> None:
    images = cohort(20, signal=3.0)
    won = result(recognise(images), BEATS_NEGATION).result
    assert won.estimate > 0.9
    assert not [each for each in recognise(images).tests if each.test == BEATS_OTHER_SIDE]
    tied = [
        replace(image, phrases=tuple(replace(phrase, other_side=phrase.cosine) for phrase in image.phrases))
        for image in images
    ]
    assert result(recognise(tied), BEATS_OTHER_SIDE).result.estimate == 0.5


def test_a_report_is_retrieved_by_its_image() -> None:
    generator = np.random.default_rng(3)
    vectors = np.linalg.qr(generator.standard_normal((12, 12)))[0]
    images = [
        EmbeddedImage(
            key=str(place),
            study=str(place),
            patient=str(place),
            embedding=vectors[place],
            phrases=(EmbeddedPhrase(index=0, finding=None, embedding=vectors[place], cosine=1.0),),
            has=frozenset(),
        )
        for place in range(12)
    ]
    exact = result(recognise(images), RECALL.format(1))
    assert (exact.result.estimate, exact.chance) == (1.0, pytest.approx(1 / 12))
    alike = [replace(image, phrases=images[0].phrases) for image in images]  # all reports say the same
    assert result(recognise(alike), RECALL.format(5)).result.estimate == pytest.approx(5 / 12)


def test_recognition_does_not_depend_on_the_order_of_the_studies() -> None:
    images = cohort(15, signal=1.0)
    assert recognise(images) == recognise(images[::-1])


def test_reliance_is_the_fall_for_the_region_less_the_fall_elsewhere_in_standard_deviations() -> None:
    images = cohort(40, signal=2.0)
    recognition = recognise(images)
    assert recognition.sd is not None
    cosines = np.stack([image.embedding for image in images]) @ np.stack(list(DIRECTIONS.values())).T
    assert recognition.sd == pytest.approx(cosines.std(axis=0).mean(), rel=0.1)
    erased = [
        ErasedPhrase(
            image=image.key,
            patient=image.patient,
            phrase=0,
            finding=image.phrases[0].finding,
            cosine=0.9,
            region=0.5,
            elsewhere=(0.85, 0.75),
            blank=0.1,
        )
        for image in images
    ]
    values = reliance_values(erased[0], None, 0.2)
    assert values == pytest.approx({RELIANCE: 1.5, FALL_REGION: 2.0, FALL_ELSEWHERE: 0.5, FALL_BLANK: 4.0})
    tests = {(each.test, each.finding): each.result for each in reliance_tests(erased, recognition)}
    assert tests[RELIANCE, None].estimate == pytest.approx(0.3 / recognition.sd)
    assert tests[RELIANCE, None].cases == 40
    assert tests[FALL_WITHOUT, None].estimate > tests[FALL_SAME, None].estimate
    assert {finding for test, finding in tests if test == RELIANCE} == {None, *FINDINGS}


def test_a_model_that_ignores_the_image_has_no_reliance_and_what_was_not_measured_is_left_out() -> None:
    erased = ErasedPhrase(image="a", patient="a", phrase=0, finding=None, cosine=0.3, region=0.3, blank=0.3)
    assert reliance_values(erased, None, 1e-9) == {}
    assert reliance_values(erased, None, None) == {}
    assert reliance_values(erased, None, 0.1) == {FALL_REGION: 0.0, FALL_BLANK: 0.0}  # no equal area elsewhere


def test_differences_of_rounding_are_no_preference() -> None:
    images = [
        replace(image, phrases=tuple(replace(each, negated=each.cosine + 3e-8) for each in image.phrases))
        for image in cohort(12, signal=1.0)
    ]
    assert {phrase.beats_negation for phrase in recognise(images).phrases} == {0.5}


def test_a_model_that_embeds_every_image_alike_but_for_rounding_has_percentiles_of_one_half_and_no_spread() -> None:
    generator = np.random.default_rng(3)
    images = [
        replace(image, embedding=np.ones(8) / np.sqrt(8.0) + 2e-8 * generator.standard_normal(8))
        for image in cohort(12, signal=1.0)
    ]
    found = recognise(images)
    assert {phrase.percentile for phrase in found.phrases} == {0.5}
    assert found.sd is None


def test_falls_within_0_and_1_are_no_shares_and_few_patients_do_not_make_a_model_rely() -> None:
    found = Recognition(sd=1.0)
    erased = [
        ErasedPhrase(image=f"i{n}", patient=f"p{n}", phrase=0, finding=None, cosine=fall, region=0.0, elsewhere=(fall,))
        for n, fall in enumerate((0.01, 0.9, 0.02, 0.03, 0.02))
    ]
    (fall,) = [test for test in reliance_tests(erased, found) if (test.test, test.finding) == (FALL_REGION, None)]
    assert fall.result.low < 0.0
    assert not [test for test in reliance_tests(erased[:1], found) if test.test == FALL_REGION]  # one patient


def test_falls_that_are_no_numbers_are_not_measured() -> None:
    erased = ErasedPhrase(image="i", patient="p", phrase=0, finding=None, cosine=np.nan, region=0.1, elsewhere=(0.2,))
    assert reliance_values(erased, None, 1.0) == {}


def test_the_interval_of_two_patients_is_not_a_point() -> None:
    tests = [test for seed in range(12) for test in recognise(cohort(2, signal=0.0, seed=seed)).tests]
    widths = [
        test.result.high - test.result.low for test in tests if test.test == PERCENTILE and test.result.patients > 1
    ]
    assert widths
    assert min(widths) > 0.5


def test_without_any_phrase_nothing_is_measured() -> None:
    images = [replace(image, phrases=()) for image in cohort(3, signal=1.0)]
    assert recognise(images) == recognise([]) == Recognition()
