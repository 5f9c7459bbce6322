"""The cohort page as its readers use it, in a real browser."""

import numpy as np
import pytest
from made_up_cases import answered_run
from made_up_cohort import make_cohort
from playwright.sync_api import Page
from test_study_page_in_chromium import CONTRASTS
from waiting import until

from reports.cohort_page import render_cohort
from reports.outcomes import outcome_of


@pytest.fixture
def page(open_page, cohort) -> Page:
    return open_page(render_cohort(cohort.run, [made.record for made in cohort.studies]))


def keys_shown(page: Page) -> list[str]:
    return [row.get_attribute("data-key") for row in page.locator("table.studies tbody tr:visible").all()]


def mean_cosines(cohort) -> dict[str, float]:
    return {
        made.record.key: float(np.mean([phrase.cosine for phrase in made.record.images[0].phrases]))
        for made in cohort.studies
    }


def test_a_click_on_a_heading_sorts_and_a_second_click_reverses(page, cohort):
    cosines = mean_cosines(cohort)
    falling = sorted(cosines, key=cosines.__getitem__, reverse=True)
    heading = page.get_by_role("button", name="Cosine")
    heading.click()
    assert keys_shown(page) == falling
    assert page.get_by_role("columnheader", name="Cosine").get_attribute("aria-sort") == "descending"
    heading.press("Enter")
    assert keys_shown(page) == falling[::-1]
    assert page.locator("[aria-sort]").count() == 1


def test_the_table_of_findings_is_sorted_by_a_column_below_all_phrases(open_page):
    page = open_page(render_cohort(answered_run(), []))
    table = page.locator("table.grounding")

    def findings() -> list[str]:
        return table.locator("tbody th").all_inner_texts()

    def order(name: str) -> str | None:
        return table.get_by_role("columnheader", name=name).get_attribute("aria-sort")

    heading = table.get_by_role("button", name="Relies (SD)")
    heading.click()
    assert findings() == ["all phrases", "pleural effusion", "nodule", "pneumothorax"]  # which was not measured
    assert order("Relies (SD)") == "descending"
    heading.press("Enter")
    assert findings() == ["all phrases", "nodule", "pleural effusion", "pneumothorax"]
    assert order("Relies (SD)") == "ascending"
    table.get_by_role("button", name="Finding").press("Space")
    assert findings() == ["all phrases", "nodule", "pleural effusion", "pneumothorax"]
    assert (order("Finding"), order("Relies (SD)")) == ("ascending", None)


def test_studies_without_a_value_come_last_in_either_direction(page, cohort):
    unscored = {
        made.record.key
        for made in cohort.studies
        if all(score.value is None for phrase in made.record.images[0].phrases for score in phrase.scores)
    }
    assert unscored
    for _ in range(2):
        page.locator("table.studies").get_by_role("button", name="Energy in box").click()
        assert set(keys_shown(page)[-len(unscored) :]) == unscored


def test_finding_and_outcome_are_asked_of_one_phrase(page, cohort):
    def has(made, finding: str, outcome: str) -> bool:
        phrases = [phrase for image in made.record.images for phrase in image.phrases]
        return any(
            phrase.finding == finding and outcome_of(phrase, method=made.record.method) == outcome for phrase in phrases
        )

    seen = set()
    for finding in page.locator("#finding option").evaluate_all(
        "(all) => all.map((each) => each.value).filter(Boolean)"
    ):
        page.get_by_label("Finding", exact=True).select_option(finding)
        for outcome in ("hit", "miss", "unscored"):
            page.get_by_label("Peak of the heat").select_option(outcome)
            wanted = [made.record.key for made in cohort.studies if has(made, finding, outcome)]
            assert keys_shown(page) == wanted, (finding, outcome)
            seen.add(bool(wanted))
    assert seen == {True, False}


def test_a_link_to_a_place_or_to_a_filter_opens_there(page):
    address = page.url
    for place, id_ in (("made", "made"), ("finding=nodule", "studies")):
        page.goto("about:blank")
        page.goto(f"{address}#{place}")
        until(page, "(id) => Math.abs(document.getElementById(id).getBoundingClientRect().y) < innerHeight", id_)
        assert page.evaluate("scrollY") > 500
        assert page.url.endswith(f"#{place}")


