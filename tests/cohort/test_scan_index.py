"""A second scan reads what has changed, and finds what a first scan would find."""

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread

from pipelines.images import scan as scanning
from pipelines.images import scan_index
from pipelines.images.scan import scan_folder
from pipelines.images.scan_index import ScanIndex, Stamp
from pipelines.phantom.cohort import make_cohort

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three radiographs, one of them cut short, and a text."""
    make_cohort(tmp_path / "cohort", count=3, seed=3, columns=96)
    dicom = tmp_path / "cohort" / "dicom"
    cut = dicom / "phantom-00003.dcm"
    cut.write_bytes(cut.read_bytes()[:-20])
    (dicom / "words.txt").write_text("FINDINGS: The lungs are clear.")
    now = time.time_ns()
    monkeypatch.setattr(scan_index.time, "time_ns", lambda: now + 10**12)  # as if all this had been written long ago
    return dicom


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "index.sqlite"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that a scan has opened."""
    names: list[str] = []
    look: Callable[[Path], object] = scanning.inspect_path

    def watched(path: Path) -> object:
        names.append(path.name)
        return look(path)

    monkeypatch.setattr(scanning, "inspect_path", watched)
    return names


def test_the_second_scan_finds_the_same_and_opens_only_what_failed(folder, index, read):
    plain = scan_folder(folder)
    assert len(plain.images) == 2
    assert scan_folder(folder, index=index) == plain
    read.clear()
    assert scan_folder(folder, index=index) == plain
    assert read == ["phantom-00003.dcm"]


def test_a_folder_that_has_moved_keeps_its_index(folder, index, read):
    scan_folder(folder, index=index)
    moved = folder.rename(folder.parent / "moved")
    read.clear()
    assert scan_folder(moved, index=index).images == scan_folder(moved).images
    assert read.count("phantom-00001.dcm") == 1  # by the scan without an index


def rewritten(path: Path) -> None:
    dataset = dcmread(path)
    dataset.Manufacturer = "Another"
    dataset.save_as(path)


def rewritten_under_the_old_times(path: Path) -> None:
    """Same size, same time of modification, same inode."""
    before = path.stat()
    data = path.read_bytes()
    at = data.index(b"PA", 132 + data[132:].index(b"\x18\x00\x01\x51"))
    path.write_bytes(data[:at] + b"AP" + data[at + 2 :])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size


def copied_from_an_archive(path: Path) -> None:
    """Another file of the same size and time of modification takes its place."""
    before = path.stat()
    data = path.read_bytes()
    at = data.index(b"PA", 132 + data[132:].index(b"\x18\x00\x01\x51"))
    other = path.with_name("other")
    other.write_bytes(data[:at] + b"AP" + data[at + 2 :])
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)


def exchanged(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.with_name("phantom-00002.dcm").read_bytes())
    other.rename(path)


@pytest.mark.parametrize(
    "change", [rewritten, rewritten_under_the_old_times, copied_from_an_archive, exchanged, Path.unlink]
)
def test_what_has_changed_is_read_again(folder, index, change):
    first = scan_folder(folder, index=index)
    change(folder / "phantom-00001.dcm")
    again = scan_folder(folder, index=index)
    assert again == scan_folder(folder) != first


def test_a_file_that_was_written_just_now_is_not_kept(folder, index, read, monkeypatch):
    just_now = min(path.stat().st_mtime_ns for path in folder.iterdir())  # however long it took to write them all
    monkeypatch.setattr(scan_index.time, "time_ns", lambda: just_now)
    scan_folder(folder, index=index)
    read.clear()
    scan_folder(folder, index=index)
    assert len(read) == 4


def test_what_has_left_the_folder_leaves_the_index(folder, index):
    scan_folder(folder, index=index)
    (folder / "phantom-00001.dcm").unlink()
    scan_folder(folder, index=index)
    with sqlite3.connect(index) as database:
        kept = {row[0] for row in database.execute("SELECT path FROM files")}
    assert kept == {b"phantom-00002.dcm", b"words.txt"}
    assert b"phantom-00001" not in index.read_bytes()


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: bytes(len(data)), id="zeros"),
        pytest.param(lambda data: data[:100] + bytes(len(data) - 100), id="zeroed pages"),
        pytest.param(lambda data: data[:100] + b"\xa5" * (len(data) - 100), id="rubbish in pages"),
        pytest.param(lambda data: data[:5000], id="cut short"),
        pytest.param(lambda data: data.replace(b"PixelSpacing", b"Pixel\xff\xfe\xfdcing"), id="text that is none"),
        pytest.param(lambda data: data[:0], id="empty"),
    ],
)
def test_a_damaged_index_is_made_anew(folder, index, read, caplog, damage):
    plain = scan_folder(folder, index=index)
    index.write_bytes(damage(index.read_bytes()))
    assert scan_folder(folder, index=index) == plain
    assert all("index of earlier scans" in message for message in caplog.messages)
    scan_folder(folder, index=index)
    read.clear()
    assert scan_folder(folder, index=index) == plain
    assert read == ["phantom-00003.dcm"]


