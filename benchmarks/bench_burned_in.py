"""How much burned-in text is found on phantoms, and how much is found where there is none."""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.font_manager as fonts
import numpy as np
from jaxtyping import Float
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont
from pydicom.data import get_testdata_file
from scipy.ndimage import uniform_filter

from benchmarks.machine import command_line, command_parser, write_section
from pipelines.dicom.pixels import read_pixels
from pipelines.phantom.render import render, sample_phantom, with_tags
from pipelines.regions.text import Area, find_text

Display = Float[np.ndarray, "rows columns"]

HEIGHTS = (10, 14, 20, 32, 64)  # px that a font is high, on films of 1024 px
CONTRASTS = (0.25, 0.5, 1.0)  # of what is between the background and white
ACROSS = "from air to tissue"
PLACES = ("corner", "edge", "on the chest", "plate", "down the side", ACROSS)
TEXTS = (
    "KOWALCZYK ANNA",
    "Müller, Jürgen 1951",
    "DOE^JOHN",
    "MRN 4482913",
    "DOB 14.03.1962",
    "St. Mary's Hosp.",
    "O'Brien",
    "Nguyen Thi Hoa",
)
REAL = ("RG1_UNCR.dcm", "RG3_UNCR.dcm", "RG1_J2KR.dcm", "RG3_J2KR.dcm")
_AIR, _TISSUE = 0.2, 0.5  # of white: less, and more
_FONTS = ("DejaVu Sans", "DejaVu Sans Mono", "DejaVu Serif", "STIXGeneral")


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One text on a film."""

    display: Display
    frame: tuple[int, int, int, int]  # top, left, bottom, right of the letters


def phantom_film(seed: int, *, columns: int, tagged: bool = False) -> Display:
    """Draw a film without text but its side marker (and tags, one letter each)."""
    phantom = sample_phantom(np.random.default_rng([seed, 77]), at_least=1)
    return render(with_tags(phantom) if tagged else phantom, columns=columns).image


def write_on(film: Display, text: str, *, height: int, contrast: float, place: str, seed: int) -> Written:
    """Write a text on a film."""
    rng = np.random.default_rng([seed, 5])
    font = ImageFont.truetype(fonts.findfont(str(rng.choice(_FONTS))), height)
    left, top, right, bottom = font.getbbox(text)
    size = (int(right - left) + 2, int(bottom - top) + 2)
    stamp = Picture.new("L", size, 0)
    ImageDraw.Draw(stamp).text((1 - left, 1 - top), text, fill=255, font=font)
    if place == "down the side":
        stamp = stamp.rotate(90, expand=True)
    ink = np.asarray(stamp, dtype=np.float32) / 255.0
    ink = ink[: film.shape[0] - 8, : film.shape[1] - 8]
    y, x = _across(ink.shape, film, rng) if place == ACROSS else _corner(place, ink.shape, film.shape, rng)
    shown = film.copy()
    under = shown[y : y + ink.shape[0], x : x + ink.shape[1]]
    if place == "plate":
        ink = 1.0 - contrast * ink
        under[:] = ink
    else:
        under[:] = under + ink * contrast * (1.0 - under)
    return Written(display=shown, frame=(y, x, y + ink.shape[0], x + ink.shape[1]))


def _corner(place: str, ink: tuple[int, ...], film: tuple[int, ...], rng: np.random.Generator) -> tuple[int, int]:
    most_y, most_x = film[0] - ink[0] - 4, film[1] - ink[1] - 4
    if place == "on the chest":
        return int(rng.uniform(0.25, 0.7) * most_y), int(rng.uniform(0.2, 0.8) * most_x)
    if place == "edge":
        return int(rng.uniform(0.05, 0.95) * most_y), int(rng.choice([4, most_x]))
    return int(rng.choice([4, most_y])), int(rng.choice([4, most_x]))


def _across(ink: tuple[int, ...], film: Display, rng: np.random.Generator) -> tuple[int, int]:
    """Choose a place where a text begins in air and ends over tissue, or the other way round."""
    height, width = ink
    smooth = uniform_filter(film, 15)[height // 2 : film.shape[0] - height, :]
    last = film.shape[1] - width
    begins, ends = smooth[:, height // 2 : last + height // 2], smooth[:, width - height // 2 :][:, :last]
    places = np.argwhere((np.minimum(begins, ends) < _AIR) & (np.maximum(begins, ends) > _TISSUE))
    if len(places) == 0:
        return _corner("edge", ink, film.shape, rng)
    y, x = places[rng.integers(len(places))]
    return int(y), int(x)


def covered(frame: tuple[int, int, int, int], areas: Sequence[Area]) -> float:
    """Share of a text's frame that is inside the areas."""
    top, left, bottom, right = frame
    mask = np.zeros((bottom - top, right - left), dtype=bool)
    for area in areas:
        rows = slice(max(0, area.top - top), max(0, area.bottom - top))
        mask[rows, max(0, area.left - left) : max(0, area.right - left)] = True
    return float(mask.mean())


