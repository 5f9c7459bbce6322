"""How often side and zone that are found on a phantom contradict where a finding was planted.

Truth is the phantom's own: the side of the lesion, and the third of that lung, from apex to the diaphragm's dome, that
its report names. Found are the sides and zones of :mod:`pipelines.regions`, from the picture alone. Asked is for the
centre of each planted box, and for 25 points spread over it, as a heat would point there: a warning is wrong there. A
warning is right where the phrase names another side or zone than the box lies in.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from audit.metrics.shortcuts import ShortcutScorer
from benchmarks.machine import command_line, write_section
from pipelines.image_file import picture_of
from pipelines.phantom.anatomy import Grid
from pipelines.phantom.lesions import Lesion
from pipelines.phantom.render import Phantom, render, sample_phantom
from pipelines.regions import Regions, regions_of
from pipelines.study import Box, Context, Phrase, Side, Zone
from reports.score_catalogue import SIDE_POINT, ZONE_POINT

_SEED = 4
_POINTS = np.array([0.1, 0.3, 0.5, 0.7, 0.9])  # of a box's width and height
_INPUT_PX = 224  # of the models that the tool is made for


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What was found at one planted box."""

    finding: str
    side: bool  # the found side of the centre is the planted one
    zone: bool | None  # likewise; None where the phantom names none
    other_side: float  # share of the points inside the box that are warned of
    other_zone: float | None
    adjacent: tuple[bool, ...]  # whether the centre is warned of where the phrase names a zone next to the planted one
    opposite: tuple[bool, ...]  # likewise for upper and lower


def main() -> None:
    """Measure, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--phantoms", type=int, default=300)
    parser.add_argument("--columns", type=int, default=448, help="width of the phantoms, px; 640 in the demo")
    parser.add_argument("--no-write", action="store_true", help="print only")
    given = parser.parse_args()
    asked, overlaps, missing = [], [], 0
    for index in range(given.phantoms):
        phantom = sample_phantom(np.random.default_rng([_SEED, index]), at_least=1)
        film = render(phantom, columns=given.columns)
        regions = regions_of(picture_of(film.image), np.ones(film.image.shape, dtype=bool))
        if regions.lungs is None:
            missing += 1
            continue
        overlaps += _overlaps(phantom, regions)
        scorer = ShortcutScorer(regions, model_px=(max(film.image.shape) / _INPUT_PX,) * 2, flipped=False)
        asked += [
            _ask(scorer, regions, box, lesion)
            for box, lesion in zip(film.boxes, film.boxed, strict=True)
            if lesion.side is not None
        ]
    lines = list(_table(asked, overlaps, missing, given.phantoms))
    print("\n".join(lines))
    if not given.no_write:
        write_section("bench_zones", command=command_line("bench_zones"), lines=lines)


def _overlaps(phantom: Phantom, regions: Regions) -> list[float]:
    """Intersection over union of each found lung with the planted one."""
    if regions.lungs is None:
        return []
    grid = Grid(phantom.anatomy, *regions.markers.shape)
    pairs = ((regions.lungs.at_left, grid.lungs["right"] > 0.5), (regions.lungs.at_right, grid.lungs["left"] > 0.5))
    return [float((found & true).sum() / (found | true).sum()) for found, true in pairs]


def _ask(scorer: ShortcutScorer, regions: Regions, box: Box, lesion: Lesion) -> _Asked:
    side = Side(str(lesion.side))

    def warned(down: float, across: float, score: str, zone: Zone | None) -> bool:
        row, column = box.y + down * box.height, box.x + across * box.width
        heat = np.zeros((regions.rows, regions.columns), dtype=np.float32)
        (height, width), cell = regions.pixel, (int(row / regions.pixel[0]), int(column / regions.pixel[1]))
        heat[int((cell[0] + 0.5) * height), int((cell[1] + 0.5) * width)] = 1.0  # the pixel that the grid samples
        said = Phrase(text="", section="", finding=lesion.finding, context=Context.PRESENT, side=side, zone=zone)
        return next(each.value for each in scorer.score(heat, said, method="") if each.score == score) == 0.0

    def share(score: str) -> float:
        return float(np.mean([warned(*at, score, lesion.zone) for at in product(_POINTS, _POINTS)]))

    others = [] if lesion.zone is None else [zone for zone in Zone if zone is not lesion.zone]
    apart = {zone: warned(0.5, 0.5, ZONE_POINT, zone) for zone in others}
    far = [zone for zone in others if Zone.MID not in {zone, lesion.zone}]
    return _Asked(
        finding=lesion.finding,
        side=not warned(0.5, 0.5, SIDE_POINT, None),
        zone=None if lesion.zone is None else _found_zone(regions, box) is lesion.zone,
        other_side=share(SIDE_POINT),
        other_zone=None if lesion.zone is None else share(ZONE_POINT),
        adjacent=tuple(is_warned for zone, is_warned in apart.items() if zone not in far),
        opposite=tuple(is_warned for zone, is_warned in apart.items() if zone in far),
    )


def _found_zone(regions: Regions, box: Box) -> Zone | None:
    """Give the zone in which the centre of a box is found."""
    if regions.lungs is None:
        return None
    height, width = regions.pixel
    row, column = int((box.y + box.height / 2) / height), int((box.x + box.width / 2) / width)
    lungs = regions.lungs
    return next(zone for zone in Zone if lungs.zone(zone)[row, column])


def _table(asked: list[_Asked], overlaps: list[float], missing: int, phantoms: int) -> Iterator[str]:
    low, middle = np.quantile(overlaps, [0.05, 0.5])
    yield (
        f"{phantoms} phantoms, lungs found on {phantoms - missing}; overlap of a lung with the planted one "
        f"(intersection over union): median {middle:.2f}, 5th percentile {low:.2f}. Warnings are those of the scores "
        "`hottest point on the named side` and `hottest point in the named zone`."
    )
    yield ""
    yield (
        "| finding | boxes | side of the centre right | points in the box warned of, other side | boxes with a zone "
        "| zone of the centre right | points in the box warned of, other zone | warned of where the phrase names the "
        "zone next to it | where it names the opposite one |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    for finding in (*sorted({each.finding for each in asked}), None):
        of = [each for each in asked if finding in {None, each.finding}]
        zoned = [each for each in of if each.zone is not None]
        yield " | ".join(
            (
                f"| {finding or 'all'}",
                f"{len(of)}",
                _percent([each.side for each in of]),
                _percent([each.other_side for each in of]),
                f"{len(zoned)}",
                _percent([bool(each.zone) for each in zoned]),
                _percent([each.other_zone for each in zoned if each.other_zone is not None]),
                _percent([warned for each in zoned for warned in each.adjacent]),
                _percent([warned for each in zoned for warned in each.opposite]) + " |",
            )
        )


def _percent(values: list[bool] | list[float]) -> str:
    return f"{100 * np.mean(values):.1f} %" if values else "–"


if __name__ == "__main__":
    main()
