"""Phantom cohorts for the benchmarks: rendered small, and put into files of realistic size and in any number."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from pydicom import Dataset, dcmread
from pydicom.uid import JPEG2000Lossless, generate_uid
from scipy.ndimage import zoom

from pipelines.phantom.cohort import make_cohort

__all__ = ["make_large_cohort", "repeat_studies"]

_RENDERED_COLUMNS = 640
_TOP = 2**12 - 1  # phantoms have 12 bits
_NOISE = 6.0  # stored values; without it a JPEG 2000 file would be smaller, and decoded sooner, than a real one


def make_large_cohort(folder: Path, *, count: int, rows: int, columns: int, compressed: bool, seed: int = 5) -> None:
    """Make phantoms of ``rows`` x ``columns`` px, 12 bits: rendered smaller, enlarged, with noise of full resolution.

    Args:
        folder: takes ``dicom``, ``reports`` and ``boxes.csv``.
        count: how many studies.
        rows: of each image.
        columns: of each image.
        compressed: JPEG 2000 without loss, or not compressed at all.
        seed: of the phantoms and of the noise.
    """
    make_cohort(folder, count=count, seed=seed, columns=_RENDERED_COLUMNS)
    generator = np.random.default_rng(seed)
    factors: dict[str, tuple[float, float]] = {}
    for path in _files(folder):
        dataset = dcmread(path)
        small_rows, small_columns = dataset.Rows, dataset.Columns
        factors[str(dataset.SOPInstanceUID)] = (rows / small_rows, columns / small_columns)
        _enlarge(dataset, rows, columns, generator)
        if compressed:
            dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
        dataset.save_as(path, enforce_file_format=True)
    _scale_boxes(folder / "boxes.csv", factors)


def _files(folder: Path) -> list[Path]:
    return sorted((folder / "dicom").glob("*.dcm"))


def _enlarge(dataset: Dataset, rows: int, columns: int, generator: np.random.Generator) -> None:
    """Put a larger image into ``dataset``, not compressed."""
    if dataset.file_meta.TransferSyntaxUID.is_compressed:  # every fourth phantom
        dataset.decompress(generate_instance_uid=False)
    stored = dataset.pixel_array
    down, across = rows / stored.shape[0], columns / stored.shape[1]
    large = zoom(stored.astype(np.float32), (down, across), order=1)
    noisy = large + generator.normal(0.0, _NOISE, large.shape)
    dataset.PixelData = np.clip(np.round(noisy), 0, _TOP).astype("<u2").tobytes()
    dataset.Rows, dataset.Columns = large.shape
    between_rows, between_columns = dataset.ImagerPixelSpacing
    dataset.ImagerPixelSpacing = [round(between_rows / down, 5), round(between_columns / across, 5)]


def _scale_boxes(path: Path, factors: dict[str, tuple[float, float]]) -> None:
    table = pd.read_csv(path)
    down = table["image"].map(lambda uid: factors[uid][0])
    across = table["image"].map(lambda uid: factors[uid][1])
    table["x"], table["width"] = table["x"] * across, table["width"] * across
    table["y"], table["height"] = table["y"] * down, table["height"] * down
    table.to_csv(path, index=False)


def repeat_studies(folder: Path, *, count: int) -> None:
    """Fill a cohort up to ``count`` studies: the same images, reports and boxes as other patients' (with new UIDs).

    Rendering and compressing thousands of large images would take longer than auditing them.
    """
    files, boxes = _files(folder), pd.read_csv(folder / "boxes.csv")
    tables = [boxes]
    for index in range(len(files), count):
        source, stem = files[index % len(files)], f"phantom-{index + 1:05d}"
        dataset = dcmread(source)
        own = boxes[boxes["image"] == str(dataset.SOPInstanceUID)]
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            setattr(dataset, keyword, generate_uid(entropy_srcs=[str(dataset[keyword].value), str(index)]))
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.AccessionNumber, dataset.PatientID = f"R{index + 1}", f"PHANTOM-R{index + 1:05d}"
        dataset.save_as(folder / "dicom" / f"{stem}.dcm", enforce_file_format=True)
        shutil.copy(folder / "reports" / f"{source.stem}.txt", folder / "reports" / f"{stem}.txt")
        tables.append(own.assign(image=str(dataset.SOPInstanceUID)))
    pd.concat(tables).to_csv(folder / "boxes.csv", index=False)
