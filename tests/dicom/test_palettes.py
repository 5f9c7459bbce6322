"""Colour palettes of big-endian files look like those of their little-endian twins."""

from pathlib import Path

import numpy as np
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

from pipelines.dicom.pixels import read_pixels

ENTRIES = 300  # more than a byte counts
SYNTAXES = [ExplicitVRLittleEndian, ExplicitVRBigEndian]


def displayed(name: str) -> np.ndarray:
    return read_pixels(Path(get_testdata_file(name, download=False))).display


@pytest.mark.parametrize(
    ("little_endian", "big_endian"),
    [("OBXXXX1A.dcm", "OBXXXX1A_expb.dcm"), ("gdcm-US-ALOKA-16.dcm", "gdcm-US-ALOKA-16_big.dcm")],
    ids=["plain", "segmented"],
)
def test_a_real_big_endian_palette_is_that_of_its_little_endian_twin(little_endian: str, big_endian: str) -> None:
    little, big = displayed(little_endian), displayed(big_endian)
    np.testing.assert_array_equal(little, big)
    assert 0.0 < little.mean() < 1.0


@pytest.mark.parametrize("entry_bits", [8, 16])
@pytest.mark.parametrize("index_type", [np.uint8, np.uint16])
@pytest.mark.parametrize("syntax", SYNTAXES, ids=["little endian", "big endian"])
def test_every_entry_is_looked_up(write_dx, entry_bits: int, index_type: type, syntax: str) -> None:
    """Entries of 16 bits are words; entries of 8 bits share one, and the lower byte comes first (PS3.3 C.7.6.3.1.6)."""
    order = ">u2" if syntax == ExplicitVRBigEndian else "<u2"
    entries = ENTRIES if index_type is np.uint16 and entry_bits == 16 else 200
    palette = np.random.default_rng(0).integers(0, 2**entry_bits, (3, entries))
    palette[0, :2], palette[:, -1] = (1, 2), 2**entry_bits - 1
    indices = np.arange(entries, dtype=index_type).reshape(20, -1)
    elements: dict[str, object] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for colour, outputs in zip(("Red", "Green", "Blue"), palette, strict=True):
        words = outputs.astype("<u2") if entry_bits == 16 else outputs.astype(np.uint8).view("<u2")
        elements[f"{colour}PaletteColorLookupTableDescriptor"] = [entries, 0, entry_bits]
        elements[f"{colour}PaletteColorLookupTableData"] = words.astype(order).tobytes()
    if index_type is np.uint16:
        elements["PixelData"] = indices.astype(order).tobytes()
    path = write_dx(indices, syntax=syntax, **elements)
    luma = np.array([0.299, 0.587, 0.114]) @ palette / (2**entry_bits - 1)
    np.testing.assert_allclose(read_pixels(path).display, luma.reshape(20, -1), atol=1e-6)


@pytest.mark.parametrize("entry_bits", [8, 16])
@pytest.mark.parametrize("syntax", SYNTAXES, ids=["little endian", "big endian"])
def test_segmented_palettes_are_expanded(write_dx, entry_bits: int, syntax: str) -> None:
    """A discrete segment of 2 entries and a linear one of 18 up to the top (PS3.3 C.7.9.2), in words as plain ones."""
    top = 18 * 2 ** (entry_bits - 5)
    segments = np.array([0, 2, 1, 0, 1, 18, top])
    stored = segments.astype("<u2") if entry_bits == 16 else np.append(segments, 0).astype(np.uint8).view("<u2")
    elements: dict[str, object] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for colour in ("Red", "Green", "Blue"):
        elements[f"{colour}PaletteColorLookupTableDescriptor"] = [20, 0, entry_bits]
        order = ">u2" if syntax == ExplicitVRBigEndian else "<u2"
        elements[f"Segmented{colour}PaletteColorLookupTableData"] = stored.astype(order).tobytes()
    path = write_dx(np.arange(20, dtype=np.uint8).reshape(4, 5), syntax=syntax, **elements)
    expected = np.array([1, 0, *(top // 18 * np.arange(1, 19))]) / (2**entry_bits - 1)
    np.testing.assert_allclose(read_pixels(path).display, expected.reshape(4, 5), atol=1e-6)
