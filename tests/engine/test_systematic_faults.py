"""Every call of a small run that can fail fails once, and the next run ends as one that nobody disturbed.

As SQLite tests itself (https://sqlite.org/testing.html, "Anomaly testing"). The model is asked once, before; its
answers then stand in for it, so that a run takes a fraction of a second.
"""

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

import pytest
from faults import KINDS, Fault
from out_trees import tree_of
from run_configs import run_config

from audit.configuration import RunConfig
from audit.execution import run as engine
from audit.execution.prepare import Prepared, prepare
from audit.logbook import verify
from audit.pipeline.explain import ExplainedStudy, Explainer
from audit.pipeline.finished import FinishedStudy
from audit.pipeline.score import Finisher
from pipelines.errors import AuditError
from pipelines.phantom.cohort import make_cohort

SALT = "a salt for tests only"
STUDIES = 2
MOST = int(os.environ.get("M2IB_AUDIT_TEST_FAULTS", "200"))  # of a kind, spread over all where there are more

# The collector closes a generator that nobody reads to its end by resuming it: a fault there reaches nobody.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <generator:pytest.PytestUnraisableExceptionWarning"
)

_answers: dict[str, ExplainedStudy] = {}  # of the model, by study


class Answered(Explainer):
    """Gives what the model said before."""

    def explained(self, loaded) -> Iterator[ExplainedStudy]:
        for study in loaded:
            yield _answers[study.study.study_instance_uid]


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultyFinisher(Finisher):
    """Meets a fault in the process where it works."""

    fault: Fault

    def finish(self, explained: ExplainedStudy) -> FinishedStudy:
        with self.fault.armed():
            return Finisher.finish(self, explained)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("cohort")
    make_cohort(folder, count=STUDIES, seed=4, columns=64, brief=True)
    time.sleep(2.1)  # files that are younger have no stamp yet, and one tree would have stamps where another has none
    settings = run_config(
        dicom_dir=folder / "dicom",
        reports=folder / "reports",
        boxes=(folder / "boxes.csv",),
        out=folder / "out",
        model="phantom",
        device="cpu",
        words=False,
        steps=1,
        samples=1,
        controls=2,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("M2IB_AUDIT_SALT", SALT)
        ready = prepare(settings, progress=lambda *_: None)
    loaded = engine.loaded_studies(ready.inputs.studies, ready.explainer.encoder, ready.clock, workers=0)
    for study in ready.explainer.explained(loaded):
        _answers[study.study.study_instance_uid] = study
    return ready


def into(settings: RunConfig, out: Path) -> RunConfig:
    """Give the same configuration for another folder."""
    return settings.model_copy(update={"output": settings.output.model_copy(update={"out": out})})


def run(prepared: Prepared, out: Path, *, workers: int = 0, fault: Fault | None = None) -> None:
    """Run with what was prepared, and answers that are known; a fault is met in the processes that finish studies."""
    execution = prepared.settings.execution.model_copy(update={"workers": workers, "retry_failed": True})
    settings = into(prepared.settings, out).model_copy(update={"execution": execution})
    finisher = replace(prepared.finisher, settings=settings)
    if fault is not None:
        given = {each.name: getattr(finisher, each.name) for each in fields(Finisher)}
        finisher = FaultyFinisher(**given, fault=fault)
    explainer = Answered(**{each.name: getattr(prepared.explainer, each.name) for each in fields(Explainer)})
    ready = replace(prepared, settings=settings, finisher=finisher, explainer=explainer)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "prepare", lambda _settings, *, progress: ready)  # noqa: ARG005
        engine.run(settings)


@pytest.fixture(scope="module")
def undisturbed(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("M2IB_AUDIT_SALT", SALT)
        run(prepared, out)
    return tree_of(out)


def calls(prepared: Prepared, out: Path, kind: str) -> int:
    with Fault(out, kind, 0).armed() as count:
        run(prepared, out)
    shutil.rmtree(out)
    return count[0]


def spread(count: int) -> range:
    return range(1, count + 1, max(1, count // MOST))


def faulty_then_good(prepared: Prepared, undisturbed: dict[str, bytes], fault: Fault, *, workers: int) -> None:
    out = fault.out
    try:
        if workers:
            run(prepared, out, workers=workers, fault=fault)
        else:
            with fault.armed():
                run(prepared, out)
    except (AuditError, MemoryError):  # what a run may end with: a sentence, or no memory to make one
        pass
    run(prepared, out)
    found = tree_of(out)
    assert found.keys() == undisturbed.keys(), fault
    assert [name for name in found if found[name] != undisturbed[name]] == [], fault
    assert verify(out, SALT.encode()).wrong == [], fault
    shutil.rmtree(out)


@pytest.mark.parametrize(
    ("kind", "place"), [("open", 0.0), ("write", 0.5), ("fsync", 1.0), ("change", 0.5), ("allocation", 0.5)]
)
def test_a_fault_of_each_kind_leaves_what_the_next_run_mends(prepared, undisturbed, tmp_path, kind, place) -> None:
    """At the first call, one in the middle, or the last: the slow tests try all kinds at all places."""
    out = tmp_path / "out"
    count = calls(prepared, out, kind)
    assert count > 2 * STUDIES
    faulty_then_good(prepared, undisturbed, Fault(out, kind, max(1, int(place * count))), workers=0)


def test_a_fault_in_a_process_that_finishes_studies_leaves_what_the_next_run_mends(prepared, undisturbed, tmp_path):
    faulty_then_good(prepared, undisturbed, Fault(tmp_path / "out", "write", 3), workers=2)


@pytest.mark.slow
@pytest.mark.timeout(14400)
@pytest.mark.parametrize("kind", KINDS)
def test_faults_everywhere_leave_what_the_next_run_mends(prepared, undisturbed, tmp_path, kind) -> None:
    out = tmp_path / "out"
    count = calls(prepared, out, kind)
    for number in sorted({*spread(count), count // 2, count}):
        faulty_then_good(prepared, undisturbed, Fault(out, kind, number), workers=0)


@pytest.mark.slow
@pytest.mark.timeout(14400)
@pytest.mark.parametrize("kind", KINDS)
def test_faults_everywhere_in_a_process_that_finishes_studies_do_too(prepared, undisturbed, tmp_path, kind) -> None:
    out = tmp_path / "out"
    study = next(iter(_answers.values()))
    (out / "studies").mkdir(parents=True)
    finisher = replace(prepared.finisher, settings=into(prepared.settings, out))
    with Fault(out, kind, 0).armed() as count:
        finisher.finish(study)
    shutil.rmtree(out)
    for number in spread(count[0]):
        faulty_then_good(prepared, undisturbed, Fault(out, kind, number), workers=2)
