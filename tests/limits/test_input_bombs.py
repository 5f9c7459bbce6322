"""Small files that stand for gigabytes or for minutes of work are refused with a sentence, within a limit of memory."""

import base64
import gzip
import json
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_image import made_up_image
from PIL import Image as Pillow
from pyarrow import parquet

from pipelines.boxes.outlines import coco_shape, polygons_of
from pipelines.boxes.placing import place_boxes
from pipelines.boxes.table import BoxRow
from pipelines.errors import BoxError, InputError
from pipelines.image_file import read_image
from pipelines.limits import MAX_BOXES_ON_IMAGE, MAX_CORNERS, MAX_GZIP_MEMBERS, MAX_JSON_DEPTH, MAX_ROWS
from pipelines.shapes import Polygons, cropped_run_lengths, run_lengths_of
from pipelines.study import Box
from pipelines.text.formats.file import open_report_file
from pipelines.text.formats.hl7_v2 import Delimiters, read_hl7_reports
from pipelines.text.formats.parquet import read_parquet_reports
from pipelines.text_files import JsonLimitError, parse_json

READER = Path(__file__).with_name("reading_apart.py")
MEBIBYTE = b"a" * 2**20


def gzipped(path: Path, pieces: int, start: bytes = b"") -> None:
    with gzip.open(path, "wb", compresslevel=1) as packed:
        packed.write(start)
        for _ in range(pieces):
            packed.write(MEBIBYTE)


def gzip_of_much_text(path: Path) -> None:
    gzipped(path, 260)


def gzip_of_wide_letters(path: Path) -> None:
    gzipped(path, 100, "\U0001f5ff".encode())


def gzip_of_many_members(path: Path) -> None:
    path.write_bytes(gzip.compress(b"") * (MAX_GZIP_MEMBERS + 1))


def zip_of_much_text(path: Path) -> None:
    deflated = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
    with deflated as archive, archive.open("reports.csv", "w") as member:
        for _ in range(260):
            member.write(MEBIBYTE)


def zip_packed_by_lzma(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("reports.csv", "id,report\n1,Normal.\n")


def zip_of_many_files(path: Path) -> None:
    path.write_bytes(b"PK\x03\x04" + b"PK\x01\x02" * 20_000)


def parquet_of_one_long_text(path: Path) -> None:
    places = pyarrow.array(np.zeros(250_000, dtype=np.int32))
    report = pyarrow.DictionaryArray.from_arrays(places, ["x" * 2**16])
    uid = pyarrow.DictionaryArray.from_arrays(places, ["1.2.3"])
    parquet.write_table(pyarrow.table({"study_instance_uid": uid, "report": report}), path, compression="zstd")


def parquet_of_one_long_text_and_no_differences(path: Path) -> None:
    table = pyarrow.table({"study_instance_uid": ["1.2.3"] * 2_100, "report": ["x" * 2**17] * 2_100})
    encoding = {"study_instance_uid": "PLAIN", "report": "DELTA_BYTE_ARRAY"}
    parquet.write_table(table, path, use_dictionary=False, column_encoding=encoding, compression="zstd")


def parquet_of_many_rows(path: Path) -> None:
    rows = pyarrow.nulls(MAX_ROWS + 1, pyarrow.string())
    parquet.write_table(pyarrow.table({"study_instance_uid": rows, "report": rows}), path)


def parquet_of_many_columns(path: Path) -> None:
    parquet.write_table(pyarrow.table({f"c{place}": ["x"] for place in range(1_001)}), path)


def csv_of_one_endless_line(path: Path) -> None:
    path.write_bytes(b"id,report\n1," + b"a" * (2**24 + 1) + b"\n2,Normal.\n")


def csv_of_a_million_columns(path: Path) -> None:
    path.write_bytes(b"id,report" + b",a" * 10**6 + b"\n")


def csv_of_too_many_rows(path: Path) -> None:
    path.write_bytes(b"id,report\n" + b"1,x\n" * (MAX_ROWS + 5))


def csv_of_zero_bytes(path: Path) -> None:
    path.write_bytes(bytes(1000))


def hl7_of_continued_lines(path: Path) -> None:
    path.write_bytes(b"MSH|^~\\&|||||||ORU^R01\nOBR|1\nOBX|1|TX|||a\n" + b"b\n" * 400_000)


def hl7_of_many_segments(path: Path) -> None:
    path.write_bytes(b"MSH|^~\\&|||||||ORU^R01\nOBR|1\n" + b"OBX|1\n" * 200_000)


def hl7_of_many_fields(path: Path) -> None:
    path.write_bytes(b"MSH|^~\\&|||||||ORU^R01\nOBR|1\nOBX" + b"|" * 2**25)


def fhir_of_nested_lists(path: Path) -> None:
    path.write_bytes(b'[{"a":' + b"[" * 100_000)


def fhir_of_empty_objects(path: Path) -> None:
    path.write_bytes(b'[{"a":1}' + b",{}" * 4_000_000 + b"]")


def fhir_of_many_lines(path: Path) -> None:
    path.write_bytes(b'{"a":1}\n{"a":1}\n' + b"\n" * 6_000_000)


def fhir_of_one_text_many_times(path: Path) -> None:
    report = {
        "resourceType": "DiagnosticReport",
        "result": [{"reference": "#a"}] * 100_000,
        "contained": [{"id": f"b{place}"} for place in range(10_000)]
        + [{"id": "a", "resourceType": "Observation", "valueString": "x" * 50_000}],
    }
    path.write_text(json.dumps(report))


def fhir_of_open_comments(path: Path) -> None:
    page = base64.b64encode(b"<!--" * 250_000).decode()
    attachment = {"contentType": "text/html", "data": page}
    path.write_text(json.dumps({"resourceType": "DiagnosticReport", "presentedForm": [attachment]}))


def xml_of_entities(path: Path) -> None:
    path.write_bytes(b'<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><eCitation>&b;</eCitation>')


def xml_of_five_megabytes(path: Path) -> None:
    path.write_bytes(b"<eCitation>" + b"<a>" * (2**21))


def plain_text_of_100_megabytes(path: Path) -> None:
    path.write_bytes(MEBIBYTE * 100)


REPORTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "much.csv.gz": (gzip_of_much_text, "unpacks to more than"),
    "wide.csv.gz": (gzip_of_wide_letters, "too much memory"),
    "members.csv.gz": (gzip_of_many_members, "more than 100,000 gzip members"),
    "much.csv.zip": (zip_of_much_text, "unpacks to more than"),
    "lzma.csv.zip": (zip_packed_by_lzma, "another method than deflate"),
    "files.csv.zip": (zip_of_many_files, "more than 10,000 files"),
    "dictionary.parquet": (parquet_of_one_long_text, "texts of more than the limit of 268,435,456 characters"),
    "differences.parquet": (parquet_of_one_long_text_and_no_differences, "texts of more than the limit of 268,435,456"),
    "rows.parquet": (parquet_of_many_rows, "500,001 rows"),
    "columns.parquet": (parquet_of_many_columns, "1,001 columns"),
    "line.csv": (csv_of_one_endless_line, "longer than 16,777,216 characters"),
    "columns.csv": (csv_of_a_million_columns, "1,000,002 columns"),
    "rows.csv": (csv_of_too_many_rows, "more than 500,000 rows"),
    "zeros.csv": (csv_of_zero_bytes, "zero bytes"),
    "continued.hl7": (hl7_of_continued_lines, "more than 100,000"),
    "segments.hl7": (hl7_of_many_segments, "more than 100,000 segments"),
    "fields.hl7": (hl7_of_many_fields, "no report text"),
    "nested.json": (fhir_of_nested_lists, "nested deeper than 100 levels"),
    "objects.json": (fhir_of_empty_objects, "MiB of memory"),
    "lines.ndjson": (fhir_of_many_lines, "more than 5,000,000 lines"),
    "repeated.json": (fhir_of_one_text_many_times, "more than 100,000"),
    "comments.json": (fhir_of_open_comments, "holds no text"),
    "entities.xml": (xml_of_entities, "entities"),
    "long.xml": (xml_of_five_megabytes, "4,194,304 bytes"),
    "long.txt": (plain_text_of_100_megabytes, "104,857,600 characters"),
}


