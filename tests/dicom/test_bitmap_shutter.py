"""A shutter drawn as an overlay: 1 covers the pixel, and an implausible overlay covers none."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.pixels.utils import pack_bits

from pipelines.dicom.pixels import Pixels, read_pixels

RAMP = np.arange(12 * 20, dtype=np.uint16).reshape(12, 20)


def with_shutter(path: Path, covered: np.ndarray, *, group: int = 0x6002, named: int | None = None) -> Pixels:
    """Read a copy of the image that carries this overlay as its shutter."""
    dataset = dcmread(path)
    dataset.ShutterShape, dataset.ShutterOverlayGroup = "BITMAP", group if named is None else named
    dataset.ShutterPresentationValue = 0
    rows, columns = covered.shape
    for element, vr, value in (
        (0x0010, "US", rows),
        (0x0011, "US", columns),
        (0x0040, "CS", "G"),
        (0x0050, "SS", [1, 1]),
        (0x0100, "US", 1),
        (0x0102, "US", 0),
        (0x3000, "OW", pack_bits(covered.astype(np.uint8).ravel())),
    ):
        dataset.add_new((group, element), vr, value)
    copy = path.with_stem("shuttered")
    dataset.save_as(copy)
    return read_pixels(copy)


def step(pixels: Pixels) -> str:
    (detail,) = (step.detail for step in pixels.steps if step.step == "shutter")
    return detail


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=25)
@given(
    top=st.integers(0, 6),
    left=st.integers(0, 10),
    rows=st.integers(3, 6),
    columns=st.integers(5, 10),
    number=st.sampled_from([0x6000, 0x6002, 0x601E]),
)
def test_the_pixels_that_the_overlay_covers_and_no_others_are_masked(
    write_dx, top, left, rows, columns, number
) -> None:
    covered = np.ones(RAMP.shape, dtype=bool)
    covered[top : top + rows, left : left + columns] = False
    pixels = with_shutter(write_dx(RAMP), covered, group=number)
    np.testing.assert_array_equal(pixels.valid, ~covered)
    assert step(pixels).startswith(f"bitmap of overlay {number:04X}; ")


def test_covered_pixels_take_no_part_in_the_percentiles(write_dx) -> None:
    values = RAMP.copy()
    values[:, 15:] = 60_000
    covered = np.zeros(RAMP.shape, dtype=bool)
    covered[:, 15:] = True
    path = write_dx(values)
    assert with_shutter(path, covered).display[:, :15].max() == 1.0
    assert read_pixels(path).display[:, :15].max() < 0.01


@pytest.mark.parametrize(
    ("covered", "change", "reason"),
    [
        pytest.param(np.zeros((6, 6), bool), {}, "not as large as the picture", id="other-size"),
        pytest.param(np.zeros(RAMP.shape, bool), {"named": 0x6004}, "which cannot be read", id="no-such-overlay"),
        pytest.param(np.zeros(RAMP.shape, bool), {"named": 0x7FE0}, "without its overlay", id="no-overlay-group"),
        pytest.param(np.ones(RAMP.shape, bool), {}, "implausible", id="covers-everything"),
    ],
)
def test_an_implausible_overlay_is_ignored_and_says_so(write_dx, covered, change, reason) -> None:
    pixels = with_shutter(write_dx(RAMP), covered, **change)
    assert pixels.valid.all()
    assert step(pixels).startswith("ignored as implausible")
    assert reason in step(pixels)
