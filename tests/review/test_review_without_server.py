"""A page opened from disk keeps what is said in the browser and saves it as a file that `review import` reads."""

import json
import re
import shutil
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from browser_store import begin_with_local_storage, keep_nothing, kept_in_browser
from made_up_review import EFFUSION, NODULE, lay_down, make_study, ready, three_studies
from playwright.sync_api import Page, expect

from audit.review.exporting import export
from audit.review.importing import import_entries

ONE, TWO, FOUR = three_studies()
PLACE = f"{TWO.record.key} {TWO.record.created.isoformat()}"  # under which the browser keeps what is said of a study
STATE = ".reading:not(.behind) .review-state"


def dock(page: Page):
    return page.locator(".reading:not(.behind) .review")


def kept(page: Page) -> None:
    expect(page.locator(STATE)).to_have_text("Kept in this browser")


def save(page: Page, path: Path) -> Path:
    with page.expect_download() as download:
        dock(page).get_by_role("button", name="Save as file").click()
    download.value.save_as(path)
    return path


def test_the_dock_is_folded_away_for_who_only_reads(open_file, out, browser_name):
    page = open_file(out, TWO.record.key, browser_name, initials=None)
    expect(dock(page).get_by_label("Comment")).to_be_hidden()
    page.keyboard.press("1")
    assert kept_in_browser(page) == {"studies": {}, "choices": {}}
    page.keyboard.press("r")
    expect(dock(page).get_by_label("Comment")).to_be_visible()


def test_what_is_said_is_there_when_the_page_is_opened_again(open_file, out, browser_name):
    page = open_file(out, FOUR.record.key, browser_name)
    page.keyboard.press("r")
    page.keyboard.press("3")
    dock(page).get_by_text("Too wide").click()
    page.keyboard.press("c")
    page.keyboard.type("vague")
    page.keyboard.press("Escape")
    dock(page).get_by_role("button", name="Add a box").click()
    kept(page)
    page.reload()
    ready(page)
    assert dock(page).locator("input[value=disagree]").is_checked()
    assert dock(page).get_by_role("checkbox", name="Too wide").is_checked()
    expect(dock(page).get_by_label("Comment")).to_have_value("vague")
    expect(dock(page).locator(".review-boxes li")).to_have_count(1)
    other = open_file(out, TWO.record.key, browser_name)
    expect(other.locator(".reviewed")).to_have_count(0)


def test_the_saved_file_is_brought_in(open_file, out, browser_name, tmp_path):
    page = open_file(out, FOUR.record.key, browser_name)
    page.keyboard.press("r")
    dock(page).get_by_role("textbox", name="Reviewer").fill("Dr. Éva 3")
    page.keyboard.press("Escape")
    for key in "12":
        page.keyboard.press(key)
        kept(page)
        page.keyboard.press("n")
    page.keyboard.press("p")
    page.keyboard.press("3")
    kept(page)
    other = open_file(out, TWO.record.key, browser_name)
    other.keyboard.press("r")
    other.keyboard.press("1")
    kept(other)
    found = import_entries(out, [save(other, tmp_path / "saved.json")], now=datetime.now(UTC))
    assert (found.new, found.known, found.left_out) == (4, 0, ())
    rows = export(out).rows
    assert {row["reviewer"] for row in rows} == {"Dr. Éva 3"}
    assert {(row["study"], row["phrase"]): row["verdict"] for row in rows} == {
        (FOUR.record.key, FOUR.record.images[0].phrases[0].text): "agree",
        (FOUR.record.key, FOUR.record.images[0].phrases[1].text): "disagree",
        (TWO.record.key, TWO.record.images[0].phrases[0].text): "agree",
    }


