"""Images of any format, as they are displayed; references are arrays written down here, and pydicom's files."""

import io
import struct
import zlib
from inspect import unwrap
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from pydicom.data import get_testdata_file

from pipelines.dicom.pixels import read_pixels
from pipelines.errors import DicomError, InputError
from pipelines.geometry import Fit
from pipelines.image_file import read_image
from pipelines.transforms import Preprocessing, place_image

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
COLOUR = np.random.default_rng(3).integers(0, 256, (6, 8, 3), dtype=np.uint8)
DEEP = np.linspace(300, 40_000, 48).reshape(6, 8).astype(np.uint16)


def saved(path: Path, picture: Image.Image, **options: object) -> Path:
    picture.save(path, **options)
    return path


def steps(path: Path) -> dict[str, str]:
    return {step.step: step.detail for step in read_image(path).steps}


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_grey_of_8_bits_is_divided_by_255(tmp_path, suffix):
    picture = read_image(saved(tmp_path / f"a.{suffix}", Image.fromarray(GREY)))
    np.testing.assert_array_equal(picture.display, (GREY / np.float32(255)).astype(np.float32))
    assert picture.display.dtype == np.float32
    assert picture.shape == (6, 8)
    assert picture.valid.all()


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_colour_stays_red_green_and_blue(tmp_path, suffix):
    picture = read_image(str(saved(tmp_path / f"a.{suffix}", Image.fromarray(COLOUR))))
    np.testing.assert_allclose(picture.display, COLOUR / 255, atol=1e-6)
    assert picture.shape == (6, 8)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_jpeg_is_read_nearly_as_it_was_saved(tmp_path, mode):
    smooth = np.linspace(20, 230, 64).astype(np.uint8)[:, None].repeat(64, 1)
    picture = read_image(saved(tmp_path / "a.jpg", Image.fromarray(smooth).convert(mode), quality=95))
    assert picture.display.ndim == (2 if mode == "L" else 3)
    reference = smooth if mode == "L" else smooth[..., None].repeat(3, 2)
    np.testing.assert_allclose(picture.display, reference / 255, atol=0.02)


def test_a_file_is_told_by_its_content_and_not_by_its_name(tmp_path):
    assert read_image(saved(tmp_path / "a.dcm", Image.fromarray(GREY), format="PNG")).shape == (6, 8)


def test_dicom_is_what_the_radiograph_pipeline_shows():
    path = Path(get_testdata_file("RG1_UNCR.dcm"))
    picture, pixels = read_image(path), read_pixels(path)
    np.testing.assert_array_equal(picture.display, pixels.display)
    np.testing.assert_array_equal(picture.valid, pixels.valid)
    assert picture.steps == pixels.steps


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_deep_grey_is_stretched_over_its_own_range_and_says_so(tmp_path, suffix):
    path = saved(tmp_path / f"a.{suffix}", Image.fromarray(DEEP))
    expected = (DEEP - 300.0) / (40_000 - 300)
    np.testing.assert_allclose(read_image(path).display, expected, atol=1e-6)
    assert steps(path)["range"] == "300 to 40000, the picture's own range, to 0 to 1"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16], ids=["8 bits", "16 bits"])
def test_a_tiff_whose_white_is_zero_is_shown_the_right_way_round(tmp_path, dtype):
    stored = np.array([[0, 100], [200, 255]], dtype=dtype)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="miniswhite")
    np.testing.assert_allclose(read_image(tmp_path / "a.tif").display, 1 - stored / 255, atol=1e-6)


def test_floats_are_stretched_and_what_is_no_number_is_refused(tmp_path):
    values = np.array([[-2.0, 0.0], [1.0, 2.0]], dtype=np.float32)
    picture = read_image(saved(tmp_path / "a.tif", Image.fromarray(values)))
    np.testing.assert_allclose(picture.display, [[0.0, 0.5], [0.75, 1.0]])
    values[0, 0] = np.nan
    with pytest.raises(InputError, match="not numbers"):
        read_image(saved(tmp_path / "b.tif", Image.fromarray(values)))


def test_a_flat_deep_picture_is_black(tmp_path):
    flat = np.full((4, 4), 700, dtype=np.uint16)
    assert not read_image(saved(tmp_path / "a.png", Image.fromarray(flat))).display.any()


