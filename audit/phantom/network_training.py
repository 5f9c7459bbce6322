"""Trains the small networks that :mod:`pipelines.regions` looks at radiographs with, and writes their weights."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from audit.attribution.numerics import flushed_denormals
from pipelines.errors import OutputError

__all__ = ["NetworkTraining", "refuse_existing", "save_half", "trained"]

_TELL_EVERY = 100  # steps

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkTraining:
    """Settings of a training run. The same settings on the same machine give the same weights."""

    steps: int
    batch: int
    learning_rate: float  # highest; the rate rises to it and falls to nearly 0 ("one cycle", Smith 2018)
    weight_decay: float
    cycle_momentum: bool = False
    seed: int


def refuse_existing(out: Path) -> None:
    """Raise an error if ``out`` exists: weights are never written over.

    Raises:
        OutputError: ``out`` exists already.
    """
    if out.exists():
        raise OutputError(f"{out} exists already: name a new file")


def trained(
    make: Callable[[], Network],
    loss_of: Callable[[Network, np.random.Generator], Tensor],
    settings: NetworkTraining,
    on_message: Callable[[str], None],
) -> Network:
    """Make a network and train it.

    Args:
        make: makes the network with random weights.
        loss_of: draws a batch and returns the network's loss on it.
        settings: of the training.
        on_message: called with the loss of every 100th step.
    """
    torch.manual_seed(settings.seed)
    network = make().train()
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.learning_rate, total_steps=settings.steps, cycle_momentum=settings.cycle_momentum
    )
    rng = np.random.default_rng(settings.seed)
    with flushed_denormals():
        for step in range(settings.steps):
            loss = loss_of(network, rng)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            if (step + 1) % _TELL_EVERY == 0:
                on_message(f"step {step + 1} of {settings.steps}: loss {float(loss.detach()):.3f}")
    return network


def save_half(network: nn.Module, out: Path) -> None:
    """Write a network's weights in half precision as safetensors; counts stay as they are."""
    state = network.state_dict().items()
    weights = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state}
    save_file(weights, out, metadata={"format": "pt"})
