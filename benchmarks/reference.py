"""M2IB as published: both whole towers at every step, ten copies, a gradient for every weight.

Written from the paper and the formulas of it that stand in ``audit/attribution/m2ib.py``, without any of the savings
that are made there. Only the noise is drawn as ours is, so that both can be compared.

Source: Wang, Rudner and Wilson 2023, "Visual explanations of image-text representations via multi-modal information
bottleneck attribution".
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from audit.attribution.bottleneck import BottleneckSettings
from benchmarks.models import PlainTowers

__all__ = ["plain_maps"]


def plain_maps(
    towers: PlainTowers,
    pixels: Tensor,
    ids: Tensor,
    *,
    layers: tuple[int, int],
    seed: int,
    settings: BottleneckSettings,
) -> tuple[Tensor, Tensor]:
    """Explain one pair.

    Args:
        towers: the model.
        pixels: [3, size, size].
        ids: [tokens], without padding.
        layers: of the image and the text tower.
        seed: as ``M2IB.explain`` takes it.
        settings: numbers of the method.

    Returns:
        Nats of each image token (CLS first), and of each text token.
    """

    def embed() -> tuple[Tensor, Tensor]:
        copies = settings.samples
        return (
            towers.embed_images(pixels.expand(copies, -1, -1, -1)),
            towers.embed_texts(ids.expand(copies, -1)),
        )

    image = _bottleneck(towers.vision.layers[layers[0]], embed, settings, torch.Generator().manual_seed(2 * seed))
    block = towers.text.encoder.layer[layers[1]]
    return image, _bottleneck(block, embed, settings, torch.Generator().manual_seed(2 * seed + 1))


def _bottleneck(
    block: Any, embed: Callable[[], tuple[Tensor, Tensor]], settings: BottleneckSettings, generator: torch.Generator
) -> Tensor:
    seen: list[Tensor] = []
    handle = block.register_forward_hook(lambda _block, _inputs, output: seen.append(output[:1].detach()))
    embed()
    handle.remove()
    hidden = seen[0]
    alpha = torch.full_like(hidden, settings.initial, requires_grad=True)
    optimiser = torch.optim.Adam([alpha], lr=settings.learning_rate)
    deviation = settings.variance**0.5
    heat = torch.zeros(hidden.shape[1])
    for _ in range(settings.steps):
        optimiser.zero_grad()
        capacities: list[Tensor] = []

        def squeeze(_block: Any, _inputs: Any, output: Tensor, kept: list[Tensor] = capacities) -> Tensor:
            lam = torch.sigmoid(alpha).expand_as(output)
            noise = torch.empty_like(output).normal_(generator=generator)
            spread = (1 - lam) * deviation
            kept.append(-0.5 * (1 + torch.log((1 - lam) ** 2) - (lam * output) ** 2 / deviation**2 - (1 - lam) ** 2))
            mixed: Tensor = lam * output + spread * noise
            return mixed

        handle = block.register_forward_hook(squeeze)
        image, text = embed()
        handle.remove()
        loss = settings.beta * capacities[0].mean() - cosine_similarity(image, text).mean()
        torch.autograd.backward(loss)
        optimiser.step()
        heat = capacities[0].detach().mean(0).sum(-1)
    return heat
