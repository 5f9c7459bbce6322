"""A reviewer at work, in a real browser, with the real server behind the page."""

import re

import pytest
from made_up_records import EFFUSION, make_study
from made_up_review import entry_of, lay_down, ready, three_studies
from playwright.sync_api import expect
from review_page import STATE, dock, said, saved

from audit.review.ledger import LEDGER_NAME, Ledger
from reports.review_record import REASONS

ONE, TWO, FOUR = three_studies()
# Ratios of contrast as WCAG 2.2 has them (1.4.3), of every text that the dock shows.
CONTRASTS = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const over = ([r, g, b, a = 1], under) => [r, g, b].map((each, i) => each * a + under[i] * (1 - a));
  const light = (rgb) => {
    const [r, g, b] = rgb.map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  for (const element of document.querySelectorAll(".review *, .reviewed")) {
    const text = [...element.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data).join("").trim();
    if (!text || !element.checkVisibility()) continue;
    let ground = [255, 255, 255];
    let opacity = 1;
    const layers = [];
    for (let each = element; each; each = each.parentElement) layers.unshift(getComputedStyle(each));
    for (const style of layers) ground = over(parse(style.backgroundColor), ground);
    for (const style of layers) opacity *= Number(style.opacity);
    const ink = over([...parse(getComputedStyle(element).color).slice(0, 3), opacity], ground);
    const [a, b] = [light(ink), light(ground)].sort((x, y) => y - x);
    found.push([text, (a + 0.05) / (b + 0.05)]);
  }
  return found;
}"""


@pytest.mark.parametrize("by", ["mouse", "keyboard"])
def test_each_verdict_is_kept(open_review, server, out, by):
    page = open_review(server, TWO.record.key)
    for key, name in (("1", "Agree"), ("3", "Disagree"), ("2", "Partly")):
        if by == "mouse":
            dock(page).locator("label", has_text=re.compile(f"^ ?{name}")).click()
        else:
            page.keyboard.press(key)
        verdict = name.lower()
        expect(page.locator(".card .reviewed")).to_have_text(f"reviewed: {verdict}")
        saved(page)
        assert [entry.verdict for entry in said(out)] == [verdict]
        assert dock(page).locator(f"input[value={verdict}]").is_checked()


def test_reasons_are_asked_for_where_the_reviewer_does_not_agree(open_review, server, out):
    page = open_review(server, TWO.record.key)
    reasons = dock(page).get_by_role("group", name="Why")
    page.keyboard.press("1")
    expect(reasons).to_be_hidden()
    page.keyboard.press("3")
    for words in ("Wrong side", "On a device or line"):
        reasons.get_by_text(words).click()
    reasons.get_by_role("checkbox", name="Wrong side").focus()
    page.keyboard.press("Space")
    saved(page)
    expect(reasons.get_by_role("checkbox")).to_have_count(len(REASONS))
    assert [entry.reasons for entry in said(out)] == [("device",)]


def test_withdrawing_takes_answers_and_reasons_back_and_leaves_the_rest(open_review, server, out):
    page = open_review(server, TWO.record.key)
    page.keyboard.press("6")
    dock(page).get_by_role("group", name="expect the model to need this region").get_by_text("No").click()
    saved(page)
    assert (said(out)[0].region_needed, said(out)[0].verdict) == ("no", None)
    page.keyboard.press("3")
    dock(page).get_by_text("Wrong side").click()
    page.keyboard.press("c")
    page.keyboard.type("left and 1 right")
    page.keyboard.press("Escape")
    page.keyboard.press("0")
    saved(page)
    (entry,) = said(out)
    assert (entry.verdict, entry.region_needed, entry.reasons) == (None, None, ())
    assert entry.comment == "left and 1 right"
    page.keyboard.press("2")
    dock(page).get_by_role("button", name="Withdraw").click()
    saved(page)
    assert said(out)[0].verdict is None
    assert len(Ledger(out / LEDGER_NAME).entries()) >= 5


def test_letters_in_a_comment_are_no_commands(open_review, server, out):
    page = open_review(server, TWO.record.key)
    page.keyboard.press("c")
    text = "1 2 3 4 h b n p d r c 0"
    page.keyboard.type(text)
    expect(page.locator(STATE)).to_have_text("Saved")  # without leaving the field
    (entry,) = said(out)
    assert (entry.comment, entry.verdict) == (text, None)
    assert page.get_by_role("checkbox", name="Heat").is_checked()


def test_a_comment_is_kept_when_the_page_is_left_at_once(open_review, server, out):
    page = open_review(server, TWO.record.key)
    page.keyboard.press("c")
    page.keyboard.type("all too small")
    page.get_by_role("link", name="All studies").click()
    page.wait_for_url("**/index.html")
    page.get_by_role("link", name=TWO.record.key).click()
    ready(page)
    expect(dock(page).get_by_label("Comment")).to_have_value("all too small")


def test_next_and_previous_walk_through_phrases_images_and_studies(open_review, server):
    page = open_review(server, ONE.record.key)
    chosen = page.locator(".reading:not(.behind) .card.chosen .phrase-text")
    phrases = [(made.record.key, p.text) for made in (ONE, TWO, FOUR) for i in made.record.images for p in i.phrases]
    expect(chosen).to_have_text(phrases[0][1])
    for key, text in phrases[1:6]:
        page.keyboard.press("n")
        page.wait_for_url(f"**/{key}/**")
        ready(page)
        expect(chosen).to_have_text(text)
    dock(page).get_by_role("button", name="Previous").click()
    dock(page).get_by_role("button", name="Previous").click()
    page.wait_for_url(f"**/{TWO.record.key}/**")
    ready(page)
    page.keyboard.press("p")
    page.wait_for_url(f"**/{ONE.record.key}/**")
    ready(page)
    expect(chosen).to_have_text(phrases[2][1])


def test_studies_and_images_without_a_phrase_stop_nobody(open_review, serve_here, tmp_path):
    first = make_study("a" * 16, (EFFUSION,))
    second = make_study("b" * 16, ())
    third = make_study("c" * 16, (), (EFFUSION,))
    (tmp_path / "odd").mkdir()
    page = open_review(serve_here(lay_down(tmp_path / "odd", first, second, third)), first.record.key)
    page.keyboard.press("n")
    page.wait_for_url(f"**/{third.record.key}/**")
    ready(page)
    expect(page.get_by_role("tab", selected=True)).to_contain_text("PA radiograph")
    page.keyboard.press("1")  # of no phrase
    page.keyboard.press("n")
    expect(page.get_by_role("tab", selected=True)).to_contain_text("Lateral radiograph")
    expect(page.locator(".reviewed")).to_have_count(0)
    page.keyboard.press("1")
    saved(page)
    page.keyboard.press("p")
    page.wait_for_url(f"**/{first.record.key}/**")
    ready(page)


def test_letters_that_are_switched_off_are_no_commands(open_review, server, out):
    page = open_review(server, TWO.record.key)
    page.get_by_role("checkbox", name="Letter keys").uncheck()
    for key in "123cdnpur":
        page.keyboard.press(key)
    page.wait_for_timeout(200)
    assert said(out) == []
    dock(page).locator(".review-choice.agree").click()
    saved(page)


def test_a_key_leads_to_the_next_study_without_an_answer(open_review, server):
    page = open_review(server, ONE.record.key)
    page.keyboard.press("u")
    page.wait_for_url(f"**/{TWO.record.key}/**")
    ready(page)
    page.keyboard.press("1")
    dock(page).get_by_role("button", name="Unanswered").click()
    page.wait_for_url(f"**/{FOUR.record.key}/**")
    ready(page)
    page.keyboard.press("u")
    page.wait_for_url(f"**/{ONE.record.key}/**")
    ready(page)


def test_that_key_leads_to_the_phrase_that_lacks_an_answer_with_the_dock_folded_away_too(open_review, server):
    client = server.client()
    for place in (0, 1, 3):
        client.post(entry_of(FOUR, 30 + place, place=place))
    client.post(entry_of(TWO, 1))
    page = open_review(server, ONE.record.key)
    page.keyboard.press("r")
    page.keyboard.press("u")
    page.wait_for_url(f"**/{FOUR.record.key}/**")
    ready(page)
    expect(page.locator(".card.chosen .phrase-text")).to_have_text(FOUR.record.images[0].phrases[2].text)


def test_at_either_end_the_page_says_so(open_review, server):
    page = open_review(server, ONE.record.key)
    page.keyboard.press("p")
    expect(page.locator(STATE)).to_have_text("This is the first phrase")


def test_each_phrase_has_its_own_answer(open_review, server, out):
    page = open_review(server, FOUR.record.key)
    for key in ("1", "n", "3", "n", "2", "n", "3"):
        page.keyboard.press(key)
    saved(page)
    by_heat = {entry.subject.heat: entry.verdict for entry in said(out)}
    heats = [phrase.heat for phrase in FOUR.record.images[0].phrases]
    assert [by_heat[heat] for heat in heats] == ["agree", "disagree", "partly", "disagree"]
    page.locator(".card").nth(1).click()
    assert dock(page).get_by_role("radio", name="Disagree").is_checked()
    page.reload()
    ready(page)
    expect(page.locator(".card .reviewed")).to_have_text(
        ["reviewed: agree", "reviewed: disagree", "reviewed: partly", "reviewed: disagree"]
    )


@pytest.mark.parametrize("width", [1400, 820, 390], ids=["desk", "tablet", "phone"])
def test_the_dock_fits_the_screen(open_review, server, width):
    page = open_review(server, FOUR.record.key)
    page.set_viewport_size({"width": width, "height": 900})
    page.keyboard.press("3")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    box = dock(page).bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    if width == 1400:
        assert box["y"] + box["height"] <= 900
        assert box["height"] < 540  # with both questions: 3 of 5 parts of the window
    targets = dock(page).locator("label.review-choice, label.review-chip, button").all()
    sizes = [target.bounding_box() for target in targets if target.is_visible()]
    assert min(min(size["width"], size["height"]) for size in sizes) >= 24  # WCAG 2.2, 2.5.8


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_of_the_dock_stands_out_from_its_ground(open_review, server, scheme):
    page = open_review(server, TWO.record.key, color_scheme=scheme)
    for key in "123":
        page.keyboard.press(key)
        dock(page).locator(".review-chip").first.dispatch_event("click")
        faint = [(text, ratio) for text, ratio in page.evaluate(CONTRASTS) if ratio < 4.5]
        assert faint == []


def test_every_control_has_a_name_and_is_reached_with_the_tab_key(open_review, server):
    page = open_review(server, TWO.record.key)
    page.keyboard.press("3")
    dock(page).get_by_role("button", name="Review", exact=False).first.focus()
    names = []
    for _ in range(24):
        page.keyboard.press("Tab")
        names.append(
            page.evaluate(
                "() => { const e = document.activeElement;"
                " return (e.getAttribute('aria-label') || e.labels?.[0]?.innerText || e.innerText).trim(); }"
            )
        )
    wanted = ["Disagree", "Withdraw", "Wrong side", "Comment", "Draw boxes", "Add a box", "Previous", "Next"]
    places = [next((i for i, name in enumerate(names) if name.startswith(start)), -1) for start in wanted]
    assert -1 not in places, names
    assert places == sorted(places)


def test_the_dock_is_folded_away_and_opened_with_a_key(open_review, server, out):
    page = open_review(server, TWO.record.key)
    page.keyboard.press("r")
    expect(dock(page).get_by_label("Comment")).to_be_hidden()
    page.keyboard.press("1")
    page.wait_for_timeout(200)
    assert said(out) == []
    dock(page).get_by_role("button", name="Review").click()
    expect(dock(page).get_by_label("Comment")).to_be_visible()
