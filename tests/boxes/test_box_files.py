"""Annotation files are read by what they hold; a bad row is named and stops no other."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.boxes import BoxTable, read_boxes
from pipelines.errors import BoxError
from pipelines.study import Box

HEADER = "image,label,x,y,width,height,reader,phrase"
MS_CXR = (
    "dicom_id,category_name,label_text,path,x,y,w,h,image_width,image_height,split\n"
    "02aa-1,Pleural Effusion,small left effusion,files/p10/s1/02aa-1.jpg,10,20,30,40,200,100,val\n"
)


def read(tmp_path: Path, content: str, name: str = "boxes.csv") -> BoxTable:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    return read_boxes(path)


def coco(**changes: Any) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "images": [{"id": 1, "file_name": "a.jpg", "path": "files/p10/a.jpg", "width": 200, "height": 100}],
        "categories": [{"id": 7, "name": "Pneumothorax"}],
        "annotations": [{"image_id": 1, "category_id": 7, "bbox": [1, 2, 3, 4], "label_text": ["small pneumothorax"]}],
    }
    return {**whole, **changes}


def test_a_generic_row_is_a_box(tmp_path: Path) -> None:
    table = read(tmp_path, f"{HEADER}\n1.2.3,Infiltrate,1.5,2,3,4e1,R1,patchy infiltrate\n")
    (row,) = table.rows
    assert (row.image, row.frame, row.source) == ("1.2.3", None, "boxes.csv row 2")
    assert row.box == Box(
        x=1.5, y=2.0, width=3.0, height=40.0, label="infiltration", reader="R1", phrase="patchy infiltrate"
    )
    assert table.left_out == ()


def test_reader_and_phrase_may_be_missing(tmp_path: Path) -> None:
    (row,) = read(tmp_path, "Image;Label;X;Y;W;H\na.dcm;Nodule;1;2;3;4\n").rows
    assert (row.box.reader, row.box.phrase) == (None, None)


@pytest.mark.parametrize(
    "edges", ["xmin,ymin,xmax,ymax", "x_min,y_min,x_max,y_max", "Left,Top,Right,Bottom", "x1,y1,x2,y2"]
)
def test_a_generic_row_may_give_two_corners(tmp_path: Path, edges: str) -> None:
    table = read(tmp_path, f"image,label,{edges}\na,mass,1,2,4,6.5\nb,mass,5,5,5,9\nc,mass,1,2,wide,9\n")
    (row,) = table.rows
    assert (row.box.x, row.box.y, row.box.width, row.box.height) == (1.0, 2.0, 3.0, 4.5)
    assert [item.reason.split(":")[0] for item in table.left_out] == [
        "boxes.csv row 3 has width 0",
        'boxes.csv row 4 has width "wide"',
    ]


def test_a_table_without_boxes_names_the_columns_of_both_forms_and_those_that_may_be_missing(tmp_path: Path) -> None:
    with pytest.raises(BoxError) as refused:
        read(tmp_path, "Bild,Klasse\na,b\n")
    sentence = str(refused.value)
    assert "image, label, x, y, width and height (or xmin, ymin, xmax and ymax instead of the last four)" in sentence
    assert sentence.endswith("; reader, phrase, image_height, image_width, frame are optional")


def test_a_generic_row_may_name_its_frame(tmp_path: Path) -> None:
    (row,) = read(tmp_path, "image,label,x,y,width,height,image_height,image_width\na,mass,1,2,3,4,50,60\n").rows
    assert row.frame == (50, 60)


def test_ms_cxr_keeps_its_sentence_and_frame(tmp_path: Path) -> None:
    (row,) = read(tmp_path, MS_CXR).rows
    assert (row.image, row.frame) == ("02aa-1", (100, 200))
    assert (row.box.label, row.box.phrase) == ("pleural effusion", "small left effusion")
    assert (row.box.x, row.box.y, row.box.width, row.box.height) == (10, 20, 30, 40)


def test_coco_is_joined_by_its_ids(tmp_path: Path) -> None:
    (row,) = read(tmp_path, json.dumps(coco()), "boxes.json").rows
    assert (row.image, row.frame, row.source) == ("files/p10/a.jpg", (100, 200), "boxes.json annotation 1")
    assert row.box == Box(x=1, y=2, width=3, height=4, label="pneumothorax", phrase="small pneumothorax")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        pytest.param("a,nodule,1,2,0,4,,", ["width 0", "positive"], id="zero width"),
        pytest.param("a,nodule,1,2,3,-4,,", ["height -4", "positive"], id="negative height"),
        pytest.param("a,nodule,nan,2,3,4,,", ['x "nan"', "finite"], id="not a number"),
        pytest.param("a,nodule,1,inf,3,4,,", ['y "inf"', "finite"], id="infinite"),
        pytest.param("a,nodule,1,2,3,1e999,,", ["height", "finite"], id="overflow"),
        pytest.param("a,nodule,one,2,3,4,,", ['x "one"', "finite"], id="a word"),
        pytest.param("a,nodule,,2,3,4,,", ['x ""', "finite"], id="one blank"),
        pytest.param(",nodule,1,2,3,4,,", ["which image", "fill"], id="no image"),
        pytest.param("a,,1,2,3,4,,", ["what the box shows", "fill"], id="no label"),
        pytest.param("a,nodule,1,2,3,4,,,x", ["9 cells", "8"], id="ragged"),
    ],
)
def test_a_bad_row_is_named_and_stops_no_other(tmp_path: Path, row: str, words: list[str]) -> None:
    table = read(tmp_path, f"{HEADER}\n{row}\nb,nodule,1,2,3,4,,\n")
    assert [kept.image for kept in table.rows] == ["b"]
    (left,) = table.left_out
    assert left.failed
    assert [word for word in ["boxes.csv row 2", *words] if word not in left.reason] == []


def test_a_row_without_coordinates_is_left_out_by_rule(tmp_path: Path) -> None:
    table = read(tmp_path, f"{HEADER}\na,No finding,,,,,R1,\n")
    assert (table.rows, [left.failed for left in table.left_out]) == ((), [False])


def test_an_unknown_label_is_noted_once_and_its_boxes_are_kept(tmp_path: Path) -> None:
    table = read(tmp_path, f"{HEADER}\na,Other Lesion,1,2,3,4,,\nb,other lesion,1,2,3,4,,\n")
    assert [row.box.label for row in table.rows] == ["other lesion", "other lesion"]
    (note,) = table.left_out
    assert not note.failed
    assert '"other lesion"' in note.reason


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"images": []}, ["annotation 1", 'image "1"', "does not list"], id="unknown image"),
        pytest.param({"categories": []}, ["annotation 1", 'category "7"', "does not list"], id="unknown category"),
        pytest.param({"annotations": [3]}, ["annotation 1", "not an object"], id="no object"),
        pytest.param(
            {"annotations": [{"image_id": 1, "category_id": 7, "bbox": [1, 2, 3]}]}, ["four numbers"], id="short bbox"
        ),
        pytest.param(
            {"annotations": [{"image_id": 1, "category_id": 7, "bbox": [True, 2, 3, 4]}]}, ['x "True"'], id="boolean"
        ),
        pytest.param(
            {"annotations": [{"image_id": 1, "category_id": 7, "bbox": [10**400, 2, 3, 4]}]}, ["finite"], id="huge"
        ),
        pytest.param({"images": [{"id": 1, "file_name": "a", "width": 0, "height": 5}]}, ["5 x 0 px"], id="no frame"),
    ],
)
def test_a_bad_annotation_is_named(tmp_path: Path, changes: dict[str, Any], words: list[str]) -> None:
    table = read(tmp_path, json.dumps(coco(**changes)), "b.json")
    assert table.rows == ()
    assert [word for word in words if word not in table.left_out[0].reason] == []


@pytest.mark.parametrize(
    ("content", "match"),
    [
        pytest.param("", "is empty: give --boxes", id="empty"),
        pytest.param(
            "image,label,x,y\n",
            r'none of the known formats .*its columns are "image, label, x, y"; give a CSV',
            id="csv",
        ),
        pytest.param("just a report", "it is not a table", id="prose"),
        pytest.param('{"images": [], "annotations": [], "categories": [', "is not valid JSON", id="truncated JSON"),
        pytest.param('{"images": 1, "annotations": [], "categories": []}', "not COCO: it needs the lists", id="shape"),
        pytest.param('{"images": [], "annotations": [], "categories": ' + "[" * 100_000, "nested deeper", id="deep"),
    ],
)
def test_a_file_of_no_known_format_says_what_it_needs(tmp_path: Path, content: str, match: str) -> None:
    with pytest.raises(BoxError, match=match):
        read(tmp_path, content)


def test_a_missing_file_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(BoxError, match=r"none\.csv does not exist: give --boxes"):
        read_boxes(tmp_path / "none.csv")
    with pytest.raises(BoxError, match="holds no annotations"):
        read_boxes(tmp_path)


number = st.floats(-1e6, 1e6, allow_nan=False)
size = st.floats(1e-3, 1e6, allow_nan=False)


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b/c.dcm", "1.2.3"]), number, number, size, size), min_size=1, max_size=5)
)
@settings(max_examples=40, deadline=None)
def test_boxes_come_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, boxes: list[tuple[str, float, float, float, float]]
) -> None:
    stream = io.StringIO()
    csv.writer(stream).writerows([HEADER.split(",")[:6], *((b[0], "Nodule", *b[1:]) for b in boxes)])
    table = read(tmp_path_factory.mktemp("boxes"), stream.getvalue())
    assert [(r.image, r.box.x, r.box.y, r.box.width, r.box.height) for r in table.rows] == boxes


@pytest.mark.parametrize("column", ["image", "label", "reader", "phrase"])
def test_words_longer_than_any_name_are_refused_and_not_printed(tmp_path: Path, column: str) -> None:
    cells = {"image": "a", "label": "Nodule", "x": 1, "y": 2, "width": 3, "height": 4, "reader": "A", "phrase": "b"}
    cells[column] = "n" * 3001
    table = read(tmp_path, f"{','.join(cells)}\n{','.join(map(str, cells.values()))}\n")
    (left,) = table.left_out
    assert table.rows == ()
    assert f"row 2 has a {column} of 3,001 characters" in left.reason
    assert "nnn" not in left.reason
