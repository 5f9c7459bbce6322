"""``m2ib-audit run`` as a benchmark starts it: in a process of its own."""

import os
import sys
from pathlib import Path

from audit.privacy.pseudonyms import SALT_VARIABLE

__all__ = ["audit_command", "audit_environment", "failure_of"]


def audit_command(cohort: Path, out: Path, *flags: str) -> list[str]:
    """Give the command that audits a cohort of phantoms into ``out``."""
    inputs = ["--dicom-dir", str(cohort / "dicom"), "--reports", str(cohort / "reports")]
    boxes = ["--boxes", str(cohort / "boxes.csv")]
    return [sys.executable, "-m", "audit.cli", "run", *inputs, *boxes, "--out", str(out), *flags]


def audit_environment() -> dict[str, str]:
    """Give the environment it runs in: with a salt, so that none is written to the home folder."""
    return {**os.environ, SALT_VARIABLE: "phantoms need no secret salt"}


def failure_of(status: int, said: str) -> str:
    """Say in one line how a command ended: its status, and what it said last."""
    lines = said.strip().splitlines()
    return f"the run ended with {status}: {lines[-1].strip() if lines else 'it said nothing'}"
