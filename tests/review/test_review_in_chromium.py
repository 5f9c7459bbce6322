"""A reviewer at work, in a real browser, with the real server behind the page."""

import re
from pathlib import Path

import pytest
from made_up_records import EFFUSION, make_study
from made_up_review import Server, entry_of, lay_down, ready, three_studies, two_sided_study
from playwright.sync_api import Page, expect

from audit.review.drawn import write_boxes
from audit.review.ledger import LEDGER_NAME, Ledger
from pipelines.boxes import read_boxes
from reports.review_record import REASONS, ReviewEntry

ONE, TWO, FOUR = three_studies()
SIDES = two_sided_study()
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
STATE = ".reading:not(.behind) .review-state"


@pytest.fixture
def server(serve_here, out) -> Server:
    return serve_here(out)


def said(out: Path, **wanted: str) -> list[ReviewEntry]:
    ledger = Ledger(out / LEDGER_NAME)
    try:
        return ledger.latest(**wanted)
    finally:
        ledger.close()


def saved(page: Page) -> None:
    expect(page.locator(STATE)).to_have_text("Saved")


def dock(page: Page):
    return page.locator(".reading:not(.behind) .review")


def drag(page: Page, start: tuple[float, float], end: tuple[float, float], image=TWO.record.images[0]) -> None:
    """Drag from one place of the film to another; both in source pixels (x, y)."""
    corners = [on_screen(page, each, image) for each in (start, end)]
    page.mouse.move(*corners[0])
    page.mouse.down()
    page.mouse.move(sum(x for x, _ in corners) / 2, sum(y for _, y in corners) / 2)
    page.mouse.move(*corners[1])
    page.mouse.up()


def on_screen(page: Page, point: tuple[float, float], image) -> tuple[float, float]:
    """Where a source pixel lies on the screen: the picture fills the stage as far as its shape lets it."""
    stage = page.locator(".reading:not(.behind) .stage").bounding_box()
    scale = min(stage["width"] / image.columns, stage["height"] / image.rows)
    left = stage["x"] + (stage["width"] - image.columns * scale) / 2
    top = stage["y"] + (stage["height"] - image.rows * scale) / 2
    return left + point[0] * scale, top + point[1] * scale


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


def test_withdrawing_takes_verdict_and_reasons_back_and_leaves_the_rest(open_review, server, out):
    page = open_review(server, TWO.record.key)
    page.keyboard.press("3")
    dock(page).get_by_text("Wrong side").click()
    page.keyboard.press("c")
    page.keyboard.type("left and 1 right")
    page.keyboard.press("Escape")
    page.keyboard.press("0")
    saved(page)
    (entry,) = said(out)
    assert (entry.verdict, entry.reasons, entry.comment) == (None, (), "left and 1 right")
    page.keyboard.press("2")
    dock(page).get_by_role("button", name="Withdraw").click()
    saved(page)
    assert said(out)[0].verdict is None
    assert len(Ledger(out / LEDGER_NAME).entries()) >= 5


def test_letters_in_a_comment_are_no_commands(open_review, server, out):
    page = open_review(server, TWO.record.key)
    page.keyboard.press("c")
    text = "1 2 3 h b n p d r c 0"
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


def test_a_box_is_drawn_moved_sized_and_removed_with_the_mouse(open_review, server, out):
    page = open_review(server, TWO.record.key)
    dock(page).get_by_role("button", name="Draw boxes").click()
    drag(page, (300, 400), (500, 700))
    saved(page)
    (box,) = said(out)[0].boxes
    assert (box.x, box.y, box.width, box.height) == pytest.approx((300, 400, 200, 300), abs=3)
    drag(page, (400, 550), (450, 650))  # by its middle
    saved(page)
    expect(dock(page).locator(".review-box-name")).to_have_text("Box 1: 350, 500, 200 × 300 px")
    drag(page, (550, 800), (650, 900))  # by its lower right corner
    saved(page)
    (box,) = said(out)[0].boxes
    assert (box.x, box.y, box.width, box.height) == pytest.approx((350, 500, 300, 400), abs=4)
    drag(page, (350, 500), (1000, 1300))  # the corner beyond the opposite one
    saved(page)
    (box,) = said(out)[0].boxes
    assert (box.x, box.y, box.width, box.height) == pytest.approx((650, 900, 350, 400), abs=5)
    drag(page, (50, 50), (60, 60))
    drag(page, (60, 60), (61, 61))  # a click
    saved(page)
    assert len(said(out)[0].boxes) == 2
    dock(page).get_by_role("button", name="Remove box 2").click()
    saved(page)
    assert len(said(out)[0].boxes) == 1
    page.keyboard.press("Escape")
    assert dock(page).get_by_role("button", name="Draw boxes").get_attribute("aria-pressed") == "false"


