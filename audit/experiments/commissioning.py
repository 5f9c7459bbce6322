"""Tests the audit itself: one grounded encoder and two faulty ones must get three different verdicts.

Source: test objects for scanners, whose truth is known (IEC 61223 names acceptance and constancy tests); here the test
objects are encoders. Adebayo et al. 2018, "Sanity checks for saliency maps", asks whether heat depends on training.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from audit.configuration import RunConfig
from audit.controls.verdict_rule import LEAST_PHRASES
from audit.execution.run import run
from pipelines.errors import AuditError
from pipelines.phantom.cohort import make_cohort
from reports.run_record import VerdictRecord, VerdictWord

__all__ = ["EXPECTED", "LEAST_STUDIES", "CommissionedModel", "Commissioning", "commission"]

EXPECTED: dict[str, VerdictWord] = {
    "phantom": "grounded",
    "phantom-ungrounded": "not better than a blind map",
    "phantom-shortcut": "looks at the marker",
}
"""The verdict that each encoder that ships with the tool must get."""

_LEAST_PHRASES_A_STUDY = 1.7  # a phantom has 2.3 findings on average: 60 have 117 or more in each of 300 cohorts
LEAST_STUDIES = 10 * math.ceil(LEAST_PHRASES / _LEAST_PHRASES_A_STUDY / 10)
"""Phantoms whose phrases are enough for a verdict, whatever the seed."""

_COLUMNS = 320  # px, width of the films: twice what the encoders see
_SAMPLES, _CONTROLS = 4, 25  # fewer than a run's own, for the sake of time: the rule asks for 20 controls at least

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


def commission(
    folder: Path,
    *,
    studies: int,
    seed: int,
    device: str = "auto",
    progress: Progress = lambda _stage, _done, _total: None,
) -> Commissioning:
    """Audit the three encoders on one cohort of tagged phantoms, each with a complete run.

    Args:
        folder: an empty folder for the cohort and one run per model.
        studies: number of phantoms, at least :data:`LEAST_STUDIES`.
        seed: of the phantoms; they always differ from those on which the encoders were trained.
        device: as of ``run``.
        progress: called in each stage.

    Raises:
        AuditError: too few studies for a verdict, the folder cannot be written, or a run could not start.
    """
    if studies < LEAST_STUDIES:
        raise AuditError(
            f"--phantoms {studies}: a verdict needs {LEAST_PHRASES} phrases with boxes, which fewer than "
            f"{LEAST_STUDIES} phantoms may not have; give --phantoms {LEAST_STUDIES} or more"
        )
    cohort = folder / "cohort"
    make_cohort(cohort, count=studies, seed=seed, columns=_COLUMNS, tagged=True, brief=True)
    models = []
    for name, expected in EXPECTED.items():

        def report(stage: str, done: int, total: int, name: str = name) -> None:
            progress(f"{name}: {stage.lower()}", done, total)

        result = run(
            RunConfig.of(
                dicom_dir=cohort / "dicom",
                reports=cohort / "reports",
                boxes=cohort / "boxes.csv",
                index="none",
                out=folder / name,
                model=name,
                device=device,
                seed=seed,
                hyperparameters={"m2ib": {"samples": _SAMPLES}},
                words=False,
                controls=_CONTROLS,
                burned_in="keep",  # the tags are letters on purpose, and nobody's name
            ),
            progress=report,
        )
        (found,) = result.record.verdicts
        models.append(
            CommissionedModel(model=name, expected=expected, found=found, failed=result.record.counts["failed"])
        )
    return Commissioning(studies=studies, seed=seed, models=tuple(models))
