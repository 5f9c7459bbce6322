"""ROAD: the imputation against elimination on the full matrix, the score by a closed form and by brute force."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_models import PHRASES
from torch.nn.functional import cosine_similarity
from toy_encoder import PHRASE, SIZE, of_patches

from audit.faithfulness.measures import Road, RoadSettings, impute_linearly, road
from audit.faithfulness.pairs import ExplainedPair

QUIET = RoadSettings(noise=0.0)


def eliminated(plane: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Write down one equation a missing pixel, neighbour by neighbour, and solve them all at once."""
    rows, columns = plane.shape
    places = [tuple(place) for place in np.argwhere(missing)]
    matrix, known = np.zeros((len(places), len(places))), np.zeros(len(places))
    for number, (row, column) in enumerate(places):
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                y, x = row + down, column + right
                if (down, right) == (0, 0) or not (0 <= y < rows and 0 <= x < columns):
                    continue
                weight = 1 / 6 if 0 in (down, right) else 1 / 12
                matrix[number, number] += weight
                if missing[y, x]:
                    matrix[number, places.index((y, x))] -= weight
                else:
                    known[number] += weight * plane[y, x]
    filled = plane.astype(float).copy()
    if places:
        filled[missing] = np.linalg.solve(matrix, known)
    return filled


@settings(max_examples=30)
@given(seed=st.integers(0, 999), share=st.floats(0.05, 0.98), rows=st.integers(2, 13), columns=st.integers(2, 13))
def test_the_imputation_solves_the_published_equations(seed, share, rows, columns) -> None:
    rng = np.random.default_rng(seed)
    image = rng.normal(rng.normal(0, 5), 1.0, (3, rows, columns))
    missing = rng.random((rows, columns)) < share
    missing[rng.integers(rows), rng.integers(columns)] = False
    found = impute_linearly(torch.from_numpy(image).float(), torch.from_numpy(missing)).numpy()
    for plane, result in zip(image, found, strict=True):
        np.testing.assert_allclose(result, eliminated(plane, missing), atol=1e-4)


def test_a_large_gap_is_filled_from_what_little_is_left() -> None:
    rng = np.random.default_rng(4)
    grid = np.kron(np.isin(np.arange(36), [3, 14, 29], invert=True).reshape(6, 6), np.ones((6, 6))).astype(bool)
    film = np.add.outer(np.sin(np.arange(36) / 9), np.cos(np.arange(36) / 7)) + rng.normal(0, 0.1, (36, 36))
    found = impute_linearly(torch.from_numpy(film).expand(3, 36, 36).float(), torch.from_numpy(grid)).numpy()
    assert grid.mean() > 0.9
    np.testing.assert_allclose(found, np.stack([eliminated(film, grid)] * 3), atol=1e-5)


def test_known_pixels_are_left_alone_bit_by_bit() -> None:
    image = torch.randn(3, 9, 9, generator=torch.Generator().manual_seed(1))
    before = image.clone()
    missing = torch.rand(9, 9, generator=torch.Generator().manual_seed(2)) < 0.5
    filled = impute_linearly(image, missing)
    assert torch.equal(filled[:, ~missing], image[:, ~missing])
    assert torch.equal(impute_linearly(image, torch.zeros_like(missing)), image)
    assert torch.equal(image, before), "the caller's image is its own"


def test_a_slope_goes_on_through_a_hole() -> None:
    slope = torch.add(*torch.meshgrid(torch.arange(12.0), 2 * torch.arange(12.0), indexing="ij"))
    missing = torch.zeros(12, 12, dtype=torch.bool)
    missing[3:8, 4:9] = True
    torch.testing.assert_close(impute_linearly(slope[None], missing)[0], slope, atol=1e-4, rtol=0.0)


def test_a_constant_film_stays_constant() -> None:
    missing = torch.rand(10, 10, generator=torch.Generator().manual_seed(3)) < 0.7
    torch.testing.assert_close(impute_linearly(torch.full((3, 10, 10), 7.5), missing), torch.full((3, 10, 10), 7.5))


def test_an_image_with_nothing_left_is_refused() -> None:
    with pytest.raises(ValueError, match="without a known pixel"):
        impute_linearly(torch.zeros(3, 4, 4), torch.ones(4, 4, dtype=torch.bool))


def spot(row: int, column: int) -> torch.Tensor:
    """An image that is bright in one patch of nine, on a faint slope."""
    pixels = torch.linspace(0.0, 0.1, SIZE).expand(3, SIZE, SIZE).clone()
    pixels[:, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] += 3.0
    return pixels


@settings(max_examples=25)
@given(row=st.integers(0, 2), column=st.integers(0, 2), order=st.permutations(range(9)))
def test_a_heat_that_knows_the_bright_patch_beats_one_that_misses_it(row, column, order) -> None:
    knows, misses = (torch.tensor(order).float().view(3, 3) for _ in range(2))
    knows[row, column], misses[row, column] = 20.0, -20.0
    pairs = [ExplainedPair(pixels=spot(row, column), phrase=PHRASE, heat=heat) for heat in (knows, misses)]
    better, worse = (found.difference for found in road(of_patches(), pairs, QUIET))
    assert worse < 0.0 < better


