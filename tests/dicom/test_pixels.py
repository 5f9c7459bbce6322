"""The grayscale chain, step by step, against the standard's formulas and against highdicom."""

from pathlib import Path

import highdicom
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.pixels import apply_modality_lut
from ramp import RAMP, detail

from pipelines.dicom.grayscale import apply_voi
from pipelines.dicom.pixels import Pixels, read_pixels


def by_highdicom(path: Path) -> np.ndarray:
    """Display values by another implementation of PS3.3 C.11, brought to this project's [0, 1], bright is dense."""
    return highdicom.imread(path).get_frame(1, apply_voi_transform=True, apply_presentation_lut=True)


@pytest.fixture(scope="module")
def chest() -> Pixels:
    return read_pixels(Path(get_testdata_file("RG1_UNCR.dcm")))


def test_a_real_chest_radiograph_has_dark_lungs_and_stands_upright(chest):
    def brightness(top: float, bottom: float, left: float, right: float) -> float:
        rows, columns = chest.display.shape
        part = chest.display[int(top * rows) : int(bottom * rows), int(left * columns) : int(right * columns)]
        return float(part.mean())

    spine = brightness(0.30, 0.60, 0.45, 0.53)
    right_lung, left_lung = brightness(0.15, 0.30, 0.20, 0.35), brightness(0.15, 0.30, 0.62, 0.78)
    abdomen = brightness(0.80, 0.95, 0.15, 0.40)
    assert max(right_lung, left_lung) < spine - 0.15
    assert max(right_lung, left_lung) < abdomen - 0.15, "the liver lies below the lungs: the picture is upright"
    heart_left, heart_right = brightness(0.60, 0.68, 0.57, 0.70), brightness(0.60, 0.68, 0.33, 0.36)
    assert heart_left > heart_right, "the heart reaches into the image's right half: the picture is not mirrored"


def test_a_real_chest_radiograph_is_float32_in_range_with_all_its_processing_steps(chest):
    assert (chest.display.dtype, chest.display.shape) == (np.float32, (1955, 1841))
    assert 0.0 <= chest.display.min() < chest.display.max() <= 1.0
    assert [item.step for item in chest.steps] == ["decoding", "modality", "collimation", "VOI window", "polarity"]
    assert detail(chest, "VOI window") == "first of 1: LINEAR, centre 15000, width 30000"
    assert detail(chest, "polarity").startswith("inverted: MONOCHROME1")


def test_collimator_edges_in_millimetres_are_passed_over(chest):
    assert "implausible" in detail(chest, "collimation")
    assert chest.valid.all()


def test_lossless_jpeg_2000_gives_the_pixels_of_the_uncompressed_file(chest):
    compressed = read_pixels(Path(get_testdata_file("RG1_J2KR.dcm")))
    assert np.array_equal(compressed.display, chest.display)
    assert "JPEG 2000" in detail(compressed, "decoding")


def test_lossy_jpeg_2000_is_close_to_the_uncompressed_file(chest):
    lossy = read_pixels(Path(get_testdata_file("RG1_J2KI.dcm")))
    assert 0 < np.abs(lossy.display - chest.display).max() < 0.05


@pytest.mark.parametrize("name", ["RG1_UNCR.dcm", "RG3_UNCR.dcm", "vlut_04.dcm"])
def test_real_files_agree_with_highdicom(name):
    path = Path(get_testdata_file(name))
    np.testing.assert_allclose(read_pixels(path).display, by_highdicom(path), atol=2e-5)


