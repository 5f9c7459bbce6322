"""The axis of a chart holds what it shows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.chart import axis_over, mark_of
from reports.record import ScoreSummary

VALUES = st.none() | st.floats(-50, 50, allow_nan=False)


def summary(estimate: float | None, low: float | None = None, high: float | None = None) -> ScoreSummary:
    return ScoreSummary(
        method="m2ib",
        score="any",
        finding=None,
        averaging="micro",
        estimate=estimate,
        low=low,
        high=high,
        scored=1,
        unscored=0,
        patients=1,
    )


@given(values=st.lists(st.tuples(VALUES, VALUES, VALUES), max_size=5))
def test_the_axis_holds_every_value_between_evenly_spaced_ticks(values):
    axis = axis_over([summary(*each) for each in values])
    known = [value for each in values for value in each if value is not None]
    assert axis.low <= min([0.0, *known]) + 1e-9
    assert axis.high >= max([1.0, *known]) - 1e-9
    assert 3 <= len(axis.ticks) <= 9
    gaps = [b - a for a, b in zip(axis.ticks, axis.ticks[1:], strict=False)]
    assert max(gaps) == pytest.approx(min(gaps))
    assert (axis.place(axis.low), axis.place(axis.high)) == (0.0, 100.0)


def test_shares_stand_on_an_axis_from_zero_to_one():
    axis = axis_over([summary(0.4, 0.3, 0.5)])
    assert axis.labels == ((0.0, "0"), (25.0, "0.25"), (50.0, "0.5"), (75.0, "0.75"), (100.0, "1"))
    mark = mark_of(summary(0.4, 0.3, 0.5), axis)
    assert (mark.estimate, mark.low, mark.high) == (40.0, 30.0, 50.0)


def test_an_unscored_summary_has_no_mark():
    assert mark_of(summary(None), axis_over([])) is None
