"""Writes a run's two logs: settings, studies and failures under their keys, and how the run ended."""

import json
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from audit.configuration import RunConfig
from audit.logbook import AuditLog, EventLog, recorded_logging
from audit.logbook.chain import (
    BEGUN_OVER,
    DONE,
    FOUND_DONE,
    OPENED,
    RESULTS_REPLACED,
    SCORED_AGAIN,
    STUDY_FAILED,
    result_checksums,
)
from audit.logbook.events import scrubbed_trace
from audit.logbook.seals import Value
from audit.output.reuse import Plan
from audit.pipeline.finished import FinishedStudy
from audit.pipeline.inputs import Inputs
from audit.pipeline.score import Finisher
from audit.privacy.pseudonyms import Pseudonyms, load_salt
from audit.privacy.redaction import failure_records
from audit.storage.folder import SHARDS
from pipelines.study import Exclusion
from reports.reading import file_checksum
from reports.results_folder import FAILED, study_folders
from reports.run_record import RunRecord

__all__ = ["Journal", "say_replaced"]


def say_replaced(out: Path, salt: bytes) -> None:
    """Log that the results of a run in OUT are discarded, before they are removed.

    Raises:
        OutputError: OUT cannot be written.
    """
    AuditLog(out, salt).append(RESULTS_REPLACED)


class Journal:
    """The logs of one run; use it as a context manager. Nothing is written before :meth:`begin`."""

    def __init__(self, settings: RunConfig) -> None:
        self._settings, self._stack = settings, ExitStack()
        self._begun: tuple[EventLog, AuditLog, Pseudonyms] | None = None
        self._known: dict[str, str] = {}  # checksums of records that the log confirms
        self._run = "run" if settings.execution.shard is None else "shard"

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Log how an incomplete run ended; of an error only its type and location, never its message."""
        try:
            if self._begun is not None and error is not None:
                events, log, _ = self._begun
                event = f"{self._run} {'failed' if isinstance(error, Exception) else 'interrupted'}"
                events.write(event, level="error", error=type(error).__name__, trace=scrubbed_trace(error))
                log.append(event, error=type(error).__name__)
        finally:
            self._stack.close()

    def begin(self, finisher: Finisher, inputs: Inputs, plan: Plan, *, protocol_sha256: str | None = None) -> None:
        """Start the logs, once OUT is ready: the settings, the protocol, the inputs, and what is excluded.

        If OUT holds studies but no log, a new log starts with an entry that says so.

        Raises:
            OutputError: OUT cannot be written.
        """
        settings, salt = self._settings, load_salt(outside=self._settings.output.out)
        events, log = EventLog(settings.output.out), AuditLog(settings.output.out, salt)
        self._begun = events, log, finisher.keys
        self._stack.enter_context(recorded_logging(events))
        begun_over = 0 if settings.output.overwrite or plan.known.is_there else len(study_folders(settings.output.out))
        log.append_all(
            [
                *([(BEGUN_OVER, {"studies": begun_over})] if begun_over else []),
                (f"{self._run} started", {**self._described(finisher, inputs), **_of_protocol(protocol_sha256)}),
            ]
        )
        self._known = dict(plan.known.statements.records)
        events.write(f"{self._run} started", counts=dict(inputs.counts))
        if settings.execution.shard is None:
            self._left_out(inputs.left_out)

    def opened(self, *keys: str) -> None:
        """Log that records are about to be changed or removed from the result; call it before that happens.

        Raises:
            OutputError: OUT cannot be written.
        """
        if self._begun is None:
            return
        _, log, _ = self._begun
        log.append_all([(OPENED, {"study": key}) for key in keys if self._known.pop(key, None) is not None])

    def kept(self, key: str, *, scored_again: bool) -> None:
        """Log the present record of a study that was done before, if the log does not have it.

        Raises:
            OutputError: OUT cannot be written.
        """
        record = self._settings.output.out / "studies" / key / "record.json"
        if self._begun is None or key in self._known or not record.exists():
            return
        _, log, _ = self._begun
        self._known[key] = file_checksum(record)
        log.append(SCORED_AGAIN if scored_again else FOUND_DONE, **_of_record(key, self._known[key]))

    def noted(self, key: str) -> None:
        """Log that a study's folder now holds the note of its failure.

        Raises:
            OutputError: OUT cannot be written.
        """
        if self._begun is not None:
            noted = file_checksum(self._settings.output.out / "studies" / key / FAILED)
            self._begun[1].append(STUDY_FAILED, study=key, failed_sha256=noted)

    def study(self, study: FinishedStudy) -> None:
        """Log that a study is done, or which of its files failed.

        Raises:
            OutputError: OUT cannot be written.
        """
        if self._begun is None:
            return
        events, log, _ = self._begun
        if study.record_sha256:
            log.append(DONE, **_of_record(study.key, study.record_sha256))
            self._known[study.key] = study.record_sha256
            seconds = {stage: round(taken, 3) for stage, taken in (study.seconds or {}).items()}
            events.write("study done", study=study.key, images=study.images, phrases=study.phrases, seconds=seconds)
        self._left_out(study.left_out)

    def finished(self, record: RunRecord) -> str:
        """Log that the run was completed, with the checksum of ``run.json``; a shard writes none.

        Returns:
            The checksum of the log's last line, to be stored elsewhere.

        Raises:
            OutputError: OUT cannot be written.
        """
        if self._begun is None:
            return ""
        events, log, _ = self._begun
        counts = {name: record.counts[name] for name in ("audited", "failed", "left out")}
        events.write(f"{self._run} finished", counts=counts, not_done=record.not_done)
        if self._settings.execution.shard is not None:
            name, out = f"{self._settings.execution.shard}.json", self._settings.output.out
            return log.append(
                "shard finished", counts=counts, shard=name, shard_sha256=file_checksum(out / SHARDS / name)
            )
        return log.append("run finished", counts=counts, **result_checksums(self._settings.output.out))

    def _left_out(self, items: Iterable[Exclusion]) -> None:
        if self._begun is None:
            return
        events, log, keys = self._begun
        settings, listed = self._settings, list(items)
        folders = settings.inputs.folders
        failed = [item for item in listed if item.failed]
        shown = failure_records(failed, folders, keys, show_phi=False)
        log.append_all([("failed", {"source": item.source, "stage": item.stage}) for item in shown])
        for item in shown:
            events.write("failed", level="warning", source=item.source, stage=item.stage)
        for stage, count in Counter(item.stage for item in listed if not item.failed).items():
            events.write("left out by rule", stage=stage, count=count)

    def _described(self, finisher: Finisher, inputs: Inputs) -> dict[str, Value]:
        return {
            "command": "run",
            "settings": self._settings.for_log(),
            "method": json.loads(json.dumps(finisher.numbers, default=str)),
            "inputs": [finisher.keys.key("path", str(place.absolute())) for place in self._settings.inputs.folders],
            "counts": dict(inputs.counts),
            "model": {"name": finisher.model.name, "sha256": finisher.model.sha256},
            "software": dict(finisher.software),
        }


def _of_protocol(sha256: str | None) -> dict[str, Value]:
    return {} if sha256 is None else {"protocol_sha256": sha256}


def _of_record(study: str, sha256: str) -> dict[str, Value]:
    return {"study": study, "record_sha256": sha256}
