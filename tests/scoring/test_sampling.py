"""Large maps are scored at a bounded resolution, and it costs them next to nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mean_iou import mean_iou

from audit.metrics.overlap import (
    average_precision,
    contrast_to_noise,
    energy_in_box,
    iou_at_otsu,
    relevance_rank,
)
from audit.metrics.pointing import LONGEST_SIDE, distance_to, is_measurable, sampled
from audit.metrics.scores import box_mask, score_heat
from pipelines.geometry import Fit, Placement
from pipelines.study import Box


def film(rows: int, columns: int, seed: int, fit: Fit = Fit.LETTERBOX) -> np.ndarray:
    grid = np.random.default_rng(seed).gamma(1.0, 1.0, (14, 14)).astype(np.float32)
    return Placement.of(rows, columns, size=224, fit=fit).heat_to_source(grid)


def box_at(rows: int, columns: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    y, x = rng.uniform(0.0, 0.6) * rows, rng.uniform(0.0, 0.6) * columns
    box = Box(x=x, y=y, width=rng.uniform(20, 0.4 * columns), height=rng.uniform(20, 0.4 * rows), label="nodule")
    return box_mask([box], rows=rows, columns=columns)


def test_a_small_map_comes_back_as_it_is() -> None:
    heat, target = film(512, 400, 0), box_at(512, 400, 0)
    assert sampled(heat, target) == (pytest.approx(heat), pytest.approx(target))


@pytest.mark.parametrize(
    "shape", [(3000, 2500), (513, 512), (701, 1999), (60, 2000)], ids=lambda shape: f"{shape[0]} x {shape[1]}"
)
def test_no_side_is_longer_than_the_bound_and_no_area_of_the_target_is_lost(shape) -> None:
    heat, target = film(*shape, 1), box_at(*shape, 1)
    cells, share = sampled(heat, target)
    assert cells.shape == share.shape
    assert LONGEST_SIDE / 2 - 1 <= max(cells.shape) <= LONGEST_SIDE
    assert share.mean() == pytest.approx(target.mean(), rel=0.01)
    assert 0.0 <= share.min() <= share.max() <= 1.0


def test_a_cell_is_the_share_of_its_own_pixels() -> None:
    rng = np.random.default_rng(2)
    heat, target = rng.random((12, 8)).astype(np.float32), rng.random((12, 8)) < 0.5
    cells, share = sampled(heat, target, longest_side=3)
    np.testing.assert_allclose(share, target.reshape(3, 4, 2, 4).mean((1, 3)))
    np.testing.assert_allclose(cells, heat.reshape(3, 4, 2, 4)[:, 1:3, :, 1:3].mean((1, 3)), rtol=1e-6)


@given(rows=st.integers(5, 60), columns=st.integers(5, 60), side=st.integers(2, 20), seed=st.integers(0, 99))
def test_flipping_map_and_mask_flips_the_samples(rows, columns, side, seed) -> None:
    rng = np.random.default_rng(seed)
    heat, target = rng.random((rows, columns)).astype(np.float32), rng.random((rows, columns)) < 0.3
    heat[rng.random((rows, columns)) < 0.05] = np.nan
    for flip in (np.flipud, np.fliplr, np.transpose):
        found = sampled(np.ascontiguousarray(flip(heat)), np.ascontiguousarray(flip(target)), longest_side=side)
        for one, other in zip(found, sampled(heat, target, longest_side=side), strict=True):
            np.testing.assert_allclose(one, flip(other), rtol=1e-6)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), fit=st.sampled_from([Fit.LETTERBOX, Fit.CROP]))
def test_scores_on_the_samples_are_those_of_all_pixels(seed, fit) -> None:
    heat, target = film(1500, 1240, seed, fit), box_at(1500, 1240, seed)
    if not is_measurable(heat, target):
        return
    cells, share = sampled(heat, target)
    for score in (energy_in_box, iou_at_otsu, mean_iou, relevance_rank, average_precision):
        assert score(cells, share) == pytest.approx(score(heat, target), abs=0.01), score.__name__
    assert contrast_to_noise(cells, share) == pytest.approx(contrast_to_noise(heat, target), abs=0.02)


def test_a_box_thinner_than_a_sample_is_not_lost() -> None:
    heat = film(3000, 2500, 4)
    target = box_mask([Box(x=1000, y=1000, width=2, height=900, label="nodule")], rows=3000, columns=2500)
    scores = {s.score: s for s in score_heat(heat, target, method="m2ib", model_px=(13.4, 13.4))}
    assert scores["average precision"].value == pytest.approx(average_precision(heat, target), rel=0.05)
    assert scores["energy in box"].value == pytest.approx(energy_in_box(heat, target), rel=0.02)


@given(
    seed=st.integers(0, 10_000),
    point=st.tuples(st.integers(0, 11), st.integers(0, 16)),
    spacing=st.sampled_from([(1.0, 1.0), (0.14, 0.14), (0.2, 0.1)]),
)
def test_the_nearest_pixel_of_a_target_is_found_at_its_rim(seed, point, spacing) -> None:
    rng = np.random.default_rng(seed)
    target = np.zeros((12, 17), bool)
    for _ in range(3):
        (top, left), (height, width) = rng.integers(0, 10, 2), rng.integers(1, 8, 2)
        target[top : top + height, left : left + width] = True
    expected = min(
        np.hypot((row - point[0]) * spacing[0], (column - point[1]) * spacing[1]) for row, column in np.argwhere(target)
    )
    assert distance_to(target, point, spacing=spacing) == pytest.approx(expected)
