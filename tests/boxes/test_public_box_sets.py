"""Label files of public box sets, in their own structure with numbers made up here; packed as they are published."""

import gzip
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_image import made_up_image

from pipelines.boxes import BoxTable, read_boxes
from pipelines.boxes.placing import place_boxes
from pipelines.errors import BoxError
from pipelines.study import Box, Image
from pipelines.text_files import read_packed_text

NIH = (
    "Image Index,Finding Label,Bbox [x,y,w,h],,,\n"
    "00000007_002.png,Infiltrate,100.5,200.25,300.0,400.75\n"
    "00000007_003.png,Effusion,10,20,30,40,,,\n"
)
RSNA = "patientId,x,y,width,height,Target\naa-1,,,,,0\nbb-2,264.0,152.0,213.0,379.0,1\nbb-2,562.0,152.0,256.0,453.0,1\n"
VINDR = (
    "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max\n"
    "50a4,No finding,14,R11,,,,\n"
    "9a50,Cardiomegaly,3,R10,691.0,1375.0,1653.0,1831.0\n"
    "9a50,Nodule/Mass,8,R8,100.0,200.0,150.5,260.0\n"
)
PHYSIONET = "image_id,rad_id,class_name,x_min,y_min,x_max,y_max\n9a50,R1,Other disease,1,2,3,4\n"


def read(tmp_path: Path, content: str, **options: str) -> BoxTable:
    path = tmp_path / "labels.csv"
    path.write_text(content, encoding="utf-8")
    return read_boxes(path, **options)


def test_nih_rows_lie_in_a_frame_of_1024_and_name_their_patient(tmp_path: Path) -> None:
    table = read(tmp_path, NIH)
    first, second = table.rows
    assert first.box == Box(x=100.5, y=200.25, width=300.0, height=400.75, label="infiltration")
    assert (first.image, first.frame, first.patient) == ("00000007_002.png", (1024, 1024), "00000007")
    assert (first.source, second.box.label) == ("labels.csv row 2", "pleural effusion")
    assert table.left_out == ()


def test_rsna_rows_without_a_target_draw_nothing(tmp_path: Path) -> None:
    table = read(tmp_path, RSNA)
    assert [(row.image, row.patient, row.frame) for row in table.rows] == [("bb-2", "bb-2", (1024, 1024))] * 2
    assert table.rows[1].box == Box(x=562.0, y=152.0, width=256.0, height=453.0, label="lung opacity")
    assert table.left_out == ()


def test_vindr_rows_give_edges_and_readers_in_the_images_own_pixels(tmp_path: Path) -> None:
    table = read(tmp_path, VINDR)
    heart, nodule = table.rows
    assert heart.box == Box(x=691.0, y=1375.0, width=962.0, height=456.0, label="cardiomegaly", reader="R10")
    assert (nodule.box.label, nodule.box.reader, nodule.box.width) == ("lung lesion", "R8", 50.5)
    assert (heart.frame, heart.patient, table.left_out) == (None, None, ())


def test_vindr_of_physionet_has_no_class_number(tmp_path: Path) -> None:
    (row,) = read(tmp_path, PHYSIONET).rows
    assert row.box == Box(x=1.0, y=2.0, width=2.0, height=2.0, label="other disease", reader="R1")
    (consensus,) = read(tmp_path, "image_id,class_name,x_min,y_min,x_max,y_max\na,Mass,1,2,3,4\n").rows
    assert consensus.box.reader is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(VINDR + "c,Mass,8,R1,10,20,10,30\n", ["row 5", "width 0"], id="VinDr, no width"),
        pytest.param(VINDR + "c,Mass,8,R1,10,20,30,5\n", ["row 5", "height -15"], id="VinDr, upside down"),
        pytest.param(VINDR + "c,Mass,8,R1,10,20,ten,30\n", ["row 5", 'width "ten"'], id="VinDr, a word"),
        pytest.param(VINDR + "c,Mass,8,R1,10,20,inf,30\n", ["row 5", 'width "inf"'], id="VinDr, infinite"),
        pytest.param(VINDR + "c,Mass,8,R1,,,,\n", ["row 5", "nothing was drawn"], id="VinDr, blank finding"),
        pytest.param(RSNA + "cc-3,1,2,0,4,1\n", ["row 5", "width 0"], id="RSNA, no width"),
        pytest.param(RSNA + "cc-3,1,2,3,4,0\n", ["row 5", "Target 0", "correct one"], id="RSNA, box without target"),
        pytest.param(RSNA + "cc-3,,,,,1\n", ["row 5", "nothing was drawn"], id="RSNA, blank target"),
        pytest.param(RSNA + "cc-3,1,2,3\n", ["row 5", "4 cells"], id="RSNA, short row"),
        pytest.param(NIH + "00000008_000.png,Mass,1,2,3\n", ["row 4", "5 cells"], id="NIH, short row"),
        pytest.param(NIH + "00000008_000.png,Mass,1,2,-3,4\n", ["row 4", "width -3"], id="NIH, negative"),
        pytest.param(VINDR + "c,Mass,8,R1,1\n", ["row 5", "5 cells"], id="VinDr, short row"),
    ],
)
def test_a_row_that_is_no_box_is_listed_and_stops_no_other(tmp_path: Path, content: str, words: list[str]) -> None:
    table = read(tmp_path, content)
    assert len(table.rows) == 2
    (left,) = table.left_out
    assert [word for word in words if word not in left.reason] == []


