"""Shapes cover the pixels that independent code says they cover, and keep doing so when their frame is scaled."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as MatplotlibPath
from pycocotools import mask as coco_mask
from run_lengths import run_lengths_of

from audit.metrics.blind import cells_touched, near_boxes, rasterise, relative_shape
from audit.metrics.human import centre_distance, iou_between
from audit.metrics.scores import box_mask
from pipelines.boxes.outlines import coco_shape, inscribed_ellipse, polygons_of, unpacked_counts
from pipelines.errors import BoxError
from pipelines.geometry import Fit, Placement
from pipelines.shapes import Ellipse, Polygons, Shape
from pipelines.study import Box

ROWS, COLUMNS = 60, 90
SQUARE = Polygons(rings=(((10.0, 20.0), (30.0, 20.0), (30.0, 50.0), (10.0, 50.0)),))
RING = np.zeros((ROWS, COLUMNS), dtype=bool)
RING[10:40, 20:70], RING[20:30, 35:55] = True, False

corner = st.tuples(st.floats(-20, 110), st.floats(-20, 80))


def box_of(shape: Shape, label: str = "nodule") -> Box:
    x, y, width, height = shape.bounds()
    return Box(x=x, y=y, width=width, height=height, label=label, shape=shape)


def centres(rows: int, columns: int) -> np.ndarray:
    y, x = np.mgrid[:rows, :columns] + 0.5
    return np.stack([x.ravel(), y.ravel()], axis=1)


@given(st.lists(corner, min_size=3, max_size=8, unique=True))
@settings(max_examples=60, deadline=None)
def test_a_polygon_covers_the_pixels_whose_centre_lies_inside(ring: list[tuple[float, float]]) -> None:
    mask = Polygons(rings=(tuple(ring),)).mask(ROWS, COLUMNS)
    points = centres(ROWS, COLUMNS)
    closed = np.array([*ring, ring[0]])
    start, step = closed[:-1], np.diff(closed, axis=0)
    length = np.maximum((step**2).sum(1), 1e-12)
    along = np.clip(((points[:, None] - start) * step).sum(2) / length, 0, 1)
    away = np.hypot(*np.moveaxis(points[:, None] - start - along[..., None] * step, 2, 0)).min(1)
    # By the even-odd rule, as counted along a ray; on the rim itself either answer is right.
    rising, falling = closed[:-1, 1] > points[:, 1:2], closed[1:, 1] > points[:, 1:2]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        crossing = start[:, 0] + (points[:, 1:2] - start[:, 1]) * step[:, 0] / step[:, 1]
    inside = (((rising != falling) & (crossing > points[:, :1])).sum(1) % 2).astype(bool)
    sure = away > 1e-6
    assert np.array_equal(mask.ravel()[sure], inside[sure])


def test_an_ellipse_covers_the_pixels_whose_centre_lies_inside() -> None:
    turned = Ellipse(centre=(40.0, 30.0), first=(20.0, 10.0), second=(-6.0, 12.0))
    points = centres(ROWS, COLUMNS) - turned.centre
    s, t = np.linalg.solve(np.array([turned.first, turned.second]).T, points.T)
    assert np.array_equal(turned.mask(ROWS, COLUMNS).ravel(), s**2 + t**2 <= 1)
    outline = MatplotlibPath(turned.outline()[0]).contains_points(centres(ROWS, COLUMNS))
    assert (outline != turned.mask(ROWS, COLUMNS).ravel()).sum() <= 6


def test_the_area_of_an_inscribed_ellipse_is_that_of_the_formula() -> None:
    ellipse = inscribed_ellipse(100.0, 50.0, 400.0, 600.0)
    assert ellipse.bounds() == (100.0, 50.0, 400.0, 600.0)
    assert ellipse.mask(700, 600).sum() == pytest.approx(np.pi * 200 * 300, rel=1e-3)


def test_run_lengths_give_the_mask_back_and_are_those_of_coco() -> None:
    shape = run_lengths_of(RING)
    assert np.array_equal(shape.mask(ROWS, COLUMNS), RING)
    assert (shape.x, shape.y, shape.rows, shape.columns) == (20.0, 10.0, 30, 50)
    packed = coco_mask.encode(np.asfortranarray(RING.astype(np.uint8)))
    read = coco_shape("x", {"size": list(packed["size"]), "counts": packed["counts"].decode()})
    assert read == shape


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 0.99))
@settings(max_examples=60, deadline=None)
def test_packed_run_lengths_are_read_as_pycocotools_reads_them(seed: int, share: float) -> None:
    cells = np.random.default_rng(seed).random((37, 23)) < share
    packed = coco_mask.encode(np.asfortranarray(cells.astype(np.uint8)))
    counts = unpacked_counts("x", packed["counts"].decode())
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    assert np.array_equal(flat.reshape(37, 23, order="F"), cells)


@pytest.mark.parametrize(
    ("segmentation", "words"),
    [
        pytest.param({"size": [4, 4], "counts": [3, 3]}, "6 px in total for 4 x 4", id="too few"),
        pytest.param({"size": [4, 4], "counts": [-3, 19]}, "not whole numbers", id="negative"),
        pytest.param({"size": [4, 4], "counts": "\x7f"}, "damaged", id="other characters"),
        pytest.param({"size": [4, 4], "counts": "P"}, "truncated", id="cut short"),
        pytest.param({"size": [4, 4], "counts": "o" * 99}, "damaged", id="endless number"),
        pytest.param({"counts": [16]}, r"write \[rows, columns\]", id="no size"),
        pytest.param({"size": [10**6, 10**6], "counts": [10**12]}, "more than any radiograph", id="huge"),
        pytest.param([[1, 2, 3]], "x, y, x, y", id="odd polygon"),
        pytest.param([[1, 2, 3, 4]], "2 corners", id="two corners"),
        pytest.param([[0, 0, 1, 1, 2, 2]], "one line", id="a line"),
        pytest.param([[0, 0, 1, 1, "a", 2]], "not two numbers", id="text"),
        pytest.param("mask.png", "neither polygons nor run lengths", id="a name"),
    ],
)
def test_outlines_that_make_no_sense_are_named(segmentation: object, words: str) -> None:
    with pytest.raises(BoxError, match=words):
        coco_shape("boxes.json annotation 3", segmentation)


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param(SQUARE, id="polygon"),
        pytest.param(inscribed_ellipse(10.0, 5.0, 60.0, 40.0), id="ellipse"),
        pytest.param(run_lengths_of(RING), id="run lengths"),
    ],
)
def test_a_scaled_shape_covers_the_scaled_pixels(shape: Shape) -> None:
    scaled = shape.mapped((0.0, 0.0), (3.0, 2.0)).mask(2 * ROWS, 3 * COLUMNS)
    plain = shape.mask(ROWS, COLUMNS)
    # The centre of the scaled pixel nearest to the middle of a pixel's block lies where the pixel's own centre lay.
    assert (scaled[::2, 1::3] != plain).mean() < 0.02
    assert scaled.sum() == pytest.approx(6 * plain.sum(), rel=0.03)


def test_a_polygon_that_is_a_rectangle_scores_as_the_rectangle_does() -> None:
    plain = Box(x=10.0, y=20.0, width=20.0, height=30.0, label="nodule")
    shaped = box_of(SQUARE)
    assert np.array_equal(box_mask([shaped], rows=ROWS, columns=COLUMNS), box_mask([plain], rows=ROWS, columns=COLUMNS))
    one, other = (relative_shape(box, rows=ROWS, columns=COLUMNS) for box in (plain, shaped))
    assert np.array_equal(rasterise([one]), rasterise([other]))
    assert (cells_touched([one]) != cells_touched([other])).mean() < 0.02
    for tolerance in (0.0, 3.0, 12.0):
        near = near_boxes([one], (ROWS, COLUMNS), tolerance=tolerance)
        assert (near != near_boxes([other], (ROWS, COLUMNS), tolerance=tolerance)).mean() < 0.01
    assert iou_between([plain], [shaped]) == pytest.approx(1.0)
    far = Box(x=70.0, y=20.0, width=10.0, height=10.0, label="nodule")
    assert centre_distance([far], [shaped]) == pytest.approx(centre_distance([far], [plain]), abs=0.05)
    assert centre_distance([shaped], [far]) == pytest.approx(centre_distance([plain], [far]), abs=0.1)


def test_a_hole_in_a_mask_is_no_target() -> None:
    ring = box_of(run_lengths_of(RING))
    hole = Box(x=40.0, y=22.0, width=6.0, height=6.0, label="nodule")
    assert not box_mask([ring], rows=ROWS, columns=COLUMNS)[25, 45]
    assert centre_distance([hole], [ring]) > 2.0
    assert iou_between([hole], [ring]) == 0.0
    row, column = (int(i) for i in np.argwhere(RING)[0])
    assert centre_distance([ring], [box_of(run_lengths_of(RING))]) == 0.0
    assert box_mask([ring], rows=ROWS, columns=COLUMNS)[row, column]


def test_a_crop_hides_a_share_of_a_shape_not_of_its_rectangle() -> None:
    placement = Placement.of(100, 200, size=50, fit=Fit.CROP)  # sees columns 50 to 150
    triangle = Polygons(rings=(((0.0, 10.0), (100.0, 10.0), (100.0, 90.0)),))
    assert placement.visible_fraction(box_of(triangle)) == pytest.approx(0.75, abs=0.01)
    assert placement.visible_fraction(Box(x=0, y=10, width=100, height=80, label="nodule")) == pytest.approx(0.5)


def test_polygons_of_a_file_are_closed_once() -> None:
    ring = [[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 0.0]]
    assert polygons_of("x", [ring]).rings == (((0.0, 0.0), (4.0, 0.0), (4.0, 4.0)),)
