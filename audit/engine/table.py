"""The rows of all scores while a run goes on: kept in columns, so that they take bytes and not objects."""

from collections.abc import Mapping, Sequence

import pandas as pd
import pyarrow as pa

__all__ = ["GrowingTable"]

_NAME = pa.dictionary(pa.int32(), pa.string())  # as many as there are studies
_WORD = pa.dictionary(pa.int16(), pa.string())  # of a short list
_SCHEMA = pa.schema(
    {
        "study": _NAME,
        "image": _NAME,
        "patient": _NAME,
        "phrase": pa.int32(),
        "finding": _WORD,
        "side": _WORD,
        "zone": _WORD,
        "context": _WORD,
        "method": _WORD,
        "score": _WORD,
        "value": pa.float64(),
        "outcome": _WORD,
        "reason": _WORD,
        "levels": pa.list_(pa.float32()),
    }
)
_PARTS_AT_MOST = 256  # before they are joined, each with a dictionary of its own


class GrowingTable:
    """A table that rows are added to, study after study."""

    def __init__(self) -> None:
        self._parts: list[pa.Table] = []

    def add(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Add the rows of one study; a field that a row lacks is missing."""
        if not rows:
            return
        columns = {name: [row.get(name) for row in rows] for name in _SCHEMA.names}
        self._parts.append(pa.table(columns, schema=_SCHEMA))
        if len(self._parts) >= _PARTS_AT_MOST:
            self._parts = [self._joined()]

    def _joined(self) -> pa.Table:
        return pa.concat_tables(self._parts).unify_dictionaries().combine_chunks()

    def to_frame(self) -> pd.DataFrame:
        """All rows, words as categories."""
        if not self._parts:
            self._parts = [_SCHEMA.empty_table()]
        frame: pd.DataFrame = self._joined().to_pandas()
        return frame
