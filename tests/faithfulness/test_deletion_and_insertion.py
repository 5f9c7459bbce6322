"""Deletion and insertion: the best and the worst order by a cosine in closed form, each step by brute force."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_models import PHRASES
from scipy.ndimage import gaussian_filter
from torch.nn.functional import cosine_similarity
from toy_encoder import PHRASE, SIZE, cosine_of, image_of, of_patches, of_words

from audit.faithfulness.curves import (
    Baseline,
    Change,
    Curve,
    CurveSettings,
    blurred,
    cells_on_input,
    image_curves,
    word_curves,
)
from audit.faithfulness.pairs import ExplainedPair, order_by_heat

WORDS = ["left", "pleural", "effusion", "unchanged"]
nine = st.lists(st.floats(0.05, 2.0), min_size=9, max_size=9)
orders = st.permutations(range(9))


def pair_of(patches, heat, *, seed: int = 0) -> ExplainedPair:
    grid = torch.as_tensor(patches).float().view(3, 3)
    return ExplainedPair(pixels=image_of(grid), phrase=PHRASE, heat=torch.as_tensor(heat).float().view(3, 3), seed=seed)


def area(patches, heat, settings: CurveSettings) -> float:
    return image_curves(of_patches(), [pair_of(patches, heat)], settings)[0].area


DELETE, INSERT = CurveSettings(), CurveSettings(change=Change.INSERTION)


@settings(max_examples=40)
@given(patches=nine, order=orders)
def test_no_order_deletes_faster_than_the_patches_own_shares_and_none_slower_than_its_reverse(patches, order) -> None:
    best, worst = (area(patches, [sign * share for share in patches], DELETE) for sign in (1, -1))
    assert best - 1e-6 <= area(patches, order, DELETE) <= worst + 1e-6


@settings(max_examples=40)
@given(patches=nine, order=orders)
def test_no_order_inserts_faster_than_the_patches_own_shares_and_none_slower_than_its_reverse(patches, order) -> None:
    best, worst = (area(patches, [sign * share for share in patches], INSERT) for sign in (1, -1))
    assert worst - 1e-6 <= area(patches, order, INSERT) <= best + 1e-6


@settings(max_examples=40)
@given(patches=nine, order=orders)
def test_inserting_in_one_order_is_deleting_in_the_reverse_walked_backwards(patches, order) -> None:
    inserted = image_curves(of_patches(), [pair_of(patches, order)], INSERT)[0]
    deleted = image_curves(of_patches(), [pair_of(patches, [-place for place in order])], DELETE)[0]
    assert inserted.cosines == pytest.approx(deleted.cosines[::-1], abs=1e-6)
    assert inserted.area == pytest.approx(deleted.area, abs=1e-6)


def test_every_step_of_a_deletion_is_the_closed_form_of_what_is_left() -> None:
    shares = [0.3, 0.1, 0.9, 0.4, 0.8, 0.2, 0.6, 0.5, 0.7]
    curve = image_curves(of_patches(), [pair_of(shares, shares)], DELETE)[0]
    left = [sum(sorted(shares)[: 9 - count]) for count in range(10)]
    assert curve.cosines == pytest.approx([cosine_of(u) for u in left], abs=1e-6)
    assert curve.fractions == pytest.approx([count / 9 for count in range(10)])
    trapezoids = [(a + b) / 2 / 9 for a, b in pairwise(cosine_of(u) for u in left)]
    assert curve.area == pytest.approx(sum(trapezoids), abs=1e-6)


RESCALINGS = [
    pytest.param(lambda heat: heat * 3.0 - 40.0, id="scale and offset"),
    pytest.param(torch.exp, id="exp"),
    pytest.param(lambda heat: heat**3, id="cube"),
]


@pytest.mark.parametrize("rescale", RESCALINGS)
@settings(max_examples=40)
@given(heat=st.lists(st.integers(-6, 6), min_size=9, max_size=9), seed=st.integers(0, 50))
def test_only_the_order_of_the_heat_matters(rescale, heat, seed) -> None:
    patches = torch.rand(9, generator=torch.Generator().manual_seed(seed))
    one, other = pair_of(patches, heat, seed=seed), pair_of(patches, rescale(torch.tensor(heat).float()), seed=seed)
    for chosen in (DELETE, INSERT):
        first, second = image_curves(of_patches(), [one, other], chosen)
        assert first.cosines == pytest.approx(second.cosines, abs=1e-6)


@pytest.mark.parametrize("change", Change)
@pytest.mark.parametrize("baseline", Baseline)
def test_each_step_on_a_real_model_is_that_of_a_loop_over_pixels(encoder, change, baseline) -> None:
    generator = torch.Generator().manual_seed(8)
    pixels, heat = torch.randn(3, 64, 64, generator=generator), torch.rand(4, 4, generator=generator)
    settings = CurveSettings(change=change, baseline=baseline, steps=5, blur_sigma=0.04)
    found = image_curves(encoder, [ExplainedPair(pixels=pixels, phrase=PHRASES[0], heat=heat)], settings)[0]
    if baseline is Baseline.GREY:
        hidden = np.zeros((3, 64, 64))
    else:
        hidden = np.stack([gaussian_filter(plane, 0.04 * 64, mode="nearest", truncate=3.0) for plane in pixels.numpy()])
    ranked = sorted(range(16), key=lambda cell: -float(heat.flatten()[cell]))
    expected, phrase = [], encoder.text.forward(encoder.text.tokenise(PHRASES[:1]))
    counts = [0, 3, 6, 10, 13, 16]
    for count in counts:
        image = pixels.clone()
        for row in range(64):
            for column in range(64):
                hot = row // 16 * 4 + column // 16 in ranked[:count]
                if hot is (change is Change.DELETION):
                    image[:, row, column] = torch.from_numpy(hidden[:, row, column])
        expected.append(float(cosine_similarity(encoder.image.forward(image[None]), phrase)))
    assert found.cosines == pytest.approx(expected, abs=2e-5)
    assert found.fractions == pytest.approx([count / 16 for count in counts])
    assert found.area == pytest.approx(np.trapezoid(expected, [count / 16 for count in counts]), abs=2e-5)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"change": Change.INSERTION}, id="change"),
        pytest.param({"baseline": Baseline.GREY}, id="baseline"),
        pytest.param({"steps": 3}, id="steps"),
        pytest.param({"blur_sigma": 0.2}, id="blur_sigma"),
    ],
)
def test_every_setting_changes_the_area(encoder, changed) -> None:
    generator = torch.Generator().manual_seed(9)
    pair = ExplainedPair(
        pixels=torch.randn(3, 64, 64, generator=generator),
        phrase=PHRASES[0],
        heat=torch.rand(4, 4, generator=generator),
    )
    plain = CurveSettings(baseline=Baseline.BLUR)
    one, other = (image_curves(encoder, [pair], settings)[0].area for settings in (plain, replace(plain, **changed)))
    assert one != pytest.approx(other, abs=1e-5)


def test_the_name_says_change_and_baseline() -> None:
    names = {CurveSettings(change=change, baseline=baseline).name for change in Change for baseline in Baseline}
    assert names == {
        "image deletion AUC, mean grey",
        "image deletion AUC, blur",
        "image insertion AUC, mean grey",
        "image insertion AUC, blur",
    }


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"blur_sigma": 0.0}], ids=["no step", "no blur"])
def test_settings_that_give_no_curve_are_refused(wrong) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        CurveSettings(**wrong)


def test_there_are_no_more_steps_than_patches() -> None:
    curve = image_curves(of_patches(), [pair_of(range(9), range(9))], CurveSettings(steps=100))[0]
    assert curve.fractions == pytest.approx([count / 9 for count in range(10)])


def test_pairs_in_one_batch_give_what_single_ones_give() -> None:
    generator = torch.Generator().manual_seed(2)
    pairs = [pair_of(torch.rand(9, generator=generator), torch.rand(9, generator=generator)) for _ in range(5)]
    singly = [image_curves(of_patches(), [pair])[0] for pair in pairs]
    for one, other in zip(image_curves(of_patches(), pairs), singly, strict=True):
        assert one.cosines == pytest.approx(other.cosines, abs=1e-6)


@given(heat=st.lists(st.integers(0, 4), min_size=1, max_size=30), seed=st.integers(0, 10**20))
def test_the_order_is_a_permutation_from_the_hottest_and_its_seeds_own(heat, seed) -> None:
    order = order_by_heat(torch.tensor(heat).float(), seed=seed).tolist()
    assert sorted(order) == list(range(len(heat)))
    assert [heat[cell] for cell in order] == sorted(heat, reverse=True)
    assert order == order_by_heat(torch.tensor(heat).float(), seed=seed).tolist()


def test_tied_cells_stand_in_no_order_of_place() -> None:
    firsts = [int(order_by_heat(torch.zeros(10), seed=seed)[0]) for seed in range(400)]
    assert np.bincount(firsts, minlength=10).min() >= 20, "40 each on average"


@pytest.mark.parametrize("value", [2.0, float("nan"), float("inf")], ids=str)
def test_a_heat_without_order_gets_the_area_of_a_random_one(value) -> None:
    shares = torch.arange(9) / 9.0
    flat = [pair_of(shares, torch.full((9,), value), seed=seed) for seed in range(200)]
    rng = np.random.default_rng(5)
    shuffled = [pair_of(shares, rng.permutation(9)) for _ in range(200)]
    areas, random = ([curve.area for curve in image_curves(of_patches(), pairs, DELETE)] for pairs in (flat, shuffled))
    best, worst = (area(shares, sign * shares, DELETE) for sign in (1, -1))
    assert best < min(areas) < max(areas) < worst
    assert np.mean(areas) == pytest.approx(np.mean(random), abs=4 * np.std(random) / 200**0.5)


def test_a_single_cell_and_a_single_word_are_not_measured() -> None:
    single = ExplainedPair(
        pixels=torch.ones(3, SIZE, SIZE), phrase="left", heat=torch.ones(1, 1), words=(("left", 1.0),)
    )
    assert image_curves(of_patches(), [single, pair_of(range(9), range(9)), single])[::2] == [None, None]
    assert word_curves(of_words({"left": 1.0}), [single]) == [None]


@given(
    size=st.integers(7, 40),
    rows=st.integers(1, 6),
    columns=st.integers(1, 6),
    cells=st.sets(st.integers(0, 35)),
)
def test_a_pixel_belongs_to_the_cell_that_its_centre_lies_in(size, rows, columns, cells) -> None:
    kept = sorted(cell for cell in cells if cell < rows * columns)
    found = cells_on_input(torch.tensor(kept, dtype=torch.long), (rows, columns), size)
    expected = [
        [int((y + 0.5) * rows / size) * columns + int((x + 0.5) * columns / size) in kept for x in range(size)]
        for y in range(size)
    ]
    assert found.tolist() == expected


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.7])
def test_the_blur_is_scipys_gaussian(sigma) -> None:
    pixels = torch.randn(3, 20, 17, generator=torch.Generator().manual_seed(1))
    radius = max(1, round(3 * sigma))
    for plane, found in zip(pixels.numpy(), blurred(pixels, sigma).numpy(), strict=True):
        np.testing.assert_allclose(found, gaussian_filter(plane, sigma, mode="nearest", radius=radius), atol=1e-5)


values = st.lists(st.floats(0.05, 2.0), min_size=4, max_size=4)


def words_pair(heat) -> ExplainedPair:
    return ExplainedPair(
        pixels=torch.zeros(3, SIZE, SIZE),
        phrase=" ".join(WORDS),
        heat=torch.rand(3, 3),
        words=tuple((word, float(value)) for word, value in zip(WORDS, heat, strict=True)),
    )


@settings(max_examples=40)
@given(shares=values, order=st.permutations(range(4)))
def test_no_order_of_words_is_better_than_their_own_shares_or_worse_than_its_reverse(shares, order) -> None:
    encoder = of_words(dict(zip(WORDS, shares, strict=True)))
    best, other, worst = (
        [word_curves(encoder, [words_pair(heat)], change)[0].area for change in Change]
        for heat in (shares, order, [-share for share in shares])
    )
    assert best[0] - 1e-6 <= other[0] <= worst[0] + 1e-6
    assert worst[1] - 1e-6 <= other[1] <= best[1] + 1e-6


def test_every_word_is_one_step_of_the_closed_form() -> None:
    shares = dict(zip(WORDS, [0.4, 0.1, 1.5, 0.7], strict=True))
    curve = word_curves(of_words(shares), [words_pair([3.0, 0.0, 9.0, 5.0])])[0]
    left = [2.7, 1.2, 0.5, 0.1, 0.0]
    assert curve.cosines == pytest.approx([cosine_of(u) for u in left], abs=1e-6)
    assert curve.fractions == (0.0, 0.25, 0.5, 0.75, 1.0)
    inserted = word_curves(of_words(shares), [words_pair([3.0, 0.0, 9.0, 5.0])], Change.INSERTION)[0]
    assert inserted.cosines == pytest.approx([cosine_of(u) for u in (0.0, 1.5, 2.2, 2.6, 2.7)], abs=1e-6)


def test_the_area_of_a_constant_is_the_constant() -> None:
    assert Curve(fractions=(0.0, 0.1, 0.7, 1.0), cosines=(0.3, 0.3, 0.3, 0.3)).area == pytest.approx(0.3)
