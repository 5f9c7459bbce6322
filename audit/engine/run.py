"""A batch on this machine: every study explained, scored and written, and one that fails stops no other."""

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch

from audit.controls.plan import ControlPlan
from audit.encoders.loading import load_encoder
from audit.engine.clock import Stopwatch
from audit.engine.concluding import Outcome, conclude
from audit.engine.explaining import Explainer, failed_study, loaded_studies
from audit.engine.finishing import ExplainedStudy, FinishedStudy, Finisher
from audit.engine.inputs import Inputs, gather
from audit.engine.journal import Journal
from audit.engine.key_list import keys_of_inputs, write_key_list
from audit.engine.keys import Keys, load_salt
from audit.engine.memory import MemoryReturn
from audit.engine.methods import methods_of
from audit.engine.provenance import device_name, method_settings, model_record, pick_device, software_versions
from audit.engine.settings import RunSettings
from audit.engine.shown import shown_failures
from audit.engine.store import check_writable, prepare, write_run
from audit.engine.table import GrowingTable
from audit.engine.targets import PatientKeys, Targets
from audit.engine.workers import finished_here, finished_in_processes, running_ahead
from audit.scoring.summary import score_table
from pipelines.errors import OutputError
from pipelines.study import LeftOut
from reports.record import RunRecord, StageSeconds

__all__ = ["Progress", "RunResult", "run"]

Progress = Callable[[str, int, int], None]
"""Called with a stage's name, what is done and what there is in all."""

_MOST_WORKERS = 16

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """How a run ended."""

    page: Path
    record: RunRecord
    failed: tuple[LeftOut, ...]  # with the files' own names: for programs, never for a page or a terminal


def run(settings: RunSettings, *, progress: Progress = lambda _stage, _done, _total: None) -> RunResult:
    """Audit a folder of chest radiographs.

    Everything that can refuse the run (OUT, the inputs, the model) is asked before anything is written.

    Raises:
        AuditError: the run could not start, or OUT could not be written.
    """
    with Journal(settings) as journal:
        return _audited(settings, journal, progress)


def _audited(settings: RunSettings, journal: Journal, progress: Progress) -> RunResult:
    created, clock = datetime.now(UTC), Stopwatch()
    check_writable(settings.out, overwrite=settings.overwrite)
    device = pick_device(settings.device)
    with clock("inputs"):
        inputs = gather(settings, progress=lambda done, total: progress("Reading headers", done, total))
    with clock("model"):
        encoder = load_encoder(settings.model, device=device, fit=settings.fit)
    methods, keys = methods_of(settings, encoder), Keys(load_salt(outside=settings.out))
    finisher = Finisher(
        keys=keys,
        targets=Targets(inputs.studies, PatientKeys(keys)),
        settings=settings,
        created=created,
        model=model_record(encoder),
        methods=tuple((method.name, method.unit) for method in methods),
        numbers=method_settings(methods, encoder, device),
        software=software_versions(),
    )
    explainer = Explainer(
        encoder=encoder,
        methods=methods,
        controls=ControlPlan(inputs.studies, sample=settings.controls, seed=settings.seed),
        faithfulness=ControlPlan(inputs.studies, sample=settings.faithfulness, seed=settings.seed),
        words=settings.words,
        device=device,
        keys=keys,
        seed=settings.seed,
        clock=clock,
    )
    prepare(settings.out, overwrite=settings.overwrite)
    if settings.key_list is not None:
        write_key_list(settings.key_list, keys_of_inputs(inputs, keys))
    journal.begin(finisher, inputs)
    table, left_out, outcome = GrowingTable(), list(inputs.left_out), Outcome()
    progress("Auditing studies", 0, len(inputs.studies))
    memory = MemoryReturn()
    for done, study in enumerate(_finished(inputs, explainer, finisher), start=1):
        journal.study(study)
        left_out.extend(study.left_out)
        table.add(study.rows)
        clock.add(study.seconds or {})
        outcome.add(study)
        memory.after_study()
        progress("Auditing studies", done, len(inputs.studies))
    if not outcome.audited:
        _log.warning("no study could be audited")
    with clock("summary"):
        scores = score_table(table.to_frame())
        del table
        found = conclude(scores, outcome, finisher.methods, seed=settings.seed)
        memory.now()
    record = RunRecord(
        created=created,
        finished=datetime.now(UTC),
        model=finisher.model,
        method=finisher.methods[0][0],
        settings=finisher.numbers,
        seed=settings.seed,
        device=device_name(device),
        software=finisher.software,
        phantom_images=outcome.phantom_images,
        patient_data_shown=settings.show_phi,
        counts={
            **inputs.counts,
            "audited": outcome.audited,
            "images audited": outcome.images,
            "phrases audited": outcome.phrases,
            "failed": sum(item.failed for item in left_out),
            "left out": sum(not item.failed for item in left_out),
        },
        timings=tuple(StageSeconds(stage=stage, seconds=round(s, 3)) for stage, s in clock.seconds.items()),
        summaries=found.summaries,
        controls=found.controls,
        verdicts=found.verdicts,
        evidence=found.evidence,
        subgroups=found.subgroups,
        failures=shown_failures(left_out, _folders(settings), keys, show_phi=settings.show_phi),
    )
    rendered = write_run(settings.out, record, scores)
    if rendered.damaged:
        raise OutputError(rendered.damaged[0])
    journal.finished(record)
    return RunResult(page=rendered.page, record=record, failed=tuple(item for item in left_out if item.failed))


def _finished(inputs: Inputs, explainer: Explainer, finisher: Finisher) -> Iterator[FinishedStudy]:
    """Load, explain, score and write study after study; with workers, beside each other."""
    workers = _workers(finisher.settings, explainer.device)
    loaded = loaded_studies(
        inputs.studies,
        explainer.encoder,
        explainer.clock,
        workers=workers,
        burned_in=finisher.settings.burned_in,
    )

    def lost(explained: ExplainedStudy, error: Exception) -> LeftOut:
        return failed_study(explained.study, explainer.keys, error)

    if workers == 0:
        return finished_here(explainer.explained(loaded), finisher, lost)
    ahead = running_ahead(loaded, most=workers)
    return finished_in_processes(explainer.explained(ahead), finisher, lost, workers=workers)


def _workers(settings: RunSettings, device: torch.device) -> int:
    """Take what was asked for, else none beside a CPU, which is busy itself, and a core each beside a GPU."""
    if settings.workers is not None:
        return settings.workers
    return 0 if device.type == "cpu" else min(_MOST_WORKERS, len(os.sched_getaffinity(0)))


def _folders(settings: RunSettings) -> list[Path]:
    return [settings.dicom_dir, settings.reports, *settings.boxes]
