"""The table of subgroups on the cohort page and in the document for a board, and what its tests show."""

from collections import Counter
from dataclasses import dataclass
from typing import Final

from reports.outcomes import method_name
from reports.page import format_number, format_p
from reports.run_record import RunRecord, SubgroupGap, SubgroupSummary
from reports.score_catalogue import FEW_PHRASES
from reports.texts import named, text

__all__ = ["SubgroupRow", "subgroup_rows", "subgroup_tests"]

_ALPHA: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class SubgroupRow:
    """One subgroup's pointing game."""

    method: str
    attribute: str  # empty where the row above has the same
    summary: SubgroupSummary
    blind: str  # the best content-blind map on its phrases; empty where none was scored
    is_few: bool
    p_values: str = "–"  # by Holm, and by Benjamini and Hochberg
    detectable: str = "–"


def subgroup_rows(run: RunRecord) -> tuple[SubgroupRow, ...]:
    """List the subgroups of every attribute with more than one, by method."""
    several = {
        (method, attribute)
        for (method, attribute), count in Counter((each.method, each.attribute) for each in run.subgroups).items()
        if count > 1
    }
    rows: list[SubgroupRow] = []
    before: tuple[str, str] | None = None
    for summary in run.subgroups:
        place = summary.method, summary.attribute
        if place not in several:
            continue
        rows.append(
            SubgroupRow(
                method=method_name(summary.method),
                attribute="" if place == before else named("attribute", summary.attribute),
                summary=summary,
                blind="" if summary.difference is None else method_name(summary.difference.reference),
                is_few=summary.scored < FEW_PHRASES,
                **_of_gap(summary.gap),
            )
        )
        before = place
    return tuple(rows)


def _of_gap(gap: SubgroupGap | None) -> dict[str, str]:
    if gap is None:
        return {}
    p_values = text("judgement.both_p", holm=format_p(gap.p_holm), bh=format_p(gap.p_bh))
    return {"p_values": p_values, "detectable": format_number(gap.detectable)}


def subgroup_tests(run: RunRecord) -> str:
    """Say how the gaps of the main method's subgroups are tested, and which are shown; empty if none is tested."""
    tested = [(each, each.gap) for each in run.subgroups if each.method == run.method and each.gap is not None]
    if not tested:
        return text("judgement.no_gap_tested")
    tests = tested[0][1].tests
    named_groups = [
        text("judgement.group_with_gap", attribute=named("attribute", each.attribute), group=each.value)
        for each, gap in tested
        if gap.p_holm <= _ALPHA
    ]
    explored = sum(gap.p_bh <= _ALPHA for _, gap in tested)
    shown = ", ".join(named_groups) or text("judgement.no_group")
    return text("judgement.gaps_tested", tests=tests, shown=shown, explored=explored)
