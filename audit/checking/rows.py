"""A row for every file, report and group of boxes: whether it takes part, and why not."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from audit.engine.for_owner import owned_failures
from audit.engine.inputs import Inputs
from audit.engine.keys import Keys
from audit.engine.shown import Shower, shown_failures
from pipelines.boxes.matching import target_boxes
from pipelines.study import Case, LeftOut, Study
from reports.record import FailureRecord

__all__ = ["CheckRow", "Fate", "rows_for_owner", "rows_of"]


class Fate(StrEnum):
    """What becomes of a file, report or group of boxes."""

    AUDITED = "audited"
    LEFT_OUT = "left out"  # by rule
    FAILED = "failed"  # should take part and cannot


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRow:
    """One file, one report, or the boxes of one label on one image."""

    kind: str  # "image", "report", "boxes", "frames" (those of an image that are not audited) or "file"
    source: str  # its name, or the key that stands for it
    fate: Fate
    stage: str  # where it was left out; "" for what takes part
    reason: str  # why it was left out; "" for what takes part
    study: str = ""  # the key of its study, where it has one
    joined_by: str = ""  # of reports: the key that joined it to its study
    finding: str = ""  # of boxes
    phrases: int | None = None  # of an image: put to the model; of boxes: those that meet them
    boxes: int | None = None  # how many


_KINDS = {
    **dict.fromkeys(("scan", "header"), "file"),
    **{stage: stage for stage in ("report", "boxes", "frames")},
    "pixels": "image",
}
_PARTS = {"boxes", "frames"}  # stages that leave something of an image out, and not the image


class _Namer:
    """Gives names to sources and studies as far as they may be shown."""

    def __init__(self, inputs: Inputs, folders: Sequence[Path], keys: Keys, *, show_phi: bool) -> None:
        self._keys, self._show_phi = keys, show_phi
        reports = (study.report.source for study in inputs.studies)
        images = (case.image.source for study in inputs.studies for case in study.cases)
        taking_part = [LeftOut(source=each, stage="", reason="", failed=False) for each in (*reports, *images)]
        named = shown_failures(taking_part, folders, keys, show_phi=show_phi)
        self._sources = {item.source: shown.source for item, shown in zip(taking_part, named, strict=True)}
        self.left_out = shown_failures(inputs.left_out, folders, keys, show_phi=show_phi)

    def source(self, source: str) -> str:
        """Name what takes part."""
        return self._sources[source]

    def label(self, label: str) -> str:
        """Name what boxes are labelled with."""
        return Shower(keys=self._keys, show_phi=self._show_phi).label(label)

    def study(self, uid: str) -> str:
        return uid if self._show_phi else self._keys.key("study", uid)


def rows_of(inputs: Inputs, folders: Sequence[Path], keys: Keys, *, show_phi: bool) -> tuple[CheckRow, ...]:
    """Make the rows: what takes part first, in the order of the images, then the rest in the order it was met.

    Args:
        inputs: as surveyed.
        folders: what was handed in: names are given from there on.
        keys: stand for names of files and studies, as in failures.csv of a run.
        show_phi: give the names themselves.
    """
    namer = _Namer(inputs, folders, keys, show_phi=show_phi)
    taking_part = [row for study in inputs.studies for row in _study_rows(study, namer)]
    return (*taking_part, *_left_out_rows(inputs, namer.left_out, namer.study))


def rows_for_owner(inputs: Inputs, folders: Sequence[Path], keys: Keys) -> tuple[CheckRow, ...]:
    """Make the rows of what takes no part, with the names of files, columns and labels as they are."""
    shown = owned_failures(inputs.left_out, folders, keys)
    return tuple(_left_out_rows(inputs, shown, lambda uid: keys.key("study", uid)))


def _study_rows(study: Study, namer: _Namer) -> Iterator[CheckRow]:
    uid = namer.study(study.study_instance_uid)
    yield CheckRow(
        kind="report",
        source=namer.source(study.report.source),
        fate=Fate.AUDITED,
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
            fate=Fate.AUDITED,
            stage="",
            reason="",
            study=uid,
            phrases=len(case.phrases),
            boxes=len(case.boxes),
        )
        yield from _box_rows(case, source, uid, namer)


def _box_rows(case: Case, source: str, study: str, namer: _Namer) -> Iterator[CheckRow]:
    """Group an image's boxes by label; a group that no phrase meets takes no part in any score."""
    met = Counter(label for p in case.phrases for label in {box.label for box in target_boxes(case, p)})
    for label, count in Counter(box.label for box in case.boxes).items():
        yield CheckRow(
            kind="boxes",
            source=source,
            fate=Fate.AUDITED if met[label] else Fate.LEFT_OUT,
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
            kind="image" if item.source in studies and item.stage not in _PARTS else _KINDS.get(item.stage, "report"),
            source=shown.source,
            fate=Fate.FAILED if item.failed else Fate.LEFT_OUT,
            stage=item.stage,
            reason=shown.reason,
            study="" if uid is None else study_name(uid),
            joined_by="" if join is None else join.by,
        )
