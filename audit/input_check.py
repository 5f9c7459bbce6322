"""Lists every file, report and group of boxes: whether it is audited, and if not, why."""

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path

from audit.configuration import InputsConfig
from audit.pipeline.inputs import Inputs, survey
from audit.privacy.messages import owned_failures
from audit.privacy.pseudonyms import Pseudonyms
from audit.privacy.redaction import Redactor, failure_records
from pipelines.boxes.table import target_boxes
from pipelines.errors import OutputError
from pipelines.quoting import OF_LABELS, defused
from pipelines.study import Case, Exclusion, Study
from pipelines.text.joining import Key
from reports.run_record import FailureRecord

__all__ = [
    "CheckRow",
    "CheckStatus",
    "Checked",
    "FindingCounts",
    "ReasonCount",
    "check",
    "rows_for_owner",
    "rows_of",
    "write_csv",
]


class CheckStatus(StrEnum):
    """The status of a file, report or group of boxes."""

    AUDITED = "audited"
    LEFT_OUT = "left out"  # by rule
    FAILED = "failed"  # should be audited, but cannot be


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRow:
    """One file, one report, or the boxes of one label on one image."""

    kind: str  # "image", "report", "boxes", "frames" (frames of an image that are not audited) or "file"
    source: str  # its name, or the key that replaces it
    fate: CheckStatus
    stage: str  # the stage that excluded it; "" if it is audited
    reason: str  # why it was excluded; "" if it is audited
    study: str = ""  # the key of its study, if it has one
    joined_by: str = ""  # for reports: the key that joined it to its study
    finding: str = ""  # for boxes
    phrases: int | None = None  # for an image: phrases for the model; for boxes: phrases that match them
    boxes: int | None = None  # number of boxes


_KIND_OF_STAGE = {
    **dict.fromkeys(("scan", "header", "table"), "file"),
    **{stage: stage for stage in ("report", "boxes", "frames")},
    "pixels": "image",
}
_PARTS = {"boxes", "frames"}  # stages that exclude a part of an image, and not the image


class _Namer:
    """Names sources and studies as far as they may be shown."""

    def __init__(self, inputs: Inputs, folders: Sequence[Path], keys: Pseudonyms, *, show_phi: bool) -> None:
        self._keys, self._show_phi = keys, show_phi
        reports = (study.report.source for study in inputs.studies)
        images = (case.image.source for study in inputs.studies for case in study.cases)
        taking_part = [Exclusion(source=each, stage="", reason="", failed=False) for each in (*reports, *images)]
        named = failure_records(taking_part, folders, keys, show_phi=show_phi)
        self._sources = {item.source: shown.source for item, shown in zip(taking_part, named, strict=True)}
        self.left_out = failure_records(inputs.left_out, folders, keys, show_phi=show_phi)

    def source(self, source: str) -> str:
        """Return the name of an audited source."""
        return self._sources[source]

    def label(self, label: str) -> str:
        """Return the name of a box label."""
        return Redactor(keys=self._keys, show_phi=self._show_phi).label(label)

    def study(self, uid: str) -> str:
        return uid if self._show_phi else self._keys.key("study", uid)


def rows_of(inputs: Inputs, folders: Sequence[Path], keys: Pseudonyms, *, show_phi: bool) -> tuple[CheckRow, ...]:
    """Create the rows: audited items first, in the order of the images, then the others in their order.

    Args:
        inputs: the inputs as surveyed.
        folders: the given folders: names are relative to them.
        keys: replace names of files and studies, as in failures.csv of a run.
        show_phi: show the names themselves.
    """
    namer = _Namer(inputs, folders, keys, show_phi=show_phi)
    taking_part = [row for study in inputs.studies for row in _study_rows(study, namer)]
    return (*taking_part, *_left_out_rows(inputs, namer.left_out, namer.study))


def rows_for_owner(inputs: Inputs, folders: Sequence[Path], keys: Pseudonyms) -> tuple[CheckRow, ...]:
    """Create the rows of excluded items, with the names of files, columns and labels unmasked."""
    shown = owned_failures(inputs.left_out, folders, keys)
    return tuple(_left_out_rows(inputs, shown, lambda uid: keys.key("study", uid)))


def _study_rows(study: Study, namer: _Namer) -> Iterator[CheckRow]:
    uid = namer.study(study.study_instance_uid)
    yield CheckRow(
        kind="report",
        source=namer.source(study.report.source),
        fate=CheckStatus.AUDITED,
        stage="",
        reason="",
        study=uid,
        joined_by=study.report_joined_by,
    )
    for case in study.cases:
        source = namer.source(case.image.source)
        yield CheckRow(
            kind="image",
            source=source,
            fate=CheckStatus.AUDITED,
            stage="",
            reason="",
            study=uid,
            phrases=len(case.phrases),
            boxes=len(case.boxes),
        )
        yield from _box_rows(case, source, uid, namer)


def _box_rows(case: Case, source: str, study: str, namer: _Namer) -> Iterator[CheckRow]:
    """Group an image's boxes by label; a group that matches no phrase is not used in any score."""
    met = Counter(label for p in case.phrases for label in {box.label for box in target_boxes(case, p)})
    for label, count in Counter(box.label for box in case.boxes).items():
        yield CheckRow(
            kind="boxes",
            source=source,
            fate=CheckStatus.AUDITED if met[label] else CheckStatus.LEFT_OUT,
            stage="" if met[label] else "boxes",
            reason="" if met[label] else "no phrase of the report names what these boxes show",
            study=study,
            finding=namer.label(label),
            phrases=met[label],
            boxes=count,
        )


