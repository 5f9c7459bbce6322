"""Draws a figure's columns: an image with its heat and boxes, and the phrase's words coloured by their heat."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle
from PIL import Image as Pillow

from pipelines.image_file import Picture
from pipelines.study import Box
from reports.overlay import COLOURS, colour_heat, display_range

if TYPE_CHECKING:
    from audit.attribution.explanation import Explanation

__all__ = ["BOX_COLOUR", "WordColumn", "WordLines", "draw", "lay_out"]

_WORD_POINTS, _NUMBER_POINTS = 9.0, 6.5  # font sizes
_LINE_INCHES = 0.40  # a line of words with their numbers
_GAP_INCHES = 0.09  # between words
_BRIGHT = 0.5  # luminance above which black text is more readable than white
_LUMA = (0.299, 0.587, 0.114)  # of R, G, B; ITU-R BT.601


@dataclass(frozen=True, slots=True, kw_only=True)
class WordColumn:
    """One word, the number below it, and the width of the wider of the two."""

    text: str
    heat: float | None
    number: str  # "" if the method does not explain words
    width_inches: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WordLines:
    """Words with their heat, broken into lines that fit a width."""

    lines: tuple[tuple[WordColumn, ...], ...]
    colours: ScalarMappable | None  # None if no word has heat
    width_inches: float

    @property
    def height_inches(self) -> float:
        """Height of the lines."""
        return _LINE_INCHES * len(self.lines)

    def draw(self, axes: Axes) -> None:
        """Write the words into axes of this width and height."""
        axes.set_axis_off()
        axes.set_xlim(0.0, self.width_inches)
        axes.set_ylim(self.height_inches, 0.0)
        for row, line in enumerate(self.lines):
            left, top = _GAP_INCHES / 2, row * _LINE_INCHES
            for word in line:
                self._write(axes, word, left, top)
                left += word.width_inches + _GAP_INCHES

    def _write(self, axes: Axes, word: WordColumn, left: float, top: float) -> None:
        written = axes.text(left, top + 0.17, _plain(word.text), fontsize=_WORD_POINTS)
        if word.heat is None or self.colours is None:
            return
        colour = self.colours.to_rgba(word.heat)  # type: ignore[arg-type] # matplotlib's stubs know arrays only
        bright = sum(weight * channel for weight, channel in zip(_LUMA, colour[:3], strict=True)) >= _BRIGHT
        written.set_color("black" if bright else "white")
        written.set_bbox({"facecolor": colour, "edgecolor": "none", "pad": 1.5})
        axes.text(left, top + 0.32, word.number, fontsize=_NUMBER_POINTS, color="0.35")


def lay_out(
    figure: Figure, renderer: RendererBase, words: Sequence[tuple[str, float | None]], *, width_inches: float
) -> WordLines:
    """Break words into lines by their width, and that of the numbers below them, in the figure's font."""
    heats = [heat for _, heat in words if heat is not None]
    lines: list[list[WordColumn]] = [[]]
    left = 0.0
    for text, heat in words:
        number = "" if heat is None else _number(heat, max(map(abs, heats)))
        width = max(
            _inches(figure, renderer, _plain(text), _WORD_POINTS), _inches(figure, renderer, number, _NUMBER_POINTS)
        )
        if lines[-1] and left + width > width_inches:
            lines.append([])
            left = 0.0
        lines[-1].append(WordColumn(text=text, heat=heat, number=number, width_inches=width))
        left += width + _GAP_INCHES
    colours = ScalarMappable(Normalize(min(0.0, *heats), max(0.0, *heats)), "inferno") if heats else None
    return WordLines(lines=tuple(tuple(line) for line in lines), colours=colours, width_inches=width_inches)


def _number(heat: float, largest: float) -> str:
    """Return the format of heat values: enough decimals for three digits of the phrase's largest value."""
    if 0.0 < largest < 1e-3 or largest >= 1e5:
        return f"{heat:.0e}"
    decimals = 2 - math.floor(math.log10(largest)) if largest > 0.0 else 0
    return f"{heat:.{max(0, decimals)}f}"


def _inches(figure: Figure, renderer: RendererBase, text: str, points: float) -> float:
    if not text:
        return 0.0
    measured = figure.text(0.0, 0.0, text, fontsize=points)
    width = measured.get_window_extent(renderer).width / figure.dpi
    measured.remove()
    return width


def _plain(word: str) -> str:
    """Escape a word: a dollar sign must not start a formula."""
    return word.replace("$", r"\$")


BOX_COLOUR = "#35e0d2"  # far from every colour of the heat
_LONGEST_SIDE = 1024  # px of the image as it is drawn
_PICTURE_INCHES = 3.6  # width of a column's image
_BAR_INCHES, _BAR_GAP = 0.12, 0.06
_MARGIN, _BAR_LABELS = 0.12, 0.72
_TALLEST = 2.0  # maximum ratio of an image's height to its width; a taller image becomes narrower
_TITLE_INCHES = 0.5
_WORDS_GAP = 0.12


