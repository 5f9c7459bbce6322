"""The masks of RISE, and the Shapley values of KernelSHAP, without a model."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from shapley_definition import shapley_by_definition
from torch import Tensor

from audit.attribution.kernel_shap import shapley_values
from audit.attribution.rise import random_masks


@given(cells=st.integers(1, 9), size=st.integers(10, 60), seed=st.integers(0, 2**31))
def test_a_mask_lies_between_0_and_1(cells, size, seed) -> None:
    masks = random_masks(3, cells, 0.5, size=size, generator=torch.Generator().manual_seed(seed))
    assert masks.shape == (3, size, size)
    assert float(masks.min()) >= 0
    assert float(masks.max()) <= 1


def test_as_many_cells_are_open_as_were_asked_for_and_no_pixel_is_favoured() -> None:
    masks = random_masks(4000, 7, 0.3, size=28, generator=torch.Generator().manual_seed(1))
    assert float((masks.mean(0) - 0.3).abs().max()) < 0.04


def members_of(row: Tensor) -> frozenset[int]:
    return frozenset(int(player) for player in row.nonzero()[:, 0])


@given(players=st.integers(2, 6), seed=st.integers(0, 2**31))
def test_shapley_values_of_any_game_are_those_of_the_definition(players, seed) -> None:
    generator = torch.Generator().manual_seed(seed)
    worths = torch.rand(2**players, generator=generator)

    def worth(members: frozenset[int]) -> float:
        return float(worths[sum(2**player for player in members)])

    found = shapley_values(
        lambda rows: torch.tensor([worth(members_of(row)) for row in rows]),
        players,
        most=100,
        generator=generator,
    )
    assert found.tolist() == pytest.approx(shapley_by_definition(worth, players), abs=1e-5)


def test_drawn_coalitions_give_an_additive_game_exactly_and_always_share_out_the_whole_gain() -> None:
    generator = torch.Generator().manual_seed(6)
    alone = torch.rand(16, generator=generator)
    found = shapley_values(lambda rows: 0.3 + rows.float() @ alone, 16, most=120, generator=generator)
    torch.testing.assert_close(found, alone, atol=1e-4, rtol=1e-4)
    twisted = shapley_values(lambda rows: (rows.float() @ alone).sin(), 16, most=120, generator=generator)
    assert float(twisted.sum()) == pytest.approx(float(alone.sum().sin()), abs=1e-5)


def test_drawn_coalitions_come_near_the_values_of_a_game_that_is_not_additive() -> None:
    generator = torch.Generator().manual_seed(6)
    alone = torch.rand(9, generator=generator)

    def worth(rows: Tensor) -> Tensor:
        return (rows.float() @ alone).square()

    exact = shapley_values(worth, 9, most=2**9, generator=generator)
    drawn = shapley_values(worth, 9, most=200, generator=generator)
    assert not torch.equal(drawn, exact)
    torch.testing.assert_close(drawn, exact, atol=0.3, rtol=0.1)
