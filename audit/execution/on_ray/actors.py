"""The classes that run on the nodes: one per stage, plain Python; :mod:`machines` makes them Ray actors.

Each method returns its results one by one and, last, a small summary: results stay in the nodes' object stores and pass
from actor to actor, and the run itself only fetches summaries.
"""

import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from audit.configuration import RunConfig
from audit.controls.embedding import Embedder
from audit.controls.plan import ControlPlan
from audit.execution.prepare import load_model
from audit.execution.workers import until_stopped
from audit.machine import Stopwatch
from audit.pipeline.explain import ExplainedStudy, Explainer, image_controls_of, methods_of
from audit.pipeline.finished import FinishedStudy
from audit.pipeline.load import LoadedStudy
from audit.pipeline.score import Finisher
from audit.privacy.pseudonyms import Pseudonyms
from pipelines.errors import ModelError
from pipelines.privacy.burned_in import BurnedIn
from pipelines.processes import keep_to_one_thread
from pipelines.study import Exclusion, Study
from pipelines.transforms import LoadedCase, Preprocessing, load_cases

__all__ = ["DecodeActor", "ExplainActor", "FinishActor", "Reading", "Recipe", "TaskSummary"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSummary:
    """The run's information about a finished task."""

    pairs: int = 0  # of image and sentence, in a study that was decoded
    seconds: Mapping[str, float]  # by stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The settings with which an actor explains like the run itself."""

    settings: RunConfig
    sha256: str  # of the run's weights: those of every node must be the same
    controls: ControlPlan
    faithfulness: ControlPlan
    findings: tuple[str, ...]  # that are asserted and denied of every image
    keys: Pseudonyms


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The settings for reading pixels."""

    preprocessing: Preprocessing
    burned_in: BurnedIn
    folder: Path  # of all images


class DecodeActor:
    """Reads pixels and brings them into the model's square; needs no model."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def start(self) -> None:
        """Signal that the process has started."""
        _quiet()

    def work(self, study: Study) -> tuple[LoadedStudy, TaskSummary]:
        """Decode one study.

        Raises:
            InputError: the folder of images is missing on this node.
        """
        items = list(load_cases(study.cases, self._reading.preprocessing, burned_in=self._reading.burned_in))
        loaded = LoadedStudy(
            study=study,
            cases=tuple(item for item in items if isinstance(item, LoadedCase)),
            left_out=tuple(item for item in items if isinstance(item, Exclusion)),
        )
        deque(until_stopped((each for each in [loaded]), self._reading.folder, lambda: False))
        seconds = {"decode": sum(case.seconds for case in loaded.cases)}
        return loaded, TaskSummary(pairs=loaded.pairs, seconds=seconds)


class ExplainActor:
    """Holds the model on one device."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._clock = Stopwatch()
        self._explainer: Explainer | None = None

    def start(self) -> None:
        """Load the model.

        Raises:
            ModelError: it is not on this node, or is another one.
            AuditError: the device is not on this node.
        """
        _quiet()
        recipe, settings = self._recipe, self._recipe.settings
        encoder, device = load_model(settings.model)
        if encoder.info.sha256 != recipe.sha256:
            raise ModelError(
                f"--model {settings.model.model}: a node has other weights (sha256 {encoder.info.sha256[:12]}) than "
                f"the run ({recipe.sha256[:12]}); give every node the same folder"
            )
        self._explainer = Explainer(
            encoder=encoder,
            embedder=Embedder(encoder, recipe.findings),
            image_controls=image_controls_of(settings, recipe.controls),
            methods=methods_of(settings, encoder),
            controls=recipe.controls,
            faithfulness=recipe.faithfulness,
            words=settings.method.words,
            word_references=settings.method.words,
            device=device,
            keys=recipe.keys,
            seed=settings.method.seed,
            clock=self._clock,
        )

    def work(self, *loaded: LoadedStudy) -> tuple[ExplainedStudy | TaskSummary, ...]:
        """Explain a batch of studies, in their order."""
        if self._explainer is None:
            raise ValueError("the actor was not started")
        self._clock.seconds.clear()
        explained = list(self._explainer.explained(iter(loaded)))
        return (*explained, TaskSummary(seconds=dict(self._clock.seconds)))


class FinishActor:
    """Scores a study and writes its folder; the output does not depend on the worker or on repetition."""

    def __init__(self, finisher: Finisher) -> None:
        self._finisher = finisher

    def start(self) -> None:
        """Signal that the process has started."""
        _quiet()

    def work(self, explained: ExplainedStudy) -> FinishedStudy:
        """Finish one study.

        Raises:
            OutputError: OUT cannot be written from this node.
        """
        return self._finisher.finish(explained)


def _quiet() -> None:
    """Keep to one thread, since an actor has one processor, and let warnings go where a local run's go: to the log."""
    keep_to_one_thread()
    logging.captureWarnings(capture=True)
