"""The outcome of a check as a table for the terminal, and as JSON."""

import json
from dataclasses import asdict

from audit.checking.checking import Checked

__all__ = ["check_json", "check_text"]

_FINDING_WIDTH = 28


def check_text(checked: Checked) -> str:
    """Lay out counts, joins, findings and reasons, a line each."""
    counts = checked.counts
    takes_part = ("studies", "images", "phrases", "boxes")
    lines = [
        f"Would be audited: {', '.join(f'{counts[what]:,} {what}' for what in takes_part)}",
        f"Read: {counts['files']:,} files, {counts['reports']:,} reports, {counts['box rows']:,} boxes",
    ]
    if checked.joined_by:
        joins = ", ".join(f"{count:,} by {key}" for key, count in checked.joined_by.items())
        lines.append(f"Reports joined: {joins}")
    if checked.findings:
        lines += ["", f"{'finding':<{_FINDING_WIDTH}} {'phrases':>8} {'with boxes':>11}"]
        lines += [
            f"{each.finding:<{_FINDING_WIDTH}} {each.phrases:>8,} {each.with_boxes:>11,}" for each in checked.findings
        ]
    if checked.reasons:
        lines += ["", "Would not be audited:"]
    for each in checked.reasons:
        lines.append(f"{each.count:>8,}  {each.kind}, {each.fate} ({each.stage}): {each.reason}")
        lines.append(f"{'':>10}{', '.join(each.examples)}{', ...' if each.count > len(each.examples) else ''}")
    return "\n".join(lines)


def check_json(checked: Checked) -> str:
    """The same for a program; the rows themselves go to --csv."""
    return json.dumps(
        {
            "counts": dict(checked.counts),
            "failed": checked.failed,
            "joined_by": dict(checked.joined_by),
            "findings": [asdict(each) for each in checked.findings],
            "reasons": [asdict(each) for each in checked.reasons],
            "nothing": checked.nothing,
        },
        indent=1,
    )
