"""A table of more studies than a browser draws: rows where the reader looks, filters kept in the address."""

from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page
from waiting import settled, until

from reports.cohort_page import render_cohort

COUNT = 3000
ROWS_FILL_THE_WINDOW = (
    "(([first, last]) => first.getBoundingClientRect().top < 0 && last.getBoundingClientRect().bottom > innerHeight)"
    "(((rows) => [rows.at(0), rows.at(-1)])([...document.querySelectorAll('tbody tr[data-key]')]))"
)


@pytest.fixture(scope="module")
def html(cohort) -> str:
    """Three thousand studies; every third shows a woman, the others a man."""
    studies = []
    for number in range(COUNT):
        record = cohort.studies[number % len(cohort.studies)].record
        image = replace(record.images[0], sex="female" if number % 3 == 0 else "male")
        studies.append(record.model_copy(update={"key": f"{number:016x}", "images": (image,)}))
    return render_cohort(cohort.run, studies)


@pytest.fixture
def page(open_page, html: str) -> Page:
    return open_page(html)


def rows(page: Page) -> list[int]:
    found = page.locator("table.studies tbody tr[data-key]").all()
    return [int(row.get_attribute("aria-rowindex")) - 2 for row in found]


def test_only_some_rows_are_drawn_and_scrolling_draws_others(page: Page) -> None:
    drawn = rows(page)
    assert drawn[0] == 0
    assert len(drawn) < 100
    height = page.evaluate("document.documentElement.scrollHeight")
    page.evaluate("window.scrollTo(0, document.documentElement.scrollHeight / 2)")
    until(page, "Number(document.querySelector('tbody tr[data-key]').ariaRowIndex) > 500")
    assert page.evaluate("document.documentElement.scrollHeight") == pytest.approx(height, rel=0.02)
    in_view = page.evaluate(
        "() => [...document.querySelectorAll('tbody tr[data-key]')].map((row) => row.getBoundingClientRect())"
        ".filter((frame) => frame.bottom > 0 && frame.top < innerHeight).length"
    )
    assert in_view >= 8
    page.evaluate(
        "window.scrollTo(0, scrollY - 300 +"
        " document.querySelector('table.studies.scripted').getBoundingClientRect().bottom)"
    )
    until(page, f"[...document.querySelectorAll('tbody tr[data-key]')].at(-1).ariaRowIndex == {COUNT + 1}")


def test_a_link_that_has_the_focus_keeps_it_while_other_rows_come_and_go(page: Page) -> None:
    page.evaluate("document.querySelector('table.studies.scripted').scrollIntoView()")
    link = page.locator("table.studies a.study-link").nth(6)
    link.focus()
    last = rows(page)[-1]
    page.mouse.move(600, 450)
    page.mouse.wheel(0, 300)
    until(page, f"[...document.querySelectorAll('tbody tr[data-key]')].at(-1).ariaRowIndex - 2 > {last}")
    assert page.evaluate("document.activeElement.closest('tr')?.dataset.key") == f"{6:016x}"


def test_rows_follow_their_table_when_what_stands_above_grows(page: Page) -> None:
    page.evaluate("document.querySelector('header').style.height = '4000px'")
    page.evaluate("window.scrollTo(0, document.documentElement.scrollHeight / 2)")
    until(page, "Number(document.querySelector('tbody tr[data-key]').ariaRowIndex) > 500")
    until(page, ROWS_FILL_THE_WINDOW)


def test_who_comes_back_stands_where_they_were(page: Page) -> None:
    page.evaluate("window.scrollTo(0, document.documentElement.scrollHeight / 2)")
    until(page, "Number(document.querySelector('tbody tr[data-key]').ariaRowIndex) > 500")
    until(page, ROWS_FILL_THE_WINDOW)
    place, drawn = page.evaluate("scrollY"), rows(page)
    page.goto("about:blank")
    page.go_back()
    until(page, f"Math.abs(scrollY - {place}) < 200")
    until(page, f"Number(document.querySelector('tbody tr[data-key]').ariaRowIndex) - 2 <= {drawn[-1]}")
    assert set(rows(page)) & set(drawn)


def test_a_long_table_is_printed_in_part_and_says_so(page: Page) -> None:
    page.evaluate("window.scrollTo(0, document.documentElement.scrollHeight / 2)")
    until(page, "Number(document.querySelector('tbody tr[data-key]').ariaRowIndex) > 500")
    page.emulate_media(media="print")
    assert page.get_by_text("prints only the rows shown on the screen").is_visible()
    assert page.evaluate("document.documentElement.scrollHeight") < 20_000
    page.emulate_media(media="screen")
    page.get_by_role("searchbox").fill(f"{7:016x}")
    page.emulate_media(media="print")
    assert page.get_by_text("prints only the rows shown on the screen").is_hidden()


def test_the_subgroup_narrows_the_table(page: Page) -> None:
    page.get_by_label("Subgroup").select_option(label="female")
    assert page.get_by_role("status").inner_text() == "1,000 of 3,000"


def test_the_address_keeps_filters_and_order(page: Page, open_page) -> None:
    page.get_by_label("Finding", exact=True).select_option("nodule")
    page.get_by_role("searchbox").fill("left")
    page.get_by_role("button", name="Cosine").click()
    address, first, count = page.url, rows(page)[:3], page.get_by_role("status").inner_text()
    keys = [row.get_attribute("data-key") for row in page.locator("tbody tr[data-key]").all()[:3]]
    assert parse_qs(urlsplit(address).fragment) == {
        "search": ["left"],
        "finding": ["nodule"],
        "sort": ["cosine descending"],
    }
    page.goto("about:blank")
    page.goto(address)
    settled(page)
    assert page.get_by_role("status").inner_text() == count
    assert rows(page)[:3] == first
    assert [row.get_attribute("data-key") for row in page.locator("tbody tr[data-key]").all()[:3]] == keys
    assert page.get_by_label("Finding", exact=True).input_value() == "nodule"


def test_an_address_that_names_nothing_known_shows_everything(page: Page) -> None:
    page.goto(page.url.partition("#")[0] + "#finding=gremlin&group=99&sort=colour%20up")
    page.reload()
    settled(page)
    assert page.get_by_role("status").inner_text() == "3,000 in all"


def test_a_study_page_leads_back_to_the_table_as_it_was(page: Page, cohort) -> None:
    page.get_by_label("Peak of the heat").select_option("miss")
    link = page.locator("a.study-link").first.evaluate("(each) => each.href")
    assert parse_qs(urlsplit(link).query)["from"] == ["outcome=miss"]


def test_a_study_that_was_reached_from_a_filtered_table_knows_it(open_study, study) -> None:
    page = open_study(study)
    page.goto(page.url + "?from=finding%3Dnodule%26outcome%3Dmiss")
    settled(page)
    assert page.locator("a.back").evaluate("(each) => each.href").endswith("index.html#finding=nodule&outcome=miss")
