"""The sentences before the numbers say what the numbers say."""

from dataclasses import replace

import pytest
from made_up_cohort import make_cohort
from made_up_records import EFFUSION, FLAT, HEART, NODULE, Claim, make_study

from pipelines.geometry import Fit
from reports.outcomes import best_reference, cohort_summary, masking_summary, study_summary, verdict_on
from reports.page import format_heat, format_number, format_percent
from reports.record import ReportRecord, Score, TokenHeat
from reports.run_record import ScoreSummary
from reports.study_page import shaded_text


def verdict_of(claim: Claim, **changes: object):
    image = make_study("a", (claim,)).record.images[0]
    return verdict_on(replace(image.phrases[0], **changes), image, method="m2ib")


def pointing(outcome: str, *, tau: int = 0, reason: str | None = None) -> Score:
    value = {"hit": 1.0, "miss": 0.0}.get(outcome)
    score = f"pointing game, tau {tau}"
    return Score(method="m2ib", score=score, value=value, outcome=outcome, reason=reason)


@pytest.mark.parametrize(
    ("claim", "changes", "sentence"),
    [
        (EFFUSION, {}, "The peak of the heat lies inside the radiologist's box for pleural effusion."),
        (NODULE, {}, "The peak of the heat lies outside every one of the radiologist's boxes for nodule."),
        (
            NODULE,
            {"scores": (pointing("hit"),)},
            "The peak of the heat lies inside one of the radiologist's boxes for nodule.",
        ),
        (
            EFFUSION,
            {"scores": (pointing("miss"), pointing("hit", tau=15))},
            (
                "The peak of the heat lies outside the radiologist's box for pleural effusion, "
                "but close (within 15 model-input pixels)."
            ),
        ),
        (
            EFFUSION,
            {"scores": (pointing("miss"),), "hottest": None},
            "The map points nowhere: it has no single peak. That counts as a miss.",
        ),
        (HEART, {}, "Not scored: nobody drew a box for cardiomegaly on this image."),
        (EFFUSION, {"scores": ()}, "Not scored."),
        (
            EFFUSION,
            {"scores": (pointing("unscored", reason="the box lies outside the crop."),)},
            "Not scored: the box lies outside the crop.",
        ),
    ],
    ids=["inside", "outside all", "inside one", "near", "nowhere", "no box", "no scores", "reason with a full stop"],
)
def test_a_verdict_says_what_the_pointing_game_found(claim, changes, sentence):
    assert verdict_of(claim, **changes).sentence == sentence


@pytest.mark.parametrize(("claim", "boxes"), [(EFFUSION, "the"), (NODULE, "every one of the")])
def test_on_a_stretched_film_close_is_an_ellipse(claim, boxes):
    """15 px of a model input of 224 px are 15 / 224 of each side."""
    image = make_study("a", (claim,), fit=Fit.STRETCH).record.images[0]
    near = replace(image.phrases[0], scores=(pointing("miss"), pointing("hit", tau=15)))
    sentence = verdict_on(near, image, method="m2ib").sentence
    assert sentence.startswith(f"The peak of the heat lies outside {boxes} radiologist's box")
    down, across = round(image.rows * 15 / 224), round(image.columns * 15 / 224)
    assert down != across
    assert sentence.endswith(
        "but close (within 15 model-input pixels; "
        f"on the image, which was stretched, {down} px down and {across} px across)."
    )


def test_the_study_summary_counts_hits_among_scored_phrases_only():
    record = make_study("a", (EFFUSION, NODULE, HEART, FLAT)).record
    assert study_summary(record) == (
        "4 phrases on 1 image. The peak of the heat lies inside the radiologist's box for 1 of 2 scored phrases; "
        "2 not scored."
    )


@pytest.mark.parametrize(
    ("claims", "end"),
    [
        ((), "No phrase was given to the model for 1 image."),
        ((HEART,), "1 phrase on 1 image. None could be scored against a radiologist's box."),
        ((EFFUSION,), "radiologist's box for 1 of 1 scored phrase."),
    ],
    ids=["no phrase", "none scored", "all scored"],
)
def test_the_study_summary_of_small_studies_reads_right(claims, end):
    assert study_summary(make_study("a", claims).record).endswith(end)


