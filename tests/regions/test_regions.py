"""Markers, lungs and chest on radiographs whose markers and lungs are known, and on a real one."""

import io
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from PIL import Image as Pillow
from pydicom.data import get_testdata_file
from scipy.ndimage import binary_dilation, label

from pipelines.image_file import picture_of, read_image
from pipelines.phantom.anatomy import Grid
from pipelines.phantom.render import Phantom, render, sample_phantom, with_tags
from pipelines.regions import Regions, regions_of
from pipelines.study import Zone

COLUMNS = 320
SEEDS = range(30)


@cache
def phantom(seed: int) -> Phantom:
    return sample_phantom(np.random.default_rng([77, seed]))


def found_on(image: np.ndarray) -> Regions:
    return regions_of(picture_of(image), np.ones(image.shape, dtype=bool))


@cache
def image_of(seed: int) -> np.ndarray:
    return render(phantom(seed), columns=COLUMNS).image


@cache
def regions_of_phantom(seed: int) -> Regions:
    return found_on(image_of(seed))


def letters_of(seed: int, *, tagged: bool) -> tuple[np.ndarray, np.ndarray]:
    """A film, and what its letters change: the same film without any letter is the oracle."""
    with_letters = with_tags(phantom(seed)) if tagged else phantom(seed)
    without = replace(with_letters, tags=(), anatomy=replace(with_letters.anatomy, marker=" "))
    image = render(with_letters, columns=COLUMNS).image if tagged else image_of(seed)
    return image, np.abs(image - render(without, columns=COLUMNS).image) > 0.25


@pytest.fixture(scope="module", params=[False, True], ids=["side marker", "side marker and tags"])
def marked(request) -> list[tuple[np.ndarray, Regions]]:
    """For each seed the true letters and the regions that were found."""
    films = [(seed, *letters_of(seed, tagged=request.param)) for seed in SEEDS]
    return [(truth, found_on(image) if request.param else regions_of_phantom(seed)) for seed, image, truth in films]


def test_nearly_every_letter_on_the_film_is_found(marked) -> None:
    found = []
    for truth, regions in marked:
        letters, count = label(truth, structure=np.ones((3, 3)))
        found += [regions.markers[letters == index].mean() > 0.3 for index in range(1, count + 1)]
    assert len(found) >= len(SEEDS)
    assert np.mean(found) >= 0.95


def test_the_side_marker_is_read_or_not_but_never_wrongly() -> None:
    read = [(seed, marker) for seed in SEEDS if (marker := regions_of_phantom(seed).side_marker) is not None]
    assert len(read) >= 0.8 * len(SEEDS)
    for seed, marker in read:
        assert (marker.letter, marker.mirrored) == (phantom(seed).anatomy.marker, False)
        assert marker.right_is_at_left


def test_few_films_bear_a_mark_that_nobody_put_there(marked) -> None:
    wrong = []
    for truth, regions in marked:
        wrong.append(bool(_unfounded(truth, regions).any()))
    assert np.mean(wrong) <= 0.1


def test_hardly_a_mark_is_seen_inside_the_lungs(marked) -> None:
    films = [
        seed
        for seed, (truth, regions) in zip(SEEDS, marked, strict=True)
        if (_unfounded(truth, regions) & _true_lungs(seed, regions)).any()
    ]
    assert len(films) <= 0.05 * len(SEEDS)


def _unfounded(truth: np.ndarray, regions: Regions) -> np.ndarray:
    """Marks that touch no letter: a letter on a bright chest wall changes it little, hence the rim."""
    near = binary_dilation(truth, iterations=8)
    marks, count = label(regions.markers)
    return np.isin(marks, [index for index in range(1, count + 1) if not near[marks == index].any()])


def _true_lungs(seed: int, regions: Regions) -> np.ndarray:
    grid = Grid(phantom(seed).anatomy, *regions.markers.shape)
    return np.maximum(grid.lungs["right"], grid.lungs["left"]) > 0.5


def test_lungs_and_midline_lie_where_they_are() -> None:
    overlaps, off_centre = [], []
    for seed in SEEDS:
        regions = regions_of_phantom(seed)
        assert regions.lungs is not None
        assert regions.chest is not None
        found, truth = regions.lungs.at_left | regions.lungs.at_right, _true_lungs(seed, regions)
        overlaps.append((found & truth).sum() / (found | truth).sum())
        assert not (regions.lungs.at_left & regions.lungs.at_right).any()
        assert regions.chest[found].all()
        u = np.abs(Grid(phantom(seed).anatomy, *found.shape).u)
        off_centre.append(abs(regions.lungs.midline - u.sum(0).argmin()) / found.shape[1])
    assert np.median(overlaps) >= 0.7
    assert np.quantile(overlaps, 0.05) >= 0.55
    assert np.quantile(off_centre, 0.95) <= 0.06


def test_the_zones_part_the_image_by_rows_and_the_halves_by_columns() -> None:
    lungs = regions_of_phantom(2).lungs
    assert lungs is not None
    zones = np.stack([lungs.zone(zone) for zone in Zone])
    assert (zones.sum(0) == 1).all()
    assert (np.diff(zones.argmax(0)[:, 0]) >= 0).all()  # upper first
    upper, mid, lower = zones[:, :, 0]
    top = np.flatnonzero((lungs.at_left | lungs.at_right).any(1))[0]
    assert abs(upper[top:].sum() - mid.sum()) <= 1
    assert lower.sum() > mid.sum()  # the recess beside the diaphragm's dome, and what lies below it
    wider = lungs.zone(Zone.MID, margin=0.1)[:, 0]
    assert wider.sum() - mid.sum() == pytest.approx(0.2 * 3 * mid.sum(), abs=2)
    assert (lungs.half(at_left=True) ^ lungs.half(at_left=False)).all()
    assert lungs.half(at_left=True)[:, 0].all()


