"""Box sets whose annotations are more than rectangles, in their own structure with numbers made up here."""

import json
from pathlib import Path

import numpy as np
import pytest
from made_up_image import made_up_image
from pycocotools import mask as coco_mask

from pipelines.boxes import BoxTable, read_boxes
from pipelines.boxes.placing import place_boxes
from pipelines.errors import BoxError
from pipelines.shapes import Ellipse, Polygons, RunLengths
from pipelines.study import Image

TRIANGLE = [[100.0, 50.0], [300.0, 50.0], [300.0, 250.0]]


def read(folder: Path, name: str, content: object) -> BoxTable:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return read_boxes(path)


def image(stem: str, rows: int = 1000, columns: int = 800) -> Image:
    return made_up_image(
        f"{stem}.dcm", sop_instance_uid=f"1.2.{stem}", study_instance_uid="1", rows=rows, columns=columns
    )


def test_chexlocalize_contours_are_polygons_in_their_images_frame(tmp_path: Path) -> None:
    content = {"patient1_study1_view1_frontal": {"img_size": [500, 400], "Pleural Effusion": [TRIANGLE], "Edema": []}}
    table = read(tmp_path, "gt_annotations_val.json", content)
    (row,) = table.rows
    assert (row.image, row.frame, row.box.label) == ("patient1_study1_view1_frontal", (500, 400), "pleural effusion")
    assert row.box.shape == Polygons(rings=(((100.0, 50.0), (300.0, 50.0), (300.0, 250.0)),))
    placed = place_boxes([image("patient1_study1_view1_frontal")], table.rows)
    ((box,),) = placed.by_image.values()
    assert (box.x, box.y, box.width, box.height) == (200.0, 100.0, 400.0, 400.0)
    assert box.shape == Polygons(rings=(((200.0, 100.0), (600.0, 100.0), (600.0, 500.0)),))


def test_chexlocalize_masks_are_read_and_empty_ones_draw_nothing(tmp_path: Path) -> None:
    cells = np.zeros((50, 40), dtype=np.uint8)
    cells[5:9, 30:39] = 1
    packed = [coco_mask.encode(np.asfortranarray(each)) for each in (cells, np.zeros_like(cells))]
    full, empty = ({"size": list(each["size"]), "counts": each["counts"].decode()} for each in packed)
    table = read(tmp_path, "gt_segmentations.json", {"patient2": {"Cardiomegaly": full, "Atelectasis": empty}})
    (row,) = table.rows
    assert (row.image, row.frame, row.box.label) == ("patient2", (50, 40), "cardiomegaly")
    assert row.box.shape is not None
    assert np.array_equal(row.box.shape.mask(50, 40), cells == 1)
    assert table.left_out == ()


def test_chexlocalize_points_cover_no_area(tmp_path: Path) -> None:
    table = read(tmp_path, "points.json", {"patient3": {"Cardiomegaly": [[10.0, 20.0]]}})
    (left,) = table.left_out
    assert table.rows == ()
    assert left.failed
    assert "points, which cover no area: give the contours" in left.reason


def test_reflacx_ellipses_find_their_image_through_the_table_of_cases(tmp_path: Path) -> None:
    main = tmp_path / "main_data"
    ellipses = "xmin,ymin,xmax,ymax,certainty,Atelectasis,Pulmonary edema\n"
    ellipses += "100,200,300,600,4,True,False\n1,2,3,4,5,True,True\n"
    for case in ("P102R108387", "P102R000001"):
        (main / case).mkdir(parents=True)
        (main / case / "anomaly_location_ellipses.csv").write_text(ellipses)
        (main / case / "fixations.csv").write_text("pupil_area,x\n1,2\n")
    (main / "metadata_phase_1.csv").write_text(
        "id,split,eye_tracking_data_discarded,image,dicom_id,subject_id,image_size_x,image_size_y\n"
        "P102R108387,train,False,a.dcm,34cedb74-d0996b40,1,2544,3056\n"
    )
    table = read_boxes(main)
    first = [row for row in table.rows if row.image == "34cedb74-d0996b40"]
    assert [row.box.label for row in first] == ["atelectasis", "atelectasis", "edema"]
    assert first[0].frame == (3056, 2544)
    assert first[0].box.shape == Ellipse(centre=(200.0, 400.0), first=(100.0, 0.0), second=(0.0, 200.0))
    assert "P102R108387/anomaly_location_ellipses.csv row 2" in first[0].source
    # A case that no table names stays with its folder's name, which an image may have.
    assert {row.image for row in table.rows} == {"34cedb74-d0996b40", "P102R000001"}
    (left,) = table.left_out
    assert "2 files hold no annotations" in left.reason
    assert not left.failed


def test_chestx_det_polygons_outweigh_their_boxes(tmp_path: Path) -> None:
    entry = {"file_name": "36199.png", "syms": ["Effusion"], "boxes": [[100, 50, 300, 250]], "polygons": [TRIANGLE]}
    (row,) = read(tmp_path, "ChestX_Det_test.json", [entry]).rows
    assert row.box.shape == Polygons(rings=(((100.0, 50.0), (300.0, 50.0), (300.0, 250.0)),))
    assert (row.box.x, row.box.y, row.box.width, row.box.height) == (100.0, 50.0, 200.0, 200.0)