def test_a_damaged_index_is_named_in_a_warning(folder, index, caplog):
    scan_folder(folder, index=index)
    data = index.read_bytes()
    index.write_bytes(data[:100] + b"\xa5" * (len(data) - 100))
    scan_folder(folder, index=index)
    assert "damaged" in caplog.text
    assert "rebuilt" in caplog.text


def foreign_database(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE files (path TEXT, stamp TEXT, found TEXT)")
        database.execute("INSERT INTO files VALUES ('precious', '', '')")
    database.close()


@pytest.mark.parametrize(
    "make", [lambda path: path.write_text("image,label\n1,nodule\n"), foreign_database], ids=["text", "database"]
)
def test_a_file_that_is_no_index_is_left_as_it_is(folder, tmp_path, caplog, make):
    other = tmp_path / "boxes.csv"
    make(other)
    before = other.read_bytes()
    assert scan_folder(folder, index=other) == scan_folder(folder)
    assert other.read_bytes() == before
    assert "boxes.csv is not an index of earlier scans" in caplog.text


@pytest.mark.parametrize("entry", ["", "[]", "{}", "null", "[1, 2, 3]", '["scan"]'])
def test_an_entry_that_makes_no_sense_is_read_again(folder, index, entry):
    plain = scan_folder(folder, index=index)
    with sqlite3.connect(index) as database:
        database.execute("UPDATE files SET found = ?", (entry,))
    assert scan_folder(folder, index=index) == plain


def test_an_index_of_other_header_code_is_not_used(folder, index, read):
    scan_folder(folder, index=index)
    with sqlite3.connect(index) as database:
        ((code,),) = database.execute("PRAGMA user_version")
        database.execute(f"PRAGMA user_version = {code ^ 1}")
    read.clear()
    scan_folder(folder, index=index)
    assert len(read) == 4


def test_an_index_that_cannot_be_made_stops_nothing(folder, tmp_path, caplog):
    (tmp_path / "file").write_text("in the way of a folder")
    assert scan_folder(folder, index=tmp_path / "file" / "index") == scan_folder(folder)
    assert "cannot be used" in caplog.text


def test_an_index_that_another_scan_holds_stops_nothing(folder, index, caplog, monkeypatch):
    monkeypatch.setattr(scan_index, "PATIENCE_SECONDS", 0.1)
    plain = scan_folder(folder, index=index)
    with sqlite3.connect(index) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert scan_folder(folder, index=index) == plain
    assert "cannot be used" in caplog.text


def test_links_are_looked_at_every_time(folder, index, read):
    (folder / "link.dcm").symlink_to(folder / "phantom-00001.dcm")
    scan_folder(folder, index=index)
    read.clear()
    scan_folder(folder, index=index)
    assert "link.dcm" in read


def test_links_that_lead_in_a_circle_or_nowhere_are_listed(folder, index):
    (folder / "circle.dcm").symlink_to(folder / "circle.dcm")
    (folder / "one").symlink_to(folder / "other")
    (folder / "other").symlink_to(folder / "one")
    (folder / "dead.dcm").symlink_to(folder / "nothing.dcm")
    scan = scan_folder(folder, index=index)
    listed = {Path(item.source).name: item.reason for item in scan.left_out if "points to no file" in item.reason}
    assert listed.keys() == {"circle.dcm", "one", "other", "dead.dcm"}
    assert scan.files == 8


def test_every_fact_of_a_header_comes_back(folder, index):
    path = folder / "phantom-00001.dcm"
    image = replace(scan_folder(folder).images[0], spacing_mm=None, age_years=None, accession_issuer="Ward \u00fc")
    stamp = Stamp.of(path)
    assert stamp is not None
    assert image.study_date is not None
    with ScanIndex(index) as known:
        known.keep("a/b.dcm", stamp, image)
    with ScanIndex(index) as known:
        assert known.find("a/b.dcm", stamp, path) == image


def test_a_file_number_beyond_63_bits_is_no_trouble(folder, index):
    path = folder / "phantom-00001.dcm"
    stamp = Stamp(size=1, modified_ns=2, changed_ns=3, inode=2**64 - 1)
    found = scan_folder(folder).images[0]
    with ScanIndex(index) as known:
        known.keep("a", stamp, found)
    with ScanIndex(index) as known:
        assert known.find("a", replace(stamp, inode=2**64 - 2), path) is None
        assert known.find("a", stamp, path) == found


def test_names_that_are_no_text_come_back(folder, index, read):
    odd = folder / os.fsdecode(b"\xff\xfe.dcm")
    (folder / "phantom-00001.dcm").rename(odd)
    scan_folder(folder, index=index)
    read.clear()
    assert odd in {image.path for image in scan_folder(folder, index=index).images}
    assert odd.name not in read


def test_an_interrupted_scan_forgets_nothing(folder, index, read):
    def interrupt(done: int, _: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    scan_folder(folder, index=index)
    with pytest.raises(KeyboardInterrupt):
        scan_folder(folder, index=index, progress=interrupt)
    read.clear()
    scan_folder(folder, index=index)
    assert read == ["phantom-00003.dcm"]


def test_an_interrupted_first_scan_is_taken_up(folder, index, read, monkeypatch):
    def interrupt(done: int, _: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(scanning, "FILES_AT_ONCE", 1)
    with pytest.raises(KeyboardInterrupt):
        scan_folder(folder, index=index, progress=interrupt)
    read.clear()
    scan_folder(folder, index=index)
    assert "phantom-00001.dcm" not in read


def test_what_has_changed_stays_in_an_index_that_is_written_bit_by_bit(folder, index, read, monkeypatch):
    monkeypatch.setattr(scan_index, "ENTRIES_AT_ONCE", 1)
    scan_folder(folder, index=index)
    rewritten(folder / "phantom-00001.dcm")
    scan_folder(folder, index=index)
    read.clear()
    scan_folder(folder, index=index)
    assert read == ["phantom-00003.dcm"]


_SCANS = """
import sys
from pathlib import Path
from pipelines.images import scan_index
from pipelines.images.scan import scan_folder
scan_index.YOUNGEST_NS, scan_index.ENTRIES_AT_ONCE = -(10**18), 1
for _ in range(int(sys.argv[3])):
    scan = scan_folder(Path(sys.argv[1]), index=Path(sys.argv[2]))
    print(len(scan.images), len(scan.left_out))
"""


def test_scans_that_share_an_index_at_one_time_disturb_neither_it_nor_each_other(folder, index, read, monkeypatch):
    for number in range(10):
        (folder / f"{number}.txt").write_text("No DICOM.")
    command = [sys.executable, "-W", "error", "-c", _SCANS, str(folder), str(index), "3"]
    scans = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for scan in scans:
        found, complaints = scan.communicate()
        assert (found, complaints, scan.returncode) == ("2 12\n" * 3, "", 0)
    with sqlite3.connect(index) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    monkeypatch.setattr(scan_index, "YOUNGEST_NS", -(10**18))
    read.clear()
    scan_folder(folder, index=index)
    assert read == ["phantom-00003.dcm"]


def test_several_processes_find_the_same_in_the_same_order(folder, index):
    plain = scan_folder(folder)
    assert scan_folder(folder, processes=2) == plain
    assert scan_folder(folder, processes=2, index=index) == plain
    assert scan_folder(folder, processes=2, index=index) == plain


def test_no_process_is_started_where_the_index_knows_every_file(folder, index, monkeypatch):
    (folder / "phantom-00003.dcm").unlink()
    plain = scan_folder(folder, index=index)

    def refuse(*_: object) -> None:
        raise AssertionError("a file was read")

    monkeypatch.setattr(scanning.ProcessPoolExecutor, "submit", refuse)
    assert scan_folder(folder, index=index, processes=2) == plain


def test_a_reading_process_that_is_killed_stops_nothing(folder, monkeypatch):
    plain = scan_folder(folder)

    def killed(*_: object) -> object:
        future: Future[object] = Future()
        future.set_exception(BrokenProcessPool("killed"))
        return future

    monkeypatch.setattr(scanning.ProcessPoolExecutor, "submit", killed)
    assert scan_folder(folder, processes=2) == plain


def test_portions_leave_the_order_and_the_progress_as_they_are(folder, monkeypatch):
    plain = scan_folder(folder)
    calls: list[tuple[int, int]] = []
    monkeypatch.setattr(scanning, "FILES_AT_ONCE", 1)
    assert scan_folder(folder, processes=2, progress=lambda *call: calls.append(call)) == plain
    assert calls == [(done, 4) for done in range(1, 5)]
