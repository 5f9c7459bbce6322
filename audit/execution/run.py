"""A run on this machine: explains, scores and writes every study; a failing study does not affect the others."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import torch

from audit.configuration import RunConfig
from audit.execution.on_ray.batch import check_ray, finished_on_ray
from audit.execution.prepare import Prepared, Progress, device_name, prepare, settings_by_method
from audit.execution.workers import Stop, Stopping, finished_studies, never, until_stopped
from audit.logbook.known import read_log_state
from audit.machine import MemoryReturn
from audit.metrics.summary import score_table
from audit.output.journal import Journal, say_replaced
from audit.output.pseudonym_map import keys_of_inputs, write_key_list
from audit.output.reuse import Plan, Planned, StudyStatus, apply, note_failure, reuse_study
from audit.output.stored import StoredRun
from audit.pipeline.aggregate import Conclusions, Tally, conclude
from audit.pipeline.explain import Explainer
from audit.pipeline.finished import FinishedStudy
from audit.pipeline.inputs import Inputs
from audit.pipeline.load import loaded_studies
from audit.pipeline.score import Finisher
from audit.pipeline.score_table import GrowingTable, with_phrase_tests
from audit.pipeline.write import write_run
from audit.planning.answers import answered
from audit.privacy.messages import Message, messages_of
from audit.privacy.redaction import failure_records
from audit.storage.folder import SHARDS, check_writable, discard_archived, make
from audit.storage.lock import held
from pipelines.errors import AuditError, DamagedError
from pipelines.findings import added_findings
from pipelines.privacy.burned_in import BurnedIn
from pipelines.processes import preload
from pipelines.study import Exclusion
from reports.run_record import ProtocolRecord, RunRecord, StageSeconds
from reports.writing import write_text_atomically

__all__ = ["Progress", "RunResult", "run"]

OnPlan = Callable[[Plan], None]
"""Called with the plan, before the work begins."""

_MOST_WORKERS = 16

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult(StoredRun):
    """The result of a run."""

    page: Path  # of a shard: what it says of itself
    failed: tuple[Exclusion, ...]  # with the files' own names: for programs, never for a page
    messages: tuple[Message, ...] = ()  # what to correct, for a terminal
    damaged: tuple[str, ...] = ()  # damage found while pages were written; the next run audits these again
    head: str = ""  # checksum of the log's last line
    interrupted: bool = False  # stopped on request before all was done


def run(
    settings: RunConfig,
    *,
    progress: Progress = lambda _stage, _done, _total: None,
    on_plan: OnPlan = lambda _plan: None,
    stopping: Stopping = never,
) -> RunResult:
    """Audit a folder of chest radiographs, or continue an audit that was interrupted or whose inputs have changed.

    Everything that can refuse the run (OUT, the inputs, the model) is checked before anything is written.

    Args:
        settings: the configuration.
        progress: called for each stage.
        on_plan: called with the plan before the work begins.
        stopping: handles signals while studies are processed: the current study is finished, and pages are written.

    Raises:
        AuditError: the run could not start, or OUT could not be written.
    """
    check_writable(settings.output.out, overwrite=settings.output.overwrite)
    if settings.output.overwrite and settings.execution.shard is not None:
        raise AuditError("--overwrite would discard the results of other shards: omit it, or name another --out")
    if settings.execution.engine == "ray":
        check_ray()
    with ExitStack() as lock:
        is_there = settings.output.out.is_dir()
        if is_there:  # asked before hours of work, not after
            fence = lock.enter_context(held(settings.output.out, settings.execution.shard))
        prepared = prepare(settings, progress=progress)
        if not is_there:
            make(settings.output.out, overwrite=False)
            fence = lock.enter_context(held(settings.output.out, settings.execution.shard))
        prepared = replace(prepared, finisher=replace(prepared.finisher, fence=fence))
        if settings.output.overwrite:
            say_replaced(settings.output.out, prepared.finisher.keys.salt)
        make(settings.output.out, overwrite=settings.output.overwrite)
        plan = prepared.plan(progress)
        on_plan(plan)
        if settings.output.key_list is not None:
            write_key_list(settings.output.key_list, keys_of_inputs(prepared.inputs, prepared.finisher.keys))
        with Journal(settings) as journal:
            protocol = prepared.protocol
            journal.begin(
                prepared.finisher,
                prepared.inputs,
                plan,
                protocol_sha256=None if protocol is None else protocol.sha256,
            )
            journal.opened(*plan.replaced)
            apply(settings.output.out, plan, is_exclusive=settings.execution.shard is None)
            with stopping() as stop:
                return _carry_out(prepared, plan, journal, progress, stop)


def _carry_out(prepared: Prepared, plan: Plan, journal: Journal, progress: Progress, stop: Stop) -> RunResult:
    settings, finisher, clock = prepared.settings, prepared.finisher, prepared.clock
    table, outcome = GrowingTable(), Tally()
    left_out = [] if settings.execution.shard else list(prepared.inputs.left_out)
    total, not_done = len(plan.studies), 0
    progress("Auditing studies", 0, total)
    memory = MemoryReturn()
    for done, (planned, study) in enumerate(_studies(prepared, plan, journal, stop), start=1):
        if study is None:
            not_done += 1
            continue
        left_out.extend(study.left_out)
        table.add(study.rows)
        clock.add(study.seconds or {})
        outcome.add(study)
        if planned.status is StudyStatus.AGAIN:
            discard_archived(settings.output.out, planned.key)
        memory.after_study()
        progress("Auditing studies", done, total)
    if not outcome.audited:
        _log.warning("no study could be audited")
    with clock("summary"):
        whole = settings.execution.shard is None
        if whole:
            table.add_all(outcome.habit_rows())
        scores = score_table(table.to_frame())
        del table
        found = conclude(scores, outcome, finisher.methods) if whole else Conclusions()
        scores = with_phrase_tests(scores, found.phrases)
        memory.now()
    record = _record(prepared, plan, outcome, found, left_out, not_done=not_done)
    if settings.execution.shard is not None:
        page = settings.output.out / SHARDS / f"{settings.execution.shard}.json"
        page.parent.mkdir(exist_ok=True)
        damaged: tuple[str, ...] = ()
        write_text_atomically(page, record.model_dump_json(indent=1) + "\n")
    else:
        known = read_log_state(settings.output.out, finisher.keys.salt)
        if prepared.protocol is not None:
            named = ProtocolRecord(
                sha256=prepared.protocol.sha256,
                content=prepared.protocol.content,
                before_results=known.statements.protocols.get(prepared.protocol.sha256, False),
            )
            record = record.model_copy(update={"protocol": answered(named, scores, outcome.facts)})
        rendered = write_run(settings.output.out, record, scores, salt=finisher.keys.salt, known=known)
        page, damaged = rendered.page, rendered.damaged
    head = journal.finished(record)
    failed = tuple(item for item in left_out if item.failed)
    messages = (
        *(Message(masked=said, for_owner=said) for said in (*prepared.inputs.languages, *_of_turned(outcome))),
        *messages_of(left_out, settings.inputs.folders, finisher.keys, show_phi=settings.output.show_phi),
    )
    return RunResult(
        out=settings.output.out,
        page=page,
        record=record,
        failed=failed,
        messages=messages,
        damaged=damaged,
        head=head,
        interrupted=bool(not_done) and stop(),
    )


def _of_turned(outcome: Tally) -> Iterator[str]:
    if outcome.turned:
        images = "1 image appears" if outcome.turned == 1 else f"{outcome.turned:,} images appear"
        yield f"{images} mirrored or rotated, and heat was not scored by side: the cohort page lists them"


def _studies(
    prepared: Prepared, plan: Plan, journal: Journal, stop: Stop
) -> Iterator[tuple[Planned, FinishedStudy | None]]:
    """Yield every study of a plan in order: reused, or done now; None if it is not done this time."""
    to_do = replace(prepared.inputs, studies=plan.to_do)
    finished = _finished(to_do, prepared.explainer, prepared.finisher, stop)
    for planned in plan.studies:
        if planned.status.is_kept:
            try:
                kept = reuse_study(prepared.settings.output.out, planned, prepared.finisher, journal.opened)
            except DamagedError as error:  # since the run began
                reason = str(error).replace(f"{prepared.settings.output.out}/", "")
                damaged = Exclusion(source=planned.key, stage="reading back", reason=reason, failed=True)
                yield planned, FinishedStudy(left_out=(damaged,))
                continue
            journal.kept(planned.key, scored_again=planned.status is StudyStatus.RESCORE)
            yield planned, kept
        elif planned.status.is_to_do:
            study = next(finished, None)
            if study is not None and not study.images:
                note_failure(prepared.settings.output.out, planned, study, prepared.finisher)
                journal.noted(planned.key)
            if study is not None:
                journal.study(study)
            yield planned, study
        else:
            yield planned, None


def _record(
    prepared: Prepared,
    plan: Plan,
    outcome: Tally,
    found: Conclusions,
    left_out: Sequence[Exclusion],
    *,
    not_done: int,
) -> RunRecord:
    settings, finisher = prepared.settings, prepared.finisher
    return RunRecord(
        created=prepared.created,
        finished=datetime.now(UTC),
        model=finisher.model,
        method=finisher.methods[0][0],
        settings=finisher.numbers,
        method_settings=settings_by_method(prepared.explainer.methods, prepared.explainer.encoder, prepared.device),
        seed=settings.method.seed,
        config=settings.for_result(),
        added_wordings=added_findings().wordings,
        device=device_name(prepared.device),
        software=finisher.software,
        phantom_images=outcome.phantom_images,
        patient_data_shown=settings.output.show_phi,
        not_done=not_done,
        history=plan.history(),
        counts={
            **prepared.inputs.counts,
            "audited": outcome.audited,
            "images audited": outcome.images,
            "images compared": outcome.compared,
            "phrases audited": outcome.phrases,
            "absent phrases audited": outcome.absent,
            "normal studies audited": outcome.normal,
            **({"images that appear mirrored or rotated": outcome.turned} if outcome.turned else {}),
            "failed": sum(item.failed for item in left_out),
            "left out": sum(not item.failed for item in left_out),
        },
        timings=tuple(StageSeconds(stage=stage, seconds=round(s, 3)) for stage, s in prepared.clock.seconds.items()),
        intervals=found.intervals,
        summaries=found.summaries,
        controls=found.controls,
        verdicts=found.verdicts,
        evidence=found.evidence,
        subgroups=found.subgroups,
        cosine_tests=found.cosine_tests,
        cosine_sd=found.cosine_sd,
        recognised=dict(found.recognised),
        absence={image: dict(tests) for image, tests in found.absence.items()},
        failures=failure_records(left_out, settings.inputs.folders, finisher.keys, show_phi=settings.output.show_phi),
    )


def _finished(inputs: Inputs, explainer: Explainer, finisher: Finisher, stop: Stop) -> Iterator[FinishedStudy]:
    """Load, explain, score and write studies in order: in this process, in several, or on a cluster.

    When ``stop`` returns True, no further study is started; studies in progress are finished.
    """
    if finisher.settings.execution.engine == "ray":
        return finished_on_ray(inputs.studies, explainer, finisher, stop)
    workers = _workers(finisher.settings, explainer.device)
    preload("audit.pipeline.score")
    loaded = until_stopped(
        loaded_studies(
            inputs.studies,
            explainer.encoder,
            explainer.clock,
            workers=workers,
            burned_in=BurnedIn(finisher.settings.inputs.burned_in),
        ),
        finisher.settings.inputs.dicom_dir,
        stop,
    )

    return finished_studies(loaded, explainer, finisher, workers=workers)


def _workers(settings: RunConfig, device: torch.device) -> int:
    """Return the requested number of workers; the default is none for a CPU, which is busy, else one per core."""
    if settings.execution.workers is not None:
        return settings.execution.workers
    return 0 if device.type == "cpu" else min(_MOST_WORKERS, len(os.sched_getaffinity(0)))