def test_exif_orientation_is_honoured(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    path = saved(tmp_path / "a.png", Image.fromarray(GREY), exif=exif)
    np.testing.assert_allclose(read_image(path).display, np.rot90(GREY, -1) / 255, atol=1e-6)
    assert steps(path)["orientation"] == "EXIF orientation 6"


@pytest.mark.parametrize("mode", ["P", "LA", "RGBA", "CMYK"])
def test_other_modes_become_colour_as_pillow_converts_them(tmp_path, mode):
    picture = Image.fromarray(COLOUR).convert(mode)
    path = saved(tmp_path / "a.tif", picture)
    np.testing.assert_allclose(read_image(path).display, np.asarray(picture.convert("RGB")) / 255, atol=1e-6)
    assert mode in steps(path)["colour"]


def test_a_bilevel_picture_is_black_and_white(tmp_path):
    picture = Image.fromarray(GREY > 100)
    np.testing.assert_array_equal(read_image(saved(tmp_path / "a.png", picture)).display, (GREY > 100) * 1.0)


def test_of_several_frames_the_first_is_read(tmp_path):
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    path = saved(tmp_path / "a.tif", frames[0], save_all=True, append_images=frames[1:])
    np.testing.assert_allclose(read_image(path).display, GREY / 255, atol=1e-6)
    assert steps(path)["frame"] == "first of 2 frames"


def whole_png() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (80, 80), dtype=np.uint8)).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"", "neither DICOM nor", id="empty"),
        pytest.param(b"caption\tpath\n", "neither DICOM nor", id="text"),
        pytest.param(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "neither DICOM nor", id="a program"),
        pytest.param(whole_png()[:2000], "truncated", id="cut"),
    ],
)
def test_what_is_no_image_is_refused_with_its_name(tmp_path, content, words):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        read_image(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "none.png", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            read_image(path)


def test_a_damaged_dicom_is_a_dicom_error(tmp_path):
    (tmp_path / "a.png").write_bytes(bytes(128) + b"DICM" + b"\x00" * 40)
    with pytest.raises(DicomError):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize(("side", "words"), [(11_000, "more than the limit"), (40_000, "too large")], ids=str)
def test_a_picture_too_large_is_refused_by_its_header_alone(tmp_path, side, words):
    header = struct.pack(">II5B", side, side, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + header
    promise = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (tmp_path / "a.png").write_bytes(promise + struct.pack(">I", 9) + b"IDAT" + b"no pixels")
    with pytest.raises(InputError, match=words):
        read_image(tmp_path / "a.png")


def test_the_limit_is_an_argument(tmp_path):
    path = saved(tmp_path / "a.png", Image.fromarray(GREY))
    assert read_image(path, max_pixels=48).shape == (6, 8)
    with pytest.raises(InputError, match="more than the limit of 47"):
        read_image(path, max_pixels=47)


@given(
    arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3))),
    st.sampled_from(list(Fit)),
)
def test_each_colour_is_placed_as_a_grey_picture_of_its_own(colour, fit):
    preprocessing = Preprocessing(size=24, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7), fit=fit)
    display = (colour / np.float32(255)).astype(np.float32)
    inputs, placement = place_image(display, preprocessing)
    low, high = display.min(), display.max()
    for channel in range(3):
        grey, grey_placement = place_image(np.ascontiguousarray(display[..., channel]), preprocessing)
        assert placement == grey_placement
        mean, std = preprocessing.mean[channel], preprocessing.std[channel]
        # A colour alone is clamped to its own range, and in a picture to the picture's.
        shown = inputs[channel] * std + mean
        alone = (grey[channel] * std + mean).clamp(min(low, 0), high)
        inside = display[..., channel].min() == low and display[..., channel].max() == high
        if inside:
            np.testing.assert_allclose(shown, alone, atol=1e-5)
        assert shown.min() >= min(low, 0) - 1e-5
        assert shown.max() <= high + 1e-5


def test_grey_in_three_colours_is_placed_as_grey():
    preprocessing = Preprocessing(size=20, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    display = np.random.default_rng(1).random((31, 17), dtype=np.float32)
    one, _ = place_image(display, preprocessing)
    three, _ = place_image(np.stack([display] * 3, axis=-1), preprocessing)
    assert one.equal(three)


@pytest.mark.parametrize("shape", [(3, 8, 9), (8,), (8, 9, 4)], ids=str)
def test_a_picture_of_another_form_is_our_own_mistake(shape):
    preprocessing = Preprocessing(size=20, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    with pytest.raises(ValueError, match="rows, columns, 3"):
        unwrap(place_image)(np.zeros(shape, dtype=np.float32), preprocessing)
