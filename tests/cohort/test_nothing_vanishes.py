"""Whatever lies in a folder of images, reports or boxes is audited or listed, with a sentence."""

import csv
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from run_configs import FAST

from audit.configuration import InputsConfig
from audit.input_check import check
from audit.privacy.pseudonyms import Pseudonyms
from audit.storage.folder import check_writable
from pipelines.boxes import read_boxes
from pipelines.errors import OutputError
from pipelines.images.scan import scan_folder
from pipelines.input_folder import FoundFile, entries_under
from pipelines.phantom.cohort import make_cohort
from pipelines.quoting import printable
from pipelines.study import Exclusion
from pipelines.text.reports import read_reports

KEYS = Pseudonyms(b"a salt for tests only")
LATIN_1 = os.fsdecode(b"M\xfcller")  # as an old Windows share gives it: no UTF-8


def listed_images(folder: Path) -> tuple[int, tuple[Exclusion, ...]]:
    scan = scan_folder(folder)
    assert scan.files == len(scan.images) + len(scan.left_out)
    return len(scan.images), scan.left_out


def listed_reports(folder: Path) -> tuple[int, tuple[Exclusion, ...]]:
    table = read_reports(folder)
    return len(table.reports), table.left_out


def listed_boxes(folder: Path) -> tuple[int, tuple[Exclusion, ...]]:
    table = read_boxes(folder)
    return len({row.source for row in table.rows}), table.left_out


READERS: dict[str, Callable[[Path], tuple[int, tuple[Exclusion, ...]]]] = {
    "dicom": listed_images,
    "reports": listed_reports,
    "boxes": listed_boxes,
}
ENDINGS = {"dicom": ".dcm", "reports": ".txt", "boxes": ".csv"}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two phantoms, each input in a folder of its own."""
    folder = tmp_path_factory.mktemp("cohort")
    make_cohort(folder, count=2, seed=3, columns=96)
    (folder / "boxes").mkdir()
    (folder / "boxes.csv").rename(folder / "boxes" / "boxes.csv")
    return folder


@pytest.fixture(params=READERS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(kind: str, cohort: Path, tmp_path: Path) -> Path:
    """A copy of one input."""
    return Path(shutil.copytree(cohort / kind, tmp_path / "input"))


@pytest.fixture
def good(kind: str, cohort: Path) -> Path:
    """A file that the input's reader reads."""
    return min((cohort / kind).iterdir())


def reasons_of(name: str, left_out: Iterable[Exclusion]) -> list[str]:
    return [item.reason for item in left_out if Path(item.source).name == name]


def bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


# What is put under a name beside the good files, and what its row says.
ODD: dict[str, tuple[Callable[[Path, Path], object], str]] = {
    "pipe": (lambda path, _: os.mkfifo(path), "Not a regular file"),
    "socket": (lambda path, _: bind(path), "Not a regular file"),
    "link to a pipe": (
        lambda path, _: (os.mkfifo(path.parents[1] / "p"), path.symlink_to("../p")),
        "Not a regular file",
    ),
    "link to a file outside": (lambda path, good: path.symlink_to(good), "points out of the folder"),
    "link to a folder outside": (lambda path, good: path.symlink_to(good.parent), "link to a folder is not followed"),
    "link to the folder itself": (lambda path, _: path.symlink_to("."), "link to a folder is not followed"),
    "link to nothing": (lambda path, _: path.symlink_to("gone"), "points to no file"),
    "link to itself": (lambda path, _: path.symlink_to(path), "points to no file"),
}


