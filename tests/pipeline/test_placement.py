"""Source pixel to model pixel and back, for both fits and every odd size."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from model_input import to_model

from pipelines.geometry import Fit, Placement
from pipelines.study import Box

sides = st.integers(1, 400)
fits = st.sampled_from(list(Fit))
placements = st.builds(
    lambda rows, columns, size, fit: Placement.of(rows, columns, size=size, fit=fit), sides, sides, sides, fits
)


@given(placement=placements, row=st.floats(0, 1), column=st.floats(0, 1))
def test_there_and_back_is_where_it_was(placement, row, column):
    at = (row * placement.rows, column * placement.columns)
    assert placement.to_source(*to_model(placement, *at)) == pytest.approx(at, abs=1e-6 * (1 + max(at)))


@given(placement=placements)
def test_the_corners_of_the_picture_are_those_of_the_resized_picture(placement):
    top, left = to_model(placement, 0, 0)
    bottom, right = to_model(placement, placement.rows, placement.columns)
    assert (top, left) == (placement.top, placement.left)
    assert (bottom - top, right - left) == pytest.approx((placement.resized_rows, placement.resized_columns))


@given(placement=placements)
def test_a_letterbox_hides_nothing_and_fills_one_side(placement):
    assume(placement.fit is Fit.LETTERBOX)
    assert placement.visible().all()
    assert max(placement.resized_rows, placement.resized_columns) == placement.size
    assert min(placement.top, placement.left) >= 0


@given(placement=placements)
def test_a_crop_leaves_no_part_of_the_square_empty(placement):
    assume(placement.fit is Fit.CROP)
    assert min(placement.resized_rows, placement.resized_columns) == placement.size
    assert max(placement.top, placement.left) <= 0
    assert placement.top + placement.resized_rows >= placement.size
    assert placement.left + placement.resized_columns >= placement.size


@given(placement=placements)
def test_stretching_fills_the_square_and_hides_nothing(placement):
    assume(placement.fit is Fit.STRETCH)
    assert placement.visible().all()
    assert (placement.resized_rows, placement.resized_columns) == (placement.size, placement.size)
    assert (placement.top, placement.left) == (0, 0)


@given(placement=placements)
def test_the_picture_is_centred_and_keeps_its_shape(placement):
    assume(placement.fit is not Fit.STRETCH)
    below = placement.size - placement.top - placement.resized_rows
    right = placement.size - placement.left - placement.resized_columns
    assert abs(below - placement.top) <= 1
    assert abs(right - placement.left) <= 1
    exact = placement.size / (max if placement.fit is Fit.LETTERBOX else min)(placement.rows, placement.columns)
    assert abs(placement.resized_rows - placement.rows * exact) <= max(0.5, 1 - placement.rows * exact) + 1e-9
    assert abs(placement.resized_columns - placement.columns * exact) <= max(0.5, 1 - placement.columns * exact) + 1e-9


@given(placement=placements)
def test_a_pixel_is_visible_where_its_centre_falls_into_the_square(placement):
    visible = placement.visible()
    assert visible.shape == (placement.rows, placement.columns)
    for row in {0, placement.rows // 2, placement.rows - 1}:
        for column in {0, placement.columns // 2, placement.columns - 1}:
            at = to_model(placement, row + 0.5, column + 0.5)
            assert visible[row, column] == all(0 <= coordinate < placement.size for coordinate in at)


@given(placement=placements, grid_rows=st.integers(1, 20), grid_columns=st.integers(1, 20), value=st.floats(-5, 5))
def test_constant_heat_stays_constant_and_what_was_not_seen_is_nan(placement, grid_rows, grid_columns, value):
    source = placement.heat_to_source(np.full((grid_rows, grid_columns), value, dtype=np.float32))
    assert source.dtype == np.float32
    assert source.shape == (placement.rows, placement.columns)
    assert np.array_equal(np.isnan(source), ~placement.visible())
    np.testing.assert_allclose(source[placement.visible()], np.float32(value), rtol=1e-5, atol=1e-6)


@given(placement=placements, seed=st.integers(0, 999), grid=st.integers(1, 20))
def test_interpolated_heat_stays_within_the_range_of_the_grid(placement, seed, grid):
    heat = np.random.default_rng(seed).normal(size=(grid, grid)).astype(np.float32)
    source = placement.heat_to_source(heat)
    assert np.nanmin(source) >= heat.min() - 1e-5
    assert np.nanmax(source) <= heat.max() + 1e-5


@pytest.mark.parametrize("fit", list(Fit))
@pytest.mark.parametrize("shape", [(300, 200), (199, 301), (224, 224)], ids=str)
def test_heat_agrees_with_torch_where_the_model_saw_the_picture(shape, fit):
    """Bilinear sampling by torch's grid_sample at the same points is the independent reference."""
    torch = pytest.importorskip("torch")
    placement = Placement.of(*shape, size=224, fit=fit)
    heat = np.random.default_rng(0).normal(size=(14, 14)).astype(np.float32)
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    model_rows, model_columns = to_model(placement, rows, columns)
    points = np.stack([model_columns, model_rows], axis=-1) / 112 - 1  # -1 and 1 are the outer edges, (x, y)
    reference = torch.nn.functional.grid_sample(
        torch.from_numpy(heat)[None, None],
        torch.from_numpy(points).float()[None],
        mode="bilinear",
        padding_mode="border",
        align_corners=False,
    )[0, 0].numpy()
    visible = placement.visible()
    np.testing.assert_allclose(placement.heat_to_source(heat)[visible], reference[visible], atol=1e-4)