WINDOWS = [
    pytest.param({"WindowCenter": 2048, "WindowWidth": 4096}, id="linear, whole range"),
    pytest.param({"WindowCenter": 1000, "WindowWidth": 300}, id="linear, narrow"),
    pytest.param({"WindowCenter": 1000.5, "WindowWidth": 2}, id="linear, width 2"),
    pytest.param({"WindowCenter": 1000, "WindowWidth": 300, "VOILUTFunction": "LINEAR_EXACT"}, id="linear exact"),
    pytest.param({"WindowCenter": 1000, "WindowWidth": 0.5, "VOILUTFunction": "LINEAR_EXACT"}, id="exact, narrow"),
    pytest.param({"WindowCenter": 1000, "WindowWidth": 300, "VOILUTFunction": "SIGMOID"}, id="sigmoid"),
    pytest.param({"WindowCenter": 1000, "WindowWidth": 0.01, "VOILUTFunction": "SIGMOID"}, id="sigmoid, steep"),
    pytest.param({"WindowCenter": [700, 1000], "WindowWidth": [900, 10]}, id="first of two"),
    pytest.param({"WindowCenter": -50, "WindowWidth": 400, "RescaleIntercept": -1024}, id="after a rescale"),
]


@pytest.mark.parametrize("elements", WINDOWS)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.filterwarnings("ignore:overflow encountered in exp")  # in the oracle
def test_windows_agree_with_highdicom(write_dx, elements, photometric):
    shape = "INVERSE" if photometric == "MONOCHROME1" else "IDENTITY"
    rescale = {"RescaleType": "US", "RescaleSlope": 1, "RescaleIntercept": 0}
    encoding = {"BitsStored": 12, "PhotometricInterpretation": photometric, "PresentationLUTShape": shape}
    path = write_dx(RAMP, **{**rescale, **encoding, **elements})
    np.testing.assert_allclose(read_pixels(path).display, by_highdicom(path), atol=1e-6)


@pytest.mark.parametrize("slope", [1.0, 0.5, -2.0])
@pytest.mark.parametrize("width", [1.0, 2.0, 301.0])
def test_the_linear_window_is_the_formula_of_the_standard(write_dx, width, slope):
    """PS3.3 C.11.2.1.2.1, its pseudo-code in plain Python for y in [0, 1].

    highdicom is no oracle here: it takes 1 off a width that it has divided by the slope, and divides by 0 for width 1.
    """
    centre = 1000.0 * slope + 7

    def standard(x: float) -> float:
        if x <= centre - 0.5 - (width - 1) / 2:
            return 0.0
        if x > centre - 0.5 + (width - 1) / 2:
            return 1.0
        return (x - (centre - 0.5)) / (width - 1) + 0.5

    elements = {"RescaleSlope": slope, "RescaleIntercept": 7, "WindowCenter": centre, "WindowWidth": width}
    pixels = read_pixels(write_dx(RAMP, **elements))
    expected = np.array([standard(x * slope + 7) for x in range(4096)]).reshape(64, 64)
    np.testing.assert_allclose(pixels.display, expected, atol=1e-7)


@pytest.mark.parametrize(
    ("photometric", "shape", "inverted"),
    [
        ("MONOCHROME2", None, False),
        ("MONOCHROME2", "IDENTITY", False),
        ("MONOCHROME2", "INVERSE", True),
        ("MONOCHROME1", None, True),
        ("MONOCHROME1", "IDENTITY", True),
        ("MONOCHROME1", "INVERSE", True),
    ],
)
def test_polarity_is_turned_once_or_not_at_all(write_dx, photometric, shape, inverted):
    window = {"WindowCenter": 2048, "WindowWidth": 4096, "PhotometricInterpretation": photometric}
    pixels = read_pixels(write_dx(RAMP, **window, **({"PresentationLUTShape": shape} if shape else {})))
    rising = bool(pixels.display[0, 0] < pixels.display[-1, -1])
    assert rising is not inverted
    assert detail(pixels, "polarity").startswith("inverted" if inverted else "kept")


def test_polarity_does_not_depend_on_the_data(write_dx):
    """Inversion turns the display range round, not the range of the values that happen to be there."""
    window = {"WindowCenter": 2048, "WindowWidth": 4096, "PhotometricInterpretation": "MONOCHROME1"}
    whole = read_pixels(write_dx(RAMP, **window)).display
    part = read_pixels(write_dx(RAMP[20:30], **window)).display
    assert np.array_equal(part, whole[20:30])


