"""Everything that a run needs before it touches a study: inputs, model, methods, and what is to be done."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import torch

from audit.attribution.engine import Method
from audit.controls.plan import ControlPlan
from audit.encoders.loading import load_encoder
from audit.encoders.protocol import DualEncoder
from audit.engine.clock import Stopwatch
from audit.engine.explaining import Explainer
from audit.engine.fingerprint import Fingerprints, shaping_settings
from audit.engine.finishing import Finisher
from audit.engine.inputs import Inputs, gather
from audit.engine.keys import Keys, load_salt
from audit.engine.methods import methods_of
from audit.engine.provenance import (
    method_settings,
    model_record,
    pick_device,
    software_versions,
    tokeniser_digest,
)
from audit.engine.resuming import Asked, Plan, plan
from audit.engine.settings import RunSettings
from audit.engine.targets import PatientKeys, Targets
from audit.logbook.known import Known, known_of
from audit.logbook.seals import seal_key
from reports.record import ModelRecord

__all__ = ["Prepared", "Progress", "prepare"]

Progress = Callable[[str, int, int], None]
"""Called with a stage's name, what is done and what there is in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A run that is ready to begin."""

    settings: RunSettings
    created: datetime
    clock: Stopwatch
    device: torch.device
    inputs: Inputs
    explainer: Explainer
    finisher: Finisher

    def plan(self, progress: Progress = lambda _stage, _done, _total: None) -> Plan:
        """Decide from what OUT holds what becomes of each study; nothing is written.

        Raises:
            OutputError: OUT holds studies of other inputs.
        """
        out, salt = self.settings.out, self.finisher.keys.salt
        known = Known(out=out, key=seal_key(salt)) if self.settings.overwrite else known_of(out, salt)
        asked = Asked(limit=self.settings.limit, shard=self.settings.shard, retry_failed=self.settings.retry_failed)
        return plan(
            self.settings.out,
            self.inputs.studies,
            self.finisher.fingerprints,
            asked,
            known=known,
            progress=lambda done, total: progress("Looking at OUT", done, total),
        )


def prepare(settings: RunSettings, *, progress: Progress) -> Prepared:
    """Gather the inputs and load the model; whatever can refuse the run is asked, and nothing is written.

    Raises:
        AuditError: the run cannot start.
    """
    created, clock = datetime.now(UTC), Stopwatch()
    device = pick_device(settings.device)
    with clock("inputs"):
        inputs = gather(settings, progress=lambda done, total: progress("Reading headers", done, total))
    with clock("model"):
        encoder = load_encoder(settings.model, device=device, fit=settings.fit)
    methods, keys = methods_of(settings, encoder), Keys(load_salt(outside=settings.out))
    explainer = Explainer(
        encoder=encoder,
        methods=methods,
        controls=ControlPlan(inputs.studies, sample=settings.controls, seed=settings.seed),
        faithfulness=ControlPlan(inputs.studies, sample=settings.faithfulness, seed=settings.seed),
        words=settings.words,
        device=device,
        keys=keys,
        seed=settings.seed,
        clock=clock,
    )
    return Prepared(
        settings=settings,
        created=created,
        clock=clock,
        device=device,
        inputs=inputs,
        explainer=explainer,
        finisher=_finisher(settings, created, inputs, explainer, methods),
    )


def _finisher(
    settings: RunSettings, created: datetime, inputs: Inputs, explainer: Explainer, methods: tuple[Method, ...]
) -> Finisher:
    encoder, keys = explainer.encoder, explainer.keys
    model, numbers = model_record(encoder), method_settings(methods, encoder, explainer.device)
    targets = Targets(inputs.studies, PatientKeys(keys))
    return Finisher(
        keys=keys,
        targets=targets,
        settings=settings,
        created=created,
        model=model,
        methods=tuple((method.name, method.unit) for method in methods),
        numbers=numbers,
        software=software_versions(),
        fingerprints=Fingerprints(
            keys=keys,
            settings=_shaping(settings, model, numbers, explainer),
            targets=targets,
            controls=explainer.controls,
            faithfulness=explainer.faithfulness,
            show_phi=settings.show_phi,
            began=created,
        ),
    )


def _shaping(
    settings: RunSettings,
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
