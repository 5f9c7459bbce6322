"""The cohort of an experiment: files or phantoms made for it, gathered as for a run, and limited."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from audit.attribution.engine import pair_seed
from audit.configuration import CohortConfig, InputsConfig
from audit.execution.prepare import Progress
from audit.pipeline.inputs import Inputs, gather
from audit.privacy.messages import Message, messages_of
from audit.privacy.pseudonyms import Pseudonyms
from pipelines.errors import CohortError
from pipelines.phantom.cohort import make_cohort
from pipelines.quoting import counted
from pipelines.study import Exclusion

__all__ = ["ExperimentInputs", "open_inputs"]

_COLUMNS = 320  # px, width of the radiographs: twice the input of the phantom encoder


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentInputs:
    """The studies of an experiment and the folders that they were found in."""

    inputs: Inputs
    folders: Sequence[Path]

    def messages(self, left_out: Sequence[Exclusion], keys: Pseudonyms) -> tuple[Message, ...]:
        """Return messages for a terminal: what is wrong with the inputs and how to correct it."""
        return messages_of(left_out, self.folders, keys, show_phi=False)


@contextmanager
def open_inputs(config: CohortConfig, *, progress: Progress, out: Path | None = None) -> Iterator[ExperimentInputs]:
    """Gather the studies of an experiment, or make its phantoms, which exist as long as the context lasts.

    With a limit these are some of the studies; which ones depends on the seed and the studies alone.

    Raises:
        InputError: a folder or file is missing or of no known format, or the index would lie among images or results.
        CohortError: there is nothing to audit.
    """
    with _files(config, progress) as files:
        inputs = gather(files, out=out, progress=lambda done, total: progress("Reading headers", done, total))
        inputs = _limited(_with_phrases(inputs), files.limit, config.method.seed)
        yield ExperimentInputs(inputs=inputs, folders=files.folders)


@contextmanager
def _files(config: CohortConfig, progress: Progress) -> Iterator[InputsConfig]:
    if isinstance(config.cohort, InputsConfig):
        yield config.cohort
        return
    with TemporaryDirectory() as name:
        folder, count = Path(name), config.cohort
        progress("Making phantoms", 0, count)
        make_cohort(folder, count=count, seed=config.method.seed, columns=_COLUMNS, brief=True)
        progress("Making phantoms", count, count)
        yield InputsConfig(
            dicom_dir=folder / "dicom", reports=folder / "reports", boxes=(folder / "boxes.csv",), index="none"
        )


def _with_phrases(inputs: Inputs) -> Inputs:
    """Leave out the studies that report nothing abnormal: experiments are about heat, and these have none.

    Raises:
        CohortError: no study is left.
    """
    studies = tuple(study for study in inputs.studies if any(case.phrases for case in study.cases))
    if not studies:
        raise CohortError(
            f"none of {counted(len(inputs.studies), 'report')} names a finding as present or uncertain, so there is no "
            "heat to measure: add studies with findings"
        )
    return replace(inputs, studies=studies)


def _limited(inputs: Inputs, limit: int | None, seed: int) -> Inputs:
    if limit is None or limit >= len(inputs.studies):
        return inputs
    drawn = sorted(study.study_instance_uid for study in inputs.studies)
    drawn.sort(key=lambda uid: pair_seed(seed, "limit", uid))
    chosen = frozenset(drawn[:limit])
    return replace(inputs, studies=tuple(study for study in inputs.studies if study.study_instance_uid in chosen))
