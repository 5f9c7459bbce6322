"""Studies whose report denies a finding, and a run that compares their cosines."""

from dataclasses import replace

from made_up_cohort import make_cohort
from made_up_records import EFFUSION, MadeUp, make_study

from pipelines.study import Context, Phrase
from reports.record import FindingCosines
from reports.run_record import AbsenceTest, CosineTest, Estimate, RunRecord
from reports.score_catalogue import ABSENCE_PERCENTILE, ASSERTION_PREFERRED, DENIAL_PREFERRED

DENIAL = Phrase(text="No pneumothorax <b>.", section="findings", finding="pneumothorax", context=Context.ABSENT)


def denying(asserted: float | None, denied: float = 0.4, *, normal: bool = True) -> MadeUp:
    """Make a study that denies a pneumothorax and affirms nothing, or an effusion too."""
    made = make_study("5b1f0c9e7a3d2460", () if normal else (EFFUSION,))
    cosines = {} if asserted is None else {"pneumothorax": FindingCosines(asserted=asserted, denied=denied)}
    (image,) = made.record.images
    image = replace(image, absent=(DENIAL,), finding_cosines=cosines)
    return MadeUp(record=made.record.model_copy(update={"images": (image,)}), heats=made.heats, pictures=made.pictures)


def run_with_denials() -> RunRecord:
    """Make the run of these studies."""
    result = Estimate(estimate=0.8, low=0.6, high=0.9, cases=40, patients=30)
    tests = tuple(
        CosineTest(kind="absence", test=test, finding=finding, result=result, chance=0.5)
        for finding in (None, "pneumothorax")
        for test in (ABSENCE_PERCENTILE, DENIAL_PREFERRED, ASSERTION_PREFERRED)
    )
    run = make_cohort(1).run
    key = denying(0.1).record.images[0].key
    return run.model_copy(
        update={
            "cosine_tests": tests,
            "absence": {key: {"pneumothorax": AbsenceTest(percentile=0.75, images=8)}},
            "counts": run.counts | {"absent phrases audited": 40, "normal studies audited": 12},
        }
    )
