"""Erasing a region: where it lies on the model's input, where equal areas lie, and what fills it."""

import numpy as np
import pytest

from pipelines.geometry import Fit, Placement
from pipelines.regions.alignment import align
from pipelines.regions.erasing import Donor, Eraser, Fill, region_of_boxes, regions_elsewhere
from pipelines.shapes import Ellipse
from pipelines.study import Box

SHAPE = (60, 80)
CHEST = np.ones(SHAPE, dtype=bool)
NOWHERE = np.zeros(SHAPE, dtype=bool)


def rectangle(top: int, left: int, height: int, width: int) -> np.ndarray:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[top : top + height, left : left + width] = True
    return mask


def scene(shift: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    rows, columns = rows - shift[0], columns - shift[1]
    lungs = sum(np.exp(-(((rows - 28) / 14) ** 2) - ((columns - centre) / 9) ** 2) for centre in (24, 55))
    return 0.8 - 0.5 * lungs + 0.1 * np.sin(columns / 5)


@pytest.mark.parametrize("fit", list(Fit))
def test_a_box_covers_the_same_place_on_the_models_input(fit: Fit) -> None:
    placement = Placement.of(400, 300, size=100, fit=fit)
    region = region_of_boxes([Box(x=120, y=160, width=60, height=80, label="nodule")], placement)
    (top, left), (bottom, right) = placement.to_model(160.0, 120.0), placement.to_model(240.0, 180.0)
    rows, columns = (np.flatnonzero(region.any(axis)) for axis in (1, 0))
    ends = (rows[0] - top, rows[-1] + 1 - bottom, columns[0] - left, columns[-1] + 1 - right)
    assert np.abs(ends) == pytest.approx(1.0, abs=0.51)  # a rim of one pixel, and rounding


def test_a_shape_is_erased_as_it_was_drawn() -> None:
    placement = Placement.of(100, 100, size=100, fit=Fit.LETTERBOX)
    disc = Ellipse(centre=(50.0, 40.0), first=(20.0, 0.0), second=(0.0, 10.0))
    region = region_of_boxes([Box(x=30, y=30, width=40, height=20, label="nodule", shape=disc)], placement)
    assert region[40, 50]
    assert not region[31, 32]


def test_a_box_outside_the_models_input_has_no_region() -> None:
    placement = Placement.of(400, 200, size=100, fit=Fit.CROP)
    assert not region_of_boxes([Box(x=10, y=5, width=20, height=30, label="nodule")], placement).any()


def test_an_equal_area_elsewhere_is_the_mirrored_side_first_and_never_on_a_target() -> None:
    region, other = rectangle(10, 5, 12, 20), rectangle(40, 20, 10, 20)
    generator = np.random.default_rng(0)
    places = regions_elsewhere(region, CHEST, other, midline=40.0, draws=4, generator=generator)
    assert len(places) == 4
    assert (places[0] == region[:, ::-1]).all()
    for place in places:
        assert place.sum() == region.sum()
        assert not (place & (region | other)).any()


def test_parts_of_a_region_are_placed_apart_and_in_the_chest() -> None:
    chest = rectangle(0, 0, 60, 50)
    region = rectangle(10, 5, 12, 8) | rectangle(10, 30, 8, 8)
    places = regions_elsewhere(region, chest, NOWHERE, midline=25.0, draws=3, generator=np.random.default_rng(1))
    assert len(places) == 3
    for place in places:
        assert place.sum() == region.sum()
        assert (place & ~chest).sum() <= 0.1 * place.sum()


def test_without_room_there_is_no_equal_area() -> None:
    region = rectangle(5, 5, 50, 60)
    assert regions_elsewhere(region, CHEST, NOWHERE, midline=40.0, draws=2, generator=np.random.default_rng(0)) == ()


@pytest.mark.parametrize("fill", list(Fill))
def test_erasing_changes_the_region_alone_and_removes_what_was_there(fill: Fill) -> None:
    clean = scene()
    region, lesion = rectangle(20, 18, 14, 12), rectangle(23, 21, 8, 6)
    spot = clean + 0.6 * lesion
    donors = [Donor(image=scene((2.0, -3.0)), blocked=NOWHERE)]
    eraser = Eraser(spot, fill=fill, midline=40.0, targets=region, donors=donors)
    filled = eraser.erase(region, np.random.default_rng(0))
    assert filled is not None
    assert (filled[~region] == spot[~region]).all()
    left = np.abs(filled - clean)[lesion].mean() / 0.6
    assert left < (0.5 if fill is Fill.INPAINTING else 0.1)  # a membrane does not know that a lung is darkest inside


def test_a_membrane_continues_a_plane() -> None:
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    plane = 0.2 + 0.004 * rows + 0.003 * columns
    region = rectangle(20, 20, 15, 25)
    filled = Eraser(plane, fill=Fill.INPAINTING, midline=40.0, targets=region).erase(region, np.random.default_rng(0))
    assert filled is not None
    assert filled == pytest.approx(plane, abs=5e-3)


def test_a_finding_is_never_copied() -> None:
    region = rectangle(20, 18, 14, 12)
    generator = np.random.default_rng(0)
    blocked = Donor(image=scene(), blocked=rectangle(22, 20, 9, 9))
    named = Donor(image=scene(), blocked=NOWHERE, unplaced=frozenset({"nodule"}))
    eraser = Eraser(scene(), fill=Fill.OTHER_PATIENTS, midline=40.0, targets=region, donors=[blocked, named])
    assert eraser.erase(region, generator, finding="nodule") is None
    assert eraser.erase(region, generator, finding="cardiomegaly") is not None
    both_sides = region | region[:, ::-1]
    mirror = Eraser(scene(), fill=Fill.CONTRALATERAL, midline=40.0, targets=both_sides)
    assert mirror.erase(region, generator) is None


def test_burned_in_text_is_never_mirrored_into_a_region() -> None:
    region, letters = rectangle(20, 5, 14, 20), rectangle(24, 60, 4, 10)
    letters[:, ::2] = False
    shown, generator = np.where(letters, 1.0, scene()), np.random.default_rng(0)
    assert Eraser(shown, fill=Fill.CONTRALATERAL, midline=40.0, targets=region).erase(region, generator) is not None
    hidden = Eraser(shown, fill=Fill.CONTRALATERAL, midline=40.0, targets=region, hidden=rectangle(23, 59, 6, 12))
    assert hidden.erase(region, generator) is None
    beside = hidden.erase(rectangle(40, 5, 14, 20), generator)
    assert beside is not None, "text elsewhere is no obstacle"
    assert beside[24:28, 60:70] == pytest.approx(shown[24:28, 60:70]), "the model still sees its own text"


def test_not_even_a_part_of_a_finding_is_copied() -> None:
    region, generator = rectangle(10, 10, 30, 20), np.random.default_rng(0)
    edge = Donor(image=scene(), blocked=rectangle(10, 10, 2, 2))
    eraser = Eraser(scene(), fill=Fill.OTHER_PATIENTS, midline=40.0, targets=region, donors=[edge])
    assert eraser.erase(region, generator) is None


@pytest.mark.parametrize(
    ("erased", "of_donor"),
    [("lung lesion", "nodule"), ("nodule", "lung lesion"), ("lung opacity", "consolidation"), ("mass", "lung opacity")],
)
def test_a_finding_under_a_broader_or_narrower_name_is_not_copied(erased: str, of_donor: str) -> None:
    region = rectangle(20, 18, 14, 12)
    donors = [Donor(image=scene(), blocked=NOWHERE, unplaced=frozenset({of_donor}))]
    eraser = Eraser(scene(), fill=Fill.OTHER_PATIENTS, midline=40.0, targets=region, donors=donors)
    assert eraser.erase(region, np.random.default_rng(0), finding=erased) is None
    assert eraser.erase(region, np.random.default_rng(0), finding="cardiomegaly") is not None


def test_a_donor_without_findings_at_unknown_places_is_preferred() -> None:
    region = rectangle(20, 18, 14, 12)
    alike = Donor(image=scene() + 0.2 * region, blocked=NOWHERE, unplaced=frozenset({"pleural effusion"}))
    less = Donor(image=scene((1.0, 1.0)) + 0.02 * np.random.default_rng(1).random(SHAPE), blocked=NOWHERE)
    eraser = Eraser(scene(), fill=Fill.OTHER_PATIENTS, midline=40.0, targets=region, donors=[alike, less])
    filled = eraser.erase(region, np.random.default_rng(0), finding="nodule")
    assert filled is not None
    assert np.abs(filled - scene())[region].max() < 0.1


@pytest.mark.parametrize("fill", list(Fill))
@pytest.mark.parametrize("shape", [(224, 10), (224, 3), (224, 1), (1, 224)])
def test_a_narrow_image_can_be_erased(fill: Fill, shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).random(shape)
    region = np.zeros(shape, dtype=bool)
    region[tuple(slice(length // 3, length // 3 + max(1, length // 9)) for length in shape)] = True
    donors = [Donor(image=image, blocked=np.zeros(shape, dtype=bool))]
    eraser = Eraser(image, fill=fill, midline=shape[1] / 2, targets=np.zeros(shape, dtype=bool), donors=donors)
    filled = eraser.erase(region, np.random.default_rng(0))
    assert filled is not None
    assert np.isfinite(filled).all()


def test_the_most_similar_donor_is_copied() -> None:
    region = rectangle(20, 18, 14, 12)
    unlike = np.random.default_rng(2).random(SHAPE)
    donors = [Donor(image=unlike, blocked=NOWHERE), Donor(image=scene(), blocked=NOWHERE)]
    spot = scene() + 0.5 * region
    filled = Eraser(spot, fill=Fill.OTHER_PATIENTS, midline=40.0, targets=region, donors=donors).erase(
        region, np.random.default_rng(0)
    )
    assert filled is not None
    assert np.abs(filled - scene())[region].mean() < 0.05


def test_an_alignment_finds_a_shift_and_a_scale() -> None:
    fixed, moving = scene(), scene((2.0, -3.0))
    warped, inside = align(moving, fixed, CHEST).warp(moving, SHAPE)
    assert np.abs(warped - fixed)[inside].mean() < 0.25 * np.abs(moving - fixed).mean()
    assert inside.mean() > 0.8


def test_the_same_seed_erases_the_same() -> None:
    region = rectangle(20, 18, 14, 12)
    one, other = (
        Eraser(scene(), fill=Fill.INPAINTING, midline=40.0, targets=region).erase(region, np.random.default_rng(5))
        for _ in range(2)
    )
    assert one is not None
    assert other is not None
    assert (one == other).all()
