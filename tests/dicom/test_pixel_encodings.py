"""Colour, palettes, several frames, compressed and unusual transfer syntaxes."""

from pathlib import Path

import highdicom
import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless
from ramp import RAMP, detail

from pipelines.dicom.pixels import read_pixels
from pipelines.errors import DicomError


def test_a_colour_capture_becomes_its_luminance(write_dx):
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], dtype=np.uint8)
    pixels = read_pixels(write_dx(colours))
    np.testing.assert_allclose(pixels.display, [[0.299, 0.587, 0.114, 1.0]], atol=1e-6)
    assert "0.299 R" in detail(pixels, "luminance")


@pytest.mark.parametrize(("bits", "white"), [(8, 255), (16, 65535), (12, 4095)])
def test_white_is_full_scale_of_the_bits_stored(write_dx, bits, white):
    colours = np.full((2, 2, 3), white, dtype=np.uint8 if bits == 8 else np.uint16)
    display = read_pixels(write_dx(colours, BitsStored=bits)).display
    np.testing.assert_allclose(display, 1.0, atol=1e-6)


@pytest.mark.parametrize("name", ["SC_rgb_jpeg_dcmtk.dcm", "SC_rgb_rle_16bit.dcm", "SC_ybr_full_422_uncompressed.dcm"])
def test_real_colour_files_agree_with_pillow(name):
    path = Path(get_testdata_file(name))
    colour = highdicom.imread(path).get_frame(1, apply_icc_profile=False, dtype=np.uint16)
    eight_bit = colour // 257 if colour.max() > 255 else colour
    grey = np.asarray(Image.fromarray(eight_bit.astype(np.uint8)).convert("L")) / 255
    np.testing.assert_allclose(read_pixels(path).display, grey, atol=0.01)


def test_a_real_palette_file_is_looked_up():
    path = Path(get_testdata_file("OT-PAL-8-face.dcm"))
    dataset = dcmread(path, force=True)
    tables = [
        np.frombuffer(dataset[f"{name}PaletteColorLookupTableData"].value, "<u2") for name in ("Red", "Green", "Blue")
    ]
    indices = np.frombuffer(dataset.PixelData, np.uint8)[: 480 * 640].reshape(480, 640)
    red, green, blue = (table[indices] / 65535 for table in tables)
    np.testing.assert_allclose(read_pixels(path).display, 0.299 * red + 0.587 * green + 0.114 * blue, atol=1e-5)


@pytest.mark.parametrize("syntax", [None, RLELossless, JPEGLSLossless], ids=lambda uid: uid and uid.name)
def test_the_frame_that_is_asked_for_is_taken_and_said(write_dx, syntax):
    frames = np.concatenate([RAMP, RAMP[::-1]])
    path = write_dx(frames, Rows=64, NumberOfFrames=2, WindowCenter=2048, WindowWidth=4096)
    if syntax is not None:
        dataset = dcmread(path)
        dataset.compress(syntax, generate_instance_uid=False)
        dataset.save_as(path)
    for number, expected in ((1, RAMP), (2, RAMP[::-1])):
        pixels = read_pixels(path, frame=number)
        np.testing.assert_allclose(pixels.display, expected / 4095, atol=1e-7)
        assert detail(pixels, "frame") == f"{number} of 2"
    with pytest.raises(DicomError, match="the file has 2 frames and no frame 3"):
        read_pixels(path, frame=3)


@pytest.mark.parametrize("frame", [1, 2])
def test_a_file_with_functional_groups_is_shown_as_highdicom_shows_it(frame):
    path = Path(get_testdata_file("eCT_Supplemental.dcm"))
    untouched = {"apply_real_world_transform": False, "apply_palette_color_lut": False, "apply_icc_profile": False}
    theirs = highdicom.imread(path).get_frame(frame, apply_voi_transform=True, **untouched)
    np.testing.assert_allclose(read_pixels(path, frame=frame).display, theirs, atol=1e-6)


def test_what_functional_groups_say_of_a_frame_counts_for_it(write_dx):
    def group(centre: float) -> Dataset:
        window, item = Dataset(), Dataset()
        window.WindowCenter, window.WindowWidth = centre, 1024
        item.FrameVOILUTSequence = [window]
        return item

    frames = np.concatenate([RAMP, RAMP])
    path = write_dx(
        frames,
        Rows=64,
        NumberOfFrames=2,
        SharedFunctionalGroupsSequence=[group(512)],
        PerFrameFunctionalGroupsSequence=[Dataset(), group(3000)],
        WindowCenter=2048,
        WindowWidth=4096,
    )
    first, second = (read_pixels(path, frame=number) for number in (1, 2))
    assert "512" in detail(first, "VOI window")
    assert "3000" in detail(second, "VOI window")
    assert first.display.mean() > second.display.mean()


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless], ids=lambda uid: uid.name)
def test_lossless_compression_changes_nothing(write_dx, syntax):
    path = write_dx(RAMP, BitsStored=12)
    plain = read_pixels(path).display
    dataset = dcmread(path)
    dataset.compress(syntax, generate_instance_uid=False)
    dataset.save_as(path)
    assert np.array_equal(read_pixels(path).display, plain)


def test_big_endian_changes_nothing(write_dx, lookup_table):
    table = {"VOILUTSequence": [lookup_table([4095 - x for x in range(4096)])], "BitsStored": 12}
    plain = read_pixels(write_dx(RAMP, **table))
    big = read_pixels(write_dx(RAMP.astype(">u2"), syntax=ExplicitVRBigEndian, **table))
    assert np.array_equal(big.display, plain.display)
    assert big.display.dtype.isnative


def test_a_bare_dataset_without_meta_information_is_shown(write_dx):
    path = write_dx(RAMP)
    plain = read_pixels(path).display
    content = path.read_bytes()
    path.write_bytes(content[content.index(b"\x08\x00\x05\x00CS") :])
    assert np.array_equal(read_pixels(path).display, plain)
