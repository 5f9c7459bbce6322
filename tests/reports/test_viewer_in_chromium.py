"""The film on the study page: zoom, window, lines, thresholds, colours, and a second film beside it."""

import io
from dataclasses import replace

import numpy as np
import pytest
from made_up_pages import erased_study
from made_up_records import EFFUSION, NODULE, make_study, png_of
from PIL import Image
from playwright.sync_api import Page
from waiting import until

from reports.overlay import TABLES
from reports.record import ControlRecord, OtherHeatRecord

PIXELS = """(canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let sum = 0, shown = 0;
  for (let at = 0; at < data.length; at += 4) {
    sum += data[at + 3] && (data[at] + 3 * data[at + 1] + 7 * data[at + 2]) * (1 + at / data.length);
    shown += data[at + 3] > 0;
  }
  return { sum, shown };
}"""


@pytest.fixture
def made():
    """Two phrases, with a control and another method's heat for the first."""
    study = make_study("a", (EFFUSION, NODULE))
    image = study.record.images[0]
    phrase = image.phrases[0]
    study.heats["control"] = (study.heats[phrase.heat] * 0.3).astype(np.float32)
    study.heats["other"] = study.heats[phrase.heat][::-1].copy()
    control = ControlRecord(
        method=study.record.method,
        control="shuffled report",
        text="Clear lungs.",
        heat="control",
        pearson=1.0,
        hit=True,
        cosine=0.1,
        total=1.0,
    )
    other = OtherHeatRecord(
        method="grad_cam", unit="dimensionless", heat="other", total=1.0, peak=1.0, hottest=(10.0, 20.0), tokens=()
    )
    phrases = (replace(phrase, controls=(control,), others=(other,)), *image.phrases[1:])
    changed = replace(image, phrases=phrases)
    study.record = study.record.model_copy(update={"images": (changed,)})
    return study


def layers(page: Page) -> dict[str, float]:
    return page.locator(".layers").first.bounding_box()


def heat(page: Page, pane: int = 0) -> dict[str, float]:
    return page.locator("canvas.heat").nth(pane).evaluate(PIXELS)


def grey(page: Page) -> float:
    """Mean grey of the film on the screen, without heat and boxes."""
    for name in (".heat-switch", ".box-switch"):
        page.locator(name).uncheck()
    return float(np.asarray(Image.open(io.BytesIO(page.locator(".stage").screenshot())).convert("L")).mean())


def test_the_wheel_zooms_about_the_pointer_and_a_drag_moves(open_study, made) -> None:
    page = open_study(made)
    stage = page.locator(".stage").bounding_box()
    x, y = stage["x"] + stage["width"] * 0.75, stage["y"] + stage["height"] * 0.25
    page.mouse.move(x, y)
    before = layers(page)
    page.mouse.wheel(0, -400)  # over a film that nobody clicked it scrolls the page
    page.wait_for_timeout(200)
    assert layers(page) == before
    page.mouse.click(x, y)
    page.mouse.wheel(0, -400)
    until(page, "document.querySelector('.stage.zoomed')")
    after = layers(page)
    assert after["width"] > 1.5 * before["width"]
    shares = [((x - each["x"]) / each["width"], (y - each["y"]) / each["height"]) for each in (before, after)]
    assert shares[0] == pytest.approx(shares[1], abs=0.01)
    page.mouse.down()
    page.mouse.move(x - 60, y + 40)
    page.mouse.up()
    moved = layers(page)
    assert (moved["x"] - after["x"], moved["y"] - after["y"]) == pytest.approx((-60, 40), abs=2)
    page.keyboard.press("f")
    assert layers(page) == pytest.approx(before)


def test_a_film_never_leaves_its_pane(open_study, made) -> None:
    page = open_study(made)
    page.locator(".zoom-in").click()
    stage = page.locator(".pane").bounding_box()
    page.mouse.move(stage["x"] + 50, stage["y"] + 50)
    page.mouse.down()
    page.mouse.move(stage["x"] + 900, stage["y"] + 700, steps=3)
    page.mouse.up()
    film = layers(page)
    assert film["x"] <= stage["x"] + 1
    assert film["x"] + film["width"] >= stage["x"] + stage["width"] - 1


def test_boxes_and_heat_stay_on_the_film_when_it_is_zoomed(open_study, made) -> None:
    page = open_study(made)
    read = """() => { const box = document.querySelector('.box path.line').getBoundingClientRect();
      const film = document.querySelector('.layers').getBoundingClientRect();
      return [(box.x - film.x) / film.width, (box.y - film.y) / film.height, box.width / film.width]; }"""
    before = page.evaluate(read)
    for _ in range(4):
        page.locator(".zoom-in").click()
    assert page.evaluate(read) == pytest.approx(before, abs=0.003)


