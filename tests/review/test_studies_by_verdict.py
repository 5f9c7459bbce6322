"""The table of all studies, filtered by what its reviewer said of them: with the server, and from disk."""

from collections.abc import Callable
from pathlib import Path

import pytest
from browser_store import begin_with_local_storage
from made_up_review import MadeUp, Server, entry_of, ready, three_studies
from playwright.sync_api import Page, expect

ONE, TWO, FOUR = three_studies()


def listed(page: Page, verdict: str) -> set[str]:
    ready(page)
    page.get_by_label("Your verdict").select_option(verdict)
    return {row.get_attribute("data-key") for row in page.locator("table.studies tbody tr[data-key]").all()}


def keys(*studies: MadeUp) -> set[str]:
    return {made.record.key for made in studies}


@pytest.fixture
def open_table(open_review: Callable[..., Page]) -> Callable[..., Page]:
    """Open the page over all studies as one of the server's reviewers."""

    def opener(server: Server, reviewer: str = "Ada") -> Page:
        page = open_review(server, TWO.record.key, reviewer)
        page.get_by_role("link", name="All studies").click()
        expect(page.get_by_label("Your verdict")).to_be_visible()
        return page

    return opener


def test_with_the_server_a_reviewers_own_verdicts_filter_the_table(open_table, serve_here, out) -> None:
    server = serve_here(out)
    ada = server.client("Ada")
    assert ada.post(entry_of(TWO, 1, verdict="disagree")).status == 200
    assert ada.post(entry_of(FOUR, 2)).status == 200
    assert server.client("Ben").post(entry_of(ONE, 3, reviewer="Ben")).status == 200
    page = open_table(server)
    assert listed(page, "disagree") == keys(TWO)
    assert listed(page, "agree") == keys(FOUR)
    assert listed(page, "partly") == set()
    assert listed(page, "open") == keys(ONE, FOUR)
    assert page.get_by_text("1 of 4 answered").is_visible()
    assert page.url.endswith("#verdict=open")
    assert listed(page, "") == keys(ONE, TWO, FOUR)


def test_a_verdict_on_an_earlier_audit_does_not_count(open_table, serve_here, out) -> None:
    server = serve_here(out)
    assert server.client().post(entry_of(TWO, 1)).status == 200
    page = (out / "index.html").read_text()
    later = page.replace('"since":', '"since":1', 1)
    assert later != page
    (out / "index.html").write_text(later)
    assert listed(open_table(server), "agree") == set()


def test_a_blinded_reviewer_learns_nothing_from_the_table(serve_here, out) -> None:
    server = serve_here(out, blind=True)
    server.client("Ada").post(entry_of(TWO, 1, verdict="disagree"))
    page = server.client("Ben").ask("/index.html").body
    assert b'"reviewed":[]' in page
    assert b'"disagree"]' not in page


def test_from_disk_the_table_reads_what_pages_kept_in_the_browser(open_file, out: Path, request) -> None:
    page = open_file(out, TWO.record.key, request.node.name)
    page.keyboard.press("r")
    page.keyboard.press("2")
    expect(page.locator(".review-state")).to_have_text("Kept in this browser")
    page.get_by_role("link", name="All studies").click()
    assert listed(page, "partly") == keys(TWO)
    assert listed(page, "open") == keys(ONE, FOUR)
    page.locator("a.study-link").first.click()
    ready(page)
    assert page.locator("a.back").get_attribute("href").endswith("index.html#verdict=open")


@pytest.mark.parametrize("text", ["{", "[]", "null", '{"folder": 1}'])
def test_what_else_a_browser_keeps_does_not_stop_the_table(open_file, out: Path, request, text: str) -> None:
    page = open_file(out, TWO.record.key, request.node.name)
    begin_with_local_storage(page, {"m2ib-audit review x y": text})
    page.get_by_role("link", name="All studies").click()
    assert listed(page, "open") == keys(ONE, TWO, FOUR)
