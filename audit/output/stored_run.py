"""The results of a run in Python: what its folder OUT holds, as records and as pandas data frames."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipelines.errors import DamagedError
from reports.record import StudyRecord
from reports.results_folder import read_record, read_run, study_folders
from reports.run_record import RunRecord

__all__ = ["StoredRun", "load_run"]

_SCORES = "scores.parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """A run whose results lie in OUT."""

    out: Path
    record: RunRecord  # run.json

    @property
    def verdict(self) -> pd.DataFrame:
        """A row per method: the verdict, and the figures that it rests on."""
        return pd.DataFrame([verdict.model_dump() for verdict in self.record.verdicts])

    @property
    def scores(self) -> pd.DataFrame:
        """A row per image, phrase, method and score, as in ``scores.parquet``.

        Raises:
            DamagedError: the table is missing or cannot be read.
        """
        try:
            return pd.read_parquet(self.out / _SCORES)
        except (OSError, ValueError) as error:
            raise DamagedError(
                f"{self.out / _SCORES}: cannot be read; run again with the same configuration"
            ) from error

    @property
    def summaries(self) -> pd.DataFrame:
        """A row per method, score and finding: the estimate with its 95 % interval over patients."""
        return pd.DataFrame([summary.model_dump(exclude={"differences"}) for summary in self.record.summaries])

    def studies(self) -> Iterator[StudyRecord]:
        """Read the record of each study, in the order of their keys.

        Raises:
            DamagedError: a record is missing or damaged.
        """
        return (read_record(folder) for folder in study_folders(self.out))


def load_run(out: Path | str) -> StoredRun:
    """Read the folder OUT of a run.

    Raises:
        DamagedError: it holds no ``run.json``, or one that is damaged or of another version.
    """
    folder = Path(out)
    return StoredRun(out=folder, record=read_run(folder))
