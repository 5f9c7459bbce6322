"""The table of scores of a run: its rows, how they are collected study by study, and what is added at the end.

During a run the rows are stored in columns, which take bytes per value instead of objects.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

import pandas as pd
import pyarrow as pa

from audit.metrics.habit import phrase_columns
from audit.metrics.recognition import share_won
from pipelines.study import Context
from reports.record import ScoredImage
from reports.score_catalogue import COSINE, DENIAL_PREFERRED
from reports.targets import standing_denials

__all__ = ["GrowingTable", "score_rows", "with_phrase_tests", "without_absent"]

_NAME = pa.dictionary(pa.int32(), pa.string())  # as many values as studies
_WORD = pa.dictionary(pa.int16(), pa.string())  # few values
_SCHEMA = pa.schema(
    {
        "study": _NAME,
        "image": _NAME,
        "patient": _NAME,
        "date": _NAME,
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
_ROWS_AT_ONCE = 5000
_PARTS_AT_MOST = 256  # parts, each with its own dictionary, before they are joined


def score_rows(images: Iterable[ScoredImage], *, study: str, patient: str | None) -> Iterator[dict[str, object]]:
    """Yield one row of the score table per phrase, method and score, with the keys of study and patient.

    Absent phrases have the context "absent", are numbered after the others, and have no score of a heat.
    """
    images = tuple(images)
    drawn = {box.label for image in images for box in image.boxes}  # another view shows the same patient's chest
    for image in images:
        for index, phrase in enumerate(image.phrases):
            columns = phrase_columns(image, index, study=study, patient=patient)
            yield from ({**columns, **score.model_dump()} for score in phrase.scores)
        for place, absent in standing_denials(image, drawn):
            cosines = image.finding_cosines.get(str(absent.finding))
            won = None if cosines is None else share_won(cosines.denied, cosines.asserted)
            if won is not None:
                columns = phrase_columns(image, len(image.phrases) + place, study=study, patient=patient)
                yield {**columns, "method": COSINE, "score": DENIAL_PREFERRED, "value": won, "outcome": "scored"}


def without_absent(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the phrases that affirm or suspect a finding: those that a heat is scored for."""
    absent = table["context"] == Context.ABSENT.value
    return table[~absent].reset_index(drop=True) if absent.any() else table


class GrowingTable:
    """A table to which rows are added study by study."""

    def __init__(self) -> None:
        self._parts: list[pa.Table] = []

    def add(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Add the rows of one study; fields that a row does not have are missing values."""
        if not rows:
            return
        columns = {name: [row.get(name) for row in rows] for name in _SCHEMA.names}
        self._parts.append(pa.table(columns, schema=_SCHEMA))
        if len(self._parts) >= _PARTS_AT_MOST:
            self._parts = [self._joined()]

    def add_all(self, rows: Iterable[Mapping[str, object]]) -> None:
        """Add the rows of many studies, a part at a time, so that few are objects at once."""
        waiting = iter(rows)
        while part := list(islice(waiting, _ROWS_AT_ONCE)):
            self.add(part)

    def _joined(self) -> pa.Table:
        return pa.concat_tables(self._parts).unify_dictionaries().combine_chunks()

    def to_frame(self) -> pd.DataFrame:
        """Return all rows, with words as categories."""
        if not self._parts:
            self._parts = [_SCHEMA.empty_table()]
        frame: pd.DataFrame = self._joined().to_pandas()
        return frame


def with_phrase_tests(table: pd.DataFrame, phrases: Sequence[tuple[str, int, Mapping[str, float]]]) -> pd.DataFrame:
    """Append rows of recognition and reliance to the table of scores.

    Args:
        table: the scores of heat maps (:func:`audit.metrics.summary.score_table`).
        phrases: key of the image, phrase and values by score, of phrases of the table.
    """
    rows = [
        {"image": image, "phrase": phrase, "method": COSINE, "score": score, "value": value, "outcome": "scored"}
        for image, phrase, values in phrases
        for score, value in values.items()
    ]
    if not rows:
        return table
    about = ["study", "image", "patient", "date", "phrase", "finding", "side", "zone", "context"]
    known = table[about].drop_duplicates(["image", "phrase"]).astype({"image": "str"})
    added = known.merge(pd.DataFrame(rows), on=["image", "phrase"], how="inner").assign(reason=None)
    types = {
        name: pd.CategoricalDtype([*dtype.categories, *_new(added[name], dtype)])
        for name, dtype in table.dtypes.items()
        if isinstance(dtype, pd.CategoricalDtype)
    }
    both = [table.astype(types), added[table.columns].astype(table.dtypes.to_dict() | types)]
    return pd.concat(both, ignore_index=True)


def _new(values: pd.Series, known: pd.CategoricalDtype) -> list[str]:
    return [value for value in values.dropna().unique().tolist() if value not in known.categories]