def test_what_was_planted_lies_in_the_zone_and_on_the_side_that_its_report_names() -> None:
    sides, zones, near = [], [], []
    for seed in SEEDS:
        said = phantom(seed)
        film = render(said, columns=COLUMNS + COLUMNS // 4)  # so wide that lungs are found on a coarser grid
        lungs = found_on(film.image).lungs
        assert lungs is not None
        for box, lesion in zip(film.boxes, film.boxed, strict=True):
            row, column = int(box.y + box.height / 2), int(box.x + box.width / 2)
            if lesion.side is not None:
                sides.append(bool(lungs.half(at_left=lesion.side == "right")[row, column]))
            if lesion.zone is not None:
                rows = np.linspace(box.y, box.y + box.height, 9, endpoint=False).astype(int)
                zones.append(bool(lungs.zone(lesion.zone)[row, column]))
                near.append(lungs.zone(lesion.zone, margin=0.1)[rows, column].mean())
    assert len(zones) >= 30
    assert np.mean(sides) >= 0.98
    assert np.mean(zones) >= 0.85
    assert np.mean(near) >= 0.95


def test_half_a_body_that_the_films_border_cuts_is_no_lung() -> None:
    """On a film whose rows are no multiple of the grid's, and behind a collimator that cuts neck and abdomen."""
    said = sample_phantom(np.random.default_rng([4, 0]), at_least=1)
    image = render(said, columns=448).image
    valid = np.ones(image.shape, dtype=bool)
    whole = regions_of(picture_of(image), valid).lungs
    valid[:20] = valid[-20:] = False
    collimated = regions_of(picture_of(np.where(valid, image, 0.0).astype(np.float32)), valid).lungs
    grid = Grid(said.anatomy, *image.shape)
    for lungs in (whole, collimated):
        assert lungs is not None
        for found, side in ((lungs.at_left, "right"), (lungs.at_right, "left")):
            true = grid.lungs[side] > 0.5
            assert (found & ~true).sum() <= 0.1 * true.sum()


def test_on_a_mirrored_film_everything_is_found_mirrored() -> None:
    straight, mirrored = regions_of_phantom(2), found_on(np.ascontiguousarray(image_of(2)[:, ::-1]))
    assert (mirrored.markers[:, ::-1] ^ straight.markers).mean() < 0.002
    assert straight.lungs is not None
    assert mirrored.lungs is not None
    assert mirrored.lungs.midline == pytest.approx(COLUMNS - straight.lungs.midline, abs=3)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((60, 50), dtype=np.float32),
        np.ones((60, 50), dtype=np.float32),
        np.random.default_rng(0).random((90, 70), dtype=np.float32),
        np.full((1, 1), 0.5, dtype=np.float32),
        np.tile(np.linspace(0, 1, 64, dtype=np.float32), (3, 1)),
    ],
    ids=["black", "white", "noise", "one pixel", "three rows"],
)
def test_where_there_is_no_chest_none_is_made_up(image: np.ndarray) -> None:
    regions = found_on(image)
    assert regions.lungs is None
    assert regions.chest is None


def test_what_is_collimated_is_no_lung_and_the_field_stays_as_it_is() -> None:
    image = render(phantom(2), columns=COLUMNS).image
    valid = np.zeros(image.shape, dtype=bool)
    valid[10:-10, 20:-20] = True
    regions = regions_of(picture_of(np.where(valid, image, 0.0).astype(np.float32)), valid)
    assert np.array_equal(regions.valid, valid)
    assert regions.lungs is not None
    assert not ((regions.lungs.at_left | regions.lungs.at_right) & ~valid).any()


def test_a_real_radiographs_lungs_lie_on_its_two_sides() -> None:
    picture = read_image(str(get_testdata_file("RG1_UNCR.dcm")))
    regions = regions_of(picture_of(picture.display), picture.valid)
    assert max(regions.markers.shape) <= 512
    assert regions.pixel == pytest.approx((1955 / regions.markers.shape[0], 1841 / regions.markers.shape[1]))
    assert regions.lungs is not None
    columns = regions.markers.shape[1]
    assert 0.4 * columns < regions.lungs.midline < 0.6 * columns
    for lung in (regions.lungs.at_left, regions.lungs.at_right):
        assert 0.08 < lung.mean() < 0.35
    assert not regions.markers.any()  # it has none


def test_the_letter_on_a_real_radiograph_is_found() -> None:
    picture = read_image(str(get_testdata_file("RG3_UNCR.dcm")))  # a leg, with a mirrored R on a plate
    regions = regions_of(picture_of(picture.display), picture.valid)
    rows, columns = np.nonzero(regions.markers)
    height, width = regions.markers.shape
    assert 0.75 < rows.min() / height < rows.max() / height < 0.87
    assert 0.64 < columns.min() / width < columns.max() / width < 0.73
    assert regions.lungs is None


@pytest.mark.parametrize("factor", [1, 3], ids=["as it is", "three times larger"])
def test_values_of_the_source_are_taken_at_the_middle_of_cells(factor: int) -> None:
    image = Pillow.open(io.BytesIO(picture_of(render(phantom(2), columns=COLUMNS).image)))
    rows, columns = image.height * factor, image.width * factor
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    regions = regions_of(buffer.getvalue(), np.ones((rows, columns), dtype=bool))
    ramp = np.add.outer(np.arange(rows) * 10_000, np.arange(columns)).astype(np.float64)
    taken = regions.on_grid(ramp)
    assert taken.shape == regions.markers.shape == (image.height, image.width)
    assert taken[5, 7] == (5 * factor + factor // 2) * 10_000 + 7 * factor + factor // 2
