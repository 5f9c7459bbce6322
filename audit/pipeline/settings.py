"""What one run is asked to do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from audit.attribution.numerics import Precision
from audit.output.lock import Shard
from pipelines.cohort import Frames
from pipelines.geometry import Fit
from pipelines.privacy.burned_in import BurnedIn

__all__ = ["RunSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """One ``m2ib-audit run``, as the command line hands it over."""

    dicom_dir: Path
    reports: Path
    out: Path
    boxes: tuple[Path, ...] = ()  # files of annotations, and folders of them
    model: str = "biomedclip"
    device: str = "auto"  # "auto", "cpu", "cuda" or "cuda:1"
    fit: Fit | None = Fit.LETTERBOX  # None: as the model's own files say
    all_views: bool = False  # audit lateral and unknown views too
    frames: Frames = Frames.FIRST  # of a file with several
    methods: tuple[str, ...] = ("m2ib",)  # of METHODS of audit.attribution.methods; the first is the run's own
    words: bool = True  # explain the text side too
    controls: int = 40  # phrases put to the controls; 0 for none
    faithfulness: int = 0  # phrases whose heat is put to the test of faithfulness
    seed: int = 0
    engine: str = "local"  # or "ray": on the cluster that RAY_ADDRESS names
    workers: int | None = None  # processes that decode, and as many that score and write; None: by the device
    precision: Precision = Precision.AUTO  # of the towers after the bottleneck
    compiled: bool = False  # by torch.compile
    burned_in: BurnedIn = BurnedIn.MASK  # what becomes of films with burned-in text
    show_phi: bool = False  # names of files, and the reports' own words unmasked
    key_list: Path | None = None  # file outside OUT that says what each key stands for
    overwrite: bool = False  # give up what OUT holds, and start anew
    limit: int | None = None  # studies of the cohort at most, the same ones whenever they are asked for
    shard: Shard | None = None  # audit this part alone, and leave tables and the page over all to a whole run
    retry_failed: bool = False  # try studies again that could not be audited, though nothing has changed
    index: Path | None = None  # keeps what the headers say for the next scan; holds patient and accession numbers
    numbers: Mapping[str, Mapping[str, float | str]] = field(default_factory=dict)  # by method: for that one alone
    beta: float | None = None  # this and what follows: for every method that has a number of the name
    variance: float | None = None
    steps: int | None = None
    samples: int | None = None
    image_layer: int | None = None
    text_layer: int | None = None
