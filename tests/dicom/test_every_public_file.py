"""Every DICOM file of pydicom's and pydicom-data's test files: read as other decoders read it, or refused."""

import csv
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import data_store
import gdcm
import highdicom
import numpy as np
import PIL.Image
import pydicom
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi, pixel_array
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import ExplicitVRBigEndian

from pipelines.dicom.decode import decode_frame, read_dataset
from pipelines.dicom.pixels import Pixels, read_pixels
from pipelines.dicom.source import looks_like_dicom, tolerant_reading
from pipelines.errors import DicomError

FOLDERS = (Path(data_store.__path__[0]) / "data", Path(pydicom.__file__).parent / "data" / "test_files")
TABLE = Path(__file__).parent / "data" / "public_files.csv"
NO_DICOM = {".dump", ".gz", ".icc", ".json", ".py", ".txt", ".zip", ""}  # what else lies in those folders


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
    assert len(readable()) + len(refused) == len(public_files())
    for path, sentence in refused.items():
        assert sentence.startswith(f"{path}: ")
        assert "\n" not in sentence
        assert any(mend in sentence for mend in ("export", "install", "remove it"))


def test_every_file_has_the_outcome_of_the_table() -> None:
    """Read and equal to what the named decoders give, or refused with the named sentence; none is passed over.

    ``python tests/dicom/test_every_public_file.py`` prints the table anew.
    """
    with TABLE.open(newline="") as file:
        expected = {row["file"]: (row["outcome"], row["equal to"]) for row in csv.DictReader(file)}
    assert dict(table()) == expected
    # GDCM leaves uncompressed YBR as it is, and no other decoder here reads it.
    alone = {name for name, (outcome, decoders) in expected.items() if outcome == "read" and not decoders}
    assert {Path(name).name for name in alone} == {"SC_ybr_full_uncompressed.dcm", "SC_ybr_full_422_uncompressed.dcm"}


def test_what_is_not_in_the_table_is_no_dicom_file() -> None:
    others = {path for folder in FOLDERS for path in folder.rglob("*") if path.is_file()} - set(public_files())
    others = {path for path in others if "__pycache__" not in path.parts}
    assert {path.name for path in others if path.suffix not in NO_DICOM} == {"no_meta.dcm"}  # holds 12 bytes


def test_the_picture_is_finite_in_range_and_of_the_headers_size() -> None:
    for path in readable():
        found = outcomes()[path]
        with tolerant_reading():
            dataset = dcmread(path, stop_before_pixels=True, force=True)
        assert found.display.shape == found.valid.shape == (dataset.Rows, dataset.Columns), path.name
        assert np.isfinite(found.display).all(), path.name
        assert 0.0 <= found.display.min() <= found.display.max() <= 1.0, path.name


def table() -> Iterator[tuple[str, tuple[str, str]]]:
    """Give each file's name in its folder, its outcome, and the decoders whose stored values are ours."""
    for path in public_files():
        folder = next(folder for folder in FOLDERS if path.is_relative_to(folder))
        found = outcomes()[path]
        if isinstance(found, Pixels):
            yield str(path.relative_to(folder)), ("read", " ".join(_agreeing(path)))
        else:
            yield str(path.relative_to(folder)), (found.removeprefix(f"{path}: "), "")


