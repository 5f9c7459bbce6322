"""Records of a whole made-up cohort."""

from dataclasses import dataclass, field, replace
from datetime import timedelta

import numpy as np
from made_up_records import (
    EFFUSION,
    FLAT,
    HEART,
    MODEL,
    MOMENT,
    NODULE,
    REFERENCES,
    SCORES,
    SETTINGS,
    SOFTWARE,
    Claim,
    MadeUp,
    make_study,
)

from reports.run_record import FailureRecord, RunRecord, ScoreSummary, StageSeconds


@dataclass
class MadeUpCohort:
    """A run with its studies."""

    run: RunRecord
    studies: list[MadeUp] = field(default_factory=list)


def make_cohort(count: int = 24, *, hits: float = 0.85, picture_side: int = 128, **changes: object) -> MadeUpCohort:
    """Make a run of ``count`` studies whose summaries are plausible for the share of ``hits``."""
    rng = np.random.default_rng(3)
    studies = []
    for number in range(count):
        drawn = _drawn(rng, (EFFUSION, NODULE, HEART, FLAT))
        claims = tuple(_varied(claim, rng, at_box=bool(rng.random() < hits)) for claim in drawn)
        studies.append(
            make_study(f"{int(rng.integers(2**60)):016x}", claims, seed=10 * number, picture_side=picture_side)
        )
    phrases = sum(len(image.phrases) for study in studies for image in study.record.images)
    fields: dict[str, object] = {
        "created": MOMENT,
        "finished": MOMENT + timedelta(seconds=73),
        "model": MODEL,
        "method": "m2ib",
        "settings": SETTINGS,
        "seed": 7,
        "device": "cpu, 2 threads",
        "software": SOFTWARE,
        "phantom_images": True,
        "patient_data_shown": False,
        "counts": {
            "files": count + 3,
            "studies": count + 1,
            "audited": count,
            "failed": 1,
            "left out": 2,
            "phrases": phrases,
        },
        "timings": (
            StageSeconds(stage="scan", seconds=0.8),
            StageSeconds(stage="prepare", seconds=12.4),
            StageSeconds(stage="attribute", seconds=41.9),
            StageSeconds(stage="pages", seconds=3.1),
        ),
        "summaries": tuple(_summaries(hits)),
        "failures": (
            FailureRecord(
                source="dicom/0017.dcm",
                stage="pixels",
                reason="pixel data ends after 81,920 of 2,097,152 bytes: copy the file again",
                failed=True,
            ),
            FailureRecord(
                source="dicom/0003_lat.dcm",
                stage="view",
                reason="lateral view (ViewPosition LL): pass --views all to audit it",
                failed=False,
            ),
            FailureRecord(
                source="reports/9001.txt",
                stage="join",
                reason="no image has this study: check the name or the folder",
                failed=False,
            ),
        ),
    }
    return MadeUpCohort(run=RunRecord.model_validate(fields | changes), studies=studies)


def _drawn(rng: np.random.Generator, claims: tuple[Claim, ...]) -> tuple[Claim, ...]:
    kept = tuple(claim for claim in claims if rng.random() < 0.6)
    return kept or claims[:1]


def _varied(claim: Claim, rng: np.random.Generator, *, at_box: bool) -> Claim:
    changes: dict[str, object] = {"cosine": round(float(rng.uniform(0.15, 0.45)), 3)}
    if claim.boxes:
        top, left, height, width = claim.boxes[0]
        changes["heat_at"] = (top + height / 2, left + width / 2) if at_box else (0.5, 0.5)
    return replace(claim, **changes)


def _summaries(hits: float) -> list[ScoreSummary]:
    rates = {"m2ib": hits, **REFERENCES}
    summaries = []
    for method, rate in rates.items():
        for place, score in enumerate(SCORES):
            estimate = rate if place < 2 else rate * 0.6
            for finding, count in ((None, 55), ("pleural effusion", 31), ("nodule", 22), ("pneumothorax", 2)):
                half = 0.5 / np.sqrt(count)
                summaries.append(
                    ScoreSummary(
                        method=method,
                        score=score,
                        finding=finding,
                        averaging="micro",
                        estimate=estimate,
                        low=max(0.0, estimate - half),
                        high=min(1.0, estimate + half),
                        scored=count,
                        unscored=6 if finding is None else 0,
                        patients=min(count, 24),
                    )
                )
            summaries.append(
                ScoreSummary(
                    method=method,
                    score=score,
                    finding=None,
                    averaging="macro",
                    estimate=estimate * 0.97,
                    low=max(0.0, estimate * 0.97 - 0.08),
                    high=min(1.0, estimate * 0.97 + 0.08),
                    scored=55,
                    unscored=6,
                    patients=24,
                )
            )
        summaries.append(
            ScoreSummary(
                method=method,
                score=SCORES[0],
                finding="cardiomegaly",
                averaging="micro",
                estimate=None,
                low=None,
                high=None,
                scored=0,
                unscored=6,
                patients=0,
            )
        )
    return summaries