def _given() -> argparse.Namespace:
    parser = command_parser(__doc__)
    parser.add_argument("--phantoms", type=int, default=300, help="with text, and as many without")
    parser.add_argument("--columns", type=int, default=1024)
    parser.add_argument("--seed", type=int, default=3000)
    return parser.parse_args()


def main() -> None:
    """Measure recall by height, contrast and place, and false finds on films without text."""
    given = _given()
    rows: list[tuple[int, float, str, float]] = []
    false, tagged, seconds = 0, 0, []
    for index in range(given.phantoms):
        film = phantom_film(given.seed + index, columns=given.columns)
        rng = np.random.default_rng([given.seed, index])
        height, contrast, place = int(rng.choice(HEIGHTS)), float(rng.choice(CONTRASTS)), str(rng.choice(PLACES))
        written = write_on(
            film, str(rng.choice(TEXTS)), height=height, contrast=contrast, place=place, seed=given.seed + index
        )
        start = time.perf_counter()
        share = covered(written.frame, find_text(written.display))
        seconds.append(time.perf_counter() - start)
        rows.append((height, contrast, place, share))
        false += bool(find_text(film))
        tagged += bool(find_text(phantom_film(given.seed + index, columns=given.columns, tagged=True)))
    lines = _lines(rows, given.phantoms, false, tagged, float(np.median(seconds)), given.columns)
    if not given.no_write:
        write_section("bench_burned_in", command=command_line("bench_burned_in"), lines=lines)
    print("\n".join(lines))


def _lines(
    rows: Sequence[tuple[int, float, str, float]], count: int, false: int, tagged: int, seconds: float, columns: int
) -> list[str]:
    shares = np.array([share for *_, share in rows])
    told = (
        f"One text on each of {count} phantoms of {columns} px: {np.mean(shares >= 0.9):.1%} are covered to nine "
        f"tenths or more, {np.mean(shares < 0.1):.1%} not at all. Of {count} phantoms with nothing but a side marker, "
        f"{false} have an area taken for text; of {count} with single-letter tags, {tagged}. Median {seconds:.2f} s a "
        "film."
    )
    lines = [
        told,
        "",
        "| | " + " | ".join(f"contrast {contrast:g}" for contrast in CONTRASTS) + " |",
        "|---|" + "---|" * len(CONTRASTS),
    ]
    for name, values, place in (("height {} px", HEIGHTS, 0), ("{}", PLACES, 2)):
        for value in values:
            cells = []
            for contrast in CONTRASTS:
                found = [row[3] >= 0.9 for row in rows if row[place] == value and row[1] == contrast]
                cells.append(f"{np.mean(found):.0%} of {len(found)}" if found else "-")
            lines.append(f"| {name.format(value)} | {' | '.join(cells)} |")
    lines += ["", "| real radiograph of pydicom-data | areas taken for text, share of the picture |", "|---|---|"]
    for name in REAL:
        path = get_testdata_file(name)
        if path is None:
            continue
        display = read_pixels(Path(str(path))).display
        areas = find_text(display)
        share = sum((area.bottom - area.top) * (area.right - area.left) for area in areas) / display.size
        lines.append(f"| {name} | {len(areas)}, {share:.1%} |")
    return lines


if __name__ == "__main__":
    main()