@settings(max_examples=25)
@given(order=st.permutations(range(9)))
def test_turning_the_heat_upside_down_exchanges_most_and_least(order) -> None:
    heat = torch.tensor(order).float().view(3, 3)
    pairs = [ExplainedPair(pixels=spot(1, 2), phrase=PHRASE, heat=one) for one in (heat, -heat)]
    one, other = road(of_patches(), pairs, QUIET)
    assert one.most_first == pytest.approx(other.least_first, abs=1e-5)
    assert one.difference == pytest.approx(-other.difference, abs=1e-5)


def test_only_the_order_of_the_heat_matters() -> None:
    heat = torch.randn(3, 3, generator=torch.Generator().manual_seed(6))
    pairs = [ExplainedPair(pixels=spot(1, 2), phrase=PHRASE, heat=one, seed=5) for one in (heat, heat.exp() * 9)]
    one, other = road(of_patches(), pairs)
    assert one == other


def test_a_real_model_sees_the_images_that_elimination_fills(encoder) -> None:
    generator = torch.Generator().manual_seed(8)
    pixels, heat = torch.randn(3, 64, 64, generator=generator), torch.rand(4, 4, generator=generator)
    wanted = RoadSettings(percentiles=(10.0, 35.0), noise=0.0)
    found = road(encoder, [ExplainedPair(pixels=pixels, phrase=PHRASES[0], heat=heat)], wanted)[0]
    phrase = encoder.text.forward(encoder.text.tokenise(PHRASES[:1]))
    ranked = sorted(range(16), key=lambda cell: -float(heat.flatten()[cell]))
    expected = []
    for order in (ranked, ranked[::-1]):
        for count in (2, 6):
            grid = np.isin(np.arange(16), order[:count]).reshape(4, 4)
            holes = np.kron(grid, np.ones((16, 16))).astype(bool)
            image = torch.from_numpy(np.stack([eliminated(plane, holes) for plane in pixels.numpy()])).float()
            expected.append(float(cosine_similarity(encoder.image.forward(image[None]), phrase)))
    assert (*found.most_first, *found.least_first) == pytest.approx(expected, abs=1e-4)
    assert found.difference == pytest.approx(sum(expected[2:]) / 4 - sum(expected[:2]) / 4, abs=1e-4)


def test_the_noise_is_the_pairs_own(encoder) -> None:
    generator = torch.Generator().manual_seed(8)
    pixels, heat = torch.randn(3, 64, 64, generator=generator), torch.rand(4, 4, generator=generator)
    few = RoadSettings(percentiles=(30.0,), noise=0.3)
    pairs = [ExplainedPair(pixels=pixels, phrase=PHRASES[0], heat=heat, seed=seed) for seed in (1, 1, 2)]
    torch.manual_seed(0)
    state = torch.get_rng_state()
    one, same, other = road(encoder, pairs, few)
    assert one == same
    assert one.most_first != other.most_first
    assert torch.equal(torch.get_rng_state(), state), "the global generator was not touched"


@pytest.mark.parametrize("changed", [{"percentiles": (20.0, 60.0)}, {"noise": 0.5}], ids=["percentiles", "noise"])
def test_every_setting_changes_the_score(encoder, changed) -> None:
    generator = torch.Generator().manual_seed(8)
    pair = ExplainedPair(
        pixels=torch.randn(3, 64, 64, generator=generator),
        phrase=PHRASES[0],
        heat=torch.rand(4, 4, generator=generator),
    )
    plain = RoadSettings(percentiles=(10.0, 50.0))
    one, other = (road(encoder, [pair], chosen)[0].difference for chosen in (plain, replace(plain, **changed)))
    assert one != pytest.approx(other, abs=1e-6)


def test_a_grid_of_one_cell_is_not_measured_and_a_flat_one_is_chance() -> None:
    single = ExplainedPair(pixels=spot(1, 1), phrase=PHRASE, heat=torch.ones(1, 1))
    assert road(of_patches(), [single], QUIET) == [None]
    flat = [ExplainedPair(pixels=spot(1, 1), phrase=PHRASE, heat=torch.ones(3, 3), seed=seed) for seed in range(60)]
    differences = [found.difference for found in road(of_patches(), flat, QUIET)]
    assert min(differences) < 0.0 < max(differences)
    assert np.mean(differences) == pytest.approx(0.0, abs=3 * np.std(differences) / 60**0.5)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        pytest.param({"percentiles": ()}, "between 0 and 100", id="none"),
        pytest.param({"percentiles": (50.0, 100.0)}, "between 0 and 100", id="all of the image"),
        pytest.param({"percentiles": (0.0,)}, "between 0 and 100", id="nothing of it"),
        pytest.param({"noise": -0.1}, "negative", id="negative noise"),
    ],
)
def test_settings_that_cannot_be_removed_are_refused(wrong, message) -> None:
    with pytest.raises(ValueError, match=message):
        RoadSettings(**wrong)


def test_the_difference_is_half_the_mean_gap() -> None:
    found = Road(percentiles=(10.0, 20.0), most_first=(0.1, 0.0), least_first=(0.5, 0.3))
    assert found.difference == pytest.approx((0.4 + 0.3) / 2 / 2)
