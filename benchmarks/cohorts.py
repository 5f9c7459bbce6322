"""Phantom cohorts for the benchmarks: made small, and put into files of realistic size."""

from pathlib import Path

import numpy as np
import pandas as pd
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless
from scipy.ndimage import zoom

from pipelines.phantom.cohort import make_cohort

__all__ = ["make_large_cohort"]


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
    make_cohort(folder, count=count, seed=seed, columns=640)
    generator = np.random.default_rng(seed)
    shapes: dict[str, tuple[float, float]] = {}
    for path in sorted((folder / "dicom").glob("*.dcm")):
        dataset = dcmread(path)
        stored = dataset.pixel_array
        shapes[str(dataset.SOPInstanceUID)] = (columns / stored.shape[1], rows / stored.shape[0])
        large = zoom(stored.astype(np.float32), (rows / stored.shape[0], columns / stored.shape[1]), order=1)
        noisy = large + generator.normal(0.0, 6.0, large.shape)
        top = 2**12 - 1
        dataset.BitsStored, dataset.HighBit = 12, 11
        scale = top / max(1.0, float(stored.max()))
        pixels = np.clip(np.round(noisy * scale), 0, top).astype(np.uint16)
        for element in ("WindowCenter", "WindowWidth"):
            if element in dataset:
                setattr(dataset, element, float(dataset[element].value) * scale)
        if "PixelSpacing" in dataset:
            dataset.PixelSpacing = [
                float(dataset.PixelSpacing[0]) * stored.shape[0] / rows,
                float(dataset.PixelSpacing[1]) * stored.shape[1] / columns,
            ]
        dataset.Rows, dataset.Columns = pixels.shape
        dataset.PixelData = pixels.tobytes()
        if compressed:
            dataset.compress(JPEG2000Lossless, pixels, generate_instance_uid=False)
        dataset.save_as(path, enforce_file_format=True)
    _scale_boxes(folder / "boxes.csv", shapes)


def _scale_boxes(path: Path, shapes: dict[str, tuple[float, float]]) -> None:
    table = pd.read_csv(path)
    across = table["image"].map(lambda uid: shapes[uid][0])
    down = table["image"].map(lambda uid: shapes[uid][1])
    scaled = {"x": table["x"] * across, "width": table["width"] * across}
    table.assign(**scaled, y=table["y"] * down, height=table["height"] * down).to_csv(path, index=False)
