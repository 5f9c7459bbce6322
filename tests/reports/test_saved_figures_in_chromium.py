"""A figure is saved as one picture that needs no page: with its labels, its drawing and the limits of the page."""

import io
from pathlib import Path
from xml.etree import ElementTree

import pytest
from made_up_watch import make_watch
from PIL import Image
from playwright.sync_api import Page

from reports.cohort_page import render_cohort
from reports.watch_page import render_watch

SVG = "{http://www.w3.org/2000/svg}"


def saved(page: Page, figure: str, way: str) -> tuple[str, bytes]:
    with page.expect_download() as download:
        page.get_by_role("button", name=f"Save as {way}: {figure}", exact=True).first.click()
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


def words_of(picture: ElementTree.Element) -> str:
    return " ".join(text.text or "" for text in picture.iter(f"{SVG}text"))


def test_a_control_chart_is_saved(open_page) -> None:
    page = open_page(render_watch(make_watch(fallen=1)))
    name, content = saved(page, "Hit rate", "SVG")
    picture = ElementTree.fromstring(content)  # noqa: S314 - our own page wrote it
    assert name == "hit-rate.svg"
    assert {"Hit rate", "2026-11-09", "100\N{NARROW NO-BREAK SPACE}%"} <= {t.text for t in picture.iter(f"{SVG}text")}
    assert "Trend of phantom · Not for diagnosis · Phantom: says nothing about patients" in words_of(picture)
    assert len(picture.findall(f".//{SVG}circle")) == 9
    assert all(each.get("stroke") not in {None, "none"} for each in picture.iter(f"{SVG}circle"))
    assert "class=" not in content.decode()
    name, content = saved(page, "Hit rate", "PNG")
    with Image.open(io.BytesIO(content)) as image:
        assert (name, image.format) == ("hit-rate.png", "PNG")
        assert image.width == pytest.approx(2 * float(picture.get("width", "0")), abs=2)
        assert len(image.convert("RGB").getcolors(1 << 20) or ()) > 20


def test_a_chart_of_scores_is_saved_with_its_rows_and_the_page_links_its_table(open_page, cohort) -> None:
    page = open_page(render_cohort(cohort.run, []))
    name = page.locator("table.chart caption").first.text_content() or ""
    _, content = saved(page, name, "SVG")
    picture = ElementTree.fromstring(content)  # noqa: S314 - our own page wrote it
    words = words_of(picture)
    rows = page.locator("table.chart").first.locator("tbody th").all_text_contents()
    assert len(rows) > 2
    for text in (name, *rows):
        assert text in words
    assert len(picture.findall(f".//{SVG}circle")) == len(rows)
    assert page.get_by_role("link", name="All scores as CSV").get_attribute("href") == "scores.csv"
