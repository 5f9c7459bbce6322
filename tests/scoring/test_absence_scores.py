"""Denied findings: two sentences are compared on images without and with the finding, and the images are ranked."""

from itertools import count

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.metrics.absence import Absence, StatedImage, absence_of
from reports.run_record import CosineTest
from reports.score_catalogue import ABSENCE_PERCENTILE, ASSERTION_PREFERRED, DENIAL_PREFERRED

_NUMBERS = count()
FINDING = "pleural effusion"


def image(
    asserted: float, denied: float, *, patient: str = "", has: bool = False, finding: str = FINDING
) -> StatedImage:
    key = f"image-{next(_NUMBERS):04d}"
    return StatedImage(
        key=key,
        patient=patient or key,
        cosines={finding: (asserted, denied)},
        denied={} if has else {finding: 0},
        has=frozenset({finding} if has else ()),
    )


def found_test(absence: Absence, test: str, finding: str | None = None) -> CosineTest:
    return next(each for each in absence.tests if (each.test, each.finding) == (test, finding))


@settings(max_examples=30, deadline=None)
@given(
    without=st.lists(st.integers(-5, 5), min_size=1, max_size=8),
    having=st.lists(st.integers(-5, 5), min_size=1, max_size=8),
)
def test_the_auc_is_the_share_of_pairs_that_the_assertion_orders_rightly(without: list[int], having: list[int]) -> None:
    images = [image(0.1 * cosine, 0.0) for cosine in without]
    images += [image(0.1 * cosine, 0.0, has=True) for cosine in having]
    pairs = [1.0 if theirs > mine else 0.5 if theirs == mine else 0.0 for mine in without for theirs in having]
    result = found_test(absence_of(images), ABSENCE_PERCENTILE).result
    assert result.estimate == pytest.approx(sum(pairs) / len(pairs))
    assert 0.0 <= result.low <= result.estimate <= result.high <= 1.0


def test_a_model_that_always_prefers_denials_wins_every_denial_and_no_assertion() -> None:
    rng = np.random.default_rng(1)
    absence = absence_of([image(cosine, 0.9, has=has) for has in (False, True) for cosine in rng.uniform(0, 0.5, 40)])
    assert found_test(absence, DENIAL_PREFERRED).result.estimate == 1.0
    assert found_test(absence, ASSERTION_PREFERRED).result.estimate == 0.0
    auc = found_test(absence, ABSENCE_PERCENTILE).result
    assert auc.low < 0.5 < auc.high


def test_a_tie_is_half_a_win() -> None:
    absence = absence_of([image(0.3, 0.3), image(0.3, 0.4)])
    assert found_test(absence, DENIAL_PREFERRED).result.estimate == 0.75


def test_images_of_the_same_patient_are_not_compared() -> None:
    own, other = image(0.9, 0.0, patient="a"), image(0.1, 0.0, patient="b")
    later = image(0.5, 0.0, patient="a", has=True)
    absence = absence_of([own, other, later])
    assert (absence.images[own.key][FINDING].percentile, absence.images[own.key][FINDING].images) == (None, 0)
    assert (absence.images[other.key][FINDING].percentile, absence.images[other.key][FINDING].images) == (1.0, 1)


def test_findings_are_summarised_apart_and_together() -> None:
    images = [image(0.1, 0.2), image(0.1, 0.2), image(0.2, 0.1, finding="nodule")]
    absence = absence_of(images)
    shares = {test.finding: (test.result.estimate, test.result.cases) for test in absence.tests}
    assert shares == {None: (pytest.approx(2 / 3), 3), FINDING: (1.0, 2), "nodule": (0.0, 1)}


def test_a_model_that_gave_no_number_is_not_measured() -> None:
    absence = absence_of([image(float("nan"), 0.2), image(0.1, 0.2)])
    assert found_test(absence, DENIAL_PREFERRED).result.cases == 1


def test_a_cohort_without_denials_has_no_test() -> None:
    assert absence_of([]) == Absence(images={})
    assert absence_of([image(0.1, 0.2, has=True)]).tests == ()
