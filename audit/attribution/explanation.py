"""One image explained with one phrase, on the image's own pixels: the result for notebooks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from audit.metrics.pointing import find_peak
from audit.metrics.scores import box_mask, score_heat
from pipelines.geometry import Placement
from pipelines.image_file import Picture
from pipelines.study import Box
from reports.record import Score

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Explanation"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Explanation:
    """The result of one method for one image and one phrase."""

    picture: Picture
    phrase: str
    method: str
    unit: str  # unit of the heat: "nats", "cosine" or "dimensionless"
    heat: Float[np.ndarray, "rows columns"]  # ``unit`` per patch; NaN where the model or the radiograph has no data
    grid: Float[np.ndarray, "grid_rows grid_columns"]  # the same on the model's own grid, one value per patch
    words: tuple[tuple[str, float], ...]  # word, heat in ``unit``; empty if the method does not explain words
    cosine: float  # of the whole image and the whole phrase, -1 to 1
    placement: Placement

    @property
    def total(self) -> float:
        """Sum of the heat of all patches, in ``unit``."""
        return float(self.grid.sum())

    @property
    def peak(self) -> tuple[int, int] | None:
        """(row, column) of the maximum of the heat; None if there is no single maximum."""
        return find_peak(self.heat)

    def scores(self, boxes: Sequence[Box], *, spacing_mm: tuple[float, float] | None = None) -> tuple[Score, ...]:
        """Return every localisation score against boxes in the image's pixels (see :func:`score_heat`).

        Raises:
            TypeError: one of ``boxes`` is not a :class:`pipelines.study.Box`.
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
        """Draw image, heat, boxes and words (see :func:`audit.attribution.figure.figure`).

        Raises:
            AuditError: matplotlib is not installed.
            TypeError: one of ``boxes`` is not a :class:`pipelines.study.Box`.
        """
        _check_boxes(boxes)
        from audit.attribution.figure import figure  # noqa: PLC0415 - matplotlib is an extra

        return figure(self, boxes=boxes)

    def __repr__(self) -> str:
        """Show the values; the phrase is omitted because it may be a patient's."""
        place = "nowhere" if self.peak is None else f"row {self.peak[0]}, column {self.peak[1]}"
        return f"<{self.method}: cosine {self.cosine:.3f}, {self.total:.4g} {self.unit} in all, peak at {place}>"


def _check_boxes(boxes: Sequence[object]) -> None:
    for place, box in enumerate(boxes):
        if not isinstance(box, Box):
            raise TypeError(
                f"boxes[{place}] is a {type(box).__name__}: give pipelines.study.Box(x=..., y=..., width=..., "
                "height=..., label=...), in pixels of the image"
            )
