"""The label files of four public sets, whole, as the package torchxrayvision carries them."""

import gzip
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from benchmarks.context_labels import fetch_wheel
from pipelines.boxes import BoxTable, read_boxes

pytestmark = pytest.mark.slow

FILES = {
    "NIH": "BBox_List_2017.csv.gz",
    "RSNA": "kaggle_stage_2_train_labels.csv.zip",
    "VinDr": "vinbigdata-train.csv.gz",
    "SIIM": "siim-pneumothorax-train-rle.csv.gz",
}


@pytest.fixture(scope="module")
def label_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("wheel")
    with zipfile.ZipFile(fetch_wheel(folder)) as wheel:
        for name in FILES.values():
            (folder / name).write_bytes(wheel.read(f"torchxrayvision/data/{name}"))
    return {key: folder / name for key, name in FILES.items()}


@pytest.mark.parametrize(
    ("name", "boxes", "images", "labels"),
    [
        pytest.param("NIH", 984, 880, 8, id="NIH"),
        pytest.param("RSNA", 9555, 6012, 1, id="RSNA"),
        pytest.param("VinDr", 36_096, 4394, 14, id="VinDr"),
        pytest.param("SIIM", 3576, 2669, 1, id="SIIM"),
    ],
)
def test_every_box_of_a_public_set_is_read(
    label_files: dict[str, Path], name: str, boxes: int, images: int, labels: int
) -> None:
    table: BoxTable = read_boxes(label_files[name])
    assert (len(table.rows), len({row.image for row in table.rows})) == (boxes, images)
    assert len({row.box.label for row in table.rows}) == labels
    assert not any(left.failed for left in table.left_out)


def test_vindr_has_three_readers_an_image_and_blank_rows_draw_nothing(label_files: dict[str, Path]) -> None:
    with gzip.open(label_files["VinDr"], "rt") as file:
        lines = [line.rstrip("\n").split(",") for line in file][1:]
    assert (len(lines), len({line[0] for line in lines})) == (67_914, 15_000)
    readers = {line[0]: set() for line in lines}
    for line in lines:
        readers[line[0]].add(line[3])
    assert Counter(map(len, readers.values())) == {3: 15_000}
    assert sum(line[1] != "No finding" for line in lines) == len(read_boxes(label_files["VinDr"]).rows)


def test_every_mask_of_siim_lies_in_its_frame(label_files: dict[str, Path]) -> None:
    for row in read_boxes(label_files["SIIM"]).rows[:200]:
        assert row.box.shape is not None
        mask = row.box.shape.mask(1024, 1024)
        columns, rows = (np.flatnonzero(mask.any(axis)) for axis in (0, 1))
        assert (columns[0], columns[-1] + 1) == (row.box.x, row.box.x + row.box.width)
        assert (rows[0], rows[-1] + 1) == (row.box.y, row.box.y + row.box.height)
