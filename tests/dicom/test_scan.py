"""A folder as it comes from a hospital: radiographs among everything else."""

import os
from pathlib import Path

import pytest

from pipelines.errors import CohortError, InputError
from pipelines.images.scan import scan_folder, select_views
from pipelines.study import View


@pytest.fixture
def folder(write_dx, tmp_path):
    """Two radiographs in subfolders, one twice, a lateral, a CT, a report, a broken file, a text named .dcm."""
    write_dx(name="b/second.dcm", SOPInstanceUID="1.2")
    write_dx(name="a/first", SOPInstanceUID="1.1")
    write_dx(name="c/again.dcm", SOPInstanceUID="1.1")
    write_dx(name="c/side.dcm", SOPInstanceUID="1.3", ViewPosition="LL")
    write_dx(name="d/ct.dcm", SOPClassUID="1.2.840.10008.5.1.4.1.1.2")
    cut = write_dx(name="d/cut.dcm", SOPInstanceUID="1.4")
    cut.write_bytes(cut.read_bytes()[:-10])
    (tmp_path / "d" / "words.dcm").write_text("FINDINGS: The lungs are clear.")
    (tmp_path / "report.txt").write_text("FINDINGS: The lungs are clear.")
    return tmp_path


def test_every_file_is_an_image_or_is_listed_with_its_reason(folder):
    scan = scan_folder(folder)
    assert scan.files == 8
    assert [image.path.relative_to(folder).as_posix() for image in scan.images] == [
        "a/first",
        "b/second.dcm",
        "c/side.dcm",
    ]
    assert {(Path(item.source).name, item.failed) for item in scan.left_out} == {
        ("again.dcm", False),
        ("ct.dcm", False),
        ("cut.dcm", True),
        ("words.dcm", True),
        ("report.txt", False),
    }
    assert all(item.reason.endswith(".") for item in scan.left_out)


def test_scanning_twice_gives_the_same(folder):
    assert scan_folder(folder) == scan_folder(folder)


def test_the_duplicate_that_is_kept_is_the_first_by_path(folder):
    scan = scan_folder(folder)
    assert [image.path.name for image in scan.images if image.sop_instance_uid == "1.1"] == ["first"]
    [duplicate] = [item for item in scan.left_out if "SOPInstanceUID" in item.reason]
    assert duplicate.source.endswith("again.dcm")


def test_progress_counts_up_to_all_files(folder):
    calls = []
    scan_folder(folder, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(done, 8) for done in range(1, 9)]


def test_only_frontal_views_are_kept_and_the_others_say_why(folder):
    kept, left_out = select_views(scan_folder(folder).images)
    assert {image.view for image in kept} == {View.PA}
    [side] = left_out
    assert (side.stage, side.failed) == ("view", False)
    assert "lateral by ViewPosition" in side.reason


def test_other_views_are_kept_on_demand(folder):
    kept, left_out = select_views(scan_folder(folder).images, set(View))
    assert len(kept) == 3
    assert left_out == ()


def test_a_link_out_of_the_folder_is_not_followed(write_dx, tmp_path):
    outside = write_dx(name="outside/image.dcm")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link.dcm").symlink_to(outside)
    (inside / "folder").symlink_to(outside.parent, target_is_directory=True)
    scan = scan_folder(inside)
    assert scan.images == ()
    assert [(Path(item.source).name, item.failed) for item in scan.left_out] == [("folder", False), ("link.dcm", False)]


def test_a_named_pipe_does_not_stop_the_scan(tmp_path):
    os.mkfifo(tmp_path / "pipe.dcm")
    [item] = scan_folder(tmp_path).left_out
    assert "Not a regular file" in item.reason


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        pytest.param(lambda _: None, InputError, "does not exist", id="missing"),
        pytest.param(lambda path: path.write_text("x"), InputError, "not a folder", id="file"),
        pytest.param(lambda path: path.mkdir(), CohortError, "is empty", id="empty"),
        pytest.param(lambda path: (path / "sub").mkdir(parents=True), CohortError, "is empty", id="only subfolders"),
    ],
)
def test_a_folder_that_holds_nothing_is_named(tmp_path, make, error, sentence):
    path = tmp_path / "films"
    make(path)
    with pytest.raises(error, match=sentence) as refused:
        scan_folder(path)
    assert str(path) in str(refused.value)
