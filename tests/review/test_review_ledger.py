"""The database of entries: nothing is lost, nothing is changed, and who is behind is told."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_up_review import entry_of, three_studies

from audit.review import ledger as ledger_module
from audit.review.ledger import LEDGER_NAME, Ledger, SupersededError
from pipelines.errors import OutputError
from reports.review_record import REASONS, ReviewEntry

NOW = datetime(2026, 3, 6, 8, 0, tzinfo=UTC)
STUDY = three_studies()[0]
COORDINATE = st.floats(min_value=0, max_value=1e6)
SIDE = st.floats(min_value=1e-6, max_value=1e6)


def entry(number: int, **changes: object) -> ReviewEntry:
    return ReviewEntry.model_validate(entry_of(STUDY, number, **changes))


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writers that wait for one another as long as it takes: on a busy machine a write may take seconds."""
    monkeypatch.setattr(ledger_module, "WAIT_S", 600.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / LEDGER_NAME


def test_every_entry_is_kept_and_the_last_one_counts(path):
    ledger = Ledger(path)
    ledger.append(entry(1, verdict="agree"), now=NOW)
    ledger.append(entry(2, verdict="partly", replaces=f"{1:032x}"), now=NOW)
    ledger.append(entry(3, verdict=None, replaces=f"{2:032x}", comment="withdrawn"), now=NOW)
    kept = ledger.entries()
    assert [(each.entry.verdict, each.is_latest) for each in kept] == [
        ("agree", False),
        ("partly", False),
        (None, True),
    ]
    assert [each.comment for each in ledger.latest()] == ["withdrawn"]


def test_what_is_kept_is_read_as_it_was_written(path):
    box = {"x": 0.1, "y": 2.0, "width": 33.3, "height": 1e-3}
    comment = "zwei Zeilen\n'; DROP TABLE entries; -- \u202e \U0001fac1 <b>"
    made = entry(1, boxes=[box], comment=comment, reasons=["other", "marker"], reviewer="Ærøskøbing")
    kept = Ledger(path).append(made, now=NOW)
    assert kept == made.model_copy(update={"moment": NOW})
    assert Ledger(path).latest() == [kept]
    assert kept.reasons == ("marker", "other")


def test_a_page_that_was_behind_is_told_the_latest_and_nothing_is_overwritten(path):
    ledger = Ledger(path)
    first = ledger.append(entry(1), now=NOW)
    second = ledger.append(entry(2, replaces=first.id, comment="from one tab"), now=NOW)
    with pytest.raises(SupersededError) as superseded:
        ledger.append(entry(3, replaces=first.id, verdict="disagree"), now=NOW)
    assert superseded.value.latest == second
    assert [each.entry.id for each in ledger.entries()] == [first.id, second.id]


def test_an_entry_that_is_sent_again_is_kept_once(path):
    ledger = Ledger(path)
    first = ledger.append(entry(1), now=NOW)
    again = ledger.append(entry(1, verdict="disagree"), now=NOW + timedelta(hours=1))
    assert again == first
    assert len(ledger.entries()) == 1


@pytest.mark.parametrize(
    "other",
    [{"reviewer": "Ben"}, {"place": 1}, {"image": 1}],
    ids=["reviewer", "phrase", "image"],
)
def test_entries_on_other_heats_and_of_other_reviewers_stand_beside(path, other):
    ledger = Ledger(path)
    ledger.append(entry(1), now=NOW)
    ledger.append(entry(2, **other), now=NOW)
    assert len(ledger.latest()) == 2


def test_a_clock_that_is_set_back_puts_no_new_entry_behind_an_old_one(path):
    ledger = Ledger(path)
    ledger.append(entry(1), now=NOW)
    ledger.append(entry(2, verdict="disagree", replaces=f"{1:032x}"), now=NOW - timedelta(days=2))
    assert [each.verdict for each in ledger.latest()] == ["disagree"]


def test_what_is_brought_in_twice_is_kept_once_and_its_moment_decides_what_counts(path):
    ledger = Ledger(path)
    ledger.append(entry(1, verdict="disagree"), now=NOW)
    earlier = entry(2, verdict="agree", moment=(NOW - timedelta(days=1)).isoformat())
    assert ledger.import_entries([earlier, earlier], now=NOW) == 1
    assert ledger.import_entries([earlier], now=NOW) == 0
    assert [each.verdict for each in ledger.latest()] == ["disagree"]


def test_a_browser_whose_clock_was_set_back_puts_no_entry_behind_the_one_that_it_replaces(path):
    ledger, earlier = Ledger(path), (NOW - timedelta(days=2)).isoformat()
    first = entry(1, moment=NOW.isoformat())
    second = entry(2, verdict="disagree", replaces=first.id, moment=earlier)
    of_another_heat = entry(3, place=1, replaces=first.id, moment=earlier)
    assert ledger.import_entries([first, second, of_another_heat], now=NOW) == 3
    assert [(each.verdict, each.moment) for each in ledger.latest()] == [
        ("disagree", NOW),
        ("agree", NOW - timedelta(days=2)),
    ]


def test_a_browser_whose_clock_runs_ahead_does_not_outdo_what_is_said_later(path):
    ledger = Ledger(path)
    ledger.import_entries([entry(1, moment=(NOW + timedelta(days=900)).isoformat())], now=NOW)
    ledger.append(entry(2, verdict="disagree", replaces=f"{1:032x}"), now=NOW + timedelta(seconds=1))
    assert [each.verdict for each in ledger.latest()] == ["disagree"]


@pytest.mark.usefixtures("patient")
def test_any_number_of_processes_may_be_the_first(tmp_path):
    for number in range(8):
        path = tmp_path / f"{number}.sqlite"
        with ThreadPoolExecutor(6) as pool:
            ledgers = list(pool.map(lambda _: Ledger(path), range(6)))  # noqa: B023 - the pool ends within the round
        for place, ledger in enumerate(ledgers):
            ledger.append(entry(place, reviewer=f"R{place}"), now=NOW)
        assert len(ledgers[0].latest()) == 6
        for ledger in ledgers:
            ledger.close()


def test_one_that_opens_waits_for_another_that_is_making_the_database(path):
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    with ThreadPoolExecutor(1) as pool:
        opened = pool.submit(Ledger, path)
        with pytest.raises(TimeoutError):
            opened.result(timeout=0.2)
        other.execute("ROLLBACK")
        assert opened.result().entries() == []
    other.close()


def test_one_that_opens_does_not_wait_forever(path, monkeypatch):
    monkeypatch.setattr(ledger_module, "WAIT_S", 0.1)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(OutputError, match="database is locked"):
        Ledger(path)
    other.close()


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    comment=st.text(max_size=200),
    reasons=st.lists(st.sampled_from(list(REASONS))),
    boxes=st.lists(st.builds(dict, x=COORDINATE, y=COORDINATE, width=SIDE, height=SIDE), max_size=3),
)
def test_whatever_is_said_is_read_back(path, comment, reasons, boxes):
    ledger = Ledger(path)
    number = len(ledger.entries())
    before = f"{number:032x}" if number else None
    made = entry(number + 1, comment=comment, reasons=reasons, boxes=boxes, replaces=before)
    ledger.append(made, now=NOW)
    assert ledger.latest() == [made.model_copy(update={"moment": NOW})]
    ledger.close()