def _agreeing(path: Path) -> Iterator[str]:
    """Name the decoders that give our stored values; a lossy one may be off by 4 of 256 or more grey levels.

    A decoder that reads the file and gives other values fails the test.
    """
    with tolerant_reading(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values, encoding = decode_frame(read_dataset(path), path)
        syntax = encoding.transfer_syntax
        lossy = syntax.is_compressed and not any(word in syntax.name for word in ("Lossless", "RLE", "Deflated"))
        plugins = get_decoder(syntax).available_plugins if syntax.is_encapsulated else ()
        others = {plugin: _by_plugin(path, plugin, syntax) for plugin in plugins}
        if not syntax.is_encapsulated and not encoding.photometric_interpretation.startswith("YBR"):
            others["GDCM"] = _by_gdcm(path, values)
        for name, other in others.items():
            if other is None:
                continue
            furthest = np.abs(values.astype(np.int64) - other.astype(np.int64)).max()
            assert furthest <= (4 if lossy else 0), (path.name, name)
            yield name


def _by_gdcm(path: Path, like: np.ndarray) -> np.ndarray | None:
    """Read uncompressed values with GDCM's own parser; None where it gives up on the file."""
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    if not reader.Read():
        return None
    content = reader.GetImage().GetBuffer().encode("utf-8", "surrogateescape")[: like.nbytes]
    stored = np.frombuffer(content, like.dtype.newbyteorder("<"))  # which GDCM gives of either order
    if like.ndim == 3 and reader.GetImage().GetPlanarConfiguration() == 1:
        return stored.reshape(like.shape[2], *like.shape[:2]).transpose(1, 2, 0)
    return stored.reshape(like.shape)


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
        steps = {step.step: step.detail for step in found.steps}
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


def test_the_displayed_picture_of_every_file_is_that_of_other_code(tmp_path: Path) -> None:
    """PS3.3 C.11 by pydicom's functions, luminance by Pillow, percentiles by numpy: no readable file is passed over.

    pydicom takes plain palettes for little-endian ones, so that GDCM rewrites those of big-endian files first.
    """
    shown: Counter[str] = Counter()
    for path in readable():
        found = outcomes()[path]
        with tolerant_reading(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = dcmread(path, force=True)
            for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
                for macro in dataset.get(groups, [Dataset()])[0]:
                    dataset.update(macro.value[0])  # of the first frame
            values, encoding = decode_frame(read_dataset(path), path)
            if (
                encoding.photometric_interpretation == "PALETTE COLOR"
                and encoding.transfer_syntax == ExplicitVRBigEndian
            ):
                dataset = dcmread(_rewritten_by_gdcm(path, tmp_path / path.name))
            kind, theirs = _displayed(dataset, values, encoding.photometric_interpretation)
        np.testing.assert_allclose(found.display, theirs, atol=2e-3 if kind == "luminance" else 1e-5, err_msg=path.name)
        shown[kind] += 1
    assert sum(shown.values()) == len(readable())
    assert min(shown[kind] for kind in ("window", "VOI LUT", "percentiles", "luminance")) > 0
    assert shown["window"] >= 50


def _rewritten_by_gdcm(path: Path, out: Path) -> Path:
    """Write a file anew in little-endian order; segmented palettes become plain ones."""
    reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
    reader.SetFileName(str(path))
    assert reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.ExplicitVRLittleEndian))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    writer.SetFileName(str(out))
    assert writer.Write()
    return out


def _displayed(dataset: Dataset, values: np.ndarray, photometric: str) -> tuple[str, np.ndarray]:
    """Bring stored values (compared with other decoders above) to [0, 1] without the code of this project."""
    if photometric == "PALETTE COLOR":
        values = apply_color_lut(values, dataset)
    if values.ndim == 3:
        eight_bit = values / np.iinfo(values.dtype).max * 255
        return "luminance", np.dot(eight_bit, [0.299, 0.587, 0.114]) / 255 if values.itemsize > 1 else _grey(values)
    padding = dataset.get("PixelPaddingValue")
    kept = np.ones(values.shape, bool) if padding is None else values != np.array(padding).astype(values.dtype)
    rescaled = apply_modality_lut(values, dataset).astype(np.float64)
    for kind, shown in _candidates(dataset, rescaled, kept):
        if np.ptp(shown[kept]) > 0 or kind == "percentiles":
            return kind, 1 - shown if photometric == "MONOCHROME1" else shown
    raise AssertionError


def _candidates(dataset: Dataset, rescaled: np.ndarray, kept: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    if "VOILUTSequence" in dataset:
        bits = dataset.VOILUTSequence[0].LUTDescriptor[2]
        yield "VOI LUT", apply_voi(rescaled.astype(int), dataset) / (2**bits - 1)
    centre, width = (dataset.get(f"Window{name}") for name in ("Center", "Width"))
    if centre not in (None, "") and width not in (None, ""):
        yield "window", np.interp(rescaled, *_ramp(float(np.ravel(centre)[0]), float(np.ravel(width)[0])))
    low, high = np.percentile(rescaled[kept], [1, 99], method="inverted_cdf")
    yield "percentiles", np.interp(rescaled, [low, high], [0, 1])


def _ramp(centre: float, width: float) -> tuple[list[float], list[int]]:
    """Where PS3.3 C.11.2.1.2.1 puts black and white."""
    return [centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2], [0, 1]


def _grey(values: np.ndarray) -> np.ndarray:
    return np.asarray(PIL.Image.fromarray(values).convert("L")) / 255


if __name__ == "__main__":
    written = csv.writer(sys.stdout, lineterminator="\n")
    written.writerow(["file", "outcome", "equal to"])
    written.writerows([name, *outcome] for name, outcome in table())
