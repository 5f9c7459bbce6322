"""Load: decodes the images of each study and prepares them for the model, ahead of it and in several processes."""

import logging
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from audit.encoders.protocol import DualEncoder
from audit.logbook.events import scrubbed_trace
from audit.machine import Stopwatch
from audit.privacy.pseudonyms import Pseudonyms
from pipelines.errors import InputError, WorkerError
from pipelines.image_file import Picture
from pipelines.limits import NEEDS_MORE_MEMORY, is_out_of_memory
from pipelines.privacy.burned_in import BurnedIn
from pipelines.study import Case, Context, Exclusion, Image, Phrase, Report, Study, View
from pipelines.transforms import LoadedCase, load_cases, place_image

__all__ = ["LoadedStudy", "failed_study", "load_picture", "loaded_studies", "phrase_texts"]

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
        """Return the number of pairs of image and sentence; an image without a sentence counts as one."""
        return sum(max(1, len(phrase_texts(case))) for case in self.cases)


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


def load_picture(name: str, texts: Sequence[str], read: Callable[[], Picture], encoder: DualEncoder) -> LoadedStudy:
    """Load an image from outside a DICOM cohort (a picture of a table, a rendered phantom) as a study of its own.

    Args:
        name: identifies the image and, with a phrase, the noise of the pair.
        texts: the phrases to explain it with.
        read: returns the picture, or raises an InputError whose message becomes the reason of the exclusion.
        encoder: the model.
    """
    began = time.perf_counter()
    try:
        picture = read()
    except InputError as error:
        left_out = Exclusion(source=name, stage="pixels", reason=str(error), failed=True)
        return LoadedStudy(study=_study_of(name, texts, shape=(0, 0)), cases=(), left_out=(left_out,))
    study = _study_of(name, texts, shape=picture.shape)
    inputs, placement = place_image(picture.display, encoder.preprocessing)
    loaded = LoadedCase(
        case=study.cases[0],
        picture=b"",  # shown on no page
        valid=picture.valid,
        steps=picture.steps,
        placement=placement,
        inputs=inputs,
        seconds=time.perf_counter() - began,
    )
    return LoadedStudy(study=study, cases=(loaded,), left_out=())


def _study_of(name: str, texts: Sequence[str], *, shape: tuple[int, int]) -> Study:
    image = Image(
        path=Path(name),
        rows=shape[0],
        columns=shape[1],
        view=View.UNKNOWN,
        view_source="",
        spacing_mm=None,
        spacing_source=None,
        horizontally_flipped=False,
        sop_instance_uid=name,
        study_instance_uid=name,
        patient_id="",
        accession_number="",
        sex=None,
        age_years=None,
        series_description="",
    )
    phrases = tuple(Phrase(text=text, section="", finding=None, context=Context.PRESENT) for text in texts)
    return Study(
        study_instance_uid=name,
        report=Report(source=name, text=""),
        report_joined_by="",
        cases=(Case(image=image, phrases=phrases, boxes=()),),
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
