"""A table of captions and image paths with any delimiter, quoting and header.

Conceptual Captions has caption and path, separated by a tab, without header and without quoting; other tables differ in
all four. The chosen delimiter and quoting are those for which most lines belong to records of one length. The columns
are identified by their names or, without a header, by their content: the image column contains file names, and the
captions are in the remaining column with the most words.
"""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from pipelines.errors import InputError
from pipelines.limits import MAX_CELL_CHARACTERS, MAX_COLUMNS, MAX_PAIRS, MAX_TEXT_BYTES
from pipelines.text.table import Lines, describe_columns, pick_column
from pipelines.text_files import read_packed_text

__all__ = ["PairRow", "PairTable", "read_pair_table"]

# Best first; case, spaces and underscores do not matter.
CAPTIONS = (
    *("caption", "captions", "text", "phrase", "sentence", "label_text", "report", "report_text", "description"),
    *("title", "impression", "findings"),
)
IMAGES = (
    *("image", "image_path", "path", "file", "filepath", "file_path", "filename", "file_name", "image_file"),
    *("img", "img_path", "dicom", "dicom_path", "image_url", "url"),
)
_DELIMITERS = ("\t", ",", ";", "|")  # a caption may hold any but the first
_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm", ".dicom", ".webp", ".gif", ".bmp")
_LINES_LOOKED_AT = 2_000  # for delimiter and quoting
_ROWS_LOOKED_AT = 200  # for columns


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRow:
    """One row of the table."""

    number: int  # of the record in the file, from 1; the header counts
    image: str  # the path as the table gives it; "" where the row is wrong
    caption: str
    wrong: str | None = None  # why the row cannot be used


