"""The references of a box file as a table for the terminal, and as CSV or JSON."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from audit.experiments.baselines import MODEL_SIZE_PX, Baselines, Progress, baselines_of
from audit.privacy.messages import Message, messages_of
from audit.privacy.pseudonyms import Pseudonyms, load_salt
from audit.privacy.redaction import Redactor
from pipelines.boxes import read_boxes
from pipelines.errors import OutputError
from pipelines.quoting import defused, requoted_for_owner
from pipelines.study import Exclusion
from reports.outcomes import method_name
from reports.run_record import ScoreSummary
from reports.score_catalogue import POINTING, SCORES
from reports.texts import counted
from reports.writing import write_text_atomically

__all__ = ["BaselinesOfFile", "baselines_of_file", "check_suffix", "text_table", "write_baselines"]

_FIELDS = (
    "finding",
    "averaging",
    "method",
    "score",
    "estimate",
    "low",
    "high",
    "scored",
    "unscored",
    "patients",
)


def text_table(baselines: Baselines) -> str:
    """Format one line per finding and reference: the pointing game with its interval, other scores without."""
    shown = [name for name in SCORES if any(s.score == name and s.scored for s in baselines.summaries)]
    lines = [["", "", *(SCORES[name].heading or name for name in shown), "n"], *_lines(baselines.summaries, shown)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    table = ["  ".join(_aligned(line, widths)).rstrip() for line in lines]
    if not shown:
        table = ["Nothing could be scored:", *(f"- {note}" for note in baselines.notes)]
        return "\n".join([*_head(baselines), "", *table])
    return "\n".join([*_head(baselines), "", *table, "", *baselines.notes]).rstrip()


def _head(baselines: Baselines) -> Iterator[str]:
    left_out = "image" if baselines.patients is None else "patient"
    patients = "" if baselines.patients is None else f" of {counted('patient', baselines.patients)}"
    yield (
        f"{counted('box', baselines.boxes)} of {counted('finding', baselines.findings)} on "
        f"{counted('image', baselines.images)}{patients}; each {left_out} is left out of its own references"
    )
    yield (f"95 % intervals over {left_out}s; 15 px are those of a model input of {MODEL_SIZE_PX} px")


def _lines(summaries: Sequence[ScoreSummary], shown: Sequence[str]) -> Iterator[list[str]]:
    places = {(s.finding, str(s.averaging), s.method, s.score): s for s in summaries}
    for finding, averaging, method in _groups(summaries):
        found = [places.get((finding, averaging, method, name)) for name in shown]
        if not any(summary is not None and summary.scored for summary in found):
            continue
        cells = (_cell(summary, name == POINTING) for name, summary in zip(shown, found, strict=True))
        yield [
            finding or f"all ({averaging})",
            method_name(method),
            *cells,
            f"{max(s.scored for s in found if s is not None):,}",
        ]


def _groups(summaries: Sequence[ScoreSummary]) -> list[tuple[str | None, str, str]]:
    """Order the lines: over all first, then finding by finding; of a single finding all says everything."""
    methods = list(dict.fromkeys(summary.method for summary in summaries))
    parts = {(s.finding, s.averaging) for s in summaries}
    if len({finding for finding, _ in parts}) == 2:
        parts = {(None, "micro")}
    in_order = sorted(parts, key=lambda part: (part[0] is not None, part[0] or "", part[1] != "micro"))
    return [(finding, averaging, method) for finding, averaging in in_order for method in methods]


def _cell(summary: ScoreSummary | None, with_interval: bool) -> str:
    if summary is None or summary.estimate is None:
        return "-"
    known = with_interval and summary.low is not None
    interval = f" [{summary.low:.3f}, {summary.high:.3f}]" if known else ""
    return f"{summary.estimate:.3f}{interval}"


def _aligned(line: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    for place, (cell, width) in enumerate(zip(line, widths, strict=True)):
        yield cell.ljust(width) if place < 2 else cell.rjust(width)


def check_suffix(path: Path) -> None:
    """Refuse a file that is not named as one of the formats that are written.

    Raises:
        OutputError: the suffix is neither .csv nor .json.
    """
    if path.suffix.casefold() not in {".csv", ".json"}:
        raise OutputError(f"--out {path} is neither .csv nor .json: use the suffix of the wanted format")


def write_baselines(path: Path, baselines: Baselines) -> None:
    """Write every score with its interval: CSV or JSON, as the file's suffix says.

    Raises:
        OutputError: the suffix is another, or the file cannot be written.
    """
    check_suffix(path)
    is_csv = path.suffix.casefold() == ".csv"
    write_text_atomically(path, _as_csv(baselines) if is_csv else _as_json(baselines))


def _as_csv(baselines: Baselines) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, _FIELDS, lineterminator="\n")
    writer.writeheader()
    for row in _rows(baselines):
        finding = row["finding"]
        # A label is the file's own word: one that starts as a formula does, a spreadsheet would run.
        writer.writerow({**row, "finding": defused(finding) if isinstance(finding, str) else finding})
    return text.getvalue()


def _as_json(baselines: Baselines) -> str:
    content = {
        "boxes": baselines.boxes,
        "images": baselines.images,
        "findings": baselines.findings,
        "patients": baselines.patients,
        "model_size_px": MODEL_SIZE_PX,
        "notes": list(baselines.notes),
        "scores": _rows(baselines),
    }
    return json.dumps(content, indent=1) + "\n"


def _rows(baselines: Baselines) -> list[dict[str, object]]:
    return [{field: getattr(summary, field) for field in _FIELDS} for summary in baselines.summaries]


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselinesOfFile:
    """The references of a box file, and the excluded rows."""

    baselines: Baselines
    left_out: tuple[Exclusion, ...]
    messages: tuple[Message, ...]  # what there is to correct, for a terminal


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
    messages = _messages(table.left_out, given, Pseudonyms(load_salt()))
    return BaselinesOfFile(baselines=baselines, left_out=table.left_out, messages=messages)


def _messages(left_out: Sequence[Exclusion], given: Sequence[Path], keys: Pseudonyms) -> tuple[Message, ...]:
    """Return messages about rows to correct; a file given by itself is identified by its name."""
    if not all(path.is_file() for path in given):
        return messages_of(left_out, given, keys, show_phi=False)
    redactor = Redactor(keys=keys, show_phi=False)
    return tuple(
        Message(masked=redactor.reason(item.reason), for_owner=requoted_for_owner(item.reason)) for item in left_out
    )
