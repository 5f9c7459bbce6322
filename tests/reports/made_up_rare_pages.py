"""Pages that say what is seldom said, and name every method, score and group: what the test of their texts reads."""

from collections.abc import Iterator
from dataclasses import replace

from made_up_absence import denying, run_with_denials
from made_up_cases import ALL, NO_RELIANCE, answered_run, cohort_of, with_differences
from made_up_cohort import make_cohort
from made_up_comparison import DIFFERENCE, make_comparison
from made_up_pages import make_gap, make_subgroup
from made_up_protocol import make_protocol
from made_up_records import EFFUSION, HEART, NODULE, MadeUp, make_study

from pipelines.geometry import Fit
from pipelines.study import Orientation, SideMarker
from reports.cohort_page import render_cohort
from reports.comparison_page import render_comparison
from reports.comparison_record import ComparedScore, ComparisonRecord
from reports.record import ErasedRecord, ReportRecord, Score, ScoredPhrase
from reports.score_catalogue import BLIND_METHODS, POINTING, POINTING_NEAR, REFERENCES, SCORES
from reports.study_page import render_study
from reports.texts import all_texts

ALL_MIRRORED = (Orientation.MIRRORED,) * 100


def rare_pages() -> Iterator[tuple[str, str]]:
    """Give the name and the HTML of each page."""
    yield "study of rare outcomes", _study(_rare_outcomes())
    yield "study of misses nearby, stretched", _study(_stretched_misses())
    yield "study without a score", _study(make_study("u", (HEART,)))
    for at_left in (True, False):
        yield f"study whose marker contradicts its header, at the left {at_left}", _study(_contradicted(at_left))
    yield "study whose report is masked whole", _study(_masked_whole())
    for asserted in (0.1, 0.4, 0.9):
        made = denying(asserted)
        yield (
            f"normal study, {asserted}",
            render_study(made.record, heats=made.heats, pictures=made.pictures, run=run_with_denials()),
        )
    yield "cohort with a normal study", render_cohort(run_with_denials(), [denying(0.1).record])
    yield "study of falls and rises", _study(_falls_and_rises())
    yield "comparison of everything", render_comparison(_everything_compared())
    yield "comparison on few patients", render_comparison(compared_over(patients=4))
    yield "comparison with a blind map as good", render_comparison(compared_over(low=-0.1))
    for reference in BLIND_METHODS:
        run = make_cohort(1, hits=0.2).run
        of_reference = (s for s in run.summaries if s.method in {"m2ib", "class-mean box"})
        named = (s if s.method == "m2ib" else s.model_copy(update={"method": reference}) for s in of_reference)
        yield f"cohort beside {reference}", render_cohort(run.model_copy(update={"summaries": tuple(named)}), [])
    for sd, answer in ((0.1, 0.2), (None, -0.2)):
        run, studies = cohort_of((*ALL, *(NO_RELIANCE,) * 12), sd=sd)
        tested = with_differences(answered_run(recognised=run.recognised, cosine_sd=sd), answer)
        yield f"cohort of reasons, sd {sd}", render_cohort(tested, studies)
    run = make_cohort(1, subgroups=_every_group()).run
    turned = [make_study(f"t{place}", (HEART,), lies=lies) for place, lies in enumerate((*Orientation, *ALL_MIRRORED))]
    yield "cohort of turned images", render_cohort(run, [made.record for made in turned])
    yield from ((f"study {made.record.key}, turned", _study(made)) for made in turned[:5])
    alone = tuple(summary for summary in run.summaries if summary.method == "m2ib")
    yield "cohort of groups, without a reference", render_cohort(run.model_copy(update={"summaries": alone}), [])
    for name, protocol in (
        ("planned", make_protocol()),
        ("planned late, without adjustment", make_protocol(before_results=False, multiplicity="none")),
        ("with other boxes than planned", make_protocol(own_boxes=False)),
    ):
        yield f"cohort {name}", render_cohort(make_cohort(1, protocol=protocol).run, [])


def compared_over(**changes: object) -> ComparisonRecord:
    """Make a comparison whose differences to the best blind map are changed."""
    made = make_comparison(scored=True)
    changed = DIFFERENCE.model_copy(update=changes)
    scores = (each.model_copy(update={"to_reference": each.to_reference and changed}) for each in made.scores)
    return made.model_copy(update={"scores": tuple(scores)})


FALLS_AND_RISES = (
    (0.2, (0.1,)),  # of the cosine without the region, and without each equal area elsewhere; below 0: a rise
    (0.2, (-0.1,)),
    (-0.1, (-0.2,)),
    (0.2, (0.1, 0.25)),
    (0.1, (0.2, -0.3)),
    (-0.1, (0.05, -0.35)),
    (0.1, (0.2,)),
    (-0.2, (0.1,)),
    (-0.2, (-0.1,)),
)


