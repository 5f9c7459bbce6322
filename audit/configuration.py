"""The configuration of an audit: six sections, each a frozen model; field names match the flags of the command line.

The description of a field is its help on the command line and its comment in the file that ``m2ib-audit config``
prints. This module imports nothing slow: choices are plain strings.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, PlainSerializer, ValidationError

from audit.storage.lock import Shard
from pipelines.errors import AuditError

if TYPE_CHECKING:
    from reports.run_record import ConfigValue  # brings numpy, which a command loads once threads are chosen

__all__ = [
    "ALL",
    "COHORT_NEEDED",
    "PHANTOMS_ALONE",
    "SECTIONS",
    "BurnedInChoice",
    "CheckConfig",
    "CohortConfig",
    "ComposedConfig",
    "EngineChoice",
    "ExecutionConfig",
    "FillChoice",
    "FitChoice",
    "FramesChoice",
    "InputsConfig",
    "MethodConfig",
    "ModelConfig",
    "OutputConfig",
    "PrecisionChoice",
    "RunConfig",
    "ScoringConfig",
    "SlurmConfig",
    "describe_error",
    "flag_of",
]

COHORT_NEEDED = "a cohort is needed: give --dicom-dir and --reports, or --phantoms with a number"
PHANTOMS_ALONE = "--phantoms makes its own cohort: omit --dicom-dir, --reports, --boxes and other inputs"
ALL = "all"  # as a method: every method; before a hyperparameter: every chosen method that has it

BurnedInChoice = Literal["mask", "leave-out", "keep"]
EngineChoice = Literal["local", "ray", "slurm"]
FillChoice = Literal["other-patients", "contralateral", "inpainting"]
FitChoice = Literal["auto", "letterbox", "crop", "stretch", "own"]
FramesChoice = Literal["first", "each"]
PrecisionChoice = Literal["auto", "fp32", "bf16"]


Composed = TypeVar("Composed", bound="ComposedConfig")


def _listed(value: object) -> object:
    """Accept a single value where a list is expected."""
    return (value,) if isinstance(value, str | Path) else value


def _names(value: object) -> object:
    """Accept a list of names or comma-separated names; drop duplicates."""
    listed = _listed(value)
    if not isinstance(listed, list | tuple) or not all(isinstance(name, str) for name in listed):
        return listed
    names = [part.strip() for name in listed for part in name.split(",") if part.strip()]
    return tuple(dict.fromkeys(names))


def _shard(value: object) -> object:
    """Read ``i/N``; an :class:`AuditError` of the reader passes through pydantic as it is."""
    return Shard.parse(value) if isinstance(value, str) else value


def _shard_text(shard: Shard | None) -> str | None:
    return None if shard is None else f"{shard.number}/{shard.of}"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class InputsConfig(_Section):
    """The studies to audit."""

    dicom_dir: Path = Field(
        description="Folder with the images, searched recursively: DICOM, PNG, JPEG, TIFF, recognised by content."
    )
    reports: Path = Field(description="Folder with the reports, or one file with reports.")
    boxes: Annotated[tuple[Path, ...], BeforeValidator(_listed)] = Field(
        default=(),
        description="Radiologists' boxes and outlines: a file in the format of a public dataset, COCO JSON, CSV, DICOM "
        "SR or GSPS, or a folder of such files. Can be repeated.",
    )
    image_tables: Annotated[tuple[Path, ...], BeforeValidator(_listed)] = Field(
        default=(),
        description="Tables that describe PNG, JPEG and TIFF files (patient, study, view, sex, age, spacing), as "
        "public sets publish them or a CSV with the column image; those in the image folder are found without it.",
    )
    findings: Path | None = Field(
        default=None,
        description="TOML or CSV file with findings and wordings to read besides the known ones, which "
        "`m2ib-audit findings` lists.",
    )
    only_with_boxes: bool = Field(
        default=False,
        description="Audit only images with boxes: of NIH's 112,120 images 880 have some. The others, and reports of "
        "none of the audited images, are left out by rule.",
    )
    all_views: bool = Field(default=False, description="Include lateral and unknown views.")
    frames: FramesChoice = Field(
        default="first", description="Multi-frame files: audit the first frame, or each frame as a separate image."
    )
    burned_in: BurnedInChoice = Field(
        default="mask",
        description="Radiographs with burned-in text: mask blanks the text on pages, leave-out excludes the image, "
        "keep shows the text.",
    )
    limit: int | None = Field(
        default=None, ge=1, description="Maximum number of studies, the same ones every time. Default: all."
    )
    index: Literal["auto", "none"] | Path = Field(
        default="auto",
        description="File that caches the headers, including patient and accession numbers, so that the next scan of "
        "this folder reads only changed files. auto: a file in your cache folder; none: no cache.",
    )

    @property
    def folders(self) -> list[Path]:
        """All input files and folders."""
        return [self.dicom_dir, self.reports, *self.boxes, *self.image_tables]


class ModelConfig(_Section):
    """The model and how it computes."""

    model: str = Field(
        default="biomedclip",
        description="phantom, a known name (see `models`), a model folder or a hub id (owner/name). On phantoms the "
        "default is phantom.",
    )
    device: str = Field(default="auto", description="auto (a GPU if available), cpu, cuda or cuda:1.")
    fit: FitChoice = Field(
        default="auto",
        description="How images are fitted to the model's square input: letterbox, crop, stretch, or own (as the "
        "model's files specify). auto is letterbox, and own in `evaluate`.",
    )
    precision: PrecisionChoice = Field(
        default="auto",
        description="Precision of the towers after the bottleneck (m2ib). auto is bf16 on a GPU that supports it, "
        "otherwise fp32.",
    )
    compile: bool = Field(
        default=False, description="Compile the towers first (m2ib; half a minute, needs a C compiler)."
    )


class MethodConfig(_Section):
    """The attribution methods."""

    method: Annotated[tuple[str, ...], BeforeValidator(_names)] = Field(
        default=("m2ib",),
        description="Attribution method: m2ib, iba, nib, grad_cam, grad_eclip, chefer, legrad, saliency, rise, "
        "kernel_shap, rollout, patch_similarity, or all. For several methods separate them by commas or repeat the "
        "flag; the first is the main method. `compare` defaults to all.",
    )
    words: bool = Field(default=True, description="Also explain the words. Without this a run takes half the time.")
    seed: int = Field(default=0, ge=0, description="Seed of every random draw.")
    hyperparameters: Mapping[str, Mapping[str, int | float | str]] = Field(
        default_factory=dict, description="By method, or under `all` for every chosen method that has it."
    )


class ScoringConfig(_Section):
    """Tests of the heat in addition to the scores against boxes."""

    controls: int = Field(
        default=40,
        ge=0,
        description="Number of randomly sampled phrases on which the verdict's controls are run; 0 for none.",
    )
    fill: FillChoice = Field(
        default="other-patients",
        description="What the controls fill an erased region of the image with: the same place of the most similar "
        "other patient's image, the other side, or a smooth continuation of its border.",
    )
    faithfulness: int | None = Field(
        default=None,
        ge=0,
        description="Number of randomly sampled phrases whose heat is tested by deletion, insertion, ROAD and "
        "confidence drop. Default: none in `run`, 40 in `compare`.",
    )
    protocol: Path | None = Field(
        default=None,
        description="Protocol that `m2ib-audit plan --protocol-out` wrote: the questions that were planned before the "
        "first result. Models that it does not name are refused.",
    )


class OutputConfig(_Section):
    """The output."""

    out: Path = Field(description="Folder to write to; created if it does not exist.")
    show_phi: bool = Field(
        default=False, description="Do not mask file names and report text. Pages then contain patient data."
    )
    key_list: Path | None = Field(
        default=None,
        description="File outside OUT, readable only by you, that lists the file and study of each key.",
    )
    overwrite: bool = Field(default=False, description="Replace existing results instead of resuming.")


class SlurmConfig(_Section):
    """Resources that the jobs request from a Slurm cluster."""

    cluster: Literal["slurm", "local"] = Field(
        default="slurm", description="local runs all shards at once as processes on this machine."
    )
    shards: int = Field(default=8, ge=1, description="Number of jobs among which the studies are divided.")
    at_once: int | None = Field(default=None, ge=1, description="Maximum number of shards that run at the same time.")
    minutes: int = Field(
        default=24 * 60, ge=1, description="Time limit of a shard; a shard that exceeds it is requeued."
    )
    mem_gb: float = Field(default=16, gt=0, description="Memory of a shard.")
    cpus: int = Field(default=8, ge=1, description="Cores of a shard.")
    gpus: int = Field(default=0, ge=0, description="GPUs of a shard.")
    partition: str | None = Field(default=None, description="Partition of the cluster.")
    account: str | None = Field(default=None, description="Account to charge.")
    qos: str | None = Field(default=None, description="Quality of service.")
    constraint: str | None = Field(default=None, description="Features that the nodes must have.")
    setup: tuple[str, ...] = Field(
        default=(), description='Lines in the job script before the command, for example "module load cuda".'
    )
    closing_minutes: int = Field(
        default=12 * 60, ge=1, description="Time limit of the last job, which completes the run."
    )
    closing_mem_gb: float = Field(default=64, gt=0, description="Memory of the last job.")


class ExecutionConfig(_Section):
    """Where and how the audit runs."""

    engine: EngineChoice = Field(
        default="local",
        description="local: this machine. ray: the cluster named by RAY_ADDRESS, otherwise Ray on this machine only. "
        "slurm: submits shards and a last job that completes the run. ray and slurm are extras "
        "(pip install 'm2ib-audit[ray,slurm]'); see docs/SCALE.md.",
    )
    workers: int | None = Field(
        default=None,
        ge=0,
        description="Number of processes that decode, and of processes that score and write. Default on a CPU: 0.",
    )
    shard: Annotated[Shard | None, BeforeValidator(_shard), PlainSerializer(_shard_text)] = Field(
        default=None,
        description="i/N: audit only this part of the studies, while other machines audit the other parts. A final run "
        "without this setting makes the tables and pages of all studies.",
    )
    retry_failed: bool = Field(
        default=False,
        description="Retry studies that failed before. Otherwise they are retried only if inputs changed.",
    )
    slurm: SlurmConfig = SlurmConfig()


SECTIONS: Mapping[str, type[BaseModel]] = {
    "inputs": InputsConfig,
    "model": ModelConfig,
    "method": MethodConfig,
    "scoring": ScoringConfig,
    "output": OutputConfig,
    "execution": ExecutionConfig,
}

_OF_THE_RESULT: dict[str, Any] = {
    "inputs": {"all_views", "frames", "burned_in"},
    "model": {"fit", "precision", "compile"},
    "method": True,
    "scoring": {"controls", "fill", "faithfulness"},
}
_OF_THE_LOG = _OF_THE_RESULT | {
    "inputs": {*_OF_THE_RESULT["inputs"], "limit"},
    "model": {*_OF_THE_RESULT["model"], "device"},
    "output": {"show_phi", "overwrite"},
    "execution": {"engine", "workers", "shard", "retry_failed"},
}


class ComposedConfig(_Section):
    """A configuration composed of sections."""

    @classmethod
    def of(cls: type[Composed], **values: object) -> Composed:
        """Build the configuration from flat values with the names of the flags: ``RunConfig.of(out=..., model=...)``.

        Hyperparameters are ``hyperparameters={"m2ib": {"beta": 0.5}}``, as in :class:`MethodConfig`.

        Raises:
            AuditError: a name is unknown, a value does not fit, or a required one is missing.
        """
        sections = {name: model for name, model in SECTIONS.items() if name in cls.model_fields}
        given: dict[str, object] = {}
        inner: dict[str, dict[str, object]] = {
            name: {} for name in sections if cls.model_fields[name].annotation is sections[name]
        }
        for name, value in values.items():
            section = next((each for each, model in sections.items() if name in model.model_fields), None)
            if name in cls.model_fields and (name not in sections or isinstance(value, BaseModel)):
                given[name] = value
            elif section is not None:
                inner.setdefault(section, {})[name] = value
            else:
                raise AuditError(f"{name}: unknown; see `m2ib-audit config` for the names")
        try:
            return cls.model_validate({**inner, **given})
        except ValidationError as error:
            raise AuditError(describe_error(error)) from error


class RunConfig(ComposedConfig):
    """The configuration of one audit."""

    inputs: InputsConfig
    model: ModelConfig = ModelConfig()
    method: MethodConfig = MethodConfig()
    scoring: ScoringConfig = ScoringConfig()
    output: OutputConfig
    execution: ExecutionConfig = ExecutionConfig()

    def on_device(self, device: str) -> "RunConfig":
        """Return the same configuration for another device."""
        return self.model_copy(update={"model": self.model.model_copy(update={"device": device})})

    def for_result(self) -> "dict[str, dict[str, ConfigValue]]":
        """Return the settings that affect results, without paths; ``--config`` reads them from run.json."""
        given: dict[str, dict[str, ConfigValue]] = self.model_dump(
            mode="json", include=_OF_THE_RESULT, exclude_none=True
        )
        if not Path(self.model.model).is_dir():
            given["model"]["model"] = self.model.model
        return given

    def for_log(self) -> dict[str, JsonValue]:
        """Return all settings except paths, flattened, for the audit log."""
        dumped: dict[str, dict[str, JsonValue]] = self.model_dump(mode="json", include=_OF_THE_LOG)
        return {name: value for section in dumped.values() for name, value in section.items()}


class ShownConfig(_Section):
    """The part of :class:`OutputConfig` that a command without OUT reads."""

    show_phi: bool = False


class CheckConfig(ComposedConfig):
    """The configuration of ``m2ib-audit check``."""

    inputs: InputsConfig
    output: ShownConfig = ShownConfig()


class CohortConfig(ComposedConfig):
    """Settings shared by the experiments on a cohort: files or phantoms, the model and the methods."""

    inputs: InputsConfig | None = None
    phantoms: int | None = Field(default=None, ge=2)
    model: ModelConfig = ModelConfig()
    method: MethodConfig = MethodConfig()

    @property
    def cohort(self) -> InputsConfig | int:
        """The files, or the number of phantoms to make.

        Raises:
            AuditError: both are given, or neither.
        """
        if self.phantoms is not None and self.inputs is not None:
            raise AuditError(PHANTOMS_ALONE)
        if self.phantoms is not None:
            return self.phantoms
        if self.inputs is None:
            raise AuditError(COHORT_NEEDED)
        return self.inputs


def flag_of(name: str) -> str:
    """Return a field's name as its flag and its key in the file spell it: with hyphens."""
    return name.replace("_", "-")


def describe_error(error: ValidationError) -> str:
    """Describe the first of pydantic's errors in one line, with the key that it concerns."""
    first: Mapping[str, Any] = error.errors()[0]
    key = ".".join(flag_of(part) if isinstance(part, str) else str(part + 1) for part in first["loc"])
    if first["type"] == "missing":
        return f"{key}: not given"
    return f"{key}: {first['msg'][:1].lower()}{first['msg'][1:]}"
