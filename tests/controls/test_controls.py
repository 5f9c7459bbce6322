"""Controls: which phrases, which sentences in their place, and what becomes of the heat."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from made_up_image import made_up_image
from scipy.stats import pearsonr

from audit.attribution.bottleneck import BottleneckSettings
from audit.attribution.m2ib import M2IB
from audit.attribution.pairs import Request
from audit.controls.evidence import ControlRow, evidence_of, pearson, summarise_controls
from audit.controls.explained import explain_controls, rewindowed
from audit.controls.plan import Control, ControlPlan, negated, nonsense, side_swapped
from audit.encoders.loading import load_encoder
from pipelines.findings import findings_in
from pipelines.study import Box, Case, Context, Image, Phrase, Report, Side, Study
from pipelines.transforms import Preprocessing


def image(name: str) -> Image:
    return made_up_image(
        f"{name}.dcm",
        sop_instance_uid=f"image of {name}",
        study_instance_uid=f"study of {name}",
        patient_id=name,
        columns=100,
    )


def phrase(finding: str | None, text: str | None = None, side: Side | None = None) -> Phrase:
    return Phrase(
        text=text or f"There is {finding}.", section="findings", finding=finding, context=Context.PRESENT, side=side
    )


def study(name: str, *findings: str, boxed: bool = True) -> Study:
    boxes = tuple(Box(x=10, y=10, width=20, height=20, label=finding) for finding in findings) if boxed else ()
    case = Case(image=image(name), phrases=tuple(phrase(finding) for finding in findings), boxes=boxes)
    return Study(
        study_instance_uid=case.image.study_instance_uid,
        report=Report(source=name, text=""),
        report_joined_by="file name",
        cases=(case,),
    )


COHORT = (
    study("one", "nodule", "cardiomegaly"),
    study("two", "pleural effusion"),
    study("three", "pneumothorax", boxed=False),
    study("four", "nodule"),
)


@pytest.mark.parametrize(
    ("text", "swapped"),
    [
        ("There is a left pleural effusion.", "There is a right pleural effusion."),
        ("RIGHT BASE OPACITY", "LEFT BASE OPACITY"),
        ("Right-sided pneumothorax.", "Left-sided pneumothorax."),
        ("Opacity in the left base, left effusion.", "Opacity in the right base, right effusion."),
        ("The heart is enlarged.", None),
        ("Effusions on the left and right.", None),
        ("The bright and uplifted.", None),
    ],
    ids=["plain", "capitals", "sided", "twice", "no side", "both sides", "inside words"],
)
def test_the_named_side_is_swapped_and_nothing_else(text: str, swapped: str | None) -> None:
    assert side_swapped(text) == swapped
    if swapped is not None:
        assert side_swapped(swapped) == text


@given(words=st.integers(1, 40), seed=st.integers(0, 2**32))
def test_nonsense_names_no_finding_and_is_never_long(words: int, seed: int) -> None:
    sentence = nonsense(" ".join(["word"] * words), np.random.default_rng(seed))
    assert not findings_in(sentence)
    assert len(sentence.split()) == min(words, 6)


def test_a_finding_is_denied_in_the_words_that_reports_use() -> None:
    assert negated(phrase("pleural effusion")) == "No evidence of pleural effusion."
    assert negated(phrase(None, "Stable.")) is None


def test_the_sample_takes_phrases_with_boxes_first_and_is_the_same_in_any_order() -> None:
    plan, turned = (ControlPlan(studies, sample=4, seed=3) for studies in (COHORT, COHORT[::-1]))
    assert len(plan) == 4
    assert not plan.of(COHORT[2].cases[0])
    for each in COHORT:
        assert plan.of(each.cases[0]) == turned.of(each.cases[0])
    assert len(ControlPlan(COHORT, sample=0, seed=3)) == 0
    assert len(ControlPlan(COHORT, sample=99, seed=3)) == 5


def test_a_shuffled_report_is_another_patients_about_a_finding_that_this_one_lacks() -> None:
    plan = ControlPlan(COHORT, sample=99, seed=0)
    own = {each.cases[0].image.patient_id: {p.finding for p in each.cases[0].phrases} for each in COHORT}
    for each in COHORT:
        for planned in plan.of(each.cases[0]):
            (given_finding,) = [mention.finding for mention in findings_in(planned.texts[Control.SHUFFLED])]
            assert given_finding not in own[each.cases[0].image.patient_id]


def test_a_cohort_of_one_patient_has_no_shuffled_report() -> None:
    plan = ControlPlan((study("one", "nodule", "cardiomegaly"),), sample=9, seed=0)
    for planned in plan.of(study("one", "nodule", "cardiomegaly").cases[0]):
        assert set(planned.texts) == {Control.NONSENSE, Control.NEGATED}


def test_controls_keep_the_noise_and_change_one_thing() -> None:
    encoder, method = load_encoder("phantom"), M2IB(BottleneckSettings(steps=3, samples=2))
    case = COHORT[0].cases[0]
    planned = ControlPlan(COHORT, sample=99, seed=0).of(case)
    pixels = torch.rand(3, 160, 160, generator=torch.Generator().manual_seed(1))
    request = Request(pixels=pixels, phrases=[p.text for p in case.phrases], seeds=[5, 6])
    found = explain_controls(method, encoder, request, planned)
    assert {(control.index, control.control) for control in found} == {
        (index, control)
        for index in (0, 1)
        for control in Control
        if control is not Control.SIDE_SWAPPED  # neither phrase names a side
    }
    shuffled = next(control for control in found if control.control is Control.SHUFFLED and control.index == 1)
    (alone,) = method.explain_batch(
        encoder, [Request(pixels=pixels, phrases=[str(shuffled.text)], seeds=[6])], words=False
    )[0]
    torch.testing.assert_close(shuffled.explanation.heat, alone.heat)
    again = next(control for control in found if control.control is Control.SECOND_SEED and control.index == 1)
    (original,) = method.explain_batch(
        encoder, [Request(pixels=pixels, phrases=[case.phrases[1].text], seeds=[6])], words=False
    )[0]
    assert again.explanation.cosine == pytest.approx(original.cosine)
    assert not torch.equal(again.explanation.heat, original.heat)


def test_another_window_spreads_the_middle_of_the_picture_and_leaves_padding_black() -> None:
    preprocessing = Preprocessing(size=64, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
    mean, std = (torch.tensor(values)[:, None, None] for values in (preprocessing.mean, preprocessing.std))
    display = torch.linspace(0.3, 0.6, 64 * 64).reshape(64, 64)
    display[:, :16] = 0.0
    shown = rewindowed((display - mean) / std, preprocessing) * std + mean
    torch.testing.assert_close(shown[:, :, :16], torch.zeros(3, 64, 16), atol=1e-6, rtol=0)
    inside = shown[0, :, 16:]
    assert (float(inside.min()), float(inside.max())) == (pytest.approx(0, abs=1e-6), pytest.approx(1, abs=1e-6))
    kept = (inside > 1e-4) & (inside < 1 - 1e-4)
    values, levels = inside[kept], display[:, 16:][kept]
    assert pearsonr(values.numpy(), levels.numpy()).statistic == pytest.approx(1.0, abs=1e-5)
    assert float(kept.float().mean()) == pytest.approx(0.9, abs=0.02)
    flat = torch.zeros(3, 64, 64)
    assert torch.equal(rewindowed(flat, Preprocessing(size=64, mean=(0, 0, 0), std=(1, 1, 1))), flat)


@given(seed=st.integers(0, 2**32), scale=st.floats(1e-6, 1e6), shift=st.floats(-10, 10))
def test_correlation_is_scipys_and_blind_to_scale(seed: int, scale: float, shift: float) -> None:
    one, other = np.random.default_rng(seed).random((2, 4, 5))
    expected = pearsonr(one.ravel(), other.ravel()).statistic
    assert pearson(one, other) == pytest.approx(expected, abs=1e-9)
    assert pearson(one * scale + shift, other) == pytest.approx(expected, abs=1e-3)


def test_a_flat_or_broken_map_correlates_with_nothing() -> None:
    ramp = np.arange(6.0).reshape(2, 3)
    assert pearson(ramp, np.ones((2, 3))) is None
    assert pearson(ramp, np.full((2, 3), np.nan)) is None


def row(patient: str, **changes: object) -> ControlRow:
    values: dict[str, object] = {
        "patient": patient,
        "method": "m2ib",
        "control": "shuffled report",
        "pearson": 0.5,
        "hit": False,
        "hit_before": True,
        "cosine": 0.1,
        "cosine_before": 0.4,
        "total": 8.0,
        "total_before": 10.0,
    }
    return ControlRow(**{**values, **changes})


def test_a_summary_counts_falls_on_the_phrases_that_have_boxes_only() -> None:
    rows = [
        row("a"),
        row("b", hit=True),
        row("c", hit_before=False),
        row("d", hit=None, hit_before=None, pearson=None),
        row("a", control="second seed", hit=True, pearson=1.0),
    ]
    shuffled, second = summarise_controls(rows)
    assert (shuffled.control, shuffled.phrases) == ("shuffled report", 4)
    assert shuffled.hit is not None
    assert shuffled.hit_fall is not None
    assert (shuffled.hit.cases, shuffled.hit.estimate) == (3, pytest.approx(1 / 3))
    assert shuffled.hit_fall.estimate == pytest.approx(1 / 3)
    assert shuffled.pearson is not None
    assert (shuffled.pearson.cases, shuffled.cosine_change.estimate) == (3, pytest.approx(-0.3))
    assert (second.control, second.phrases) == ("second seed", 1)


@pytest.mark.parametrize(("total", "tells"), [(8.0, True), (12.0, False)], ids=["wrong phrases lower", "higher"])
def test_totals_mark_phrases_only_where_they_tell_right_from_wrong(total: float, tells: bool) -> None:
    rows = [row(str(patient), total=total) for patient in range(12)]
    (found,) = evidence_of(rows, {"m2ib": [1.0, 2.0, 3.0]}, {"m2ib": "nats"})
    assert (found.floor, found.tells, found.exceeds.estimate) == (total, tells, float(tells))
    assert 2.9 < found.scale <= 3.0
    assert evidence_of([], {"m2ib": [1.0]}, {"m2ib": "nats"}) == ()
