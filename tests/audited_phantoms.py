"""A small cohort of phantoms and what a short run of the phantom encoder over it leaves."""

from pathlib import Path

import pytest
from run_configs import run_config

from audit.execution.run import run
from pipelines.phantom.cohort import make_cohort

__all__ = ["audit_phantoms"]


def audit_phantoms(folder: Path, *, count: int, seed: int) -> Path:
    """Make a cohort with boxes in ``folder``, audit it in two steps without controls, and give OUT."""
    make_cohort(folder, count=count, seed=seed, columns=200)
    out = folder / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("M2IB_AUDIT_SALT", "a salt for tests only")
        run(
            run_config(
                dicom_dir=folder / "dicom",
                reports=folder / "reports",
                boxes=(folder / "boxes.csv",),
                out=out,
                model="phantom",
                controls=0,
                steps=2,
                samples=2,
                device="cpu",
            )
        )
    return out
