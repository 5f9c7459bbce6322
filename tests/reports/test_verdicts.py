"""The verdict on a run and what it rests on, as the cohort page and the studies' pages say it."""

from dataclasses import replace
from typing import get_args

import pytest
from made_up_cohort import make_cohort
from made_up_pages import every_step
from made_up_records import EFFUSION, NODULE, make_study
from markupsafe import escape

from reports.cohort_page import render_cohort
from reports.outcomes import lacks_evidence, warnings_of_place
from reports.record import Score
from reports.run_record import (
    ControlSummary,
    Estimate,
    EvidenceRecord,
    ScoreDifference,
    ScoreSummary,
    VerdictRecord,
    VerdictWord,
)
from reports.study_page import render_study
from reports.verdicts import (
    control_rows,
    evidence_sentences,
    faithfulness_rows,
    shortcut_rows,
    verdict_views,
)

RULE = "Intervals are over patients. 1. Few phrases: too few. 2. Else: grounded. The first that holds counts."


def estimate(value: float) -> Estimate:
    return Estimate(estimate=value, low=value - 0.1, high=value + 0.1, cases=31, patients=20)


def summary(score: str, method: str, value: float, **differences: tuple[float, float]) -> ScoreSummary:
    return ScoreSummary(
        method=method,
        score=score,
        finding=None,
        averaging="micro",
        estimate=value,
        low=value - 0.05,
        high=value + 0.05,
        scored=40,
        unscored=3,
        patients=20,
        differences=tuple(
            ScoreDifference(
                reference=name.replace("_", " "),
                estimate=(low + high) / 2,
                low=low,
                high=high,
                scored=40,
                patients=20,
            )
            for name, (low, high) in differences.items()
        ),
    )


CONTROL = ControlSummary(
    method="m2ib",
    control="shuffled report",
    phrases=31,
    pearson=estimate(0.25),
    hit=estimate(0.4),
    hit_fall=estimate(0.375),
    cosine_change=estimate(-0.1875),
)
EVIDENCE = EvidenceRecord(method="m2ib", unit="nats", floor=41.25, exceeds=estimate(0.8), tells=True, scale=70.0)
SHORTCUTS = (
    summary("hottest point on a marker", "m2ib", 0.91, area_share=(0.6, 0.9)),
    summary("hottest point on a marker", "area share", 0.12),
    summary("heat on the named side", "m2ib", 0.72, area_share=(0.1, 0.3)),
    summary("heat on the named side", "area share", 0.5),
    summary("heat outside the chest", "m2ib", 0.4, area_share=(-0.1, 0.1)),
    summary("heat outside the chest", "area share", 0.41),
)


def verdict(word: VerdictWord) -> VerdictRecord:
    return VerdictRecord(method="m2ib", verdict=word, because=("212 phrases could be scored",), rule=RULE)


@pytest.mark.parametrize("word", get_args(VerdictWord))
def test_every_verdict_stands_on_the_page_with_its_meaning_and_reasons(word: VerdictWord) -> None:
    made = make_cohort(2, verdicts=(verdict(word),))
    (view,) = verdict_views(made.run)
    page = render_cohort(made.run, [study.record for study in made.studies])
    assert (view.word, view.method, view.is_good) == (word, "M2IB", word == "grounded")
    assert view.because == ("212 phrases could be scored.",)
    assert (view.rule.before, view.rule.steps) == (
        "Intervals are over patients.",
        ("Few phrases: too few.", "Else: grounded. The first that holds counts."),
    )
    assert f"<strong>{word}</strong>" in page
    for text in (view.meaning, *view.because, view.rule.before, *view.rule.steps):
        assert escape(text) in page
    numbered = page.partition('<details class="rule">')[2].partition("</details>")[0]
    assert numbered.count("<li>") == numbered.partition("<ol>")[2].count("<li>") == len(view.rule.steps)


