"""Pages fit a phone and a sheet of paper whatever font is installed, and wide tables can be read by scrolling them."""

import io

import numpy as np
import pytest
from made_up_cohort import make_cohort
from made_up_comparison import make_comparison
from made_up_model_comparison import model_pages
from made_up_pages import pages
from made_up_records import EFFUSION, NODULE, make_study
from PIL import Image
from playwright.sync_api import Page

from reports.cohort_page import render_cohort
from reports.comparison_page import render_comparison
from reports.comparison_record import ComparisonRecord
from reports.run_record import ScoreDifference
from reports.study_page import render_study

PRINTED_WIDTH = 703  # px: 210 mm of A4 without 2 x 12 mm of margin, 96 px to 25.4 mm
REFERENCES = ("random", "centre", "class-mean box", "words-only prior", "another reader")


def _study() -> str:
    made = make_study("a", (EFFUSION, NODULE))
    return render_study(made.record, heats=made.heats, pictures=made.pictures)


def _cohort() -> str:
    """Every reference that there is, and intervals that are long to write."""
    made = make_cohort()
    differences = tuple(
        ScoreDifference(reference=name, estimate=-0.11, low=-0.22, high=-0.01, scored=50, patients=20)
        for name in REFERENCES
    )
    summaries = tuple(
        each.model_copy(update={"differences": differences}) if each.method == made.run.method else each
        for each in made.run.summaries
    )
    return render_cohort(made.run.model_copy(update={"summaries": summaries}), [each.record for each in made.studies])


def _wide_comparison() -> ComparisonRecord:
    made = make_comparison(scored=True)
    more = ("energy in box", "IoU at Otsu", "relevance rank", "average precision", "mIoU", "CNR")
    scores = [score for score in made.scores if score.kind == "localisation"]
    further = tuple(score.model_copy(update={"score": name}) for score in scores for name in more)
    return made.model_copy(update={"scores": (*made.scores, *further)})


def _full_study() -> str:
    """Every kind of line that a study's page may have, cells without a score among them."""
    return next(html for name, html in pages() if name == "study of a run")


PAGES = {
    "study": _study,
    "study of a run": _full_study,
    "cohort": _cohort,
    "comparison": lambda: render_comparison(_wide_comparison()),
    "two models": lambda: next(model_pages())[1],
}


@pytest.mark.parametrize("spread_em", [0.0, 0.05, 0.1], ids=["as installed", "wider", "much wider"])
@pytest.mark.parametrize("name", PAGES)
def test_no_page_is_wider_than_a_phone_even_in_a_wide_font(open_page, name: str, spread_em: float) -> None:
    page = open_page(PAGES[name](), viewport={"width": 390, "height": 844})
    page.evaluate("spread => { document.body.style.letterSpacing = `${spread}em`; }", spread_em)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for card in page.locator(".reading:not(.behind) .card-head").all():
        card.click()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("name", ["cohort", "study", "study of a run"])
def test_no_table_is_wider_than_the_sheet_it_is_printed_on(open_page, name: str) -> None:
    page = open_page(PAGES[name](), viewport={"width": PRINTED_WIDTH, "height": 1000})
    page.emulate_media(media="print")
    rights = page.locator("table:visible").evaluate_all("all => all.map(each => each.getBoundingClientRect().right)")
    assert rights
    assert max(rights) <= PRINTED_WIDTH + 0.5


def test_the_deciding_column_is_printed(open_page) -> None:
    page = open_page(PAGES["cohort"](), viewport={"width": PRINTED_WIDTH, "height": 1000})
    page.emulate_media(media="print")
    head = page.get_by_role("columnheader", name="over words-only prior").bounding_box()
    assert head["x"] + head["width"] <= PRINTED_WIDTH


def edge(page: Page) -> np.ndarray:
    """Mean grey of the columns of pixels at the right edge of the first table's frame."""
    frame = page.locator("#place-title ~ .wide")
    picture = Image.open(io.BytesIO(frame.screenshot())).convert("L")
    return np.asarray(picture).astype(float)[2:-20, -12:].mean(axis=0)


def test_a_table_that_goes_on_to_the_right_says_so_until_its_last_column_is_in_sight(open_page) -> None:
    page = open_page(PAGES["comparison"](), viewport={"width": 390, "height": 844})
    frame = page.locator("#place-title ~ .wide")
    assert frame.evaluate("each => each.scrollWidth > each.clientWidth + 100")
    frame.evaluate("each => { each.scrollLeft = 40; }")
    goes_on = edge(page)
    frame.evaluate("each => { each.scrollLeft = each.scrollWidth; }")
    at_its_end = edge(page)
    assert goes_on[-3] < at_its_end[-3] - 20
    assert frame.evaluate("each => each.tabIndex") == 0  # and scrolls with the arrow keys


def test_the_first_column_stays_in_sight_while_a_comparison_scrolls(open_page) -> None:
    page = open_page(PAGES["comparison"](), viewport={"width": 390, "height": 844})
    frame = page.locator("#place-title ~ .wide")
    name, value = frame.locator("tbody th").first, frame.locator("tbody td").first
    before, value_before = name.bounding_box()["x"], value.bounding_box()["x"]
    frame.evaluate("each => { each.scrollLeft = 150; }")
    assert name.bounding_box()["x"] == pytest.approx(before, abs=1)
    assert value.bounding_box()["x"] == pytest.approx(value_before - 150, abs=1)


def test_the_letters_of_side_stay_on_the_film_while_it_zooms_and_moves(open_study) -> None:
    page = open_study(make_study("a", (EFFUSION,)))
    where = """() => { const film = document.querySelector('.layers').getBoundingClientRect();
      return [...document.querySelectorAll('.sides text')].map(each => { const box = each.getBoundingClientRect();
        return [(box.x + box.width / 2 - film.x) / film.width, (box.y + box.height / 2 - film.y) / film.height,
          box.height]; }); }"""
    before = page.evaluate(where)
    for _ in range(5):
        page.locator(".zoom-in").click()
    page.locator(".stage").focus()
    page.keyboard.press("Control+ArrowLeft")
    after = page.evaluate(where)
    assert len(before) == 2
    for (x, y, height), (x_after, y_after, height_after) in zip(before, after, strict=True):
        assert (x_after, y_after) == pytest.approx((x, y), abs=0.03)
        assert height_after == pytest.approx(height, rel=0.1)  # as large as before
