"""A mask as run lengths, one cell at a time."""

from itertools import groupby

import numpy as np

from pipelines.shapes import RunLengths


def run_lengths_of(cells: np.ndarray) -> RunLengths:
    """Keep a mask, [rows, columns], as run lengths cut to the rectangle around what is inside."""
    rows, columns = np.flatnonzero(cells.any(1)), np.flatnonzero(cells.any(0))
    part = cells[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    runs = [(inside, len(list(run))) for inside, run in groupby(part.ravel(order="F").tolist())]
    counts = [0] if runs[0][0] else []
    counts += [length for _, length in runs]
    return RunLengths(
        x=float(columns[0]),
        y=float(rows[0]),
        cell_width=1.0,
        cell_height=1.0,
        rows=part.shape[0],
        columns=part.shape[1],
        counts=tuple(counts),
    )
