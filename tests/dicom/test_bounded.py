"""A file opened for pydicom: what is read of it, and of what it inflates to, has an end."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from benchmarks.bench_hostile import REPRODUCED, dicom_element, file_head, image_body
from pipelines.dicom import bounded
from pipelines.dicom.bounded import open_bounded
from pipelines.dicom.decode import read_dataset
from pipelines.dicom.headers import inspect_file, read_image_header
from pipelines.dicom.pixels import read_pixels
from pipelines.dicom.source import read_header
from pipelines.errors import DicomError
from pipelines.limits import MAX_DICOM_VALUE_BYTES, MAX_HEADER_BYTES
from pipelines.study import Exclusion

DEFLATED = Path(str(get_testdata_file("image_dfl.dcm")))


def deflate(content: bytes) -> bytes:
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return squeezer.compress(content) + squeezer.flush()


def deflated_file(body: bytes, *, before: bytes = b"", group_length: int | None = None, preamble: bool = True) -> bytes:
    """A deflated file whose meta information says what a test wants it to say."""
    meta = dicom_element(2, 0x0002, b"UI", b"1.2.840.10008.5.1.4.1.1.1\0") + before
    meta += dicom_element(2, 0x0010, b"UI", DeflatedExplicitVRLittleEndian.encode())
    length = len(meta) if group_length is None else group_length
    start = bytes(128) + b"DICM" if preamble else b""
    return start + dicom_element(2, 0, b"UL", struct.pack("<I", length)) + meta + deflate(body)


@pytest.mark.parametrize("name", sorted(REPRODUCED))
def test_what_once_took_minutes_or_gigabytes_is_refused_by_header_and_pixels(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded, "MAX_DICOM_READS", 20_000)  # the benchmark goes to the real limit, which takes seconds
    path = tmp_path / "hostile.dcm"
    path.write_bytes(REPRODUCED[name]())
    found = inspect_file(path)
    assert isinstance(found, Exclusion)
    assert found.failed
    assert "the limit for one" in found.reason
    with pytest.raises(DicomError, match="the limit for one"):
        read_pixels(path)


def test_a_deflated_file_is_read_as_pydicom_reads_it_and_keeps_its_transfer_syntax() -> None:
    ours, theirs = read_dataset(DEFLATED), dcmread(DEFLATED)
    assert ours.file_meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian
    assert ours == theirs
    assert read_pixels(DEFLATED).steps[0].detail.startswith("Deflated Explicit VR Little Endian, ")


@pytest.mark.parametrize(
    "form",
    [
        pytest.param({"before": dicom_element(2, 0x0102, b"OB", bytes(2000))}, id="transfer-syntax-after-1,024-bytes"),
        pytest.param({"group_length": 0}, id="group-length-too-small"),
        pytest.param({"group_length": 2**31}, id="group-length-too-large"),
        pytest.param({"preamble": False}, id="no-preamble"),
    ],
)
def test_a_deflated_file_of_unusual_form_is_read(tmp_path: Path, form: dict[str, object]) -> None:
    values = np.arange(64, dtype="<u2")
    path = tmp_path / "image.dcm"
    path.write_bytes(deflated_file(image_body(8, 8, values.tobytes()), **form))
    header = read_image_header(path)
    assert (header.rows, header.columns) == (8, 8)
    np.testing.assert_array_equal(read_dataset(path).pixel_array, values.reshape(8, 8))


def test_what_follows_the_deflated_data_set_is_not_read(tmp_path: Path) -> None:
    """PS3.5 A.5: a deflated stream of odd length is padded with a null."""
    path = tmp_path / "image.dcm"
    path.write_bytes(deflated_file(image_body(8, 8, bytes(128))) + b"\0")
    assert read_pixels(path).display.shape == (8, 8)


def test_a_deflated_data_set_whose_pixels_end_too_early_is_called_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "image.dcm"
    path.write_bytes(deflated_file(image_body(8, 8, bytes(128))[:-10]))
    with pytest.raises(DicomError, match="truncated: its pixel data should end at byte"):
        read_image_header(path)


def test_a_deflated_stream_that_is_cut_is_called_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "image.dcm"
    path.write_bytes(DEFLATED.read_bytes()[:-100])
    with pytest.raises(DicomError, match="the deflated data set is truncated"):
        read_image_header(path)


def test_a_deflate_bomb_is_refused_before_it_is_inflated_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "MAX_INFLATED_BYTES", 100_000)
    with pytest.raises(DicomError, match="inflates to more than"):
        read_image_header(DEFLATED)


def test_a_file_larger_than_any_radiograph_is_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "MAX_DICOM_BYTES", 1000)
    with pytest.raises(DicomError, match="the file is more than"):
        read_image_header(DEFLATED)


def test_a_deflated_data_set_behind_meta_information_in_implicit_vr_is_refused_and_not_inflated(tmp_path: Path) -> None:
    """Which pydicom would read, and inflate without limit."""
    uid = DeflatedExplicitVRLittleEndian.encode()
    meta = struct.pack("<HHI", 2, 0x0010, len(uid)) + uid
    path = tmp_path / "image.dcm"
    path.write_bytes(bytes(128) + b"DICM" + meta + deflate(image_body(8, 8, bytes(128))))
    with pytest.raises(DicomError, match="its file meta information is damaged"):
        read_image_header(path)


@pytest.mark.parametrize(
    "tag", [pytest.param((0x0009, 0x1001), id="private"), pytest.param((0x0028, 0x3010), id="VOI")]
)
def test_a_large_element_that_no_image_needs_costs_no_more_than_its_bytes(tmp_path: Path, tag: tuple[int, int]) -> None:
    """A sequence of five million empty elements is not parsed, since none with a meaning is so large."""
    item = dicom_element(0x0009, 0x1001, b"LO", b"") * (5 * 2**20 // 8)
    sequence = struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item
    body = image_body(8, 8, bytes(128))
    at = len(body) - 12 - 128
    path = tmp_path / "image.dcm"
    extra = dicom_element(*tag, b"SQ", sequence)
    path.write_bytes(file_head("1.2.840.10008.1.2.1") + body[:at] + extra + body[at:])
    assert not isinstance(inspect_file(path), Exclusion)
    assert tag not in read_dataset(path)
    assert read_pixels(path).display.shape == (8, 8)


def test_a_named_element_of_the_header_that_is_larger_than_any_is_refused(tmp_path: Path) -> None:
    body = image_body(8, 8, bytes(128))
    path = tmp_path / "image.dcm"
    large = dicom_element(0x0008, 0x0051, b"SQ", bytes(MAX_DICOM_VALUE_BYTES + 2))
    path.write_bytes(file_head("1.2.840.10008.1.2.1") + large + body)
    with pytest.raises(DicomError, match="one element of the header holds 4,194,306 bytes"):
        read_image_header(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=50)
@given(content=st.binary(max_size=300), steps=st.lists(st.tuples(st.booleans(), st.integers(0, 400)), max_size=8))
def test_within_its_limits_it_reads_and_seeks_as_any_file(tmp_path: Path, content: bytes, steps: list) -> None:
    path = tmp_path / "any"
    path.write_bytes(content)
    with path.open("rb") as theirs, open_bounded(path) as ours:
        for reads, number in steps:
            if reads:
                assert ours.read(number) == theirs.read(number)
            else:
                assert ours.seek(number) == theirs.seek(number)
            assert ours.tell() == theirs.tell()


def test_a_header_of_many_names_is_refused(
    tmp_path: Path,
) -> None:
    names = dicom_element(0x0008, 0x1048, b"PN", b"Doe^Jane" * 5_000) * (MAX_HEADER_BYTES // 40_000 + 1)
    path = tmp_path / "names.dcm"
    path.write_bytes(file_head(ExplicitVRLittleEndian) + names)
    with pytest.raises(DicomError, match=r"the header has more than 16,777,216 bytes"):
        read_header(path)
