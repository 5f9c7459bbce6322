"""A cohort whose phrases are right or wrong, for the right or the wrong reason."""

from dataclasses import dataclass, replace

from made_up_cohort import make_cohort
from made_up_records import EFFUSION, NODULE, make_study

from reports.record import ErasedRecord, Score, StudyRecord
from reports.run_record import CosineTest, Estimate, PhraseTest, RunRecord, ScoreSummary
from reports.score_catalogue import ENERGY, PERCENTILE, POINTING, POINTING_NEAR, RELIANCE

RECOGNISED = PhraseTest(percentile=0.97, images=40, beats_negation=1.0)
LOST = PhraseTest(percentile=0.2, images=40, beats_negation=1.0)
NEGATED = PhraseTest(percentile=0.3, images=40, beats_negation=0.0)
UNCLEAR = PhraseTest(percentile=0.7, images=40)

COSINE = EFFUSION.cosine


@dataclass(frozen=True, kw_only=True)
class Case:
    """One phrase, as its lists are decided."""

    name: str
    outcome: str = "hit"
    near: str = "hit"
    falls: tuple[float, ...] | None = (0.2, 0.05, 0.01)  # without the region, then elsewhere
    test: PhraseTest | None = RECOGNISED
    energy: float | None = 0.5


GROUNDED = Case(name="grounded")
NO_RELIANCE = Case(name="no reliance", falls=(0.01, 0.05, 0.03))
PARTLY_RELIES = Case(name="partly relies", falls=(0.04, 0.05, 0.01))
ELSEWHERE = Case(name="elsewhere", outcome="miss", near="miss")
NEARBY = Case(name="nearby", outcome="miss", near="hit")
BOTH = Case(name="both", outcome="miss", near="miss", falls=(0.0, 0.1))
NOT_ERASED = Case(name="not erased", falls=None)
UNKNOWN_HIT = Case(name="unknown hit", falls=(0.0, 0.1), test=None)
LOST_HIT = Case(name="lost hit", test=LOST)
LOST_RELIES = Case(name="lost relies", outcome="unscored", near="unscored", test=NEGATED, energy=None)
LOST_NEARBY = Case(name="lost nearby", outcome="miss", near="hit", test=LOST)
LOST_ALL = Case(name="lost all", outcome="miss", near="miss", falls=(0.0, 0.1), test=LOST)
UNCLEAR_HIT = Case(name="unclear hit", test=UNCLEAR)
ONLY_NEGATED = Case(name="only negated", test=PhraseTest(percentile=0.6, images=40, beats_negation=0.0))
ALL = (
    *(GROUNDED, NO_RELIANCE, PARTLY_RELIES, ELSEWHERE, NEARBY, BOTH, NOT_ERASED, UNKNOWN_HIT),
    *(LOST_HIT, LOST_RELIES, LOST_NEARBY, LOST_ALL, UNCLEAR_HIT, ONLY_NEGATED),
)


def cohort_of(*studies: tuple[Case, ...], sd: float | None = 0.1) -> tuple[RunRecord, list[StudyRecord]]:
    """Make a run with one study for each tuple of cases; a phrase's text is the name of its case."""
    records, recognised = [], {}
    for number, cases in enumerate(studies):
        claims = tuple(replace(EFFUSION, text=case.name, token_nats=()) for case in cases)
        record = make_study(f"{number:016x}", claims).record
        (image,) = record.images
        image = replace(image, key=f"image-{number}")
        phrases = tuple(_phrase(phrase, case) for phrase, case in zip(image.phrases, cases, strict=True))
        records.append(record.model_copy(update={"images": (replace(image, phrases=phrases),)}))
        recognised[image.key] = tuple(case.test or PhraseTest() for case in cases)
    run = make_cohort(0).run.model_copy(update={"recognised": recognised, "cosine_sd": sd})
    return run, records


def _phrase(phrase, case: Case):  # type: ignore[no-untyped-def]
    scores = tuple(
        Score(method="m2ib", score=score, value=float(found == "hit"), outcome=found)  # type: ignore[arg-type]
        if found != "unscored"
        else Score(method="m2ib", score=score, value=None, outcome="unscored", reason="no box")
        for score, found in ((POINTING, case.outcome), (POINTING_NEAR, case.near))
    )
    if case.energy is not None:
        scores += (Score(method="m2ib", score=ENERGY, value=case.energy, outcome="scored"),)
    erased = None
    if case.falls is not None:
        region, *elsewhere = (COSINE - fall for fall in case.falls)
        erased = ErasedRecord(fill="inpainting", region=region, elsewhere=tuple(elsewhere), blank=0.0)
    return replace(phrase, scores=scores, erased=erased)


def answered_run(**changes: object) -> RunRecord:
    """A run whose findings differ in what the model recognises, relies on and localises."""
    answers = {
        None: (0.9, 0.5, 30),
        "pleural effusion": (0.95, 0.8, 30),
        NODULE.finding: (0.55, 0.0, 30),
        "pneumothorax": (0.8, None, 4),
    }
    tests = []
    for finding, (recognition, reliance, patients) in answers.items():
        for test, value, chance in ((PERCENTILE, recognition, 0.5), (RELIANCE, reliance, 0.0)):
            if value is not None:
                result = Estimate(estimate=value, low=value - 0.1, high=value + 0.1, cases=40, patients=patients)
                kind = "recognition" if test == PERCENTILE else "reliance"
                tests.append(CosineTest(kind=kind, test=test, finding=finding, result=result, chance=chance))
    run = make_cohort(0).run
    return run.model_copy(update={"cosine_tests": tuple(tests)} | changes)


def with_differences(run: RunRecord, low: float, *, reference: str = "class-mean box", patients: int = 20) -> RunRecord:
    """Give the audited method's hits a paired difference to a reference."""
    difference = {"reference": reference, "estimate": low + 0.1, "low": low, "high": low + 0.2}

    def beside(summary: ScoreSummary) -> ScoreSummary:
        if (summary.method, summary.score) != (run.method, POINTING):
            return summary
        own = difference | {"scored": summary.scored, "patients": patients}
        return ScoreSummary.model_validate(summary.model_dump() | {"differences": (own,)})

    return run.model_copy(update={"summaries": tuple(beside(each) for each in run.summaries)})