@dataclass(frozen=True, slots=True)
class _Dialect:
    delimiter: str
    quoted: bool

    def records(self, text: str) -> Iterator[tuple[int, list[str] | str, int]]:
        """Yield number, cells (or the fault) and lines of each record that is not blank, in order."""
        if self.quoted:
            reader = csv.reader(Lines(text), delimiter=self.delimiter, strict=True)
        else:
            reader = csv.reader(Lines(text), delimiter=self.delimiter, quoting=csv.QUOTE_NONE)
        previous_limit = csv.field_size_limit(MAX_CELL_CHARACTERS)
        number = lines = 0
        try:
            while True:
                number += 1
                cells: list[str] | str
                try:
                    cells = [cell.strip() for cell in next(reader)]
                except StopIteration:
                    return
                except csv.Error as error:
                    cells = f"the row cannot be read ({error}): close every double quote, and write one in text twice"
                if isinstance(cells, str) or any(cells):
                    yield number, cells, reader.line_num - lines
                lines = reader.line_num
        finally:
            csv.field_size_limit(previous_limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairTable:
    """A table with known columns; rows are read on demand, because there may be millions."""

    rows: int  # good and bad; the header is none
    path: Path
    image_root: Path  # relative paths begin here
    columns: int
    image: int  # the column's place, from 0
    caption: int
    header: int  # number of the record that names the columns; 0 where none does
    dialect: _Dialect
    text: str = field(repr=False)  # captions are printed nowhere

    def draw(self, count: int, *, seed: int) -> tuple[PairRow, ...]:
        """Sample rows without replacement, in random order; a smaller sample of a seed is a prefix of a larger one."""
        order = np.random.default_rng(seed).permutation(self.rows)[:count]
        place = {int(index): rank for rank, index in enumerate(order)}
        drawn = {
            place[index]: self._row(number, cells)
            for index, (number, cells) in enumerate(_below(self.header, self.dialect, self.text))
            if index in place
        }
        return tuple(drawn[rank] for rank in range(len(drawn)))

    def file_of(self, row: PairRow) -> Path:
        """Return the path of a row's image."""
        return self.image_root / row.image

    def has_file(self, row: PairRow) -> bool:
        """Return True if a row's image exists."""
        return row.wrong is None and _is_file(row.image, self.image_root)

    def _row(self, number: int, cells: list[str] | str) -> PairRow:
        if isinstance(cells, str):
            return PairRow(number=number, image="", caption="", wrong=cells)
        if len(cells) < self.columns or any(cells[self.columns :]):  # spreadsheets leave empty cells behind
            wrong = f"the row has {len(cells)} cells and not {self.columns}: put text with delimiters in double quotes"
            return PairRow(number=number, image="", caption="", wrong=wrong)
        image, caption = cells[self.image], cells[self.caption]
        return PairRow(number=number, image=image, caption=caption, wrong=_wrong(image, caption))


def _below(header: int, dialect: _Dialect, text: str) -> Iterator[tuple[int, list[str] | str]]:
    return ((number, cells) for number, cells, _ in dialect.records(text) if number > header)


def _wrong(image: str, caption: str) -> str | None:
    if not caption:
        return "the row has no caption: fill the cell"
    if not image:
        return "the row names no image: fill the cell"
    if "://" in image:
        return "the image is a web address, and nothing is fetched: download it and give its path"
    return None


def read_pair_table(path: Path, *, image_root: Path | None = None) -> PairTable:
    """Read a CSV or TSV of captions and image paths, plain or compressed by gzip or zip.

    Args:
        path: the table.
        image_root: the folder that relative paths refer to; None: the table's folder.

    Raises:
        InputError: the table cannot be read, or its columns cannot be identified.
    """
    text = read_packed_text(path, failure=InputError, at_most=MAX_TEXT_BYTES).text
    head = _head_of(text)
    dialect, columns = _dialect_of(path, head)
    root = path.parent if image_root is None else image_root
    records = ((number, cells) for number, cells, _ in dialect.records(head) if not isinstance(cells, str))
    rows = dict(islice((record for record in records if len(record[1]) == columns), _ROWS_LOOKED_AT))
    image, caption, has_header = _columns_of(path, tuple(rows.values()), root)
    header = next(iter(rows)) if has_header else 0
    count = sum(1 for _ in islice(_below(header, dialect, text), MAX_PAIRS + 1))
    if count > MAX_PAIRS or text.count("\n") > 2 * MAX_PAIRS:
        raise InputError(f"{path}: the table has more than {MAX_PAIRS:,} rows; split it")
    return PairTable(
        rows=count,
        path=path,
        image_root=root,
        columns=columns,
        image=image,
        caption=caption,
        header=header,
        dialect=dialect,
        text=text,
    )


def _head_of(text: str) -> str:
    """Return the text's first lines, without cutting the last record of a short text."""
    end = -1
    for _ in range(_LINES_LOOKED_AT):
        end, previous = text.find("\n", end + 1), end
        if end < 0 or end > MAX_CELL_CHARACTERS:
            return text if end < 0 and len(text) <= MAX_CELL_CHARACTERS else text[: previous + 1]
    return text[: end + 1]


def _dialect_of(path: Path, head: str) -> tuple[_Dialect, int]:
    """Return the delimiter and quoting for which most lines belong to records of the commonest length, 2 or more."""
    best: tuple[int, _Dialect, int] | None = None
    for delimiter in _DELIMITERS:
        for quoted in (True, False):
            dialect = _Dialect(delimiter, quoted)
            lines: Counter[int] = Counter()
            for _, cells, length in dialect.records(head):
                if not isinstance(cells, str):
                    lines[len(cells)] += length
            columns, covered = max(lines.items(), key=lambda item: item[1], default=(0, 0))
            if columns > 1 and (best is None or covered > best[0]):
                best = covered, dialect, columns
    if best is not None and best[2] > MAX_COLUMNS:
        raise InputError(f"{path}: the table has {best[2]:,} columns, more than {MAX_COLUMNS:,}; keep those two")
    if best is None:
        raise InputError(f"{path}: no table of two columns or more; give captions and image paths, as CSV or TSV")
    return best[1], best[2]


def _columns_of(path: Path, rows: Sequence[list[str]], root: Path) -> tuple[int, int, bool]:
    """Return the columns of images and captions, and whether the first row is a header."""
    first = rows[0]
    named_images = [place for place, name in enumerate(first) if pick_column([name], IMAGES)]
    caption_name = pick_column(first, CAPTIONS)
    if named_images and caption_name is not None:
        image = max(named_images, key=lambda place: (_files(rows[1:], place, root), -_rank(first[place])))
        return image, first.index(caption_name), True
    counts = [_files(rows, place, root) for place in range(len(first))]
    if not any(counts):
        counts = [sum(_is_named_as_image(cells[place]) for cells in rows) for place in range(len(first))]
    if not any(counts):
        raise InputError(
            f"{path}: no column contains image paths ({describe_columns(first)}); name the columns caption and image, "
            "or give the folder of the images with --image-root"
        )
    image = counts.index(max(counts))
    has_header = not _is_named_as_image(first[image]) and not _is_file(first[image], root)
    if has_header and caption_name is not None:
        return image, first.index(caption_name), True
    body = rows[1:] if has_header and len(rows) > 1 else rows
    others = [place for place in range(len(first)) if place != image]
    return image, max(others, key=lambda place: sum(len(cells[place].split()) for cells in body)), has_header


def _rank(name: str) -> int:
    return next(rank for rank, known in enumerate(IMAGES) if pick_column([name], [known]))


def _files(rows: Sequence[list[str]], place: int, root: Path) -> int:
    return sum(_is_file(cells[place], root) for cells in rows)


def _is_file(cell: str, root: Path) -> bool:
    try:
        return bool(cell) and (root / cell).is_file()
    except (OSError, ValueError):  # a caption may be too long for a path
        return False


def _is_named_as_image(cell: str) -> bool:
    return cell.casefold().endswith(_IMAGE_SUFFIXES)
