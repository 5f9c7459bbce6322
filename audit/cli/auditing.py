"""The commands that audit: ``run``, ``demo``, ``baselines`` and ``doctor``."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from audit.cli.options import (
    COULD_NOT_RUN,
    Beta,
    Boxes,
    Device,
    FramesOfFile,
    ImageLayer,
    IndexFile,
    Model,
    NoIndex,
    NoiseSamples,
    Numbers,
    Out,
    Seed,
    Steps,
    TextLayer,
    Variance,
    WhichFrames,
    errors_in_one_line,
    index_file,
    progress_bar,
)
from audit.cli.running import run_and_tell, say_what_is_to_do, submit_to_slurm
from audit.cli.telling import tell_what_is_wrong

__all__ = ["baselines", "commission", "demo", "doctor", "run"]

_LISTED_AT_MOST = 5  # rows of a box file that took no part


class ModelFit(StrEnum):
    """What ``--fit`` takes: a :class:`pipelines.geometry.Fit`, or the model's own."""

    LETTERBOX = "letterbox"
    CROP = "crop"
    STRETCH = "stretch"
    OWN = "own"


class ModelPrecision(StrEnum):
    """What ``--precision`` takes."""

    FP32 = "fp32"
    BF16 = "bf16"
    AUTO = "auto"


class RunEngine(StrEnum):
    """What ``--engine`` takes."""

    LOCAL = "local"
    RAY = "ray"
    SLURM = "slurm"


class BurnedInText(StrEnum):
    """What ``--burned-in`` takes."""

    MASK = "mask"
    LEAVE_OUT = "leave-out"
    KEEP = "keep"


def run(
    dicom_dir: Annotated[Path, typer.Option(help="Folder with the DICOM files; subfolders are searched.")],
    reports: Annotated[Path, typer.Option(help="Folder of reports, or a file of them.")],
    out: Out,
    boxes: Boxes = None,
    model: Model = "biomedclip",
    device: Device = "auto",
    fit: Annotated[
        ModelFit, typer.Option(help="How images meet the model's square; own is what the model's files say.")
    ] = ModelFit.LETTERBOX,
    method: Annotated[
        list[str] | None,
        typer.Option(
            help="m2ib unless given; may be given several times, the first is the run's own: nib, iba, grad_cam, "
            "grad_eclip, chefer, legrad, saliency, rise, kernel_shap, rollout, patch_similarity."
        ),
    ] = None,
    words: Annotated[
        bool, typer.Option("--words/--no-words", help="Explain the words too; without, a run takes half the time.")
    ] = True,
    controls: Annotated[
        int,
        typer.Option(
            help="Phrases, drawn by the seed, that are put to the controls of the verdict; 0 for none.", min=0
        ),
    ] = 40,
    faithfulness: Annotated[
        int,
        typer.Option(help="Phrases whose heat is put to deletion, insertion, ROAD and confidence drops.", min=0),
    ] = 0,
    all_views: Annotated[bool, typer.Option("--all-views", help="Audit lateral and unknown views too.")] = False,
    frames: FramesOfFile = WhichFrames.FIRST,
    seed: Seed = 0,
    engine: Annotated[
        RunEngine,
        typer.Option(
            help="Where the work is done: local is this machine; ray is the cluster that RAY_ADDRESS names, or else a "
            "Ray of this machine alone; slurm submits shards and a last job that closes the run. ray and slurm are "
            "extras (pip install 'm2ib-audit\\[ray,slurm]'); see docs/SCALE.md."
        ),
    ] = RunEngine.LOCAL,
    slurm: Annotated[
        Path | None,
        typer.Option(help="TOML file for --engine slurm: shards, partition, minutes, mem_gb, cpus, gpus and so on."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Processes that decode, and as many that score and write; by default none beside a CPU.", min=0
        ),
    ] = None,
    precision: Annotated[
        ModelPrecision, typer.Option(help="Of the towers after the bottleneck; auto is bf16 on a GPU that has it.")
    ] = ModelPrecision.AUTO,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Compile the towers first (half a minute; needs a C compiler).")
    ] = False,
    burned_in: Annotated[
        BurnedInText,
        typer.Option(help="Films with burned-in text: shown with it blanked, left out, or shown as they are."),
    ] = BurnedInText.MASK,
    show_phi: Annotated[
        bool, typer.Option("--show-phi", help="Show file names and the reports' words unmasked: for closed rooms only.")
    ] = False,
    key_list: Annotated[
        Path | None,
        typer.Option(help="File outside OUT, readable by you alone, that says which file and study each key is."),
    ] = None,
    index: IndexFile = None,
    no_index: NoIndex = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Give up what OUT holds; without, the run goes on from it.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(help="Audit so many studies at most, the same ones each time; a later run does the rest.", min=1),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            help="i/N: audit this part of the studies alone, beside the other parts on other machines; then `run` "
            "without it makes tables and pages of all."
        ),
    ] = None,
    retry_failed: Annotated[
        bool,
        typer.Option("--retry-failed", help="Try again what failed before; else only where something has changed."),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what is done, what is to do and what to do again and why; write nothing."),
    ] = False,
    numbers: Numbers = None,
    beta: Beta = None,
    variance: Variance = None,
    steps: Steps = None,
    samples: NoiseSamples = None,
    image_layer: ImageLayer = None,
    text_layer: TextLayer = None,
) -> None:
    """Audit a folder of chest X-rays with their reports, and write a page a study and one over all.

    Killed or stopped (Ctrl-C), it goes on when the same command is given again: studies that are done stay, and what
    has changed is done again. Exit status: 0 all audited, 3 finished with failures listed, 2 wrong usage, 1 could not
    run, 130 stopped by Ctrl-C, 143 by SIGTERM.
    """
    from audit.attribution.methods import parse_settings
    from audit.attribution.numerics import Precision
    from audit.output.lock import Shard
    from audit.pipeline.settings import RunSettings
    from pipelines.cohort import Frames
    from pipelines.geometry import Fit
    from pipelines.privacy.burned_in import BurnedIn

    with errors_in_one_line():
        if engine is RunEngine.SLURM:
            submit_to_slurm(sys.argv[2:], slurm, out)
            return
        settings = RunSettings(
            dicom_dir=dicom_dir,
            reports=reports,
            out=out,
            boxes=tuple(boxes or ()),
            model=model,
            device=device,
            fit=None if fit is ModelFit.OWN else Fit(fit.value),
            methods=tuple(method or ("m2ib",)),
            words=words,
            controls=controls,
            faithfulness=faithfulness,
            all_views=all_views,
            frames=Frames(frames.value),
            seed=seed,
            engine=engine.value,
            workers=workers,
            precision=Precision(precision.value),
            compiled=compiled,
            burned_in=BurnedIn(burned_in.value),
            show_phi=show_phi,
            key_list=_key_list(key_list, dicom_dir, reports, out),
            index=index_file(dicom_dir, index, no_index=no_index, not_in=[reports, out]),
            overwrite=overwrite,
            limit=limit,
            shard=None if shard is None else Shard.parse(shard),
            retry_failed=retry_failed,
            numbers=parse_settings(numbers or ()),
            beta=beta,
            variance=variance,
            steps=steps,
            samples=samples,
            image_layer=image_layer,
            text_layer=text_layer,
        )
        if dry_run:
            say_what_is_to_do(settings)
        else:
            run_and_tell(settings)