def _left_out_rows(
    inputs: Inputs, failures: Sequence[FailureRecord], study_name: Callable[[str], str]
) -> Iterator[CheckRow]:
    studies = {image.source: image.study_instance_uid for image in inputs.images}
    for item, shown in zip(inputs.left_out, failures, strict=True):
        join = inputs.joins.get(item.source)
        uid = studies.get(item.source) if join is None else join.study_instance_uid
        yield CheckRow(
            kind="image"
            if item.source in studies and item.stage not in _PARTS
            else _KIND_OF_STAGE.get(item.stage, "report"),
            source=shown.source,
            fate=CheckStatus.FAILED if item.failed else CheckStatus.LEFT_OUT,
            stage=item.stage,
            reason=shown.reason,
            study="" if uid is None else study_name(uid),
            joined_by="" if join is None else join.by,
        )


_EXAMPLES = 3
_KINDS = ("file", "image", "report", "boxes", "frames")  # in the order in which to correct them
_ROWS = re.compile(r"^(?:[^:]* )?row \d+(?: and \d+ more)?: ")  # table rows before the reason itself
_VARYING = re.compile(r'"[^"]*"|\bfile-[0-9a-f]{16}\b|\S*\d\S*|\([^)]*\)')  # differs between files of one reason


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonCount:
    """The number of items excluded for one reason, and the first of them."""

    kind: str  # as in CheckRow
    fate: CheckStatus
    stage: str
    reason: str  # reason of the first one
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingCounts:
    """The number of phrases and boxes of a finding."""

    finding: str
    phrases: int  # pairs of an image and a phrase with the finding
    with_boxes: int  # those that match a box


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What would be audited, what would be excluded, and why."""

    counts: Mapping[str, int]
    fates: Mapping[str, Mapping[CheckStatus, int]]  # for "files" of the image folder, and for "reports"
    joined_by: Mapping[str, int]  # reports by the key that joined them to a study, audited or not
    findings: tuple[FindingCounts, ...]  # most frequent first
    reasons: tuple[ReasonCount, ...]  # failures first, then by kind, then most frequent first
    rows: tuple[CheckRow, ...]
    nothing: str | None  # if nothing would be audited: what to correct first
    sentences: tuple[str, ...]  # about all inputs: which public set they look like, reports in other languages
    for_owner: tuple[ReasonCount, ...] = field(repr=False)  # with names, columns and labels unmasked: for a terminal

    @property
    def failed(self) -> int:
        """Return the number of files, reports and boxes that should be audited and cannot be."""
        return sum(row.fate is CheckStatus.FAILED for row in self.rows)


def check(
    config: InputsConfig,
    keys: Pseudonyms,
    *,
    show_phi: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Checked:
    """Determine what a run would audit and exclude, and why; no model is loaded and no pixels are read.

    Args:
        config: the inputs.
        keys: pseudonyms for file names and studies, as in failures.csv of a run.
        show_phi: show the names themselves.
        progress: called with the headers read and all files.

    Raises:
        InputError: a folder or file is missing or of no known format.
        CohortError: the DICOM folder is empty.
    """
    inputs = survey(config, progress=progress)
    folders = config.folders
    rows = rows_of(inputs, folders, keys, show_phi=show_phi)
    joined = Counter(join.by for join in inputs.joins.values())
    return Checked(
        counts=inputs.counts,
        fates=_fates(rows),
        joined_by={key: joined[key] for key in Key if key in joined},
        findings=_findings(inputs),
        reasons=_reasons(rows),
        rows=rows,
        nothing=inputs.nothing,
        sentences=(*inputs.sentences, *inputs.languages),
        for_owner=_reasons(rows_for_owner(inputs, folders, keys)),
    )


def write_csv(rows: tuple[CheckRow, ...], path: Path) -> None:
    """Write one line per row; a cell that a spreadsheet would execute as a formula is escaped.

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


def _fates(rows: tuple[CheckRow, ...]) -> Mapping[str, Mapping[CheckStatus, int]]:
    """Count files, frames that are separate images, and reports by status; Inputs counts boxes."""
    kinds = {"report": "reports", "file": "files", "image": "files"}
    counted = Counter((kinds[row.kind], row.fate) for row in rows if row.kind in kinds)
    return {kind: {fate: counted[kind, fate] for fate in CheckStatus} for kind in ("files", "reports")}


def _reasons(rows: tuple[CheckRow, ...]) -> tuple[ReasonCount, ...]:
    """Count the rows by reason; reasons that differ only in a name or a number are one."""
    alike: dict[tuple[str, CheckStatus, str, str], list[CheckRow]] = defaultdict(list)
    for row in rows:
        if row.fate is not CheckStatus.AUDITED:
            # A label without a finding is a reason of its own: the user needs to know which labels they are.
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
    return tuple(
        sorted(counted, key=lambda each: (each.fate is not CheckStatus.FAILED, _KINDS.index(each.kind), -each.count))
    )
