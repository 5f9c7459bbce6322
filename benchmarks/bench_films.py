"""How well lungs, midline and writing are found on real radiographs.

Writing is measured on films that ``benchmarks/film_text.csv`` labels. For the lungs, FOLDER holds ``images/NAME.*``
and ``masks/NAME.left-lung.png`` and ``masks/NAME.right-lung.png`` for each, nonzero inside the lung; left and right are
the patient's. The Dice coefficient of a lung that was not found is 0. The midline of the masks is computed as that of
what was found, so that the figure is about borders only.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from benchmarks.film_text import text_lines
from benchmarks.machine import command_line, command_parser, write_section
from pipelines.regions.chest import Lungs, find_lungs

Mask = Bool[np.ndarray, "rows columns"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Film:
    """What was found on one film."""

    name: str
    dice: tuple[float, float]  # of the patient's right and left lung
    swapped: bool  # a field found lies mostly in the other lung
    midline: float | None  # distance, share of the width; None if no lungs were found
    confidence: float | None
    seconds: float


def main() -> None:
    """Measure, print and write the figures."""
    parser = command_parser(__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    given = parser.parse_args()
    films = [_measured(*film) for film in _films(given.folder)]
    written = text_lines(given.folder)
    if not films and not written:
        parser.error(f"{given.folder}: no image with the masks of both lungs, and none whose text is labelled")
    for film in films:
        midline = "none found" if film.midline is None else f"midline off by {100.0 * film.midline:.1f} %"
        print(f"{film.name}: Dice {film.dice[0]:.3f} and {film.dice[1]:.3f}, {midline}, confidence {film.confidence}")
    for section, lines in (("films", _table(films) if films else []), (f"text on {given.folder.name}", written)):
        print("\n".join(lines))
        if lines and not given.no_write:
            write_section(section, command=command_line("bench_films"), lines=lines)


def _films(folder: Path) -> Iterator[tuple[str, UInt8[np.ndarray, "rows columns"], list[Mask]]]:
    images = folder / "images"
    for path in sorted(images.iterdir()) if images.is_dir() else []:
        masks = [folder / "masks" / f"{path.stem}.{side}-lung.png" for side in ("right", "left")]
        if all(mask.exists() for mask in masks):
            yield path.stem, _grey(path), [_grey(mask) > 0 for mask in masks]


def _grey(path: Path) -> UInt8[np.ndarray, "rows columns"]:
    with Image.open(path) as image:
        return np.asarray(image.convert("L"))


def _measured(name: str, image: UInt8[np.ndarray, "rows columns"], masks: list[Mask]) -> _Film:
    start = time.perf_counter()
    lungs = find_lungs(image, np.ones(image.shape, dtype=bool))
    seconds = time.perf_counter() - start
    if lungs is None:
        return _Film(name=name, dice=(0.0, 0.0), swapped=False, midline=None, confidence=None, seconds=seconds)
    found = (lungs.at_left, lungs.at_right)
    truth = Lungs(at_left=masks[0], at_right=masks[1])
    return _Film(
        name=name,
        dice=(_dice(found[0], masks[0]), _dice(found[1], masks[1])),
        swapped=any((found[place] & masks[1 - place]).sum() > (found[place] & masks[place]).sum() for place in (0, 1)),
        midline=abs(lungs.midline - truth.midline) / image.shape[1],
        confidence=round(lungs.confidence, 3),
        seconds=seconds,
    )


def _dice(one: Mask, other: Mask) -> float:
    return float(2.0 * (one & other).sum() / (one.sum() + other.sum()))


def _table(films: list[_Film]) -> list[str]:
    dice = np.array([value for film in films for value in film.dice])
    midline = np.array([film.midline for film in films if film.midline is not None])
    off = [f"{np.quantile(midline, level):.1%}" if len(midline) else "none found" for level in (0.5, 0.95)]
    rows = {
        "films": f"{len(films)}",
        "films on which lungs were found": f"{len(midline) / len(films):.1%}",
        "Dice of a lung, median": f"{np.median(dice):.3f}",
        "Dice of a lung, 5th percentile": f"{np.quantile(dice, 0.05):.3f}",
        "lungs with a Dice below 0.8": f"{np.mean(dice < 0.8):.1%}",
        "films with left and right swapped": f"{sum(film.swapped for film in films)}",
        "midline off, share of the width, median": off[0],
        "midline off, share of the width, 95th percentile": off[1],
        "seconds a film, median": f"{np.median([film.seconds for film in films]):.2f}",
    }
    return ["| | |", "|---|---|", *[f"| {name} | {value} |" for name, value in rows.items()]]


if __name__ == "__main__":
    main()