@pytest.mark.parametrize("way", ["key", "switch"])
def test_inverting_turns_white_into_black(open_study, made, way: str) -> None:
    page = open_study(made)
    before = grey(page)
    if way == "key":
        page.locator(".stage").focus()
        page.keyboard.press("i")
    else:
        page.locator(".invert-switch").check()
    assert page.locator(".invert-switch").is_checked()
    inverted = grey(page)
    assert abs(inverted - before) > 8
    page.locator(".window-reset").click()
    assert grey(page) == pytest.approx(before, abs=0.5)


def test_shift_and_arrows_window_the_film(open_study, made) -> None:
    page = open_study(made)
    before = grey(page)
    page.locator(".stage").focus()
    for _ in range(4):
        page.keyboard.press("Shift+ArrowUp")
    assert grey(page) > before + 10
    assert page.locator(".window-value").inner_text().startswith("30 ± 50")
    page.keyboard.press("Shift+ArrowLeft")
    assert "± 4" in page.locator(".window-value").inner_text()


def test_a_drag_windows_when_it_is_set_to(open_study, made) -> None:
    page = open_study(made)
    page.locator(".window-switch").check()
    stage = page.locator(".stage").bounding_box()
    page.mouse.move(stage["x"] + 300, stage["y"] + 300)
    page.mouse.down()
    page.mouse.move(stage["x"] + 200, stage["y"] + 300, steps=4)
    page.mouse.up()
    assert page.locator(".window-value").inner_text() != "50 ± 50\u202f%"
    assert page.locator(".zoom-value").inner_text() == "100\u202f%"


def test_the_threshold_hides_what_is_colder(open_study, made) -> None:
    page = open_study(made)
    everything = heat(page)["shown"]
    page.locator(".threshold").fill("50")
    assert 0 < heat(page)["shown"] < everything / 2
    assert page.locator(".threshold-value").inner_text() == "50\u202f%"


def test_contours_lie_around_the_heat(open_study, made) -> None:
    page = open_study(made)
    assert not page.locator(".contours .line").first.get_attribute("d")
    page.locator(".stage").focus()
    page.keyboard.press("k")
    image = made.record.images[0]
    row, column = image.phrases[0].hottest
    lines = page.locator(".contours .line").first.evaluate(
        "path => { const b = path.getBBox(); return [b.x, b.y, b.width, b.height]; }"
    )
    assert lines[0] < column < lines[0] + lines[2]
    assert lines[1] < row < lines[1] + lines[3]


@pytest.mark.parametrize("name", list(TABLES))
def test_every_colour_table_reaches_film_and_legend(open_study, made, name: str) -> None:
    page = open_study(made)
    page.select_option(".colours", name)
    last = page.locator(".bar").evaluate("bar => [...bar.getContext('2d').getImageData(bar.width - 1, 0, 1, 1).data]")
    assert np.abs(np.array(last[:3]) - TABLES[name][-1]).max() <= 1


@pytest.mark.parametrize(
    ("value", "title", "same"),
    [
        pytest.param("phrase 1", "12 mm nodule", False, id="another phrase"),
        pytest.param("method Grad-CAM", "Grad-CAM", False, id="another method"),
        pytest.param("control Another patient's phrase", "Clear lungs.", False, id="a control"),
        pytest.param("plain", "Without heat", False, id="no heat"),
    ],
)
def test_a_second_film_shows_what_is_asked_for(open_study, made, value: str, title: str, same: bool) -> None:
    page = open_study(made)
    page.select_option(".beside", value)
    assert page.locator(".pane").count() == 2
    assert title in page.locator(".pane-title").nth(1).inner_text()
    assert (heat(page, 0) == heat(page, 1)) is same
    for _ in range(2):
        page.locator(".zoom-in").click()
    one, other = (page.locator(".layers").nth(pane).bounding_box() for pane in (0, 1))
    assert one["width"] == pytest.approx(other["width"])
    page.select_option(".beside", "")
    assert page.locator(".pane").count() == 1


def test_a_control_is_shown_on_the_scale_of_the_heat_itself(open_study, made) -> None:
    page = open_study(made)
    page.select_option(".beside", "control Another patient's phrase")
    assert heat(page, 1)["sum"] < 0.5 * heat(page, 0)["sum"]


def test_the_second_film_goes_with_the_phrase_it_belongs_to(open_study, made) -> None:
    page = open_study(made)
    page.select_option(".beside", "control Another patient's phrase")
    page.locator(".card .phrase-text").nth(1).click()
    assert page.locator(".pane").count() == 1
    assert page.locator(".beside").input_value() == ""


