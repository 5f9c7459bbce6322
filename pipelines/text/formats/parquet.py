"""Reports that are rows of a Parquet file, with the columns of a delimited table."""

from io import BytesIO

import pyarrow
from pyarrow import parquet

from pipelines.text.encoding import MAX_FILE_BYTES, decode
from pipelines.text.formats.delimited import reports_of_table
from pipelines.text.formats.file import ReadReports, ReportFile, failed
from pipelines.text.table import Row, Table

__all__ = ["read_parquet_reports", "recognise_parquet_reports"]

_MAGIC = b"PAR1"
_ROWS_AT_ONCE = 4096


def recognise_parquet_reports(file: ReportFile) -> bool:
    """Say whether this is Parquet: by its first four bytes."""
    return file.data.startswith(_MAGIC)


def read_parquet_reports(file: ReportFile) -> ReadReports:
    """Read one report a row, numbered from 1. Rows that unpack to too much are refused before they are read."""
    source = str(file.path)
    try:
        with parquet.ParquetFile(BytesIO(file.data)) as opened:
            groups = [opened.metadata.row_group(index) for index in range(opened.metadata.num_row_groups)]
            size = sum(group.total_byte_size for group in groups)
            if size > MAX_FILE_BYTES:
                reason = f"{file.path.name} unpacks to {size:,} bytes, more than the {MAX_FILE_BYTES:,} that are read"
                return (), (failed(source, f"{reason}: split the file"),)
            table = _table(opened)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        reason = f"{file.path.name} cannot be read as Parquet ({type(error).__name__}): write or copy it again"
        return (), (failed(source, reason),)
    return reports_of_table(file.path, table)


def _words(cell: object) -> str:
    """Write a cell as text: bytes hold text of no declared kind, and whole numbers beside a gap are kept as floats."""
    if cell is None:
        return ""
    if isinstance(cell, bytes):
        return decode(cell).text
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def _table(opened: parquet.ParquetFile) -> Table:
    columns = tuple(name.strip() for name in opened.schema_arrow.names)
    rows: list[Row] = []
    for batch in opened.iter_batches(batch_size=_ROWS_AT_ONCE):
        for cells in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            words = (_words(cell).strip() for cell in cells)
            # Of two columns of the same name the first counts, as in a delimited table.
            named = dict(reversed(list(zip(columns, words, strict=True))))
            rows.append(Row(number=len(rows) + 1, cells=named))
    return Table(columns=columns, rows=tuple(rows))
