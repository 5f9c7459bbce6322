"""The reviewers' second answer, whether the model should need the marked region: kept, imported, exported, compared."""

import csv
import io
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from made_up_review import entry_of, three_studies

from audit.review.exporting import agreement_lines, agreement_table, export, text_of
from audit.review.importing import import_entries
from audit.review.ledger import LEDGER_NAME, Ledger
from reports.review_record import REGION_ANSWERS, ReviewEntry

ONE, TWO, FOUR = three_studies()
NOW = datetime(2026, 3, 6, 8, 0, tzinfo=UTC)


def saved(path: Path, *entries: dict) -> Path:
    content = {"format": "m2ib-audit review", "version": 1, "saved": "2026-03-05T11:00:00Z", "entries": list(entries)}
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize("answer", [None, *REGION_ANSWERS])
def test_an_entry_with_this_answer_alone_is_kept_and_exported(out: Path, answer: str | None) -> None:
    changes = {} if answer is None else {"region_needed": answer}
    entry = ReviewEntry.model_validate(entry_of(TWO, 1, verdict=None, **changes))
    assert entry.is_empty is (answer is None)
    with closing(Ledger(out / LEDGER_NAME)) as ledger:
        ledger.append(entry, now=NOW)
        assert ledger.latest()[0].region_needed == answer
    assert [row["region_needed"] for row in export(out).rows] == [answer][: answer is not None]


@pytest.mark.parametrize("version", [1, 2])
def test_a_database_of_an_older_version_is_read_and_written_on(tmp_path: Path, version: int) -> None:
    path = tmp_path / LEDGER_NAME
    with closing(Ledger(path)) as ledger:
        ledger.append(ReviewEntry.model_validate(entry_of(TWO, 1)), now=NOW)
    with closing(sqlite3.connect(path)) as db:
        for column in ("region_needed", "scores_hidden")[: 3 - version]:
            db.execute(f"ALTER TABLE entries DROP COLUMN {column}")
        db.execute(f"PRAGMA user_version = {version}")
        db.commit()
    with closing(Ledger(path)) as ledger:
        ledger.append(ReviewEntry.model_validate(entry_of(FOUR, 2, scores_hidden=True, region_needed="no")), now=NOW)
        assert [(each.scores_hidden, each.region_needed) for each in ledger.latest()] == [(None, None), (True, "no")]


def test_files_with_the_answer_and_without_it_are_imported(out: Path, tmp_path: Path) -> None:
    old, new = entry_of(ONE, 1), entry_of(TWO, 2, region_needed="unsure")
    found = import_entries(out, [saved(tmp_path / "old.json", old), saved(tmp_path / "new.json", new)], now=NOW)
    assert found.new == 2
    rows = rows_of(text_of(export(out), as_json=False))
    assert [(row["verdict"], row["region_needed"]) for row in rows] == [("agree", ""), ("agree", "unsure")]


def test_agreement_is_computed_for_each_question_by_itself(out: Path) -> None:
    given = (("yes", "yes"), ("no", "yes"), ("no", "no"))
    with closing(Ledger(out / LEDGER_NAME)) as ledger:
        for number, (made, pair) in enumerate(zip((ONE, TWO, FOUR), given, strict=True)):
            for place, answer in enumerate(pair):
                who = ("Ada", "Ben")[place]
                entry = entry_of(made, 2 * number + place, reviewer=who, region_needed=answer)
                ledger.append(ReviewEntry.model_validate(entry), now=NOW)
        only = entry_of(FOUR, 9, place=1, verdict=None, region_needed="yes")
        ledger.append(ReviewEntry.model_validate(only), now=NOW)
    found = export(out)
    over_all = {
        (row["question"], row["statistic"]): row for row in rows_of(agreement_table(found)) if not row["finding"]
    }
    assert over_all["verdict", "Cohen's kappa"]["agree"] == "1"
    region = over_all["region_needed", "Cohen's kappa"]
    # By hand: observed 2/3; chance (1 * 2 + 2 * 1) / 9.
    assert float(region["kappa"]) == pytest.approx((2 / 3 - 4 / 9) / (1 - 4 / 9), abs=1e-5)
    assert region["heats"] == "3"
    lines = agreement_lines(found)
    assert [line.startswith("Region needed: Cohen's kappa, Ada and Ben: 0.40") for line in lines].count(True) == 1
    assert lines[0].startswith("Cohen's kappa, Ada and Ben: not defined (all answers are the same)")
