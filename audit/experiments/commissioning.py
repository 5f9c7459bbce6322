"""Tests the audit itself: a grounded encoder and four with a known fault must get five different verdicts.

Source: test objects for scanners, whose truth is known (IEC 61223 names acceptance and constancy tests); here the test
objects are encoders. Adebayo et al. 2018, "Sanity checks for saliency maps", asks whether heat depends on training.
"""

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from pathlib import Path

from audit.configuration import RunConfig
from audit.controls.verdict_rule import LEAST_PHRASES
from audit.execution.prepare import pick_device
from audit.execution.run import run
from pipelines.errors import AuditError
from pipelines.phantom.cohort import make_cohort
from pipelines.processes import end_with_parent, keep_to_one_thread
from pipelines.quoting import counted
from reports.run_record import VerdictRecord, VerdictWord

__all__ = ["EXPECTED", "LEAST_STUDIES", "CommissionedModel", "Commissioning", "commission"]

EXPECTED: dict[str, VerdictWord] = {
    "phantom": "grounded",
    "phantom-ungrounded": "not better than a blind map",
    "phantom-shortcut": "looks at the marker",
    "phantom-image-blind": "ignores the image",
    "phantom-habit": "looks by habit",
}
"""The verdict that each encoder that ships with the tool must get."""

_LEAST_PHRASES_A_STUDY = 1.7  # a phantom has 2.3 findings on average: 60 have 117 or more in each of 300 cohorts
LEAST_STUDIES = 10 * math.ceil(LEAST_PHRASES / _LEAST_PHRASES_A_STUDY / 10)
"""Phantoms whose phrases are enough for a verdict, whatever the seed."""

_COLUMNS = 320  # px, width of the films: twice what the encoders see
_SAMPLES, _CONTROLS = 2, 30  # fewer than by default, to save time; the rule asks for 20 regions that could be erased
_SECONDS_BETWEEN_LOOKS = 0.5  # at the progress of other processes
_AUDITING = "Auditing studies"  # the stage of a run that takes its time

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommissionedModel:
    """One encoder's verdict and the expected one."""

    model: str
    expected: VerdictWord
    found: VerdictRecord
    failed: int  # studies that could not be audited

    @property
    def passed(self) -> bool:
        """True if the verdict is the expected one and every study was audited."""
        return self.found.verdict == self.expected and self.failed == 0

    def __str__(self) -> str:
        lines = [f"expected: {self.expected}"]
        if self.failed:
            lines.append(f"{counted(self.failed, 'study', 'studies')} could not be audited")
        lines += self.found.because
        mark = "pass" if self.passed else "FAIL"
        return "\n        ".join([f"{mark}  {self.model}: {self.found.verdict}", *lines])


@dataclass(frozen=True, slots=True, kw_only=True)
class Commissioning:
    """The result of testing an installation."""

    studies: int
    seed: int
    models: tuple[CommissionedModel, ...]

    @property
    def passed(self) -> bool:
        """True if every encoder got the expected verdict."""
        return all(model.passed for model in self.models)

    def __str__(self) -> str:
        passed = sum(model.passed for model in self.models)
        summary = f"{passed} of {len(self.models)} encoders got the expected verdict"
        return "\n".join([*map(str, self.models), summary, "PASS" if self.passed else "FAIL"])


def commission(
    folder: Path,
    *,
    studies: int,
    seed: int,
    device: str = "auto",
    processes: int | None = None,
    progress: Progress = lambda _stage, _done, _total: None,
) -> Commissioning:
    """Audit the encoders of :data:`EXPECTED` on one cohort of tagged phantoms, each with a complete run.

    Args:
        folder: an empty folder for the cohort and one run per model.
        studies: number of phantoms, at least :data:`LEAST_STUDIES`.
        seed: of the phantoms; they always differ from those on which the encoders were trained.
        device: as of ``run``.
        processes: encoders that are audited at the same time; 1: in this process. By default one per core, and one on
            a GPU. The result does not depend on it.
        progress: called with the encoder as the stage, and its audited studies.

    Raises:
        AuditError: too few studies for a verdict, the folder cannot be written, or a run could not start.
    """
    if studies < LEAST_STUDIES:
        raise AuditError(
            f"--phantoms {studies}: a verdict needs {LEAST_PHRASES} phrases with boxes, which fewer than "
            f"{LEAST_STUDIES} phantoms may not have; give --phantoms {LEAST_STUDIES} or more"
        )
    cores = 1 if pick_device(device).type == "cuda" else len(os.sched_getaffinity(0))
    make_cohort(folder / _COHORT, count=studies, seed=seed, columns=_COLUMNS, tagged=True, brief=True)
    audits = [_Audit(folder=folder, model=name, device=device, seed=seed) for name in EXPECTED]
    count = min(processes or cores, len(audits))
    found = _in_processes(audits, count, progress) if count > 1 else [audit.carry_out(progress) for audit in audits]
    return Commissioning(studies=studies, seed=seed, models=tuple(found))


_COHORT = "cohort"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Audit:
    """A complete run of one encoder on the cohort."""

    folder: Path
    model: str
    device: str
    seed: int

    def carry_out(self, progress: Progress) -> CommissionedModel:
        """Audit all studies and compare the verdict with the expected one."""

        def report(stage: str, done: int, total: int) -> None:
            if stage == _AUDITING:
                progress(f"{self.model}: audited", done, total)

        cohort = self.folder / _COHORT
        result = run(
            RunConfig.of(
                dicom_dir=cohort / "dicom",
                reports=cohort / "reports",
                boxes=cohort / "boxes.csv",
                index="none",
                out=self.folder / self.model,
                model=self.model,
                device=self.device,
                seed=self.seed,
                hyperparameters={"m2ib": {"samples": _SAMPLES}},
                words=False,
                controls=_CONTROLS,
                burned_in="keep",  # the tags are letters on purpose, and nobody's name
            ),
            progress=report,
        )
        (found,) = result.record.verdicts
        return CommissionedModel(
            model=self.model,
            expected=EXPECTED[self.model],
            found=found,
            failed=result.record.counts["failed"],
        )


_Told = SimpleQueue[tuple[str, int, int]]
_told: _Told  # of a process that audits: set when it starts


def _in_processes(audits: Sequence[_Audit], count: int, progress: Progress) -> list[CommissionedModel]:
    """Carry out audits in ``count`` processes with one thread each."""
    context = get_context("spawn")
    told: _Told = context.SimpleQueue()
    with ProcessPoolExecutor(count, mp_context=context, initializer=_begin, initargs=(told,)) as executor:
        futures = [executor.submit(_carry_out_here, audit) for audit in audits]
        under_way = set(futures)
        try:
            while under_way:
                done, under_way = wait(under_way, _SECONDS_BETWEEN_LOOKS, FIRST_COMPLETED)
                while not told.empty():
                    progress(*told.get())
                for future in done:
                    future.result()  # an error ends the others before they start
        finally:
            executor.shutdown(wait=False, cancel_futures=True)
    return [future.result() for future in futures]


def _begin(told: _Told) -> None:
    global _told  # noqa: PLW0603 - a process is told this once, and a queue cannot be sent with a task
    _told = told
    end_with_parent()
    keep_to_one_thread()


def _carry_out_here(audit: _Audit) -> CommissionedModel:
    return audit.carry_out(lambda stage, done, total: _told.put((stage, done, total)))
