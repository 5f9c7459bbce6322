"""Loads a model, describes it, and tests that its towers can be split where an attribution splits them.

The towers here run a model in two parts, which its own library never does. At every block of both towers, the second
part applied to the first is therefore compared with the library's own forward pass, on synthetic inputs: phrases of
different lengths, so that padding is tested, and random pixels. A tower that skips a block, forgets a mask or pools
another token fails.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from audit.attribution.m2ib import M2IB
from audit.encoders.loading import load_encoder
from audit.encoders.protocol import DualEncoder, Tokens
from audit.encoders.weights import listed
from audit.execution.prepare import pick_device
from pipelines.errors import ModelError

__all__ = ["TOLERANCE", "CheckedModel", "LayerSplit", "as_json", "as_lines", "check", "require_exact", "split_errors"]

TOLERANCE = 1e-5
"""How far the two parts may be from the whole, relative to the embedding's norm: rounding in fp32, and nothing else."""

_PHRASES = (
    "Left pleural effusion.",
    "There is a small apical pneumothorax on the right side, and no mediastinal shift.",
    "Normal.",
)
_IMAGES, _SEED = 2, 20_260_101

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSplit:
    """The deviation of suffix(prefix(x, layer), layer) from the full forward pass."""

    tower: str  # image or text
    layer: int
    absolute: float  # largest difference of one number of an embedding
    relative: float  # largest difference of an embedding, as a share of its norm

    @property
    def is_exact(self) -> bool:
        """True if the deviation is only rounding; False for NaN."""
        return self.relative <= TOLERANCE


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedModel:
    """The description of a model, and the deviations of its split towers."""

    name: str
    family: str
    source: str
    sha256: str
    terms: str
    image_parameters: int
    text_parameters: int
    image_blocks: int
    text_blocks: int
    size_px: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    context: int
    grids: tuple[tuple[int, int], ...]  # rows and columns after each block of the image tower
    image_layer: int  # where M2IB explains unless told otherwise
    text_layer: int
    splits: tuple[LayerSplit, ...]

    @property
    def is_exact(self) -> bool:
        """True if every split is exact."""
        return all(split.is_exact for split in self.splits)


def check(name: str, *, device: str = "auto", progress: Progress = lambda _stage, _done, _total: None) -> CheckedModel:
    """Load a model by known name, folder or hub id, and test it.

    Raises:
        ModelError: the model cannot be loaded, or its folder names a layer that it does not have.
    """
    place = pick_device(device)
    encoder = load_encoder(name, device=place)
    try:
        image_layer, text_layer = M2IB().split(encoder)
    except ValueError as error:
        raise ModelError(f"{name}: the numbers in m2ib_audit.json do not fit the model: {error}") from error
    total = encoder.image.depth + encoder.text.depth
    splits = []
    for split in split_errors(encoder, device=place):
        splits.append(split)
        progress("Splitting at every block", len(splits), total)
    preprocessing = encoder.preprocessing
    return CheckedModel(
        name=encoder.info.name,
        family=encoder.info.family,
        source=encoder.info.source,
        sha256=encoder.info.sha256,
        terms=encoder.info.terms,
        image_parameters=encoder.image.parameters,
        text_parameters=encoder.text.parameters,
        image_blocks=encoder.image.depth,
        text_blocks=encoder.text.depth,
        size_px=preprocessing.size,
        mean=preprocessing.mean,
        std=preprocessing.std,
        context=encoder.text.context,
        grids=tuple(encoder.image.grid_at(layer) for layer in range(encoder.image.depth)),
        image_layer=image_layer,
        text_layer=text_layer,
        splits=tuple(splits),
    )