def test_a_box_is_drawn_where_it_is_seen_on_a_film_that_is_zoomed(open_review, server, out):
    page = open_review(server, TWO.record.key)
    page.mouse.move(*on_screen(page, (575, 700), TWO.record.images[0]))
    page.mouse.dblclick(*on_screen(page, (575, 700), TWO.record.images[0]))
    expect(page.locator(".zoom-value")).to_have_text("300\u202f%")
    page.keyboard.press("d")
    # The middle of the film stays where it was, and everything is three times as far from it.
    drag(page, (575 - 150, 700 - 90), (575 + 150, 700 + 90))
    saved(page)
    (box,) = said(out)[0].boxes
    assert (box.x, box.y, box.width, box.height) == pytest.approx((525, 670, 100, 60), abs=2)
    page.mouse.dblclick(*on_screen(page, (575, 700), TWO.record.images[0]))
    expect(page.locator(".zoom-value")).to_have_text("300\u202f%")


def test_a_box_stays_on_its_image(open_review, server, out):
    page = open_review(server, TWO.record.key)
    page.keyboard.press("d")
    drag(page, (1000, 1200), (1500, 1500))
    saved(page)
    (box,) = said(out)[0].boxes
    image = TWO.record.images[0]
    assert box.x + box.width == pytest.approx(image.columns, abs=0.11)
    assert box.y + box.height == pytest.approx(image.rows, abs=0.11)


def test_escape_while_a_box_is_being_drawn_leaves_nothing(open_review, server, out):
    page = open_review(server, TWO.record.key)
    page.keyboard.press("d")
    image = TWO.record.images[0]
    page.mouse.move(*on_screen(page, (300, 400), image))
    page.mouse.down()
    page.mouse.move(*on_screen(page, (500, 700), image))
    assert page.locator(".review-box").count() == 1
    page.keyboard.press("Escape")
    page.mouse.up()
    assert page.locator(".review-box").count() == 0
    assert said(out) == []


def test_a_box_is_added_moved_sized_and_removed_with_keys_alone(open_review, server, out):
    page = open_review(server, TWO.record.key)
    dock(page).get_by_role("button", name="Add a box").focus()
    page.keyboard.press("Enter")
    saved(page)
    before = said(out)[0].boxes[0]
    row, column = TWO.record.images[0].phrases[0].hottest
    assert (before.x + before.width / 2, before.y + before.height / 2) == pytest.approx((column, row), abs=0.2)
    for key in ("ArrowRight", "ArrowRight", "ArrowUp", "Shift+ArrowDown", "Shift+ArrowLeft"):
        page.keyboard.press(key)
    saved(page)
    after = said(out)[0].boxes[0]
    step = 6  # half a percent of 1150 columns
    assert (after.x - before.x, after.y - before.y) == pytest.approx((2 * step, -step))
    assert (after.width - before.width, after.height - before.height) == pytest.approx((-step, step))
    page.keyboard.press("Delete")
    saved(page)
    assert said(out)[0].boxes == ()
    assert page.evaluate("document.activeElement.textContent") == "Add a box"


