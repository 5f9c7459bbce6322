"""One picture explained with one phrase, on the picture's own pixels: what a notebook asks for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from audit.attribution.explain import M2IB, Request, pair_seed
from audit.attribution.methods import Method
from audit.encoders.protocol import DualEncoder
from audit.scoring.pointing import hottest_point
from audit.scoring.scores import Score, box_mask, score_heat
from pipelines.geometry import Placement
from pipelines.image_file import Picture, as_picture
from pipelines.study import Box
from pipelines.transforms import place_image

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Explained", "explain"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Explained:
    """What one method says of one picture and one phrase."""

    picture: Picture
    phrase: str
    method: str
    unit: str  # of the heat: "nats", "cosine" or "dimensionless"
    heat: Float[np.ndarray, "rows columns"]  # ``unit`` per patch; NaN where the model, or the film, shows nothing
    grid: Float[np.ndarray, "grid_rows grid_columns"]  # the same on the model's own grid, a number a patch
    words: tuple[tuple[str, float], ...]  # word, heat in ``unit``; empty where the method explains no words
    cosine: float  # of the whole picture and the whole phrase, -1 to 1
    placement: Placement

    @property
    def total(self) -> float:
        """Heat of all patches, in ``unit``."""
        return float(self.grid.sum())

    @property
    def hottest(self) -> tuple[int, int] | None:
        """The hottest pixel's (row, column); None where the heat points nowhere."""
        return hottest_point(self.heat)

    def scores(self, boxes: Sequence[Box], *, spacing_mm: tuple[float, float] | None = None) -> tuple[Score, ...]:
        """Every localisation score against boxes in the picture's pixels (see :func:`score_heat`).

        Raises:
            TypeError: one of ``boxes`` is no :class:`pipelines.study.Box`.
        """
        _check_boxes(boxes)
        rows, columns = self.heat.shape
        return score_heat(
            self.heat,
            box_mask(boxes, rows=rows, columns=columns),
            method=self.method,
            model_px=self.placement.model_px,
            spacing_mm=spacing_mm,
        )

    def figure(self, *, boxes: Sequence[Box] = ()) -> "Figure":
        """Draw picture, heat, boxes and words (see :func:`audit.figures.figure`).

        Raises:
            AuditError: matplotlib is not installed.
            TypeError: one of ``boxes`` is no :class:`pipelines.study.Box`.
        """
        _check_boxes(boxes)
        from audit.figures import figure  # noqa: PLC0415 - matplotlib is an extra

        return figure(self, boxes=boxes)

    def __repr__(self) -> str:
        """The numbers; the phrase may be a patient's."""
        place = "nowhere" if self.hottest is None else f"row {self.hottest[0]}, column {self.hottest[1]}"
        return f"<{self.method}: cosine {self.cosine:.3f}, {self.total:.4g} {self.unit} in all, hottest at {place}>"


def _check_boxes(boxes: Sequence[object]) -> None:
    for place, box in enumerate(boxes):
        if not isinstance(box, Box):
            raise TypeError(
                f"boxes[{place}] is a {type(box).__name__}: give pipelines.study.Box(x=..., y=..., width=..., "
                "height=..., label=...), in pixels of the picture"
            )


def explain(
    encoder: DualEncoder,
    image: Picture | np.ndarray,
    phrase: str,
    *,
    method: Method | None = None,
    seed: int = 0,
) -> Explained:
    """Explain one picture with one phrase.

    Args:
        encoder: from ``load_encoder``.
        image: from ``read_image``, or values of 0 to 1 as [rows, columns] (grey) or [rows, columns, 3] (R, G, B).
        phrase: what is to be found.
        method: one of ``METHODS``; M2IB if not given.
        seed: of the method's noise, with the phrase.

    Raises:
        InputError: an array that is no picture.
        ModelError: the method cannot explain a model of this kind.
    """
    method = method or M2IB()
    picture = as_picture(image)
    pixels, placement = place_image(picture.display, encoder.preprocessing)
    device = encoder.text.tokenise(["."]).ids.device  # of any phrase: one that is too long is warned of once
    request = Request(pixels=pixels.to(device), phrases=(phrase,), seeds=(pair_seed(seed, phrase),))
    ((explanation,),) = method.explain_batch(encoder, [request])
    grid = explanation.heat.numpy()
    heat = placement.heat_to_source(grid)
    heat[~picture.valid] = np.nan
    return Explained(
        picture=picture,
        phrase=phrase,
        method=method.name,
        unit=method.unit,
        heat=heat,
        grid=grid,
        words=explanation.words,
        cosine=explanation.cosine,
        placement=placement,
    )