def test_the_search_finds_words_of_phrases_and_keys(page, cohort):
    with_nodule = [
        made.record.key
        for made in cohort.studies
        if any("nodule" in phrase.text for phrase in made.record.images[0].phrases)
    ]
    search = page.get_by_role("searchbox", name="Search key or phrase")
    search.fill("NODULE left")
    assert keys_shown(page) == with_nodule
    assert page.get_by_role("status").inner_text() == f"{len(with_nodule)} of 24"
    search.fill(cohort.studies[5].record.key[:9])
    assert keys_shown(page) == [cohort.studies[5].record.key]
    search.fill("no such words")
    assert keys_shown(page) == []
    assert page.get_by_text("No study matches.").is_visible()
    search.fill("")
    assert len(keys_shown(page)) == 24


def test_a_finding_of_the_table_lists_its_studies(page, cohort):
    page.get_by_role("button", name="pleural effusion").click()
    assert page.get_by_label("Finding", exact=True).input_value() == "pleural effusion"
    assert 0 < len(keys_shown(page)) < 24


def test_each_study_leads_to_its_page(page, cohort):
    links = [link.get_attribute("href") for link in page.locator("a.study-link").all()]
    assert links == [f"studies/{made.record.key}/index.html" for made in cohort.studies]


def test_the_marks_of_the_chart_lie_where_their_numbers_say(page, cohort):
    chart = page.locator("table.chart").first
    plot = chart.locator("tbody .plot svg").first.bounding_box()
    dot = chart.locator("tbody .dot").first.bounding_box()
    whisker = chart.locator("tbody .whisker").first.evaluate("(line) => [line.x1.baseVal.value, line.x2.baseVal.value]")
    own = next(each for each in cohort.run.summaries if each.method == "m2ib" and each.finding is None)
    assert dot["x"] + dot["width"] / 2 - plot["x"] == pytest.approx(own.estimate * plot["width"], abs=1)
    assert whisker == pytest.approx([own.low * plot["width"], own.high * plot["width"]], abs=1)


@pytest.mark.parametrize("width", [1400, 820, 390], ids=["desk", "tablet", "phone"])
def test_nothing_runs_out_of_the_page(open_page, cohort, width):
    html = render_cohort(cohort.run, [made.record for made in cohort.studies])
    page = open_page(html, viewport={"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(open_page, cohort, scheme):
    page = open_page(render_cohort(cohort.run, [cohort.studies[0].record]), color_scheme=scheme)
    assert [(text, ratio) for text, ratio in page.evaluate(CONTRASTS) if ratio < 4.5] == []


def test_a_run_without_studies_opens(open_page):
    empty = make_cohort(0, summaries=(), failures=())
    page = open_page(render_cohort(empty.run, []))
    assert page.get_by_text("No study was audited.").is_visible()
    assert page.get_by_text("Every file was audited.").is_visible()


def test_without_scripts_the_table_is_there_and_offers_no_filter(open_page, cohort):
    html = render_cohort(cohort.run, [made.record for made in cohort.studies])
    page = open_page(html, java_script_enabled=False)
    assert page.locator("table.studies tbody tr:visible").count() == 24
    assert not page.get_by_label("Peak of the heat").is_visible()
    assert page.get_by_role("button", name="Cosine").count() == 0


def test_a_long_list_of_failures_is_cut_and_says_where_the_rest_is(open_page, cohort):
    many = tuple(cohort.run.failures[0].model_copy(update={"source": f"file {number}"}) for number in range(1234))
    page = open_page(render_cohort(cohort.run.model_copy(update={"failures": many}), []))
    assert page.locator(".left-out tbody tr").count() == 500
    assert page.get_by_text("And 734 more: failures.csv beside this page lists all.").count() == 1


def test_a_place_on_the_page_is_reached_and_filters_stay(page):
    page.get_by_label("Finding", exact=True).select_option("nodule")
    shown = keys_shown(page)
    contents = page.get_by_role("navigation", name="On this page")
    for name in contents.get_by_role("link").all_inner_texts():
        link = contents.get_by_role("link", name=name, exact=True)
        place = link.get_attribute("href")
        link.click()
        until(
            page,
            "id => Math.abs(document.querySelector(id).getBoundingClientRect().y) < innerHeight",
            arg=place,
        )
    assert page.get_by_label("Finding", exact=True).input_value() == "nodule"
    assert keys_shown(page) == shown
    assert page.url.endswith("#finding=nodule")


def test_the_best_and_worst_cases_lead_to_their_phrase(page, cohort):
    links = page.locator(".cases a")
    assert links.count() > 0
    for link in links.all():
        address, anchor = link.get_attribute("href").split("#")
        _, image, phrase = anchor.split("-")
        made = next(made for made in cohort.studies if made.record.key in address)
        assert made.record.images[int(image)].phrases[int(phrase)].text == link.inner_text()
