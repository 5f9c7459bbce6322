"""What would be unsafe or cannot be decoded is refused with a sentence that names the file."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.pixels.decoders.base import Decoder
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless
from ramp import RAMP

from pipelines.dicom.pixels import read_pixels
from pipelines.errors import DicomError


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
def test_a_header_that_promises_nonsense_is_refused_before_decoding(write_dx, elements, sentence):
    path = write_dx(**elements)
    with pytest.raises(DicomError, match=sentence) as refused:
        read_pixels(path)
    assert str(path) in str(refused.value)


def test_the_limit_can_be_set(write_dx):
    path = write_dx(RAMP)
    assert read_pixels(path, max_pixels=4096).display.shape == (64, 64)
    with pytest.raises(DicomError, match="the limit for one file is 4,095"):
        read_pixels(path, max_pixels=4095)


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless], ids=lambda uid: uid.name)
def test_a_compressed_image_larger_than_its_header_is_refused(write_dx, syntax):
    path = write_dx(RAMP, BitsStored=12)
    dataset = dcmread(path)
    dataset.compress(syntax, generate_instance_uid=False)
    dataset.Rows = dataset.Columns = 8
    dataset.save_as(path)
    with pytest.raises(DicomError, match="compressed image is 64 x 64, but the header says 8 x 8"):
        read_pixels(path)


def test_a_missing_decoder_is_named_with_the_package_that_brings_it(monkeypatch):
    monkeypatch.setattr(Decoder, "is_available", property(lambda _: False))
    with pytest.raises(DicomError, match=r"JPEG 2000 .*pip install pylibjpeg pylibjpeg-openjpeg"):
        read_pixels(Path(get_testdata_file("RG1_J2KR.dcm")))


def test_a_transfer_syntax_for_video_is_refused(write_dx):
    path = write_dx()
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.0\0"))
    with pytest.raises(DicomError, match="no decoder for the transfer syntax"):
        read_pixels(path)


def test_a_missing_file_is_refused(tmp_path):
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
