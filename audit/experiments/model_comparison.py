"""The experiment ``compare`` for two models: their finished runs side by side, as page, table and record."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import pandas as pd

from audit.experiments.comparison_tables import check_out
from audit.experiments.model_differences import Hits, hits_of, margin_answer, model_differences, planned_answers
from audit.experiments.run_pairs import PairedPhrase, RunPair, read_run_pair, sampled
from audit.metrics.statistics import INTERVAL
from audit.planning.protocol import ReadProtocol, read_protocol, refuse_other_model
from audit.storage.folder import STUDIES
from pipelines.errors import AuditError, OutputError
from reports.model_comparison_page import render_model_comparison, render_model_study
from reports.model_comparison_record import (
    ChangedPhrase,
    ComparedRun,
    MarginAnswer,
    ModelComparisonRecord,
    SharedPhrase,
)
from reports.model_gallery import gallery_of, study_pairs
from reports.reading import file_checksum
from reports.results_folder import RUN
from reports.run_record import RunRecord
from reports.writing import write_text_atomically

__all__ = ["MODEL_FILES", "ModelsRequest", "ModelsResult", "check_request", "compare_runs"]

MODEL_FILES = ("changes.csv", "comparison.csv", "comparison.json", "index.html", "studies")
"""What a comparison of two runs writes."""

ALPHA = 0.05

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelsRequest:
    """What is asked of two runs."""

    first: Path  # folder of the run of model A
    second: Path  # of model B
    out: Path
    method: str | None = None  # whose hits are tested; None: that of the protocol, else the main method of both runs
    margin: float | None = None  # of non-inferiority; None: that of the protocol
    protocol: Path | None = None  # None: that of both runs, if they were given the same
    overwrite: bool = False
    own_folders: tuple[str, ...] = ()  # in OUT, that hold the runs


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelsResult:
    """The result of a comparison of two models."""

    page: Path
    record: ModelComparisonRecord


def compare_runs(request: ModelsRequest, *, progress: Progress = lambda _stage, _done, _total: None) -> ModelsResult:
    """Compare two runs of the same studies phrase by phrase; write page, tables and record.

    Raises:
        AuditError: the runs cannot be read or compared, the protocol does not fit, or OUT cannot be written.
    """
    check_request(request)
    pair = read_run_pair(request.first, request.second, progress=lambda *done: progress("Pairing studies", *done))
    protocol, is_planned = _protocol(request, pair.runs)
    method = _method(request, pair.runs, protocol)
    progress("Comparing", 0, 1)
    scores = pair.scores()
    hits = hits_of(scores, method)
    changed = tuple(_changed(pair, hits))
    record = ModelComparisonRecord(
        created=datetime.now(UTC),
        runs=(_compared(request, pair, 0, method), _compared(request, pair, 1, method)),
        method=method,
        differences=tuple(model_differences(scores, sampled(pair.embedded))),
        answers=_answers(request, pair.runs, hits, protocol),
        protocol_sha256=None if protocol is None else protocol.sha256,
        planned=is_planned,
        multiplicity="none" if protocol is None else protocol.content.multiplicity,
        changed=changed,
        settings=pair.settings,
        studies=len(pair.studies),
        changed_studies=(_studies(changed, "won"), _studies(changed, "lost")),
        phrases=len(pair.phrases),
        patients=len({phrase.patient for phrase in pair.phrases}),
        intervals=INTERVAL,
        phantom_images=all(run.phantom_images for run in pair.runs),
        patient_data_shown=any(run.patient_data_shown for run in pair.runs),
    )
    page = _write(request, record, pair.phrases)
    progress("Comparing", 1, 1)
    return ModelsResult(page=page, record=record)


def check_request(request: ModelsRequest) -> None:
    """Check OUT before any work.

    Raises:
        AuditError: OUT is one of the runs or lies in one, cannot be written, or holds other files.
    """
    folders = [folder.resolve() for folder in (request.first, request.second)]
    if folders[0] == folders[1]:
        raise AuditError(f"{request.first} is given twice: name the runs of two models")
    for folder in folders:
        if request.out.resolve().is_relative_to(folder):
            raise AuditError(f"--out {request.out} is a folder of a run that is compared: name another folder")
    check_out(request.out, overwrite=request.overwrite, files=(*MODEL_FILES, *request.own_folders))


def _protocol(request: ModelsRequest, runs: tuple[RunRecord, RunRecord]) -> tuple[ReadProtocol | None, bool]:
    """Return the protocol, and whether both runs were planned with it.

    Raises:
        AuditError: it cannot be read, or does not name one of the models.
    """
    of_runs = [run.protocol for run in runs if run.protocol is not None]
    if request.protocol is not None:
        protocol = read_protocol(request.protocol)
    elif len(of_runs) == len(runs) and of_runs[0].sha256 == of_runs[1].sha256:
        protocol = ReadProtocol(content=of_runs[0].content, sha256=of_runs[0].sha256)
    else:
        return None, False
    for run in runs:
        refuse_other_model(protocol, name=run.model.name, sha256=run.model.sha256)
    planned = [each.sha256 == protocol.sha256 and each.before_results and each.own_boxes for each in of_runs]
    return protocol, len(planned) == len(runs) and all(planned)


def _method(request: ModelsRequest, runs: tuple[RunRecord, RunRecord], protocol: ReadProtocol | None) -> str:
    """Return the method whose hits are tested.

    Raises:
        AuditError: the runs have no method in common, or not this one.
    """
    used = [set(run.method_settings) | {run.method} for run in runs]
    chosen = request.method or (protocol.content.method if protocol is not None else runs[0].method)
    if protocol is not None and chosen != protocol.content.method:
        raise AuditError(f"--method {chosen}: the protocol asks for {protocol.content.method}; omit --method")
    if chosen not in used[0] & used[1]:
        both = ", ".join(sorted(used[0] & used[1])) or "no method"
        raise AuditError(f"{chosen} is not a method of both runs: they have {both} in common; name it with --method")
    return chosen


def _answers(
    request: ModelsRequest, runs: tuple[RunRecord, RunRecord], hits: Hits, protocol: ReadProtocol | None
) -> tuple[MarginAnswer, ...]:
    planned: tuple[MarginAnswer, ...] = ()
    if protocol is not None:
        planned = planned_answers(protocol.content, hits, (runs[0].model.sha256, runs[1].model.sha256))
    if request.margin is None and planned:
        return planned
    return (*planned, margin_answer(hits, margin=request.margin or 0.0, alpha=ALPHA))


def _changed(pair: RunPair, hits: Hits) -> Iterator[ChangedPhrase]:
    """Yield the phrases won, then those lost."""
    changes: tuple[tuple[Literal["won", "lost"], float, float], ...] = (("won", 0.0, 1.0), ("lost", 1.0, 0.0))
    for change, before, after in changes:
        for number, first, second in zip(hits.pairs, hits.first, hits.second, strict=True):
            if (first, second) == (before, after):
                yield ChangedPhrase(**_shared(pair.phrases[number]).model_dump(), change=change)


def _shared(phrase: PairedPhrase) -> SharedPhrase:
    return SharedPhrase(
        study=phrase.study,
        image=phrase.image,
        finding=phrase.finding,
        text=phrase.text,
        places=phrase.places,
        phrases=phrase.phrases,
    )


def _studies(changed: Sequence[ChangedPhrase], change: str) -> int:
    return len({phrase.study for phrase in changed if phrase.change == change})


def _compared(request: ModelsRequest, pair: RunPair, side: int, method: str) -> ComparedRun:
    run, folder = pair.runs[side], pair.folders[side]
    address = os.path.relpath(folder.resolve(), request.out.resolve())
    return ComparedRun(
        model=run.model,
        finished=run.finished,
        run_sha256=file_checksum(folder / RUN),
        program=run.software.get("m2ib-audit", ""),
        studies=pair.counts[side],
        studies_alone=pair.counts[side] - len(pair.studies),
        phrases_alone=pair.phrases_alone[side],
        verdict=next((each.verdict for each in run.verdicts if each.method == method), None),
        address=quote(Path(address).as_posix()),
    )


def _write(request: ModelsRequest, record: ModelComparisonRecord, phrases: Sequence[PairedPhrase]) -> Path:
    """Write everything; ``comparison.json`` is written last.

    Raises:
        OutputError: OUT cannot be written, or a picture cannot be read.
    """
    page = request.out / "index.html"
    try:
        (request.out / STUDIES).mkdir(parents=True, exist_ok=True)
        for old in (request.out / STUDIES).glob("*.html"):
            old.unlink()
    except OSError as error:
        raise OutputError(f"--out {request.out} cannot be written ({error.strerror}): name another folder") from error
    folders = request.first, request.second
    gallery = gallery_of(record, folders)
    for study in dict.fromkeys(pair.phrase.study for pair in gallery):
        shared = [_shared(phrase) for phrase in phrases if phrase.study == study]
        shown = render_model_study(record, study, tuple(study_pairs(record, folders, shared)))
        write_text_atomically(request.out / STUDIES / f"{study}.html", shown)
    write_text_atomically(request.out / "comparison.csv", _differences_table(record).to_csv(index=False))
    write_text_atomically(request.out / "changes.csv", _changes_table(record).to_csv(index=False))
    write_text_atomically(page, render_model_comparison(record, gallery))
    write_text_atomically(request.out / "comparison.json", record.model_dump_json(indent=1) + "\n")
    return page


def _differences_table(record: ModelComparisonRecord) -> pd.DataFrame:
    """Return one row per difference."""
    rows = []
    for each in record.differences:
        row = each.model_dump(exclude={"difference", "unpaired"})
        ends = ("estimate", "low", "high")
        row |= dict.fromkeys(ends) if each.difference is None else {end: getattr(each.difference, end) for end in ends}
        row["only_first"], row["only_second"] = each.unpaired
        rows.append(row)
    return pd.DataFrame(rows)


def _changes_table(record: ModelComparisonRecord) -> pd.DataFrame:
    """Return one row per phrase won or lost, without its text."""
    columns = ["change", "study", "image", "finding", "phrase_first", "phrase_second"]
    rows = [(each.change, each.study, each.image, each.finding, *each.phrases) for each in record.changed]
    return pd.DataFrame(rows, columns=columns)
