"""The grayscale chain, step by step, against the standard's formulas and against highdicom."""

from pathlib import Path

import highdicom
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut
from pydicom.pixels.decoders.base import Decoder
from pydicom.uid import ExplicitVRBigEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from pipelines.dicom.grayscale import apply_voi
from pipelines.dicom.pixels import Pixels, read_pixels
from pipelines.errors import DicomError

RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)


def detail(pixels: Pixels, step: str) -> str:
    [found] = [item.detail for item in pixels.receipt if item.step == step]
    return found


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


def test_a_real_chest_radiograph_is_float32_in_range_with_a_whole_receipt(chest):
    assert (chest.display.dtype, chest.display.shape) == (np.float32, (1955, 1841))
    assert 0.0 <= chest.display.min() < chest.display.max() <= 1.0
    assert [item.step for item in chest.receipt] == ["decoding", "modality", "collimation", "VOI window", "polarity"]
    assert detail(chest, "VOI window") == "first of 1: LINEAR, centre 15000, width 30000"
    assert detail(chest, "polarity").startswith("inverted: MONOCHROME1")


def test_collimator_edges_in_millimetres_are_passed_over(chest):
    assert "cannot be meant" in detail(chest, "collimation")
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
        pytest.param(RAMP, 3, id="a high bit that cannot be meant"),
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


class TestMasks:
    """Padding, shutter and collimator take pixels out of windowing and out of ``valid``."""

    def test_padding_is_masked_and_left_out_of_the_percentiles(self, write_dx):
        values = RAMP.copy()
        values[:, :20] = 65535
        pixels = read_pixels(write_dx(values, PixelPaddingValue=65535))
        assert np.array_equal(pixels.valid, values != 65535)
        seen = values[:, 20:].astype(float)
        low, high = (np.percentile(seen, q, method="inverted_cdf") for q in (1, 99))
        np.testing.assert_allclose(pixels.display[:, 20:], np.clip((seen - low) / (high - low), 0, 1), atol=1e-6)

    @pytest.mark.parametrize("limits", [(0, 99), (99, 0)], ids=["rising", "falling"])
    def test_a_padding_range_is_masked_with_both_ends(self, write_dx, limits):
        pixels = read_pixels(write_dx(RAMP, PixelPaddingValue=limits[0], PixelPaddingRangeLimit=limits[1]))
        assert np.array_equal(pixels.valid, RAMP > 99)

    def test_padding_that_would_mask_everything_is_passed_over(self, write_dx):
        pixels = read_pixels(write_dx(RAMP, PixelPaddingValue=0, PixelPaddingRangeLimit=4095))
        assert pixels.valid.all()
        assert "cannot be meant" in detail(pixels, "padding")

    @pytest.mark.parametrize("kind", ["Shutter", "Collimator"])
    def test_a_rectangle_keeps_its_edges_counted_from_one(self, write_dx, kind):
        edges = ("UpperHorizontalEdge", "LowerHorizontalEdge", "LeftVerticalEdge", "RightVerticalEdge")
        elements = dict(zip((kind + edge for edge in edges), (11, 50, 21, 60), strict=True))
        pixels = read_pixels(write_dx(RAMP, **{f"{kind}Shape": "RECTANGULAR"}, **elements))
        expected = np.zeros((64, 64), dtype=bool)
        expected[10:50, 20:60] = True
        assert np.array_equal(pixels.valid, expected)

    @pytest.mark.parametrize("first", [0, 1], ids=["counted from 0", "counted from 1"])
    def test_a_rectangle_of_the_whole_picture_masks_at_most_its_rim(self, write_dx, first):
        edges = {"ShutterUpperHorizontalEdge": first, "ShutterLeftVerticalEdge": first}
        edges |= {"ShutterLowerHorizontalEdge": 63 + first, "ShutterRightVerticalEdge": 63 + first}
        pixels = read_pixels(write_dx(RAMP, ShutterShape="RECTANGULAR", **edges))
        assert pixels.valid[:63, :63].all()

    def test_a_circle_is_masked_outside_its_radius(self, write_dx):
        elements = {"CenterOfCircularShutter": [32, 20], "RadiusOfCircularShutter": 15}
        pixels = read_pixels(write_dx(RAMP, ShutterShape="CIRCULAR", **elements))
        assert pixels.valid.sum() == pytest.approx(np.pi * 15**2, rel=0.02)
        assert pixels.valid[31, 19]
        assert pixels.valid[31, 4]
        assert not pixels.valid[31, 3]

    def test_a_polygon_is_given_as_row_and_column(self, write_dx):
        vertices = [1, 1, 1, 64, 33, 64, 33, 1]  # the upper half
        pixels = read_pixels(write_dx(RAMP, CollimatorShape="POLYGONAL", VerticesOfThePolygonalCollimator=vertices))
        expected = np.zeros((64, 64), dtype=bool)
        expected[:33] = True
        assert np.array_equal(pixels.valid, expected)

    def test_several_shapes_leave_what_all_of_them_leave(self, write_dx):
        elements = {"CenterOfCircularShutter": [32, 32], "RadiusOfCircularShutter": 20}
        edges = {"ShutterUpperHorizontalEdge": 32, "ShutterLowerHorizontalEdge": 64}
        edges |= {"ShutterLeftVerticalEdge": 1, "ShutterRightVerticalEdge": 64}
        pixels = read_pixels(write_dx(RAMP, ShutterShape=["RECTANGULAR", "CIRCULAR"], **elements, **edges))
        assert not pixels.valid[:31].any()
        assert pixels.valid.sum() == pytest.approx(np.pi * 20**2 / 2, rel=0.06)


