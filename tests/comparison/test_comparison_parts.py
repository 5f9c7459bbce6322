"""What a comparison is made of: which methods, what they cost, what is left over references and baseline."""

import time
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.attribution.engine import Method
from audit.attribution.methods import METHODS, chosen_methods
from audit.attribution.pairs import Attribution, Maps, Pairs, Request
from audit.configuration import MethodConfig
from audit.encoders.loading import load_encoder
from audit.experiments import method_cost as measuring
from audit.experiments.comparison import baseline_of, build_methods
from audit.experiments.comparison_tables import compared_scores
from audit.experiments.method_cost import MeasuredMethod, PeakMemory
from audit.metrics.summary import score_table
from pipelines.errors import AuditError

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("given_names", "names"),
    [
        (["all"], tuple(METHODS)),
        (["nib, rise"], ("nib", "rise")),
        (["rise", "nib,rise"], ("rise", "nib")),
        (["nib,all"], tuple(METHODS)),
    ],
    ids=["all", "commas", "repeated", "all-wins"],
)
def test_methods_are_named_once_each(given_names: list[str], names: tuple[str, ...]) -> None:
    assert chosen_methods(MethodConfig(method=given_names).method) == names


def test_an_unknown_method_is_refused_with_a_list_of_those_that_are_known() -> None:
    with pytest.raises(AuditError, match="lime: unknown") as caught:
        chosen_methods(MethodConfig(method=["nib,lime"]).method)
    assert all(name in str(caught.value) for name in METHODS)
    with pytest.raises(AuditError, match="names none"):
        chosen_methods(MethodConfig(method=[" , "]).method)


def test_others_are_compared_with_m2ib_or_else_with_the_first() -> None:
    assert baseline_of(["nib", "m2ib"]) == "m2ib"
    assert baseline_of(["rise", "nib"]) == "rise"


def test_masks_are_those_of_the_methods_that_perturb_the_image_and_of_no_other() -> None:
    encoder = load_encoder("phantom", device=CPU)
    numbers = [
        {method.name: dict(method.hyperparameters(encoder)) for method in build_methods(tuple(METHODS), masks=masks)}
        for masks in (7, 9)
    ]
    assert list(numbers[0]) == list(METHODS)
    assert [name for name in METHODS if numbers[0][name] != numbers[1][name]] == ["rise", "kernel_shap"]
    assert (numbers[0]["rise"]["masks"], numbers[1]["kernel_shap"]["coalitions"]) == (7, 9)
    (rise,) = build_methods(("rise",), masks=7, numbers={"rise": {"masks": 11}})
    assert rise.hyperparameters(encoder)["masks"] == 11, "what is set for one method wins"
    with pytest.raises(AuditError, match="nib is not among the methods"):
        build_methods(("rise",), masks=7, numbers={"nib": {"steps": 2}})
    with pytest.raises(AuditError, match="--masks 1"):
        build_methods(("nib",), masks=1)


class Hungry(Method):
    """Takes a known time and a known amount of memory."""

    name, unit, explains_words, numbers = "hungry", "nats", True, MappingProxyType({})

    def hyperparameters(self, _encoder: object) -> dict[str, float]:
        return {"appetite": 1.0}

    def attribute(self, pairs: Pairs) -> Maps:
        raise NotImplementedError("it answers in explain_batch")

    def explain_batch(
        self, _encoder: object, requests: Sequence[Request], *, words: bool = True, **_clock: object
    ) -> tuple[tuple[Attribution, ...], ...]:
        held = np.ones(25_000_000)  # 200 MB
        time.sleep(0.05 if words else 0.02)
        assert held[-1] == 1.0
        answer = Attribution(heat=torch.full((2, 2), float(words)), words=(), cosine=0.5)
        return tuple(tuple(answer for _ in request.phrases) for request in requests)


def a_request(phrases: int) -> Request:
    return Request(pixels=torch.zeros(3, 4, 4), phrases=["a"] * phrases, seeds=list(range(phrases)))


def test_a_methods_cost_is_its_time_a_pair_and_its_peak_and_its_answers_are_its_own() -> None:
    measured = MeasuredMethod(Hungry(), CPU)
    encoder = load_encoder("phantom", device=CPU)
    for _ in range(2):
        explained = measured.explain_batch(encoder, [a_request(2), a_request(1)], words=False)
    assert [[float(each.heat.max()) for each in of_image] for of_image in explained] == [[0.0, 0.0], [0.0]]
    plain, with_words = measured.costs[False], measured.costs[True]
    assert plain.pairs == 6
    assert plain.seconds_a_pair is not None
    assert 0.04 / 6 <= plain.seconds_a_pair == plain.seconds / 6
    assert with_words.seconds_a_pair is None
    measured.explain_batch(encoder, [a_request(1)], words=True)
    assert (plain.pairs, with_words.pairs) == (6, 1)
    assert with_words.seconds >= 0.05
    if measuring.CLEAR_REFS.exists():
        assert 190e6 < (plain.peak_bytes or 0) < 260e6


def test_a_measured_method_has_the_references_of_the_method_itself() -> None:
    encoder, images = load_encoder("phantom", device=CPU), torch.randn(1, 3, 160, 160)
    for name in METHODS:
        method = METHODS[name]()
        measured = MeasuredMethod(method, CPU)
        words = method.untrained_words(encoder, ["Left effusion."])
        assert measured.untrained_words(encoder, ["Left effusion."]) == words
        heats = measured.untrained_heat(encoder, images), method.untrained_heat(encoder, images)
        assert (heats[0] is None) is (heats[1] is None) is (words is None), name
        assert heats[0] is None or torch.equal(*heats)