class _NotebookFigure(Figure):
    """A figure that a notebook displays without pyplot."""

    def _repr_png_(self) -> bytes:
        stream = io.BytesIO()
        self.savefig(stream, format="png")
        return stream.getvalue()


def draw(columns: "Sequence[Explanation]", boxes: Sequence[Box]) -> Figure:
    """Draw one column per explanation; without pyplot, whose state belongs to the caller."""
    figure = _NotebookFigure(dpi=110)
    renderer: RendererBase = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call] # it has no hints
    words = [
        lay_out(figure, renderer, explained.words or _unexplained(explained), width_inches=_PICTURE_INCHES)
        for explained in columns
    ]
    width = _PICTURE_INCHES
    tallest = max(explained.picture.shape[0] / explained.picture.shape[1] for explained in columns)
    picture_height = min(tallest, _TALLEST) * width
    words_height = max(lines.height_inches for lines in words)
    column_width = _MARGIN + width + _BAR_GAP + _BAR_INCHES + _BAR_LABELS
    total = (column_width * len(columns), _TITLE_INCHES + picture_height + _WORDS_GAP + words_height + _MARGIN)
    figure.set_size_inches(*total)

    def axes_at(left: float, bottom: float, width: float, height: float) -> Axes:
        return figure.add_axes((left / total[0], bottom / total[1], width / total[0], height / total[1]))

    for place, (explained, lines) in enumerate(zip(columns, words, strict=True)):
        left, bottom = place * column_width + _MARGIN, _MARGIN + words_height + _WORDS_GAP
        picture = axes_at(left, bottom, width, picture_height)
        _draw_picture(picture, explained, boxes)
        _draw_bar(figure, axes_at(left + width + _BAR_GAP, bottom, _BAR_INCHES, picture_height), explained)
        below = _MARGIN + words_height - lines.height_inches
        lines.draw(axes_at(left, below, width, lines.height_inches))
    return figure


def _draw_picture(axes: Axes, explained: "Explanation", boxes: Sequence[Box]) -> None:
    rows, columns = explained.picture.shape
    extent = (0.0, float(columns), float(rows), 0.0)  # edge-based, like boxes
    shown = _picture(explained.picture)
    axes.imshow(shown, cmap="gray", vmin=0, vmax=255, extent=extent)
    axes.imshow(_overlay(explained, (shown.shape[0], shown.shape[1])), extent=extent)
    for box in boxes:
        if box.shape is None:
            axes.add_patch(
                Rectangle((box.x, box.y), box.width, box.height, fill=False, edgecolor=BOX_COLOUR, linewidth=1.4)
            )
        else:
            for line in box.shape.outline():
                axes.add_patch(Polygon(line, fill=False, edgecolor=BOX_COLOUR, linewidth=1.4))
        axes.text(box.x, box.y, box.label, color=BOX_COLOUR, fontsize=7, va="bottom", clip_on=True)
    if explained.peak is not None:
        row, column = explained.peak
        axes.plot(column + 0.5, row + 0.5, marker="+", markersize=13, markeredgewidth=3.2, color="black")
        axes.plot(column + 0.5, row + 0.5, marker="+", markersize=11, markeredgewidth=1.4, color="white")
    axes.set_xlim(extent[:2])
    axes.set_ylim(extent[2:])
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(f"{explained.method}, cosine {explained.cosine:.3f}", fontsize=9, loc="left")


def _draw_bar(figure: Figure, axes: Axes, explained: "Explanation") -> None:
    """Draw the colour bar in the method's unit; a heat map without values has none."""
    scale = display_range(explained.grid)
    if scale is None:
        axes.set_axis_off()
        return
    bar = figure.colorbar(ScalarMappable(Normalize(*scale), ListedColormap(COLOURS / 255.0)), cax=axes)
    bar.set_label("heat per patch" if explained.unit == "dimensionless" else f"{explained.unit} per patch", fontsize=8)
    bar.ax.tick_params(labelsize=7)


def _picture(picture: Picture) -> UInt8[np.ndarray, "height width *colours"]:
    """Return the image in 8 bits, reduced if it has more pixels than a figure shows."""
    values = Pillow.fromarray(np.round(picture.display * 255.0).astype(np.uint8))
    values.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE), Pillow.Resampling.LANCZOS)
    return np.asarray(values)


def _overlay(explained: "Explanation", size: tuple[int, int]) -> UInt8[np.ndarray, "height width 4"]:
    """Return the heat coloured as on the pages, transparent where the image shows no body."""
    height, width = size
    coloured = colour_heat(explained.grid, explained.placement, height=height, width=width)
    rows, columns = explained.picture.shape
    row_of, column_of = (np.arange(height) * rows) // height, (np.arange(width) * columns) // width
    coloured[~explained.picture.valid[np.ix_(row_of, column_of)], 3] = 0
    return coloured


def _unexplained(explained: "Explanation") -> list[tuple[str, float | None]]:
    """Draw the phrase without colours, for a method that does not explain words."""
    return [(word, None) for word in explained.phrase.split()]
