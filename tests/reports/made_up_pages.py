"""Every kind of page with everything on it that a page can say: what the test of their texts reads."""

from collections.abc import Iterator, Sequence
from dataclasses import is_dataclass, replace
from typing import get_args

import numpy as np
from made_up_cohort import make_cohort
from made_up_comparison import DIFFERENCE, FAILURE, make_comparison
from made_up_model_comparison import model_pages
from made_up_records import EFFUSION, FLAT, HEART, NODULE, MadeUp, make_study

from pipelines.geometry import Fit
from reports.cohort_page import render_cohort
from reports.comparison_page import render_comparison
from reports.outcomes import CONTROLS
from reports.record import (
    ControlRecord,
    ErasedRecord,
    OmittedSentence,
    OtherHeatRecord,
    ReportRecord,
    Score,
    ScoredPhrase,
    TokenHeat,
)
from reports.review_page import ReviewSession
from reports.run_record import (
    ControlSummary,
    CosineTest,
    Estimate,
    EvidenceRecord,
    PhraseTest,
    RunRecord,
    ScoreSummary,
    StepOutcome,
    SubgroupGap,
    SubgroupSummary,
    VerdictRecord,
    VerdictStep,
    VerdictTest,
    VerdictWord,
)
from reports.score_catalogue import (
    COHORT_IOU,
    MEAN_IOU,
    POINTING_MM,
    PRECISION,
    RANK,
    RECALL,
    UNIFORM_WORDS,
    WORD_REFERENCES,
    WORDS_ON_FINDING,
    mean_heat_name,
    names_of,
    untrained_name,
)
from reports.study_page import render_study
from reports.targets import own_boxes

ESTIMATE = Estimate(estimate=0.4, low=0.3, high=0.5, cases=31, patients=20)
CASES = Estimate(estimate=31.0, low=31.0, high=31.0, cases=31, patients=20)


def pages() -> Iterator[tuple[str, str]]:
    """Give the name and the HTML of each page."""
    cohort = full_run()
    session = ReviewSession(
        reviewer="R1",
        blind=False,
        hide_scores=True,
        place=2,
        studies=3,
        previous=None,
        following="c",
        unanswered="/next",
    )
    yield "study", _study(_full_study())
    yield "study of a run", _study(_full_study(), run=cohort)
    yield "study under review", _study(_full_study(), session=session)
    yield "study with erased regions", _study(*erased_study())
    yield "study with erased regions, other boxes", _study(*scored_against_others(*erased_study()))
    yield "study, cropped and flipped", _study(_odd_study())
    yield "study, stretched", _study(_stretched_study())
    yield "study without phrases", _study(make_study("b", ()))
    yield "study without images", _study(replace(made := make_study("c"), record=_changed(made.record, images=())))
    studies = [made.record for made in make_cohort(12).studies] + [_full_study().record, _odd_study().record]
    yield "cohort", render_cohort(cohort, studies, thumbnails={studies[0].key: b"\x89PNG"})
    plain = make_cohort(1, failures=(), summaries=(), patient_data_shown=True, not_done=1)
    yield "cohort without a study", render_cohort(plain.run, [])
    empty = make_study("e", ()).record
    yield "cohort without phrases", render_cohort(plain.run, [empty, _changed(empty, key="f", images=())])
    many = [_changed(studies[0], key=f"k{place}") for place in range(102)]
    yield "long cohort", render_cohort(cohort, many)
    yield "comparison", render_comparison(make_comparison(scored=True))
    yield "comparison without scores", render_comparison(make_comparison(scored=False))
    yield from model_pages()


def _changed(record, **changes):  # type: ignore[no-untyped-def]
    return replace(record, **changes) if is_dataclass(record) else record.model_copy(update=changes)


def _study(made: MadeUp, run: RunRecord | None = None, **others: object) -> str:
    others = others if run is None else {**others, "run": run}
    return render_study(made.record, heats=made.heats, pictures=made.pictures, **others)  # type: ignore[arg-type]


def _placed(score: str, value: float) -> Score:
    return Score(method="m2ib", score=score, value=value, outcome="scored")


