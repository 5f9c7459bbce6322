"""Trains the grounded phantom encoder's text tower: bidirectional, pooled from its words, on fixed image embeddings.

CLIP's text tower is causal, and its end token gathers the phrase in the first block; a bottleneck after that block then
restricts words that nothing reads any more, and M2IB's word heat is the norm of each word's hidden state. Three things
are different here:

- the tower is a BERT, whose layer norm gives every word the same norm;
- a penalty keeps the start and end tokens of the first block free of context, so that the last block has to read the
  words. It concerns the special tokens alone and names no word;
- besides the sentences of the reports it reads harder ones: the same sentence with its finding, side or zone replaced
  by the mask token, and neutral frames. A sentence without its side is true of either side, one without its zone of any
  zone, and one without its finding is true of no image. The target is again the truth of the whole sentence.

The loss is the sigmoid loss of :mod:`audit.phantom.training` against the image embeddings of the trained image tower.
"""

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, normalize
from transformers import (
    BertConfig,
    CLIPModel,
    PreTrainedTokenizerFast,
    VisionTextDualEncoderConfig,
    VisionTextDualEncoderModel,
)

from pipelines.phantom.wording import CLAIMS, Claim, masked_sentence, sentence_of
from pipelines.study import Side

__all__ = ["MASK", "TextSettings", "embed_images", "rate_at", "train_text_tower", "with_bert"]

MASK = "[MASK]"
_FRAMES = (  # of a sentence, and of one with a small first letter or without its full stop
    *("{whole}",) * 4,
    "Again, {small}",
    "Acute: {small}",
    "In the chest, {small}",
    "Findings: {small}",
    "New: {small}",
    "Lung: {small}",
    "Present: {small}",
    "Chest: {small}",
    "{open}, as seen.",
    "{open} again.",
    "{open} (seen).",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSettings:
    """Settings of the text tower's training."""

    text_steps: int = 900
    images: int = 256  # per step
    sentences: int = 48  # per step; every claim once, the rest at random
    masked: int = 40  # sentences with masked words, per step
    text_learning_rate: float = 1.5e-3
    warmup: int = 100
    weight_decay: float = 0.02
    special_tokens: float = 5.0  # weight of the penalty on context in the start and end tokens
    scale: float = 10.0  # of the cosine in the sigmoid loss
    bias: float = -3.0
    masked_share: float = 0.15  # of the frame's words
    seed: int = 20260101

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in asdict(self).items())


