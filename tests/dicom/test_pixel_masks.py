"""Padding, shutter and collimator take pixels out of windowing and out of ``valid``."""

import numpy as np
import pytest
from ramp import RAMP, detail

from pipelines.dicom.pixels import read_pixels


def test_padding_is_masked_and_left_out_of_the_percentiles(write_dx):
    values = RAMP.copy()
    values[:, :20] = 65535
    pixels = read_pixels(write_dx(values, PixelPaddingValue=65535))
    assert np.array_equal(pixels.valid, values != 65535)
    seen = values[:, 20:].astype(float)
    low, high = (np.percentile(seen, q, method="inverted_cdf") for q in (1, 99))
    np.testing.assert_allclose(pixels.display[:, 20:], np.clip((seen - low) / (high - low), 0, 1), atol=1e-6)


@pytest.mark.parametrize("limits", [(0, 99), (99, 0)], ids=["rising", "falling"])
def test_a_padding_range_is_masked_with_both_ends(write_dx, limits):
    pixels = read_pixels(write_dx(RAMP, PixelPaddingValue=limits[0], PixelPaddingRangeLimit=limits[1]))
    assert np.array_equal(pixels.valid, RAMP > 99)


def test_padding_that_would_mask_everything_is_passed_over(write_dx):
    pixels = read_pixels(write_dx(RAMP, PixelPaddingValue=0, PixelPaddingRangeLimit=4095))
    assert pixels.valid.all()
    assert "implausible" in detail(pixels, "padding")


@pytest.mark.parametrize("kind", ["Shutter", "Collimator"])
def test_a_rectangle_keeps_its_edges_counted_from_one(write_dx, kind):
    edges = ("UpperHorizontalEdge", "LowerHorizontalEdge", "LeftVerticalEdge", "RightVerticalEdge")
    elements = dict(zip((kind + edge for edge in edges), (11, 50, 21, 60), strict=True))
    pixels = read_pixels(write_dx(RAMP, **{f"{kind}Shape": "RECTANGULAR"}, **elements))
    expected = np.zeros((64, 64), dtype=bool)
    expected[10:50, 20:60] = True
    assert np.array_equal(pixels.valid, expected)


@pytest.mark.parametrize("first", [0, 1], ids=["counted from 0", "counted from 1"])
def test_a_rectangle_of_the_whole_picture_masks_at_most_its_rim(write_dx, first):
    edges = {"ShutterUpperHorizontalEdge": first, "ShutterLeftVerticalEdge": first}
    edges |= {"ShutterLowerHorizontalEdge": 63 + first, "ShutterRightVerticalEdge": 63 + first}
    pixels = read_pixels(write_dx(RAMP, ShutterShape="RECTANGULAR", **edges))
    assert pixels.valid[:63, :63].all()


def test_a_circle_is_masked_outside_its_radius(write_dx):
    elements = {"CenterOfCircularShutter": [32, 20], "RadiusOfCircularShutter": 15}
    pixels = read_pixels(write_dx(RAMP, ShutterShape="CIRCULAR", **elements))
    assert pixels.valid.sum() == pytest.approx(np.pi * 15**2, rel=0.02)
    assert pixels.valid[31, 19]
    assert pixels.valid[31, 4]
    assert not pixels.valid[31, 3]


def test_a_polygon_is_given_as_row_and_column(write_dx):
    vertices = [1, 1, 1, 64, 33, 64, 33, 1]  # the upper half
    pixels = read_pixels(write_dx(RAMP, CollimatorShape="POLYGONAL", VerticesOfThePolygonalCollimator=vertices))
    expected = np.zeros((64, 64), dtype=bool)
    expected[:33] = True
    assert np.array_equal(pixels.valid, expected)


def test_several_shapes_leave_what_all_of_them_leave(write_dx):
    elements = {"CenterOfCircularShutter": [32, 32], "RadiusOfCircularShutter": 20}
    edges = {"ShutterUpperHorizontalEdge": 32, "ShutterLowerHorizontalEdge": 64}
    edges |= {"ShutterLeftVerticalEdge": 1, "ShutterRightVerticalEdge": 64}
    pixels = read_pixels(write_dx(RAMP, ShutterShape=["RECTANGULAR", "CIRCULAR"], **elements, **edges))
    assert not pixels.valid[:31].any()
    assert pixels.valid.sum() == pytest.approx(np.pi * 20**2 / 2, rel=0.06)
