"""Reports in the rows of a Parquet file, with the same columns as a delimited table.

A column with few different texts is stored as a dictionary and one number per row, so a kilobyte of file can expand to
gigabytes of rows. Text columns are therefore read as dictionaries, and rows share the texts.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow
from pyarrow import parquet

from pipelines.limits import MAX_COLUMNS, MAX_ROWS, MAX_TEXT_BYTES
from pipelines.text.formats.delimited import reports_of_table
from pipelines.text.formats.file import PARQUET_MAGIC, ReadReports, ReportFile, failed
from pipelines.text.table import Row, Table
from pipelines.text_files import decode

__all__ = ["read_parquet_reports", "recognise_parquet_reports"]

_ROWS_AT_ONCE = 4096
_DELTA_ROWS_AT_ONCE = 16
_MAX_DELTA_BYTES = 2**25
_MAX_FOOTER_BYTES = 2**24  # limit for one string of the footer, and for the items of its lists


def recognise_parquet_reports(file: ReportFile) -> bool:
    """Return True for Parquet: its first four bytes decide."""
    return file.data.startswith(PARQUET_MAGIC)


class _TooMuchError(ValueError):
    """The file expands to more than the limit; the message says to how much."""


def read_parquet_reports(file: ReportFile) -> ReadReports:
    """Read one report per row, numbered from 1. Rows that expand to too much are refused before they are read."""
    source, name = str(file.path), file.path.name
    try:
        with parquet.ParquetFile(
            pyarrow.BufferReader(file.data),
            thrift_string_size_limit=_MAX_FOOTER_BYTES,
            thrift_container_size_limit=_MAX_FOOTER_BYTES,
        ) as opened:
            _refuse_declared(opened.metadata)
            columns = tuple(column.strip() for column in opened.schema_arrow.names)
            deltas = _delta_columns(opened.metadata)
            texts = [field.name for field in opened.schema_arrow if _is_text(field.type) and field.name not in deltas]
        with parquet.ParquetFile(pyarrow.BufferReader(file.data), read_dictionary=texts) as opened:
            rows = tuple(_rows(opened, columns, at_once=_DELTA_ROWS_AT_ONCE if deltas else _ROWS_AT_ONCE))
    except _TooMuchError as error:
        return (), (failed(source, f"{name} unpacks to {error}: split the file"),)
    except (pyarrow.ArrowException, OSError, ValueError, MemoryError) as error:
        reason = f"{name} cannot be read as Parquet ({type(error).__name__}): write or copy it again"
        return (), (failed(source, reason),)
    return reports_of_table(file.path, Table(columns=columns, rows=rows))


def _refuse_declared(metadata: parquet.FileMetaData) -> None:
    """Check the sizes that the footer declares, before anything is unpacked.

    Raises:
        _TooMuchError: too many rows or columns, or too many bytes in a page or in total.
    """
    if metadata.num_rows > MAX_ROWS:
        raise _TooMuchError(f"{metadata.num_rows:,} rows, more than the limit of {MAX_ROWS:,}")
    if metadata.num_columns > MAX_COLUMNS:
        raise _TooMuchError(f"{metadata.num_columns:,} columns, more than the limit of {MAX_COLUMNS:,}")
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    parts = (group.column(place).total_uncompressed_size for group in groups for place in range(group.num_columns))
    size = max(sum(group.total_byte_size for group in groups), sum(parts))
    if size > MAX_TEXT_BYTES:
        raise _TooMuchError(f"{size:,} bytes, more than the limit of {MAX_TEXT_BYTES:,}")


def _delta_columns(metadata: parquet.FileMetaData) -> frozenset[str]:
    """Return the columns that are stored as differences of texts and cannot be read as dictionaries.

    Such a text may repeat the whole previous one. Few rows are therefore read at once, and large parts are refused.

    Raises:
        _TooMuchError: such a part of a column is too large.

    Source: Parquet, "Encodings", DELTA_BYTE_ARRAY and DELTA_LENGTH_BYTE_ARRAY.
    """
    names = set()
    for index in range(metadata.num_row_groups):
        group = metadata.row_group(index)
        for part in (group.column(place) for place in range(group.num_columns)):
            if any(encoding.startswith("DELTA") and "BYTE_ARRAY" in encoding for encoding in part.encodings):
                names.add(part.path_in_schema)
                if part.total_uncompressed_size > _MAX_DELTA_BYTES:
                    size = f"{part.total_uncompressed_size:,} bytes of differences in a row group"
                    raise _TooMuchError(f"{size}, more than the limit of {_MAX_DELTA_BYTES:,}")
    return frozenset(names)


def _is_text(kind: pyarrow.DataType) -> bool:
    return bool(pyarrow.types.is_string(kind) or pyarrow.types.is_binary(kind) or pyarrow.types.is_large_string(kind))


@dataclass(frozen=True)
class _Column:
    """A column of some rows. Equal texts are one object."""

    values: pyarrow.Array | pyarrow.DictionaryArray

    @cached_property
    def _words(self) -> list[str]:
        dictionary = self.values.dictionary if self.is_dictionary else self.values
        return [_words(cell).strip() for cell in dictionary.to_pylist()]

    @cached_property
    def is_dictionary(self) -> bool:
        return isinstance(self.values, pyarrow.DictionaryArray)

    @cached_property
    def _places(self) -> list[int | None]:
        return list(self.values.indices.to_pylist() if self.is_dictionary else range(len(self.values)))

    def cells(self) -> Iterator[str]:
        """Yield the text of each row."""
        return ("" if place is None else self._words[place] for place in self._places)

    def characters(self) -> int:
        """Return the number of characters in all rows."""
        lengths = np.array([len(word) for word in self._words], dtype=np.int64)
        return int(lengths[[place for place in self._places if place is not None]].sum())


def _words(cell: object) -> str:
    """Convert a cell to text: bytes are text of undeclared type; integers are floats in a column with gaps."""
    if cell is None:
        return ""
    if isinstance(cell, bytes):
        return decode(cell).text
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def _rows(opened: parquet.ParquetFile, names: tuple[str, ...], *, at_once: int) -> Iterator[Row]:
    """Yield the rows.

    Raises:
        _TooMuchError: there are too many, or their texts are too long in total.
    """
    number = characters = 0
    for batch in opened.iter_batches(batch_size=at_once):
        columns = [_Column(values) for values in batch.columns]
        characters += sum(column.characters() for column in columns)
        if characters > MAX_TEXT_BYTES:
            raise _TooMuchError(f"texts of more than the limit of {MAX_TEXT_BYTES:,} characters")
        for cells in zip(*(column.cells() for column in columns), strict=True):
            number += 1
            if number > MAX_ROWS:
                raise _TooMuchError(f"more than the limit of {MAX_ROWS:,} rows")
            # Of two columns with the same name the first counts, as in a delimited table.
            yield Row(number=number, cells=dict(reversed(list(zip(names, cells, strict=True)))))
