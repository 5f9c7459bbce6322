"""The axis of a chart holds what it shows, and each mark stands where its number says."""

from collections.abc import Callable

import numpy as np
import pytest
from playwright.sync_api import Locator, Page

from reports.cohort_page import render_cohort
from reports.run_record import ScoreSummary

PLACES = "(drawn, name) => drawn.map((each) => parseFloat(each.getAttribute(name)))"
SHARES = [("m2ib", 0.4, 0.3, 0.5), ("centre", 0.1, 0.0, 0.2), ("random", 0.05, None, None)]
WIDE = [("m2ib", 3.21, 2.5, 3.9), ("centre", -1.4, -2.25, -0.5), ("random", 0.0, 0.0, 0.0)]


def summary(method: str, estimate: float | None, low: float | None, high: float | None) -> ScoreSummary:
    return ScoreSummary(
        method=method,
        score="energy in box",
        finding=None,
        averaging="micro",
        estimate=estimate,
        low=low,
        high=high,
        scored=1,
        unscored=0,
        patients=1,
    )


@pytest.fixture
def open_chart(open_page, cohort) -> Callable[[list[tuple]], Locator]:
    def opener(values: list[tuple]) -> Locator:
        run = cohort.run.model_copy(update={"summaries": tuple(summary(*each) for each in values)})
        page: Page = open_page(render_cohort(run, []))
        return page.locator("table.chart")

    return opener


def ticks(chart: Locator) -> tuple[np.ndarray, np.ndarray]:
    """Give the values that the axis is labelled with, and their places in percent."""
    texts = chart.locator("thead text").all_text_contents()
    values = np.array([float(text.replace("\N{MINUS SIGN}", "-").replace(",", "")) for text in texts])
    return values, np.array(chart.locator("thead text").evaluate_all(PLACES, "x"))


@pytest.mark.parametrize("values", [SHARES, WIDE], ids=["shares", "values beyond 0 and 1"])
def test_marks_stand_where_the_axis_puts_their_numbers(open_chart, values):
    chart = open_chart(values)
    labels, places = ticks(chart)
    assert 3 <= len(labels) <= 11
    assert np.ptp(np.diff(labels)) == pytest.approx(0, abs=1e-9)
    assert (places[0], places[-1]) == (0, 100)
    known = [value for _, *numbers in values for value in numbers if value is not None]
    assert labels[0] <= min(0, *known)
    assert labels[-1] >= max(1, *known)
    rows = {row.locator("th").inner_text(): row for row in chart.locator("tbody tr").all()}
    for name, (_, estimate, low, high) in zip(("M2IB", "Centre of the image", "Random point"), values, strict=True):
        drawn = rows[name]
        assert drawn.locator(".dot").evaluate_all(PLACES, "cx") == pytest.approx(np.interp([estimate], labels, places))
        whisker = [drawn.locator(".whisker").evaluate_all(PLACES, end) for end in ("x1", "x2")]
        wanted = [[], []] if low is None else np.interp([[low], [high]], labels, places).tolist()
        assert whisker == [pytest.approx(each) for each in wanted]
        assert drawn.locator(".grid-line").evaluate_all(PLACES, "x1") == pytest.approx(places)
    best = max(estimate for method, estimate, *_ in values if method != "m2ib")
    reference = chart.locator(".reference-line").evaluate_all(PLACES, "x1")
    assert reference == pytest.approx(np.interp([best] * len(rows), labels, places))


def test_shares_stand_on_an_axis_from_zero_to_one(open_chart):
    labels, places = ticks(open_chart(SHARES))
    assert labels.tolist() == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])
    assert places == pytest.approx(100 * labels)


def test_an_unscored_summary_has_no_mark(open_chart):
    chart = open_chart([("m2ib", None, None, None), ("centre", 0.5, 0.25, 0.75)])
    assert chart.locator("tbody tr").count() == 2
    assert chart.locator("tbody tr.subject").locator(".dot, .whisker").count() == 0
    assert chart.locator("tbody .dot").count() == 1


def test_a_mark_is_told_to_those_who_do_not_see_it(open_chart):
    chart = open_chart(SHARES)
    assert chart.get_by_role("img", name="M2IB: 0.40").count() == 1
