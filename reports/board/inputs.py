"""What the document is made of: the run, the reasons why phrases have no score, and the checksums of the files."""

import csv
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import DamagedError
from reports.reading import file_checksum
from reports.results_folder import RUN, damaged_tables, read_run
from reports.run_record import RunRecord
from reports.score_catalogue import POINTING

__all__ = ["BoardInputs", "read_board_inputs"]

_SCORES_TABLE = "scores.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardInputs:
    """A run with what the document needs of the files beside ``run.json``."""

    run: RunRecord
    unscored: Mapping[str, int]  # phrases of the audited method without a score, by reason
    checksums: Mapping[str, str]  # SHA-256 of the result's files, by name


def read_board_inputs(out: Path) -> BoardInputs:
    """Read what the document is made of; the tables are compared with their checksums in ``run.json`` first.

    Raises:
        DamagedError: ``run.json`` or a table is missing, damaged, or was changed since it was written.
    """
    run = read_run(out)
    faults = damaged_tables(out, run)
    if faults:
        raise DamagedError(f"{out}: {faults[0]}")
    return BoardInputs(
        run=run,
        unscored=_unscored(out / _SCORES_TABLE, run.method),
        checksums={RUN: file_checksum(out / RUN), **(run.files or {})},  # the tables were compared just now
    )


def _unscored(table: Path, method: str) -> dict[str, int]:
    """Count the phrases without a score by reason, the most frequent first; one line in memory at a time."""
    reasons: Counter[str] = Counter()
    try:
        with table.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                if (row["method"], row["score"], row["outcome"]) == (method, POINTING, "unscored"):
                    reasons[row["reason"]] += 1
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise DamagedError(f"{table} is not a table of scores: `m2ib-audit score` makes the tables again") from error
    return dict(sorted(reasons.items(), key=lambda found: (-found[1], found[0])))