def test_the_action_is_shown_below_the_verdict_where_a_record_has_one() -> None:
    without = verdict("looks by habit")
    for record in (without, without.model_copy(update={"action": "Use another method & run again."})):
        made = make_cohort(2, verdicts=(record,))
        page = render_cohort(made.run, [study.record for study in made.studies])
        assert ('class="judgement-action"' in page) == bool(record.action)
        assert escape(record.action) in page


def test_the_tests_of_a_verdict_are_a_table_that_marks_the_one_that_decides() -> None:
    record = verdict("not better than a blind map").model_copy(update={"steps": every_step()})
    made = make_cohort(0, verdicts=(record,))
    (view,) = verdict_views(made.run)
    assert [step.answer for step in view.steps] == [*["yes", "no", "unknown", "unknown"] * 2, "yes"]
    assert [step.limit for step in view.steps] == ["100", "0.25", "–", "–", "0.25", "0.25", "–", "–", "0.25"]
    page = render_cohort(made.run, [])
    table = page.partition('<table class="plain tests steps">')[2].partition("</table>")[0]
    assert table.count("<tr") == 1 + len(view.steps)
    assert table.count("decides the verdict") == table.count('class="decides"') == 1
    assert table.count("0.40") == 4
    assert table.count("0.30 to 0.50") == 4
    assert 'class="because"' not in page


def test_a_verdict_of_an_older_version_has_neither_steps_nor_action() -> None:
    before = {"method": "m2ib", "verdict": "grounded", "because": ["it hits"], "rule": RULE}
    read = VerdictRecord.model_validate(before)
    assert (read.steps, read.action) == ((), "")


def test_each_control_stands_in_a_row_with_its_intervals() -> None:
    made = make_cohort(2, controls=(CONTROL, CONTROL.model_copy(update={"control": "negated", "hit": None})))
    shuffled, negated = control_rows(made.run)
    assert (shuffled.name, negated.name) == ("Another patient's phrase", "Negated")
    page = render_cohort(made.run, [study.record for study in made.studies])
    for shown in ("0.25", "0.15 to 0.35", "0.38", "the finding negated"):
        assert shown in page


def test_the_amount_of_heat_is_put_into_words_both_ways() -> None:
    told = evidence_sentences(make_cohort(1, evidence=(EVIDENCE,)).run)
    told += evidence_sentences(make_cohort(1, evidence=(EVIDENCE.model_copy(update={"tells": False}),)).run)
    assert "in 80\N{NARROW NO-BREAK SPACE}% of 31 phrases" in told[0]
    assert "41.2 nats" in told[0] or "41.3 nats" in told[0]
    assert "does not separate right from wrong phrases" in told[1]
    assert "41" not in told[1]


@pytest.mark.parametrize(
    ("total", "tells", "lacks"),
    [(41.0, True, True), (41.5, True, False), (41.0, False, False)],
    ids=["below", "above", "below where it says nothing"],
)
def test_a_phrase_lacks_evidence_only_below_a_floor_that_tells(total: float, tells: bool, lacks: bool) -> None:
    phrase = replace(make_study("a", (EFFUSION,)).record.images[0].phrases[0], total_nats=total)
    assert lacks_evidence(phrase, EVIDENCE.model_copy(update={"tells": tells})) is lacks
    assert not lacks_evidence(phrase, None)


def test_faithfulness_stands_beside_the_shuffled_heat_and_says_which_way_is_better() -> None:
    shuffled = {"shuffled m2ib": (0.1, 0.2)}
    summaries = (
        summary("image confidence drop", "m2ib", 0.25).model_copy(update={"differences": _differences(shuffled)}),
        summary("image confidence increase", "m2ib", 0.5).model_copy(update={"differences": _differences(shuffled)}),
        summary("energy in box", "m2ib", 0.5).model_copy(update={"differences": _differences(shuffled)}),
    )
    rows = faithfulness_rows(make_cohort(1, summaries=summaries).run)
    assert [(row.name, row.better) for row in rows] == [
        ("Image confidence drop", "lower"),
        ("Image confidence increase", "higher"),
    ]


