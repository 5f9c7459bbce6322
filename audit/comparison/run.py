"""Compare methods: every study is loaded once, and every method explains the same phrases with the same seeds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import torch

from audit.attribution.engine import Method, pair_seed
from audit.attribution.methods import METHODS
from audit.attribution.numbers import check_fit
from audit.attribution.pairs import Request
from audit.comparison.cohort import cohort_files
from audit.comparison.explaining import Explaining, Progress
from audit.comparison.measuring import MeasuredMethod, measured_as
from audit.comparison.scores import compared_scores
from audit.comparison.settings import CohortFiles, ComparisonSettings, baseline_of, build_methods, method_names
from audit.comparison.writing import check_out, write_comparison
from audit.encoders.loading import load_encoder
from audit.encoders.protocol import DualEncoder
from audit.engine.for_owner import Told, told_of
from audit.engine.inputs import Inputs, gather
from audit.engine.keys import Keys, load_salt
from audit.engine.provenance import device_name, model_record, pick_device, software_versions
from audit.engine.settings import RunSettings
from audit.engine.shown import shown_failures
from audit.scoring.summary import score_table
from pipelines.errors import ModelError
from pipelines.study import LeftOut
from reports.comparison_record import ComparedMethod, ComparisonRecord

__all__ = ["ComparisonResult", "compare"]

_TRIAL = "There is an opacity in the left lung."


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonResult:
    """How a comparison ended."""

    page: Path
    record: ComparisonRecord
    failed: tuple[LeftOut, ...]  # with the files' own names: for programs, never for a page
    told: tuple[Told, ...] = ()  # what there is to correct, for a terminal


def compare(
    settings: ComparisonSettings, *, progress: Progress = lambda _stage, _done, _total: None
) -> ComparisonResult:
    """Explain a cohort with several methods and write what each scores, what that is worth, and what it costs.

    A method that refuses the model is listed with its reason and stops no other.

    Raises:
        AuditError: the comparison could not start, no method explains the model, or OUT could not be written.
    """
    created, names = datetime.now(UTC), method_names(settings.methods)
    chosen = build_methods(names, masks=settings.masks, numbers=settings.numbers)
    check_out(settings.out, overwrite=settings.overwrite)
    device = pick_device(settings.device)
    encoder = load_encoder(settings.model, device=device, fit=settings.fit)
    refused = _refusals(chosen, encoder, device)
    methods = tuple(MeasuredMethod(method, device) for method in chosen if method.name not in refused)
    if not methods:
        raise ModelError(f"none of the methods explains {settings.model}: {next(iter(refused.values()))}")
    keys = Keys(load_salt())
    with cohort_files(settings.cohort, seed=settings.seed, progress=progress) as files:
        inputs = _gathered(files, settings, progress)
        found = Explaining(
            encoder=encoder,
            methods=methods,
            inputs=inputs,
            faithfulness=settings.faithfulness,
            seed=settings.seed,
            keys=keys,
        )
        found.explain(device, progress)
        folders = [files.dicom_dir, files.reports, *files.boxes]
        failures = shown_failures(found.left_out, folders, keys, show_phi=False)
        told = told_of(found.left_out, folders, keys, show_phi=False)
    progress("Summarising", 0, 1)
    scores = score_table(found.table.to_frame())
    baseline = baseline_of([method.name for method in methods])
    record = ComparisonRecord(
        created=created,
        model=model_record(encoder),
        baseline=baseline,
        methods=tuple(_compared(method, methods, refused, encoder) for method in chosen),
        scores=compared_scores(scores, baseline=baseline),
        seed=settings.seed,
        device=device_name(device),
        memory=measured_as(device),
        software=software_versions(),
        phantom_images=found.phantom_images,
        counts={
            **inputs.counts,
            "compared": found.compared,
            "faithfulness sample": found.sampled,
            "failed": sum(item.failed for item in found.left_out),
            "left out": sum(not item.failed for item in found.left_out),
        },
        failures=failures,
        finished=datetime.now(UTC),
    )
    page = write_comparison(settings.out, record, scores)
    progress("Summarising", 1, 1)
    failed = tuple(item for item in found.left_out if item.failed)
    return ComparisonResult(page=page, record=record, failed=failed, told=told)


def _gathered(files: CohortFiles, settings: ComparisonSettings, progress: Progress) -> Inputs:
    """Gather the cohort, or a part of its studies that depends on the seed and on the studies alone."""
    run = RunSettings(
        dicom_dir=files.dicom_dir,
        reports=files.reports,
        boxes=files.boxes,
        out=settings.out,
        all_views=settings.all_views,
        frames=settings.frames,
        seed=settings.seed,
        index=files.index,
    )
    inputs = gather(run, progress=lambda done, total: progress("Reading headers", done, total))
    if settings.limit is None or settings.limit >= len(inputs.studies):
        return inputs
    drawn = sorted(study.study_instance_uid for study in inputs.studies)
    drawn.sort(key=lambda uid: pair_seed(settings.seed, "limit", uid))
    kept = frozenset(drawn[: settings.limit])
    return replace(inputs, studies=tuple(study for study in inputs.studies if study.study_instance_uid in kept))


def _refusals(methods: Sequence[Method], encoder: DualEncoder, device: torch.device) -> dict[str, str]:
    """Let every method explain an empty image: who refuses the model says so now, and first calls are over.

    Raises:
        AuditError: a method's numbers do not fit the model.
    """
    side = encoder.preprocessing.size
    request = Request(pixels=torch.zeros(3, side, side, device=device), phrases=[_TRIAL], seeds=[0])
    refused = {}
    for method in methods:
        try:
            check_fit(method, encoder)
            method.explain_batch(encoder, [request])
        except ModelError as error:
            refused[method.name] = str(error)
    return refused


def _compared(
    method: Method, measured: Sequence[MeasuredMethod], refused: dict[str, str], encoder: DualEncoder
) -> ComparedMethod:
    """Describe one method that was asked for."""
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
    numbers, own_numbers = dict(method.numbers_for(encoder)), METHODS[method.name]().numbers_for(encoder)
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
