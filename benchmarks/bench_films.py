"""How well lungs, midline, orientation and writing are found on real frontal radiographs.

FOLDER and the folders in it hold upright images. Those with lungs drawn by hand are ``images/NAME.*`` with
``masks/NAME.left-lung.png`` and ``masks/NAME.right-lung.png``, nonzero inside the lung; left and right are the
patient's. The Dice coefficient of a lung that was not found is 0. The midline of the masks is computed as that of what
was found, so that the figure is about borders only. For the orientation each image is mirrored and rotated in the seven
other ways too; one that is called "not known" was not recognised. Writing is measured on the films that
``benchmarks/film_text.csv`` labels.
"""

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from benchmarks.film_text import text_lines
from benchmarks.machine import command_line, command_parser, write_section
from pipelines.regions.chest import Lungs, find_lungs
from pipelines.regions.orientation import find_orientation, marker_when, turned
from pipelines.study import Orientation

_SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff"}

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
    paths = [path for path in sorted(given.folder.rglob("*")) if _is_image(path)]
    if not paths:
        parser.error(f"{given.folder}: no image")
    films = [_measured(path.stem, _grey(path), masks) for path in paths if (masks := _masks(path))]
    for film in films:
        midline = "none found" if film.midline is None else f"midline off by {100.0 * film.midline:.1f} %"
        print(f"{film.name}: Dice {film.dice[0]:.3f} and {film.dice[1]:.3f}, {midline}, confidence {film.confidence}")
    answers = [_Answers(_grey(path)) for path in paths]
    for path, answer in zip(paths, answers, strict=True):
        print(f"{path.stem}: {answer.upright or 'orientation not known'}, {answer.recognised} of 7 recognised")
    rows = (_lung_rows(films) if films else {}) | _orientation_rows(answers)
    lines = ["| | |", "|---|---|", *[f"| {name} | {value} |" for name, value in rows.items()]]
    for section, shown in (("films", lines), (f"text on {given.folder.name}", text_lines(given.folder))):
        print("\n".join(shown))
        if shown and not given.no_write:
            write_section(section, command=command_line("bench_films"), lines=shown)


class _Answers:
    """What is said of one film, mirrored and rotated in every way."""

    def __init__(self, image: UInt8[np.ndarray, "rows columns"]) -> None:
        start = time.perf_counter()
        views = [np.ascontiguousarray(turned(image, each)) for each in Orientation]
        self._said = [
            find_orientation(view, np.ones(view.shape, dtype=bool), partial(marker_when, view)) for view in views
        ]
        self.seconds = (time.perf_counter() - start) / len(views)

    @property
    def upright(self) -> Orientation | None:
        """What is said of the film as it is."""
        return self._said[0]

    @property
    def recognised(self) -> int:
        """How many of the seven other ways are recognised."""
        return sum(said is each for said, each in zip(self._said[1:], list(Orientation)[1:], strict=True))

    @property
    def knows_mirrored(self) -> bool:
        """Whether the film is recognised as mirrored when it is mirrored alone."""
        return self._said[list(Orientation).index(Orientation.MIRRORED)] is Orientation.MIRRORED

    @property
    def is_noticed(self) -> float:
        """Share of the seven ways of which it is said that they are not upright."""
        return float(np.mean([said not in {None, Orientation.UPRIGHT} for said in self._said[1:]]))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in _SUFFIXES and path.parent.name != "masks"


def _masks(path: Path) -> list[Mask]:
    """Return the lungs drawn on an image, the patient's right one first; none if they are not both there."""
    masks = [path.parent.with_name("masks") / f"{path.stem}.{side}-lung.png" for side in ("right", "left")]
    return [_grey(mask) > 0 for mask in masks] if all(mask.exists() for mask in masks) else []


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


def _lung_rows(films: list[_Film]) -> dict[str, str]:
    dice = np.array([value for film in films for value in film.dice])
    midline = np.array([film.midline for film in films if film.midline is not None])
    off = [f"{np.quantile(midline, level):.1%}" if len(midline) else "none found" for level in (0.5, 0.95)]
    return {
        "films with lungs drawn": f"{len(films)}",
        "films on which lungs were found": f"{len(midline) / len(films):.1%}",
        "Dice of a lung, median": f"{np.median(dice):.3f}",
        "Dice of a lung, 5th percentile": f"{np.quantile(dice, 0.05):.3f}",
        "lungs with a Dice below 0.8": f"{np.mean(dice < 0.8):.1%}",
        "films with left and right swapped": f"{sum(film.swapped for film in films)}",
        "midline off, share of the width, median": off[0],
        "midline off, share of the width, 95th percentile": off[1],
        "seconds a film, median": f"{np.median([film.seconds for film in films]):.2f}",
    }


def _orientation_rows(answers: list[_Answers]) -> dict[str, str]:
    wrong = sum(answer.upright not in {None, Orientation.UPRIGHT} for answer in answers)
    return {
        "films turned": f"{len(answers)}",
        "mirrored or rotated films recognised as they are": f"{np.mean([a.recognised for a in answers]) / 7:.1%}",
        "of these, films that are only mirrored": f"{np.mean([answer.knows_mirrored for answer in answers]):.1%}",
        "mirrored or rotated films called one of these": f"{np.mean([answer.is_noticed for answer in answers]):.1%}",
        "upright films called mirrored or rotated": f"{wrong}",
        "milliseconds for an orientation, median": f"{1000 * np.median([answer.seconds for answer in answers]):.0f}",
    }


if __name__ == "__main__":
    main()
