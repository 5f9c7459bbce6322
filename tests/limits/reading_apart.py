"""Read the files named by the arguments, each with its kind before it, under a limit of memory; print what is said."""

import json
import resource
import sys
from pathlib import Path

from pipelines.boxes import read_boxes
from pipelines.errors import AuditError
from pipelines.text.reports import read_reports

MOST_BYTES = 2 * 10**9  # of address space, of which the interpreter and its libraries take half a gigabyte


def said_of(kind: str, path: Path) -> list[str]:
    """Give the reasons for which a file, or part of it, is not read."""
    try:
        read = read_reports(path) if kind == "report" else read_boxes(path)
    except AuditError as error:
        return [str(error)]
    return [left.reason for left in read.left_out][:3]


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    pairs = zip(sys.argv[1::2], sys.argv[2::2], strict=True)
    print(json.dumps({Path(name).name: said_of(kind, Path(name)) for kind, name in pairs}))
