"""The benchmarks' cohorts: the size that was asked for, boxes on their lesions, and as many studies as wanted."""

import numpy as np
import pandas as pd
import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless

from benchmarks.cohorts import make_large_cohort, repeat_studies
from pipelines.phantom.cohort import make_cohort

_ROWS, _COLUMNS = 360, 300


def _datasets(folder):
    return [dcmread(path) for path in sorted((folder / "dicom").glob("*.dcm"))]


@pytest.fixture(scope="module", params=[False, True], ids=["uncompressed", "JPEG 2000"])
def cohort(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("large") / "cohort"
    make_large_cohort(folder, count=4, rows=_ROWS, columns=_COLUMNS, compressed=request.param, seed=5)
    return folder, request.param


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small") / "cohort"
    make_cohort(folder, count=4, seed=5)
    return folder


def test_every_file_of_a_large_cohort_has_the_size_the_bits_and_the_syntax_asked_for(cohort) -> None:
    folder, compressed = cohort
    syntax = JPEG2000Lossless if compressed else ExplicitVRLittleEndian
    for dataset in _datasets(folder):
        assert dataset.file_meta.TransferSyntaxUID == syntax
        assert dataset.pixel_array.shape == (_ROWS, _COLUMNS)
        assert dataset.BitsStored == 12
        assert 2**11 < dataset.pixel_array.max() < 2**12


def test_an_enlarged_image_covers_the_same_film_and_shows_the_same(cohort, small) -> None:
    for large, source in zip(_datasets(cohort[0]), _datasets(small), strict=True):
        assert large.SOPInstanceUID == source.SOPInstanceUID
        film = np.multiply(source.ImagerPixelSpacing, (source.Rows, source.Columns))
        np.testing.assert_allclose(np.multiply(large.ImagerPixelSpacing, (_ROWS, _COLUMNS)), film, rtol=1e-3)
        rows = np.linspace(0, source.Rows - 1, _ROWS).round().astype(int)
        columns = np.linspace(0, source.Columns - 1, _COLUMNS).round().astype(int)
        same = source.pixel_array[np.ix_(rows, columns)]
        assert np.corrcoef(large.pixel_array.ravel(), same.ravel())[0, 1] > 0.95


def test_boxes_keep_their_place_on_the_enlarged_image(cohort, small) -> None:
    sizes = {str(dataset.SOPInstanceUID): (dataset.Rows, dataset.Columns) for dataset in _datasets(small)}
    for large, source in zip(
        *(pd.read_csv(folder / "boxes.csv").to_dict("records") for folder in (cohort[0], small)), strict=True
    ):
        rows, columns = sizes[source["image"]]
        assert large["image"] == source["image"]
        assert large["x"] / _COLUMNS == pytest.approx(source["x"] / columns)
        assert large["width"] / _COLUMNS == pytest.approx(source["width"] / columns)
        assert large["y"] / _ROWS == pytest.approx(source["y"] / rows)
        assert large["height"] / _ROWS == pytest.approx(source["height"] / rows)


def test_repeated_studies_are_other_patients_with_the_same_image_report_and_boxes(tmp_path) -> None:
    make_cohort(tmp_path, count=2, seed=5, columns=64)
    repeat_studies(tmp_path, count=5)
    datasets, boxes = _datasets(tmp_path), pd.read_csv(tmp_path / "boxes.csv")
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "PatientID", "AccessionNumber"):
        assert len({str(dataset[keyword].value) for dataset in datasets}) == 5
    for index, dataset in enumerate(datasets):
        source = datasets[index % 2]
        assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
        np.testing.assert_array_equal(dataset.pixel_array, source.pixel_array)
        reports = [tmp_path / "reports" / f"phantom-{number + 1:05d}.txt" for number in (index, index % 2)]
        assert reports[0].read_bytes() == reports[1].read_bytes()
        own, theirs = (
            boxes[boxes["image"] == str(each.SOPInstanceUID)].drop(columns="image") for each in (dataset, source)
        )
        assert len(own) > 0
        np.testing.assert_array_equal(own.to_numpy(), theirs.to_numpy())
