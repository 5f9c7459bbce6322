"""The experiment ``compare``: several methods on the same phrases, with their scores and their cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from pydantic import Field

from audit.attribution.engine import Method
from audit.attribution.kernel_shap import KernelSHAP
from audit.attribution.m2ib import M2IB
from audit.attribution.methods import METHODS, build_method, chosen_methods, numbers_by_method, refusals
from audit.attribution.rise import RISE
from audit.configuration import ALL, CohortConfig, MethodConfig, OutputConfig, ScoringConfig
from audit.controls.plan import ControlPlan
from audit.encoders.protocol import DualEncoder
from audit.execution.prepare import Progress, device_name, load_model, model_record, software_versions
from audit.execution.workers import finished_studies
from audit.experiments.comparison_tables import check_out, compared_scores, write_comparison
from audit.experiments.experiment_inputs import ExperimentInputs, open_inputs
from audit.experiments.method_cost import MeasuredMethod, measured_as
from audit.experiments.method_sanity import check_method, sampled
from audit.faithfulness.cascade import randomisable
from audit.metrics.summary import score_table
from audit.pipeline.aggregate import Tally
from audit.pipeline.explain import Explainer
from audit.pipeline.inputs import index_path
from audit.pipeline.load import loaded_studies
from audit.pipeline.score import ImageRecorder, RowScorer
from audit.pipeline.score_table import GrowingTable
from audit.pipeline.scoring_context import PatientPseudonyms, ScoringContext
from audit.privacy.messages import Message
from audit.privacy.pseudonyms import Pseudonyms, load_salt
from audit.privacy.redaction import Redactor, failure_records
from pipelines.errors import AuditError, ModelError
from pipelines.study import Exclusion, Study
from reports.comparison_record import ComparedMethod, ComparisonRecord
from reports.sanity_record import MethodSanity

__all__ = [
    "ComparisonConfig",
    "ComparisonResult",
    "baseline_of",
    "build_methods",
    "compare",
]


class ComparisonConfig(CohortConfig):
    """The configuration of one ``m2ib-audit compare``."""

    method: MethodConfig = MethodConfig(method=(ALL,))
    scoring: ScoringConfig = ScoringConfig()
    output: OutputConfig
    masks: int = 100  # a pair, of the methods that perturb the image
    word_phrases: int = Field(default=100, ge=0)  # whose words are explained too
    sanity: int = Field(default=0, ge=0)  # phrases on which each method itself is checked


def baseline_of(names: Sequence[str]) -> str:
    """Return the method that the others are compared with: M2IB if it takes part, otherwise the first."""
    return M2IB.name if M2IB.name in names else names[0]


def build_methods(
    names: Sequence[str], *, masks: int, numbers: Mapping[str, Mapping[str, float | str]] = MappingProxyType({})
) -> tuple[Method, ...]:
    """Build methods with their default hyperparameters, except for given ones and the number of masks.

    Raises:
        AuditError: too few masks, a number of a method that is not chosen, or a number out of its range.
    """
    if masks < 2:
        raise AuditError(f"--masks {masks}: RISE and KernelSHAP need 2 at least")
    perturbing = {RISE.name: {"masks": masks}, KernelSHAP.name: {"coalitions": masks}}
    given = numbers_by_method(names, numbers)
    return tuple(build_method(name, {**perturbing.get(name, {}), **given[name]}) for name in names)


_FAITHFULNESS = 40  # phrases, unless the configuration says otherwise


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonResult:
    """The result of a comparison."""

    page: Path
    record: ComparisonRecord
    failed: tuple[Exclusion, ...]  # with the files' own names: for programs, never for a page
    messages: tuple[Message, ...] = ()  # what there is to correct, for a terminal


def compare(config: ComparisonConfig, *, progress: Progress = lambda _stage, _done, _total: None) -> ComparisonResult:
    """Explain a cohort with several methods; write each method's scores, their reference values, and its cost.

    A method that cannot explain the model is listed with its reason and does not stop the others.

    Raises:
        AuditError: the comparison could not start, no method explains the model, or OUT could not be written.
    """
    created, names = datetime.now(UTC), chosen_methods(config.method.method)
    chosen = build_methods(names, masks=config.masks, numbers=config.method.hyperparameters)
    check_out(config.output.out, overwrite=config.output.overwrite)
    if config.inputs is not None:
        index_path(config.inputs, out=config.output.out)  # refused before the model is loaded
    encoder, device = load_model(config.model)
    refused = refusals(chosen, encoder, device)
    methods = tuple(MeasuredMethod(method, device) for method in chosen if method.name not in refused)
    if not methods:
        raise ModelError(f"none of the methods explains {config.model.model}: {next(iter(refused.values()))}")
    explainer = Explainer(
        encoder=encoder,
        methods=methods,
        word_references=True,
        device=device,
        keys=Pseudonyms(load_salt()),
        seed=config.method.seed,
    )
    with open_inputs(config, out=config.output.out, progress=progress) as cohort:
        limit = _FAITHFULNESS if config.scoring.faithfulness is None else config.scoring.faithfulness
        sanity = _sanity(cohort.inputs.studies, explainer, config.sanity, progress)
        sample, with_words = (
            ControlPlan(cohort.inputs.studies, sample=count, seed=config.method.seed)
            for count in (limit, config.word_phrases)
        )
        # Images alone take half the time, and the cost of both is measured.
        explainer = replace(explainer, faithfulness=sample, words_of=with_words)
        table, outcome, left_out = _scored(cohort, explainer, progress)
        failures = failure_records(left_out, cohort.folders, explainer.keys, show_phi=False)
        messages = cohort.messages(left_out, explainer.keys)
    progress("Summarising", 0, 1)
    scores = score_table(table.to_frame())
    baseline = baseline_of([method.name for method in methods])
    record = ComparisonRecord(
        created=created,
        model=model_record(encoder),
        baseline=baseline,
        methods=tuple(_compared(method, methods, refused, encoder) for method in chosen),
        scores=compared_scores(scores, baseline=baseline),
        sanity=sanity,
        seed=config.method.seed,
        device=device_name(device),
        memory=measured_as(device),
        software=software_versions(),
        phantom_images=outcome.phantom_images,
        counts={
            **cohort.inputs.counts,
            "compared": outcome.audited,
            "faithfulness sample": len(sample),
            "phrases with words": max(len(sample), len(with_words)),  # one contains the other
            "failed": sum(item.failed for item in left_out),
            "left out": sum(not item.failed for item in left_out),
        },
        failures=failures,
        finished=datetime.now(UTC),
    )
    page = write_comparison(config.output.out, record, scores)
    progress("Summarising", 1, 1)
    failed = tuple(item for item in left_out if item.failed)
    return ComparisonResult(page=page, record=record, failed=failed, messages=messages)


def _sanity(
    studies: Sequence[Study], explainer: Explainer, phrases: int, progress: Progress
) -> tuple[MethodSanity, ...]:
    """Check each method itself on some phrases, if any are asked for; their cost is not the comparison's.

    Raises:
        AuditError: a study could not be explained.
    """
    plan = ControlPlan(studies, sample=phrases, seed=explainer.seed)
    loaded = list(loaded_studies(sampled(studies, plan), explainer.encoder, explainer.clock, workers=0))
    if not any(study.pairs for study in loaded):
        return ()
    explainer, towers = replace(explainer, word_references=False), randomisable(explainer.encoder)
    return tuple(
        check_method(replace(explainer, methods=(method.method,)), loaded, towers=towers, progress=progress)
        for method in explainer.methods
        if isinstance(method, MeasuredMethod)
    )


def _scored(
    cohort: ExperimentInputs, explainer: Explainer, progress: Progress
) -> tuple[GrowingTable, Tally, list[Exclusion]]:
    """Load, explain and score every study; nothing is written."""
    studies = cohort.inputs.studies
    recorder = ImageRecorder(
        redactor=Redactor(keys=explainer.keys, show_phi=False),
        context=ScoringContext(studies, PatientPseudonyms(explainer.keys)),
        methods=tuple((method.name, method.unit) for method in explainer.methods),
    )
    table, outcome, left_out = GrowingTable(), Tally(), list(cohort.inputs.left_out)
    loaded = loaded_studies(studies, explainer.encoder, explainer.clock, workers=0)
    progress("Comparing on studies", 0, len(studies))
    for done, study in enumerate(finished_studies(loaded, explainer, RowScorer(recorder=recorder)), start=1):
        table.add(study.rows)
        outcome.add(study)
        left_out.extend(study.left_out)
        progress("Comparing on studies", done, len(studies))
    table.add_all(outcome.habit_rows())
    return table, outcome, left_out


def _compared(
    method: Method, measured: Sequence[MeasuredMethod], refused: dict[str, str], encoder: DualEncoder
) -> ComparedMethod:
    """Return the record of one requested method."""
    own = next((each for each in measured if each.name == method.name), None)
    if own is None:
        return ComparedMethod(
            name=method.name,
            unit=method.unit,
            explains_words=method.explains_words,
            settings={},
            refused=refused[method.name],
            pairs=0,
            seconds_image=None,
            pairs_with_words=0,
            seconds_with_words=None,
            memory_mb=None,
        )
    plain, with_words = own.costs[False], own.costs[True]
    numbers, own_numbers = dict(method.hyperparameters(encoder)), METHODS[method.name]().hyperparameters(encoder)
    peaks = [cost.peak_bytes for cost in (plain, with_words) if cost.peak_bytes is not None]
    return ComparedMethod(
        name=method.name,
        unit=method.unit,
        explains_words=method.explains_words,
        settings=numbers,
        own_settings={name: value for name, value in own_numbers.items() if numbers.get(name) != value},
        refused=None,
        pairs=plain.pairs,
        seconds_image=plain.seconds_a_pair,
        pairs_with_words=with_words.pairs if method.explains_words else 0,
        seconds_with_words=with_words.seconds_a_pair if method.explains_words else None,
        memory_mb=max(peaks) / 1e6 if peaks else None,
    )
