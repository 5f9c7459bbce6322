"""Survey the inputs of a run, and sum up what would be audited."""

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from audit.checking.rows import CheckRow, Fate, rows_for_owner, rows_of
from audit.engine.inputs import Inputs, survey
from audit.engine.keys import Keys
from pipelines.boxes.matching import target_boxes
from pipelines.errors import OutputError
from pipelines.frames import Frames
from pipelines.quoting import OF_LABELS
from pipelines.spreadsheet import defused
from pipelines.text.joining import Key

__all__ = ["CheckSettings", "Checked", "FindingCounts", "ReasonCount", "check", "write_csv"]

_EXAMPLES = 3
_KINDS = ("file", "image", "report", "boxes", "frames")  # in the order in which they are mended
_ROWS = re.compile(r"^(?:[^:]* )?row \d+(?: and \d+ more)?: ")  # of a table, before what is the matter with them
_VARYING = re.compile(r'"[^"]*"|\bfile-[0-9a-f]{16}\b|\S*\d\S*|\([^)]*\)')  # what tells two files of one reason apart


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSettings:
    """Where the inputs lie, as a run takes them."""

    dicom_dir: Path
    reports: Path
    boxes: tuple[Path, ...] = ()  # files of annotations, and folders of them
    all_views: bool = False
    frames: Frames = Frames.FIRST
    show_phi: bool = False
    index: Path | None = None  # keeps what the headers say for the next scan; holds patient and accession numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonCount:
    """How many were left out for one reason, and the first of them."""

    kind: str  # as in CheckRow
    fate: Fate
    stage: str
    reason: str  # of the first
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingCounts:
    """What a finding has to be scored on."""

    finding: str
    phrases: int  # pairs of an image and a phrase that names it
    with_boxes: int  # among them those that meet a box


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What would be audited, what would not, and why."""

    counts: Mapping[str, int]
    fates: Mapping[str, Mapping[Fate, int]]  # of "files" of the DICOM folder, and of "reports"
    joined_by: Mapping[str, int]  # reports by the key that joined them to a study, audited or not
    findings: tuple[FindingCounts, ...]  # the most frequent first
    reasons: tuple[ReasonCount, ...]  # failures first, then by kind, then the most frequent
    rows: tuple[CheckRow, ...]
    nothing: str | None  # where nothing would be audited: what to mend first
    to_owner: tuple[ReasonCount, ...] = field(repr=False)  # with names, columns and labels as they are: for a terminal

    @property
    def failed(self) -> int:
        """How many files, reports and boxes should take part and cannot."""
        return sum(row.fate is Fate.FAILED for row in self.rows)


def check(settings: CheckSettings, keys: Keys, *, progress: Callable[[int, int], None] | None = None) -> Checked:
    """Say what a run would audit, what not, and why: no model is loaded, no pixel read.

    Args:
        settings: where the inputs lie.
        keys: stand for names of files and studies, as in failures.csv of a run.
        progress: called with the headers read and all files.

    Raises:
        InputError: a folder or file is missing or of no known format.
        CohortError: the DICOM folder is empty.
    """
    inputs = survey(settings, progress=progress)
    folders = [settings.dicom_dir, settings.reports, *settings.boxes]
    rows = rows_of(inputs, folders, keys, show_phi=settings.show_phi)
    joined = Counter(join.by for join in inputs.joins.values())
    return Checked(
        counts=inputs.counts,
        fates=_fates(rows),
        joined_by={key: joined[key] for key in Key if key in joined},
        findings=_findings(inputs),
        reasons=_reasons(rows),
        rows=rows,
        nothing=inputs.nothing,
        to_owner=_reasons(rows_for_owner(inputs, folders, keys)),
    )


def write_csv(rows: tuple[CheckRow, ...], path: Path) -> None:
    """Write a line a row; a cell that a spreadsheet would take for a formula is defused.

    Raises:
        OutputError: the file cannot be written.
    """
    names = [field.name for field in fields(CheckRow)]
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(names)
            writer.writerows([_cell(getattr(row, name)) for name in names] for row in rows)
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error.strerror}): give --csv a file that can") from error


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return defused(text)


def _findings(inputs: Inputs) -> tuple[FindingCounts, ...]:
    phrases: Counter[str] = Counter()
    with_boxes: Counter[str] = Counter()
    for case in (case for study in inputs.studies for case in study.cases):
        for phrase in case.phrases:
            finding = phrase.finding or "no known finding"
            phrases[finding] += 1
            with_boxes[finding] += bool(target_boxes(case, phrase))
    return tuple(
        FindingCounts(finding=finding, phrases=count, with_boxes=with_boxes[finding])
        for finding, count in phrases.most_common()
    )


def _fates(rows: tuple[CheckRow, ...]) -> Mapping[str, Mapping[Fate, int]]:
    """Count what became of files, frames that are images of their own, and reports; boxes are counted by Inputs."""
    kinds = {"report": "reports", "file": "files", "image": "files"}
    counted = Counter((kinds[row.kind], row.fate) for row in rows if row.kind in kinds)
    return {kind: {fate: counted[kind, fate] for fate in Fate} for kind in ("files", "reports")}


def _reasons(rows: tuple[CheckRow, ...]) -> tuple[ReasonCount, ...]:
    """Count the rows by reason; reasons that differ in a name or a number alone are one."""
    alike: dict[tuple[str, Fate, str, str], list[CheckRow]] = defaultdict(list)
    for row in rows:
        if row.fate is not Fate.AUDITED:
            # A label that maps to no finding is a reason of its own: which labels they are is what is asked.
            reason = _ROWS.sub("", row.reason)
            reason = reason if reason.startswith(OF_LABELS) else _VARYING.sub("", reason)
            alike[row.kind, row.fate, row.stage, reason].append(row)
    counted = [
        ReasonCount(
            kind=kind,
            fate=fate,
            stage=stage,
            reason=_ROWS.sub("", same[0].reason),
            count=len(same),
            examples=tuple(row.source for row in same[:_EXAMPLES]),
        )
        for (kind, fate, stage, _), same in alike.items()
    ]
    return tuple(sorted(counted, key=lambda each: (each.fate is not Fate.FAILED, _KINDS.index(each.kind), -each.count)))
