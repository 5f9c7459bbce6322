"""A phrase's words in lines, each in the colour of its heat."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

__all__ = ["Word", "WordLines", "lay_out"]

_WORD_POINTS, _NUMBER_POINTS = 9.0, 6.5  # font sizes
_LINE_INCHES = 0.40  # a line of words with their numbers
_GAP_INCHES = 0.09  # between words
_BRIGHT = 0.5  # luminance from which black is read better than white
_LUMA = (0.299, 0.587, 0.114)  # of R, G, B; ITU-R BT.601


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One word, the number below it, and the width of the wider of the two."""

    text: str
    heat: float | None
    number: str  # "" where the method explains no words
    width_inches: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WordLines:
    """Words with their heat, broken into lines that fit a width."""

    lines: tuple[tuple[Word, ...], ...]
    colours: ScalarMappable | None  # None where no word has a heat
    width_inches: float

    @property
    def height_inches(self) -> float:
        """What the lines take."""
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

    def _write(self, axes: Axes, word: Word, left: float, top: float) -> None:
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
    """Break words into lines by the width that they, and the numbers below them, have in the figure's font."""
    heats = [heat for _, heat in words if heat is not None]
    lines: list[list[Word]] = [[]]
    left = 0.0
    for text, heat in words:
        number = "" if heat is None else _number(heat, max(map(abs, heats)))
        width = max(
            _inches(figure, renderer, _plain(text), _WORD_POINTS), _inches(figure, renderer, number, _NUMBER_POINTS)
        )
        if lines[-1] and left + width > width_inches:
            lines.append([])
            left = 0.0
        lines[-1].append(Word(text=text, heat=heat, number=number, width_inches=width))
        left += width + _GAP_INCHES
    colours = ScalarMappable(Normalize(min(0.0, *heats), max(0.0, *heats)), "inferno") if heats else None
    return WordLines(lines=tuple(tuple(line) for line in lines), colours=colours, width_inches=width_inches)


def _number(heat: float, largest: float) -> str:
    """A heat in as many decimals as the phrase's largest needs for three digits."""
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
    """A word as it is written: a dollar sign begins no formula."""
    return word.replace("$", r"\$")