def test_padchest_gr_boxes_are_shares_and_two_readers(tmp_path: Path) -> None:
    content = [
        {
            "StudyID": "1",
            "ImageID": "216840111366964013829543166512013338135747880_02-094-102.png",
            "findings": [
                {
                    "sentence_en": "Left pleural effusion.",
                    "abnormal": True,
                    "boxes": [[0.5, 0.6, 0.9, 0.8]],
                    "extra_boxes": [[0.52, 0.6, 0.9, 0.82]],
                    "labels": ["pleural effusion", "effusion"],
                    "locations": ["left"],
                },
                {"sentence_en": "Normal heart size.", "abnormal": False, "boxes": []},
                {"sentence_en": "Nodule.", "labels": ["nodule"], "boxes": [[0.1, 0.2, 0.3]]},
            ],
        }
    ]
    table = read(tmp_path, "grounded_reports.json", content)
    assert [(row.box.reader, row.box.label, row.box.phrase) for row in table.rows] == [
        ("first reader", "pleural effusion", "Left pleural effusion."),
        ("second reader", "pleural effusion", "Left pleural effusion."),
    ]
    (left,) = table.left_out
    assert "entry 1 finding 3 box 1 is not four numbers" in left.reason
    placed = place_boxes([image("216840111366964013829543166512013338135747880_02-094-102")], table.rows)
    ((first, _),) = placed.by_image.values()
    assert (first.x, first.y, first.width, first.height) == pytest.approx((400.0, 600.0, 320.0, 200.0))


def test_siim_runs_go_down_the_columns_and_count_from_the_run_before(tmp_path: Path) -> None:
    skip = 3 * 1024 + 10  # fourth column, eleventh row
    content = f"ImageId, EncodedPixels\n1.2.3,-1\n1.2.4,{skip} 5 {1024 - 5} 5\n1.2.4,1 0\n1.2.5,1048570 9\n"
    table = read(tmp_path, "train-rle.csv", content)
    (row,) = table.rows
    assert (row.image, row.frame, row.box.label) == ("1.2.4", (1024, 1024), "pneumothorax")
    assert (row.box.x, row.box.y, row.box.width, row.box.height) == (3.0, 10.0, 2.0, 5.0)
    assert isinstance(row.box.shape, RunLengths)
    assert ["mask without a pixel" in each.reason for each in table.left_out] == [True, False]
    assert "row 5 has EncodedPixels that exceed 1024 x 1024 px" in table.left_out[1].reason


def test_coco_segmentations_keep_their_shape_unless_they_repeat_the_box(tmp_path: Path) -> None:
    box, flat = [100, 50, 200, 200], [number for corner in TRIANGLE for number in corner]
    rectangle = [100, 50, 300, 50, 300, 250, 100, 250]
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": 1000, "width": 800}],
        "categories": [{"id": 1, "name": "Nodule"}],
        "annotations": [
            {"image_id": 1, "category_id": 1, "bbox": box, "segmentation": [flat]},
            {"image_id": 1, "category_id": 1, "bbox": box, "segmentation": [rectangle]},
            {"image_id": 1, "category_id": 1, "segmentation": [flat, rectangle]},
            {"image_id": 1, "category_id": 1, "bbox": box, "segmentation": [[1, 2]]},
        ],
    }
    table = read(tmp_path, "coco.json", content)
    assert [type(row.box.shape) for row in table.rows] == [Polygons, type(None), Polygons]
    assert [len(table.left_out), table.left_out[0].failed] == [1, True]


@pytest.mark.parametrize(("size", "read_too"), [([4, 6], True), ([2, 3], False), ([6, 4], False)])
def test_run_lengths_of_another_size_than_the_image_are_refused(
    tmp_path: Path, size: list[int], read_too: bool
) -> None:
    mask = {"size": size, "counts": [1, 2, size[0] * size[1] - 3]}
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": 4, "width": 6}],
        "categories": [{"id": 1, "name": "Nodule"}],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": [0, 1, 1, 2], "segmentation": mask}],
    }
    table = read(tmp_path, "coco.json", content)
    assert (len(table.rows), ["for another size" in left.reason for left in table.left_out]) == (
        (1, []) if read_too else (0, [True])
    )


def test_files_and_folders_are_read_together_and_a_repeated_box_counts_once(tmp_path: Path) -> None:
    rows = "image,label,x,y,width,height\na,Nodule,1,2,3,4\na,Nodule,1,2,3,4\n"
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets" / "one.csv").write_text(rows)
    (tmp_path / "sets" / "readme.txt").write_text("boxes of two readers")
    (tmp_path / "two.csv").write_text(rows + "b,strange mark,1,2,3,4\n")
    table = read_boxes([tmp_path / "sets", tmp_path / "two.csv"])
    assert [row.source for row in table.rows] == ["one.csv row 2", "one.csv row 3", "two.csv row 4"]
    reasons = " | ".join(left.reason for left in table.left_out)
    assert "1 file holds no annotations" in reasons
    assert "2 boxes occur in more than one file" in reasons
    assert '"strange mark" names no known finding, so no phrase matches its 1 box' in reasons


def test_a_damaged_file_in_a_folder_stops_no_other(tmp_path: Path) -> None:
    (tmp_path / "good.csv").write_text("image,label,x,y,width,height\na,Nodule,1,2,3,4\n")
    (tmp_path / "bad.json").write_text('{"images": [], "annotations": [], "categories": [')
    table = read_boxes(tmp_path)
    assert len(table.rows) == 1
    assert [left.failed for left in table.left_out] == [True]
    assert "not valid JSON" in table.left_out[0].reason


def test_a_folder_without_annotations_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("none")
    with pytest.raises(BoxError, match=r"holds no annotations .*SIIM CSV.*DICOM SR.*give their folder"):
        read_boxes(tmp_path)
