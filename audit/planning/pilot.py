"""What a pilot run says about rates, discordance and clustering."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from audit.metrics.against_blind import best_blind, filled, hits_with_blind, values_of
from audit.planning.clustering import intraclass_correlation
from pipelines.errors import OutputError
from reports.results_folder import damaged_tables, read_run
from reports.run_record import RunRecord
from reports.score_catalogue import BLIND_METHODS, POINTING

__all__ = ["Pilot", "read_pilot"]

_FEW = 30  # patients with several phrases, below which a correlation is hardly known
_COLUMNS = ["study", "image", "phrase", "finding", "patient", "method", "score", "value"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pilot:
    """Measured values by their names in :class:`audit.planning.sizes.Assumptions`, and their number of cases."""

    method: str  # whose hits were counted
    measured: dict[str, float]
    patients: int
    studies: int
    phrases: int
    blind: str | None  # the best content-blind map
    notes: tuple[str, ...] = ()


def read_pilot(out: Path, *, method: str | None = None, subgroup: tuple[str, str], other: Path | None = None) -> Pilot:
    """Measure rates, discordance and clustering in the results of a run.

    Args:
        out: folder of the run, of model A.
        method: whose hits are counted; None: the run's main method.
        subgroup: attribute and value whose share of the phrases is measured.
        other: folder of a run of model B on the same studies, by the same user.

    Raises:
        OutputError: the results cannot be read, were changed, or hold no scored phrase of the method.
    """
    run, hits = _hits(out, method)
    name = method or run.method
    table = hits_with_blind(hits, name)
    values, patients = table["value"].to_numpy(dtype=float), table["patient"].tolist()
    own = hits[(hits["method"] == name) & hits["value"].notna()]
    sizes = np.unique(np.asarray(patients), return_counts=True)[1]
    studies = int(own["study"].nunique())
    measured = {
        "rate": _rate(values),
        "phrases_per_study": len(values) / studies,
        "studies_per_patient": studies / len(sizes),
        "variation": float(sizes.std() / sizes.mean()),
    }
    notes = []
    if float(values.mean()) in {0.0, 1.0}:
        notes.append("all phrases of the pilot have the same outcome: half a hit and half a miss are added to its rate")
    icc = intraclass_correlation(values, patients)
    if icc is None:
        notes.append("no patient of the pilot has two phrases: the correlation within patients is assumed")
    else:
        measured["icc"] = _within_bounds(icc)
        if (sizes > 1).sum() < _FEW:
            notes.append(
                f"only {int((sizes > 1).sum())} patients of the pilot have several phrases: their correlation is not "
                "well known, state a cautious one with --assume icc=0.2"
            )
    best = best_blind(table)
    if best is not None:
        reference = filled({each: table[each].to_numpy(dtype=float) for each in BLIND_METHODS})[best.method]
        measured |= _of_pairs(values, reference, patients, blind=True)
    measured |= _share_of(run, name, subgroup)
    if other is not None:
        measured |= _of_models(table, other, method)
    return Pilot(
        method=name,
        measured=measured,
        patients=len(sizes),
        studies=studies,
        phrases=len(values),
        blind=None if best is None else best.method,
        notes=tuple(notes),
    )


def _hits(out: Path, method: str | None) -> tuple[RunRecord, pd.DataFrame]:
    run = read_run(out)
    damaged = damaged_tables(out, run)
    if damaged:
        raise OutputError(f"{out}: {damaged[0]}")
    try:
        table = pd.read_parquet(out / "scores.parquet", columns=_COLUMNS, filters=[("score", "==", POINTING)])
    except (OSError, ValueError, KeyError) as error:
        raise OutputError(f"{out / 'scores.parquet'} cannot be read: name a folder that a run has completed") from error
    if not ((table["method"] == (method or run.method)) & table["value"].notna()).any():
        raise OutputError(f"{out} has no scored phrase of {method or run.method}: name a run with boxes, or its method")
    return run, table


def _of_pairs(values: np.ndarray, reference: np.ndarray, patients: list[str], *, blind: bool) -> dict[str, float]:
    both = ~np.isnan(reference)
    differences = (values - reference)[both]
    icc = intraclass_correlation(
        differences, [each for each, is_scored in zip(patients, both, strict=True) if is_scored]
    )
    names = ("discordance", "discordance_icc") if blind else ("model_discordance", "model_icc")
    found = {} if icc is None else {names[1]: _within_bounds(icc)}
    squares = float((differences**2).mean())
    if squares > 0.0:
        found[names[0]] = squares
    return {**found, "blind_rate": _rate(reference[both])} if blind else found


def _of_models(table: pd.DataFrame, other: Path, method: str | None) -> dict[str, float]:
    run, hits = _hits(other, method)
    theirs = values_of(hits, method or run.method, POINTING)
    keys = ["image", "phrase", "finding"]
    joined = table[[*keys, "patient", "value"]].merge(theirs[[*keys, "value"]], on=keys, suffixes=("", "_other"))
    if joined.empty:
        raise OutputError(
            f"{other} has no scored phrase in common with the first pilot: audit the same studies as the same user"
        )
    values, reference = (joined[name].to_numpy(dtype=float) for name in ("value_other", "value"))
    return _of_pairs(values, reference, joined["patient"].tolist(), blind=False)


def _share_of(run: RunRecord, method: str, subgroup: tuple[str, str]) -> dict[str, float]:
    groups = [each for each in run.subgroups if (each.attribute, each.method) == (subgroup[0], method)]
    total = sum(each.scored for each in groups)
    own = sum(each.scored for each in groups if each.value == subgroup[1])
    return {"subgroup_share": own / total} if 0 < own < total else {}


def _rate(values: np.ndarray) -> float:
    """Return a mean for planning: half a hit and half a miss are added where all outcomes are the same."""
    mean = float(values.mean())
    return mean if 0.0 < mean < 1.0 else float((values.sum() + 0.5) / (len(values) + 1.0))


def _within_bounds(correlation: float) -> float:
    """Return a correlation for planning: a negative estimate is one of 0 by chance."""
    return min(max(correlation, 0.0), 0.99)
