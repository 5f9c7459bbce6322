"""Improvement over the references: the cohort page's table of differences, in words before numbers."""

from collections.abc import Mapping

import pytest
from made_up_cohort import make_cohort

from reports.cohort_page import difference_table, render_cohort
from reports.outcomes import cohort_summary
from reports.run_record import RunRecord, ScoreDifference, ScoreSummary
from reports.score_catalogue import FEW_PATIENTS, POINTING


def difference(reference: str, low: float, estimate: float, high: float, patients: int = 20) -> ScoreDifference:
    return ScoreDifference(reference=reference, estimate=estimate, low=low, high=high, scored=50, patients=patients)


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
    assert "Improvement over the references" not in render_cohort(make_cohort(2).run, [])


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
    assert page.get_by_text("the model against all readers' boxes").count() == 1


@pytest.mark.parametrize(("differences", "is_doubted"), [(ABOVE, False), (LEVEL, True)], ids=["above", "level"])
def test_the_summary_goes_by_the_paired_difference_where_there_is_one(differences, is_doubted) -> None:
    """The method's own interval, 0.30 to 0.52, holds the reference's 0.37 in both."""
    sentences = " ".join(cohort_summary(run_with(differences), studies=2, phrases=5))
    assert ("does not exclude that reference" in sentences) == is_doubted


def test_differences_of_few_patients_are_neither_bold_nor_said_to_be_above() -> None:
    run = run_with(ABOVE)
    own, *others = run.summaries
    few = tuple(each.model_copy(update={"patients": FEW_PATIENTS - 1}) for each in own.differences)
    run = run.model_copy(update={"summaries": (own.model_copy(update={"differences": few}), *others)})
    table = difference_table(run)
    assert table is not None
    assert (table.rows[0].outcome, table.rows[0].is_above) == ("9 patients: too few to say", False)
    assert 'class="exceeds"' not in render_cohort(run, [])


def test_an_interval_without_a_width_is_not_printed_and_a_narrow_one_keeps_its_ends_apart() -> None:
    run = run_with(LEVEL)
    own, *others = run.summaries
    said = {}
    for low, high in ((0.0, 0.0), (0.001, 0.004)):
        changed = own.model_copy(update={"estimate": low, "low": low, "high": high})
        sentences = cohort_summary(run.model_copy(update={"summaries": (changed, *others)}), studies=2, phrases=9)
        said[high] = " ".join(sentences)
    assert "interval" not in said[0.0].split("without looking")[0]
    assert "interval 0.1 to 0.4)" in said[0.004]
