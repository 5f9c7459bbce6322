"""Series of audits with made-up values: in memory, and as folders that a run would have left."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
from made_up_cohort import make_cohort

from audit.logbook import AuditLog
from audit.logbook.chain import DONE, result_checksums
from audit.metrics.summary import score_table
from audit.pipeline.score_table import score_rows
from audit.pipeline.write import write_run, write_study
from audit.watching.reference_mean import Cases

SALT = b"a salt of the tests of watching"


def hits_of(share: float, *, cases: int = 100, name: str = "a") -> Cases:
    """Make as many hits as the share says, spread evenly over patients with two cases each."""
    places = np.arange(cases)
    hits = (np.floor((places + 1) * share + 1e-9) > np.floor(places * share + 1e-9)).astype(float)
    return Cases(values=hits, patients=np.array([f"{name}-{place % (cases // 2)}" for place in places]))


def hit_series(*shares: float, cases: int = 100) -> list[Mapping[str, Cases]]:
    return [{"hit rate": hits_of(share, cases=cases, name=str(place))} for place, share in enumerate(shares)]


def written_run(folder: Path, *, hits: float = 0.85, days: Sequence[date] = (), **changes: object) -> Path:
    """Write a run of 12 studies as finished; ``days`` are those of its studies, ``changes`` fields of its record."""
    made = make_cohort(12, hits=hits, picture_side=32, **changes)
    (folder / "studies").mkdir(parents=True)
    log = AuditLog(folder, SALT)
    log.append("run started")
    rows: list[dict[str, object]] = []
    for place, study in enumerate(made.studies):
        day = days[place % len(days)] if days else None
        images = tuple(replace(image, study_date=day) for image in study.record.images)
        record = study.record.model_copy(update={"images": images})
        checksum = write_study(folder, record, salt=SALT, heats=study.heats, pictures=study.pictures)
        log.append(DONE, study=record.key, record_sha256=checksum)
        rows += score_rows(images, study=record.key, patient=record.key)
    write_run(folder, made.run, score_table(rows), salt=SALT)
    log.append("run finished", **result_checksums(folder))
    return folder
