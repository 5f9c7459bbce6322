"""The study page as a radiologist uses it, in a real browser."""

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from made_up_records import EFFUSION, GRID, HEART, NODULE, SIZE, MadeUp, make_study
from PIL import Image
from playwright.sync_api import Page
from waiting import settled

from pipelines.geometry import Fit
from reports.overlay import COLOURS, colour_heat

READ_CANVAS = """(canvas) => {
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let text = "";
  for (let at = 0; at < pixels.data.length; at += 4096) {
    text += String.fromCharCode(...pixels.data.subarray(at, at + 4096));
  }
  return {width: canvas.width, height: canvas.height, data: btoa(text)};
}"""

CONTRASTS = """() => {
  const parse = (text) => {
    const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number);
    return {rgb: [r, g, b], a};
  };
  const over = (top, under) => top.rgb.map((c, i) => c * top.a + under[i] * (1 - top.a));
  const light = (rgb) => {
    const [r, g, b] = rgb.map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || element.closest("svg, script, .visually-hidden, option") || !element.checkVisibility()) {
      continue;
    }
    const layers = [];
    for (let each = element; each; each = each.parentElement) layers.unshift(getComputedStyle(each));
    let ground = [255, 255, 255];
    for (const style of layers) ground = over(parse(style.backgroundColor), ground);
    const ink = over(parse(getComputedStyle(element).color), ground);
    const [a, b] = [light(ink), light(ground)].sort((x, y) => y - x);
    found.push([node.data.trim(), (a + 0.05) / (b + 0.05)]);
  }
  return found;
}"""


def canvas_of(page: Page) -> np.ndarray:
    """Read the overlay's pixels as RGBA [height, width, 4]."""
    read = page.locator(".reading:not(.behind) canvas.heat").evaluate(READ_CANVAS)
    return np.frombuffer(base64.b64decode(read["data"]), dtype=np.uint8).reshape(read["height"], read["width"], 4)


def steps_of(pixels: np.ndarray) -> np.ndarray:
    """Find for each pixel the step of the colour table that it shows; -1 where transparent."""
    colours, places = np.unique(pixels[..., :3].reshape(-1, 3), axis=0, return_inverse=True)
    nearest = np.abs(colours[:, None].astype(int) - COLOURS.astype(int)).sum(axis=-1).argmin(axis=-1)
    return np.where(pixels[..., 3] == 0, -1, nearest[places].reshape(pixels.shape[:2]))


def screen_of(page: Page, selector: str) -> np.ndarray:
    """Photograph one element."""
    return np.asarray(Image.open(io.BytesIO(page.locator(selector).screenshot())).convert("RGB")).astype(int)


def chosen_phrase(page: Page) -> str:
    return page.locator(".card.chosen .phrase-text").inner_text()


@pytest.mark.parametrize("fit", list(Fit))
def test_the_page_paints_heat_as_the_library_does(open_study, fit):
    made = make_study("a", (EFFUSION,), fit=fit)
    image = made.record.images[0]
    painted = canvas_of(open_study(made))
    expected = colour_heat(
        made.heats[image.phrases[0].heat],
        image.placement,
        height=painted.shape[0],
        width=painted.shape[1],
    )
    # A canvas keeps colour multiplied by opacity, so faint pixels lose digits: compare what is seen over black. Values
    # travel with five digits, so a pixel may fall one step of the table (up to 5) beside.
    seen = painted[..., :3] * (painted[..., 3:] / 255)
    wanted = expected[..., :3] * (expected[..., 3:] / 255)
    assert np.abs(seen - wanted).max() <= 6
    assert np.abs(seen - wanted).mean() < 0.5
    assert np.abs(painted[..., 3].astype(int) - expected[..., 3]).max() <= 1


