"""The table of one phrase's scores: a row a method, a column a score, and why a cell is empty."""

from collections.abc import Sequence
from dataclasses import dataclass

from reports.record import Score
from reports.score_catalogue import BLIND_METHODS
from reports.words import method_name

__all__ = ["ScoreRow", "score_rows", "single_reasons"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRow:
    """One method's line of the score table; ``reason`` stands for all cells where none was scored."""

    name: str
    is_subject: bool  # the audited method
    is_first_blind: bool  # the first of the references that never look at the image
    cells: tuple[Score | None, ...]
    reason: str | None


def score_rows(scores: Sequence[Score], names: Sequence[str], *, subject: str) -> tuple[ScoreRow, ...]:
    """Lay a phrase's scores out: the audited method, those beside it, then what never looks at the image."""
    in_order = dict.fromkeys(score.method for score in scores)
    methods = sorted(in_order, key=lambda method: (method != subject, method in BLIND_METHODS))
    first_blind = next((method for method in methods if method in BLIND_METHODS), None)
    by_place = {(score.method, score.score): score for score in scores}
    rows = []
    for method in methods:
        cells = tuple(by_place.get((method, name)) for name in names)
        if not any(cells):  # its scores are of another kind: the tables have them
            continue
        reasons = {cell.reason for cell in cells if cell is not None and cell.value is None}
        all_unscored = all(cell is None or cell.value is None for cell in cells)
        reason = next(iter(reasons)) if all_unscored and len(reasons) == 1 else None
        rows.append(
            ScoreRow(
                name=method_name(method),
                is_subject=method == subject,
                is_first_blind=method == first_blind,
                cells=cells,
                reason=reason,
            )
        )
    return tuple(rows)


def single_reasons(rows: Sequence[ScoreRow]) -> tuple[tuple[str, str], ...]:
    """Why some of a method's scores are missing where others are there; each reason once."""
    found = {
        (row.name, cell.reason.rstrip("."))
        for row in rows
        if row.reason is None
        for cell in row.cells
        if cell is not None and cell.value is None and cell.outcome not in {"hit", "miss"} and cell.reason
    }
    return tuple(sorted(found))