def test_the_cohort_summary_stands_beside_the_best_blind_reference():
    made = make_cohort(2)
    text = " ".join(cohort_summary(made.run, studies=len(made.studies), phrases=12)).replace("\u202f", " ")
    assert text.startswith("2 studies audited, ")
    assert "in 85 % (95 % interval 78 to 92) of 55 scored phrases" in text
    assert "without looking at the image, a class-mean box would do so in 37 %." in text
    assert "6 phrases could not be scored." in text
    assert "does not show" not in text


def test_a_method_that_does_not_clear_the_blind_reference_is_said_to_show_nothing():
    text = " ".join(cohort_summary(make_cohort(1, hits=0.38).run, studies=0, phrases=0))
    assert "this run does not show that the model uses the image" in text


def test_a_method_that_looks_at_the_image_is_never_the_blind_reference():
    run = make_cohort(1).run
    peer = next(each for each in run.summaries if each.method == "m2ib").model_copy(
        update={"method": "gradcam", "estimate": 0.99}
    )
    assert best_reference(run.model_copy(update={"summaries": (*run.summaries, peer)})).method == "class-mean box"


def test_a_cohort_without_a_score_says_so():
    unscored = ScoreSummary(
        method="m2ib",
        score="pointing game, tau 0",
        finding=None,
        averaging="micro",
        estimate=None,
        low=None,
        high=None,
        scored=0,
        unscored=3,
        patients=0,
    )
    run = make_cohort(1, summaries=(unscored,)).run
    assert cohort_summary(run, studies=0, phrases=0)[-1] == "No phrase could be scored against a radiologist's box."


@pytest.mark.parametrize(
    ("words", "pieces"),
    [
        (["small", "effusion"], [("Small", 1), (" ", 0), ("Effusion", 2), (".", 0)]),
        (["small"], [("Small", 1), (" Effusion.", 0)]),
        (["effusion"], [("Small Effusion.", 0)]),
        (["small", "fluid"], [("Small Effusion.", 0)]),
        ([], [("Small Effusion.", 0)]),
    ],
    ids=["all words", "cut short", "a word passed over", "another word", "no word"],
)
def test_shading_lies_behind_its_own_word_or_nowhere(words, pieces):
    tokens = [TokenHeat(word=word, nats=1.0) for word in words]
    shaded = shaded_text("Small Effusion.", tokens, range(1, len(words) + 1))
    assert [(piece.text, piece.shade) for piece in shaded] == pieces


def test_shading_never_changes_the_sentence():
    for text in ("İnfiltrat links, groß.", "a  b", "ﬁne ﬁbrosis"):
        tokens = [TokenHeat(word=word.lower(), nats=1.0) for word in text.split()]
        assert "".join(piece.text for piece in shaded_text(text, tokens, [1] * len(tokens))) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (float("nan"), "–"), (0.125, "0.12"), (-0.5, "−0.50"), (-0.001, "0.00"), (1234.5, "1,234.50")],
    ids=["none", "nan", "half to even", "negative", "no negative zero", "thousands"],
)
def test_numbers_are_printed_with_their_true_sign_and_never_as_nan(value, text):
    assert format_number(value) == text


def test_a_share_is_printed_as_a_percentage():
    assert (format_percent(0.854), format_percent(None)) == ("85\u202f%", "–")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (12.345, "12.3"),
        (0.0, "0.0"),
        (0.1, "0.1"),
        (0.04321, "0.043"),
        (-0.00051, "−0.00051"),
        (1e-12, "0.00000000"),
        (None, "–"),
    ],
)
def test_little_heat_keeps_two_figures(value, text):
    assert format_heat(value) == text


def test_a_page_tells_how_many_words_of_the_report_are_masked() -> None:
    record = make_study("a", (EFFUSION, NODULE)).record
    told = record.model_copy(update={"report": ReportRecord(text="Small [masked].", words=18, masked_words=1)})
    assert masking_summary(told) == "1 of 18 words in the report masked"
    all_masked = ReportRecord(text="[masked]", words=18, masked_words=18, header_too_large=True)
    assert "whole report is masked" in masking_summary(record.model_copy(update={"report": all_masked}))
    old = record.model_copy(update={"report": ReportRecord(text="Small [masked].")})
    assert masking_summary(old) == "names, dates and numbers masked"
    assert masking_summary(told.model_copy(update={"patient_data_shown": True})) == "shown"
