"""What the command `check` found, as text and as JSON."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict

from audit.input_check import Checked, CheckStatus, ReasonCount
from pipelines.quoting import counted

__all__ = ["check_json", "check_text", "text_for_owner"]

_FIRST_WIDTH = 28
_WIDTH = 11
_TITLES = {CheckStatus.FAILED: "Cannot be audited:", CheckStatus.LEFT_OUT: "Left out by rule:"}
_COUNTED = {
    "studies": ("study", "studies"),
    "images": ("image",),
    "phrases": ("phrase",),
    "absent phrases": ("absent phrase",),
    "boxes": ("box", "boxes"),
    "files": ("file",),
    "reports": ("report",),
    "box rows": ("box", "boxes"),
}
_KEY = re.compile(r"file-[0-9a-f]{16}\b")


def check_text(checked: Checked) -> str:
    """Format counts, joins, findings and reasons, one per line."""
    lines = [
        f"Would be audited: {_listed(checked, 'studies', 'images', 'phrases', 'boxes')}",
        f"Denied in the reports: {_listed(checked, 'absent phrases')}",
        f"Nothing abnormal in the report: {counted(checked.counts['normal studies'], 'study', 'studies')}",
        f"Read: {_listed(checked, 'files', 'reports', 'box rows')}",
    ]
    lines += checked.sentences
    if checked.joined_by:
        joins = ", ".join(f"{count:,} by {key}" for key, count in checked.joined_by.items())
        lines.append(f"Reports joined: {joins}")
    lines += ["", *_fate_lines(checked)]
    if checked.findings:
        lines += ["", f"{'finding':<{_FIRST_WIDTH}} {'phrases':>{_WIDTH}} {'with boxes':>{_WIDTH}}"]
        lines += [
            f"{each.finding:<{_FIRST_WIDTH}} {each.phrases:>{_WIDTH},} {each.with_boxes:>{_WIDTH},}"
            for each in checked.findings
        ]
    lines += _titled(checked.reasons)
    if any(_KEY.match(example) for each in checked.reasons for example in each.examples):
        lines += [
            "",
            "file-... stands for a file name, which may be a patient's; --show-phi or a terminal shows the names.",
        ]
    return "\n".join(lines)


def text_for_owner(checked: Checked) -> str:
    """List the reasons with the names of files, columns and labels unmasked: only for a terminal."""
    reasons = _titled(checked.for_owner)
    return "\n".join(["", "The same with names (only on this terminal).", *reasons]) if reasons else ""


def _titled(reasons: Sequence[ReasonCount]) -> list[str]:
    lines = []
    for fate, title in _TITLES.items():
        alike = [each for each in reasons if each.fate is fate]
        lines += ["", title] if alike else []
        for each in alike:
            lines += _reason_lines(each)
    return lines


def _listed(checked: Checked, *kinds: str) -> str:
    return ", ".join(counted(checked.counts[kind], *_COUNTED[kind]) for kind in kinds)


def _fate_lines(checked: Checked) -> list[str]:
    head = "".join(f" {fate.value:>{_WIDTH}}" for fate in CheckStatus)
    return [
        f"{'':<{_FIRST_WIDTH}}{head}",
        *(
            f"{kind:<{_FIRST_WIDTH}}" + "".join(f" {count:>{_WIDTH},}" for count in of_kind.values())
            for kind, of_kind in checked.fates.items()
        ),
    ]


def _reason_lines(each: ReasonCount) -> list[str]:
    others = ", ..." if each.count > len(each.examples) else ""
    return [
        f"{each.count:>8,}  {each.kind}: {each.reason}",
        f"{'':>10}{', '.join(dict.fromkeys(each.examples))}{others}",
    ]


def check_json(checked: Checked) -> str:
    """Format the result for a program; the rows themselves go to --csv."""
    return json.dumps(
        {
            "counts": dict(checked.counts),
            "failed": checked.failed,
            "fates": {kind: dict(of_kind) for kind, of_kind in checked.fates.items()},
            "joined_by": dict(checked.joined_by),
            "findings": [asdict(each) for each in checked.findings],
            "reasons": [asdict(each) for each in checked.reasons],
            "nothing": checked.nothing,
            "sentences": list(checked.sentences),
        },
        indent=1,
    )