def test_memory_that_was_freed_before_is_not_counted_and_does_not_hide_what_comes() -> None:
    memory = PeakMemory(CPU)
    np.ones(50_000_000)
    with memory():
        small = np.ones(5_000_000)
    if memory.bytes is None:
        pytest.skip("this system has no high-water mark that can be reset")
    assert 0.9 * small.nbytes < memory.bytes < 3 * small.nbytes


@pytest.mark.gpu
def test_on_a_gpu_memory_is_what_torch_allocated_beyond_what_was_held() -> None:
    device = torch.device("cuda")
    held = torch.ones(4_000_000, device=device)
    memory = PeakMemory(device)
    with memory():
        inside = torch.ones(16_000_000, device=device)
        del inside
    assert memory.bytes is not None
    assert 64e6 <= memory.bytes < 70e6 < 64e6 + held.nbytes


def test_memory_is_not_measured_where_the_kernel_keeps_no_mark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(measuring, "CLEAR_REFS", tmp_path / "no such folder" / "clear_refs")
    measured = MeasuredMethod(Hungry(), CPU)
    measured.explain_batch(load_encoder("phantom", device=CPU), [a_request(1)], words=False)
    assert measured.costs[False].peak_bytes is None
    assert measured.costs[False].pairs == 1


def rows_of(values: dict[str, list[float | None]], *, score: str = "energy in box") -> pd.DataFrame:
    """A table of one score: a row a method and patient."""
    shared = {"study": "s", "phrase": 0, "side": None, "zone": None, "context": "present", "reason": None}
    return score_table(
        [
            {
                **shared,
                "image": f"i{place}",
                "patient": f"p{place}",
                "finding": "edema" if place % 2 else "nodule",
                "method": method,
                "score": score,
                "value": value,
                "outcome": "unscored" if value is None else "scored",
                "levels": None,
            }
            for method, of_method in values.items()
            for place, value in enumerate(of_method)
        ]
    )


def test_each_method_is_set_beside_the_best_blind_reference_and_the_baseline() -> None:
    table = rows_of(
        {
            "m2ib": [0.6, 0.5, 0.7, 0.4],
            "nib": [0.8, None, 0.9, 0.3],
            "centre": [0.1, 0.2, 0.1, 0.2],
            "class-mean box": [0.3, 0.3, 0.5, 0.1],
        }
    )
    found = {(s.method, s.averaging, s.finding): s for s in compared_scores(table, baseline="m2ib")}
    nib = found["nib", "micro", None]
    assert nib.to_reference is not None
    assert nib.to_baseline is not None
    assert nib.estimate == pytest.approx((0.8 + 0.9 + 0.3) / 3)
    assert (nib.to_reference.reference, nib.to_baseline.reference) == ("class-mean box", "m2ib")
    assert nib.to_reference.estimate == pytest.approx(np.mean([0.5, 0.4, 0.2]))
    assert nib.to_baseline.estimate == pytest.approx(np.mean([0.2, 0.2, -0.1]))
    assert (nib.to_baseline.scored, nib.scored, nib.unscored) == (3, 3, 1)
    macro = found["nib", "macro", None].to_baseline
    assert macro is not None
    assert macro.estimate == pytest.approx(np.mean([0.2, -0.1]))  # nodule: two of 0.2; edema: one
    of_edema = found["nib", "micro", "edema"].to_baseline
    assert of_edema is not None
    assert of_edema.estimate == pytest.approx(-0.1)
    assert found["m2ib", "micro", None].to_baseline is None
    assert found["centre", "micro", None].to_baseline is None
    assert found["centre", "micro", None].is_reference
    assert {score.kind for score in found.values()} == {"localisation"}


@pytest.mark.parametrize(
    ("score", "reference", "kind", "lower"),
    [
        ("image confidence drop", "shuffled nib", "faithfulness", True),
        ("ROAD", "shuffled nib", "faithfulness", False),
        ("heat on markers", "area share", "shortcut", True),
        ("hottest point on the named side", "area share", "shortcut", False),
    ],
)
def test_a_score_is_set_beside_its_own_kind_of_reference(score: str, reference: str, kind: str, lower: bool) -> None:
    table = rows_of({"nib": [0.4, 0.6], reference: [0.1, 0.5], "centre": [0.0, 0.0]}, score=score)
    own = next(s for s in compared_scores(table, baseline="nib") if s.method == "nib" and s.finding is None)
    assert own.to_reference is not None
    assert (own.to_reference.reference, own.kind, own.lower_is_better) == (reference, kind, lower)
    assert own.to_reference.estimate == pytest.approx(0.2)


@settings(max_examples=12)
@given(values=st.lists(st.floats(0.1, 0.9), min_size=2, max_size=6), shift=st.floats(-0.09, 0.09))
def test_a_share_that_is_the_baselines_plus_a_constant_differs_by_it_without_doubt(
    values: list[float], shift: float
) -> None:
    table = rows_of({"m2ib": list(values), "nib": [value + shift for value in values]})
    own = next(s for s in compared_scores(table, baseline="m2ib") if s.method == "nib")
    assert own.to_baseline is not None
    for number in (own.to_baseline.estimate, own.to_baseline.low, own.to_baseline.high):
        assert number == pytest.approx(shift, abs=1e-9)


def test_a_table_without_rows_has_no_scores() -> None:
    assert compared_scores(score_table([]), baseline="m2ib") == ()
