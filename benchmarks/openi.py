"""OpenI's reports as the benchmarks on them read them: from a wheel that is given, or from the package index."""

import argparse
import tempfile
from pathlib import Path

from benchmarks.context_labels import fetch_wheel, openi_reports
from benchmarks.machine import command_parser
from pipelines.text.reports import ReportTable

__all__ = ["reports_of_openi"]


def reports_of_openi(description: str | None) -> tuple[argparse.Namespace, ReportTable]:
    """Read the command line of a benchmark on these reports, and the reports."""
    parser = command_parser(description)
    parser.add_argument("--wheel", type=Path, help="torchxrayvision's; fetched from the package index if not given")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return given, openi_reports(given.wheel or fetch_wheel(Path(folder)))
