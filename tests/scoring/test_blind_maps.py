"""Content-blind references: drawn from words and other patients alone, and handicapped by nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.metrics.blind import (
    GRID,
    BlindCase,
    BlindMaps,
    blind_point,
    cells_touched,
    centre_map,
    near_boxes,
    rasterise,
)


def case(
    patient: str, *boxes: tuple[float, float, float, float], side: str | None = None, zone: str | None = None
) -> BlindCase:
    return BlindCase(patient=patient, finding="nodule", side=side, zone=zone, boxes=boxes)


UPPER_LEFT, LOWER_RIGHT = (0.1, 0.1, 0.3, 0.3), (0.6, 0.6, 0.9, 0.9)


def test_the_class_mean_box_is_the_mean_of_the_other_patients_boxes() -> None:
    cases = [case("a", UPPER_LEFT), case("a", LOWER_RIGHT), case("b", LOWER_RIGHT), case("c", UPPER_LEFT)]
    mean = BlindMaps(cases).class_mean_box(cases[0])
    expected = np.mean([rasterise(c.boxes) for c in cases if c.patient != "a"], axis=0)
    np.testing.assert_allclose(mean, expected, atol=1e-6)


def test_a_patients_own_boxes_are_never_seen() -> None:
    only = case("a", UPPER_LEFT)
    maps = BlindMaps([only, only])
    assert maps.class_mean_box(only) is None
    assert maps.words_only_prior(only) is None


def test_the_words_only_prior_reads_side_and_zone_and_falls_back_where_nobody_else_has_them() -> None:
    cases = [
        case("a", UPPER_LEFT, side="right", zone="upper"),
        case("b", LOWER_RIGHT, side="left", zone="lower"),
        case("c", LOWER_RIGHT, side="left", zone="upper"),
    ]
    maps = BlindMaps(cases)
    lower_left = maps.words_only_prior(case("d", UPPER_LEFT, side="left", zone="lower"))
    np.testing.assert_array_equal(lower_left, rasterise([LOWER_RIGHT]).astype(np.float32))
    mid_left = maps.words_only_prior(case("d", UPPER_LEFT, side="left", zone="mid"))
    np.testing.assert_array_equal(mid_left, rasterise([LOWER_RIGHT]).astype(np.float32))
    nowhere = maps.words_only_prior(case("d", UPPER_LEFT, side="bilateral"))
    np.testing.assert_allclose(nowhere, maps.class_mean_box(case("d", UPPER_LEFT)))


def test_a_blind_map_points_at_the_middle_of_its_largest_plateau() -> None:
    blind = np.zeros((GRID, GRID), np.float32)
    blind[10:12, 10:12] = 1.0
    blind[50:60, 80:100] = 1.0
    row, column = blind_point(blind)
    assert row * GRID == pytest.approx(54.5, abs=0.6)
    assert column * GRID == pytest.approx(89.5, abs=0.6)


def test_the_centre_map_is_a_gaussian_of_a_sixth_of_each_side() -> None:
    profile = centre_map()[GRID // 2]
    deviation = (np.arange(GRID)[profile >= profile.max() * np.exp(-0.5)].size - 1) / 2 / GRID
    assert deviation == pytest.approx(1 / 6, abs=0.01)


shares = st.floats(-0.5, 1.5)
rectangles = st.tuples(shares, shares, shares, shares).map(
    lambda r: (min(r[0], r[2]), min(r[1], r[3]), max(r[0], r[2]), max(r[1], r[3]))
)


@given(box=rectangles)
def test_a_cell_belongs_to_a_box_if_its_centre_does(box) -> None:
    x0, y0, x1, y1 = box
    centres = [(i + 0.5) / GRID for i in range(GRID)]
    expected = np.array([[x0 <= x < x1 and y0 <= y < y1 for x in centres] for y in centres])
    mask = rasterise([box])
    if min(x1, 1) - max(x0, 0) > 1.01 / GRID and min(y1, 1) - max(y0, 0) > 1.01 / GRID:
        np.testing.assert_array_equal(mask, expected)
    elif x1 <= 0 or y1 <= 0 or x0 >= 1 or y0 >= 1:
        assert not mask.any()


@given(box=rectangles)
def test_a_cell_is_touched_if_any_of_its_area_lies_in_the_box(box) -> None:
    x0, y0, x1, y1 = np.clip(box, 0.0, 1.0) * GRID
    edges = np.arange(GRID)
    across, down = ((edges + 1 > start) & (edges < end) & (start < end) for start, end in ((x0, x1), (y0, y1)))
    np.testing.assert_array_equal(cells_touched([box]), np.outer(down, across))
    assert not (rasterise([box]) & ~cells_touched([box])).any()


def test_a_box_thinner_than_a_cell_still_marks_one() -> None:
    assert np.argwhere(rasterise([(0.5, 0.25, 0.5001, 0.2501)])).tolist() == [[32, 64]]


@pytest.mark.parametrize("tolerance", [0.0, 9.0, 40.0])
def test_random_hits_by_the_share_of_pixels_within_the_tolerance(tolerance) -> None:
    """Counted over every source pixel of an image that is not square."""
    rows, columns = 400, 200
    boxes = [(0.25, 0.25, 0.75, 0.5), (0.1, 0.9, 0.2, 1.0)]
    y, x = np.mgrid[0:rows, 0:columns] + 0.5
    distances = []
    for x0, y0, x1, y1 in boxes:
        nearest_x, nearest_y = np.clip(x, x0 * columns, x1 * columns), np.clip(y, y0 * rows, y1 * rows)
        distances.append(np.hypot(x - nearest_x, y - nearest_y))
    share = float((np.min(distances, axis=0) <= tolerance).mean())
    near = near_boxes(boxes, (rows, columns), tolerance=tolerance)
    assert float(near.mean()) == pytest.approx(share, rel=0.02)


def test_a_box_outside_the_image_draws_no_point_to_the_rim() -> None:
    assert not near_boxes([(1.01, 0.2, 1.2, 0.4)], (100, 100), tolerance=50.0).any()


def test_boxes_that_two_phrases_of_a_patient_share_count_once() -> None:
    cases = [case("a", UPPER_LEFT), case("a", UPPER_LEFT), case("a", UPPER_LEFT), case("b", LOWER_RIGHT)]
    mean = BlindMaps(cases).class_mean_box(case("c", UPPER_LEFT))
    assert mean is not None
    assert (mean[20, 20], mean[90, 90]) == (0.5, 0.5)


@given(st.lists(st.tuples(st.sampled_from("abcd"), rectangles), min_size=1, max_size=8))
def test_leaving_a_patient_out_is_the_same_as_never_having_seen_them(drawn) -> None:
    cases = [case(patient, box) for patient, box in drawn]
    asked = cases[0]
    without = [other for other in cases if other.patient != asked.patient]
    left_out, never_seen = (BlindMaps(known).class_mean_box(asked) for known in (cases, without))
    if never_seen is None:
        assert left_out is None
    else:
        np.testing.assert_array_equal(left_out, never_seen)
