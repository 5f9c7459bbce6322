"""The interface between models and attribution methods: two towers that can be split at a layer.

A hidden state is always ``[batch, tokens, width]``, the output of block ``layer`` (0-based). A tower with a grid of
features (a convolutional one) flattens the grid into tokens, row by row. Weights never require a gradient, and no hooks
are used: a method differentiates ``suffix`` with respect to the hidden state that it passes in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Bool, Float, Int
from torch import Tensor

from pipelines.transforms import Preprocessing

__all__ = ["DualEncoder", "Encoder", "EncoderInfo", "ImageTower", "TextTower", "Tokens"]

Hidden = Float[Tensor, "batch tokens width"]
Embedding = Float[Tensor, "batch dim"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Phrases as a tower reads them; padding is at the end and is ignored.

    SigLIP was trained to read its padding: there it is part of the phrase, ``mask`` is True throughout, and only
    ``special`` marks the padding.
    """

    ids: Int[Tensor, "batch tokens"]
    mask: Bool[Tensor, "batch tokens"]  # False for what the tower does not see
    special: Bool[Tensor, "batch tokens"]  # True for start, end and padding: no words
    words: tuple[tuple[tuple[str, tuple[int, ...]], ...], ...]  # per phrase: word, its token positions
    neutral: int | None = None  # id of the tokeniser's mask token, which stands for any word; None: it has none


@runtime_checkable
class Tower(Protocol):
    """One half of a dual encoder."""

    @property
    def depth(self) -> int:
        """Number of blocks."""
        ...

    @property
    def parameters(self) -> int:
        """Number of weights, projection included."""
        ...

    def suffix(self, hidden: Hidden, layer: int, mask: Bool[Tensor, "batch tokens"] | None = None) -> Embedding:
        """Run from the output of block ``layer`` to the embedding (unnormalised); differentiable in ``hidden``."""
        ...


@runtime_checkable
class ImageTower(Tower, Protocol):
    """The image half."""

    def grid_at(self, layer: int) -> tuple[int, int]:
        """Rows and columns of the feature grid after block ``layer``; a convolutional tower's shrinks on its way."""
        ...

    @property
    def leading_tokens(self) -> int:
        """Tokens before the grid's first (1 for a CLS token, 0 for none)."""
        ...

    def prefix(self, pixels: Float[Tensor, "batch 3 size size"], layer: int) -> Hidden:
        """Run up to and including block ``layer``, without a graph."""
        ...

    def forward(self, pixels: Float[Tensor, "batch 3 size size"]) -> Embedding:
        """Run the model's own forward pass, the reference for prefix and suffix; differentiable in its input."""
        ...


@runtime_checkable
class TextTower(Tower, Protocol):
    """The text half."""

    def tokenise(self, phrases: Sequence[str]) -> Tokens:
        """Turn phrases into tokens on the tower's device; what exceeds the context is cut with a warning."""
        ...

    @property
    def context(self) -> int:
        """The longest phrase in tokens, start and end included."""
        ...

    def prefix(self, tokens: Tokens, layer: int) -> Hidden:
        """Run up to and including block ``layer``, without a graph."""
        ...

    def forward(self, tokens: Tokens) -> Embedding:
        """Run the model's own forward pass, the reference for prefix and suffix."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderInfo:
    """The origin of a model and its terms of use."""

    name: str
    family: str
    source: str  # hub id, or the folder's name without its path
    sha256: str  # of the weights file
    terms: str
    is_phantom: bool
    image_layer: int | None = None  # where this model is best explained, if its folder says so
    text_layer: int | None = None
    beta: float | None = None
    text_beta: float | None = None  # of the text tower, where it is not the same


@runtime_checkable
class DualEncoder(Protocol):
    """A CLIP: two towers into one embedding space, and how its images are prepared."""

    @property
    def info(self) -> EncoderInfo:
        """Name, source, checksum and terms."""
        ...

    @property
    def preprocessing(self) -> Preprocessing:
        """Input size, mean and standard deviation."""
        ...

    @property
    def image(self) -> ImageTower:
        """The image tower."""
        ...

    @property
    def text(self) -> TextTower:
        """The text tower."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """A :class:`DualEncoder` put together from its parts, as every family's ``load`` gives it."""

    info: EncoderInfo
    preprocessing: Preprocessing
    image: ImageTower
    text: TextTower