@pytest.mark.parametrize("fit", list(Fit))
@pytest.mark.parametrize(("rows", "columns"), [(1400, 1150), (900, 1500)], ids=["portrait", "landscape"])
def test_a_single_hot_cell_is_shown_where_it_lies_on_the_radiograph(open_study, fit, rows, columns):
    made = make_study("a", (EFFUSION,), fit=fit, rows=rows, columns=columns)
    cell = (5, 8)
    heat = np.zeros((GRID, GRID), dtype=np.float32)
    heat[cell] = 6.5
    made.heats[made.record.images[0].phrases[0].heat] = heat
    steps = steps_of(canvas_of(open_study(made)))

    hottest = np.argwhere(steps == steps.max()).mean(axis=0) + 0.5
    shown = hottest * (rows / steps.shape[0], columns / steps.shape[1])
    # By hand: the shortest or longest side fills the square, or both do; the image is centred in it.
    sides = {Fit.LETTERBOX: max(rows, columns), Fit.CROP: min(rows, columns), Fit.STRETCH: np.array([rows, columns])}
    scale = SIZE / sides[fit]
    centre = (np.array(cell) + 0.5) * SIZE / GRID - SIZE / 2
    expected = np.array([rows, columns]) / 2 + centre / scale
    one_model_pixel = 1 / scale
    assert (np.abs(shown - expected) <= one_model_pixel).all()


def test_the_hottest_painted_pixel_is_the_recorded_peak(open_study):
    made = make_study("a", (EFFUSION,))
    image = made.record.images[0]
    steps = steps_of(canvas_of(open_study(made)))
    row, column = image.phrases[0].hottest
    hot = np.argwhere(steps == steps.max()) + 0.5
    hot *= (image.rows / steps.shape[0], image.columns / steps.shape[1])
    assert np.linalg.norm(hot - (row, column), axis=1).min() <= image.rows / steps.shape[0]
    assert len(hot) < 0.002 * steps.size


@pytest.mark.parametrize("fit", list(Fit))
def test_marker_box_and_heat_line_up_on_the_screen(open_study, fit):
    made = make_study("a", (EFFUSION,), fit=fit)
    image = made.record.images[0]
    page = open_study(made)
    stage = page.locator(".stage").bounding_box()
    scale = min(stage["width"] / image.columns, stage["height"] / image.rows)
    left = stage["x"] + (stage["width"] - image.columns * scale) / 2
    top = stage["y"] + (stage["height"] - image.rows * scale) / 2

    marker = page.locator(".peak").bounding_box()
    row, column = image.phrases[0].hottest
    assert marker["x"] + marker["width"] / 2 == pytest.approx(left + column * scale, abs=1.5)
    assert marker["y"] + marker["height"] / 2 == pytest.approx(top + row * scale, abs=1.5)
    drawn = page.locator(".box .line").bounding_box()
    box = image.boxes[0]
    assert drawn["x"] + drawn["width"] / 2 == pytest.approx(left + (box.x + box.width / 2) * scale, abs=1.5)
    assert drawn["y"] + drawn["height"] / 2 == pytest.approx(top + (box.y + box.height / 2) * scale, abs=1.5)


def test_the_opacity_slider_changes_what_is_seen(open_study, study):
    page = open_study(study)
    before = screen_of(page, ".stage")
    slider = page.get_by_role("slider", name="Opacity")
    slider.fill("10")
    faint = screen_of(page, ".stage")
    slider.fill("0")
    bare = screen_of(page, ".stage")
    assert np.abs(before - bare).sum() > np.abs(faint - bare).sum() > 0
    assert page.locator(".opacity-value").inner_text() == "0\u202f%"


def test_a_click_on_a_phrase_shows_its_heat_and_its_scores(open_study, study):
    page = open_study(study)
    first = canvas_of(page)
    page.locator(".phrase-text").get_by_text("12 mm").first.click()
    assert (canvas_of(page) != first).any()
    assert page.locator(".card.chosen .verdict").inner_text().startswith("The peak of the heat lies outside every one")
    assert page.locator(".verdict:visible").count() == 1
    assert page.locator(".box.answers").count() == 2


def test_arrow_keys_walk_through_the_phrases(open_study, study):
    page = open_study(study)
    page.locator(".stage").focus()
    walked = [chosen_phrase(page)]
    for _ in range(4):
        page.keyboard.press("ArrowDown")
        walked.append(chosen_phrase(page))
    assert walked[:4] == [phrase.text for phrase in study.record.images[0].phrases]
    assert walked[4] == walked[3]
    page.keyboard.press("ArrowUp")
    assert chosen_phrase(page) == walked[2]


def test_an_address_that_names_a_phrase_opens_the_page_there(open_study):
    page = open_study(make_study("a", (EFFUSION,), (HEART, NODULE)))
    page.goto(f"{page.url}#phrase-1-1")
    page.reload()
    settled(page)
    assert page.get_by_role("tab", selected=True).inner_text().startswith("Lateral")
    assert page.locator(".reading:not(.behind) .card.chosen .phrase-text").inner_text() == NODULE.text
    page.goto(page.url.replace("#phrase-1-1", "#phrase-7-1"))
    assert page.locator(".reading:not(.behind) .card.chosen .phrase-text").inner_text() == NODULE.text


