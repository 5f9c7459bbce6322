"""The runs of these tests: over four phantoms, with one step of the phantom encoder."""

from pathlib import Path

from out_trees import tree_of
from pydicom import dcmread
from run_configs import FAST, run_config

from audit.configuration import RunConfig
from audit.execution.run import RunResult, run

__all__ = ["COMPRESSED", "FIRST", "STUDIES", "asked", "because", "change_image", "command", "fresh", "spoil_codestream"]

STUDIES = 4
FIRST, COMPRESSED = "phantom-00001", "phantom-00004"


def asked(cohort: Path, out: Path, **changes: object) -> RunConfig:
    values = {
        "dicom_dir": cohort / "dicom",
        "reports": cohort / "reports",
        "boxes": (cohort / "boxes.csv",),
        "out": out,
        "model": "phantom",
        "device": "cpu",
        "steps": 1,
        "samples": 1,
        "controls": 0,
        "words": False,
    }
    return run_config(**values | changes)


def command(cohort: Path, out: Path, *more: str) -> list[str]:
    flags = ["--dicom-dir", str(cohort / "dicom"), "--reports", str(cohort / "reports"), "--out", str(out)]
    flags += ["--boxes", str(cohort / "boxes.csv"), *FAST]
    return ["run", *flags, "--controls", "0", "--no-words", *more]


def because(result: RunResult) -> dict[str, int]:
    """Why studies were done again, and how many."""
    return {"; ".join(group.because): len(group.studies) for group in result.record.history.done_again}


def fresh(cohort: Path, folder: Path, **changes: object) -> dict[str, bytes]:
    """The tree of a run into a new OUT."""
    run(asked(cohort, folder / "fresh", **changes))
    return tree_of(folder / "fresh", stamps=False)


def change_image(cohort: Path) -> None:
    path = cohort / "dicom" / f"{FIRST}.dcm"
    dataset = dcmread(path)
    pixels = bytearray(dataset.PixelData)
    pixels[len(pixels) // 2] ^= 7
    dataset.PixelData = bytes(pixels)
    dataset.save_as(path)


def spoil_codestream(path: Path) -> None:
    """Leave the header as it is, so that the file fails when its pixels are read."""
    content = bytearray(path.read_bytes())
    start = content.index(b"\xff\x4f\xff\x51")  # SOC and SIZ of JPEG 2000
    content[start : start + 64] = bytes(64)
    path.write_bytes(content)