def test_the_radiologists_boxes_are_copied_to_be_corrected(open_review, server, out):
    page = open_review(server, TWO.record.key)
    copy = dock(page).get_by_role("button", name="Copy the radiologist's")
    copy.click()
    saved(page)
    theirs = TWO.record.images[0].boxes[0]
    (box,) = said(out)[0].boxes
    assert (box.x, box.y, box.width, box.height) == pytest.approx((theirs.x, theirs.y, theirs.width, theirs.height))
    expect(copy).to_be_hidden()


def test_the_copied_and_exported_boxes_are_those_of_the_phrases_side(open_review, serve_here, tmp_path):
    out = lay_down(tmp_path / "sides", SIDES)
    page = open_review(serve_here(out), SIDES.record.key)
    (image,) = SIDES.record.images
    for number, theirs in enumerate(image.boxes):
        page.locator(f"#phrase-0-{number} .phrase-text").click()
        dock(page).get_by_role("button", name="Copy the radiologist's").click()
        saved(page)
        expect(dock(page).locator(".review-boxes li")).to_have_count(1)
        write_boxes(out, tmp_path / "boxes.csv")
        rows = [row for row in read_boxes(tmp_path / "boxes.csv").rows if row.box.phrase == image.phrases[number].text]
        assert [row.box.x for row in rows] == [pytest.approx(theirs.x)]


def test_two_tabs_of_one_reviewer_do_not_overwrite_each_other(open_review, new_page, server, out):
    first = open_review(server, TWO.record.key, expected="409 (Conflict)")  # which is how the tab behind learns of it
    second = new_page("Ada")
    second.goto(first.url)
    ready(second)
    first.keyboard.press("3")
    saved(first)
    second.keyboard.press("c")
    second.keyboard.type("from the other tab")
    second.keyboard.press("Escape")
    saved(second)
    (entry,) = said(out)
    assert (entry.verdict, entry.comment) == ("disagree", "from the other tab")
    assert dock(second).get_by_role("radio", name="Disagree").is_checked()


def test_two_reviewers_stand_beside_each_other(open_review, server, out):
    ada, ben = open_review(server, TWO.record.key, "Ada"), open_review(server, TWO.record.key, "Ben")
    ada.keyboard.press("3")
    dock(ada).get_by_text("Wrong side").click()
    saved(ada)
    ben.keyboard.press("1")
    saved(ben)
    assert {entry.reviewer: entry.verdict for entry in said(out)} == {"Ada": "disagree", "Ben": "agree"}
    ben.reload()
    ready(ben)
    expect(dock(ben).get_by_role("list", name="Other reviewers' answers")).to_have_text("Ada: disagree · Wrong side")
    assert dock(ben).locator("input[value=agree]").is_checked()


def test_a_blinded_reviewer_sees_nothing_of_the_other(open_review, serve_here, out):
    server = serve_here(out, blind=True)
    ada = open_review(server, TWO.record.key, "Ada")
    ada.keyboard.press("3")
    saved(ada)
    ben = open_review(server, TWO.record.key, "Ben")
    assert "Ada" not in ben.locator("body").inner_text()
    assert ben.locator(".review-others li").count() == 0
    assert ben.locator(".card .reviewed").count() == 0


HOSTILE = "</script><script>window.hacked=1</script><img src=x onerror='window.hacked=1'>\u202e\u2066 javascript:x"


def test_hostile_comments_and_names_never_run(open_review, serve_here, out):
    name = "<img src=x onerror=window.hacked=1>"
    server = serve_here(out, reviewers=("Ada", name))
    client = server.client(name)
    entry = entry_of(TWO, 1, reviewer=name, comment=HOSTILE, verdict="partly")
    comment = client.post(entry).json["entry"]["comment"]  # its unknown words are masked, its markup is whole
    assert "</script><script>window.hacked=1</script>" in comment
    ada = open_review(server, TWO.record.key, "Ada")
    expect(ada.locator(".review-others li")).to_contain_text(comment)
    own = open_review(server, TWO.record.key, name)
    expect(dock(own).get_by_label("Comment")).to_have_value(comment)
    for page in (ada, own):
        assert page.evaluate("window.hacked") is None
        assert page.evaluate("document.scripts.length") == 3