@pytest.mark.usefixtures("patient")
def test_many_writers_at_once_lose_nothing(path):
    ledgers = [Ledger(path), Ledger(path)]  # as two processes hold it

    def say(number: int) -> str:
        return ledgers[number % 2].append(entry(number, reviewer=f"R{number}"), now=NOW).id

    with ThreadPoolExecutor(8) as pool:
        said = set(pool.map(say, range(60)))
    assert {each.id for each in Ledger(path).latest()} == said
    assert len(said) == 60


@pytest.mark.usefixtures("patient")
def test_of_many_tabs_that_reply_to_the_same_entry_one_is_kept(path):
    ledgers = [Ledger(path), Ledger(path)]

    def say(number: int) -> bool:
        try:
            ledgers[number % 2].append(entry(number), now=NOW)
        except SupersededError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(say, range(20))) == 1


@pytest.mark.parametrize("change", ["UPDATE entries SET verdict = 'agree'", "DELETE FROM entries"])
def test_the_database_itself_refuses_to_change_or_delete_an_entry(path, change):
    Ledger(path).append(entry(1, verdict="disagree"), now=NOW)
    with sqlite3.connect(path) as db, pytest.raises(sqlite3.IntegrityError):
        db.execute(change)
    db.close()
    assert [each.verdict for each in Ledger(path).latest()] == ["disagree"]


def test_entries_are_on_the_disk_before_the_answer(path):
    Ledger(path).append(entry(1), now=NOW)
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    db.close()
    copied = path.with_name("copy.sqlite")
    for suffix in ("", "-wal"):  # what a machine that lost power at this moment would find
        copied.with_name(f"copy.sqlite{suffix}").write_bytes(path.with_name(f"{LEDGER_NAME}{suffix}").read_bytes())
    assert len(Ledger(copied).entries()) == 1


def test_a_database_of_something_else_is_left_alone(path):
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE recipes (name TEXT)")
    db.close()
    before = path.read_bytes()
    with pytest.raises(OutputError, match="database of another program"):
        Ledger(path)
    assert path.read_bytes() == before


def test_a_database_of_a_newer_version_is_refused(path):
    Ledger(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 4")
    db.close()
    with pytest.raises(OutputError, match="version 4, this program reads 3"):
        Ledger(path)


@pytest.mark.parametrize("content", [b"not a database at all, only text" * 40], ids=["text"])
def test_a_file_that_is_no_database_is_refused_with_its_name(path, content):
    path.write_bytes(content)
    with pytest.raises(OutputError, match=LEDGER_NAME):
        Ledger(path)


def test_without_a_database_there_is_nothing_to_export(path):
    with pytest.raises(OutputError, match="holds no verdicts"):
        Ledger(path, make=False)
    assert not path.exists()