def with_bert(clip: CLIPModel, tokenizer: PreTrainedTokenizerFast, *, seed: int) -> VisionTextDualEncoderModel:
    """Join the image tower of a trained phantom encoder with a new text tower; ``clip`` is not changed."""
    vision: Any = clip.config.vision_config
    text = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=384,
        max_position_embeddings=tokenizer.model_max_length,
        type_vocab_size=1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=tokenizer.pad_token_id,
    )
    config = VisionTextDualEncoderConfig(
        vision_config={**vision.to_dict(), "model_type": "clip_vision_model"},
        text_config={**text.to_dict(), "model_type": "bert"},
        projection_dim=int(clip.config.projection_dim or 0),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = VisionTextDualEncoderModel(config)
    model.vision_model.load_state_dict(clip.vision_model.state_dict())
    model.visual_projection.load_state_dict(clip.visual_projection.state_dict())
    with torch.no_grad():
        text_model: Any = model.text_model
        text_model.embeddings.position_embeddings.weight.mul_(0.5)
    return model


@torch.no_grad()
def embed_images(
    model: CLIPModel | VisionTextDualEncoderModel, batches: Iterable[Float[Tensor, "batch 3 size size"]]
) -> Float[Tensor, "images dim"]:
    """Embed images with the model's own image tower; each embedding has length 1."""
    towers: Any = model
    embedded = [towers.visual_projection(towers.vision_model(pixel_values=pixels).pooler_output) for pixels in batches]
    return normalize(torch.cat(embedded), dim=-1)


def train_text_tower(
    model: VisionTextDualEncoderModel,
    tokenizer: PreTrainedTokenizerFast,
    images: tuple[Float[Tensor, "images dim"], Bool[np.ndarray, "images claims"]],
    settings: TextSettings,
    *,
    report: Callable[[int, dict[str, float]], None] = lambda _step, _losses: None,
) -> None:
    """Train the text tower of ``model`` in place on image embeddings and the truth of the claims about each image."""
    embeddings, truth = images[0], torch.from_numpy(images[1])
    rng = np.random.default_rng(settings.seed)
    tower = _SpecialTokens(model)
    for parameter in tower.first.output.LayerNorm.parameters():
        parameter.requires_grad_(False)  # every word leaves the first block with the same norm
    trained = [*model.text_model.parameters(), *model.text_projection.parameters()]
    trained = [parameter for parameter in trained if parameter.requires_grad]
    optimiser = torch.optim.AdamW(
        trained, lr=settings.text_learning_rate, betas=(0.9, 0.98), weight_decay=settings.weight_decay
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: rate_at(step, warmup=settings.warmup, steps=settings.text_steps)
    )
    order = np.empty(0, dtype=int)
    model.train()
    for step in range(settings.text_steps):
        if len(order) < settings.images:
            order = rng.permutation(len(embeddings))
        chosen, order = order[: settings.images], order[settings.images :]
        texts, columns = _sentences(rng, settings)
        target = torch.stack(
            [truth[chosen][:, list(of)].any(1) if of else torch.zeros(len(chosen), dtype=torch.bool) for of in columns],
            dim=1,
        )
        tokens = tokenizer(texts, padding=True, truncation=True, return_tensors="pt", return_token_type_ids=False)
        embedded, context = tower.read(tokens["input_ids"], tokens["attention_mask"].bool())
        logits = settings.scale * embeddings[chosen] @ normalize(embedded, dim=-1).T + settings.bias
        pairs = -logsigmoid(logits)[target].mean() - logsigmoid(-logits)[~target].mean()
        loss = pairs + settings.special_tokens * context
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        schedule.step()
        report(step, {"pairs": float(pairs.detach()), "special tokens": float(context.detach())})
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    model.eval()  # type: ignore[no-untyped-call]


def rate_at(step: int, *, warmup: int, steps: int) -> float:
    """Return the factor of the learning rate at a step: linear warm-up, then a half cosine."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


class _SpecialTokens:
    """A BERT read in two parts, to measure the context in the first block's start and end tokens."""

    def __init__(self, model: Any) -> None:
        self._bert, self._projection = model.text_model, model.text_projection
        self.first, *self._rest = model.text_model.encoder.layer

    def read(
        self, ids: Tensor, mask: Bool[Tensor, "sentences tokens"]
    ) -> tuple[Float[Tensor, "sentences dim"], Tensor]:
        """Return the embeddings, and the mean square by which context changes the start and end tokens."""
        embedded = self._bert.embeddings(input_ids=ids)
        seen = torch.zeros(mask.shape).masked_fill(~mask, torch.finfo(torch.float32).min)[:, None, None]
        hidden = _run(self.first, embedded, seen)
        rows = torch.arange(len(ids))
        context = torch.zeros(())
        for place in (torch.zeros(len(ids), dtype=torch.long), mask.sum(1) - 1):
            alone = _run(self.first, embedded[rows, place][:, None], None)[:, 0]
            context = context + ((hidden[rows, place] - alone) ** 2).mean()
        for block in self._rest:
            hidden = _run(block, hidden, seen)
        return self._projection(self._bert.pooler(hidden)), context


def _run(block: Any, hidden: Tensor, seen: Tensor | None) -> Tensor:
    output = block(hidden, seen)
    ran: Tensor = output[0] if isinstance(output, tuple) else output
    return ran


_COLUMN = {claim: column for column, claim in enumerate(CLAIMS)}


def _sentences(rng: np.random.Generator, settings: TextSettings) -> tuple[list[str], list[tuple[int, ...]]]:
    """Draw sentences, each with the claims of which one must hold for it to be true; none: it is never true."""
    extra = rng.integers(len(CLAIMS), size=max(0, settings.sentences - len(CLAIMS)))
    claims = [*CLAIMS, *(CLAIMS[index] for index in extra)]
    texts = [_framed(sentence_of(claim, rng), rng) for claim in claims]
    columns: list[tuple[int, ...]] = [(_COLUMN[claim],) for claim in claims]
    for index in rng.integers(len(CLAIMS), size=settings.masked):
        text, claim = masked_sentence(CLAIMS[index], rng, mask=MASK, share=settings.masked_share)
        texts.append(_framed(text, rng) if rng.random() < settings.masked_share * 2 else text)
        columns.append(() if claim is None else _columns(claim))
    return texts, columns


def _columns(claim: Claim) -> tuple[int, ...]:
    if claim in _COLUMN:
        return (_COLUMN[claim],)
    sides = (Claim(finding=claim.finding, side=side, zone=claim.zone) for side in (Side.LEFT, Side.RIGHT))
    return tuple(_COLUMN[sided] for sided in sides)


def _framed(sentence: str, rng: np.random.Generator) -> str:
    frame = str(rng.choice(_FRAMES))
    small = sentence[0].lower() + sentence[1:]
    return frame.format(whole=sentence, small=small, open=re.sub(r"\.$", "", sentence))