@pytest.mark.parametrize("odd", ODD)
def test_what_is_no_file_of_the_folder_is_listed_and_stops_nothing(
    kind: str, folder: Path, good: Path, odd: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    before, _ = READERS[kind](folder)
    make, sentence = ODD[odd]
    name = f"odd{ENDINGS[kind]}"
    make(Path(name) if odd == "socket" else folder / name, good)
    read, left_out = READERS[kind](folder)
    assert read == before
    (reason,) = reasons_of(name, left_out)
    assert sentence in reason
    assert reason.endswith(".")


@pytest.mark.parametrize("name", [".hidden", ".git/config", "._a"])
def test_a_hidden_file_or_folder_is_listed(kind: str, folder: Path, name: str) -> None:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("no input")
    _, left_out = READERS[kind](folder)
    top = Path(name).name if kind == "dicom" else Path(name).parts[0]  # images are looked for in hidden folders too
    (reason,) = reasons_of(top, left_out)
    assert ("Not DICOM" if kind == "dicom" else "is hidden") in reason


def test_what_macos_keeps_beside_files_is_one_row_with_a_count(kind: str, folder: Path) -> None:
    before, rows_before = READERS[kind](folder)
    for name in ("a.dcm", "b.txt", "c.csv"):
        (folder / f"._{name}").write_bytes(b"\x00\x05\x16\x07" + bytes(100))
    (folder / "._other").write_bytes(b"not what macOS writes")
    if kind == "dicom":
        scan = scan_folder(folder)
        read, rows = len(scan.images), scan.left_out
    else:
        read, rows = READERS[kind](folder)
    assert read == before
    assert len(rows) == len(rows_before) + 2
    (counted,) = (row for row in rows if "AppleDouble" in row.reason)
    assert counted.reason.startswith("3 files")
    assert not counted.failed


def test_a_hidden_radiograph_is_audited(cohort: Path, tmp_path: Path) -> None:
    film = min((cohort / "dicom").iterdir())
    (tmp_path / ".archive").mkdir()
    shutil.copy(film, tmp_path / ".archive" / ".film")
    assert len(scan_folder(tmp_path).images) == 1


def test_a_name_that_is_no_utf_8_is_read_as_any_other(kind: str, folder: Path) -> None:
    before, _ = READERS[kind](folder)
    named = folder / LATIN_1
    named.mkdir()
    for path in [path for path in folder.iterdir() if path.is_file()]:
        path.rename(named / f"{LATIN_1}-{path.name}")
    read, _ = READERS[kind](folder)
    assert read == before


def deep(folder: Path, name: str, content: bytes) -> None:
    """Put a file that opens, one whose path is too long for the system, and a folder of such, below a folder."""
    start = os.open(".", os.O_RDONLY)
    try:
        os.chdir(folder)
        length = len(os.fsencode(folder))
        while length < 3800:
            Path("d" * 200).mkdir()
            os.chdir("d" * 200)
            length += 201
        Path("e" * (4080 - length)).mkdir()
        os.chdir("e" * (4080 - length))
        Path(name).write_bytes(content)
        Path("long-file-name" + name).write_bytes(content)
        Path("long-folder-name").mkdir()
        Path("long-folder-name", name).write_bytes(content)
    finally:
        os.fchdir(start)
        os.close(start)


def test_a_path_that_is_too_long_for_the_system_is_listed_and_stops_nothing(
    kind: str, folder: Path, good: Path
) -> None:
    before, _ = READERS[kind](folder)
    name = f"f{ENDINGS[kind]}"
    deep(folder, name, good.read_bytes())
    read, left_out = READERS[kind](folder)
    assert read == before + (kind == "reports")  # what opens is a copy: of images and boxes the first counts
    for entry in (f"long-file-name{name}", "long-folder-name"):
        (item,) = [item for item in left_out if Path(item.source).name == entry]
        assert item.failed
        assert "name too long" in item.reason
        assert "shorten its name" in item.reason


def test_a_folder_or_file_that_another_user_owns_is_listed_and_stops_nothing(kind: str, folder: Path) -> None:
    """The reader runs as a user without rights; where the tests are no root's, the modes alone do."""
    before, _ = READERS[kind](folder)
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    (folder / f"closed{ENDINGS[kind]}").write_bytes(b"x")
    closed.chmod(0)
    (folder / f"closed{ENDINGS[kind]}").chmod(0)
    read, sources = as_nobody(kind, folder)
    closed.chmod(0o700)
    assert read == before
    assert sources == {"closed": "Permission denied", f"closed{ENDINGS[kind]}": "Permission denied"}


def as_nobody(kind: str, folder: Path) -> tuple[int, dict[str, str]]:
    """Read an input with the rights of nobody, in a process of its own that root has forked."""
    out, into = os.pipe()
    if (child := os.fork()) == 0:
        os.close(out)
        try:
            if os.geteuid() == 0:
                for parent in (folder, *folder.parents):
                    if parent.stat().st_uid == 0 and parent.is_relative_to(tempfile.gettempdir()):
                        parent.chmod(parent.stat().st_mode | 0o055)
                os.setresuid(65534, 65534, 65534)
            read, left_out = READERS[kind](folder)
            failed = {Path(item.source).name: item.reason for item in left_out if item.failed}
            os.write(into, json.dumps([read, failed]).encode())
        finally:
            os._exit(0)
    os.close(into)
    with os.fdopen(out, "rb") as stream:
        read, failed = json.loads(stream.read())
    os.waitpid(child, 0)
    return read, {name: "Permission denied" for name, reason in failed.items() if "Permission denied" in reason}


def test_a_folder_that_goes_while_it_is_walked_is_one_row(tmp_path: Path) -> None:
    for name in ("a/1", "b/2", "c/3"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()

    @contextmanager
    def listed(folder: str) -> Iterator[Iterable["os.DirEntry[str]"]]:
        if folder.endswith("/b"):
            shutil.rmtree(folder)
        with os.scandir(folder) as entries:
            yield entries

    found = list(entries_under(tmp_path, stage="report", list_folder=listed))
    assert [each.name for each in found if isinstance(each, FoundFile)] == ["a/1", "c/3"]
    (lost,) = [each for each in found if isinstance(each, Exclusion)]
    assert (Path(lost.source).name, lost.failed) == ("b", True)
    assert "No such file" in lost.reason


@pytest.fixture(scope="module")
def strange(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cohort with odd things in each input, and names that are no UTF-8."""
    folder = Path(shutil.copytree(cohort, tmp_path_factory.mktemp("strange") / "cohort"))
    for kind in READERS:
        inner = folder / kind
        good = min(path for path in inner.iterdir() if path.is_file())
        os.mkfifo(inner / f"pipe{ENDINGS[kind]}")
        (inner / f"{LATIN_1}-link{ENDINGS[kind]}").symlink_to(cohort / kind / good.name)
        (inner / f".{LATIN_1}").write_text("hidden")
        (inner / f"{LATIN_1}.bad{ENDINGS[kind]}").write_bytes(b"\0bad" * 99)
        deep(inner, f"f{ENDINGS[kind]}", good.read_bytes())
    for kind in ("dicom", "reports"):  # the pair that is audited has such a name too
        first = folder / kind / f"phantom-00001{ENDINGS[kind]}"
        first.rename(first.with_name(f"{LATIN_1}{ENDINGS[kind]}"))
    return folder


def arguments(cohort: Path) -> list[str]:
    return [f"--dicom-dir={cohort / 'dicom'}", f"--reports={cohort / 'reports'}", f"--boxes={cohort / 'boxes'}"]


def called(*command: str) -> subprocess.CompletedProcess[bytes]:
    words = [sys.executable, "-m", "audit.cli", *command]
    return subprocess.run(words, capture_output=True, check=False)


ROWS = 5  # of each input: a pipe, a link, a hidden file, a damaged one, a path that is too long and a folder of such


@pytest.mark.parametrize("show_phi", [False, True])
def test_a_check_lists_all_of_it_and_writes_it_down(strange: Path, show_phi: bool) -> None:
    config = InputsConfig(
        dicom_dir=strange / "dicom", reports=strange / "reports", boxes=(strange / "boxes",), index="none"
    )
    checked = check(config, KEYS, show_phi=show_phi)
    assert checked.counts["studies"] == 2
    for stage in ("scan", "report", "boxes"):
        assert len([row for row in checked.rows if row.stage == stage and row.reason]) >= ROWS
    text = json.dumps([row.source + row.reason for row in checked.rows], ensure_ascii=False)
    text.encode("utf-8")  # no surrogate is left
    assert ("M\\\\xfcller" in text) == show_phi
    assert LATIN_1 not in text


MODEL = ("--model", "phantom", "--device", "cpu")


@pytest.mark.slow
@pytest.mark.parametrize("show_phi", [False, True])
def test_a_check_and_a_run_list_all_of_it(strange: Path, tmp_path: Path, show_phi: bool) -> None:
    table, out = tmp_path / "check.csv", tmp_path / "out"
    more = ["--show-phi"] if show_phi else []
    fast = (*FAST, "--controls", "0", "--set", "inputs.index=none")
    checked = called("check", *arguments(strange), "--csv", str(table), *more)
    ran = called("run", *arguments(strange), "--out", str(out), *fast, *more)
    assert (checked.returncode, ran.returncode) == (3, 3), (checked.stderr + ran.stderr).decode()
    for listed in (table, out / "failures.csv"):
        stages = [row["stage"] for row in csv.DictReader(listed.read_text().splitlines())]
        assert all(stages.count(stage) >= ROWS for stage in ("scan", "report", "boxes")), listed
        assert (printable(LATIN_1) in listed.read_text()) == show_phi


@pytest.mark.slow
def test_a_comparison_lists_all_of_it(strange: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    few = ("--methods", "nib,rollout", "--faithfulness", "1")
    done = called("compare", *arguments(strange), "--out", str(out), *MODEL, *few)
    assert done.returncode == 3, done.stderr.decode()
    stages = [item["stage"] for item in json.loads((out / "comparison.json").read_text())["failures"]]
    assert all(stages.count(stage) >= ROWS for stage in ("scan", "report", "boxes")), stages


def test_the_key_of_a_name_that_is_no_utf_8_leads_back_to_it(strange: Path) -> None:
    key = KEYS.file_key(f"{LATIN_1}.txt")
    done = called("key", str(strange / "reports"), "--find", key)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().rstrip().endswith("M\\xfcller.txt")


def test_an_out_folder_whose_name_is_no_utf_8_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"M\\xfcller/out is not UTF-8"):
        check_writable(tmp_path / LATIN_1 / "out", overwrite=False)
    assert not (tmp_path / LATIN_1).exists()
