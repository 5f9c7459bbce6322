"""Boxes that a reviewer draws, in a real browser, with the real server behind the page."""

import pytest
from made_up_review import lay_down, three_studies, two_sided_study
from playwright.sync_api import expect
from review_page import dock, drag, on_screen, said, saved

from audit.review.drawn import write_boxes
from pipelines.boxes import read_boxes

_, TWO, _ = three_studies()


SIDES = two_sided_study()


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
