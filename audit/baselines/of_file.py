"""From a box file to its references: what the command ``baselines`` does."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from audit.baselines.label_file import Baselines, Progress, baselines_of
from audit.baselines.listing import check_suffix, write_baselines
from audit.engine.for_owner import Told, told_of
from audit.engine.keys import Keys, load_salt
from audit.engine.shown import Shower
from pipelines.boxes import read_boxes
from pipelines.quoting import requoted_for_owner
from pipelines.study import LeftOut

__all__ = ["BaselinesOfFile", "baselines_of_file"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselinesOfFile:
    """The references of a box file, and the rows that took no part."""

    baselines: Baselines
    left_out: tuple[LeftOut, ...]
    told: tuple[Told, ...]  # what there is to correct, for a terminal


def baselines_of_file(
    boxes: Path | Sequence[Path],
    *,
    format_name: str | None = None,
    out: Path | None = None,
    progress: Progress = lambda _stage, _done, _total: None,
) -> BaselinesOfFile:
    """Read a box file, score its references and, where ``out`` is given, write them there.

    Raises:
        BoxError: the file cannot be read or holds no box.
        OutputError: ``out`` is neither CSV nor JSON, which is asked first, or cannot be written.
    """
    if out is not None:
        check_suffix(out)
    table = read_boxes(boxes, format_name=format_name)
    baselines = baselines_of(table.rows, progress=progress)
    if out is not None:
        write_baselines(out, baselines)
    given = [boxes] if isinstance(boxes, Path) else list(boxes)
    told = _told(table.left_out, given, Keys(load_salt()))
    return BaselinesOfFile(baselines=baselines, left_out=table.left_out, told=told)


def _told(left_out: Sequence[LeftOut], given: Sequence[Path], keys: Keys) -> tuple[Told, ...]:
    """Say what there is to correct; a file that was given itself, and not in a folder, goes by its name."""
    if not all(path.is_file() for path in given):
        return told_of(left_out, given, keys, show_phi=False)
    shower = Shower(keys=keys, show_phi=False)
    return tuple(Told(masked=shower.reason(item.reason), to_owner=requoted_for_owner(item.reason)) for item in left_out)