def chest(stem: str, rows: int, columns: int) -> Image:
    return made_up_image(f"{stem}.dcm", patient_id="", rows=rows, columns=columns)


def test_boxes_of_the_released_frame_are_scaled_to_the_image_as_it_is(tmp_path: Path) -> None:
    image = chest("00000007_003", rows=3072, columns=2048)
    placed = place_boxes([image], read(tmp_path, NIH).rows)
    (box,) = placed.by_image[image]
    assert (box.x, box.y, box.width, box.height) == (20.0, 60.0, 60.0, 120.0)


@pytest.mark.parametrize("content", [NIH, RSNA, VINDR], ids=["NIH", "RSNA", "VinDr"])
def test_a_packed_file_is_read_as_the_file_inside(tmp_path: Path, content: str) -> None:
    plain = read(tmp_path, content)
    (tmp_path / "labels.csv.gz").write_bytes(gzip.compress(content.encode()))
    with zipfile.ZipFile(tmp_path / "labels.csv.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("folder/labels.csv", content)
        archive.writestr("__MACOSX/folder/._labels.csv", "\x00")
    for packed in ("labels.csv.gz", "labels.csv.zip"):
        assert [row.box for row in read_boxes(tmp_path / packed).rows] == [row.box for row in plain.rows]


def test_what_cannot_be_unpacked_is_named(tmp_path: Path) -> None:
    whole = gzip.compress(NIH.encode())
    two, locked = tmp_path / "two.zip", tmp_path / "broken.zip"
    with zipfile.ZipFile(two, "w") as archive:
        archive.writestr("a.csv", NIH)
        archive.writestr("b.csv", NIH)
    locked.write_bytes(two.read_bytes()[:60])
    (tmp_path / "cut.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "zeros.gz").write_bytes(gzip.compress(b"a\x00b"))
    (tmp_path / "mark.gz").write_bytes(gzip.compress(b"\xff\xfea"))
    for name, words in {
        "two.zip": "holds 2 files",
        "broken.zip": "cannot be unpacked",
        "cut.gz": "cannot be unpacked",
        "zeros.gz": "not a text file",
        "mark.gz": "byte order mark",
    }.items():
        with pytest.raises(BoxError, match=words):
            read_boxes(tmp_path / name)


@pytest.mark.parametrize("suffix", ["gz", "zip"])
def test_a_bomb_is_refused_before_it_fills_the_memory(tmp_path: Path, suffix: str) -> None:
    bomb, content = tmp_path / f"bomb.{suffix}", b"0" * 10_000_000
    if suffix == "gz":
        bomb.write_bytes(gzip.compress(content))
    else:
        with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("bomb.csv", content)
    assert bomb.stat().st_size < 100_000
    with pytest.raises(BoxError, match="more than the limit of 1,000,000 bytes"):
        read_packed_text(bomb, at_most=1_000_000)


def test_a_format_may_be_named_and_must_then_be_that_of_the_file(tmp_path: Path) -> None:
    assert len(read(tmp_path, NIH, format_name="nih csv").rows) == 2
    with pytest.raises(BoxError, match="is not in the format VinDr CSV"):
        read(tmp_path, NIH, format_name="VinDr CSV")
    with pytest.raises(BoxError, match='--boxes-format "NIH" is not a known format: give one of MS-CXR CSV, NIH CSV'):
        read(tmp_path, NIH, format_name="NIH")


@settings(max_examples=60, deadline=None)
@given(garbage=st.binary(max_size=200), start=st.sampled_from([b"\x1f\x8b", b"\x1f\x8b\x08\x00", b"PK\x03\x04", b""]))
def test_no_bytes_raise_anything_but_a_named_error(
    tmp_path_factory: pytest.TempPathFactory, garbage: bytes, start: bytes
) -> None:
    path = tmp_path_factory.mktemp("garbage") / "boxes.csv"
    path.write_bytes(start + garbage)
    with pytest.raises(BoxError, match=r"boxes\.csv"):
        read_boxes(path)