@given(
    placement=st.builds(
        lambda rows, columns, size, fit: Placement.of(rows, columns, size=size, fit=fit),
        *(st.integers(28, 200), st.integers(28, 200), st.integers(28, 200), fits),
    ),
    cell=st.tuples(st.integers(1, 5), st.integers(1, 5)),
)
def test_the_hottest_pixel_lies_at_the_hot_cell(placement, cell):
    """Swapped axes would move it by cells. (Heat of a cell at the rim stays as hot up to the rim.)"""
    heat = np.zeros((7, 7), dtype=np.float32)
    heat[cell] = 1.0
    centre = placement.to_source(*((index + 0.5) * placement.size / 7 for index in cell))
    inside = 0 <= centre[0] < placement.rows and 0 <= centre[1] < placement.columns
    assume(inside and placement.visible()[int(centre[0]), int(centre[1])])
    source = placement.heat_to_source(heat)
    hottest = np.unravel_index(np.nanargmax(source), source.shape)
    assert abs(hottest[0] + 0.5 - centre[0]) <= max(1.0, placement.model_px[0])
    assert abs(hottest[1] + 0.5 - centre[1]) <= max(1.0, placement.model_px[1])


@given(
    placement=placements,
    x=st.floats(-50, 400),
    y=st.floats(-50, 400),
    width=st.floats(0.5, 300),
    height=st.floats(0.5, 300),
)
def test_the_visible_share_of_a_box_is_the_share_of_its_points_that_are_seen(placement, x, y, width, height):
    x0, x1 = np.clip([x, x + width], 0, placement.columns)
    y0, y1 = np.clip([y, y + height], 0, placement.rows)
    share = placement.visible_fraction(Box(x=x, y=y, width=width, height=height, label="nodule"))
    assert 0.0 <= share <= 1.0 + 1e-9
    if (x1 - x0) * (y1 - y0) < 1e-6:
        return
    steps = (np.arange(100) + 0.5) / 100
    rows, _ = to_model(placement, y0 + steps * (y1 - y0), 0.0)
    _, columns = to_model(placement, 0.0, x0 + steps * (x1 - x0))
    seen = ((rows >= 0) & (rows < placement.size)).mean() * ((columns >= 0) & (columns < placement.size)).mean()
    assert share == pytest.approx(seen, abs=0.025)


def test_a_box_beside_the_picture_is_not_visible():
    placement = Placement.of(100, 100, size=50, fit=Fit.LETTERBOX)
    assert placement.visible_fraction(Box(x=200, y=10, width=5, height=5, label="nodule")) == 0.0


def test_a_crop_hides_apices_of_a_tall_film():
    placement = Placement.of(300, 200, size=224, fit=Fit.CROP)
    assert placement.visible_fraction(Box(x=0, y=0, width=200, height=50, label="pneumothorax")) == 0.0
    assert placement.visible_fraction(Box(x=0, y=0, width=200, height=100, label="pneumothorax")) == pytest.approx(0.5)
    assert placement.visible().mean() == pytest.approx(2 / 3, abs=0.01)


@pytest.mark.parametrize("sizes", [(0, 5, 5), (5, 0, 5), (5, 5, 0)], ids=["rows", "columns", "size"])
def test_a_side_that_is_not_positive_is_our_own_mistake(sizes):
    with pytest.raises(ValueError, match="positive"):
        Placement.of(*sizes[:2], size=sizes[2], fit=Fit.CROP)
