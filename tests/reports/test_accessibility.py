"""Both pages against what axe can check of WCAG 2.2 AA, and against its best practices, in every state of a page."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from made_up_cases import ALL, answered_run, cohort_of
from made_up_model_comparison import model_pages
from made_up_pages import erased_study
from playwright.sync_api import Page

from reports.cohort_page import render_cohort

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
OF_COLOUR = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}
SCHEMES = ("light", pytest.param("dark", marks=pytest.mark.slow))


def violations(page: Page) -> list[tuple[str, str]]:
    """What breaks a rule; on a light page, whose elements are those of the dark one, of the dark one's colours too."""
    found = Axe().run(page, options=RULES).response["violations"]
    if page.evaluate("matchMedia('(prefers-color-scheme: light)').matches"):
        page.emulate_media(color_scheme="dark")
        dark = Axe().run(page, options=OF_COLOUR).response
        assert dark["passes"]
        found += dark["violations"]
    return [(rule["id"], node["html"][:200]) for rule in found for node in rule["nodes"]]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("state", ["as opened", "two films", "review"])
def test_the_study_page_breaks_no_rule(open_study, scheme: str, state: str) -> None:
    page = open_study(erased_study()[0], color_scheme=scheme)
    if state == "two films":
        page.select_option(".beside", "phrase 1")
        page.locator(".contour-switch").check()
    if state == "review":
        page.locator(".review-toggle").click()
    assert violations(page) == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_cohort_page_breaks_no_rule(open_page, cohort, scheme: str) -> None:
    reasons, studies = cohort_of(ALL)
    run = answered_run(recognised=reasons.recognised, cosine_sd=reasons.cosine_sd)
    page = open_page(render_cohort(run, [made.record for made in cohort.studies] + studies), color_scheme=scheme)
    assert violations(page) == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_page_of_two_models_breaks_no_rule(open_page, scheme: str) -> None:
    page = open_page(next(model_pages())[1], color_scheme=scheme)
    assert violations(page) == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_table_too_long_to_draw_whole_breaks_no_rule(open_page, cohort, scheme: str) -> None:
    first = cohort.studies[0].record
    studies = [first.model_copy(update={"key": f"{number:016x}"}) for number in range(400)]
    page = open_page(render_cohort(cohort.run, studies), color_scheme=scheme)
    assert violations(page) == []
