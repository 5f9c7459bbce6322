"""Load: decodes the images of each study and prepares them for the model, ahead of it and in several processes."""

import logging
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import islice

from audit.encoders.protocol import DualEncoder
from audit.logbook.events import scrubbed_trace
from audit.machine import Stopwatch
from audit.privacy.pseudonyms import Pseudonyms
from pipelines.errors import WorkerError
from pipelines.limits import NEEDS_MORE_MEMORY, is_out_of_memory
from pipelines.privacy.burned_in import BurnedIn
from pipelines.study import Exclusion, Study
from pipelines.transforms import LoadedCase, load_cases

__all__ = ["LoadedStudy", "failed_study", "loaded_studies", "phrase_texts"]

_log = logging.getLogger(__name__)


def phrase_texts(loaded: LoadedCase) -> list[str]:
    """Return the sentences for an image, each once, because one may name two findings."""
    return list(dict.fromkeys(phrase.text for phrase in loaded.case.phrases))


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedStudy:
    """A study with the pixels of its images."""

    study: Study
    cases: tuple[LoadedCase, ...]
    left_out: tuple[Exclusion, ...]

    @property
    def pairs(self) -> int:
        """Return the number of pairs of image and sentence."""
        return sum(len(phrase_texts(case)) for case in self.cases)


def loaded_studies(
    studies: Sequence[Study],
    encoder: DualEncoder,
    clock: Stopwatch,
    *,
    workers: int,
    burned_in: BurnedIn = BurnedIn.KEEP,
) -> Generator[LoadedStudy, None, None]:
    """Load studies in order; with ``workers``, several processes decode ahead."""
    cases = [case for study in studies for case in study.cases]
    loading = load_cases(cases, encoder.preprocessing, workers=workers, burned_in=burned_in)
    for study in studies:
        items = list(islice(loading, len(study.cases)))
        loaded = tuple(item for item in items if isinstance(item, LoadedCase))
        clock.add({"decode": sum(case.seconds for case in loaded)})
        yield LoadedStudy(
            study=study, cases=loaded, left_out=tuple(item for item in items if isinstance(item, Exclusion))
        )


def failed_study(study: Study, keys: Pseudonyms, error: Exception) -> Exclusion:
    """Explain why a study was not audited: its process died repeatedly, memory was short, or an error of our own.

    The log has the traceback, without values.
    """
    key, trace = keys.key("study", study.study_instance_uid), scrubbed_trace(error)
    values = {"study": key, "error": type(error).__name__, "trace": trace}
    _log.error("study %s failed: %s at %s", key, values["error"], ", ".join(trace), extra={"event_values": values})
    if isinstance(error, WorkerError):
        reason = str(error)
    elif is_out_of_memory(error):
        reason = f"the audit of this study {NEEDS_MORE_MEMORY}"
    else:
        reason = f"the audit of this study failed ({type(error).__name__}); see the log, and report it as a bug"
    return Exclusion(source=study.cases[0].image.source, stage="audit", reason=reason, failed=True)
