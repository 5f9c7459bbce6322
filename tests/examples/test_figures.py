"""Figures: what stands where, told by the pixels that matplotlib's Agg draws."""

import io
import sys
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from PIL import Image

from audit.attribution.drawing import BOX_COLOUR
from audit.attribution.explanation import Explanation
from audit.attribution.figure import figure
from pipelines.errors import AuditError
from pipelines.geometry import Fit, Placement
from pipelines.image_file import Picture
from pipelines.study import Box

ROWS, COLUMNS, SIZE = 120, 90, 48
WORDS = (("left", 1.0), ("pleural", 4.0), ("effusion.", 9.0))


def explained(**changes: object) -> Explanation:
    grid = np.zeros((4, 4), dtype=np.float32)
    grid[2, 1] = 5.0
    placement = Placement.of(ROWS, COLUMNS, size=SIZE, fit=Fit.LETTERBOX)
    display = np.full((ROWS, COLUMNS), 0.4, dtype=np.float32)
    picture = Picture(display=display, valid=np.ones((ROWS, COLUMNS), dtype=bool), steps=())
    plain = Explanation(
        picture=picture,
        phrase="left pleural effusion.",
        method="m2ib",
        unit="nats",
        heat=placement.heat_to_source(grid),
        grid=grid,
        words=WORDS,
        cosine=0.25,
        placement=placement,
    )
    return replace(plain, **changes)


def pixels(drawn: Figure) -> np.ndarray:
    stream = io.BytesIO()
    drawn.savefig(stream, format="png", dpi=100)
    return np.asarray(Image.open(stream).convert("RGB"), dtype=float) / 255.0


def colour_at(drawn: Figure, row: float, column: float) -> np.ndarray:
    """The colour that stands at a place of the picture, edge-based."""
    drawn.set_dpi(100)
    x, y = drawn.axes[0].transData.transform((column, row))
    shown = pixels(drawn)
    return shown[shown.shape[0] - 1 - int(y), int(x)]


def texts(drawn: Figure) -> list[str]:
    return [text.get_text() for axes in drawn.axes for text in axes.texts]


def test_the_figure_has_picture_colour_bar_and_words():
    drawn = figure(explained())
    picture, bar, words = drawn.axes
    assert picture.get_title(loc="left") == "m2ib, cosine 0.250"
    assert bar.get_ylabel() == "nats per patch"
    assert bar.get_ylim() == (0.0, 5.0)
    assert [text.get_text() for text in words.texts] == ["left", "1.00", "pleural", "4.00", "effusion.", "9.00"]


def test_the_heat_lies_where_its_patch_is_and_elsewhere_is_the_radiograph():
    heat = explained()
    row, column = heat.peak
    drawn = figure(heat)
    hot, cold = colour_at(drawn, row + 6, column + 6), colour_at(drawn, 10, 80)
    np.testing.assert_allclose(cold, 0.4, atol=0.01)
    assert hot[0] - hot[2] > 0.2  # pale yellow to red: more red than blue
    assert colour_at(drawn, row + 0.5, column + 0.5) == pytest.approx(np.ones(3), abs=0.1)  # the white cross


def test_a_box_is_drawn_on_its_edge_with_its_label():
    box = Box(x=10, y=20, width=40, height=60, label="pleural effusion")
    drawn = figure(explained(), boxes=[box])
    for row, column in ((50, 10), (50, 50), (20, 30), (80, 30)):
        np.testing.assert_allclose(colour_at(drawn, row, column), to_rgba(BOX_COLOUR)[:3], atol=0.15)
    np.testing.assert_allclose(colour_at(drawn, 30, 15), 0.4, atol=0.02)
    assert "pleural effusion" in texts(drawn)


def test_hotter_words_are_lighter_and_their_letters_can_be_read():
    words = [text for text in figure(explained()).axes[2].texts if text.get_bbox_patch() is not None]
    faces = [sum(text.get_bbox_patch().get_facecolor()[:3]) for text in words]
    assert faces == sorted(faces)
    assert [text.get_color() for text in words] == ["white", "white", "black"]


def test_a_phrase_of_many_words_is_broken_into_lines_of_the_pictures_width():
    many = tuple((f"word{index}", float(index)) for index in range(40))
    drawn = figure(explained(words=many))
    axes = drawn.axes[2]
    shown = [text for text in axes.texts if text.get_text().startswith("word")]
    assert len(shown) == 40
    renderer = drawn.canvas.get_renderer()
    frame = axes.get_window_extent(renderer)
    extents = [text.get_window_extent(renderer) for text in axes.texts]
    assert all(frame.x0 - 1 <= extent.x0 and extent.x1 <= frame.x1 + 1 for extent in extents)
    assert all(frame.y0 - 1 <= extent.y0 and extent.y1 <= frame.y1 + 1 for extent in extents)
    assert not any(one.overlaps(other) for place, one in enumerate(extents) for other in extents[place + 1 :])


