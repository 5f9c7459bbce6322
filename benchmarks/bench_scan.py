"""Headers a second, what an index saves at the second scan, and what `check` and a long list of failures take."""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from pydicom import dcmread

from audit.configuration import InputsConfig
from audit.input_check import check
from audit.privacy.pseudonyms import Pseudonyms
from audit.privacy.redaction import failure_records
from benchmarks.machine import command_line, write_section
from pipelines.images.scan import Scan, scan_folder
from pipelines.phantom.cohort import make_cohort
from pipelines.study import Exclusion

_FULL_SIZE = 2_000  # files that figures are asked for; fewer are not written down
_FILES_A_FOLDER = 500
_SETTLED_SECONDS = 2.5  # an index does not keep what was written just now
_KEYS = Pseudonyms(b"a salt for benchmarks only")
_LEFT_OUT = (1_000, 10_000, 100_000)
_REPORT = (
    "FINDINGS: There is a nodule of {size} mm in the left upper lobe. No pneumothorax. The heart is of normal size. "
    "Small right pleural effusion. IMPRESSION: Nodule, {size} mm; follow-up of {study} is recommended."
)


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


def measure_check(folder: Path, count: int) -> list[str]:
    """Check the whole folder with a table of reports and one of boxes: without an index, then by it."""
    with (folder / "reports.csv").open("w") as reports, (folder / "boxes.csv").open("w") as boxes:
        reports.write("filename,report\n")
        boxes.write("image,label,x,y,width,height\n")
        for index in range(count):
            reports.write(f'{index:06d},"{_REPORT.format(size=4 + index % 300 / 10, study=index)}"\n')
            boxes.write(f"{index:06d},nodule,1,1,3,3\n")
    config = InputsConfig(
        dicom_dir=folder / "many",
        reports=folder / "reports.csv",
        boxes=(folder / "boxes.csv",),
        index=folder / "check.sqlite",
    )
    lines = [
        f"`check` with {count:,} reports and as many boxes, on all processors:",
        "",
        "| check | seconds |",
        "|---|---|",
    ]
    for name in ("first", "second, by the index"):
        start = time.perf_counter()
        found = check(config, _KEYS)
        lines.append(f"| {name} | {time.perf_counter() - start:.1f} |")
        if found.counts["studies"] != count:
            raise RuntimeError(f"{found.counts['studies']} of {count} studies joined")
    return lines


def measure_failures() -> list[str]:
    """Mask the names in lists of files that were left out, each of which its reason names."""
    lines = ["Files left out, their names put into keys:", "", "| files | seconds |", "|---|---|"]
    for count in _LEFT_OUT:
        names = [f"Doe {index:06d}.dcm" for index in range(count)]
        left_out = [
            Exclusion(source=f"/d/{name}", stage="scan", reason=f"{name} is cut", failed=True) for name in names
        ]
        start = time.perf_counter()
        failure_records(left_out, [Path("/d")], _KEYS, show_phi=False)
        lines.append(f"| {count:,} | {time.perf_counter() - start:.2f} |")
    return lines


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
            "",
            *measure_check(Path(folder), count),
            "",
            *measure_failures(),
        ]
    print("\n".join(lines))
    if count >= _FULL_SIZE:
        write_section("bench_scan", command=command_line("bench_scan"), lines=lines)


if __name__ == "__main__":
    main()
