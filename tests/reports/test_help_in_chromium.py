"""Keys and glossary: found with "?" or a button, closed with Escape, and usable without a mouse."""

import pytest
from made_up_comparison import make_comparison
from made_up_records import make_study
from playwright.sync_api import Page, expect
from test_accessibility import violations

from reports.cohort_page import render_cohort
from reports.comparison_page import render_comparison
from reports.page import glossary, key_groups
from reports.study_page import render_study


@pytest.fixture(params=["study", "cohort", "comparison"])
def page(open_page, cohort, request) -> Page:
    made = make_study()
    pages = {
        "study": lambda: render_study(made.record, heats=made.heats, pictures=made.pictures),
        "cohort": lambda: render_cohort(cohort.run, [each.record for each in cohort.studies]),
        "comparison": lambda: render_comparison(make_comparison(scored=True)),
    }
    return open_page(pages[request.param]())


def test_a_question_mark_opens_the_glossary_and_escape_closes_it(page) -> None:
    help_ = page.locator("#help")
    expect(help_).to_be_hidden()
    page.keyboard.press("?")
    expect(help_).to_be_visible()
    for term in (
        "Nats",
        "Cosine",
        "Otsu",
        "Energy in box",
        "Pointing game",
        "Tau",
        "Content-blind",
        "Words-only prior",
        "Class-mean box",
        "Micro, macro",
        "IoU",
        "CNR",
        "Bootstrap",
        "95 % interval",
    ):
        assert help_.locator("dt").get_by_text(term, exact=True).is_visible()
    page.keyboard.press("Escape")
    expect(help_).to_be_hidden()


def test_the_button_opens_it_and_gets_the_focus_back(page) -> None:
    button = page.get_by_role("button", name="Keys and terms")
    button.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.className") == "help-button"


def test_the_open_dialog_breaks_no_rule_of_accessibility(page) -> None:
    page.keyboard.press("?")
    assert violations(page) == []


def test_keys_of_the_page_behind_do_nothing_while_help_is_open(open_study) -> None:
    page = open_study(make_study())
    page.keyboard.press("?")
    for key in "hik":
        page.keyboard.press(key)
    assert page.locator(".heat-switch").is_checked()
    assert not page.locator(".invert-switch").is_checked()
    assert not page.locator(".contour-switch").is_checked()


def test_a_question_mark_that_is_typed_opens_nothing(open_page, cohort) -> None:
    page = open_page(render_cohort(cohort.run, [each.record for each in cohort.studies]))
    page.get_by_role("searchbox").type("nodule?")
    expect(page.locator("#help")).to_be_hidden()
    assert page.get_by_role("searchbox").input_value() == "nodule?"


def test_help_fits_a_phone(open_study) -> None:
    page = open_study(make_study(), viewport={"width": 390, "height": 844})
    page.keyboard.press("?")
    box = page.locator("#help").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    assert page.locator("#help").evaluate("each => each.scrollWidth <= each.clientWidth")


def test_every_key_that_a_page_shows_beside_a_control_is_in_the_list(open_study) -> None:
    page = open_study(make_study())
    listed = {key for group in key_groups() for line in group.lines for key in line[0].split()}
    shown = set(page.locator("kbd").all_text_contents()) - {"Esc"}
    assert shown - listed == set()


def test_each_term_is_explained_in_a_line_or_two() -> None:
    assert all(len(means) <= 160 for _, means in glossary())
