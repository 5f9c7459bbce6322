"""The information bottleneck of M2IB and IBA: compress a hidden state to the information that a target needs.

The hidden state h is mixed with noise, z = lam h + (1 - lam) sqrt(v) eps with lam = sigmoid(a). Adam optimises a so
that z keeps the cosine with the other tower's embedding e and contains as little information as possible:

    loss = beta mean(C) - mean over samples of cos(suffix(z), e)
    C = KL(N(lam h, (1 - lam)^2 v) || N(0, v)) = -1/2 (1 + log (1 - lam)^2 - (lam h)^2 / v - (1 - lam)^2)

The heat of a token is C summed over the width, in nats. Padding is excluded from the mean and from the attention.

Source: Schulz et al. 2020, "Restricting the flow: information bottlenecks for attribution" (ICLR); Wang, Rudner and
Wilson 2023 (see :mod:`audit.attribution.m2ib`), equations 5 to 8.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import get_type_hints

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import cosine_similarity, logsigmoid

__all__ = [
    "BOTTLENECK_NUMBERS",
    "BottleneckSettings",
    "bottleneck",
    "changed_settings",
    "generators_of",
    "untrained_capacity",
]

Hidden = Float[Tensor, "pairs tokens width"]
Suffix = Callable[[Float[Tensor, "batch tokens width"], Bool[Tensor, "batch tokens"]], Float[Tensor, "batch dim"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class BottleneckSettings:
    """Hyperparameters; the defaults are those of M2IB's published code for chest X-rays (MS-CXR)."""

    beta: float = 1.0  # weight of the information term
    variance: float = 1.0  # variance v of the noise
    steps: int = 10
    samples: int = 10  # noise samples per step
    learning_rate: float = 1.0
    initial: float = 5.0  # initial value of a: lam = 0.993, nearly all information passes

    def __post_init__(self) -> None:
        if min(self.beta, self.variance, self.learning_rate) <= 0 or min(self.steps, self.samples) < 1:
            raise ValueError(f"the hyperparameters of a bottleneck must be positive: {self}")


BOTTLENECK_NUMBERS: Mapping[str, type] = get_type_hints(BottleneckSettings)
"""Type of each hyperparameter of :class:`BottleneckSettings`, by name."""


def changed_settings(settings: BottleneckSettings, numbers: Mapping[str, float]) -> BottleneckSettings:
    """Replace single values of ``settings``.

    Raises:
        TypeError: there is no hyperparameter of that name.
        ValueError: a value is out of its range.
    """
    return BottleneckSettings(**{**asdict(settings), **numbers})


def generators_of(seeds: Sequence[int], device: torch.device) -> list[torch.Generator]:
    """Create one noise generator per seed."""
    return [torch.Generator(device).manual_seed(seed % 2**63) for seed in seeds]


@torch.enable_grad()
def bottleneck(
    hidden: Hidden,
    mask: Bool[Tensor, "pairs tokens"],
    target: Float[Tensor, "pairs dim"],
    suffix: Suffix,
    *,
    settings: BottleneckSettings,
    generators: Sequence[torch.Generator],
) -> Float[Tensor, "pairs tokens"]:
    """Compute each pair's information map.

    Args:
        hidden: output of the block at which information is restricted.
        mask: False for padding.
        target: the other tower's embedding of each pair.
        suffix: maps hidden states and masks of ``pairs * samples`` rows to their embeddings.
        settings: hyperparameters of the method.
        generators: one per pair, on the hidden state's device; the only source of noise.

    Returns:
        Information kept at each token, in nats, at the last step; 0 for padding.

    Raises:
        ValueError: the numbers of pairs and generators differ.
    """
    if len(generators) != len(hidden):
        raise ValueError(f"{len(hidden)} pairs need as many generators, got {len(generators)}")
    hidden, target = hidden.detach(), target.detach().repeat_interleave(settings.samples, dim=0)
    mask_rows = mask.repeat_interleave(settings.samples, dim=0)
    alpha = torch.full_like(hidden, settings.initial, requires_grad=True)
    optimiser = torch.optim.Adam([alpha], lr=settings.learning_rate)
    weight = mask[..., None] / (mask.sum(1)[:, None, None] * hidden.shape[2])  # averages over a pair's own elements
    lengths = [int(length) for length in mask.sum(1)]
    for _ in range(settings.steps - 1):  # the heat is the capacity at the start of the last step; its update is unused
        lam = torch.sigmoid(alpha)
        spread = torch.sigmoid(-alpha)  # 1 - lam, without cancellation
        noise = _noise(hidden, lengths, generators, settings.samples)
        mixed = (lam * hidden)[:, None] + (spread * settings.variance**0.5)[:, None] * noise
        embedded = suffix(mixed.flatten(0, 1), mask_rows).float()
        fit = cosine_similarity(embedded, target, dim=-1).sum() / settings.samples
        loss = settings.beta * (_capacity(hidden, alpha, settings.variance) * weight).sum() - fit
        (alpha.grad,) = torch.autograd.grad(loss, alpha)
        optimiser.step()
    with torch.no_grad():
        capacity = _capacity(hidden, alpha, settings.variance)
        return torch.where(mask, capacity.sum(-1), 0.0)


def untrained_capacity(
    hidden: Hidden, mask: Bool[Tensor, "pairs tokens"], settings: BottleneckSettings
) -> Float[Tensor, "pairs tokens"]:
    """Compute the capacity of each token before the first step, in nats; 0 for padding.

    Every element has the same lam, so that this depends on the norm of the token's hidden state and on nothing else.
    """
    capacity = _capacity(hidden, torch.full_like(hidden, settings.initial), settings.variance)
    return torch.where(mask, capacity.sum(-1), 0.0)


def _capacity(hidden: Hidden, alpha: Hidden, variance: float) -> Hidden:
    lam, log_square = torch.sigmoid(alpha), 2.0 * logsigmoid(-alpha)  # log (1 - lam)^2
    return -0.5 * (1.0 + log_square - (lam * hidden) ** 2 / variance - torch.exp(log_square))


def _noise(
    hidden: Hidden, lengths: Sequence[int], generators: Sequence[torch.Generator], samples: int
) -> Float[Tensor, "pairs samples tokens width"]:
    """Draw standard normal noise, from each pair's own generator and only for its own tokens.

    Nothing is drawn for padding, so a pair's noise does not depend on the other pairs of the batch.
    """
    noise = hidden.new_zeros(len(hidden), samples, *hidden.shape[1:])
    for row, (length, generator) in enumerate(zip(lengths, generators, strict=True)):
        if length == hidden.shape[1]:
            noise[row].normal_(generator=generator)
        else:
            own = hidden.new_empty(samples, length, hidden.shape[2])
            noise[row, :, :length] = own.normal_(generator=generator)
    return noise
