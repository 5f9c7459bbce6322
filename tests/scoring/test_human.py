"""Readers against readers, on boxes whose answer is plain."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.metrics.human import centre_distance, iou_between, reader_pairs, score_readers
from audit.metrics.scores import tolerances
from pipelines.study import Box
from reports.score_catalogue import COHORT_IOU, MEAN_IOU, OTSU_IOU, names_of


def box(x: float, y: float, width: float, height: float, reader: str | None = "R1") -> Box:
    return Box(x=x, y=y, width=width, height=height, label="nodule", reader=reader)


numbers = st.integers(0, 20)
boxes = st.lists(st.builds(box, numbers, numbers, st.integers(1, 12), st.integers(1, 12)), min_size=1, max_size=4)


def on_pixels(drawn: list[Box]) -> np.ndarray:
    mask = np.zeros((40, 40), bool)
    for each in drawn:
        mask[int(each.y) : int(each.y + each.height), int(each.x) : int(each.x + each.width)] = True
    return mask


@given(one=boxes, other=boxes)
def test_iou_counts_pixels(one, other) -> None:
    """Boxes of whole pixels, counted one by one."""
    mine, theirs = on_pixels(one), on_pixels(other)
    assert iou_between(one, other) == pytest.approx((mine & theirs).sum() / (mine | theirs).sum())
    assert iou_between(other, one) == pytest.approx(iou_between(one, other))
    assert iou_between(one, one) == 1.0


def test_a_reader_points_at_the_centre_of_the_largest_box() -> None:
    one = [box(0, 0, 4, 4), box(20, 20, 10, 10)]
    assert centre_distance(one, [box(24, 24, 2, 2)]) == 0.0
    assert centre_distance(one, [box(0, 0, 4, 4)]) == pytest.approx(np.hypot(21, 21))
    assert centre_distance(one, [box(0, 0, 4, 4), box(28, 20, 9, 9)]) == 3.0
    assert centre_distance(one, [box(28, 29, 9, 9)], (2.0, 0.5)) == pytest.approx(np.hypot(8.0, 1.5))


def test_each_reader_is_scored_against_each_other_reader() -> None:
    """The wide box's centre lies in both others; theirs lie in it, and not in each other."""
    drawn = [box(0, 0, 30, 10, "A"), box(8, 0, 9, 10, "B"), box(13, 0, 9, 10, "C"), box(0, 0, 9, 9, None)]
    pairs = list(reader_pairs(drawn))
    assert [(pair.one[0].reader, pair.other[0].reader) for pair in pairs] == [
        ("A", "B"),
        ("A", "C"),
        ("B", "A"),
        ("B", "C"),
        ("C", "A"),
        ("C", "B"),
    ]
    scores = {s.score: s.value for s in score_readers(drawn, tolerances(model_px=(1.0, 1.0), spacing_mm=None))}
    assert scores["pointing game, tau 0"] == pytest.approx(4 / 6)
    assert scores["pointing game, tau 15"] == 1.0
    assert scores["pointing game, 10 mm"] is None
    assert [scores[name] for name in (OTSU_IOU, COHORT_IOU, MEAN_IOU)] == pytest.approx(
        [(0.3 + 0.3 + 40 / 140) / 3] * 3
    )


def test_all_boxes_of_a_reader_are_one_answer() -> None:
    drawn = [box(0, 0, 10, 10, "A"), box(50, 0, 11, 11, "A"), box(50, 0, 10, 10, "B")]
    (a_on_b, b_on_a) = (
        pair.scores(tolerances(model_px=(1.0, 1.0), spacing_mm=(1.0, 1.0))) for pair in reader_pairs(drawn)
    )
    assert a_on_b["pointing game, tau 0"] == b_on_a["pointing game, tau 0"] == 1.0
    assert a_on_b["IoU at Otsu"] == b_on_a["IoU at Otsu"] == pytest.approx(100 / 221)


@pytest.mark.parametrize("readers", [("A",), (None, None), ("A", None)], ids=["one", "unnamed", "one named"])
def test_fewer_than_two_readers_are_no_reference(readers) -> None:
    assert score_readers([box(0, 0, 5, 5, r) for r in readers], tolerances(model_px=(1.0, 1.0), spacing_mm=None)) == ()


def test_what_a_box_cannot_show_is_unscored_with_its_reason() -> None:
    scores = score_readers(
        [box(0, 0, 5, 5, "A"), box(1, 1, 5, 5, "B")], tolerances(model_px=(1.0, 1.0), spacing_mm=None)
    )
    assert [score.score for score in scores] == list(names_of("localisation"))
    reasons = {score.score: score.reason for score in scores if score.value is None}
    assert "no shades" in reasons["average precision"]
    assert "header" in reasons["pointing game, 10 mm"]