def _differences(named: dict[str, tuple[float, float]]) -> tuple[ScoreDifference, ...]:
    return tuple(
        ScoreDifference(reference=name, estimate=(low + high) / 2, low=low, high=high, scored=9, patients=9)
        for name, (low, high) in named.items()
    )


def test_heat_in_the_wrong_place_is_called_worse_than_plain_area() -> None:
    rows = shortcut_rows(make_cohort(1, summaries=SHORTCUTS).run)
    assert [(row.name, row.better, row.area, row.word) for row in rows] == [
        ("Peak on a marker", "lower", 0.12, "worse"),
        ("Heat on the named side", "higher", 0.5, "better"),
        ("Heat outside the chest", "lower", 0.41, "no different"),
    ]


def test_shares_below_a_hundredth_are_printed_so_that_better_and_worse_can_be_seen() -> None:
    small = (
        summary("heat on markers", "m2ib", 0.0042, area_share=(0.001, 0.003)),
        summary("heat on markers", "area share", 0.0021),
    )
    page = render_cohort(make_cohort(1, summaries=small).run, [])
    row = page[page.index(">Heat on markers") : page.index(">worse<")]
    assert "0.0042" in row
    assert "0.0021" in row


def test_the_cohort_page_has_a_section_for_markers_only_where_the_run_measured_them() -> None:
    with_them, without = make_cohort(1, summaries=SHORTCUTS), make_cohort(1)
    pages = [render_cohort(made.run, [study.record for study in made.studies]) for made in (with_them, without)]
    assert ['id="shortcuts-title"' in page for page in pages] == [True, False]
    assert "0.86 to 0.96" in pages[0]


def placed(score: str, value: float) -> Score:
    return Score(method="m2ib", score=score, value=value, outcome="scored")


@pytest.mark.parametrize(
    ("score", "value", "short", "sentence"),
    [
        (
            "hottest point on a marker",
            1.0,
            "on a marker",
            "The peak of the heat lies on letters or a marker on the image.",
        ),
        (
            "hottest point on the named side",
            0.0,
            "other side",
            "The phrase says left; the peak of the heat lies on the patient's other side.",
        ),
        (
            "hottest point in the named zone",
            0.0,
            "other zone",
            "The phrase says lower zone; the peak of the heat lies at another height of the lungs.",
        ),
    ],
    ids=["marker", "side", "zone"],
)
def test_a_hottest_point_in_the_wrong_place_is_said_at_the_phrase(score, value, short, sentence, open_study) -> None:
    made = make_study("a", (EFFUSION, NODULE))
    image = made.record.images[0]
    first = replace(image.phrases[0], scores=(placed(score, value),), side="left", zone="lower")
    assert warnings_of_place(first, method="m2ib") == ((short, sentence),)
    assert warnings_of_place(first, method="nib") == ()
    right = replace(first, scores=(placed(score, 1.0 - value),))
    assert warnings_of_place(right, method="m2ib") == ()
    changed = replace(image, phrases=(first, *image.phrases[1:]))
    made.record = made.record.model_copy(update={"images": (changed,)})
    page = open_study(made)
    assert page.locator(".warned").all_inner_texts()[0] == sentence
    assert short in page.locator(".card").first.inner_text()


def test_beside_a_phrase_stands_how_often_a_blind_map_hits_its_finding(open_page, cohort) -> None:
    made = cohort.studies[0]
    page = open_page(render_study(made.record, heats=made.heats, pictures=made.pictures, run=cohort.run))
    finding = made.record.images[0].phrases[0].finding
    references = [
        summary
        for summary in cohort.run.summaries
        if (summary.finding, summary.score) == (finding, "pointing game, tau 0") and summary.method != "m2ib"
    ]
    best = max(references, key=lambda summary: summary.estimate)
    said = page.locator(".blind-share").first.inner_text()
    assert f"{100 * best.estimate:.0f}\u202f% of the run's {best.scored} phrases of {finding}." in said
    assert said.startswith("A map made without looking at the image (")
