"""What the end of a run costs against the size of the cohort, and what a study takes on the disk.

A few phantoms of realistic size are audited; their rows and records, under new keys, then stand for many. Each size is
measured in a process of its own: bytes and memory are the point, seconds depend on what else the machine does.
"""

import argparse
import json
import pickle
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from audit.configuration import InputsConfig
from audit.metrics.summary import score_table
from audit.pipeline.aggregate import Tally, conclude
from audit.pipeline.finished import FinishedStudy
from audit.pipeline.inputs import gather
from audit.pipeline.score_table import GrowingTable
from audit.pipeline.scoring_context import PatientPseudonyms, ScoringContext
from audit.privacy.pseudonyms import Pseudonyms
from benchmarks.cohorts import make_large_cohort
from benchmarks.commands import audit_command, audit_environment, failure_of
from benchmarks.machine import command_line, peak_memory_gb, write_section
from reports.cohort_page import render_cohort
from reports.record import StudyRecord
from reports.results_folder import read_record, read_run, study_folders

_ROWS, _COLUMNS = 3000, 2500
_BASE = 8  # studies that are really audited
_MB = 1e6


def make_base(folder: Path, *, rows: int, columns: int, steps: int) -> Path:
    """Audit a few phantoms of this size; gives the run's folder.

    Raises:
        RuntimeError: the run failed.
    """
    cohort, out = folder / "cohort", folder / "out"
    make_large_cohort(cohort, count=_BASE, rows=rows, columns=columns, compressed=False)
    command = audit_command(cohort, out, "--model", "phantom", "--device", "cpu", "--set", f"m2ib.steps={steps}")
    done = subprocess.run(command, env=audit_environment(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(failure_of(done.returncode, done.stderr))
    return out


def bytes_a_study(out: Path) -> dict[str, float]:
    """Mean bytes of a study's files, by what they are."""
    found: Counter[str] = Counter()
    folders = study_folders(out)
    for path in (path for folder in folders for path in folder.iterdir()):
        kind = {".html": "page", ".json": "record", ".npz": "heat"}.get(path.suffix, "pictures and masks")
        found[kind] += path.stat().st_size
    return {kind: size / len(folders) for kind, size in sorted(found.items())}


def repeated(base: Sequence[StudyRecord], count: int) -> Iterator[StudyRecord]:
    """Give ``count`` records, each of another study, image and patient."""
    for number in range(count):
        record = base[number % len(base)]
        images = tuple(replace(image, key=f"{image.key}{number}") for image in record.images)
        update = {"key": f"{number:016x}", "patient": f"patient {number}", "images": images}
        yield record.model_copy(update=update)


def measure(out: Path, count: int) -> dict[str, float]:
    """Conclude a cohort of ``count`` studies and make its tables and page, in this process."""
    base, run = [read_record(folder) for folder in study_folders(out)], read_run(out)
    start, loaded = time.perf_counter(), peak_memory_gb()
    table, outcome = GrowingTable(), Tally()
    for record in repeated(base, count):
        finished = FinishedStudy.of(record)
        table.add(finished.rows)
        outcome.add(finished if outcome.audited < len(base) else replace(finished, controls=()))
    gathered = time.perf_counter()
    scores = score_table(table.to_frame())
    del table
    conclude(scores, outcome, [(run.method, "nats")])
    concluded = time.perf_counter()
    scores.to_parquet(out / "many.parquet", index=False)
    with (out / "many.csv").open("w", encoding="utf-8") as stream:
        scores.to_csv(stream, index=False, chunksize=10_000)
    written = time.perf_counter()
    page = render_cohort(run, repeated(base, count))
    return {
        "studies": count,
        "rows": len(scores),
        "gather s": gathered - start,
        "conclude s": concluded - gathered,
        "write s": written - concluded,
        "page s": time.perf_counter() - written,
        "memory MB": (peak_memory_gb() - loaded) * 1e9 / _MB,
        "parquet MB": (out / "many.parquet").stat().st_size / _MB,
        "csv MB": (out / "many.csv").stat().st_size / _MB,
        "page MB": len(page.encode()) / _MB,
    }


def target_bytes(folder: Path, count: int) -> float:
    """Bytes a study of what every process that scores holds of all the others' boxes."""
    cohort = folder / "cohort"
    inputs = gather(
        InputsConfig(
            dicom_dir=cohort / "dicom", reports=cohort / "reports", boxes=(cohort / "boxes.csv",), index="none"
        )
    )
    studies = [
        replace(
            study,
            study_instance_uid=f"{study.study_instance_uid}.{number}",
            cases=tuple(
                replace(case, image=replace(case.image, patient_id=f"patient {number}")) for case in study.cases
            ),
        )
        for number in range(count)
        for study in [inputs.studies[number % len(inputs.studies)]]
    ]
    return len(pickle.dumps(ScoringContext(studies, PatientPseudonyms(Pseudonyms(b"no secret"))))) / count


def table(measured: Sequence[Mapping[str, float]]) -> list[str]:
    """Lay out what was measured of each size."""
    names = list(measured[0])
    lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    return lines + [f"| {' | '.join(f'{each[name]:,.6g}' for name in names)} |" for each in measured]


def main() -> None:
    """Measure each size and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 4_000, 16_000])
    parser.add_argument("--rows", type=int, default=_ROWS)
    parser.add_argument("--columns", type=int, default=_COLUMNS)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--of", type=Path, help=argparse.SUPPRESS)  # a run's folder: measure one size and print it
    given = parser.parse_args()
    if given.of is not None:
        print(json.dumps(measure(given.of, given.sizes[0])))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        out = make_base(folder, rows=given.rows, columns=given.columns, steps=given.steps)
        sizes = bytes_a_study(out)
        command = [sys.executable, "-m", "benchmarks.bench_closing", "--of", str(out), "--sizes"]
        told = [
            subprocess.run([*command, str(count)], capture_output=True, text=True, check=True) for count in given.sizes
        ]
        measured = [json.loads(each.stdout) for each in told]
        phrases = sum(len(image.phrases) for path in study_folders(out) for image in read_record(path).images)
        targets = target_bytes(folder, given.sizes[0])
    films = f"{given.rows} x {given.columns} px"
    lines = [
        f"{_BASE} studies of one film of {films}, {phrases / _BASE:.2f} phrases each, audited by the phantom encoder."
    ]
    lines += ["", "| files of a study | bytes |", "|---|---|"]
    lines += [f"| {kind} | {size:,.0f} |" for kind, size in sizes.items()]
    lines += ["", f"Boxes of all studies, in every process that scores: {targets:,.0f} bytes a study.", ""]
    lines += ["The end of a run, its rows and records standing for many:", "", *table(measured)]
    if (given.rows, given.columns) == (_ROWS, _COLUMNS):
        write_section("bench_closing", command=command_line("bench_closing"), lines=lines)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
