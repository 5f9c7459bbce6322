"""Short runs over a cohort of phantoms."""

from pathlib import Path

from run_configs import run_config

from audit.configuration import RunConfig

FAST = {"model": "phantom", "device": "cpu", "steps": 2, "samples": 2, "controls": 0}


def settings_for(cohort: Path, out: Path, **changes: object) -> RunConfig:
    values = {
        "dicom_dir": cohort / "dicom",
        "reports": cohort / "reports",
        "boxes": (cohort / "boxes.csv",),
        "out": out,
        **FAST,
        **changes,
    }
    return run_config(**values)


def command(cohort: Path, out: Path, *more: str) -> list[str]:
    flags = ["--dicom-dir", str(cohort / "dicom"), "--reports", str(cohort / "reports"), "--out", str(out)]
    flags += ["--boxes", str(cohort / "boxes.csv"), "--model", "phantom", "--set", "all.steps=2"]
    flags += ["--set", "all.samples=2"]
    flags += ["--controls", "0", "--device", "cpu"]
    return ["run", *flags, *more]
