"""What a page highlights is what the phrase is scored against: a run over phantoms with findings on both sides."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from audited_phantoms import audit_phantoms
from playwright.sync_api import Page

from benchmarks.page_against_score import check_pages
from reports.outcomes import outcome_of
from reports.record import ScoredImage, ScoredPhrase
from reports.results_folder import read_record, read_run, render_pages, study_folders

SEED = 37  # both of its first two phantoms have findings on both sides

LIT = """(boxes) => boxes.map((box) => {
  const {x, y, width, height} = box.querySelector("path").getBBox();
  return {id: box.dataset.id, x, y, width, height};
})"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    return audit_phantoms(tmp_path_factory.mktemp("cohort"), count=2, seed=SEED)


def one_sided(image: ScoredImage) -> list[ScoredPhrase]:
    """Phrases that name one side of a finding that was boxed on both."""
    drawn = [box.label for box in image.boxes]
    return [phrase for phrase in image.phrases if phrase.side in {"left", "right"} and drawn.count(phrase.finding) == 2]


def test_every_phrase_is_scored_against_what_its_page_highlights(finished: Path) -> None:
    images = [read_record(folder).images[0] for folder in study_folders(finished)]
    assert all(one_sided(image) for image in images)  # else this would say nothing of sides
    checked = check_pages(finished)
    assert checked.phrases == sum(len(image.phrases) for image in images)
    assert checked.disagreements == ()


def test_a_page_that_highlights_both_sides_is_found(finished: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(finished, tmp_path / "out"))
    folder = study_folders(out)[0]
    record = read_record(folder)
    (image,) = record.images
    wrong = one_sided(image)[0]
    both = tuple(box.id for box in image.boxes if box.label == wrong.finding)
    phrases = (replace(phrase, target=both) if phrase.heat == wrong.heat else phrase for phrase in image.phrases)
    changed = record.model_copy(update={"images": (replace(image, phrases=tuple(phrases)),)})
    (folder / "record.json").write_text(changed.model_dump_json(), encoding="utf-8")
    render_pages(out, read_run(out))
    assert len(check_pages(out).disagreements) == 1


def test_in_a_browser_each_phrase_highlights_its_target_and_a_hit_lies_in_it(finished: Path, open_page) -> None:
    for folder in study_folders(finished):
        record = read_record(folder)
        (image,) = record.images
        page: Page = open_page(folder / "index.html")
        page.wait_for_selector(".reading[data-ready]", state="attached")
        for number, phrase in enumerate(image.phrases):
            card = page.locator(f"#phrase-0-{number}")
            card.locator(".phrase-text").click()
            lit = page.locator(".box.answers").evaluate_all(LIT)
            assert tuple(box["id"] for box in lit) == phrase.target
            outcome = outcome_of(phrase, method=record.method)
            assert card.locator(f".outcome.{outcome}").count() == 1
            if phrase.target and phrase.hottest is not None:
                row, column = phrase.hottest
                inside = any(
                    box["x"] <= column < box["x"] + box["width"] and box["y"] <= row < box["y"] + box["height"]
                    for box in lit
                )
                assert outcome == ("hit" if inside else "miss")
                sentence = card.locator(".verdict").inner_text()
                assert ("one of the" in sentence or "every one of" in sentence) == (len(lit) > 1)
