"""The gradient of the cosine with the other tower's embedding, with respect to a hidden state."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cosine_similarity

__all__ = ["cosine_gradient"]


def cosine_gradient(
    run: Callable[[Tensor], Tensor], state: Float[Tensor, "batch ..."], target: Float[Tensor, "batch dim"]
) -> Float[Tensor, "batch ..."]:
    """Differentiate each row's cos(run(state), target) with respect to that row's state; nothing keeps a graph."""
    leaf = state.detach().requires_grad_()
    fit = cosine_similarity(run(leaf), target, dim=-1).sum()
    (gradient,) = torch.autograd.grad(fit, leaf)
    return gradient