def with_other_heats(
    made: MadeUp, phrase: ScoredPhrase, *, texts: Sequence[str | None], hits: Sequence[bool | None]
) -> ScoredPhrase:
    """Give a phrase a second method's heat, and each control's with its text and hit."""
    heat = made.heats[phrase.heat]
    made.heats[f"{phrase.heat}-other"] = heat[::-1].copy()
    other = OtherHeatRecord(
        method="grad_cam",
        unit="dimensionless",
        heat=f"{phrase.heat}-other",
        total=1.0,
        peak=1.0,
        hottest=phrase.hottest,
        tokens=(),
    )
    controls = []
    for place, (name, put, hit) in enumerate(zip(CONTROLS, texts, hits, strict=True)):
        made.heats[f"{phrase.heat}-{place}"] = np.roll(heat, place + 1).copy()
        controls.append(
            ControlRecord(
                method="m2ib",
                control=name,
                text=put,
                heat=f"{phrase.heat}-{place}",
                pearson=None if hit is None else 0.5,
                hit=hit,
                cosine=0.2,
                total=3.0,
            )
        )
    return replace(phrase, controls=tuple(controls), others=(other,))


def _full_study() -> MadeUp:
    """Two images; phrases with warnings, controls and another method."""
    made = make_study("a", (EFFUSION, NODULE, HEART, FLAT, replace(NODULE, heat_at=(0.25, 0.7))), (EFFUSION,))
    image = made.record.images[0]
    texts, hits = ("Zzz.", None) * 3, (None, True, False, True, True, False)
    phrases = []
    for phrase in image.phrases:
        scores = (
            *phrase.scores,
            _placed("hottest point on a marker", 1.0),
            _placed("hottest point on the named side", 0.0),
            _placed("hottest point in the named zone", 0.0),
            _placed(WORDS_ON_FINDING, 0.6),
            Score(method=UNIFORM_WORDS, score=WORDS_ON_FINDING, value=0.25, outcome="scored"),
        )
        tokens = tuple(_with_references(token, place) for place, token in enumerate(phrase.tokens))
        noted = _changed(phrase, scores=scores, side="left", zone="lower", tokens=tokens)
        phrases.append(with_other_heats(made, noted, texts=texts, hits=hits))
    first = phrases[1]
    unscored = Score(method="m2ib", score="IoU at Otsu", value=None, outcome="unscored", reason="too flat.")
    kept = tuple(s for s in first.scores if (s.method, s.score) != ("m2ib", "IoU at Otsu"))
    phrases[1] = _changed(first, scores=(*kept, unscored))
    made.record = _changed(
        made.record,
        images=(_changed(image, phrases=tuple(phrases)), *made.record.images[1:]),
        patient_data_shown=True,
        report=made_up_report(),
    )
    return made


def _with_references(token: TokenHeat, place: int) -> TokenHeat:
    """Give a word a kind, a fall of the cosine, and an untrained bottleneck that orders words as their heat does."""
    kind = ("finding", "place", "other")[place % 3]
    return token.model_copy(update={"kind": kind, "fall": 0.1 * place, "untrained": 100.0 * token.nats})


def erased_study() -> tuple[MadeUp, RunRecord]:
    """A study whose phrases were erased with each fill, and a run that compares their cosines with all others'."""
    made = make_study("a", (EFFUSION, NODULE, HEART, FLAT, EFFUSION, EFFUSION, EFFUSION))
    image = made.record.images[0]
    picture = made.pictures[image.picture]
    both = ("a.jpg", "b.jpg")
    erased = (
        ErasedRecord(fill="other-patients", region=0.1, elsewhere=(0.4, 0.5), blank=0.0, pictures=both),
        ErasedRecord(fill="contralateral", region=0.3, blank=0.1, reason="no room", pictures=("a.jpg",)),
        ErasedRecord(fill="inpainting", region=None, blank=0.1, reason="no box on the model's input"),
        None,
        ErasedRecord(fill="inpainting", region=0.25, elsewhere=(0.2, 0.1), blank=0.0, pictures=both),
        ErasedRecord(fill="inpainting", region=0.2, elsewhere=(0.3, 0.1, 0.3), blank=0.0, pictures=both),
        ErasedRecord(fill="inpainting", region=0.4, elsewhere=(0.3, 0.3), blank=0.0, pictures=both),
    )
    phrases = [_changed(phrase, erased=each) for phrase, each in zip(image.phrases, erased, strict=True)]
    made.record = _changed(made.record, images=(_changed(image, phrases=tuple(phrases)),))
    made.pictures |= {"a.jpg": picture, "b.jpg": picture}
    tests = tuple(
        PhraseTest(percentile=0.93, images=images, beats_negation=won, beats_other_side=won)
        for won, images in ((1.0, 41), (0.5, 1), (0.0, None))
    )
    lost = PhraseTest(percentile=0.3, images=41, beats_negation=0.0)
    run = _changed(make_cohort(2).run, recognised={image.key: (*tests, PhraseTest(), tests[0], lost)}, cosine_sd=0.2)
    return made, run