def test_a_file_holds_nothing_of_another_audit_in_the_same_browser(open_file, out, browser_name, tmp_path):
    elsewhere = Path(shutil.copytree(out, tmp_path / "elsewhere"))
    other = open_file(elsewhere, FOUR.record.key, browser_name)
    other.keyboard.press("r")
    dock(other).get_by_label("Comment").fill("secret")
    other.keyboard.press("Escape")
    kept(other)
    page = open_file(out, TWO.record.key, browser_name)
    page.keyboard.press("r")
    page.keyboard.press("2")
    kept(page)
    text = save(page, tmp_path / "saved.json").read_text()
    assert [entry["verdict"] for entry in json.loads(text)["entries"]] == ["partly"]
    assert "secret" not in text


def test_two_tabs_of_a_page_from_disk_do_not_overwrite_each_other(open_file, out, browser_name):
    first, second = (open_file(out, TWO.record.key, browser_name) for _ in range(2))
    for page in (first, second):
        page.keyboard.press("r")
    first.keyboard.press("3")
    kept(first)
    expect(second.locator(".reviewed")).to_have_text("reviewed: disagree")
    second.keyboard.press("c")
    second.keyboard.type("x")
    second.keyboard.press("Escape")
    kept(second)
    expect(dock(first).get_by_label("Comment")).to_have_value("x")
    assert dock(second).locator("input[value=disagree]").is_checked()


def test_each_name_has_its_own_answers(open_file, out, browser_name):
    page = open_file(out, TWO.record.key, browser_name)
    page.keyboard.press("r")
    for name, key in (("Ada", "1"), ("Ben", "3")):
        dock(page).get_by_role("textbox", name="Reviewer").fill(name)
        page.keyboard.press("Escape")
        expect(page.locator(".reviewed")).to_have_count(0)
        page.keyboard.press(key)
        kept(page)
    expect(page.locator(".review-others")).to_have_text("Ada: agree")
    dock(page).get_by_role("textbox", name="Reviewer").fill("Ada")
    page.keyboard.press("Escape")
    expect(page.locator(".reviewed")).to_have_text("reviewed: agree")


def test_a_browser_that_keeps_nothing_says_so_and_still_saves_a_file(open_file, out, browser_name, tmp_path):
    page = open_file(out, TWO.record.key, browser_name)
    keep_nothing(page)
    page.keyboard.press("r")
    page.keyboard.press("3")
    expect(page.locator(STATE)).to_have_text(
        "Your browser does not store answers for this page: save them as a file before you leave"
    )
    found = import_entries(out, [save(page, tmp_path / "saved.json")], now=datetime.now(UTC))
    assert found.new == 1


@pytest.mark.parametrize(
    "text", ["{", '{"entries": 3}', *(pytest.param(text, marks=pytest.mark.slow) for text in ("[]", "null"))]
)
def test_a_damaged_store_does_not_stop_the_page(open_file, out, own_browser_name, text):
    page = open_file(out, TWO.record.key, own_browser_name)
    begin_with_local_storage(page, {f"m2ib-audit review {PLACE}": text})
    page.reload()
    ready(page)
    page.keyboard.press("r")
    page.keyboard.press("1")
    kept(page)


def test_a_print_shows_no_dock(open_file, out, browser_name):
    page = open_file(out, TWO.record.key, browser_name)
    page.emulate_media(media="print")
    expect(page.locator(".review")).to_be_hidden()


def asked(page: Page):
    return page.get_by_role("dialog", name="Who reviews?")


def test_who_has_given_no_initials_is_asked_before_the_first_answer_is_kept(open_file, out, browser_name, tmp_path):
    page = open_file(out, TWO.record.key, browser_name, initials=None)
    page.keyboard.press("r")
    page.keyboard.press("3")
    expect(asked(page)).to_be_visible()
    assert kept_in_browser(page) == {"studies": {}, "choices": {}}
    page.keyboard.type("1d")  # a name, and no commands
    page.keyboard.press("Enter")
    expect(asked(page)).to_be_hidden()
    kept(page)
    assert dock(page).locator("input[value=disagree]").is_checked()
    page.keyboard.press("2")
    kept(page)
    found = json.loads(save(page, tmp_path / "saved.json").read_text())["entries"]
    assert {entry["reviewer"] for entry in found} == {"1d"}
    assert [entry["verdict"] for entry in found] == ["disagree", "partly"]


