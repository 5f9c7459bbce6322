"""Letters on synthetic radiographs: found, read as L or R only where that is certain, and told from what is none."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from pipelines.phantom.render import render, sample_phantom
from pipelines.regions.marks import Mark, find_marks, mark_mask, side_marker
from pipelines.study import SideMarker

SIDE = 400


def film(seed: int) -> np.ndarray:
    """A phantom without its side marker."""
    phantom = sample_phantom(np.random.default_rng([31, seed]))
    plain = replace(phantom, anatomy=replace(phantom.anatomy, marker=" "))
    return (255.0 * render(plain, columns=SIDE).image).astype(np.uint8)


def lettered(seed: int, text: str, *, plate: bool = False, size: int = 26) -> np.ndarray:
    """A phantom with a text near its upper border, on a plate or not."""
    picture = Pillow.fromarray(film(seed))
    pen = ImageDraw.Draw(picture)
    if plate:
        pen.rectangle((300, 14, 330, 56), fill=110)
    pen.text((307, 20), text, fill=225 if plate else 255, font=ImageFont.load_default(size=size))
    return np.asarray(picture)


def named_on(picture: np.ndarray) -> SideMarker | None:
    return side_marker(find_marks(picture), picture.shape[1])


@pytest.mark.parametrize("plate", [False, True], ids=["on the film", "on a plate"])
@pytest.mark.parametrize("letter", ["L", "R"])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_side_marker_is_found_and_read(seed: int, letter: str, plate: bool) -> None:
    picture = lettered(seed, letter, plate=plate)
    assert named_on(picture) == SideMarker(letter=letter, at_left=False)
    (mark,) = (mark for mark in find_marks(picture) if mark.letter == letter)
    row, column = mark.middle
    assert 15 < row < 55
    assert 295 < column < 335


@pytest.mark.parametrize("letter", ["L", "R"])
def test_a_marker_on_a_mirrored_film_is_never_read_as_upright(letter: str) -> None:
    named = named_on(np.ascontiguousarray(lettered(1, letter)[:, ::-1]))
    assert named in {None, SideMarker(letter=letter, at_left=True, mirrored=True)}


@pytest.mark.parametrize("text", ["LIEGEND", "MOBIL", "RL", "PA", "8"])
def test_letters_of_words_and_other_letters_name_no_side(text: str) -> None:
    assert named_on(lettered(1, text, size=20)) is None


@pytest.mark.parametrize("seed", range(4))
def test_a_film_without_letters_names_no_side(seed: int) -> None:
    assert named_on(film(seed)) is None


def test_markers_that_contradict_each_other_name_no_side() -> None:
    left = Mark(frame=(10.0, 10.0, 30.0, 24.0), letter="R", probability=0.9)
    right = replace(left, frame=(10.0, 376.0, 30.0, 390.0), letter="L", probability=0.8)
    middle = replace(left, frame=(10.0, 190.0, 30.0, 204.0))
    assert side_marker([right, left], SIDE) == SideMarker(letter="R", at_left=True)
    assert side_marker([left, replace(right, letter="R")], SIDE) is None
    assert side_marker([right, middle], SIDE) == SideMarker(letter="L", at_left=False)
    assert side_marker([middle], SIDE) is None
    assert side_marker([], SIDE) is None


def test_a_marker_says_where_the_patients_right_is() -> None:
    at_left = [SideMarker(letter=letter, at_left=True) for letter in ("R", "L")]
    assert [marker.right_is_at_left for marker in at_left] == [True, False]
    assert not SideMarker(letter="R", at_left=False).right_is_at_left


def test_the_mask_covers_the_frames_alone() -> None:
    mask = mark_mask([Mark(frame=(2.0, 3.0, 5.5, 6.0), letter=None, probability=0.9)], (10, 12))
    assert mask.sum() == 4 * 3
    assert mask[2:6, 3:6].all()


@pytest.mark.parametrize("shape", [(1, 1), (3, 64), (60, 50)])
def test_a_picture_of_any_size_is_looked_at(shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    for mark in find_marks(noise):
        top, left, bottom, right = mark.frame
        assert 0.0 <= top < bottom <= shape[0]
        assert 0.0 <= left < right <= shape[1]
