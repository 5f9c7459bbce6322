"""How an image lies: the eight ways, and which of them the committed network recognises on radiographs."""

from collections import Counter

import numpy as np
import pytest
from pydicom.data import get_testdata_file

from audit.phantom.no_chests import make_other_images
from pipelines.image_file import read_image
from pipelines.phantom.render import render, sample_phantom
from pipelines.regions.orientation import find_orientation, marker_when, turned, turned_back
from pipelines.study import Orientation, SideMarker, unexpected

ARROW = np.array([[1, 2], [3, 4], [5, 6]])
AS_TURNED = {
    Orientation.UPRIGHT: [[1, 2], [3, 4], [5, 6]],
    Orientation.ROTATED_90: [[5, 3, 1], [6, 4, 2]],
    Orientation.ROTATED_180: [[6, 5], [4, 3], [2, 1]],
    Orientation.ROTATED_270: [[2, 4, 6], [1, 3, 5]],
    Orientation.MIRRORED: [[2, 1], [4, 3], [6, 5]],
    Orientation.MIRRORED_90: [[6, 4, 2], [5, 3, 1]],
    Orientation.MIRRORED_180: [[5, 6], [3, 4], [1, 2]],
    Orientation.MIRRORED_270: [[1, 3, 5], [2, 4, 6]],
}


@pytest.mark.parametrize("orientation", Orientation)
def test_an_image_is_mirrored_and_then_rotated_clockwise_and_back(orientation: Orientation) -> None:
    assert turned(ARROW, orientation).tolist() == AS_TURNED[orientation]
    assert turned_back(turned(ARROW, orientation), orientation).tolist() == ARROW.tolist()


def found_on(image: np.ndarray) -> Orientation | None:
    picture = np.ascontiguousarray((255.0 * image).astype(np.uint8))
    return find_orientation(picture, np.ones(picture.shape, dtype=bool), lambda _: None)


def test_phantoms_are_recognised_in_every_orientation_and_no_upright_one_is_taken_for_another() -> None:
    said: Counter[str] = Counter()
    for seed in range(10):
        image = render(sample_phantom(np.random.default_rng([78, seed])), columns=256).image
        for orientation in Orientation:
            found = found_on(turned(image, orientation))
            said["right" if found is orientation else "not known" if found is None else wrong(found, orientation)] += 1
    assert said["wrong"] == 0
    assert said["wrongly mirrored"] <= 8
    assert said["right"] >= 64


def wrong(found: Orientation, orientation: Orientation) -> str:
    """A rotated image is named even if it is unclear whether it is mirrored as well."""
    is_rotated = found.quarter_turns == orientation.quarter_turns != 0
    return "wrongly mirrored" if is_rotated else "wrong"


@pytest.mark.parametrize("orientation", Orientation)
def test_a_real_radiograph_is_recognised_in_every_orientation(orientation: Orientation) -> None:
    assert found_on(turned(real_radiograph(), orientation)) is orientation


def real_radiograph() -> np.ndarray:
    return read_image(str(get_testdata_file("RG1_UNCR.dcm"))).display


def test_what_lies_behind_collimators_does_not_count() -> None:
    image = (255.0 * real_radiograph()[::5, ::-5]).astype(np.uint8)
    rows, columns = image.shape
    framed = np.random.default_rng(3).integers(0, 255, (rows + 90, 2 * columns)).astype(np.uint8)
    valid = np.zeros(framed.shape, dtype=bool)
    valid[40 : 40 + rows, 160 : 160 + columns] = True
    framed[valid] = image.ravel()
    assert find_orientation(framed, valid, lambda _: None) is Orientation.MIRRORED
    assert find_orientation(framed, np.zeros_like(valid), lambda _: None) is None


def test_images_without_a_chest_have_no_orientation() -> None:
    others = make_other_images(60, seed=99)
    found = [find_orientation(image, np.ones(image.shape, dtype=bool), lambda _: None) for image in others]
    assert sum(each is not None for each in found) <= 3


@pytest.mark.parametrize("orientation", [Orientation.MIRRORED, Orientation.MIRRORED_90, Orientation.UPRIGHT])
def test_a_side_marker_decides_where_the_anatomy_is_symmetric(orientation: Orientation) -> None:
    picture = (255.0 * real_radiograph()[::5, ::5]).astype(np.uint8)
    symmetric = turned(np.maximum(picture, picture[:, ::-1]), orientation)
    valid = np.ones(symmetric.shape, dtype=bool)

    def found(marker: SideMarker | None) -> Orientation | None:
        return find_orientation(np.ascontiguousarray(symmetric), valid, lambda _: marker)

    mirrored = replace_turns(Orientation.MIRRORED, orientation)
    assert found(SideMarker(letter="R", at_left=False, mirrored=True)) is mirrored
    assert found(SideMarker(letter="R", at_left=True)) is replace_turns(Orientation.UPRIGHT, orientation)
    laid_wrong = SideMarker(letter="R", at_left=True, mirrored=True), SideMarker(letter="L", at_left=True)
    assert {found(marker) for marker in laid_wrong} == {found(None)}


def replace_turns(mirroring: Orientation, turns: Orientation) -> Orientation:
    return next(
        each
        for each in Orientation
        if each.is_mirrored == mirroring.is_mirrored and each.quarter_turns == turns.quarter_turns
    )


def test_the_marker_is_read_as_it_stands_once_the_image_is_upright() -> None:
    image = render(sample_phantom(np.random.default_rng([78, 0])), columns=512).image
    picture = (255.0 * image).astype(np.uint8)
    stands = marker_when(picture, Orientation.UPRIGHT)
    assert stands is not None
    assert stands.right_is_at_left
    assert marker_when(turned(picture, Orientation.ROTATED_90), Orientation.ROTATED_90) == stands
    assert marker_when(turned(picture, Orientation.MIRRORED_90), Orientation.MIRRORED_90) == stands


@pytest.mark.parametrize(
    ("orientation", "flipped", "stated"),
    [
        (None, False, None),
        (Orientation.UPRIGHT, False, None),
        (Orientation.MIRRORED, True, None),
        (Orientation.MIRRORED, False, Orientation.MIRRORED),
        (Orientation.UPRIGHT, True, Orientation.UPRIGHT),
        (Orientation.ROTATED_90, True, Orientation.ROTATED_90),
    ],
)
def test_an_orientation_is_unexpected_if_the_header_does_not_say_so(orientation, flipped, stated) -> None:
    assert unexpected(orientation, flipped=flipped) is stated
