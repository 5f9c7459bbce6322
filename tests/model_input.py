"""Where a point of a radiograph lies in the model's input: the reference for the way back."""

import numpy as np

from pipelines.geometry import Placement

Coordinate = float | np.ndarray


def to_model(placement: Placement, row: Coordinate, column: Coordinate) -> tuple[Coordinate, Coordinate]:
    """Map an edge-based (row, column) of the source to the model's input."""
    return (
        row * placement.resized_rows / placement.rows + placement.top,
        column * placement.resized_columns / placement.columns + placement.left,
    )