def _falls_and_rises() -> MadeUp:
    """Make a study with a phrase for each way in which the cosine may change with regions erased."""
    made = make_study("rise", (EFFUSION,) * len(FALLS_AND_RISES))
    (image,) = made.record.images
    phrases = tuple(
        replace(
            phrase,
            erased=ErasedRecord(
                fill="inpainting",
                region=phrase.cosine - region,
                elsewhere=tuple(phrase.cosine - fall for fall in elsewhere),
                blank=0.0,
            ),
        )
        for phrase, (region, elsewhere) in zip(image.phrases, FALLS_AND_RISES, strict=True)
    )
    record = made.record.model_copy(update={"images": (replace(image, phrases=phrases),)})
    return MadeUp(record=record, heats=made.heats, pictures=made.pictures)


def names_in(section: str) -> list[str]:
    """List what a section of the texts has words for."""
    return [key.removeprefix(f"{section}.") for key in all_texts() if key.startswith(f"{section}.")]


def _study(made: MadeUp) -> str:
    return render_study(made.record, heats=made.heats, pictures=made.pictures)


def _contradicted(at_left: bool) -> MadeUp:
    made = make_study("c", (HEART,))
    marker = SideMarker(letter="L" if at_left else "R", at_left=at_left)
    image = replace(made.record.images[0], side_marker=marker)
    return replace(made, record=made.record.model_copy(update={"images": (image,)}))


def _pointing(outcome: str, *, near: str = "miss", reason: str | None = None) -> tuple[Score, ...]:
    return tuple(
        Score(method="m2ib", score=score, value=None, outcome=found, reason=reason)  # type: ignore[arg-type]
        for score, found in ((POINTING, outcome), (POINTING_NEAR, near))
    )


def _rare_outcomes() -> MadeUp:
    made = make_study("r", (EFFUSION,) * 5 + (NODULE,), (replace(EFFUSION, finding=None),))
    first, second = made.record.images
    changes: list[dict[str, object]] = [
        {"scores": _pointing("miss")},
        {"scores": _pointing("miss"), "hottest": None},
        {"scores": _pointing("hit"), "finding": None},
        {"scores": ()},
        {"scores": _pointing("unscored")},
        {"scores": _pointing("miss", near="hit")},
    ]
    boxes = (*first.boxes[:1], *first.boxes[5:])  # one for the effusion
    phrases: list[ScoredPhrase] = [
        replace(phrase, **(change | {"side": side, "zone": zone, "context": context}))
        for phrase, change, side, zone, context in zip(
            first.phrases,
            changes,
            names_in("side") * 2,
            names_in("zone") * 2,
            (names_in("context") * 2)[: len(changes)],
            strict=True,
        )
    ]
    image = replace(first, boxes=boxes, phrases=tuple(phrases), frame=2, frames=3)
    made.record = made.record.model_copy(update={"images": (image, second)})
    return made


def _stretched_misses() -> MadeUp:
    """A miss within the tolerance, of one box and of several, on an image that was stretched."""
    made = make_study("q", (EFFUSION, NODULE), fit=Fit.STRETCH)
    (image,) = made.record.images
    phrases = tuple(replace(p, scores=_pointing("miss", near="hit")) for p in image.phrases)
    made.record = made.record.model_copy(update={"images": (replace(image, phrases=phrases),)})
    return made


def _masked_whole() -> MadeUp:
    made = make_study("w", (HEART,))
    report = ReportRecord(text="[masked]", words=4, masked_words=4, header_too_large=True)
    made.record = made.record.model_copy(update={"report": report})
    return made


def _every_group():  # type: ignore[no-untyped-def]
    return tuple(
        make_subgroup(attribute=attribute, value=value, gap=make_gap(0.00001))
        for attribute in names_in("attribute")
        for value in ("a", "b")
    )


def _everything_compared() -> ComparisonRecord:
    """Every method with every score; each score of place over another reference."""
    plain = make_comparison(scored=True)
    methods = [name for name in names_in("method") if name not in REFERENCES]
    scores = []
    for place, score in enumerate(names_in("score")):
        kind = SCORES[score].kind
        over = DIFFERENCE.model_copy(update={"reference": REFERENCES[place % 5]})
        unclear = over.model_copy(update={"low": -0.1})
        scores += [
            plain.scores[0].model_copy(
                update={"method": name, "is_reference": name in REFERENCES, "kind": kind, "score": score}
                | {"to_reference": None if name in REFERENCES else unclear if name == methods[0] else over}
            )
            for name in (*methods, *REFERENCES)
        ]
    return plain.model_copy(
        update={
            "methods": tuple(
                plain.methods[0].model_copy(update={"name": name, "own_settings": {}}) for name in methods
            ),
            "scores": tuple(ComparedScore.model_validate(score.model_dump()) for score in scores),
        }
    )
