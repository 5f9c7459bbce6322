"""What the pages may weigh, how many studies one may list, and the paper they print on."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up_cohort import make_cohort
from made_up_pages import with_other_heats
from made_up_records import EFFUSION, HEART, NODULE, Claim, MadeUp, chest_picture, make_study
from playwright.sync_api import Page, expect

from pipelines.image_file import picture_of
from reports.cohort_page import render_cohort
from reports.outcomes import CONTROLS
from reports.study_page import render_study

SIDE = 2048
MOST_BYTES = 1_500_000
MANY = 100_000
A4_POINTS = (595, 842)


def with_everything(made: MadeUp) -> MadeUp:
    """Give each phrase a second method's heat and every control's."""
    image = made.record.images[0]
    count = len(CONTROLS)
    phrases = [
        with_other_heats(made, phrase, texts=(phrase.text,) * count, hits=(False,) * count) for phrase in image.phrases
    ]
    made.record = made.record.model_copy(
        update={"images": (replace(image, phrases=tuple(phrases)),)},
    )
    return made


def test_a_page_of_a_2k_film_with_ten_phrases_and_all_their_controls_is_under_a_megabyte_and_a_half() -> None:
    claims = tuple(Claim(text=f"{claim.text} {place}") for place, claim in enumerate((EFFUSION, NODULE) * 5))
    made = with_everything(make_study("a", claims, rows=SIDE, columns=SIDE))
    name = made.record.images[0].picture
    made.pictures[name] = picture_of((chest_picture(SIDE, SIDE) / 255).astype(np.float32))
    page = render_study(made.record, heats=made.heats, pictures=made.pictures)
    assert page.count('class="card"') == 10
    assert page.count('<th scope="row">Another patient') == 10
    assert 500_000 < len(page.encode()) < MOST_BYTES


@pytest.mark.slow
def test_a_hundred_thousand_studies_open_and_filter(open_page, tmp_path: Path) -> None:
    cohort = make_cohort()
    records = [made.record for made in cohort.studies]
    studies = (records[i % len(records)].model_copy(update={"key": f"{i:016x}"}) for i in range(MANY))
    path = tmp_path / "index.html"
    path.write_text(render_cohort(cohort.run, studies), encoding="utf-8")
    nodules = sum(
        any(phrase.finding == "nodule" for image in records[i % len(records)].images for phrase in image.phrases)
        for i in range(MANY)
    )
    page = open_page(path)
    status = page.get_by_role("status")
    expect(status).to_have_text(f"{MANY:,} in all")
    page.locator("#finding").select_option("nodule")
    expect(status).to_have_text(f"{nodules:,} of {MANY:,}")
    page.locator("#search").fill("no such word")
    expect(status).to_have_text(f"0 of {MANY:,}")


def sheets(page: Page) -> list[tuple[int, int]]:
    """Width and height of each printed sheet, in points."""
    boxes = re.findall(rb"/MediaBox\s*\[\s*0\s+0\s+([\d.]+)\s+([\d.]+)\s*\]", page.pdf(prefer_css_page_size=True))
    return [(round(float(width)), round(float(height))) for width, height in boxes]


def test_a_study_prints_on_a4_the_film_first_and_at_least_two_phrases_a_sheet(open_study) -> None:
    made = with_everything(make_study("a", (EFFUSION, NODULE, EFFUSION, NODULE, EFFUSION, NODULE)))
    page = open_study(made)
    printed = sheets(page)
    assert set(printed) == {A4_POINTS}
    assert len(printed) <= 1 + 3 + 2  # film; phrases; notes and provenance


def test_what_is_folded_away_is_not_printed(open_study) -> None:
    page = open_study(with_everything(make_study("a", (EFFUSION, HEART))))
    page.locator(".phrase-controls summary:visible").first.click()
    page.emulate_media(media="print")
    assert page.get_by_text("Controls: what changes this heat").locator("visible=true").count() == 1


def test_the_page_over_all_studies_prints_on_a4_without_its_filters(open_page, cohort) -> None:
    page = open_page(render_cohort(cohort.run, [made.record for made in cohort.studies]))
    assert set(sheets(page)) == {A4_POINTS}
    page.emulate_media(media="print")
    assert not page.get_by_role("searchbox").is_visible()
    assert page.locator("table.studies tbody tr:visible").count() == 24
