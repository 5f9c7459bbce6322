"""The mean heat of other patients' images: a reference that has a method's habit and nothing of this image."""

import numpy as np
import pytest

from audit.metrics.blind import GRID, BlindCase
from audit.metrics.habit import FEWEST_IMAGES, HeatedImage, HeatedPhrase, MeanHeats, heat_shares, mean_heat_rows
from audit.metrics.scores import score_on_grid
from pipelines.geometry import Fit, Placement
from reports.score_catalogue import MEAN_HEAT_CORRELATION, POINTING

PLACEMENT = Placement.of(rows=300, columns=200, size=56, fit=Fit.LETTERBOX)


def at(row: int, column: int, *, amount: float = 1.0) -> np.ndarray:
    """Heat in one cell of a grid of 8 x 8."""
    heat = np.zeros((8, 8))
    heat[row, column] = amount
    return heat


def sums(*images: tuple[str | None, np.ndarray]) -> MeanHeats:
    found = MeanHeats()
    for finding, heat in images:
        found.add_image("m2ib", [(finding, heat_shares(heat, PLACEMENT))])
    return found


def test_heat_over_the_image_sums_to_one_and_lies_where_the_image_has_it() -> None:
    shares = heat_shares(at(4, 3, amount=7.0), PLACEMENT)
    assert np.nansum(shares) == pytest.approx(1.0)
    row, column = (np.argwhere(shares == np.nanmax(shares)).mean(axis=0) + 0.5) / GRID
    expected = PLACEMENT.to_source(4.5 * 7, 3.5 * 7)  # the middle of the cell, in px of the source
    assert (row, column) == pytest.approx((expected[0] / 300, expected[1] / 200), abs=1.5 / GRID)


