"""15 px are given at the model's input: on the source a circle, and an ellipse where the image was stretched.

The reference maps points to the model's input and measures the distance there.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.metrics.blind import BlindCase, BlindMaps
from audit.metrics.human import score_readers
from audit.metrics.scores import score_blind, score_heat, tolerances
from pipelines.geometry import Fit, Placement
from pipelines.study import Box

NEAR = "pointing game, tau 15"
ROWS, COLUMNS, SIZE = 300, 200, 60  # a model pixel of a stretched image is 5 source px high and 3.33 wide

placements = st.builds(
    lambda rows, columns, size, fit: Placement.of(rows, columns, size=size, fit=fit),
    *(st.integers(20, 120), st.integers(20, 120), st.integers(16, 64), st.sampled_from(Fit)),
)


def within_15_at_the_model(placement: Placement, one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Say so of two edge-based (row, column) of the source, to what the resized sides are rounded to."""
    height, width = placement.resized_rows, placement.resized_columns
    if placement.fit is not Fit.STRETCH:  # before rounding to whole pixels
        longest = max(placement.rows, placement.columns)
        side = longest if placement.fit is Fit.LETTERBOX else min(placement.rows, placement.columns)
        height, width = placement.rows * placement.size / side, placement.columns * placement.size / side
    down = (one[0] - other[0]) * height / placement.rows
    across = (one[1] - other[1]) * width / placement.columns
    return bool(np.hypot(down, across) <= 15.0 * (1 + 1e-12))


def outcome(placement: Placement, point: tuple[int, int], target: tuple[int, int]) -> str:
    shape = placement.rows, placement.columns
    heat, drawn = np.zeros(shape, np.float32), np.zeros(shape, bool)
    heat[point], drawn[target] = 1.0, True
    scores = score_heat(heat, drawn, method="m2ib", model_px=placement.model_px)
    return next(score.outcome for score in scores if score.score == NEAR)


@pytest.mark.parametrize(
    ("fit", "down", "across"),
    [
        pytest.param(Fit.STRETCH, 200, 133, id="stretch: 3000 / 224 x 15 down, 2000 / 224 x 15 across"),
        pytest.param(Fit.LETTERBOX, 200, 200, id="letterbox: 3000 / 224 x 15 both ways"),
        pytest.param(Fit.CROP, 133, 133, id="crop: 2000 / 224 x 15 both ways"),
    ],
)
def test_the_last_pixel_that_hits_on_3000_rows_and_2000_columns(fit, down, across) -> None:
    placement = Placement.of(3000, 2000, size=224, fit=fit)
    target = 1500, 1000
    assert outcome(placement, (1500 + down, 1000), target) == "hit"
    assert outcome(placement, (1501 + down, 1000), target) == "miss"
    assert outcome(placement, (1500, 1000 - across), target) == "hit"
    assert outcome(placement, (1500, 999 - across), target) == "miss"


@given(placement=placements, points=st.tuples(*(st.floats(0, 0.999) for _ in range(4))))
def test_a_point_hits_within_15_px_of_the_models_input(placement, points) -> None:
    shape = placement.rows, placement.columns
    one, other = ((int(r * shape[0]), int(c * shape[1])) for r, c in (points[:2], points[2:]))
    assert (outcome(placement, one, other) == "hit") == within_15_at_the_model(placement, one, other)


def test_references_meet_the_same_ellipse() -> None:
    """Of random points the share of the image that lies in the ellipse around a box hits."""
    placement = Placement.of(ROWS, COLUMNS, size=SIZE, fit=Fit.STRETCH)
    case = BlindCase(patient="a", finding="nodule", side=None, zone=None, boxes=((0.4, 0.4, 0.6, 0.5),))
    scores = score_blind(BlindMaps([]), case, image_shape=(ROWS, COLUMNS), model_px=placement.model_px)
    found = next(score.value for score in scores if (score.method, score.score) == ("random", NEAR))
    width, height = 0.2 * SIZE, 0.1 * SIZE
    area = width * height + 2 * 15 * (width + height) + np.pi * 15**2  # on the model's square, around the box
    assert found == pytest.approx(area / SIZE**2, abs=0.005)


@pytest.mark.parametrize(
    ("across", "down", "hits"),
    [(49.0, 0.0, 1.0), (51.0, 0.0, 0.0), (0.0, 74.0, 1.0), (0.0, 76.0, 0.0)],
    ids=["50 across", "more", "75 down", "more than that"],
)
def test_readers_meet_the_same_ellipse(across, down, hits) -> None:
    """Each box's edge lies as far from the other's middle as is said."""
    placement = Placement.of(ROWS, COLUMNS, size=SIZE, fit=Fit.STRETCH)
    one = Box(x=60.0, y=100.0, width=4.0, height=4.0, label="nodule", reader="1")
    shift = across + 2.0 if across else 0.0, down + 2.0 if down else 0.0
    other = Box(x=60.0 + shift[0], y=100.0 + shift[1], width=4.0, height=4.0, label="nodule", reader="2")
    scores = score_readers([one, other], tolerances(model_px=placement.model_px, spacing_mm=None))
    assert next(score.value for score in scores if score.score == NEAR) == hits