def test_the_address_of_the_terminal_leads_to_all_studies_and_its_token_leaves_no_trace(new_page, server):
    page = new_page()
    page.goto(server.addresses["Ada"])
    page.wait_for_url("**/index.html")
    assert "token" not in page.url
    assert page.evaluate("document.cookie") == ""  # HttpOnly
    assert page.evaluate("document.referrer") == ""
    assert page.evaluate("history.length") <= 2
    page.get_by_role("link", name=TWO.record.key).click()
    ready(page)
    expect(dock(page).locator(".review-who")).to_have_text("Ada, study 2 of 3")


def test_the_address_works_when_another_sites_page_links_to_it(new_page, server, tmp_path):
    (tmp_path / "mail.html").write_text(f'<a href="{server.addresses["Ada"]}">review</a>')
    page = new_page()
    page.goto((tmp_path / "mail.html").as_uri())
    page.get_by_role("link").click()
    page.wait_for_url("**/index.html")
    expect(page.get_by_role("link", name=ONE.record.key)).to_be_visible()


def test_another_sites_page_cannot_answer_for_the_reviewer(new_page, server, out, tmp_path):
    page = new_page()
    page.goto(server.addresses["Ada"])
    page.wait_for_url("**/index.html")
    address = f"http://127.0.0.1:{server.port}/api/entries"
    (tmp_path / "evil.html").write_text("<p>evil</p>")
    evil = new_page(expected="")  # which complains of being refused
    evil.goto((tmp_path / "evil.html").as_uri())
    post = """async ([address, entry, type]) => {
      try { await fetch(address, {method: "POST", mode: "no-cors", credentials: "include", body: entry,
        headers: {"Content-Type": type}}); return "sent"; } catch (error) { return String(error); }
    }"""
    for kind in ("text/plain", "application/json"):
        evil.evaluate(post, [address, str(entry_of(TWO, 1)).replace("'", '"').replace("None", "null"), kind])
    assert said(out) == []


def test_what_cannot_be_kept_is_said_tried_again_and_can_be_saved_as_a_file(open_review, start_server, out, tmp_path):
    server = start_server(out)
    page = open_review(server, TWO.record.key, expected="ERR_CONNECTION_REFUSED")
    page.keyboard.press("1")
    saved(page)
    server.process.kill()
    server.process.wait(20)
    page.keyboard.press("3")
    expect(page.locator(STATE)).to_contain_text("Not saved, trying again")
    with page.expect_download() as download:
        dock(page).get_by_role("button", name="Save as file").click()
    download.value.save_as(tmp_path / "unsaved.json")
    assert '"disagree"' in (tmp_path / "unsaved.json").read_text()
    assert [entry.verdict for entry in said(out)] == ["agree"]


def test_who_has_lost_the_session_is_told_how_to_go_on_and_loses_nothing(open_review, server, out):
    page = open_review(server, TWO.record.key, expected="401 (Unauthorized)")
    kept = page.context.cookies(f"http://127.0.0.1:{server.port}/")
    page.context.clear_cookies()
    page.keyboard.press("2")
    expect(page.locator(STATE)).to_have_text(
        "Not saved, trying again: your session has ended; open the address in the terminal again, in another tab"
    )
    page.context.add_cookies(kept)
    saved(page)
    assert [entry.verdict for entry in said(out)] == ["partly"]


def test_a_page_of_another_reviewer_is_told_so_and_says_nothing_in_their_name(open_review, server, out):
    page = open_review(server, TWO.record.key, "Ada", expected="403 (Forbidden)")
    page.context.clear_cookies()
    name, _, value = server.client("Ben").cookie.partition("=")
    page.context.add_cookies([{"name": name, "value": value, "url": f"http://127.0.0.1:{server.port}/"}])
    page.keyboard.press("2")
    expect(page.locator(STATE)).to_have_text(
        "Not saved: this browser now reviews under another name: load the page again"
    )
    assert said(out) == []


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
        assert box["height"] < 480
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