def scored_against_others(made: MadeUp, run: RunRecord) -> tuple[MadeUp, RunRecord]:
    """Score a study against boxes of another file, so that its records keep the run's own boxes too."""
    images = tuple(_changed(image, boxes=(), own=own_boxes(image)) for image in made.record.images)
    return MadeUp(_changed(made.record, images=images), made.heats, made.pictures), run


def made_up_report() -> ReportRecord:
    """Make a report of which three sentences were not put to the model."""
    omitted = (("No pneumothorax.", "absent"), ("Old rib fractures.", "historical"), ("Small effusion.", "present"))
    not_put = tuple(
        OmittedSentence(text=text, section="findings", finding="pneumothorax", context=context)
        for text, context in omitted
    )
    text = "FINDINGS: Small right effusion.\nNo pneumothorax <b>."
    return ReportRecord(text=text, words=7, masked_words=0, not_put=not_put)


def _odd_study() -> MadeUp:
    made = make_study("d", (EFFUSION,), fit=Fit.CROP, unit="dimensionless")
    image = made.record.images[0]
    plain = {"view": "unknown", "spacing_mm": None, "receipt": ()}
    (phrase,) = image.phrases
    near = tuple(
        _changed(s, outcome={"pointing game, tau 0": "miss", "pointing game, tau 15": "hit"}[s.score], value=0.0)
        if s.method == "m2ib" and s.score.startswith("pointing")
        else s
        for s in phrase.scores
    )
    flipped = _changed(image, horizontally_flipped=True, view="frontal", phrases=(_changed(phrase, scores=near),))
    settings = {"a": None, "b": True, "c": False}
    made.record = _changed(
        made.record, images=(flipped, _changed(image, **plain), _changed(image, view="lateral")), settings=settings
    )
    return made


def _stretched_study() -> MadeUp:
    """A reference is not scored where the method is."""
    made = make_study("g", (EFFUSION,), fit=Fit.STRETCH)
    (image,) = made.record.images
    (phrase,) = image.phrases
    scores = tuple(
        _changed(s, value=None, outcome="unscored", reason="no other patient") if s.method == "class-mean box" else s
        for s in phrase.scores
    )
    images = (_changed(image, phrases=(_changed(phrase, scores=scores),)),)
    report = ReportRecord(text="FINDINGS: Small right effusion.", words=4, masked_words=0)
    made.record = _changed(made.record, images=images, report=report)
    return made


def _summary(score: str, method: str = "m2ib", **changes: object) -> ScoreSummary:
    fields: dict[str, object] = {
        "method": method,
        "score": score,
        "finding": None,
        "averaging": "micro",
        "estimate": 0.5,
        "low": 0.4,
        "high": 0.6,
        "scored": 40,
        "unscored": 3,
        "patients": 20,
        "differences": (),
    }
    return ScoreSummary.model_validate(fields | changes)


def make_subgroup(*, attribute: str, value: str, gap: SubgroupGap | None = None) -> SubgroupSummary:
    """Make a subgroup of few phrases."""
    return SubgroupSummary(
        attribute=attribute,
        value=value,
        method="m2ib",
        score="pointing game, tau 0",
        estimate=0.5,
        low=0.4,
        high=0.6,
        scored=5,
        patients=4,
        blind=0.3,
        difference=DIFFERENCE,
        gap=gap,
    )


def make_gap(p: float) -> SubgroupGap:
    """Make a gap with the same p by every adjustment."""
    return SubgroupGap(estimate=-0.2, low=-0.35, high=-0.05, p=p / 12, p_holm=p, p_bh=p, tests=12, detectable=0.27)


