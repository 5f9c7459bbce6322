"""Power and sizes follow the intervals that answer the questions, and never contradict themselves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import f_oneway
from simulated_cohorts import hits, variation

from audit.metrics.statistics import patient_interval
from audit.planning.clustering import Clustering, intraclass_correlation
from audit.planning.power import Design, precision_power
from audit.planning.sizes import Assumptions, plan_sizes, power_of
from reports.protocol_record import NonInferiorityQuestion, PrecisionQuestion, SubgroupQuestion, SuperiorityQuestion

ASSUMED = Assumptions(rate=0.6, blind_rate=0.45, icc=0.15)


def question(kind: str, margin: float) -> object:
    if kind == "precision":
        return PrecisionQuestion(kind="precision", name="a", half_width=margin)
    if kind == "superiority":
        return SuperiorityQuestion(kind="superiority", name="a", margin=margin)
    if kind == "non-inferiority":
        return NonInferiorityQuestion(kind="non-inferiority", name="a", margin=margin)
    return SubgroupQuestion(kind="subgroup gap", name="a", attribute="sex", group="female", margin=margin)


KINDS = ("precision", "superiority", "non-inferiority", "subgroup gap")


def patients_needed(kind: str, margin: float, **changes: float) -> int:
    plan = plan_sizes(
        [question(kind, margin)],
        ASSUMED.model_copy(update=changes),
        alpha=0.05,
        power=0.8,
        multiplicity="none",
    )
    size = plan.rows[0].question.size
    return 10**9 if size is None else size.patients


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None)
@given(patients=st.integers(4, 2000), more=st.integers(1, 500), margin=st.floats(0.02, 0.3), icc=st.floats(0.0, 0.6))
def test_more_patients_never_reduce_the_power(kind: str, patients: int, more: int, margin: float, icc: float) -> None:
    beyond = 0.02 if kind == "superiority" else margin  # the expected difference is 0.15
    assumed = ASSUMED.model_copy(update={"icc": icc})
    few, many = (power_of(question(kind, beyond), assumed, count, level=0.95) for count in (patients, patients + more))
    assert many >= few - 5e-3  # the quantiles of the design effect are a grid


@pytest.mark.parametrize("kind", ["precision", "non-inferiority", "subgroup gap"])
def test_a_larger_margin_never_raises_the_size(kind: str) -> None:
    sizes = [patients_needed(kind, margin) for margin in (0.04, 0.06, 0.1, 0.15, 0.25, 0.35)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > sizes[-1]


def test_a_larger_lead_to_show_raises_the_size_until_no_number_of_patients_is_enough() -> None:
    sizes = [patients_needed("superiority", margin) for margin in (0.0, 0.05, 0.1, 0.15, 0.2)]
    assert sizes == sorted(sizes)
    assert sizes[-2:] == [10**9, 10**9]  # the expected lead is 0.15


@pytest.mark.parametrize("kind", KINDS)
def test_correlation_within_patients_raises_the_size(kind: str) -> None:
    margin = 0.0 if kind == "superiority" else 0.08
    sizes = [patients_needed(kind, margin, icc=icc) for icc in (0.0, 0.1, 0.3, 0.6)]
    assert sizes == sorted(sizes)
    assert sizes[-1] > sizes[0]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_detectable_with_the_planned_patients_is_what_was_planned(kind: str) -> None:
    margin = 0.0 if kind == "superiority" else 0.12
    planned = patients_needed(kind, margin)
    asked = [question(kind, margin)]
    rows = [
        plan_sizes(asked, ASSUMED, alpha=0.05, power=0.8, multiplicity="none", at_hand=count).rows[0]
        for count in (planned, planned - 1)
    ]
    assert rows[0].power_at_hand >= 0.8 > rows[1].power_at_hand
    expected = ASSUMED.rate - ASSUMED.blind_rate if kind == "superiority" else margin
    assert rows[0].detectable == pytest.approx(expected, abs=0.005)


def test_holm_divides_alpha_by_the_tested_questions_alone() -> None:
    asked = [question(kind, 0.1).model_copy(update={"name": kind}) for kind in KINDS]
    plans = {rule: plan_sizes(asked, ASSUMED, alpha=0.06, power=0.8, multiplicity=rule) for rule in ("holm", "none")}
    assert (plans["holm"].tested_at, plans["none"].tested_at) == (pytest.approx(0.02), 0.06)
    sizes = {rule: [row.question.size.patients for row in plan.rows] for rule, plan in plans.items()}
    assert sizes["holm"][0] == sizes["none"][0]
    assert all(strict > plain for strict, plain in zip(sizes["holm"][1:], sizes["none"][1:], strict=True))


def test_the_planned_precision_is_reached_as_often_as_planned() -> None:
    generator = np.random.default_rng(5)
    found = [patient_interval(*hits(120, 2.0, 0.6, 0.2, generator)) for _ in range(400)]
    half_width = float(np.quantile([(each.high - each.low) / 2.0 for each in found], 0.8))
    clustering = Clustering(correlation=0.2, phrases_per_patient=2.0, variation=variation(2.0))
    planned = precision_power(Design(patients=120, clustering=clustering), rate=0.6, half_width=half_width)
    assert planned == pytest.approx(0.8, abs=0.07)  # three standard errors of 400 cohorts


def test_the_correlation_of_equally_large_patients_follows_from_their_analysis_of_variance() -> None:
    generator = np.random.default_rng(2)
    values = (generator.random((30, 4)) < generator.beta(1.5, 1.5, 30)[:, None]).astype(float)
    ratio = f_oneway(*values).statistic
    found = intraclass_correlation(values.ravel(), np.repeat(np.arange(30), 4).tolist())
    assert found == pytest.approx((ratio - 1.0) / (ratio + 3.0))


@pytest.mark.parametrize("correlation", [0.05, 0.3])
def test_the_correlation_is_found_in_simulated_patients(correlation: float) -> None:
    generator = np.random.default_rng(3)
    found = [intraclass_correlation(*hits(200, 2.5, 0.4, correlation, generator)) for _ in range(200)]
    assert np.mean(found) == pytest.approx(correlation, abs=0.02)


@pytest.mark.parametrize(
    ("values", "patients"),
    [([1.0, 0.0, 1.0], [1, 2, 3]), ([1.0, 0.0], [1, 1]), ([1.0, 1.0, 1.0], [1, 1, 2])],
    ids=["one phrase each", "one patient", "all alike"],
)
def test_a_correlation_that_the_data_cannot_show_is_none(values: list[float], patients: list[int]) -> None:
    assert intraclass_correlation(np.array(values), patients) is None
