"""Small files that stand for gigabytes or for minutes of work are refused with a sentence, within a limit of memory."""

import gzip
import json
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from input_bombs import BOXES, REPORTS, gzipped, outline
from made_up_image import made_up_image
from PIL import Image as Pillow
from pyarrow import parquet
from run_lengths import run_lengths_of

from pipelines.boxes.outlines import coco_shape, polygons_of
from pipelines.boxes.placing import place_boxes
from pipelines.boxes.table import BoxRow
from pipelines.errors import BoxError, InputError
from pipelines.image_file import read_image
from pipelines.limits import MAX_BOXES_ON_IMAGE, MAX_CORNERS, MAX_JSON_DEPTH
from pipelines.shapes import Polygons, cropped_run_lengths
from pipelines.study import Box
from pipelines.text.formats.file import open_report_file
from pipelines.text.formats.hl7_v2 import Delimiters, read_hl7_reports
from pipelines.text.formats.parquet import read_parquet_reports
from pipelines.text_files import JsonLimitError, parse_json

READER = Path(__file__).with_name("reading_apart.py")


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What is said of each file by a process for each kind, which may take 2 GB of address space for all of them."""
    folder = tmp_path_factory.mktemp("bombs")
    found: dict[str, list[str]] = {}
    for kind, bombs in (("report", REPORTS), ("boxes", BOXES)):
        arguments = []
        for name, (make, _) in bombs.items():
            make(folder / name)
            arguments += [kind, str(folder / name)]
        run = subprocess.run([sys.executable, str(READER), *arguments], capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        found |= json.loads(run.stdout)
    return found


@pytest.mark.parametrize(
    ("name", "words"), [(name, words) for name, (_, words) in {**REPORTS, **BOXES}.items()], ids=[*REPORTS, *BOXES]
)
def test_a_bomb_is_refused_with_a_sentence(said: dict[str, list[str]], name: str, words: str) -> None:
    assert any(words in reason for reason in said[name]), said[name]


def test_a_file_is_unpacked_with_one_copy_of_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "a.txt.gz"
    gzipped(path, 32)
    tracemalloc.start()
    opened = open_report_file(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert opened is not None
    assert len(opened.text) == 2**25
    assert peak < 2.3 * 2**25  # the bytes, what their array keeps free, and the text


def test_bytes_after_zeros_and_between_members_are_read_as_gzip_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(b"No ") + gzip.compress(b"effusion.") + bytes(1000))
    opened = open_report_file(path)
    assert opened is not None
    assert opened.text == "No effusion."


def test_a_report_on_many_continued_lines_is_put_together_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "a.hl7"
    path.write_text("MSH|^~\\&|||||||ORU^R01\nOBR|1|||||||||||||||||X1\nOBX|1|TX|||a\n" + "b\n" * 9_999)
    opened = open_report_file(path)
    assert opened is not None
    (report,), left_out = read_hl7_reports(opened)
    assert report.text.split("\n")[-9_999:] == ["b"] * 9_999
    assert not left_out


def test_letters_are_no_delimiters_of_hl7() -> None:
    assert Delimiters.of("MSH|^~Z&|").escape == "\\"
    assert Delimiters.of("MSH|^~\\&|") == Delimiters()


def test_json_is_parsed_to_the_depth_that_is_named_and_no_deeper() -> None:
    assert parse_json("[" * MAX_JSON_DEPTH + "]" * MAX_JSON_DEPTH)
    with pytest.raises(JsonLimitError, match="nested deeper than 100 levels"):
        parse_json("[" * (MAX_JSON_DEPTH + 1) + "]" * (MAX_JSON_DEPTH + 1))


def test_half_a_character_in_json_becomes_one_that_can_be_written() -> None:
    value = parse_json(r'{"a\ud800": ["\udc00b", "\ud83d\ude00", {"c": "\uDBFF"}], "d": 1}')
    assert value == {"a\ufffd": ["\ufffdb", "\U0001f600", {"c": "\ufffd"}], "d": 1}


def test_an_outline_may_have_as_many_corners_as_are_named() -> None:
    ring = [[float(x), float(y)] for x, y in np.array(outline(MAX_CORNERS)).reshape(-1, 2)]
    assert len(polygons_of("a", [ring]).rings[0]) == MAX_CORNERS
    with pytest.raises(BoxError, match="draw it with fewer"):
        polygons_of("a", [[*ring, [1.0, 1.0]]])


def test_an_outline_is_filled_in_memory_of_the_image_and_not_of_its_corners() -> None:
    corners = tuple((float(x), float(y)) for x, y in np.array(outline(MAX_CORNERS)).reshape(-1, 2))
    shape = Polygons(rings=(corners,))
    tracemalloc.start()
    mask = shape.mask(1000, 1000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 0 < mask.sum() < mask.size
    assert peak < 50 * mask.size


@given(st.integers(1, 9), st.integers(1, 9), st.data())
@settings(max_examples=100, deadline=None)
def test_run_lengths_are_cut_without_laying_the_mask_out(rows: int, columns: int, data: st.DataObject) -> None:
    flat = np.array(data.draw(st.lists(st.booleans(), min_size=rows * columns, max_size=rows * columns)))
    edges = np.concatenate([[0], np.flatnonzero(np.diff(flat)) + 1, [flat.size]])
    counts = np.concatenate([[0] if flat[0] else [], np.diff(edges)]).astype(int)
    cells = flat.reshape(rows, columns, order="F")
    if not flat.any():
        with pytest.raises(ValueError, match="empty"):
            cropped_run_lengths(counts, rows, columns)
        return
    shape = cropped_run_lengths(counts, rows, columns)
    assert np.array_equal(shape.mask(rows, columns), cells)
    across, down = np.flatnonzero(cells.any(0)), np.flatnonzero(cells.any(1))
    assert shape.bounds() == (across[0], down[0], across[-1] - across[0] + 1, down[-1] - down[0] + 1)
    assert shape == run_lengths_of(cells)


def test_a_mask_takes_memory_by_its_runs_and_not_by_the_pixels_it_claims() -> None:
    tracemalloc.start()
    shape = coco_shape("a", {"size": [2**13, 2**14], "counts": [2**26, 5, 2**26 - 5]})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert shape is not None
    assert shape.bounds() == (2**13, 0, 1, 5)
    assert peak < 2**20


def test_an_image_with_more_boxes_than_readers_draw_gets_none_of_them() -> None:
    image = made_up_image("a.dcm")
    rows = [
        BoxRow(image="a", box=Box(x=1, y=1, width=5, height=5, label="nodule"), frame=None, source=f"row {place}")
        for place in range(MAX_BOXES_ON_IMAGE + 1)
    ]
    assert len(place_boxes([image], rows[1:]).by_image[image]) == MAX_BOXES_ON_IMAGE
    placed = place_boxes([image], rows)
    assert not placed.by_image
    assert [(item.failed, "501 boxes lie on one image" in item.reason) for item in placed.left_out] == [(True, True)]


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_a_picture_that_unpacks_to_more_pixels_than_any_film_is_refused_undecoded(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"bomb.{ending}"
    Pillow.new("1", (6_000, 5_001)).save(path, **({"compression": "group4"} if ending == "tif" else {}))
    assert path.stat().st_size < 10_000
    tracemalloc.start()
    with pytest.raises(InputError, match="6000 x 5001 pixels are more than the limit of 30,000,000"):
        read_image(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**22


@pytest.mark.parametrize("encoding", ["PLAIN", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"])
def test_parquet_is_read_whatever_its_texts_are_written_as(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.parquet"
    table = pyarrow.table({"study_instance_uid": ["1.2", None], "report": ["Normal.", "No effusion."]})
    columns = {"study_instance_uid": "PLAIN", "report": encoding}
    parquet.write_table(table, path, use_dictionary=False, column_encoding=columns)
    opened = open_report_file(path)
    assert opened is not None
    (report,), (left_out,) = read_parquet_reports(opened)
    assert (report.text, report.study_instance_uid) == ("Normal.", "1.2")
    assert "does not say whose report" in left_out.reason
