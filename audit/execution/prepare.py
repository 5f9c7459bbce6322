"""Prepares a run: inputs, model, hyperparameters, software and device, and the checks before anything is written."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from typing import Literal

import torch

from audit.attribution.engine import Method
from audit.attribution.m2ib import M2IB
from audit.attribution.numerics import Precision, resolve
from audit.configuration import ModelConfig, RunConfig
from audit.controls.embedding import Embedder
from audit.controls.plan import ControlPlan
from audit.encoders.loading import load_encoder
from audit.encoders.protocol import DualEncoder
from audit.logbook.known import LogState, read_log_state
from audit.logbook.seals import seal_key
from audit.machine import Stopwatch
from audit.output.reuse import Plan, Selection, plan
from audit.pipeline.explain import Explainer, image_controls_of, methods_of
from audit.pipeline.fingerprint import Fingerprints, hash_fillers, shaping_settings
from audit.pipeline.inputs import Inputs, gather
from audit.pipeline.score import Finisher
from audit.pipeline.scoring_context import PatientPseudonyms, ScoringContext
from audit.planning.protocol import ReadProtocol, read_protocol, refuse_other_model
from audit.privacy.pseudonyms import Pseudonyms, load_salt
from pipelines.errors import AuditError
from pipelines.geometry import Fit
from pipelines.regions.erasing import Fill
from pipelines.study import Case
from pipelines.text.absent import deniable_findings
from reports.record import ModelRecord

__all__ = [
    "Prepared",
    "Progress",
    "device_name",
    "fit_of",
    "load_model",
    "method_settings",
    "model_record",
    "pick_device",
    "prepare",
    "settings_by_method",
    "software_versions",
    "tokeniser_digest",
]

_SENTENCES = (  # each short enough for any context
    "Small left-sided pleural effusion.",
    "Adjacent atelectasis; cardiomegaly?",
    "No pneumothorax (unchanged since 2019).",
)
_NAMED = ("m2ib-audit", "torch", "transformers", "pydicom", "monai", "numpy", "scikit-image", "pandas")


def software_versions() -> dict[str, str]:
    """Return the versions of the packages that affect a result."""
    return {name: version(name) for name in _NAMED}


def model_record(encoder: DualEncoder) -> ModelRecord:
    """Describe the audited model."""
    info = encoder.info
    return ModelRecord(
        name=info.name,
        family=info.family,
        source=info.source,
        sha256=info.sha256,
        terms=info.terms,
        is_phantom=info.is_phantom,
    )


def method_settings(
    methods: Sequence[Method], encoder: DualEncoder, device: torch.device
) -> dict[str, float | int | str | bool | None]:
    """Return every hyperparameter that affects a heat map, by name; those of further methods include the method."""
    numbers: dict[str, float | int | str | bool | None] = {}
    for place, (method, settings) in enumerate(settings_by_method(methods, encoder, device).items()):
        prefix = "" if place == 0 else f"{method} "
        for name, number in settings.items():
            numbers[prefix + name.replace("_layer", " layer")] = number
    return {"precision": Precision.FP32.value, **numbers, "fit": encoder.preprocessing.fit.value}


def settings_by_method(
    methods: Sequence[Method], encoder: DualEncoder, device: torch.device
) -> dict[str, dict[str, float | int | str | bool | None]]:
    """Return each method's hyperparameters under the names of ``--set``, and M2IB's precision."""
    settings: dict[str, dict[str, float | int | str | bool | None]] = {}
    for method in methods:
        settings[method.name] = dict(method.hyperparameters(encoder))
        if isinstance(method, M2IB):
            settings[method.name]["precision"] = resolve(method.precision, device).value
    return settings


def tokeniser_digest(encoder: DualEncoder) -> str:
    """Hash the tokenisation of sentences, which the checksum of the weights does not include."""
    ids = encoder.text.tokenise(_SENTENCES).ids
    return sha256(str(ids.tolist()).encode()).hexdigest()[:16]


def pick_device(name: str) -> torch.device:
    """Convert ``--device`` to a device; "auto" is a GPU if there is one.

    Raises:
        AuditError: the device is unknown or not on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise AuditError(f"--device {name}: unknown; give auto, cpu, cuda or cuda:1") from error
    if device.type not in {"cpu", "cuda"}:
        raise AuditError(f"--device {name}: not supported; give auto, cpu, cuda or cuda:1")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise AuditError(
            f"--device {name}: this machine has {torch.cuda.device_count()} CUDA devices; give auto or cpu"
        )
    return device


def fit_of(model: ModelConfig, *, auto: Literal["letterbox", "own"] = "letterbox") -> Fit | None:
    """Return how images are fitted to the model's input; None: as the model's files specify."""
    fit = auto if model.fit == "auto" else model.fit
    return None if fit == "own" else Fit(fit)


def load_model(
    model: ModelConfig, *, auto: Literal["letterbox", "own"] = "letterbox"
) -> tuple[DualEncoder, torch.device]:
    """Load a model on its device; ``auto`` as for :func:`fit_of`.

    Raises:
        AuditError: the device is unknown or not on this machine.
        ModelError: the model cannot be loaded.
    """
    device = pick_device(model.device)
    return load_encoder(model.model, device=device, fit=fit_of(model, auto=auto)), device