def test_letter_keys_switch_heat_and_boxes(open_study, study):
    page = open_study(study)
    for key, name, shown in (("h", "Heat", "canvas.heat"), ("b", "Boxes", ".boxes")):
        control = page.get_by_role("checkbox", name=name)
        page.keyboard.press(key)
        assert not control.is_checked()
        assert page.locator(shown).evaluate("(each) => getComputedStyle(each).visibility") == "hidden"
        page.keyboard.press(key)
        assert control.is_checked()
        assert page.locator(shown).evaluate("(each) => getComputedStyle(each).visibility") == "visible"


def test_every_control_is_reached_with_the_tab_key_and_has_a_name(open_study):
    page = open_study(make_study("a", (EFFUSION, NODULE), (HEART,)))
    names = []
    for _ in range(25):
        page.keyboard.press("Tab")
        names.append(
            page.evaluate(
                "() => { const e = document.activeElement;"
                " return e.getAttribute('aria-label') || e.labels?.[0]?.innerText || e.innerText; }"
            )
        )
    expected = [
        "All studies",
        "Keys and terms",
        "PA radiograph",
        "Zoom out",
        "Zoom in",
        "Fit",
        "Window",
        "Invert",
        "Reset",
        "PA radiograph",
        "Heat",
        "Opacity",
        "Threshold",
        "Contours",
        "Same scale",
        "Colours",
        "Boxes",
        "Boxes of which finding",
        "no reader named",
        "R1",
        "R2",
        "Compare with",
        "Letter keys",
        "Small right",
    ]
    assert [name.strip()[: len(start)] for name, start in zip(names, expected, strict=False)] == expected


def test_one_scale_for_all_phrases_is_the_widest(open_study):
    made = make_study("a", (EFFUSION, NODULE))
    heats = [made.heats[phrase.heat] for phrase in made.record.images[0].phrases]
    heats[0] *= 0.25
    page = open_study(made)
    own = (page.locator(".low").inner_text(), page.locator(".high").inner_text())
    page.get_by_role("checkbox", name="Same scale for all").check()
    shared = (page.locator(".low").inner_text(), page.locator(".high").inner_text())
    assert float(own[1]) == pytest.approx(heats[0].max(), abs=0.06)
    assert float(shared[1]) == pytest.approx(heats[1].max(), abs=0.06)
    assert float(shared[0]) == pytest.approx(min(heat.min() for heat in heats), abs=0.006)
    assert steps_of(canvas_of(page)).max() < 255


def test_a_flat_map_paints_nothing_and_says_so(open_study, study):
    page = open_study(study)
    page.locator(".card").last.click()
    assert not canvas_of(page).any()
    assert page.get_by_text("This map is flat: it points nowhere.").is_visible()
    assert not page.locator(".peak").is_visible()


def test_a_second_image_stands_behind_a_tab(open_study):
    page = open_study(make_study("a", (EFFUSION, NODULE), (HEART,)))
    assert page.locator(".viewer:visible").count() == 1
    page.get_by_role("tab").first.focus()
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("tab", selected=True).inner_text().startswith("Lateral radiograph")
    assert page.locator(".viewer:visible .viewer-title").inner_text().startswith("Lateral radiograph")
    assert canvas_of(page).any()
    page.keyboard.press("h")
    assert page.locator(".heat-switch").evaluate_all("(all) => all.map((each) => each.checked)") == [True, False]


def test_labels_of_boxes_that_overlap_do_not_cover_each_other(open_study):
    claim = EFFUSION.__class__(
        boxes=((0.3, 0.3, 0.2, 0.2),) * 3 + ((0.0, 0.0, 0.1, 0.1), (0.9, 0.9, 0.1, 0.1)),
        readers=("R1", "R2", "R3", "R4", "R5"),
    )
    page = open_study(make_study("a", (claim,)))
    boxes = [label.bounding_box() for label in page.locator(".box text").all()]
    stage = page.locator(".stage").bounding_box()
    for place, one in enumerate(boxes):
        assert one["x"] >= stage["x"]
        assert one["x"] + one["width"] <= stage["x"] + stage["width"]
        for other in boxes[place + 1 :]:
            apart = one["y"] + one["height"] <= other["y"] + 4 or other["y"] + other["height"] <= one["y"] + 4
            assert apart or one["x"] + one["width"] <= other["x"] or other["x"] + other["width"] <= one["x"]