class TestOtherEncodings:
    """Colour, palettes, several frames, compressed and unusual transfer syntaxes."""

    def test_a_colour_capture_becomes_its_luminance(self, write_dx):
        colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], dtype=np.uint8)
        pixels = read_pixels(write_dx(colours))
        np.testing.assert_allclose(pixels.display, [[0.299, 0.587, 0.114, 1.0]], atol=1e-6)
        assert "0.299 R" in detail(pixels, "luminance")

    @pytest.mark.parametrize(("bits", "white"), [(8, 255), (16, 65535), (12, 4095)])
    def test_white_is_full_scale_of_the_bits_stored(self, write_dx, bits, white):
        colours = np.full((2, 2, 3), white, dtype=np.uint8 if bits == 8 else np.uint16)
        display = read_pixels(write_dx(colours, BitsStored=bits)).display
        np.testing.assert_allclose(display, 1.0, atol=1e-6)

    @pytest.mark.parametrize(
        "name", ["SC_rgb_jpeg_dcmtk.dcm", "SC_rgb_rle_16bit.dcm", "SC_ybr_full_422_uncompressed.dcm"]
    )
    def test_real_colour_files_agree_with_pillow(self, name):
        path = Path(get_testdata_file(name))
        colour = highdicom.imread(path).get_frame(1, apply_icc_profile=False, dtype=np.uint16)
        eight_bit = colour // 257 if colour.max() > 255 else colour
        grey = np.asarray(Image.fromarray(eight_bit.astype(np.uint8)).convert("L")) / 255
        np.testing.assert_allclose(read_pixels(path).display, grey, atol=0.01)

    def test_a_real_palette_file_is_looked_up(self):
        path = Path(get_testdata_file("OT-PAL-8-face.dcm"))
        dataset = dcmread(path, force=True)
        tables = [
            np.frombuffer(dataset[f"{name}PaletteColorLookupTableData"].value, "<u2")
            for name in ("Red", "Green", "Blue")
        ]
        indices = np.frombuffer(dataset.PixelData, np.uint8)[: 480 * 640].reshape(480, 640)
        red, green, blue = (table[indices] / 65535 for table in tables)
        np.testing.assert_allclose(read_pixels(path).display, 0.299 * red + 0.587 * green + 0.114 * blue, atol=1e-5)

    @pytest.mark.parametrize("syntax", [None, RLELossless, JPEGLSLossless], ids=lambda uid: uid and uid.name)
    def test_the_frame_that_is_asked_for_is_taken_and_said(self, write_dx, syntax):
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
    def test_a_file_with_functional_groups_is_shown_as_highdicom_shows_it(self, frame):
        path = Path(get_testdata_file("eCT_Supplemental.dcm"))
        untouched = {"apply_real_world_transform": False, "apply_palette_color_lut": False, "apply_icc_profile": False}
        theirs = highdicom.imread(path).get_frame(frame, apply_voi_transform=True, **untouched)
        np.testing.assert_allclose(read_pixels(path, frame=frame).display, theirs, atol=1e-6)

    def test_what_functional_groups_say_of_a_frame_counts_for_it(self, write_dx):
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
    def test_lossless_compression_changes_nothing(self, write_dx, syntax):
        path = write_dx(RAMP, BitsStored=12)
        plain = read_pixels(path).display
        dataset = dcmread(path)
        dataset.compress(syntax, generate_instance_uid=False)
        dataset.save_as(path)
        assert np.array_equal(read_pixels(path).display, plain)

    def test_big_endian_changes_nothing(self, write_dx, lookup_table):
        table = {"VOILUTSequence": [lookup_table([4095 - x for x in range(4096)])], "BitsStored": 12}
        plain = read_pixels(write_dx(RAMP, **table))
        big = read_pixels(write_dx(RAMP.astype(">u2"), syntax=ExplicitVRBigEndian, **table))
        assert np.array_equal(big.display, plain.display)
        assert big.display.dtype.isnative

    def test_a_bare_dataset_without_meta_information_is_shown(self, write_dx):
        path = write_dx(RAMP)
        plain = read_pixels(path).display
        content = path.read_bytes()
        path.write_bytes(content[content.index(b"\x08\x00\x05\x00CS") :])
        assert np.array_equal(read_pixels(path).display, plain)


