"""M2IB against the formulas written out plainly, one sample and one pair at a time."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import cosine_similarity

from audit.attribution.bottleneck import BottleneckSettings, bottleneck

WIDTH, DIM = 6, 5
SETTINGS = BottleneckSettings(beta=0.3, variance=1.7, steps=4, samples=3)


def make_suffix() -> Callable[[Tensor, Tensor], Tensor]:
    """A tower's end that mixes tokens and respects padding."""
    with torch.random.fork_rng():
        torch.manual_seed(11)
        mix, out = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, DIM)
    mix.requires_grad_(False)
    out.requires_grad_(False)

    def suffix(hidden: Tensor, mask: Tensor) -> Tensor:
        features = torch.tanh(mix(hidden)) * mask[..., None]
        return out(features.sum(1) / mask.sum(1, keepdim=True) + 0.3 * hidden[:, 0])

    return suffix


def inputs(pairs: int, tokens: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    return torch.randn(pairs, tokens, WIDTH, generator=generator), torch.randn(pairs, DIM, generator=generator)


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def plain(hidden: Tensor, target: Tensor, suffix, settings: BottleneckSettings, generator: torch.Generator) -> Tensor:
    """The algorithm of the paper for one pair, with torch's own KL divergence and a loop over samples."""
    alpha = torch.full_like(hidden, settings.initial, requires_grad=True)
    optimiser = torch.optim.Adam([alpha], lr=settings.learning_rate)
    deviation = settings.variance**0.5
    mask = torch.ones(1, len(hidden), dtype=torch.bool)
    heat = torch.zeros(len(hidden))
    for _ in range(settings.steps):
        lam = torch.sigmoid(alpha)
        noise = torch.randn(settings.samples, *hidden.shape, generator=generator)
        capacity = kl_divergence(Normal(lam * hidden, (1 - lam) * deviation), Normal(torch.zeros(()), deviation))
        fit = torch.stack(
            [
                cosine_similarity(suffix((lam * hidden + (1 - lam) * deviation * eps)[None], mask), target[None])[0]
                for eps in noise
            ]
        ).mean()
        optimiser.zero_grad()
        (settings.beta * capacity.mean() - fit).backward()
        optimiser.step()
        heat = capacity.detach().sum(-1)
    return heat


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_is_the_plain_algorithm_under_the_same_noise(seed) -> None:
    hidden, target = inputs(1, 4)
    suffix = make_suffix()
    heat = bottleneck(
        hidden, torch.ones(1, 4, dtype=torch.bool), target, suffix, settings=SETTINGS, generators=generators(seed)
    )
    expected = plain(hidden[0], target[0], suffix, SETTINGS, generators(seed)[0])
    torch.testing.assert_close(heat[0], expected, atol=1e-4, rtol=1e-4)


def test_a_batch_of_pairs_gives_what_single_runs_give() -> None:
    hidden, target = inputs(3, 4)
    suffix, mask = make_suffix(), torch.ones(3, 4, dtype=torch.bool)
    batch = bottleneck(hidden, mask, target, suffix, settings=SETTINGS, generators=generators(7, 8, 9))
    for row, seed in enumerate((7, 8, 9)):
        single = bottleneck(
            hidden[row : row + 1],
            mask[row : row + 1],
            target[row : row + 1],
            suffix,
            settings=SETTINGS,
            generators=generators(seed),
        )
        torch.testing.assert_close(batch[row], single[0], atol=1e-5, rtol=1e-5)


def test_padding_takes_part_in_nothing() -> None:
    hidden, target = inputs(1, 4)
    suffix = make_suffix()
    padded = torch.cat([hidden, torch.full((1, 2, WIDTH), 50.0)], dim=1)
    mask = torch.tensor([[True] * 4 + [False] * 2])
    heat = bottleneck(padded, mask, target, suffix, settings=SETTINGS, generators=generators(3))
    alone = bottleneck(hidden, mask[:, :4], target, suffix, settings=SETTINGS, generators=generators(3))
    torch.testing.assert_close(heat[:, :4], alone, atol=1e-5, rtol=1e-5)
    assert torch.equal(heat[:, 4:], torch.zeros(1, 2))


def test_the_same_seed_gives_the_same_bytes_and_the_global_state_is_untouched() -> None:
    hidden, target = inputs(2, 4)
    mask, before = torch.ones(2, 4, dtype=torch.bool), torch.get_rng_state()
    first, second = (
        bottleneck(hidden, mask, target, make_suffix(), settings=SETTINGS, generators=generators(1, 2))
        for _ in range(2)
    )
    assert torch.equal(first, second)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    "change",
    [
        {"beta": 3.0},
        {"variance": 0.4},
        {"steps": 6},
        {"samples": 5},
        {"learning_rate": 0.3},
        {"initial": 2.0},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_number_of_the_method_changes_the_heat(change) -> None:
    hidden, target = inputs(1, 4)
    suffix, mask = make_suffix(), torch.ones(1, 4, dtype=torch.bool)
    base = {"beta": 0.3, "variance": 1.7, "steps": 4, "samples": 3}
    first = bottleneck(hidden, mask, target, suffix, settings=BottleneckSettings(**base), generators=generators(0))
    second = bottleneck(
        hidden, mask, target, suffix, settings=BottleneckSettings(**base | change), generators=generators(0)
    )
    assert not torch.allclose(first, second, atol=1e-4)


@pytest.mark.parametrize("change", [{"beta": 0.0}, {"variance": -1.0}, {"steps": 0}, {"samples": 0}], ids=str)
def test_numbers_that_make_no_sense_are_refused(change) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        BottleneckSettings(**change)


def test_information_stays_where_the_other_tower_looks() -> None:
    """Only token 2 reaches the embedding: all but its information is squeezed out."""
    hidden, _ = inputs(1, 6)
    heat = bottleneck(
        hidden,
        torch.ones(1, 6, dtype=torch.bool),
        hidden[:, 2, :DIM],
        lambda state, _mask: state[:, 2, :DIM],
        settings=BottleneckSettings(beta=0.1, steps=30),
        generators=generators(0),
    )
    assert heat[0].argmax() == 2
    assert heat[0, 2] > 3 * heat[0, [0, 1, 3, 4, 5]].max()


def test_pairs_and_generators_must_match() -> None:
    hidden, target = inputs(2, 4)
    with pytest.raises(ValueError, match="2 pairs need as many generators, got 1"):
        bottleneck(
            hidden,
            torch.ones(2, 4, dtype=torch.bool),
            target,
            make_suffix(),
            settings=SETTINGS,
            generators=generators(0),
        )


def test_a_caller_without_gradients_gets_the_same_heat() -> None:
    hidden, target = inputs(1, 4)
    mask = torch.ones(1, 4, dtype=torch.bool)
    plainly = bottleneck(hidden, mask, target, make_suffix(), settings=SETTINGS, generators=generators(3))
    with torch.no_grad():
        inside = bottleneck(hidden, mask, target, make_suffix(), settings=SETTINGS, generators=generators(3))
    assert torch.equal(plainly, inside)
    assert not plainly.requires_grad
