"""Small files that stand for gigabytes or for minutes of work, and what is said of each."""

import base64
import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow
from pyarrow import parquet

from pipelines.limits import MAX_GZIP_MEMBERS, MAX_ROWS

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
