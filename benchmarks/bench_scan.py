"""Headers a second, read by one process and by several, and what an index saves at the second scan."""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from pydicom import dcmread

from benchmarks.machine import command_line, write_section
from pipelines.dicom.scan import Scan, scan_folder
from pipelines.phantom.cohort import make_cohort

_FULL_SIZE = 2_000  # files that figures are asked for; fewer are not written down
_FILES_A_FOLDER = 500
_SETTLED_SECONDS = 2.5  # an index does not keep what was written just now


def make_headers(folder: Path, count: int) -> int:
    """Write a phantom's header under new UIDs, with an image of 8 x 8 px, and give the bytes of one file."""
    make_cohort(folder / "one", count=1, seed=1, columns=64)
    [source] = (folder / "one" / "dicom").iterdir()
    dataset = dcmread(source)
    dataset.Rows = dataset.Columns = 8
    dataset.PixelData = np.zeros((8, 8), dtype=np.uint16).tobytes()
    uid, study = str(dataset.SOPInstanceUID), str(dataset.StudyInstanceUID)
    dataset.save_as(folder / "one.dcm")
    written = (folder / "one.dcm").read_bytes()
    for index in range(count):
        target = folder / "many" / f"{index // _FILES_A_FOLDER:04d}" / f"{index:06d}.dcm"
        target.parent.mkdir(parents=True, exist_ok=True)
        data = written
        for old in (uid, study):  # of the same length, so that no length in the file changes
            data = data.replace(old.encode(), f"{old[:-7]}{index + 1_000_000:07d}".encode())
        target.write_bytes(data)
    return len(written)


def seconds(scan: Callable[[], Scan], count: int) -> float:
    """Time one scan.

    Raises:
        RuntimeError: it did not find every image.
    """
    start = time.perf_counter()
    found = scan()
    taken = time.perf_counter() - start
    if len(found.images) != count:
        raise RuntimeError(f"{len(found.images)} of {count} images were found")
    return taken


def measure(folder: Path, count: int) -> list[str]:
    """Scan cold with one process and with two, then with an index twice."""
    scan = partial(scan_folder, folder / "many")
    one, two = (seconds(partial(scan, processes=processes), count) for processes in (1, 2))
    indexed = partial(scan, processes=1, index=folder / "index.sqlite")
    time.sleep(_SETTLED_SECONDS)
    first, second = (seconds(indexed, count) for _ in range(2))
    size = (folder / "index.sqlite").stat().st_size
    return [
        "| scan | seconds | files/s |",
        "|---|---|---|",
        *(
            f"| {name} | {taken:.2f} | {count / taken:,.0f} |"
            for name, taken in {
                "one process": one,
                "two processes": two,
                "one process, writing the index": first,
                "second scan, by the index": second,
            }.items()
        ),
        "",
        f"The second scan takes {second / one:.3f} of the time of one process, {second / two:.3f} of that of two.",
        f"The index has {size / count:,.0f} bytes a file.",
    ]


def main() -> None:
    """Parse, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=20_000)
    count = parser.parse_args().files
    with tempfile.TemporaryDirectory() as folder:
        size = make_headers(Path(folder), count)
        lines = [
            f"{count:,} DX headers of {size:,} bytes, in the system's cache; load before: {os.getloadavg()[0]:.1f}.",
            "",
            *measure(Path(folder), count),
        ]
    print("\n".join(lines))
    if count >= _FULL_SIZE:
        write_section("bench_scan", command=command_line("bench_scan"), lines=lines)


if __name__ == "__main__":
    main()
