"""ChestX-Det's parallel lists become boxes, and a list that does not pair up is named and not guessed at."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.boxes import BoxTable, read_boxes
from pipelines.errors import BoxError
from pipelines.study import Box


def read(tmp_path: Path, entries: list[Any]) -> BoxTable:
    path = tmp_path / "anything.txt"
    path.write_text(json.dumps(entries), encoding="utf-8")
    return read_boxes(path)


GOOD = {"file_name": "36204.png", "syms": ["Effusion", "Pneumothorax"], "boxes": [[10, 20, 40, 60], [1, 2, 4, 8]]}


def test_each_finding_meets_the_box_at_its_own_place(tmp_path: Path) -> None:
    table = read(tmp_path, [GOOD])
    assert [row.box for row in table.rows] == [
        Box(x=10.0, y=20.0, width=30.0, height=40.0, label="pleural effusion"),
        Box(x=1.0, y=2.0, width=3.0, height=6.0, label="pneumothorax"),
    ]
    assert {(row.image, row.frame) for row in table.rows} == {("36204.png", None)}
    assert table.left_out == ()


def test_an_image_without_findings_gives_no_box_and_no_failure(tmp_path: Path) -> None:
    table = read(tmp_path, [{"file_name": "a.png", "syms": [], "boxes": []}, GOOD])
    assert (len(table.rows), table.left_out) == (2, ())


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        pytest.param({**GOOD, "syms": ["Effusion"]}, "1 syms and 2 boxes", id="lists of unequal length"),
        pytest.param({**GOOD, "boxes": None}, "is not ChestX-Det", id="no list of boxes"),
        pytest.param("text", "is not ChestX-Det", id="no object"),
        pytest.param({**GOOD, "syms": ["Mass"], "boxes": [[1, 2, 3]]}, "is not four numbers", id="three edges"),
        pytest.param({**GOOD, "syms": ["Mass"], "boxes": [[5, 2, 5, 9]]}, "has width 0", id="no area"),
        pytest.param({**GOOD, "file_name": None, "syms": ["Mass"], "boxes": [[1, 2, 3, 4]]}, "image", id="no image"),
    ],
)
def test_a_bad_entry_is_named_and_stops_no_other(tmp_path: Path, entry: Any, named: str) -> None:
    table = read(tmp_path, [entry, GOOD])
    assert len(table.rows) == 2
    (left_out,) = table.left_out
    assert named in left_out.reason
    assert left_out.failed


def test_a_cut_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps([GOOD])[:-3], encoding="utf-8")
    with pytest.raises(BoxError, match="not valid JSON"):
        read_boxes(path)