def test_cells_that_the_model_does_not_see_are_unknown_and_do_not_lower_the_mean() -> None:
    cropped = Placement.of(rows=300, columns=200, size=56, fit=Fit.CROP)
    shares = heat_shares(np.ones((8, 8)), cropped)
    assert np.isnan(shares[0]).all()
    assert not np.isnan(shares[GRID // 2]).any()
    found = sums(*[("nodule", at(0, 3))] * FEWEST_IMAGES)
    found.add_image("m2ib", [("nodule", shares)])
    top = found.of_others(MeanHeats(), "m2ib", "nodule")[0]
    assert top.max() == pytest.approx(np.nanmax(heat_shares(at(0, 3), PLACEMENT)[0]), rel=1e-5)


def test_no_heat_is_no_map() -> None:
    assert heat_shares(np.zeros((8, 8)), PLACEMENT) is None
    assert heat_shares(-np.ones((8, 8)), PLACEMENT) is None


def test_the_amount_of_an_images_heat_does_not_weigh() -> None:
    found = sums(*[("nodule", at(2, 2))] * FEWEST_IMAGES, *[("nodule", at(5, 5, amount=100.0))] * FEWEST_IMAGES)
    mean = found.of_others(MeanHeats(), "m2ib", "nodule")
    assert mean.sum() == pytest.approx(1.0, rel=1e-5)
    first = heat_shares(at(2, 2), PLACEMENT)
    assert mean[np.unravel_index(np.nanargmax(first), first.shape)] == pytest.approx(np.nanmax(first) / 2, rel=1e-5)


def test_a_patients_own_images_take_no_part() -> None:
    own = [("nodule", at(1, 1)), ("nodule", at(2, 1))]
    others = [("nodule", at(row % 8, 4)) for row in range(FEWEST_IMAGES)]
    with_own = sums(*others, *own).of_others(sums(*own), "m2ib", "nodule")
    assert np.allclose(with_own, sums(*others).of_others(MeanHeats(), "m2ib", "nodule"), atol=1e-7)


def test_with_fewer_than_ten_images_of_the_finding_the_mean_is_over_all() -> None:
    nodules = [("nodule", at(1, 1))] * (FEWEST_IMAGES - 1)
    found = sums(*nodules, ("effusion", at(6, 6)))
    of_all = found.of_others(MeanHeats(), "m2ib", "nodule")
    assert np.allclose(of_all, found.of_others(MeanHeats(), "m2ib", None))
    enough = sums(*nodules, ("nodule", at(1, 1)), ("effusion", at(6, 6)))
    assert np.allclose(enough.of_others(MeanHeats(), "m2ib", "nodule"), np.nan_to_num(heat_shares(at(1, 1), PLACEMENT)))


def test_several_phrases_of_an_image_count_as_one_image() -> None:
    found = MeanHeats()
    for _ in range(FEWEST_IMAGES - 1):
        found.add_image("m2ib", [("nodule", heat_shares(at(1, 1), PLACEMENT))] * 2)
    found.add_image("m2ib", [("effusion", heat_shares(at(6, 6), PLACEMENT))])
    mean = found.of_others(MeanHeats(), "m2ib", "nodule")  # nine images of nodules only: so the mean over all ten
    assert mean[heat_shares(at(6, 6), PLACEMENT) > 0].sum() == pytest.approx(0.1, rel=1e-4)


def test_without_another_patient_there_is_no_reference() -> None:
    own = sums(("nodule", at(1, 1)))
    assert own.of_others(own, "m2ib", "nodule") is None
    case = BlindCase(patient="a", finding="nodule", side=None, zone=None, boxes=((0.1, 0.1, 0.3, 0.3),))
    scores = score_on_grid(None, case, method="mean heat of m2ib", image_shape=(300, 200), model_px=(1.0, 1.0))
    assert {score.outcome for score in scores} == {"unscored"}
    assert {score.reason for score in scores} == {"no other patient of the cohort has heat"}


@pytest.mark.parametrize(("place", "outcome"), [((4, 3), "hit"), ((0, 3), "miss")])
def test_the_mean_plays_the_pointing_game_against_the_phrases_boxes(place: tuple[int, int], outcome: str) -> None:
    mean = sums(*[("nodule", at(*place))] * FEWEST_IMAGES).of_others(MeanHeats(), "m2ib", "nodule")
    row, column = PLACEMENT.to_source(4.5 * 7, 3.5 * 7)
    x, y = column / 200, row / 300
    case = BlindCase(patient="a", finding="nodule", side=None, zone=None, boxes=((x - 0.1, y - 0.1, x + 0.1, y + 0.1),))
    scores = score_on_grid(mean, case, method="mean heat of m2ib", image_shape=(300, 200), model_px=(1.0, 1.0))
    assert next(score for score in scores if score.score == POINTING).outcome == outcome


def heated(patient: str, heat: np.ndarray, *, box_at: tuple[int, int]) -> HeatedImage:
    row, column = PLACEMENT.to_source((box_at[0] + 0.5) * 7, (box_at[1] + 0.5) * 7)
    x, y = column / 200, row / 300
    box = (x - 0.1, y - 0.1, x + 0.1, y + 0.1)
    case = BlindCase(patient=patient, finding="nodule", side=None, zone=None, boxes=(box,))
    phrase = HeatedPhrase(columns={"patient": patient, "phrase": 0}, case=case, heats={"m2ib": heat})
    return HeatedImage(
        key=f"image of {patient}", patient=patient, placement=PLACEMENT, spacing_mm=None, phrases=(phrase,)
    )


def share_hit(images: list[HeatedImage]) -> float:
    rows = [row for row in mean_heat_rows(images) if row["score"] == POINTING]
    assert {row["method"] for row in rows} == {"mean heat of m2ib"}
    assert sorted(str(row["patient"]) for row in rows) == sorted(image.patient for image in images)
    return float(np.mean([row["value"] for row in rows]))


def test_a_method_that_follows_the_boxes_is_far_above_its_mean_and_one_with_a_habit_is_not() -> None:
    boxes = [(2 + place % 4, 2 + place % 3) for place in range(24)]
    looks = [heated(f"p{n}", at(*box), box_at=box) for n, box in enumerate(boxes)]
    habit = [heated(f"p{n}", at(2, 2), box_at=box) for n, box in enumerate(boxes)]
    assert share_hit(looks) <= 0.25  # of looking, which hits every box, the mean keeps little
    at_habit = np.mean([box == (2, 2) for box in boxes])
    assert share_hit(habit) == pytest.approx(at_habit)  # the mean of a habit is the habit


def test_the_reference_does_not_depend_on_the_order_of_the_studies() -> None:
    boxes = [(2 + place % 4, 2 + place % 3) for place in range(12)]
    images = [heated(f"p{n}", at(*box, amount=0.1 + n), box_at=box) for n, box in enumerate(boxes)]
    assert list(mean_heat_rows(images)) == list(mean_heat_rows(images[::-1]))


def correlations(heats: list[np.ndarray]) -> list[float]:
    images = [heated(f"p{n}", heat, box_at=(3, 3)) for n, heat in enumerate(heats)]
    rows = [row for row in mean_heat_rows(images) if row["score"] == MEAN_HEAT_CORRELATION]
    assert {row["method"] for row in rows} <= {"m2ib"}
    return [float(row["value"]) for row in rows]


def test_heat_that_is_the_same_on_every_image_correlates_with_its_mean_and_heat_that_moves_does_not() -> None:
    assert correlations([at(2, 3, amount=1.0 + n) for n in range(12)]) == pytest.approx([1.0] * 12)
    moving = correlations([at(1 + n % 6, 2 + n // 6) for n in range(18)])
    assert len(moving) == 18
    assert max(moving) < 0.5


def test_constant_heat_has_no_correlation_with_its_mean() -> None:
    assert correlations([np.ones((8, 8))] * 12) == []