def test_a_voi_lut_comes_before_a_window_and_the_first_of_several_is_taken(write_dx, lookup_table):
    outputs = [int(65535 * (x / 4095) ** 2) for x in range(4096)]
    tables = [lookup_table(outputs), lookup_table(outputs[::-1])]
    path = write_dx(RAMP, VOILUTSequence=tables, WindowCenter=10, WindowWidth=20)
    pixels = read_pixels(path)
    np.testing.assert_allclose(pixels.display, np.array(outputs).reshape(64, 64) / 65535, atol=1e-7)
    assert detail(pixels, "VOI LUT") == "first of 2 in VOILUTSequence: 4096 entries from 0, 16 bits"


def test_a_voi_lut_agrees_with_highdicom(write_dx, lookup_table):
    outputs = [int(65535 * (x / 1999) ** 0.5) for x in range(2000)]
    path = write_dx(RAMP, VOILUTSequence=[lookup_table(outputs, first=1000)], BitsStored=12)
    pixels = read_pixels(path)
    np.testing.assert_allclose(pixels.display, by_highdicom(path), atol=1e-6)
    assert pixels.display[0, 0] == pixels.display.reshape(-1)[1000] == 0.0, (
        "inputs below the table take its first entry"
    )


def test_a_voi_lut_that_states_more_bits_than_it_fills_is_not_shown_black(write_dx, lookup_table):
    path = write_dx(RAMP, VOILUTSequence=[lookup_table(list(range(4096)), bits=16)])
    pixels = read_pixels(path)
    assert pixels.display.max() == 1.0
    assert "12 bits (the descriptor says 16" in detail(pixels, "VOI LUT")


def test_an_incomplete_voi_lut_is_passed_over_for_the_window(write_dx, lookup_table):
    item = lookup_table(list(range(100)))
    item.LUTDescriptor = [4096, 0, 12]
    pixels = read_pixels(write_dx(RAMP, VOILUTSequence=[item], WindowCenter=2048, WindowWidth=4096))
    assert detail(pixels, "VOI window").startswith("first of 1: LINEAR")


def test_voi_lut_data_of_bytes_and_of_packed_bytes_are_the_same(write_dx, lookup_table):
    outputs = list(range(256))
    words, octets, packed = (lookup_table(outputs, bits=8) for _ in range(3))
    octets["LUTData"].VR = "OW"
    octets.LUTData = bytes(outputs)
    packed.LUTData = np.frombuffer(bytes(outputs), "<u2").tolist()
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    shown = [read_pixels(write_dx(values, VOILUTSequence=[item])).display for item in (words, octets, packed)]
    assert np.array_equal(shown[0], shown[1])
    assert np.array_equal(shown[0], shown[2])
    np.testing.assert_allclose(shown[0], values / 255, atol=1e-7)


def test_a_first_input_written_unsigned_is_negative_after_a_negative_rescale(write_dx, lookup_table):
    outputs = list(range(4096))
    elements = {"RescaleSlope": 1, "RescaleIntercept": -1024, "RescaleType": "HU"}
    path = write_dx(RAMP, VOILUTSequence=[lookup_table(outputs, first=2**16 - 1024, bits=12)], **elements)
    np.testing.assert_allclose(read_pixels(path).display, RAMP / 4095, atol=1e-7)


def test_a_modality_lut_comes_before_the_window(write_dx, lookup_table):
    outputs = [4095 - x for x in range(4096)]
    elements = {"ModalityLUTSequence": [lookup_table(outputs, bits=12)], "WindowCenter": 2048, "WindowWidth": 4096}
    pixels = read_pixels(write_dx(RAMP, **elements))
    np.testing.assert_allclose(pixels.display, (4095 - RAMP) / 4095, atol=1e-7)


def test_a_real_modality_lut_file_agrees_with_pydicom():
    """With pydicom, since highdicom looks up signed values as if they were unsigned."""
    path = Path(get_testdata_file("mlut_18.dcm"))
    dataset = dcmread(path)
    modality = apply_modality_lut(dataset.pixel_array, dataset).astype(float)
    low, high = (np.percentile(modality, q, method="inverted_cdf") for q in (1, 99))
    expected = np.clip((modality - low) / (high - low), 0, 1)
    np.testing.assert_allclose(read_pixels(path).display, expected, atol=1e-6)


