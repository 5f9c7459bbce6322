"""Colours of the heat: even in lightness, told apart without colour vision, and where the model looked."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from made_up_records import EFFUSION, chest_picture, heat_on_grid, make_study, png_of
from PIL import Image

from pipelines.errors import OutputError
from pipelines.geometry import Fit, Placement
from reports.overlay import COLOURS, colour_heat, display_range, picture_size, thumbnail
from reports.record import StudyRecord

# Machado, Oliveira and Fernandes 2009, "A physiologically-based model for simulation of color vision deficiency",
# table 1, severity 1.0; linear RGB.
DEFICIENCIES = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]]
    ),
}


def lightness(colours: np.ndarray, deficiency: np.ndarray) -> np.ndarray:
    """CIE L* of sRGB colours as seen with a colour vision deficiency."""
    share = colours / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    luminance = np.clip(linear @ deficiency.T, 0, 1) @ np.array([0.2126, 0.7152, 0.0722])
    return np.where(luminance > 0.008856, 116 * np.cbrt(luminance) - 16, 903.3 * luminance)


@pytest.mark.parametrize("deficiency", DEFICIENCIES.values(), ids=DEFICIENCIES.keys())
def test_hotter_is_lighter_for_every_kind_of_colour_vision(deficiency):
    seen = lightness(COLOURS, deficiency)
    assert (np.diff(seen[::8]) > 0).all()
    assert seen[-1] - seen[0] > 85


def test_lightness_rises_evenly_above_the_darkest_sixteenth():
    steps = np.diff(lightness(COLOURS, DEFICIENCIES["normal"])[16::16])
    assert steps.min() > 0.6 * steps.mean()
    assert steps.max() < 1.6 * steps.mean()


@given(heat=arrays(np.float32, (7, 7), elements=st.floats(0, 100, width=16)), fit=st.sampled_from(list(Fit)))
def test_the_hottest_pixel_has_the_hottest_colour_and_unseen_pixels_have_none(heat, fit):
    placement = Placement.of(90, 60, size=56, fit=fit)
    coloured = colour_heat(heat, placement, height=90, width=60)
    source = placement.heat_to_source(heat)
    assert not coloured[~placement.visible()].any()
    if display_range(heat) is None:
        assert not coloured.any()
        return
    warmth = lightness(coloured[..., :3], np.eye(3))[placement.visible()]
    row, column = np.unravel_index(np.nanargmax(source), source.shape)
    assert lightness(coloured[row, column, :3], np.eye(3)) >= warmth.max() - 0.5


@pytest.mark.parametrize("value", [0.0, 3.5, np.nan, np.inf], ids=["zero", "flat", "nan", "infinite"])
def test_a_map_that_shows_nothing_has_no_range_and_no_colour(value):
    heat = np.full((4, 4), value, dtype=np.float32)
    assert display_range(heat) is None
    assert not colour_heat(heat, Placement.of(8, 8, size=8, fit=Fit.CROP), height=8, width=8).any()


def test_one_bad_cell_blanks_the_map_rather_than_colour_the_rest():
    heat = np.arange(16, dtype=np.float32).reshape(4, 4)
    heat[0, 0] = np.nan
    assert display_range(heat) is None


def test_a_placement_goes_through_its_record_unchanged():
    record = make_study("a", (EFFUSION,), fit=Fit.CROP).record
    read = StudyRecord.model_validate_json(record.model_dump_json())
    assert read.images[0].placement == Placement.of(1400, 1150, size=224, fit=Fit.CROP)


def test_a_thumbnail_is_small_and_shows_the_heat():
    png = png_of(chest_picture(280, 230))
    record = make_study("a", (EFFUSION,)).record.images[0].placement
    heat = {"h": heat_on_grid(record, (0.76, 0.24))}
    plain = thumbnail(png, heats=heat, show=None, placement=record)
    warm = thumbnail(png, heats=heat, show="h", placement=record)
    assert max(picture_size(warm, name="warm")) == 96
    assert len(warm) < 12_000
    assert np.ptp(np.asarray(Image.open(io.BytesIO(plain)).convert("RGB")), axis=-1).max() == 0
    colour = np.ptp(np.asarray(Image.open(io.BytesIO(warm)).convert("RGB")).astype(int), axis=-1)
    row, column = np.unravel_index(colour.argmax(), colour.shape)
    assert abs(row / colour.shape[0] - 0.76) < 0.15
    assert abs(column / colour.shape[1] - 0.24) < 0.15


def test_a_picture_that_is_no_png_is_refused_by_name():
    with pytest.raises(OutputError, match=r"'a\.png' is neither JPEG nor PNG"):
        picture_size(b"GIF89a" + b"\0" * 100, name="'a.png'")
