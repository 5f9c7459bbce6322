"""A batch on this machine: every study explained, scored and written, and one that fails stops no other."""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from audit.attribution.explain import M2IB
from audit.encoders.loading import load_encoder
from audit.encoders.protocol import DualEncoder
from audit.engine.auditor import AuditedStudy, Auditor
from audit.engine.inputs import Inputs, gather
from audit.engine.keys import Keys, load_salt
from audit.engine.provenance import device_name, method_settings, model_record, pick_device, software_versions
from audit.engine.settings import RunSettings
from audit.engine.shown import shown_failures
from audit.engine.store import check_writable, prepare, write_run, write_study
from audit.scoring.summary import score_table, summarise
from pipelines.errors import AuditError, OutputError
from pipelines.study import LeftOut
from pipelines.transforms import load_cases
from reports.record import RunRecord, StageSeconds

__all__ = ["Progress", "RunResult", "run"]

Progress = Callable[[str, int, int], None]
"""Called with a stage's name, what is done and what there is in all."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """How a run ended."""

    page: Path
    record: RunRecord
    failed: tuple[LeftOut, ...]  # with the files' own names, for the person at the terminal


@dataclass(frozen=True, slots=True)
class _Clock:
    """Seconds by stage."""

    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - start


def run(settings: RunSettings, *, progress: Progress = lambda _stage, _done, _total: None) -> RunResult:
    """Audit a folder of chest radiographs.

    Everything that can refuse the run (OUT, the inputs, the model) is asked before anything is written.

    Raises:
        AuditError: the run could not start, or OUT could not be written.
    """
    created, clock = datetime.now(UTC), _Clock()
    check_writable(settings.out, overwrite=settings.overwrite)
    device = pick_device(settings.device)
    with clock.measure("inputs"):
        inputs = gather(settings, progress=lambda done, total: progress("Reading headers", done, total))
    with clock.measure("model"):
        encoder = load_encoder(settings.model, device=device, fit=settings.fit)
    auditor = Auditor(
        encoder=encoder,
        method=_method(settings, encoder),
        keys=Keys(load_salt()),
        settings=settings,
        device=device,
        studies=inputs.studies,
    )
    prepare(settings.out, overwrite=settings.overwrite)
    rows: list[dict[str, object]] = []
    left_out = list(inputs.left_out)
    outcome = _Outcome()
    progress("Auditing studies", 0, len(inputs.studies))
    for done, study in enumerate(_audited(inputs, auditor, clock, created), start=1):
        left_out.extend(study.left_out)
        if study.record is not None:
            with clock.measure("writing"):
                write_study(settings.out, study.record, heats=study.heats, pictures=study.pictures)
            rows.extend(study.rows)
            outcome.add(study)
        progress("Auditing studies", done, len(inputs.studies))
    if not outcome.audited:
        _log.warning("no study could be audited")
    with clock.measure("summary"):
        table = score_table(rows)
        summaries = tuple(summarise(table, seed=settings.seed)) if rows else ()
    record = RunRecord(
        created=created,
        finished=datetime.now(UTC),
        model=model_record(encoder),
        method=auditor.method.name,
        settings=method_settings(auditor.method, encoder),
        seed=settings.seed,
        device=device_name(device),
        software=software_versions(),
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
        summaries=summaries,
        failures=shown_failures(left_out, _folders(settings), auditor.keys, show_phi=settings.show_phi),
    )
    page = write_run(settings.out, record, table)
    return RunResult(page=page, record=record, failed=tuple(item for item in left_out if item.failed))


@dataclass(slots=True)
class _Outcome:
    """What has been audited so far."""

    audited: int = 0
    images: int = 0
    phrases: int = 0
    phantom_images: bool = True

    def add(self, study: AuditedStudy) -> None:
        if study.record is None:
            return
        self.audited += 1
        self.images += len(study.record.images)
        self.phrases += sum(len(image.phrases) for image in study.record.images)
        self.phantom_images &= study.record.phantom_images


def _audited(inputs: Inputs, auditor: Auditor, clock: _Clock, created: datetime) -> Iterator[AuditedStudy]:
    """Load, explain and score study after study; this is the one place where a study's failure is caught."""
    cases = [case for study in inputs.studies for case in study.cases]
    loading = load_cases(cases, auditor.encoder.preprocessing, workers=auditor.settings.workers)
    for study in inputs.studies:
        with clock.measure("loading"):
            loaded = list(islice(loading, len(study.cases)))
        try:
            with clock.measure("attribution and scoring"):
                audited = auditor.audit(study, loaded, created=created)
        except OutputError:
            raise
        except Exception as error:  # noqa: BLE001 - the one place where a batch isolates a study
            _log.exception("study %s failed", auditor.keys.key("study", study.study_instance_uid))
            reason = f"the audit of this study failed ({type(error).__name__}); see the log, and report it as a bug"
            item = LeftOut(source=str(study.cases[0].image.path), stage="audit", reason=reason, failed=True)
            audited = AuditedStudy(left_out=(item,))
        yield audited


def _method(settings: RunSettings, encoder: DualEncoder) -> M2IB:
    """Build the method from the flags that were given; the model's own hints and the paper's numbers fill the rest."""
    names = ("beta", "variance", "steps", "samples")
    given = {name: getattr(settings, name) for name in names if getattr(settings, name) is not None}
    try:
        numbers = replace(M2IB().settings_for(encoder)[0], **given)
        method = M2IB(numbers, image_layer=settings.image_layer, text_layer=settings.text_layer)
        method.settings_for(encoder)
    except ValueError as error:
        raise AuditError(f"the method's numbers do not fit the model: {error}") from error
    return method


def _folders(settings: RunSettings) -> list[Path]:
    return [path for path in (settings.dicom_dir, settings.reports, settings.boxes) if path is not None]