@pytest.mark.parametrize(
    "elements",
    [
        pytest.param({}, id="no window"),
        pytest.param({"WindowCenter": 100, "WindowWidth": 0}, id="width 0"),
        pytest.param({"WindowCenter": 100, "WindowWidth": -5, "VOILUTFunction": "SIGMOID"}, id="negative width"),
        pytest.param({"WindowCenter": 100, "WindowWidth": 5, "VOILUTFunction": "CUBIC"}, id="unknown function"),
        pytest.param({"WindowCenter": 9000, "WindowWidth": 10}, id="a window that shows nothing"),
    ],
)
def test_without_a_usable_window_percentiles_are_taken(write_dx, elements):
    pixels = read_pixels(write_dx(RAMP, **elements))
    low, high = (np.percentile(RAMP, q, method="inverted_cdf") for q in (1, 99))
    expected = np.clip((RAMP.astype(float) - low) / (high - low), 0, 1)
    np.testing.assert_allclose(pixels.display, expected, atol=1e-6)
    assert detail(pixels, "percentiles").endswith(f"percentiles 1 to 99 of the valid pixels, {low:g} to {high:g}")


def test_a_flat_picture_is_black_and_says_so(write_dx):
    pixels = read_pixels(write_dx(np.full((4, 5), 700, dtype=np.uint16)))
    assert not pixels.display.any()
    assert "the picture is black" in detail(pixels, "percentiles")


@given(
    values=st.lists(st.integers(0, 4095), min_size=2, max_size=60),
    slope=st.floats(0.01, 10).map(lambda value: round(value, 3)),
    intercept=st.integers(-2000, 2000),
)
def test_the_percentile_stretch_is_monotone_in_range_and_reaches_both_ends(values, slope, intercept):
    dataset = dcmread(get_testdata_file("RG1_UNCR.dcm"), specific_tags=["Rows"])
    table = np.arange(4096, dtype=np.float64) * slope + intercept
    counts = np.bincount(values, minlength=4096)
    display, _ = apply_voi(dataset, table, counts)
    assert (np.diff(display) >= 0).all()
    seen = display[counts > 0]
    assert (seen.min(), seen.max()) == ((0.0, 1.0) if len(set(values)) > 1 else (0.0, 0.0))


def test_signed_values_are_read(write_dx):
    values = np.arange(-32, 32, dtype=np.int16).reshape(8, 8)
    pixels = read_pixels(write_dx(values, WindowCenter=0, WindowWidth=65))
    np.testing.assert_allclose(pixels.display, (values + 32.5) / 64, atol=1e-6)


@pytest.mark.parametrize(
    ("stored", "high_bit"),
    [
        pytest.param(RAMP << 4, 15, id="in the upper bits"),
        pytest.param(RAMP << 2, 13, id="in the middle"),
        pytest.param(RAMP, 15, id="in the lower bits, whatever the header says"),
        pytest.param(RAMP, 11, id="as newer files have it"),
        pytest.param(RAMP, 3, id="an implausible high bit"),
        pytest.param(RAMP, None, id="without a high bit"),
    ],
)
def test_values_are_found_in_the_bits_that_hold_them(write_dx, stored, high_bit):
    path = write_dx(stored, BitsStored=12, HighBit=high_bit, WindowCenter=2048, WindowWidth=4096)
    np.testing.assert_allclose(read_pixels(path).display, RAMP / 4095, atol=1e-7)


def test_bits_above_those_stored_are_ignored(write_dx):
    overlay = RAMP | 0xF000
    shown = read_pixels(write_dx(overlay, BitsStored=12, WindowCenter=2048, WindowWidth=4096)).display
    np.testing.assert_allclose(shown, RAMP / 4095, atol=1e-7)
