"""Control charts agree with independent references, and find what they are for."""

import numpy as np
import pandas as pd
import pytest
from made_up_audits import hit_series, hits_of
from scipy.stats import chi2_contingency, ks_2samp, kstwobign

from audit.watching.charts import change_point, distance_chart, ewma_chart, mean_chart
from audit.watching.monitoring import monitor
from audit.watching.reference_mean import Cases, ReferenceMean, patients_of

SHARE = (0.0, 1.0)
LEVEL = 0.001


def mean_of(*shares: float, cases: int = 100) -> ReferenceMean:
    audits = [hits_of(share, cases=cases, name=str(place)) for place, share in enumerate(shares)]
    found = ReferenceMean.of(audits, limits=SHARE)
    assert found is not None
    return found


def alone(values: np.ndarray, name: str = "p") -> Cases:
    """Give each case a patient of its own."""
    return Cases(values=values, patients=np.array([f"{name}-{place}" for place in range(len(values))]))


def test_the_variance_is_that_of_a_beta_binomial_distribution() -> None:
    generator = np.random.default_rng(1)
    correlation, share, sizes = 0.3, 0.8, np.repeat([1, 2, 5], 20)
    scale = 1.0 / correlation - 1.0
    index = np.repeat(np.arange(len(sizes)), sizes)
    rates = generator.beta(share * scale, (1.0 - share) * scale, (20_000, len(sizes)))
    drawn = (generator.random((20_000, len(index))) < rates[:, index]).mean(1)
    found = ReferenceMean(
        centre=share,
        sd=float(np.sqrt(share * (1.0 - share))),
        skewness=0.0,
        correlation=correlation,
        laney=1.0,
        degrees=100.0,
        own=mean_of(0.8).own,
        low=0.0,
        high=1.0,
    )
    assert found.spread(sizes).variance == pytest.approx(drawn.var(), rel=0.03)


def test_audits_that_differ_more_than_patients_do_widen_the_limits() -> None:
    alike, different = mean_of(0.8, 0.8, 0.8, 0.8), mean_of(0.95, 0.65, 0.95, 0.65)
    assert alike.laney == 1.0
    assert different.laney > 1.5


def test_an_encoder_that_never_touched_a_marker_has_limits_above_zero() -> None:
    never = ReferenceMean.of([alone(np.zeros(100))], limits=SHARE)
    assert never is not None
    (point,) = mean_chart(never, [alone(np.zeros(100))], level=LEVEL)
    assert point.low == 0.0 < point.high < 0.1
    still = alone(np.full(100, 0.3))
    assert ReferenceMean.of([still], limits=(-np.inf, np.inf)) is None


def test_limits_of_a_share_near_one_are_wider_below() -> None:
    found = mean_of(0.9, 0.9, 0.9, 0.9)
    (point,) = mean_chart(found, [hits_of(0.9)], level=LEVEL)
    assert found.centre - point.low > point.high - found.centre > 0.0
    assert point.high <= 1.0


def test_the_moving_average_is_that_of_pandas_from_the_centre_on() -> None:
    shares = [0.8, 0.8, 0.7, 0.9, 0.6, 0.75]
    audits = [hits_of(share, name=str(place)) for place, share in enumerate(shares)]
    found = mean_of(0.8, 0.8)
    points = ewma_chart(found, audits, first=2, level=LEVEL)
    expected = pd.Series([found.centre, *shares[2:]]).ewm(alpha=0.2, adjust=False).mean().tolist()[1:]
    assert [point.value for point in points] == pytest.approx(expected, abs=1e-6)
    widths = [point.high - point.low for point in points]
    assert widths == sorted(widths), "the longer the average, the more of the variance of the audits is in it"


def test_the_distance_of_numbers_is_that_of_kolmogorov_and_smirnov() -> None:
    generator = np.random.default_rng(2)
    one, other = generator.normal(size=300), generator.normal(0.2, size=80)
    first, second = distance_chart([alone(one), alone(other, "q")], first=1, level=LEVEL)
    assert second.value == pytest.approx(ks_2samp(one, other).statistic)
    assert first.value == 0.0
    size = 300 * 80 / 380
    assert second.high == pytest.approx(kstwobign.isf(LEVEL) / np.sqrt(size), rel=0.01)


def test_the_distance_of_categories_is_the_likelihood_ratio() -> None:
    one, other = np.repeat(["A", "B"], [60, 40]), np.repeat(["A", "B"], [20, 30])
    point = distance_chart([alone(one), alone(other, "q")], first=1, level=LEVEL)[1]
    expected = chi2_contingency([[60, 40], [20, 30]], correction=False, lambda_="log-likelihood").statistic
    assert point.value == pytest.approx(expected)


def test_a_patient_with_many_images_counts_once() -> None:
    usual = alone(np.repeat(["A", "B"], [50, 50]))
    often = Cases(values=np.repeat(["A", "B"], [5, 45]), patients=np.array([*"vwxyz", *["one"] * 45]))
    assert not distance_chart([usual, often], first=1, level=LEVEL)[1].is_beyond


def test_a_new_scanner_is_found_although_the_reference_never_had_it() -> None:
    series = [{"manufacturer": alone(np.repeat(["A", "B"], [70, 30]), str(place))} for place in range(4)]
    series.append({"manufacturer": alone(np.repeat(["A", "B", "new"], [60, 25, 15]), "later")})
    (quantity,) = monitor(series, references=4).quantities
    assert (quantity.name, quantity.signals, quantity.changed) == ("manufacturer", (4,), 4)


@pytest.mark.parametrize("step", [4, 6])
def test_the_change_began_with_the_audit_after_the_step(step: int) -> None:
    shares = [0.86] * step + [0.5] * (9 - step)
    audits = [hits_of(share, name=str(place)) for place, share in enumerate(shares)]
    assert change_point(mean_of(0.86, 0.86, 0.86, 0.86), audits, first=4, last=8) == step


def test_a_steady_series_gives_no_signal_and_a_fall_gives_one_at_once() -> None:
    steady = monitor(hit_series(0.86, 0.84, 0.88, 0.86, 0.85, 0.87, 0.83), references=4)
    assert [each.signals for each in steady.quantities] == [()]
    fallen = monitor(hit_series(0.86, 0.84, 0.88, 0.86, 0.85, 0.4, 0.4), references=4)
    (hits,) = fallen.quantities
    assert (hits.signals, hits.changed) == ((5, 6), 5)
    assert fallen.signals(5) == ("hit rate",)
    assert fallen.signals(4) == ()


def test_a_slow_decline_is_seen_in_the_moving_average_first() -> None:
    (hits,) = monitor(hit_series(*[0.86] * 4, *[0.80] * 12, cases=300), references=4).quantities
    beyond = [point.audit for point in hits.points if not point.low <= point.value <= point.high]
    averages = [point.audit for point in hits.ewma if not point.low <= point.value <= point.high]
    assert beyond == []
    assert averages


def test_a_reference_audit_gives_no_signal_however_far_it_lies() -> None:
    (hits,) = monitor(hit_series(0.9, 0.2, 0.9, 0.9, 0.9), references=4).quantities
    assert min(hits.signals, default=4) >= 4


def test_a_quantity_that_the_reference_did_not_measure_is_listed() -> None:
    series = hit_series(0.86, 0.86, 0.86)
    series[2] = {**series[2], "recognition": alone(np.linspace(0.5, 1.0, 50))}
    found = monitor(series, references=2)
    assert [each.name for each in found.quantities] == ["hit rate"]
    assert "recognition" in found.not_measured
    assert patients_of(series[0]["hit rate"]).tolist() == [2] * 50
