"""With --hide-scores a reviewer answers a phrase before hits, scores, boxes and the verdict are shown."""

from contextlib import closing
from datetime import UTC, datetime

import pytest
from made_up_review import entry_of, ready, three_studies
from playwright.sync_api import Page, expect

from audit.review.exporting import export
from audit.review.ledger import LEDGER_NAME, Ledger
from reports.review_record import ReviewEntry

ONE, TWO, FOUR = three_studies()
STATE = ".reading:not(.behind) .review-state"


def saved(page: Page) -> None:
    expect(page.locator(STATE)).to_have_text("Saved")


def told(out) -> list[tuple[str | None, bool | None]]:
    """Verdict of each entry and whether it was given before the scores were shown, in the order of arrival."""
    with closing(Ledger(out / LEDGER_NAME)) as ledger:
        return [(kept.entry.verdict, kept.entry.scores_hidden) for kept in ledger.entries()]


def shown(page: Page) -> dict[str, bool]:
    """What of a study's answer can be seen, of the chosen phrase."""
    names = {
        "outcome": ".card.chosen .outcome",
        "sentence": ".card.chosen .detail .verdict",
        "scores": ".card.chosen table.scores:not(.tests)",
        "measures": ".card.chosen .measures",
        "box": ".box.answers",
        "summary": ".lede.held",
        "table of boxes": ".notes table",
        "question about the box": ".review-region",
    }
    return {name: page.locator(selector).first.is_visible() for name, selector in names.items()}


def test_nothing_is_shown_before_the_answer_and_all_of_it_after(open_review, serve_here, out) -> None:
    page = open_review(serve_here(out, hide_scores=True), TWO.record.key)
    assert set(shown(page).values()) == {False}
    expect(page.locator(".card.chosen .withheld-note")).to_be_visible()
    expect(page.locator("canvas.heat").first).to_be_visible()  # which is what the reviewer judges
    page.keyboard.press("3")
    saved(page)
    assert set(shown(page).values()) == {True}
    expect(page.locator(".withheld-note:visible")).to_have_count(0)


def test_each_phrase_is_held_back_by_itself(open_review, serve_here, out) -> None:
    page = open_review(serve_here(out, hide_scores=True), FOUR.record.key)
    page.keyboard.press("1")
    saved(page)
    assert shown(page) | {"summary": False, "table of boxes": False} == shown(page)
    assert shown(page)["scores"]
    page.keyboard.press("n")
    assert set(shown(page).values()) == {False}
    page.keyboard.press("p")
    nodules = page.locator(".box[data-label=nodule]")
    assert nodules.count() > 0
    assert not any(box.is_visible() for box in nodules.all())  # they are the next phrase's


def test_the_database_says_which_verdicts_were_given_blind(open_review, serve_here, out) -> None:
    page = open_review(serve_here(out, hide_scores=True), TWO.record.key)
    page.keyboard.press("3")
    saved(page)
    page.keyboard.press("c")
    page.keyboard.type("x")
    page.keyboard.press("Escape")  # a comment added later leaves the verdict as blind as it was
    saved(page)
    page.keyboard.press("1")
    saved(page)
    page.keyboard.press("0")
    saved(page)
    page.reload()
    ready(page)
    assert shown(page)["scores"]  # who has seen the scores has seen them
    page.keyboard.press("2")
    saved(page)
    assert told(out) == [("disagree", True), ("disagree", True), ("agree", False), (None, False), ("partly", False)]
    assert [row["scores_hidden"] for row in export(out, history=True).rows] == [True, True, False, False, False]


def test_a_review_that_hides_nothing_says_so_of_its_verdicts(open_review, serve_here, out) -> None:
    page = open_review(serve_here(out), TWO.record.key)
    assert set(shown(page).values()) == {True}
    page.keyboard.press("1")
    saved(page)
    assert told(out) == [("agree", False)]


def test_the_page_over_all_studies_gives_no_hit_away(open_review, serve_here, out) -> None:
    page = open_review(serve_here(out, hide_scores=True), TWO.record.key)
    page.get_by_role("link", name="All studies").click()
    expect(page.get_by_role("link", name=TWO.record.key)).to_be_visible()
    text = page.locator("body").inner_text()
    for word in ("Inside the box", "inside the box", "Pointing game", "Energy in box", "Peak of the heat", "0.41"):
        assert word not in text
    assert page.locator(".mark:visible").count() == 0
    phrase = page.locator(".phrase-lines li").first
    assert phrase.bounding_box()["width"] > 200


def test_the_table_of_scores_is_served_unless_scores_are_hidden(serve_here, out) -> None:
    (out / "scores.csv").write_text("study,value\n")
    assert serve_here(out, hide_scores=True).client().ask("/scores.csv").status == 404
    shown = serve_here(out).client().ask("/scores.csv")
    assert (shown.status, shown.body) == (200, b"study,value\n")


def test_a_page_of_an_older_version_is_not_served_with_its_scores(serve_here, out) -> None:
    page = out / "index.html"
    page.write_text(page.read_text("utf-8").replace(".scores-hidden", ".other"), encoding="utf-8")
    server = serve_here(out, hide_scores=True)
    assert server.client().ask("/index.html").status == 503
    assert "render" in server.warnings[0]


def test_pages_from_disk_hide_scores_too_when_asked(open_file, out, request) -> None:
    page = open_file(out, ONE.record.key, request.node.name)
    page.keyboard.press("r")
    page.locator(".review-hide:visible").click()
    assert shown(page)["scores"]  # on this page they were seen already
    page = open_file(out, TWO.record.key, request.node.name)
    assert set(shown(page).values()) == {False}
    page.keyboard.press("r")
    page.keyboard.press("1")
    expect(page.locator(STATE)).to_have_text("Kept in this browser")
    assert set(shown(page).values()) == {True}


@pytest.mark.parametrize("said", [None, True, False])
def test_an_entry_comes_back_as_it_was_kept(tmp_path, said) -> None:
    entry = ReviewEntry.model_validate(entry_of(TWO, 1, scores_hidden=said))
    with closing(Ledger(tmp_path / LEDGER_NAME)) as ledger:
        ledger.append(entry, now=datetime.now(UTC))
        assert ledger.latest()[0].scores_hidden is said
