"""Boxes of the RSNA Pneumonia Detection Challenge: one row per box, or a blank row for an image without boxes.

All images are 1,024 x 1,024 px. The boxes mark opacities that suggest pneumonia, and are labelled with what was drawn:
"lung opacity".

Source: Shih et al. 2019, "Augmenting the National Institutes of Health chest radiograph dataset with expert
annotations of possible pneumonia"; ``stage_2_train_labels.csv`` on Kaggle.
"""

from collections.abc import Iterator

from pipelines.boxes.table import RawBox
from pipelines.errors import BoxError
from pipelines.text.table import BadRow, columns_of, parse_table, pick_column

__all__ = ["read_rsna_csv", "recognise_rsna_csv"]

_FRAME = (1024, 1024)
_COLUMNS = ("patientId", "x", "y", "width", "height", "Target")
_NOTHING_DRAWN = {"0", "0.0"}


def recognise_rsna_csv(text: str) -> bool:
    """Return True if the header names every column of the challenge's labels."""
    columns = columns_of(text)
    return all(pick_column(columns, (column,)) is not None for column in _COLUMNS)


def read_rsna_csv(name: str, text: str) -> Iterator[RawBox | BoxError]:
    """Yield one raw box per row; a row with target 0 means that nothing was drawn, and yields none."""
    table = parse_table(text)
    columns = {column: pick_column(table.columns, (column,)) or column for column in _COLUMNS}
    for row in table.rows:
        source = f"{name} row {row.number}"
        if isinstance(row, BadRow):
            yield BoxError(f"{source}: {row.reason}")
            continue
        cells = {key: row.cells[column] for key, column in columns.items()}
        if cells["Target"] in _NOTHING_DRAWN:
            if cells["x"]:
                yield BoxError(f"{source} has coordinates but Target 0, which means that nothing is drawn: correct one")
            continue
        yield RawBox(
            source=source,
            image=cells["patientId"],
            label="lung opacity",
            x=cells["x"],
            y=cells["y"],
            width=cells["width"],
            height=cells["height"],
            frame=_FRAME,
            patient=cells["patientId"],
        )
