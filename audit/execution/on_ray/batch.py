"""A batch on a Ray cluster: decoding and scoring on processors, attribution on GPUs, and nodes that may die."""

import os
import secrets
from collections.abc import Generator, Sequence
from importlib.util import find_spec

from audit.execution.on_ray.actors import DecodeActor, ExplainActor, FinishActor, Reading, Recipe
from audit.execution.on_ray.cluster import Stage, pools_for
from audit.execution.on_ray.flow import Flow
from audit.execution.workers import Stop
from audit.pipeline.explain import PAIRS_A_BATCH, Explainer
from audit.pipeline.finished import FinishedStudy
from audit.pipeline.load import failed_study
from audit.pipeline.score import Finisher
from pipelines.errors import AuditError
from pipelines.privacy.burned_in import BurnedIn
from pipelines.study import Study

__all__ = ["check_ray", "finished_on_ray"]

_BESIDE_PIXELS = 3_000_000  # bytes of a loaded image's picture, model input and heat, with room to spare


def check_ray() -> None:
    """Find out, before any work, whether Ray is installed.

    Raises:
        AuditError: it is not.
    """
    if find_spec("ray") is None:
        raise AuditError("execution.engine ray: Ray is not installed; pip install 'm2ib-audit[ray]'")


def finished_on_ray(
    studies: Sequence[Study], explainer: Explainer, finisher: Finisher, stop: Stop
) -> Generator[FinishedStudy, None, None]:
    """Load, explain, score and write studies on a cluster, and yield them in order.

    ``explainer`` defines the attribution; its own model stays idle, because every worker loads one. Once ``stop``
    returns True, no further study is started.

    Raises:
        AuditError: there is no cluster, or no worker starts.
        ModelError: a node has no model, or another.
        OutputError: OUT cannot be written from a node.
    """
    _prepare_environment()
    import ray  # noqa: PLC0415 - an extra

    from audit.execution.on_ray.machines import RayMachines, connect  # noqa: PLC0415 - imports Ray

    on_gpu = explainer.device.type == "cuda"
    recipe = Recipe(
        settings=finisher.settings.on_device(explainer.device.type),  # each worker sees a GPU of its own
        sha256=explainer.encoder.info.sha256,
        controls=explainer.controls,
        faithfulness=explainer.faithfulness,
        findings=() if explainer.embedder is None else explainer.embedder.findings,
        keys=explainer.keys,
    )
    reading = Reading(
        preprocessing=explainer.encoder.preprocessing,
        burned_in=BurnedIn(finisher.settings.inputs.burned_in),
        folder=finisher.settings.inputs.dicom_dir,
    )
    joined_here = connect()
    try:
        machines = RayMachines(
            {
                Stage.DECODE: (DecodeActor, reading),
                Stage.EXPLAIN: (ExplainActor, recipe),
                Stage.FINISH: (FinishActor, finisher),
            },
            on_gpu=on_gpu,
        )
        flow = Flow(
            machines,
            pools=lambda capacity: pools_for(capacity, on_gpu=on_gpu),
            pairs_a_batch=PAIRS_A_BATCH[explainer.device.type],
            lost=lambda study, error: failed_study(study, explainer.keys, error),
            clock=explainer.clock.add,
        )
        yield from flow.finished(studies, _weight, stop)
    finally:
        if joined_here:
            ray.shutdown()


def _prepare_environment() -> None:
    """Set the variables that Ray reads when it is imported, unless the user has set them."""
    wanted = {
        "RAY_USAGE_STATS_ENABLED": "0",  # Ray reports its use to its makers unless it is told not to
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # what Ray will do anyhow, and says so in every worker
    }
    if not os.environ.get("RAY_ADDRESS"):  # a token of its own, where Ray would write one into the home folder
        wanted |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    for name, value in wanted.items():
        os.environ.setdefault(name, value)


def _weight(study: Study) -> int:
    """Return the bytes that a study may occupy in the object stores: loaded data and, briefly, results."""
    return sum(2 * (case.image.rows * case.image.columns + _BESIDE_PIXELS) for case in study.cases)