def test_without_word_heat_the_phrase_is_written_plainly():
    drawn = figure(explained(words=()))
    assert [text.get_text() for text in drawn.axes[2].texts] == ["left", "pleural", "effusion."]
    assert all(text.get_bbox_patch() is None for text in drawn.axes[2].texts)


@pytest.mark.parametrize(
    ("heats", "numbers"),
    [
        pytest.param((12.345, 0.5), ["12.3", "0.5"], id="tens"),
        pytest.param((-0.0123, 0.001), ["-0.0123", "0.0010"], id="hundredths"),
        pytest.param((3.2e-7, 1e-8), ["3e-07", "1e-08"], id="next to nothing"),
        pytest.param((0.0, 0.0), ["0", "0"], id="nothing"),
        pytest.param((45_678.0, 3.0), ["45678", "3"], id="thousands"),
    ],
)
def test_numbers_have_the_decimals_that_the_largest_needs(heats, numbers):
    words = tuple(zip(("one", "two"), heats, strict=True))
    assert [text for text in texts(figure(explained(words=words))) if text not in {"one", "two"}] == numbers


@pytest.mark.parametrize("word", ["$5", "x^2$y$", "_low_", "\\frac"])
def test_a_word_is_no_formula(word):
    drawn = figure(explained(words=((word, 1.0), ("two", 2.0))))
    assert pixels(drawn).size
    shown = drawn.axes[2].texts[0]
    assert shown.get_text().replace("\\$", "$") == word


@pytest.mark.parametrize("value", [0.0, 3.0, np.nan], ids=["zero", "flat", "no numbers"])
def test_a_heat_that_shows_nothing_leaves_the_radiograph(value):
    grid = np.full((4, 4), value, dtype=np.float32)
    placement = Placement.of(ROWS, COLUMNS, size=SIZE, fit=Fit.LETTERBOX)
    drawn = figure(explained(grid=grid, heat=placement.heat_to_source(grid)))
    np.testing.assert_allclose(colour_at(drawn, 60, 45), 0.4, atol=0.01)
    assert drawn.axes[1].get_ylabel() == ""


def test_no_heat_is_drawn_where_the_film_shows_no_body():
    plain = explained()
    valid = plain.picture.valid.copy()
    valid[60:] = False
    hidden = replace(plain, picture=replace(plain.picture, valid=valid))
    row, column = plain.peak
    assert row > 60
    np.testing.assert_allclose(colour_at(figure(hidden), row + 6, column + 6), 0.4, atol=0.01)


def test_a_picture_in_colour_keeps_its_colours():
    display = np.zeros((ROWS, COLUMNS, 3), dtype=np.float32) + np.array([0.9, 0.2, 0.1], dtype=np.float32)
    plain = explained()
    drawn = figure(replace(plain, picture=replace(plain.picture, display=display)))
    np.testing.assert_allclose(colour_at(drawn, 10, 80), [0.9, 0.2, 0.1], atol=0.01)


def test_several_explanations_stand_side_by_side_each_in_its_unit():
    drawn = figure([explained(), explained(method="nib", unit="cosine"), explained(method="x", unit="dimensionless")])
    assert [axes.get_ylabel() for axes in drawn.axes if axes.get_ylabel()] == [
        "nats per patch",
        "cosine per patch",
        "heat per patch",
    ]
    lefts = [axes.get_position().x0 for axes in drawn.axes[::3]]
    assert lefts == sorted(lefts)
    assert drawn.axes[2].get_position().y1 < drawn.axes[0].get_position().y0
    with pytest.raises(ValueError, match="nothing to draw"):
        figure([])


def test_a_notebook_displays_the_figure_and_pyplot_knows_nothing_of_it():
    before, settings = pyplot.get_fignums(), dict(mpl.rcParams)
    drawn = explained().figure(boxes=[Box(x=1, y=2, width=3, height=4, label="nodule")])
    png = drawn._repr_png_()
    assert Image.open(io.BytesIO(png)).format == "PNG"
    assert "nodule" in texts(drawn)
    assert pyplot.get_fignums() == before
    assert dict(mpl.rcParams) == settings


def test_without_matplotlib_the_mend_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.axes", None)
    monkeypatch.delitem(sys.modules, "audit.attribution.drawing", raising=False)
    with pytest.raises(AuditError, match="m2ib-audit\\[notebook\\]"):
        figure(explained())
