"""What an audit of very many studies takes: nodes, hours and storage, worked out from figures that were measured.

Every figure names where it was measured. What is worked out from them is proportional, and nothing more: that a shard
takes no notice of the others was tested, that a thousand of them do was not.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["MEASURED", "Measured", "Plan", "plan"]

_PER_HOUR = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Figures of benchmarks/RESULTS.md, on two cores of a server without a GPU."""

    core_seconds_a_study: float  # bench_run: BiomedCLIP's shape, 3000 x 2500 px, JPEG 2000, words and controls too
    headers_a_core_second: float  # bench_scan, one process
    index_bytes_a_file: float  # bench_scan
    checked_a_second: float  # bench_scan: `check` with the index, reports and boxes joined; does not run in parallel
    study_bytes: float  # bench_closing: picture, page, heat, record
    files_a_study: int
    closing_seconds_a_study: float  # bench_closing: tables, summaries, page; does not run in parallel
    closing_bytes_a_study: float  # bench_closing: resident memory of the process that closes the run
    page_bytes_a_study: float  # bench_closing: of the page over all studies
    table_bytes_a_study: float  # bench_closing: scores.parquet and scores.csv


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What so many studies take."""

    studies: int
    outs: int  # folders OUT that the cohort is divided into
    core_hours: float
    hours: float  # of the nodes, all shards beside each other
    scan_core_hours: float  # of all headers, once; after that the index answers
    join_hours: float  # each job of a shard reads headers, reports and boxes of its OUT first
    closing_hours: float  # of each OUT's last job
    closing_gigabytes: float  # memory that it needs
    storage_terabytes: float
    files: int
    index_gigabytes: float


def plan(studies: int, *, nodes: int, cores: int, studies_an_out: int, measured: Measured) -> Plan:
    """Work out what so many studies take.

    Args:
        studies: of the whole cohort.
        nodes: machines.
        cores: of each.
        studies_an_out: most studies of one OUT: one page and one table over all of them.
        measured: what is extrapolated from.

    Raises:
        ValueError: a number is not positive.
    """
    if min(studies, nodes, cores, studies_an_out) < 1:
        raise ValueError("studies, nodes, cores and studies an OUT must be positive")
    outs = -(-studies // studies_an_out)
    each = -(-studies // outs)
    core_hours = studies * measured.core_seconds_a_study / _PER_HOUR
    a_study = measured.study_bytes + measured.page_bytes_a_study + measured.table_bytes_a_study
    return Plan(
        studies=studies,
        outs=outs,
        core_hours=core_hours,
        hours=core_hours / (nodes * cores),
        scan_core_hours=studies / measured.headers_a_core_second / _PER_HOUR,
        join_hours=each / measured.checked_a_second / _PER_HOUR,
        closing_hours=each * measured.closing_seconds_a_study / _PER_HOUR,
        closing_gigabytes=each * measured.closing_bytes_a_study / 1e9,
        storage_terabytes=studies * a_study / 1e12,
        files=studies * measured.files_a_study,
        index_gigabytes=studies * measured.index_bytes_a_file / 1e9,
    )


MEASURED = Measured(
    core_seconds_a_study=2 / 0.0485,
    headers_a_core_second=885,
    index_bytes_a_file=414,
    checked_a_second=100_000 / 65.6,
    study_bytes=2.43e6,
    files_a_study=5,
    closing_seconds_a_study=267 / 16_000,
    closing_bytes_a_study=1_045e6 / 16_000,
    page_bytes_a_study=1.82e6 / 16_000,
    table_bytes_a_study=(4.5e6 + 587.7e6) / 16_000,
)
"""As of November 2026; docs/SCALE.md says under which circumstances."""


def _lines(found: Plan, *, nodes: int, cores: int) -> Iterator[str]:
    yield f"{found.studies:,} studies on {nodes:,} nodes of {cores} cores, in {found.outs:,} folders OUT"
    yield ""
    rows = {
        "headers read once": f"{found.scan_core_hours:,.1f} core hours",
        "index of the headers": f"{found.index_gigabytes:,.2f} GB",
        "joining, before each job begins": f"{found.join_hours * 60:,.1f} minutes",
        "attribution and all else": f"{found.core_hours:,.0f} core hours, {found.hours:,.1f} hours on these nodes",
        "closing each OUT": f"{found.closing_hours:,.1f} hours, {found.closing_gigabytes:,.1f} GB of memory",
        "results": f"{found.storage_terabytes:,.2f} TB in {found.files:,} files",
    }
    yield from (f"{name:<34}{value}" for name, value in rows.items())


def main(words: list[str] | None = None) -> None:
    """Print the plan."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=1_000_000)
    parser.add_argument("--nodes", type=int, default=64)
    parser.add_argument("--cores", type=int, default=32, help="of a node")
    parser.add_argument("--studies-an-out", type=int, default=100_000)
    given = parser.parse_args(words)
    sizes = {"nodes": given.nodes, "cores": given.cores, "studies_an_out": given.studies_an_out}
    found = plan(given.studies, **sizes, measured=MEASURED)
    print("\n".join(_lines(found, nodes=given.nodes, cores=given.cores)))


if __name__ == "__main__":
    main()