@torch.no_grad()
def split_errors(encoder: DualEncoder, *, device: str | torch.device = "cpu") -> Iterator[LayerSplit]:
    """Compare, block by block, the split towers with the model's own forward pass."""
    size = encoder.preprocessing.size
    generator = torch.Generator().manual_seed(_SEED)
    pixels = torch.randn(_IMAGES, 3, size, size, generator=generator).to(device)
    whole = encoder.image.forward(pixels)
    for layer in range(encoder.image.depth):
        yield _compare("image", layer, encoder.image.suffix(encoder.image.prefix(pixels, layer), layer), whole)
    tokens: Tokens = encoder.text.tokenise(_PHRASES)
    whole = encoder.text.forward(tokens)
    for layer in range(encoder.text.depth):
        parts = encoder.text.suffix(encoder.text.prefix(tokens, layer), layer, tokens.mask)
        yield _compare("text", layer, parts, whole)


def _compare(tower: str, layer: int, parts: Tensor, whole: Tensor) -> LayerSplit:
    difference = (parts.double() - whole.double()).cpu()
    share = difference.norm(dim=1) / whole.double().cpu().norm(dim=1)
    return LayerSplit(tower=tower, layer=layer, absolute=float(difference.abs().max()), relative=float(share.max()))


def require_exact(checked: CheckedModel) -> None:
    """Refuse a model whose towers do not split exactly.

    Raises:
        ModelError: the largest difference is more than rounding; the message names where.
    """
    wrong = [f"{split.tower} block {split.layer}" for split in checked.splits if not split.is_exact]
    if wrong:
        raise ModelError(
            f"{checked.name}: split at {listed(wrong)}, the model's embeddings differ from those of the full model "
            "(more than "
            f"{TOLERANCE:.0e} of their norm), so no heat of it can be trusted; report it with the output above"
        )


def as_json(checked: CheckedModel) -> dict[str, Any]:
    """Return the result as JSON for scripts; NaN becomes null."""
    splits = [
        {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in split.items()
        }
        for split in map(asdict, checked.splits)
    ]
    return asdict(checked) | {"splits": splits, "tolerance": TOLERANCE, "is_exact": checked.is_exact}


def as_lines(checked: CheckedModel) -> list[str]:
    """Format the result for a terminal."""
    image, text = checked.image_parameters, checked.text_parameters
    facts = {
        "model": checked.name,
        "family": checked.family,
        "source": checked.source,
        "sha256": checked.sha256,
        "terms": checked.terms,
        "parameters": f"{_millions(image + text)}: image {_millions(image)}, text {_millions(text)}",
        "blocks": f"image {checked.image_blocks}, text {checked.text_blocks}",
        "input": f"{checked.size_px} px square, mean {_numbers(checked.mean)}, std {_numbers(checked.std)}",
        "grid": _grids(checked.grids),
        "context": f"{checked.context} tokens",
        "M2IB layers": f"image {checked.image_layer}, text {checked.text_layer}, from 0",
        **{f"split, {tower}": _worst(checked, tower) for tower in ("image", "text")},
    }
    width = max(map(len, facts))
    return [f"{name:<{width}}  {value}" for name, value in facts.items()]


def _worst(checked: CheckedModel, tower: str) -> str:
    splits = [split for split in checked.splits if split.tower == tower]
    wrong = [split for split in splits if not split.is_exact]
    if not wrong:
        relative, absolute = max(split.relative for split in splits), max(split.absolute for split in splits)
        return f"exact at all {len(splits)} blocks: off by {relative:.1e} of the norm at most ({absolute:.1e})"
    blocks = ", ".join(f"{split.layer} ({split.relative:.1e})" for split in wrong)
    return f"WRONG at {len(wrong)} of {len(splits)} blocks: {blocks}; {TOLERANCE:.0e} of the norm is allowed"


def _grids(grids: tuple[tuple[int, int], ...]) -> str:
    """List each grid once, with the first block that has it if there are several."""
    first = {grid: grids.index(grid) for grid in grids}
    if len(first) == 1:
        return "{} x {}".format(*grids[0])
    return ", ".join(f"{rows} x {columns} from block {layer}" for (rows, columns), layer in first.items())


def _millions(count: int) -> str:
    return f"{count / 1e6:.1f} M"


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:.4g}" for value in values)
