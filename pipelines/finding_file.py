"""Reads the file of ``--findings``: findings and wordings that a user adds to the known ones.

TOML has a line for each finding, ``"rib notching" = ["notched ribs", "notching of the ribs"]``. CSV has the columns
``finding`` and ``wording``, a row for each wording. A finding that is not known yet becomes one.
"""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from pipelines.errors import InputError
from pipelines.findings import AddedFindings
from pipelines.quoting import quoted
from pipelines.text.table import BadRow, parse_table, pick_column
from pipelines.text_files import read_packed_text

__all__ = ["read_findings"]

_MOST_BYTES = 2**20
_MOST_WORDINGS = 2_000
_PLAIN = re.compile(r"[^\W_](?:[^\W_]|[ '/-](?=[^\W_]))*\Z")
_LONGEST = 80  # characters
_EXAMPLE = 'write "rib notching" = ["notched ribs", "notching of the ribs"]'

_Entry = tuple[int, str, str]
"""Line, finding and wording."""


def read_findings(path: Path) -> AddedFindings:
    """Read the findings and wordings that a file adds.

    Raises:
        InputError: the file cannot be read, or a line is invalid: not words, too long, or a wording of two findings.
    """
    text = read_packed_text(path, at_most=_MOST_BYTES, failure=InputError).text
    entries = _toml(path, text) if path.suffix.casefold() == ".toml" else _csv(path, text)
    meant: dict[str, _Entry] = {}
    for line, finding, wording in entries:
        for words, what in ((finding, "finding"), (wording, "wording")):
            if len(words) > _LONGEST or not _PLAIN.match(words):
                raise InputError(
                    f"{path} line {line}: the {what} {quoted(words)} must be words of letters and digits, of at most "
                    f"{_LONGEST} characters in all"
                )
        earlier = meant.setdefault(wording, (line, finding, wording))
        if earlier[1] != finding:
            raise InputError(
                f"{path} line {line}: {quoted(wording)} is a wording of {quoted(finding)} here and of "
                f"{quoted(earlier[1])} in line {earlier[0]}: keep one of them"
            )
        if len(meant) > _MOST_WORDINGS:
            raise InputError(f"{path} line {line}: more than {_MOST_WORDINGS:,} wordings: remove some")
    if not meant:
        raise InputError(f"{path} adds no finding: {_EXAMPLE} in a .toml file, or a CSV with finding and wording")
    return AddedFindings(wordings=tuple((finding, wording) for _, finding, wording in meant.values()))


def _words(text: str) -> str:
    return " ".join(text.casefold().split())


def _toml(path: Path, text: str) -> Iterator[_Entry]:
    try:
        stated = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is not TOML: {error}; {_EXAMPLE}") from error
    lines = text.split("\n")
    for finding, wordings in stated.items():
        start = next((number for number, line in enumerate(lines, 1) if finding in line.partition("=")[0]), 1)
        if not isinstance(wordings, list) or not all(isinstance(each, str) for each in wordings):
            raise InputError(f"{path} line {start}: {quoted(finding)} needs a list of wordings: {_EXAMPLE}")
        for wording in (finding, *wordings):
            here = next((number for number, line in enumerate(lines[start - 1 :], start) if wording in line), start)
            yield here, _words(finding), _words(wording)


def _csv(path: Path, text: str) -> Iterator[_Entry]:
    table = parse_table(text)
    finding, wording = (pick_column(table.columns, names) for names in (("finding",), ("wording", "synonym")))
    if finding is None or wording is None:
        raise InputError(f"{path} line 1: the columns finding and wording are needed (or a .toml file: {_EXAMPLE})")
    named: set[str] = set()
    for row in table.rows:
        if isinstance(row, BadRow):
            raise InputError(f"{path} line {row.number}: {row.reason}")
        name = _words(row.cells[finding])
        if name not in named:
            named.add(name)
            yield row.number, name, name
        yield row.number, name, _words(row.cells[wording])
