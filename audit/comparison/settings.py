"""What one comparison is asked to do, and the methods that it asks for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from audit.attribution.engine import Method
from audit.attribution.kernel_shap import KernelSHAP
from audit.attribution.m2ib import M2IB
from audit.attribution.methods import METHODS
from audit.attribution.numbers import GivenNumbers, build_method, numbers_by_method
from audit.attribution.rise import RISE
from pipelines.errors import AuditError
from pipelines.frames import Frames
from pipelines.geometry import Fit

__all__ = ["ALL", "CohortFiles", "ComparisonSettings", "baseline_of", "build_methods", "method_names"]

ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortFiles:
    """The cohort that the methods are compared on."""

    dicom_dir: Path
    reports: Path
    boxes: tuple[Path, ...] = ()  # files of annotations, and folders of them
    index: Path | None = None  # keeps what the headers say for the next scan; holds patient and accession numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonSettings:
    """One ``m2ib-audit compare``, as the command line hands it over."""

    out: Path
    cohort: CohortFiles | int  # files, or how many held-out phantoms to make
    methods: tuple[str, ...] = (ALL,)
    model: str = "biomedclip"
    device: str = "auto"
    fit: Fit | None = Fit.LETTERBOX  # None: as the model's own files say
    all_views: bool = False
    frames: Frames = Frames.FIRST
    limit: int | None = None  # studies, drawn by the seed
    faithfulness: int = 40  # phrases whose heat is put to the test of faithfulness
    masks: int = 100  # a pair, of the methods that perturb the image
    numbers: Mapping[str, Mapping[str, float | str]] = field(default_factory=dict)  # by method: for that one alone
    seed: int = 0
    overwrite: bool = False


def method_names(given: Sequence[str]) -> tuple[str, ...]:
    """List the methods that are asked for, once each: names, names with commas between, or ``all``.

    Raises:
        AuditError: none is given, or one is unknown.
    """
    names = [name.strip() for text in given for name in text.split(",") if name.strip()]
    if not names:
        raise AuditError(f"--methods names none: give all, or some of {', '.join(METHODS)}")
    unknown = [name for name in names if name != ALL and name not in METHODS]
    if unknown:
        raise AuditError(f"--methods {unknown[0]}: unknown; give all, or some of {', '.join(METHODS)}")
    return tuple(METHODS) if ALL in names else tuple(dict.fromkeys(names))


def baseline_of(names: Sequence[str]) -> str:
    """Name the method that the others are compared with: M2IB where it takes part, else the first."""
    return M2IB.name if M2IB.name in names else names[0]


def build_methods(
    names: Sequence[str], *, masks: int, numbers: Mapping[str, Mapping[str, float | str]] | None = None
) -> tuple[Method, ...]:
    """Build methods with their own numbers, but for those that are given and for the masks that perturb the image.

    Raises:
        AuditError: too few masks, a number of a method that is not chosen, or a number out of its range.
    """
    if masks < 2:
        raise AuditError(f"--masks {masks}: RISE and KernelSHAP need 2 at least")
    perturbing = {RISE.name: {"masks": masks}, KernelSHAP.name: {"coalitions": masks}}
    given = numbers_by_method(names, GivenNumbers(own=numbers or {}))
    return tuple(build_method(name, {**perturbing.get(name, {}), **given[name]}) for name in names)