def demo(
    out: Out = Path("demo"),
    studies: Annotated[int, typer.Option(help="How many phantoms.", min=1)] = 24,
    seed: Seed = 7,
) -> None:
    """Make a phantom cohort and audit the phantom encoder on it: the whole way through, without data or network."""
    from audit.pipeline.settings import RunSettings
    from pipelines.phantom.cohort import make_cohort

    cohort = out / "cohort"
    with errors_in_one_line():
        if not (cohort / "boxes.csv").exists():
            typer.echo(f"Making {studies} phantoms in {cohort}", err=True)
            make_cohort(cohort, count=studies, seed=seed)
        run_and_tell(
            RunSettings(
                dicom_dir=cohort / "dicom",
                reports=cohort / "reports",
                boxes=(cohort / "boxes.csv",),
                out=out / "audit",
                model="phantom",
                seed=seed,
                overwrite=True,
            )
        )


def baselines(
    boxes: Annotated[
        list[Path],
        typer.Option(help="Radiologists' boxes, in any format that `run` takes; may be given several times."),
    ],
    format_name: Annotated[
        str | None,
        typer.Option("--format", help="The file's format, for example NIH CSV; told by its content if not given."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File for every score with its interval: .csv or .json.")] = None,
) -> None:
    """Print what maps that never look, and other readers, score on a file of boxes: no image, no model."""
    from audit.experiments.baseline_tables import baselines_of_file, text_table

    with errors_in_one_line(), progress_bar() as progress:
        result = baselines_of_file(boxes, format_name=format_name, out=out, progress=progress)
    tell_what_is_wrong(result.told, most=_LISTED_AT_MOST, things="rows that took no part")
    typer.echo(text_table(result.baselines))


def commission(
    out: Annotated[
        Path | None, typer.Option(help="Folder that keeps the phantoms and the three runs; by default nothing is kept.")
    ] = None,
    studies: Annotated[
        int, typer.Option(help="How many phantoms; at least 60, so that there are phrases enough for a verdict.")
    ] = 100,
    seed: Seed = 1,
    device: Device = "auto",
) -> None:
    """Test this installation: one encoder that looks and two that do not must get three different verdicts."""
    from contextlib import nullcontext
    from tempfile import TemporaryDirectory

    from audit.experiments.commissioning import commission as run_commissioning

    kept = nullcontext(out) if out is not None else TemporaryDirectory()
    with errors_in_one_line(), kept as folder, progress_bar() as progress:
        result = run_commissioning(Path(folder), studies=studies, seed=seed, device=device, progress=progress)
    for model in result.models:
        typer.echo(f"{'pass' if model.passed else 'FAIL'}  {model.model}: {model.found.verdict}")
        for reason in model.found.because:
            typer.echo(f"        {reason}")
        if not model.passed:
            typer.echo(f"        expected: {model.expected}; {model.failed} studies failed")
    typer.echo("PASS" if result.passed else "FAIL")
    if not result.passed:
        raise typer.Exit(COULD_NOT_RUN)


def doctor(
    model: Model = "biomedclip",
    out: Annotated[Path, typer.Option(help="Folder that a run would write to.")] = Path(),
) -> None:
    """Say what this installation can do: device, decoders, model, write access; what is missing, and the mend."""
    from audit.doctor import examine

    findings = examine(model=model, out=out)
    for finding in findings:
        typer.echo(f"{'ok     ' if finding.good else 'MISSING'}  {finding.subject}: {finding.detail}")
    if not all(finding.good for finding in findings):
        raise typer.Exit(COULD_NOT_RUN)


def _key_list(path: Path | None, *folders: Path) -> Path | None:
    """Refuse a list of keys among images or results: it says whose they are."""
    from audit.output.folder import refuse_among

    if path is not None:
        refuse_among(path, folders, flag="--key-list")
    return path
