"""The pointing game against a brute-force loop, and its invariants."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from model_input import to_model

from audit.metrics.pointing import Outcome, Tolerance, find_peak, pointing_outcome
from pipelines.geometry import Fit, Placement

SHAPE = (7, 9)
maps = hnp.arrays(np.float32, SHAPE, elements=st.integers(0, 200).map(float))
masks = hnp.arrays(bool, SHAPE)


def brute_force(heat: np.ndarray, target: np.ndarray, tolerance: float) -> Outcome:
    """Straight from the definition, for maps whose hottest pixel is single."""
    if not target.any():
        return Outcome.UNSCORED
    best = max((heat[r, c], r, c) for r in range(SHAPE[0]) for c in range(SHAPE[1]) if np.isfinite(heat[r, c]))
    distances = [np.hypot(best[1] - r, best[2] - c) for r in range(SHAPE[0]) for c in range(SHAPE[1]) if target[r, c]]
    return Outcome.HIT if min(distances) <= tolerance else Outcome.MISS


@given(heat=maps, target=masks, tolerance=st.sampled_from([0.0, 1.0, 2.5]))
def test_it_agrees_with_a_loop_over_all_pixels(heat, target, tolerance) -> None:
    heat.flat[int(heat.argmax())] += 1.0  # a single hottest pixel
    assert pointing_outcome(heat, target, tolerance=Tolerance(reach=tolerance)) is brute_force(heat, target, tolerance)


@given(heat=maps, target=masks)
def test_flipping_map_and_mask_together_changes_nothing(heat, target) -> None:
    heat.flat[int(heat.argmax())] += 1.0
    outcome = pointing_outcome(heat, target)
    assert pointing_outcome(heat[::-1], target[::-1]) is outcome
    assert pointing_outcome(heat[:, ::-1], target[:, ::-1]) is outcome
    assert pointing_outcome(heat.T, target.T) is outcome


@given(heat=maps, target=masks)
def test_monotone_rescaling_changes_nothing(heat, target) -> None:
    assert pointing_outcome(heat, target) is pointing_outcome(np.exp(heat / 50.0).astype(np.float64), target)


def spike(row: int, column: int) -> np.ndarray:
    heat = np.zeros((40, 60), dtype=np.float32)
    heat[row, column] = 1.0
    return heat


def mask_at(*pixels: tuple[int, int]) -> np.ndarray:
    target = np.zeros((40, 60), dtype=bool)
    for pixel in pixels:
        target[pixel] = True
    return target


@pytest.mark.parametrize(
    ("tolerance", "outcome"),
    [(4.999, Outcome.MISS), (5.0, Outcome.HIT), (5.001, Outcome.HIT)],
    ids=["just short", "exactly", "beyond"],
)
def test_a_point_exactly_at_the_tolerance_is_a_hit(tolerance, outcome) -> None:
    assert pointing_outcome(spike(10, 20), mask_at((13, 24)), tolerance=Tolerance(reach=tolerance)) is outcome


def test_rows_are_not_taken_for_columns() -> None:
    assert pointing_outcome(spike(5, 30), mask_at((5, 30))) is Outcome.HIT
    assert pointing_outcome(spike(5, 30), mask_at((30, 5))) is Outcome.MISS


def test_an_empty_target_is_unscored_and_never_a_hit() -> None:
    assert pointing_outcome(spike(5, 5), mask_at()) is Outcome.UNSCORED
    assert pointing_outcome(np.full((40, 60), np.nan, np.float32), mask_at()) is Outcome.UNSCORED


@pytest.mark.parametrize(
    "heat",
    [
        pytest.param(np.zeros((40, 60), np.float32), id="flat"),
        pytest.param(np.full((40, 60), np.nan, np.float32), id="nan"),
        pytest.param(spike(5, 5) + spike(30, 50), id="two maxima"),
    ],
)
def test_a_map_that_points_nowhere_is_a_miss_even_where_all_is_target(heat) -> None:
    assert find_peak(heat) is None
    assert pointing_outcome(heat, np.ones((40, 60), bool), tolerance=Tolerance(reach=100.0)) is Outcome.MISS


def test_nan_pixels_do_not_count() -> None:
    heat = spike(10, 10)
    heat[20:, :] = np.nan
    assert find_peak(heat) == (10, 10)


def test_a_small_connected_plateau_is_one_point_and_a_large_one_is_none() -> None:
    heat = np.zeros((40, 60), dtype=np.float32)
    heat[0:3, 4:9] = 1.0  # 15 of 2400 pixels
    assert find_peak(heat) == (1, 6)
    heat[0:6, 4:9] = 1.0  # 30 of 2400
    assert find_peak(heat) is None


def test_a_target_that_the_model_did_not_see_is_unscored() -> None:
    heat = spike(10, 10)
    heat[20:, :] = np.nan
    assert pointing_outcome(heat, mask_at((25, 10)), tolerance=Tolerance(reach=100.0)) is Outcome.UNSCORED
    assert pointing_outcome(heat, mask_at((25, 10), (10, 10))) is Outcome.HIT


@given(value=st.floats(-10.0, 1e3, width=32), rows=st.integers(30, 90), columns=st.integers(30, 90))
def test_a_flat_grid_points_nowhere_after_interpolation(value, rows, columns) -> None:
    """Interpolation leaves noise in the last bits, and the argmax of noise is no point."""
    placement = Placement.of(rows, columns, size=56, fit=Fit.CROP)
    assert find_peak(placement.heat_to_source(np.full((7, 7), value, np.float32))) is None


@given(
    peak=st.tuples(st.integers(0, 13), st.integers(0, 13)),
    fit=st.sampled_from([Fit.LETTERBOX, Fit.CROP]),
    noise=st.integers(0, 1000),
)
def test_the_peak_of_any_patch_is_one_point_in_it(peak, fit, noise) -> None:
    """Border patches among them, whose peak is a plateau in source pixels."""
    placement = Placement.of(260, 260, size=224, fit=fit)
    grid = np.random.default_rng(noise).random((14, 14)).astype(np.float32)
    grid[peak] = 2.0
    point = find_peak(placement.heat_to_source(grid))
    assert point is not None
    assert to_model(placement, point[0] + 0.5, point[1] + 0.5) == pytest.approx(
        ((peak[0] + 0.5) * 16, (peak[1] + 0.5) * 16), abs=8.0
    )


def test_two_equal_patches_point_nowhere_after_interpolation() -> None:
    grid = np.zeros((14, 14), np.float32)
    grid[3, 3] = grid[9, 6] = 1.7
    placement = Placement.of(224, 224, size=224, fit=Fit.CROP)
    assert find_peak(placement.heat_to_source(grid)) is None
