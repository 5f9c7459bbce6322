"""Exports the reviewers' entries as a table or JSON, with their agreement."""

import csv
import io
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from audit.review.agreement import Agreement, Judged, agreements
from audit.review.ledger import LEDGER_NAME, Ledger, StoredEntry
from audit.review.studies import Heat, ReviewedStudies
from pipelines.errors import OutputError
from pipelines.quoting import defused
from reports.review_record import REGION_ANSWERS, ReviewEntry
from reports.texts import counted
from reports.writing import write_text_atomically

__all__ = ["Exported", "agreement_lines", "agreement_table", "export", "text_of", "write_export"]

_FIELDS = (
    "study",
    "image",
    "heat",
    "method",
    "finding",
    "phrase",
    "reviewer",
    "moment",
    "verdict",
    "scores_hidden",
    "region_needed",
    "reasons",
    "comment",
    "boxes",
    "latest",
    "id",
    "replaces",
)
_AGREEMENT_FIELDS = (
    "question",
    "statistic",
    "finding",
    "reviewers",
    "heats",
    "patients",
    "agree",
    "kappa",
    "low",
    "high",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """All entries for the heat maps of one audit."""

    rows: tuple[dict[str, object], ...]  # keys are the table's columns
    agreements: tuple[Agreement, ...]
    foreign: int  # entries for heat maps that no longer exist, because the study was audited again
    damaged: tuple[str, ...] = ()  # a message for each study with excluded entries because it cannot be read


def export(out: Path, *, history: bool = False) -> Exported:
    """Collect the latest entries of an OUT, or all of them with ``history``, in the order of their arrival.

    Raises:
        OutputError: OUT holds no verdicts, or cannot be read.
    """
    studies = ReviewedStudies(out)
    with closing(Ledger(out / LEDGER_NAME, make=False)) as ledger:
        kept = ledger.entries()
    found = [(each, heat) for each in kept if (heat := _heat(studies, each)) is not None]
    return Exported(
        rows=tuple(_row(each, heat) for each, heat in found if history or (each.is_latest and not _is_blank(each))),
        agreements=(
            *agreements(_judged(found, lambda entry: entry.verdict)),
            *agreements(
                _judged(found, lambda entry: entry.region_needed), question="region_needed", verdicts=REGION_ANSWERS
            ),
        ),
        foreign=sum(each.entry.subject.study not in studies.damaged for each in kept) - len(found),
        damaged=tuple(studies.damaged.values()),
    )


def _heat(studies: ReviewedStudies, kept: StoredEntry) -> Heat | None:
    try:
        return studies.heat(kept.entry.subject)
    except OutputError:
        return None  # counted as strange, or reported as damaged


def _is_blank(kept: StoredEntry) -> bool:
    return kept.entry.is_empty


def _row(kept: StoredEntry, heat: Heat) -> dict[str, object]:
    entry = kept.entry
    return {
        "study": heat.study.key,
        "image": heat.image.key,
        "heat": heat.phrase.heat,
        "method": heat.study.method,
        "finding": heat.phrase.finding,
        "phrase": heat.phrase.text,
        "reviewer": entry.reviewer,
        "moment": entry.moment.isoformat(timespec="seconds"),
        "verdict": entry.verdict,
        "scores_hidden": entry.scores_hidden,
        "region_needed": entry.region_needed,
        "reasons": list(entry.reasons),
        "comment": entry.comment,
        "boxes": [box.model_dump() for box in entry.boxes],
        "latest": kept.is_latest,
        "id": entry.id,
        "replaces": entry.replaces,
    }


def _judged(found: Iterable[tuple[StoredEntry, Heat]], answer_of: Callable[[ReviewEntry], str | None]) -> list[Judged]:
    """Collect the reviewers' latest answers to one question, by heat map."""
    answers: dict[tuple[str, str, str], dict[str, str]] = defaultdict(dict)
    heats: dict[tuple[str, str, str], Heat] = {}
    for kept, heat in found:
        answer = answer_of(kept.entry)
        if kept.is_latest and answer is not None:
            place = (heat.study.key, heat.image.key, heat.phrase.heat)
            heats[place] = heat
            answers[place][kept.entry.reviewer] = answer
    return [
        Judged(
            patient=heats[place].study.patient or heats[place].study.key,
            finding=heats[place].phrase.finding,
            verdicts=given,
        )
        for place, given in answers.items()
    ]


def text_of(exported: Exported, *, as_json: bool) -> str:
    """Format the verdicts as a table, or everything as JSON."""
    if as_json:
        content = {
            "verdicts": exported.rows,
            "agreement": [asdict(each) for each in exported.agreements],
            "strange": exported.foreign,
        }
        return json.dumps(content, indent=1) + "\n"
    return _table(_FIELDS, exported.rows)


def agreement_table(exported: Exported) -> str:
    """Format the agreement statistics as a table."""
    return _table(_AGREEMENT_FIELDS, [asdict(each) for each in exported.agreements])


def write_export(path: Path, exported: Exported, *, as_json: bool) -> tuple[Path, ...]:
    """Write the file, and for a table a second file with the agreement; return the files that were written.

    Raises:
        OutputError: a file cannot be written.
    """
    write_text_atomically(path, text_of(exported, as_json=as_json))
    if as_json:
        return (path,)
    beside = path.with_name(f"{path.stem}-agreement{path.suffix}")
    write_text_atomically(beside, agreement_table(exported))
    return path, beside


def _table(fields: Sequence[str], rows: Iterable[dict[str, object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(fields)
    writer.writerows([_cell(row[field]) for field in fields] for row in rows)
    return text.getvalue()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        held_in_text = all(isinstance(each, str) for each in value)
        return defused("; ".join(map(str, value))) if held_in_text else json.dumps(value)
    return defused(str(value))


def agreement_lines(exported: Exported) -> list[str]:
    """Format the agreement over all findings as one line per statistic, for a terminal."""
    lines = []
    for each in exported.agreements:
        if each.finding is not None:
            continue
        about = "Region needed: " if each.question == "region_needed" else ""
        who = " and ".join(each.reviewers) if len(each.reviewers) == 2 else f"{len(each.reviewers)} reviewers"
        if not each.heats:
            lines.append(f"{about}{each.statistic}, {who}: no heat that all of them judged")
            continue
        kappa = "not defined (all answers are the same)" if each.kappa is None else f"{each.kappa:.2f}"
        interval = "" if each.low is None or each.high is None else f" [{each.low:.2f}, {each.high:.2f}]"
        same = "" if each.agree is None else f", {100 * each.agree:.0f} % the same"
        judged = f"{counted('heat', each.heats)} of {counted('patient', each.patients)}"
        lines.append(f"{about}{each.statistic}, {who}: {kappa}{interval}{same}; {judged}")
    return lines