def test_who_gives_no_initials_keeps_nothing_is_told_so_and_is_asked_again(open_file, out, browser_name):
    page = open_file(out, TWO.record.key, browser_name, initials=None)
    page.keyboard.press("r")
    page.keyboard.press("1")
    expect(asked(page)).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(STATE)).to_have_text("Not saved: give your initials first")
    assert kept_in_browser(page) == {"studies": {}, "choices": {}}
    page.keyboard.press("3")
    expect(asked(page)).to_be_visible()
    asked(page).get_by_role("button", name="Not now").click()
    dock(page).get_by_role("textbox", name="Reviewer").fill("CD")
    page.keyboard.press("Escape")
    kept(page)
    assert dock(page).locator("input[value=disagree]").is_checked()


def test_two_readers_of_one_out_stay_two(open_file, out, browser_name, tmp_path):
    files = []
    for reader, verdict in (("AB", "1"), ("CD", "3")):
        page = open_file(out, TWO.record.key, f"{browser_name} {reader}", initials=None)
        page.keyboard.press("r")
        page.keyboard.press(verdict)
        page.keyboard.type(reader)
        page.keyboard.press("Enter")
        kept(page)
        files.append(save(page, tmp_path / f"{reader}.json"))
    import_entries(out, files, now=datetime.now(UTC))
    assert {row["reviewer"]: row["verdict"] for row in export(out).rows} == {"AB": "agree", "CD": "disagree"}


def phrase_at(page: Page) -> tuple[str, str]:
    """Study and phrase that a page shows."""
    ready(page)
    return page.url.split("/")[-2], page.locator(".reading:not(.behind) .card.chosen .phrase-text").inner_text()


def phrases_in_order() -> list[tuple[str, str]]:
    return [
        (made.record.key, phrase.text)
        for made in (ONE, TWO, FOUR)
        for image in made.record.images
        for phrase in image.phrases
    ]


def test_n_and_p_visit_every_phrase_of_every_study_with_the_dock_folded_away(open_file, out, browser_name):
    page = open_file(out, ONE.record.key, browser_name, initials=None)
    wanted = phrases_in_order()
    for key, order in (("n", wanted), ("p", wanted[::-1])):
        assert phrase_at(page) == order[0]
        for before, after in pairwise(order):
            page.keyboard.press(key)
            if before[0] != after[0]:
                page.wait_for_url(f"**/{after[0]}/**")
            assert phrase_at(page) == after
        page.keyboard.press(key)
        expect(page.locator(STATE)).to_have_text(
            "This was the last phrase" if key == "n" else "This is the first phrase"
        )


def test_u_leads_to_every_phrase_without_a_verdict_and_says_when_there_is_none(open_file, out, browser_name):
    page = open_file(out, TWO.record.key, browser_name)
    page.keyboard.press("r")
    page.keyboard.press("1")
    kept(page)
    left = [each for each in phrases_in_order() if each[0] != TWO.record.key]
    met = []
    for _ in range(len(left)):
        page.evaluate("document.body.dataset.left = 'true'")
        page.keyboard.press("u")
        page.wait_for_selector("body[data-review-ready]:not([data-left])", state="attached")
        page.wait_for_url(re.compile("index.html$"))  # hops over the studies that have no phrase open
        met.append(phrase_at(page))
        page.keyboard.press("2")
        kept(page)
    assert sorted(met) == sorted(left)
    page.keyboard.press("u")
    expect(page.locator(STATE)).to_have_text("You have judged every phrase")


def test_n_leads_on_from_a_radiograph_without_phrases(open_file, tmp_path, browser_name):
    made = make_study("e" * 16, (EFFUSION,), (), (NODULE,))
    lay_down(tmp_path / "other", made)
    page = open_file(tmp_path / "other", made.record.key, browser_name)
    for key, text in (("n", NODULE.text), ("p", EFFUSION.text)):
        page.get_by_role("tab").nth(1).click()
        page.keyboard.press(key)
        assert phrase_at(page)[1] == text
