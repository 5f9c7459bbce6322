"""Every DICOM file of pydicom's and pydicom-data's test files: read as other decoders read it, or refused."""

import warnings
from collections import Counter
from functools import cache
from pathlib import Path

import data_store
import highdicom
import numpy as np
import pydicom
from pydicom import dcmread
from pydicom.pixels import pixel_array
from pydicom.pixels.decoders.base import get_decoder

from pipelines.dicom.decode import decode_first_frame, read_whole
from pipelines.dicom.pixels import Pixels, read_pixels
from pipelines.dicom.source import looks_like_dicom, tolerant_reading
from pipelines.errors import DicomError

FOLDERS = (Path(data_store.__path__[0]) / "data", Path(pydicom.__file__).parent / "data" / "test_files")
REFUSED = {  # what the sentence says -> how many files
    "the file has no integer pixel data": 72,
    "bits stored in 32 are not read": 13,
    "1 bits stored in 1 are not read": 4,
    "lossy JPEG of 12 bits needs a decoder": 2,
}


@cache
def public_files() -> tuple[Path, ...]:
    files = sorted(path for folder in FOLDERS for path in folder.rglob("*") if path.is_file())
    return tuple(path for path in files if path.suffix not in {".py", ".json", ".zip"} and looks_like_dicom(path))


@cache
def outcomes() -> dict[Path, Pixels | str]:
    found: dict[Path, Pixels | str] = {}
    for path in public_files():
        try:
            found[path] = read_pixels(path)
        except DicomError as error:
            found[path] = str(error)
    return found


def readable() -> list[Path]:
    return [path for path, found in outcomes().items() if isinstance(found, Pixels)]


def test_every_file_is_read_or_refused_in_one_sentence_that_names_it_and_the_mend() -> None:
    refused = {path: found for path, found in outcomes().items() if isinstance(found, str)}
    assert len(readable()) >= 135
    assert len(readable()) + len(refused) == len(public_files())
    for path, sentence in refused.items():
        assert sentence.startswith(f"{path}: ")
        assert "\n" not in sentence
        assert any(mend in sentence for mend in ("export", "install", "take it out"))
    counted = Counter(part for sentence in refused.values() for part in REFUSED if part in sentence)
    assert dict(counted) == REFUSED


def test_the_picture_is_finite_in_range_and_of_the_headers_size() -> None:
    for path in readable():
        found = outcomes()[path]
        with tolerant_reading():
            dataset = dcmread(path, stop_before_pixels=True, force=True)
        assert found.display.shape == found.valid.shape == (dataset.Rows, dataset.Columns), path.name
        assert np.isfinite(found.display).all(), path.name
        assert 0.0 <= found.display.min() <= found.display.max() <= 1.0, path.name


def test_stored_values_are_those_of_every_decoder_that_reads_the_file() -> None:
    compared = Counter()
    for path in readable():
        with tolerant_reading(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values, encoding = decode_first_frame(read_whole(path), path)
            for plugin in get_decoder(encoding.transfer_syntax).available_plugins or ("",):
                other = _by_plugin(path, plugin, encoding.transfer_syntax)
                if other is None:
                    continue
                lossy = encoding.transfer_syntax.is_compressed and "Lossless" not in encoding.transfer_syntax.name
                furthest = np.abs(values.astype(np.int64) - other.astype(np.int64)).max()
                assert furthest <= (4 if lossy and "RLE" not in encoding.transfer_syntax.name else 0), (
                    path.name,
                    plugin,
                )
                compared[encoding.transfer_syntax.name] += 1
    assert sum(compared.values()) >= 150
    assert {"RLE Lossless", "JPEG 2000 Image Compression (Lossless Only)", "Explicit VR Big Endian"} <= set(compared)


def _by_plugin(path: Path, plugin: str, syntax: str) -> np.ndarray | None:
    """Decode with one of pydicom's plugins; None where it gives up on a file that another reads."""
    try:
        dataset = dcmread(path, force=True)
        dataset.file_meta.TransferSyntaxUID = syntax
        return pixel_array(dataset, index=0, decoding_plugin=plugin)
    except (RuntimeError, ValueError, AttributeError):
        return None


def test_display_values_are_those_of_highdicom_where_it_applies_a_window() -> None:
    compared, not_read = 0, []
    for path in readable():
        found = outcomes()[path]
        steps = {step.step: step.detail for step in found.receipt}
        if not steps.get("VOI window", "").startswith("first of"):
            continue
        try:
            theirs = highdicom.imread(path).get_frame(1, apply_voi_transform=True, apply_presentation_lut=True)
        except (ValueError, AttributeError, TypeError, RuntimeError):
            not_read.append(path.name)  # it asks for more of a header than old files have
            continue
        np.testing.assert_allclose(found.display, theirs, atol=2e-3, err_msg=path.name)
        compared += 1
    assert compared >= 10
    assert len(not_read) <= 2 * compared