def outline(corners: int) -> list[float]:
    return [side for place in range(corners) for side in (place % 1000, (place * 7919) % 1000)]


def annotations_of(*annotations: dict[str, object]) -> str:
    return json.dumps(
        {
            "images": [{"id": 1, "file_name": "a.png"}],
            "categories": [{"id": 1, "name": "nodule"}],
            "annotations": [{"image_id": 1, "category_id": 1, **each} for each in annotations],
        }
    )


def coco_of_a_million_corners(path: Path) -> None:
    path.write_text(annotations_of({"segmentation": [outline(10**6)]}))


def coco_of_a_number_of_401_digits(path: Path) -> None:
    path.write_text(annotations_of({"segmentation": [[0, 0, 5, 0, 5, 10**400]]}))


def coco_of_a_box_of_401_digits(path: Path) -> None:
    path.write_text(annotations_of({"bbox": [0, 0, 10**400, 1]}))


def coco_of_a_mask_of_a_gigapixel(path: Path) -> None:
    path.write_text(annotations_of({"segmentation": {"size": [2**15, 2**15], "counts": [2**29, 2**29]}}))


def coco_of_too_many_annotations(path: Path) -> None:
    path.write_text(annotations_of(*[{}] * 250_001))


def coco_of_nested_names(path: Path) -> None:
    path.write_text('{"images":[],"annotations":[],"categories":[{"id":1,"name":' + "[" * 900 + "]" * 900 + "}]}")


def chexlocalize_of_empty_lists(path: Path) -> None:
    path.write_text('{"a":{"b":[' + ",".join(["[]"] * 5_000_000) + "]}}")


def chexlocalize_of_a_number(path: Path) -> None:
    path.write_text('{"a": {"b": [], "img_size": [9, 9], "c": 7}}')


def padchest_of_a_number(path: Path) -> None:
    path.write_text('[{"ImageID": "a", "findings": [{"sentence_en": "x", "boxes": 7}]}]')


def siim_of_nothing_but_runs(path: Path) -> None:
    path.write_text("ImageId,EncodedPixels\na,1048576 1048576\n")


BOXES: dict[str, tuple[Callable[[Path], None], str]] = {
    "boxes.csv.gz": (gzip_of_much_text, "unpacks to more than"),
    "corners.json": (coco_of_a_million_corners, "1,000,000 corners"),
    "digits.json": (coco_of_a_number_of_401_digits, "not two numbers"),
    "digits-of-a-box.json": (coco_of_a_box_of_401_digits, "write a finite number"),
    "gigapixel.json": (coco_of_a_mask_of_a_gigapixel, "more than any radiograph"),
    "annotations.json": (coco_of_too_many_annotations, "no bbox"),
    "names.json": (coco_of_nested_names, "nested deeper than 100 levels"),
    "lists.json": (chexlocalize_of_empty_lists, "MiB of memory"),
    "number.json": (chexlocalize_of_a_number, "neither contours nor a mask"),
    "padchest.json": (padchest_of_a_number, "boxes that are not a list"),
    "siim.csv": (siim_of_nothing_but_runs, "exceed"),
}


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