def device_name(device: torch.device) -> str:
    """Return the manufacturer's name of a device."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    threads = torch.get_num_threads()
    return f"cpu ({threads} {'thread' if threads == 1 else 'threads'})"


Progress = Callable[[str, int, int], None]
"""Called with a stage's name, the number done and the total."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A run that is ready to start."""

    settings: RunConfig
    created: datetime
    clock: Stopwatch
    device: torch.device
    inputs: Inputs
    explainer: Explainer
    finisher: Finisher
    protocol: ReadProtocol | None

    def plan(self, progress: Progress = lambda _stage, _done, _total: None) -> Plan:
        """Decide for each study what to do, from the contents of OUT; nothing is written.

        Raises:
            OutputError: OUT holds studies of other inputs.
        """
        out, salt = self.settings.output.out, self.finisher.keys.salt
        known = LogState(out=out, key=seal_key(salt)) if self.settings.output.overwrite else read_log_state(out, salt)
        config = self.settings
        selection = Selection(
            limit=config.inputs.limit,
            shard=config.execution.shard,
            retry_failed=config.execution.retry_failed,
        )
        return plan(
            self.settings.output.out,
            self.inputs.studies,
            self.finisher.fingerprints,
            selection,
            known=known,
            progress=lambda done, total: progress("Looking at OUT", done, total),
        )


def prepare(settings: RunConfig, *, progress: Progress) -> Prepared:
    """Collect the inputs and load the model; every check that can refuse the run is done, and nothing is written.

    Raises:
        AuditError: the run cannot start.
    """
    created, clock = datetime.now(UTC), Stopwatch()
    device = pick_device(settings.model.device)
    protocol = None if settings.scoring.protocol is None else read_protocol(settings.scoring.protocol)
    with clock("inputs"):
        inputs = gather(
            settings.inputs,
            out=settings.output.out,
            progress=lambda done, total: progress("Reading headers", done, total),
        )
    with clock("model"):
        encoder = load_encoder(settings.model.model, device=device, fit=fit_of(settings.model))
    if protocol is not None:
        refuse_other_model(protocol, name=encoder.info.name, sha256=encoder.info.sha256)
    methods, keys = methods_of(settings, encoder), Pseudonyms(load_salt(outside=settings.output.out))
    controls = ControlPlan(inputs.studies, sample=settings.scoring.controls, seed=settings.method.seed)
    explainer = Explainer(
        encoder=encoder,
        methods=methods,
        controls=controls,
        faithfulness=ControlPlan(inputs.studies, sample=settings.scoring.faithfulness or 0, seed=settings.method.seed),
        words=settings.method.words,
        word_references=settings.method.words,
        device=device,
        keys=keys,
        seed=settings.method.seed,
        clock=clock,
        embedder=Embedder(encoder, deniable_findings()),
        image_controls=image_controls_of(settings, controls),
    )
    return Prepared(
        settings=settings,
        created=created,
        clock=clock,
        device=device,
        inputs=inputs,
        explainer=explainer,
        finisher=_finisher(settings, created, inputs, explainer, methods),
        protocol=protocol,
    )


def _finisher(
    settings: RunConfig, created: datetime, inputs: Inputs, explainer: Explainer, methods: tuple[Method, ...]
) -> Finisher:
    encoder, keys = explainer.encoder, explainer.keys
    model, numbers = model_record(encoder), method_settings(methods, encoder, explainer.device)
    context = ScoringContext(inputs.studies, PatientPseudonyms(keys))
    return Finisher(
        keys=keys,
        context=context,
        settings=settings,
        created=created,
        model=model,
        methods=tuple((method.name, method.unit) for method in methods),
        numbers=numbers,
        software=software_versions(),
        fingerprints=Fingerprints(
            keys=keys,
            settings=_shaping(settings, model, numbers, explainer),
            context=context,
            controls=explainer.controls,
            faithfulness=explainer.faithfulness,
            fillers=hash_fillers(_fillers(settings, explainer.controls), keys),
            show_phi=settings.output.show_phi,
            began=created,
        ),
    )


def _fillers(settings: RunConfig, controls: ControlPlan) -> tuple[Case, ...]:
    """Return the images that the run fills erased regions from; none for the other fills."""
    return controls.fillers if Fill(settings.scoring.fill) is Fill.OTHER_PATIENTS else ()


def _shaping(
    settings: RunConfig,
    model: ModelRecord,
    numbers: dict[str, float | int | str | bool | None],
    explainer: Explainer,
) -> dict[str, float | int | str | bool | None]:
    encoder: DualEncoder = explainer.encoder
    made = asdict(encoder.preprocessing)
    return shaping_settings(
        settings,
        model=model,
        numbers=numbers,
        prepared={
            "input px": encoder.preprocessing.size,
            "input mean": str(made["mean"]),
            "input std": str(made["std"]),
            "tokeniser": tokeniser_digest(encoder),
            "device": explainer.device.type,
        },
        methods=[method.name for method in explainer.methods],
    )
