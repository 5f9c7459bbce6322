"""Comparisons of two models with everything that their page can say."""

from collections.abc import Iterator
from dataclasses import replace
from typing import get_args

from made_up_records import MODEL, MOMENT, make_study

from reports.model_comparison_page import render_model_comparison, render_model_study
from reports.model_comparison_record import (
    ChangedPhrase,
    ComparedRun,
    MarginAnswer,
    ModelComparisonRecord,
    ModelDifference,
    SettingDifference,
)
from reports.model_gallery import GalleryPair, GallerySide
from reports.run_record import Estimate
from reports.score_catalogue import COSINE, POINTING, SCORES, ScoreKind, names_of

DIFFERENCE = Estimate(estimate=0.12, low=0.04, high=0.2, cases=40, patients=20)
HITS = {"won": 7, "lost": 2, "mcnemar": 0.18}


def make_difference(score: str, **changes: object) -> ModelDifference:
    fields = {
        "kind": SCORES[score].kind,
        "method": COSINE if SCORES[score].kind in {"recognition", "reliance", "absence"} else "m2ib",
        "score": score,
        "finding": None,
        "averaging": "micro",
        "lower_is_better": not SCORES[score].higher_is_better,
        "first": 0.4,
        "second": 0.52,
        "difference": DIFFERENCE,
        "cases": 40,
        "patients": 20,
    }
    return ModelDifference.model_validate(fields | changes)


def make_answer(**changes: object) -> MarginAnswer:
    fields = {
        "question": "as good",
        "model": "B",
        "compared_with": "A",
        "margin": 0.1,
        "alpha": 0.05,
        "estimate": DIFFERENCE,
        "p_margin": 0.00001,
        "p_superior": 0.2,
        "conclusion": "not-inferior",
    }
    return MarginAnswer.model_validate(fields | changes)


def make_changed(change: str) -> ChangedPhrase:
    return ChangedPhrase.model_validate(
        {
            "change": change,
            "study": "5b1f0c9e7a3d2460",
            "image": "5b1f0ci0",
            "finding": "nodule",
            "text": "There is a <b> nodule.",
            "places": (0, 0),
            "phrases": (1, 2),
        }
    )


def make_model_comparison(**changes: object) -> ModelComparisonRecord:
    run = ComparedRun(
        model=MODEL,
        finished=MOMENT,
        run_sha256="c" * 64,
        program="0.1.0",
        studies=30,
        studies_alone=2,
        phrases_alone=1,
        verdict="grounded",
        address="../a%20folder",
    )
    scores = [name for kind in get_args(ScoreKind) for name in names_of(kind)[:2]]
    of_hits = [
        make_difference(POINTING, finding=finding, averaging=averaging, **HITS)
        for finding, averaging in ((None, "micro"), (None, "macro"), ("nodule", "micro"))
    ]
    others = [make_difference(score, unpaired=(3, 1)) for score in scores if score != POINTING]
    apart = make_difference(POINTING, method="nib", difference=DIFFERENCE.model_copy(update={"low": -0.1}))
    fields: dict[str, object] = {
        "created": MOMENT,
        "runs": (run, run.model_copy(update={"model": MODEL.model_copy(update={"name": "phantom-new"})})),
        "method": "m2ib",
        "differences": (*of_hits, *others, apart, make_difference(POINTING, method="rise", patients=3)),
        "answers": (make_answer(),),
        "protocol_sha256": "d" * 64,
        "planned": True,
        "multiplicity": "holm",
        "changed": tuple(make_changed(change) for change in ("won", "won", "lost")),
        "settings": (SettingDifference(name="m2ib.image_layer", first="3", second="9"),),
        "studies": 28,
        "changed_studies": (2, 1),
        "phrases": 60,
        "patients": 20,
        "intervals": "95 % intervals over patients",
        "phantom_images": True,
        "patient_data_shown": False,
    }
    return ModelComparisonRecord.model_validate(fields | changes)


def make_gallery(record: ModelComparisonRecord) -> tuple[GalleryPair, ...]:
    """Make a pair with pictures for the first phrase won, and for the first lost."""
    made = make_study()
    image = made.record.images[0]
    side = GallerySide(
        name="phantom",
        picture=made.pictures[image.picture],
        peak=(700.0, 500.0),
        address="../a/studies/k/index.html",
        outcome="miss",
        cosine=0.31,
    )
    other = replace(side, name="phantom-new", peak=None, outcome="hit")
    return tuple(
        GalleryPair(
            phrase=changed,
            rows=image.rows,
            columns=image.columns,
            boxes=image.boxes,
            sides=(side, other if changed.change == "won" else replace(other, outcome="unscored")),
        )
        for changed in (record.changed[0], record.changed[-1])
    )


def model_pages() -> Iterator[tuple[str, str]]:
    """Give the name and the HTML of each page."""
    record = make_model_comparison()
    yield "comparison of two models", render_model_comparison(record, make_gallery(record))
    key = record.changed[0].study
    yield "comparison of two models, all phrases", render_model_study(record, key, make_gallery(record))
    answers = (
        make_answer(conclusion="superior"),
        make_answer(conclusion="not-shown"),
        make_answer(margin=0.0, conclusion="not-shown"),
        make_answer(conclusion="not-shown", estimate=None, question=None, p_margin=None, p_superior=None),
    )
    alone = (make_difference(POINTING, difference=None, patients=1, **HITS),)
    after = make_model_comparison(
        planned=False, multiplicity="none", answers=answers, differences=alone, changed=(), settings=()
    )
    yield "comparison of two models on one patient", render_model_comparison(after, ())
    without = make_model_comparison(protocol_sha256=None, differences=(), changed=(), answers=())
    yield "comparison of two models without scores", render_model_comparison(without, ())
