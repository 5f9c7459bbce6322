"""High-Throughput JPEG 2000: a real codestream against the values it was made of.

``data/ramp.j2c`` was encoded without loss by imagecodecs 2026.3.6 (``htj2k_encode(values, reversible=True)``, which is
OpenJPH), and is read here by OpenJPEG: another maker's code than the encoder's.
"""

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import HTJ2K, UID, HTJ2KLossless, HTJ2KLosslessRPCL

from pipelines.dicom.decode import decode_frame, read_dataset
from pipelines.dicom.pixels import read_pixels
from pipelines.errors import DicomError

CODESTREAM = (Path(__file__).parent / "data" / "ramp.j2c").read_bytes()
ROWS, COLUMNS = np.mgrid[:48, :64]
VALUES = ((61 * COLUMNS + 37 * ROWS + ROWS * COLUMNS % 41) % 4096).astype(np.uint16)
WINDOW = {"WindowCenter": 1800, "WindowWidth": 3000}


def compress(path: Path, syntax: UID, codestream: bytes = CODESTREAM) -> Path:
    """Put the codestream in the place of the pixels of a copy."""
    dataset = dcmread(path)
    dataset.PixelData = encapsulate([codestream])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = syntax
    copy = path.with_stem("compressed")
    dataset.save_as(copy)
    return copy


@pytest.mark.parametrize("syntax", [HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K], ids=lambda syntax: syntax.name)
def test_the_picture_is_that_of_the_uncompressed_twin(write_dx, syntax: UID) -> None:
    plain = write_dx(VALUES, **WINDOW)
    compressed = compress(plain, syntax)
    stored, encoding = decode_frame(read_dataset(compressed), compressed)
    np.testing.assert_array_equal(stored, VALUES)
    assert encoding.transfer_syntax == syntax
    np.testing.assert_array_equal(read_pixels(compressed).display, read_pixels(plain).display)
    assert "High-Throughput" in read_pixels(compressed).steps[0].detail


def test_a_codestream_of_another_size_is_refused_before_it_is_decoded(write_dx) -> None:
    larger = CODESTREAM.replace((64).to_bytes(4, "big"), (6400).to_bytes(4, "big"), 1)
    with pytest.raises(DicomError, match="the compressed image is 48 x 6400, but the header says 48 x 64"):
        read_pixels(compress(write_dx(VALUES), HTJ2KLossless, larger))


def test_a_codestream_that_is_cut_short_is_refused(write_dx) -> None:
    path = compress(write_dx(VALUES), HTJ2KLossless, CODESTREAM[:100])
    with pytest.raises(DicomError, match="cannot be decoded"):
        read_pixels(path)
