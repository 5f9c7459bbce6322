"""What is left over the references: the cohort page's table of differences, in words before numbers."""

from collections.abc import Mapping

import pytest
from made_up_records import make_cohort

from reports.cohort_page import render_cohort
from reports.differences import difference_table
from reports.record import RunRecord, ScoreDifference, ScoreSummary
from reports.words import POINTING, cohort_summary


def difference(reference: str, low: float, estimate: float, high: float) -> ScoreDifference:
    return ScoreDifference(reference=reference, estimate=estimate, low=low, high=high, scored=50, patients=20)


ABOVE = {"random": (0.5, 0.6, 0.7), "class-mean box": (0.01, 0.1, 0.2)}
LEVEL = {"random": (0.5, 0.6, 0.7), "class-mean box": (0.0, 0.1, 0.2)}
READERS = {"random": (0.5, 0.6, 0.7), "another reader": (-0.3, -0.2, -0.1)}


def run_with(differences: Mapping[str, tuple[float, float, float]], score: str = POINTING) -> RunRecord:
    run = make_cohort(2).run
    told = tuple(difference(reference, *numbers) for reference, numbers in differences.items())
    own = ScoreSummary(
        method="m2ib",
        score=score,
        finding=None,
        averaging="micro",
        estimate=0.41,
        low=0.30,
        high=0.52,
        scored=50,
        unscored=0,
        patients=20,
        differences=told,
    )
    others = tuple(s for s in run.summaries if (s.method, s.score, s.finding) != ("m2ib", score, None))
    return run.model_copy(update={"summaries": (own, *others)})


@pytest.mark.parametrize(
    ("differences", "outcome", "is_above"),
    [
        pytest.param(ABOVE, "above every blind reference", True, id="above"),
        pytest.param(LEVEL, "not above class-mean box", False, id="an interval that begins at 0"),
        pytest.param(READERS, "above every blind reference", True, id="a reader is no blind reference"),
        pytest.param(
            {"another reader": (0.1, 0.2, 0.3)}, "no blind reference to compare with", False, id="readers alone"
        ),
    ],
)
def test_the_outcome_is_told_in_words(differences, outcome, is_above) -> None:
    table = difference_table(run_with(differences))
    assert table is not None
    (row,) = table.rows
    assert (row.name, row.outcome, row.is_above) == ("Pointing game", outcome, is_above)
    assert len(row.cells) == len(table.references) == len(differences)


def test_a_run_without_differences_has_no_table() -> None:
    assert difference_table(make_cohort(2).run) is None
    assert "What is left over the references" not in render_cohort(make_cohort(2).run, [])


def test_the_page_shows_every_score_in_the_table_and_the_main_ones_in_charts(open_page) -> None:
    run = run_with(ABOVE)
    rare = run_with(READERS, "CNR").summaries[0]
    page = open_page(render_cohort(run.model_copy(update={"summaries": (*run.summaries, rare)}), []))
    table = page.locator("table.differences")
    assert table.locator("tbody th").all_inner_texts() == ["Pointing game", "Contrast to noise"]
    assert table.locator("thead th").all_inner_texts()[3:] == [
        "over random point",
        "over class-mean box",
        "over another reader",
    ]
    first, second = (row.locator("td").all_inner_texts() for row in table.locator("tbody tr").all())
    assert first == ["above every blind reference", "0.41", "0.60 0.50 to 0.70", "0.10 0.01 to 0.20", "–"]
    assert second[-1] == "−0.20 −0.30 to −0.10"
    assert first.count("–") == second.count("–") == 1
    bold = table.locator(".exceeds").all_inner_texts()
    assert bold == ["above every blind reference", "0.60", "0.10", "above every blind reference", "0.60"]
    assert "Contrast to noise" not in page.locator("table.chart caption").all_inner_texts()
    assert page.get_by_text("the model against those of all").count() == 1


@pytest.mark.parametrize(("differences", "is_doubted"), [(ABOVE, False), (LEVEL, True)], ids=["above", "level"])
def test_the_summary_goes_by_the_paired_difference_where_there_is_one(differences, is_doubted) -> None:
    """The method's own interval, 0.30 to 0.52, holds the reference's 0.37 in both."""
    sentences = " ".join(cohort_summary(run_with(differences), studies=2, phrases=5))
    assert ("does not clear that reference" in sentences) == is_doubted