def every_step() -> tuple[VerdictStep, ...]:
    """Make a step of each test, with each outcome; the second decides."""
    outcomes = get_args(StepOutcome)
    return tuple(
        VerdictStep(
            test=test,
            figure=CASES if place == 0 else ESTIMATE if place % 4 < 2 else None,
            limit=100.0 if place == 0 else 0.25 if place % 4 < 2 else None,
            outcome=outcomes[place % 4],
            decides=place == 1,
            sentence="it was so in all of them",
        )
        for place, test in enumerate(get_args(VerdictTest))
    )


def full_run() -> RunRecord:
    words = get_args(VerdictWord)
    run = make_cohort(2).run
    shuffled = _changed(DIFFERENCE, reference="shuffled m2ib")
    area = [_changed(DIFFERENCE, reference="area share", low=low, high=low + 0.2) for low in (0.1, -0.1, -0.4)]
    summaries = [
        *run.summaries,
        _summary("image confidence drop", differences=(shuffled,)),
        _summary("image confidence increase", differences=(shuffled,)),
        *(_summary(score, differences=(area[place % 3],)) for place, score in enumerate(names_of("shortcut"))),
        *(_summary(score, "area share") for score in names_of("shortcut")),
        *(
            _summary(score, differences=tuple(_changed(DIFFERENCE, reference=name) for name in WORD_REFERENCES[:2]))
            for score in names_of("words")
        ),
        *(_summary(score, name) for score in names_of("words") for name in WORD_REFERENCES),
        *(
            _summary(
                score,
                differences=(
                    DIFFERENCE,
                    _changed(DIFFERENCE, reference="another reader", low=-0.1),
                    *(_changed(DIFFERENCE, reference=name("m2ib")) for name in (mean_heat_name, untrained_name)),
                ),
            )
            for score in (POINTING_MM, RANK)
        ),
        *(_summary("pointing game, tau 0", name("m2ib")) for name in (mean_heat_name, untrained_name)),
        _summary(PRECISION, differences=(_changed(DIFFERENCE, low=-0.1),)),
        _summary(MEAN_IOU, differences=(_changed(DIFFERENCE, patients=4),)),
        _summary(COHORT_IOU, differences=(_changed(DIFFERENCE, reference="another reader"),)),
        _summary("pointing game, tau 0", finding="rare thing", scored=0, estimate=None, low=None, high=None),
        _summary("pointing game, tau 0", finding="seldom thing", scored=5),
    ]
    group = make_subgroup(attribute="sex", value="F")
    tests = [
        CosineTest(kind=kind, test=test, finding=finding, result=ESTIMATE, chance=0.1)
        for kind in ("recognition", "reliance")
        for test in names_of(kind)
        for finding in (None, "nodule")
    ]
    tests += [
        CosineTest(kind="recognition", test=RECALL.format(rank), finding=None, result=ESTIMATE, chance=0.1)
        for rank in (1, 5, 10)
    ]
    evidence = EvidenceRecord(method="m2ib", unit="nats", floor=400.25, exceeds=ESTIMATE, tells=True, scale=70.0)
    return _changed(
        run,
        not_done=3,
        counts={**run.counts, "images audited": 5000, "images compared": 2000},
        summaries=tuple(summaries),
        verdicts=tuple(
            VerdictRecord(
                method="m2ib",
                verdict=word,
                because=("212 phrases could be scored",),
                rule="A rule. 1. Few.",
                steps=every_step() if place else (),
                action="Do it." if place else "",
            )
            for place, word in enumerate(words)
        ),
        controls=tuple(
            ControlSummary(
                method="m2ib",
                control=name,
                phrases=31,
                pearson=ESTIMATE,
                hit=None,
                hit_fall=ESTIMATE,
                cosine_change=ESTIMATE,
            )
            for name in CONTROLS
        ),
        cosine_tests=tuple(tests),
        evidence=(evidence, _changed(evidence, tells=False, method="grad_cam", unit="dimensionless")),
        subgroups=(group, _changed(group, value="M", blind=None, difference=None, scored=50, gap=make_gap(0.3))),
        failures=(*run.failures, *(FAILURE for _ in range(510))),
    )
