"""The files that a comparison or a check of sanity goes through: a user's own, or phantoms made for it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from audit.comparison.settings import CohortFiles
from pipelines.phantom.cohort import make_cohort

__all__ = ["cohort_files"]

_COLUMNS = 320  # px, width of the films: twice what the phantom encoder sees


@contextmanager
def cohort_files(
    cohort: CohortFiles | int, *, seed: int, progress: Callable[[str, int, int], None]
) -> Iterator[CohortFiles]:
    """Give the cohort's files; of a number, so many phantoms are made and kept while the context lasts."""
    if isinstance(cohort, CohortFiles):
        yield cohort
        return
    with TemporaryDirectory() as name:
        folder = Path(name)
        progress("Making phantoms", 0, cohort)
        make_cohort(folder, count=cohort, seed=seed, columns=_COLUMNS, brief=True)
        progress("Making phantoms", cohort, cohort)
        yield CohortFiles(dicom_dir=folder / "dicom", reports=folder / "reports", boxes=(folder / "boxes.csv",))
