"""Explains an image again with one input changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from audit.attribution.engine import Method, pair_seed
from audit.attribution.pairs import Attribution, Request
from audit.controls.plan import Control, PlannedPhrase
from audit.encoders.protocol import DualEncoder
from pipelines.transforms import Preprocessing

__all__ = ["ExplainedControl", "explain_controls", "rewindowed"]

_WINDOW = (0.05, 0.95)  # quantiles of the image that the other window stretches to the whole range


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedControl:
    """The result of a method for a phrase under one control."""

    method: str
    control: Control
    index: int  # index of the phrase in the case
    text: str | None  # the replacement of the phrase; None if the phrase was not changed
    explanation: Attribution
    donor: Path | None = None  # an image of the patient whose report contains the text


def explain_controls(
    method: Method, encoder: DualEncoder, request: Request, planned: Sequence[PlannedPhrase]
) -> tuple[ExplainedControl, ...]:
    """Explain one image once for each control of each planned phrase; only the image side, which is scored.

    Args:
        method: the method to test.
        encoder: the model.
        request: the image with all phrases of its case, by index, and their seeds. The controls use the same seeds, so
            that the noise is the same and any difference is due to the change.
        planned: phrases with the sentences that replace them.
    """
    if not planned:
        return ()
    changed = [(plan.index, control, text) for plan in planned for control, text in plan.texts.items()]
    donors = {plan.index: plan.donor for plan in planned}
    own = [request.phrases[plan.index] for plan in planned]
    seeds = [request.seeds[plan.index] for plan in planned]
    requests = [
        Request(
            pixels=request.pixels,
            phrases=[text for _, _, text in changed],
            seeds=[request.seeds[index] for index, _, _ in changed],
        ),
        Request(pixels=rewindowed(request.pixels, encoder.preprocessing), phrases=own, seeds=seeds),
        Request(pixels=request.pixels, phrases=own, seeds=[pair_seed(seed, "second") for seed in seeds]),
    ]
    of_texts, of_window, of_seed = method.explain_batch(encoder, requests, words=False)
    explained = [
        ExplainedControl(
            method=method.name,
            control=control,
            index=index,
            text=text,
            explanation=explanation,
            donor=donors[index] if control is Control.SHUFFLED else None,
        )
        for (index, control, text), explanation in zip(changed, of_texts, strict=True)
    ]
    for control, explanations in ((Control.OTHER_WINDOW, of_window), (Control.SECOND_SEED, of_seed)):
        explained += [
            ExplainedControl(method=method.name, control=control, index=plan.index, text=None, explanation=explanation)
            for plan, explanation in zip(planned, explanations, strict=True)
        ]
    return tuple(explained)


def rewindowed(pixels: Float[Tensor, "3 size size"], preprocessing: Preprocessing) -> Float[Tensor, "3 size size"]:
    """Apply another, narrower window: stretch the range between two quantiles to the full range.

    The quantiles exclude black pixels, so that padding does not change them. A reader who adjusts the window by this
    amount still sees the same findings.
    """
    mean, std = (
        torch.tensor(values, dtype=pixels.dtype, device=pixels.device)[:, None, None]
        for values in (preprocessing.mean, preprocessing.std)
    )
    display = pixels * std + mean
    shown = display[display > 0]
    if shown.numel() == 0:
        return pixels
    # torch.quantile accepts at most 2**24 values; a model's input has far fewer
    low, high = torch.quantile(shown, torch.tensor(_WINDOW, dtype=shown.dtype, device=shown.device))
    if not bool(high > low):
        return pixels
    windowed = ((display - low) / (high - low)).clamp(0.0, 1.0)
    return (torch.where(display > 0, windowed, display) - mean) / std
