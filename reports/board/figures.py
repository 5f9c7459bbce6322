"""Estimates with their intervals as the document draws them: text, and places along an axis."""

from dataclasses import dataclass

from reports.grounding import GroundingCell, grounding_rows
from reports.outcomes import best_reference
from reports.page import format_number, format_percent, format_percents
from reports.reliance import Answer
from reports.run_record import RunRecord
from reports.score_catalogue import FEW_PATIENTS, FEW_PHRASES
from reports.subgroup_table import SubgroupRow, subgroup_rows
from reports.texts import text

__all__ = ["Answers", "Axis", "Bar", "FindingBars", "GroupBar", "finding_bars", "group_bars", "percent_range"]

_MOST_ROWS = 24  # findings, and subgroups: the pages have all


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """The ends of an axis, and their labels."""

    low: float
    high: float
    low_label: str
    high_label: str

    def place(self, value: float) -> float:
        """Return where a value lies, 0 at the low end and 1 at the high end; outside values lie on the end."""
        return round(min(max((value - self.low) / (self.high - self.low), 0.0), 1.0), 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """An estimate with its interval; places are fractions of the axis."""

    value: str
    interval: str
    at: float
    low: float
    high: float
    reference: float | None  # chance, or the best blind map


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """One of the three answers for one finding."""

    answer: Answer
    word: str
    bar: Bar | None
    note: str  # why the answer is not known; empty otherwise


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingBars:
    """The three answers of one finding."""

    finding: str
    is_few: bool
    cells: tuple[Answers, Answers, Answers]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupBar:
    """The hits in one subgroup."""

    attribute: str  # empty where the row above has the same
    group: str
    phrases: str
    patients: str
    bar: Bar
    blind: str  # the best blind map there, and its share of hits
    difference: str
    is_few: bool


def percent_range(low: float, high: float) -> str:
    """Format the interval of a share."""
    return text("common.range", low=format_percents(low, high)[0], high=format_percents(low, high)[1])


_SHARE = Axis(low=0.0, high=1.0, low_label="0", high_label="1")
_PERCENT = Axis(low=0.0, high=1.0, low_label=format_percent(0.0), high_label=format_percent(1.0))


def finding_bars(run: RunRecord) -> tuple[tuple[Axis, Axis, Axis], tuple[FindingBars, ...], int]:
    """Return the three axes, a row for all phrases and for each finding, and the number of findings left out."""
    rows = grounding_rows(run)
    relied = [row.relies.result for row in rows if row.relies.result is not None]
    ends = [0.0, *(value for each in relied for value in (each.low, each.high) if value is not None)]
    low, high = min(ends), max([*ends, 0.1])
    spread = Axis(low=low, high=high, low_label=format_number(low, 1), high_label=format_number(high, 1))
    chance = {(test.kind, test.finding): test.chance for test in run.cosine_tests}
    bars = []
    for row in rows[: _MOST_ROWS + 1]:
        finding = row.finding or None
        blind = best_reference(run, finding=finding)
        localised = row.localises.result
        is_few = localised is None or localised.patients < FEW_PATIENTS or _count(row.localises) < FEW_PHRASES
        bars.append(
            FindingBars(
                finding=row.finding or text("grounding.all"),
                is_few=bool(row.finding) and is_few,
                cells=(
                    _answers(row.recognises, _SHARE, chance.get(("recognition", finding)), digits=2),
                    _answers(row.relies, spread, chance.get(("reliance", finding)), digits=1),
                    _answers(row.localises, _PERCENT, None if blind is None else blind.estimate, digits=None),
                ),
            )
        )
    return (_SHARE, spread, _PERCENT), tuple(bars), max(0, len(rows) - len(bars))


def _count(cell: GroundingCell) -> int:
    result = cell.result
    return 0 if result is None else getattr(result, "scored", getattr(result, "cases", 0))


def _answers(cell: GroundingCell, axis: Axis, reference: float | None, *, digits: int | None) -> Answers:
    result, bar = cell.result, None
    if result is not None and result.estimate is not None and result.low is not None and result.high is not None:
        bar = _bar(result.estimate, result.low, result.high, axis=axis, reference=reference, digits=digits)
    return Answers(answer=cell.answer, word=text(f"grounding.answer_{cell.answer}"), bar=bar, note=cell.note)


def _bar(estimate: float, low: float, high: float, *, axis: Axis, reference: float | None, digits: int | None) -> Bar:
    """Place an estimate on an axis; ``digits`` None formats a share in percent."""
    if digits is None:
        value, interval = format_percent(estimate), percent_range(low, high)
    else:
        value = format_number(estimate, digits)
        interval = text("common.range", low=format_number(low, digits), high=format_number(high, digits))
    return Bar(
        value=value,
        interval=interval,
        at=axis.place(estimate),
        low=axis.place(low),
        high=axis.place(high),
        reference=None if reference is None else axis.place(reference),
    )


def group_bars(run: RunRecord) -> tuple[tuple[GroupBar, ...], int]:
    """Return a row for each subgroup of the audited method, and the number of subgroups left out."""
    shown = [row for row in subgroup_rows(run) if row.summary.method == run.method]
    rows = [row for row in shown if row.summary.attribute != "finding"]  # these have a section of their own
    return tuple(_group_bar(row) for row in rows[:_MOST_ROWS]), max(0, len(rows) - _MOST_ROWS)


def _group_bar(row: SubgroupRow) -> GroupBar:
    group, difference = row.summary, row.summary.difference
    return GroupBar(
        attribute=row.attribute,
        group=group.value,
        phrases=f"{group.scored:,}",
        patients=f"{group.patients:,}",
        bar=_bar(group.estimate, group.low, group.high, axis=_PERCENT, reference=group.blind, digits=None),
        blind=f"{row.blind}, {format_percent(group.blind)}" if row.blind else "–",
        difference="–"
        if difference is None
        else text(
            "board.points",
            points=format_number(100 * difference.estimate, 0),
            low=format_number(100 * difference.low, 0),
            high=format_number(100 * difference.high, 0),
        ),
        is_few=row.is_few,
    )