@pytest.mark.parametrize("width", [1400, 820, 390], ids=["desk", "tablet", "phone"])
def test_nothing_runs_out_of_the_page(open_study, study, width):
    page = open_study(study, viewport={"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_no_line_of_a_box_strikes_out_another_boxs_label(open_study):
    claim = EFFUSION.__class__(boxes=((0.406, 0.3, 0.3, 0.4), (0.4, 0.294, 0.312, 0.412)), readers=("R1", "R2"))
    page = open_study(make_study("a", (claim,)))
    lines = [line.bounding_box() for line in page.locator(".box .line").all()]
    for label in page.locator(".box text").all():
        text = label.bounding_box()
        for line in lines:
            for edge in (line["y"], line["y"] + line["height"]):
                assert not text["y"] + text["height"] / 3 < edge < text["y"] + 2 * text["height"] / 3


def test_a_score_without_a_value_is_a_dash_and_its_reason_stands_below(open_study):
    made = make_study("a", (EFFUSION,))
    image = made.record.images[0]
    phrase = image.phrases[0]
    scores = tuple(
        score.model_copy(update={"value": None, "outcome": "unscored", "reason": "a point has no region"})
        if (score.method, score.score) == ("random", "IoU at Otsu")
        else score
        for score in phrase.scores
    )
    assert scores != phrase.scores
    phrases = (replace(phrase, scores=scores),)
    made.record = made.record.model_copy(update={"images": (replace(image, phrases=phrases),)})
    page = open_study(made)
    row = page.locator(".scores tbody tr", has_text="Random point")
    assert row.locator("td").last.inner_text().startswith("–")
    assert row.bounding_box()["height"] < 40
    assert page.get_by_text("Random point: not scored, a point has no region.").is_visible()


def test_film_and_controls_fit_on_the_first_screen(open_study, study):
    page = open_study(study)
    bottom = page.locator(".controls").bounding_box()
    assert bottom["y"] + bottom["height"] <= 900
    page.mouse.wheel(0, 400)
    assert page.get_by_text("Not for diagnosis").bounding_box()["y"] >= 0


def test_the_film_never_covers_the_notes_below_it(open_study, study):
    page = open_study(study)
    steps = page.get_by_role("heading", name="Processing steps")
    for distance in (200, 400, 4000):
        page.mouse.wheel(0, distance)
        page.wait_for_timeout(50)
        film, notes = page.locator(".viewer").bounding_box(), page.locator(".notes").bounding_box()
        assert film["y"] + film["height"] <= notes["y"] + 1
    steps.click(trial=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(open_study, study, scheme):
    page = open_study(study, color_scheme=scheme)
    for card in page.locator(".card").all():
        card.click()
        faint = [(text, ratio) for text, ratio in page.evaluate(CONTRASTS) if ratio < 4.5]
        assert faint == []


def test_a_print_shows_every_phrase_and_no_control(open_study):
    page = open_study(make_study("a", (EFFUSION, NODULE), (HEART,)))
    page.emulate_media(media="print")
    assert page.locator(".verdict:visible").count() == 3
    assert page.locator(".viewer:visible").count() == 2
    assert page.locator("input[type=range]:visible, input[type=checkbox]:visible").count() == 0


def test_without_scripts_radiograph_boxes_and_scores_are_there(open_study):
    page = open_study(make_study("a", (EFFUSION, NODULE), (HEART,)), java_script_enabled=False)
    assert page.locator(".verdict:visible").count() == 3
    assert page.locator(".box:visible").count() == 3
    assert page.get_by_text("which your browser does not run").is_visible()


@pytest.mark.parametrize("claims", [(), (HEART,)], ids=["no phrases", "no boxes"])
def test_a_page_without_phrases_or_boxes_opens(open_study, claims):
    page = open_study(make_study("a", claims))
    assert page.locator(".stage img").is_visible()
    assert page.get_by_text("No box was drawn on this image").is_visible()
    assert page.locator(".box-switch").count() == 0
    assert page.locator(".card").count() == len(claims)


def test_many_long_words_do_not_break_the_layout(open_study):
    made: MadeUp = make_study("a" * 90, (EFFUSION.__class__(text="Pneumonoultramicroscopic" * 12, finding="x" * 80),))
    page = open_study(made, viewport={"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