def test_a_phrase_that_lies_beside_changes_places_when_it_is_chosen(open_study, made) -> None:
    page = open_study(made)
    page.select_option(".beside", "phrase 1")
    before = [heat(page, pane) for pane in (0, 1)]
    page.locator(".card .phrase-text").nth(1).click()
    assert page.locator(".beside").input_value() == "phrase 0"
    assert [heat(page, pane) for pane in (1, 0)] == before


def test_the_film_is_named_for_print_where_it_stands_alone(open_study, made) -> None:
    page = open_study(made)
    page.locator(".card .phrase-text").nth(1).click()
    title = page.locator(".pane-title bdi")
    assert title.is_hidden()
    page.emulate_media(media="print")
    assert title.is_visible()
    assert title.inner_text() == page.locator(".card .phrase-text").nth(1).inner_text()


def test_letter_keys_can_be_switched_off(open_study, made) -> None:
    page = open_study(made)
    page.locator(".keys-switch").uncheck()
    page.locator(".stage").focus()
    page.keyboard.press("h")
    page.keyboard.press("i")
    assert page.locator(".heat-switch").is_checked()
    assert not page.locator(".invert-switch").is_checked()
    page.locator(".keys-switch").check()
    page.locator(".stage").focus()
    page.keyboard.press("h")
    assert not page.locator(".heat-switch").is_checked()


def test_boxes_of_one_reader_can_be_put_away(open_study, made) -> None:
    image = made.record.images[0]
    boxes = tuple(replace(box, reader=reader) for box, reader in zip(image.boxes, ("A", "B", "B"), strict=False))
    made.record = made.record.model_copy(update={"images": (replace(image, boxes=boxes),)})
    page = open_study(made)
    assert page.locator(".box:visible").count() == len(boxes)
    page.locator(".reader-switch[value=A]").uncheck()
    assert page.locator(".box:visible").count() == len(boxes) - 1


def test_boxes_of_one_finding_can_be_shown_alone(open_study, made) -> None:
    page = open_study(made)
    shown = page.locator(".box:visible")
    everything = shown.count()
    page.get_by_role("combobox", name="Boxes of which finding").select_option("nodule")
    assert shown.count() == 2
    assert set(shown.evaluate_all("(all) => all.map((box) => box.dataset.label)")) == {"nodule"}
    page.get_by_role("combobox", name="Boxes of which finding").select_option("this phrase's")
    assert set(shown.evaluate_all("(all) => all.map((box) => box.dataset.label)")) == {"pleural effusion"}
    page.locator(".card .phrase-text").nth(1).click()
    assert set(shown.evaluate_all("(all) => all.map((box) => box.dataset.label)")) == {"nodule"}
    page.get_by_role("combobox", name="Boxes of which finding").select_option("all findings")
    assert shown.count() == everything


def test_each_of_two_films_says_its_own_scale(open_study, made) -> None:
    page = open_study(made)
    page.select_option(".beside", "method Grad-CAM")
    first, second = page.locator(".pane-scale").all_inner_texts()
    assert first.endswith("nats per cell")
    assert second.endswith("no unit")
    page.select_option(".beside", "phrase 1")
    high = made.heats[made.record.images[0].phrases[1].heat].max()
    assert float(page.locator(".pane-scale").nth(1).inner_text().split()[2]) == pytest.approx(high, abs=0.06)


def test_phrases_of_one_sentence_are_told_apart_by_their_findings(open_study) -> None:
    heart = EFFUSION.__class__(text=EFFUSION.text, finding="cardiomegaly")
    page = open_study(make_study("a", (EFFUSION, heart, NODULE)))
    offered = page.locator(".beside option").all_text_contents()
    assert f"{EFFUSION.text} (cardiomegaly)" in offered
    assert NODULE.text in offered


def test_a_picture_with_a_region_erased_lies_beside_the_heat_of_its_phrase(open_study) -> None:
    made, _ = erased_study()
    made.pictures["a.jpg"] = png_of(np.full((256, 210), 200, dtype=np.uint8))
    page = open_study(made)
    button = page.locator(".card.chosen figure.region .beside-heat")
    button.click()
    assert page.locator(".pane").count() == 2
    assert button.get_attribute("aria-pressed") == "true"
    assert page.locator(".pane.second .pane-title").inner_text().strip() == "Marked region erased"
    shown = page.locator(".pane.second img").get_attribute("src")
    assert shown == page.locator(".card.chosen figure.region img").get_attribute("src")
    assert heat(page, 1)["shown"] == 0 < heat(page)["shown"]
    page.get_by_label("Compare with").select_option("plain")
    assert page.locator(".pane.second img").get_attribute("src") != shown
    button.click()
    page.locator(".card-head").nth(3).click()  # whose region was not erased
    assert page.locator(".pane").count() == 1
    assert page.get_by_label("Compare with").input_value() == ""
