"""The chain shows every change, and what a killed run leaves is kept and said."""

import json
import logging
import multiprocessing
import warnings
from pathlib import Path

import pytest
from typer.testing import CliRunner

from audit.cli import app
from audit.logbook import AUDIT_LOG, AuditLog, EventLog, recorded_logging, verify
from audit.logbook.chain import DONE, RESULTS_REPLACED
from audit.logbook.known import CHANGED, UNKNOWN, read_log_state
from audit.logbook.seals import UNSEALED, is_sealed, seal_key, sealed
from reports.reading import checksum

SALT = b"a salt for tests only"


def study(out: Path, key: str, text: str = "{}") -> str:
    folder = out / "studies" / key
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "record.json").write_text(text)
    return checksum(text.encode())


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A finished run of two studies."""
    log = AuditLog(tmp_path, SALT)
    log.append("run started", seed=1)
    for key in ("a", "b"):
        log.append(DONE, study=key, record_sha256=study(tmp_path, key))
    (tmp_path / "run.json").write_text("{}")
    log.append("run finished", run_sha256=checksum(b"{}"))
    return tmp_path


def lines(out: Path) -> list[bytes]:
    return (out / AUDIT_LOG).read_bytes().splitlines(keepends=True)


def test_a_log_that_nobody_touched_is_intact(out: Path) -> None:
    found = verify(out, SALT)
    assert (found.intact, found.entries, found.studies, found.notes) == (True, 4, 2, [])
    assert found.head == checksum(lines(out)[-1])
    assert verify(out, SALT, head=checksum(lines(out)[1])).intact


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda all_: [all_[0].replace(b'"seed":1', b'"seed":2'), *all_[1:]], "broken at line 1"),
        (lambda all_: [all_[0], *all_[2:]], "broken at line 2"),
        (lambda all_: [all_[0], all_[2], all_[1], all_[3]], "broken at line 2"),
        (lambda all_: [*all_[:2], b"{}\n", *all_[2:]], "broken at line 3"),
        (lambda all_: [*all_[:2], b"rubbish\n", *all_[2:]], "broken at line 3"),
        (lambda all_: all_[:3], "was not completed"),
        (lambda all_: all_[:1], "truncated: 2 finished studies are not in the log"),
    ],
    ids=["changed", "taken out", "moved", "put in", "rubbish", "without its end", "cut short"],
)
def test_every_change_of_the_log_is_named(out: Path, change, said: str) -> None:
    (out / AUDIT_LOG).write_bytes(b"".join(change(lines(out))))
    found = verify(out, SALT)
    assert any(said in sentence for sentence in (*found.wrong, *found.notes)), found


def test_a_chain_that_an_outsider_works_out_again_lacks_the_salt(out: Path) -> None:
    (out / AUDIT_LOG).unlink()
    forged = AuditLog(out, b"another salt than that of the run")
    forged.append("run started", seed=2)
    for key in ("a", "b"):
        forged.append(DONE, study=key, record_sha256=checksum(b"{}"))
    forged.append("run finished", run_sha256=checksum(b"{}"))
    assert verify(out, None).intact
    assert "salt" in verify(out, None).notes[0]
    assert "not written with this salt" in verify(out, SALT).wrong[0]


def test_a_head_that_was_noted_shows_a_log_cut_at_a_line(out: Path) -> None:
    head = verify(out, SALT).head
    study_b = out / "studies" / "b"
    (study_b / "record.json").unlink()
    (out / "run.json").unlink()
    (out / AUDIT_LOG).write_bytes(b"".join(lines(out)[:2]))
    assert verify(out, SALT).intact  # the chain alone cannot tell
    assert "truncated or replaced" in verify(out, SALT, head=head).wrong[0]


@pytest.mark.parametrize("name", ["studies/a/record.json", "run.json"])
def test_a_record_that_was_changed_or_removed_is_named(out: Path, name: str) -> None:
    (out / name).write_text('{"a": 1}')
    assert "changed since it was written" in verify(out, SALT).wrong[0]
    (out / name).unlink()
    assert not verify(out, SALT).intact


@pytest.mark.parametrize("cut", [1, 20, 5000], ids=["its end", "its last letters", "most of it"])
def test_a_torn_line_is_kept_and_the_next_entry_says_so(out: Path, cut: int) -> None:
    whole = (out / AUDIT_LOG).read_bytes()
    last = len(lines(out)[-1])
    torn = whole[: -min(cut, last - 3)]
    (out / AUDIT_LOG).write_bytes(torn)
    assert "torn" in verify(out, SALT).notes[0]
    AuditLog(out, SALT).append("run started")
    AuditLog(out, SALT).append("run finished", run_sha256=checksum(b"{}"))
    found = verify(out, SALT)
    assert (out / AUDIT_LOG).read_bytes().startswith(torn)
    assert found.intact, found.wrong
    assert bool(found.notes) is (cut != 1)  # a line that lacks its end alone is whole


def test_a_torn_line_that_is_changed_afterwards_shows(out: Path) -> None:
    (out / AUDIT_LOG).write_bytes((out / AUDIT_LOG).read_bytes()[:-20])
    AuditLog(out, SALT).append("run started")
    text = (out / AUDIT_LOG).read_bytes()
    (out / AUDIT_LOG).write_bytes(text.replace(b'"run finished"', b'"run furnished"'))
    assert "broken at line 4" in verify(out, SALT).wrong[0]


def test_a_study_that_a_killed_run_left_out_of_the_log_is_known_by_its_seal(out: Path) -> None:
    written = sealed(f'{{\n "key": "c",\n "seal": "{UNSEALED}"\n}}\n'.encode(), seal_key(SALT))
    study(out, "c", written.decode())
    study(out, "d", written.decode().replace('"c"', '"d"'))
    study(out, "a", "changed")
    known = read_log_state(out, SALT)
    doubts = {key: known.doubt(out / "studies" / key) for key in "abcd"}
    assert doubts == {"a": CHANGED, "b": None, "c": None, "d": UNKNOWN}
    assert known.doubt(out / "studies" / "b", logged=False) == UNKNOWN  # set aside: the seal alone counts


def test_a_seal_is_of_every_byte_and_of_the_salt() -> None:
    written = sealed(f'{{\n "key": "c",\n "seal": "{UNSEALED}",\n "seed": 0\n}}\n'.encode(), seal_key(SALT))
    assert is_sealed(written, seal_key(SALT))
    assert not is_sealed(written, seal_key(b"another salt"))
    for place in range(len(written)):
        changed = bytearray(written)
        changed[place] ^= 1
        assert not is_sealed(bytes(changed), seal_key(SALT)), place


def test_a_run_that_is_replaced_stays_on_record_and_its_studies_are_not_asked_for(out: Path) -> None:
    (out / "studies" / "a" / "record.json").unlink()
    log = AuditLog(out, SALT)
    log.append_all(
        [(RESULTS_REPLACED, {}), ("run started", {}), (DONE, {"study": "b", "record_sha256": checksum(b"{}")})]
    )
    log.append("run finished", run_sha256=checksum(b"{}"))
    found = verify(out, SALT)
    assert (found.intact, found.studies, found.entries) == (True, 1, 8)


def test_a_run_that_is_replaced_is_said_so_before_its_results_go(out: Path) -> None:
    log = AuditLog(out, SALT)
    log.append(RESULTS_REPLACED)
    found = verify(out, SALT)
    assert (found.intact, found.unfinished, found.studies) == (True, True, 2)
    for key in ("a", "b"):
        assert read_log_state(out, SALT).doubt(out / "studies" / key) is None
    (out / "studies" / "a" / "record.json").unlink()
    (out / "run.json").unlink()
    assert verify(out, SALT).intact
    (out / "studies" / "b" / "record.json").write_text("changed")
    assert not verify(out, SALT).intact


def test_a_record_of_a_run_that_was_replaced_is_not_taken_for_one_of_the_next(out: Path) -> None:
    log = AuditLog(out, SALT)
    log.append_all(
        [(RESULTS_REPLACED, {}), ("run started", {}), (DONE, {"study": "b", "record_sha256": checksum(b"{}")})]
    )
    log.append("run finished", run_sha256=checksum(b"{}"))
    assert any("were not written with this salt" in sentence for sentence in verify(out, SALT).wrong)  # a lies there
    assert read_log_state(out, SALT).doubt(out / "studies" / "a") == UNKNOWN


def append_many(path: Path, name: str) -> None:
    log, events = AuditLog(path, SALT), EventLog(path)
    for place in range(12):
        log.append("told", by=name, place=place)
        events.write("told", by=name, text="x" * 3000)


def test_several_processes_write_whole_lines_of_one_chain(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=append_many, args=(tmp_path, name)) for name in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    found = verify(tmp_path, SALT)
    assert (found.intact, found.entries) == (True, 24)
    told = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [sum(line["by"] == name for line in told) for name in "ab"] == [12, 12]


def test_log_records_and_warnings_are_written_down_without_their_values(tmp_path: Path, capsys) -> None:
    level = logging.getLogger().level
    with warnings.catch_warnings(), recorded_logging(EventLog(tmp_path)):
        warnings.simplefilter("always")
        logging.getLogger("audit.pipeline").warning("file %s is odd", "Kowalczyk.dcm")
        logging.getLogger("elsewhere").warning("Kowalczyk %s", "Kowalczyk")
        warnings.warn("Kowalczyk", UserWarning, stacklevel=1)
        try:
            int("Kowalczyk")
        except ValueError:
            logging.getLogger("audit.pipeline").exception("study %s failed", "Kowalczyk")
    text = (tmp_path / "log.jsonl").read_text()
    first, second, third, fourth = map(json.loads, text.splitlines())
    assert "Kowalczyk" not in text + "".join(capsys.readouterr())
    assert (first["message"], first["level"]) == ("file %s is odd", "warning")
    assert ("message" in second, third["error"]) == (False, "UserWarning")
    assert (fourth["error"], fourth["level"], len(fourth["trace"])) == ("ValueError", "error", 1)
    assert all("/home" not in each["where"] for each in (first, second, third, fourth))
    assert logging.getLogger().level == level


def test_the_command_says_intact_broken_and_unfinished(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def verified(*more: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["log", "verify", str(out), *more])
        return result.exit_code, result.output

    code, text = verified()
    assert (code, text.startswith("intact: 4 entries, 2 studies")) == (0, True)
    shown = CliRunner().invoke(app, ["log", "show", str(out)]).output.splitlines()
    assert len(shown) == 4
    assert "run started" in shown[0]
    AuditLog(out, SALT).append("run started")
    assert verified()[0] == 3
    (out / "studies" / "a" / "record.json").write_text("changed")
    assert verified()[0] == 1
    (out / AUDIT_LOG).unlink()
    code, text = verified()
    assert (code, "is missing" in text) == (1, True)