class TestRefusals:
    """What would be unsafe or cannot be decoded is refused with a sentence that names the file."""

    @pytest.mark.parametrize(
        ("elements", "sentence"),
        [
            pytest.param({"Rows": 65535, "Columns": 65535}, "4,294,836,225 pixels", id="huge"),
            pytest.param({"NumberOfFrames": 100_000_000}, "pixels; the limit", id="endless frames"),
            pytest.param({"NumberOfFrames": -1}, "not positive", id="negative frames"),
            pytest.param({"Rows": 0}, "not positive", id="no rows"),
            pytest.param({"Rows": None}, "Rows is missing", id="rows missing"),
            pytest.param({"BitsAllocated": 32}, "are not supported", id="32 bits"),
            pytest.param({"BitsStored": 17}, "are not supported", id="17 of 16 bits"),
            pytest.param({"PhotometricInterpretation": "HSV"}, "HSV", id="HSV"),
            pytest.param({"SamplesPerPixel": 3}, "3 samples", id="grey with three samples"),
            pytest.param({"Rows": 9}, "cannot be decoded", id="more rows than pixels"),
            pytest.param({"PixelData": None}, "no integer pixel data", id="no pixels"),
        ],
    )
    def test_a_header_that_promises_nonsense_is_refused_before_decoding(self, write_dx, elements, sentence):
        path = write_dx(**elements)
        with pytest.raises(DicomError, match=sentence) as refused:
            read_pixels(path)
        assert str(path) in str(refused.value)

    def test_the_limit_can_be_set(self, write_dx):
        path = write_dx(RAMP)
        assert read_pixels(path, max_pixels=4096).display.shape == (64, 64)
        with pytest.raises(DicomError, match="the limit for one file is 4,095"):
            read_pixels(path, max_pixels=4095)

    @pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless], ids=lambda uid: uid.name)
    def test_a_compressed_image_larger_than_its_header_is_refused(self, write_dx, syntax):
        path = write_dx(RAMP, BitsStored=12)
        dataset = dcmread(path)
        dataset.compress(syntax, generate_instance_uid=False)
        dataset.Rows = dataset.Columns = 8
        dataset.save_as(path)
        with pytest.raises(DicomError, match="compressed image is 64 x 64, but the header says 8 x 8"):
            read_pixels(path)

    def test_a_missing_decoder_is_named_with_the_package_that_brings_it(self, monkeypatch):
        monkeypatch.setattr(Decoder, "is_available", property(lambda _: False))
        with pytest.raises(DicomError, match=r"JPEG 2000 .*pip install pylibjpeg pylibjpeg-openjpeg"):
            read_pixels(Path(get_testdata_file("RG1_J2KR.dcm")))

    def test_a_transfer_syntax_for_video_is_refused(self, write_dx):
        path = write_dx()
        path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.0\0"))
        with pytest.raises(DicomError, match="no decoder for the transfer syntax"):
            read_pixels(path)

    def test_a_missing_file_is_refused(self, tmp_path):
        with pytest.raises(DicomError, match="bring it back"):
            read_pixels(tmp_path / "gone.dcm")


@given(
    damage=st.lists(st.tuples(st.integers(132, 3000), st.integers(0, 255)), min_size=1, max_size=8),
    kept=st.integers(1, 270_000),
)
def test_a_damaged_file_is_read_or_refused_and_nothing_else(scratch, damage, kept):
    content = bytearray(Path(get_testdata_file("vlut_04.dcm")).read_bytes()[: max(kept, 3001)])
    for at, value in damage:
        content[at] = value
    scratch.write_bytes(content)
    try:
        pixels = read_pixels(scratch)
    except DicomError as refused:
        named = str(scratch) in str(refused)
    else:
        named = bool(0.0 <= pixels.display.min() <= pixels.display.max() <= 1.0)
    assert named


@pytest.fixture(scope="module")
def scratch(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("damaged") / "image.dcm"
