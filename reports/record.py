"""The content of a study's ``record.json``, and of ``failed.json`` for a study that could not be audited.

Pages are rendered from this, ``run.json`` (:mod:`reports.run_record`) and ``heat.npz``, without a model and without the
DICOM files. Boxes, phrases, radiographs, placements and processing steps are those of :mod:`pipelines`; a record adds
keys, scores and file names to them. A reader refuses any other ``schema_version``.
"""

from collections.abc import Sequence
from dataclasses import field
from datetime import date, datetime
from typing import Annotated, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, model_validator
from pydantic.dataclasses import dataclass
from pydantic_core import CoreSchema

from pipelines.geometry import Placement
from pipelines.study import Box, Orientation, Phrase, PixelStep, Radiograph, SideMarker, unexpected

__all__ = [
    "SCHEMA_VERSION",
    "ControlRecord",
    "ErasedRecord",
    "ExcludedImage",
    "FailedStudyRecord",
    "FindingCosines",
    "FingerprintRecord",
    "ModelRecord",
    "OmittedSentence",
    "OtherHeatRecord",
    "OwnBoxes",
    "Pixel",
    "Record",
    "ReportRecord",
    "Scalar",
    "Score",
    "ScoredBox",
    "ScoredImage",
    "ScoredPhrase",
    "StudyRecord",
    "TokenHeat",
]

SCHEMA_VERSION: Literal["1"] = "1"

Pixel = tuple[float, float]  # (row, column), edge-based source coordinates
Scalar = float | int | str | bool | None


def _end_at_first_fault(schema: object, handler: GetCoreSchemaHandler) -> None:
    if isinstance(schema, list):
        for each in schema:
            _end_at_first_fault(each, handler)
    elif isinstance(schema, dict):
        if schema.get("type") in {"tuple", "list", "dict"}:
            schema["fail_fast"] = True
        if schema.get("type") == "definition-ref":  # a dataclass; none of them contains itself
            _end_at_first_fault(handler.resolve_ref_schema(cast("CoreSchema", schema)), handler)
        for name, each in schema.items():
            if name not in {"metadata", "cls"}:
                _end_at_first_fault(each, handler)


class _EndsAtFirstFault:
    """Stops validation at the first fault of a sequence: a damaged file may have millions, and each needs memory."""

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Mark every sequence of the class, and of the dataclasses that it holds."""
        schema = handler(source)
        _end_at_first_fault(schema, handler)
        return schema


_CONFIG = ConfigDict(extra="forbid", ser_json_inf_nan="constants")


class Record(_EndsAtFirstFault, BaseModel):
    """A part of a file that a command writes: complete, and without unknown fields."""

    model_config = ConfigDict(frozen=True, **_CONFIG)


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class ScoredBox(_EndsAtFirstFault, Box):
    """A box that phrases are scored against: masked if necessary, with the fraction that the model could see."""

    id: str = ""  # "box-1", "box-2", ... among its image's boxes; empty in records of version 0.1.0
    visible_fraction: Annotated[float, Field(ge=0, le=1)]  # of its area


class TokenHeat(Record):
    """Information at one word of the phrase, in nats."""

    word: str
    nats: float
    kind: Literal["finding", "place", "other"] | None = None  # what it names; None in records of version 0.1.0
    fall: float | None = None  # of the cosine when the word is replaced by a neutral token; None: not measured
    untrained: float | None = None  # nats before the bottleneck's first step; None for a method without one


class Score(Record):
    """One score of one map; ``value`` is None if it could not be measured, never 0 or NaN."""

    method: str  # "m2ib", or a reference: "random", "centre", "class-mean box", "words-only prior", "another reader"
    score: str  # "pointing game, tau 0", "energy in box", "IoU at Otsu", "CNR", ...
    value: float | None
    outcome: Literal["hit", "miss", "scored", "unscored"]
    reason: str | None = None  # why unscored
    levels: tuple[float, ...] | None = None  # IoU at audit.metrics.overlap.LEVELS, where the cohort gives the value


class ControlRecord(Record):
    """A phrase's heat after one deliberate change."""

    method: str
    control: str  # "shuffled report", "nonsense", "side swapped", "negated", "other window", "second seed"
    text: str | None  # what was put to the model instead; None where the phrase stayed as it was
    heat: str  # name of its grid in heat.npz
    pearson: float | None  # of its grid with the original's; None where either is flat
    hit: bool | None  # its peak in the phrase's own boxes; None where the phrase has none
    cosine: float
    total: float  # sum of the heat over the grid, in the method's unit


class ErasedRecord(Record):
    """A phrase's cosines with changed images: its target erased, equal areas erased, and one grey value alone."""

    fill: str  # what erased regions were filled with: "other-patients", "contralateral" or "inpainting"
    region: float | None  # None: see ``reason``
    elsewhere: tuple[float, ...] = ()
    blank: float
    reason: str | None = None  # why the region or an equal area could not be erased
    pictures: tuple[str, ...] = ()  # JPEG beside record.json: the region erased, then the first equal area


class OtherHeatRecord(Record):
    """The heat of a further method on the same phrase; its scores are listed among the phrase's."""

    method: str
    unit: str
    heat: str  # name of its grid in heat.npz
    total: float  # sum over the grid, in the method's unit
    peak: float
    hottest: Pixel | None
    tokens: tuple[TokenHeat, ...]  # ``nats`` is in the method's unit here


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class ScoredPhrase(_EndsAtFirstFault, Phrase):
    """A phrase that was given to the model with one image, masked if necessary, with the scores of its heat."""

    target: tuple[str, ...] | None = None  # ids of the boxes it is scored against; None in records of version 0.1.0
    cosine: float  # similarity of the whole image and the whole phrase, -1 to 1
    heat: str  # name of this phrase's grid in heat.npz
    total_nats: float  # sum of the heat over the grid
    peak_nats: float  # the greatest value of a grid cell
    hottest: Pixel | None  # the peak; None where the map points nowhere (flat, NaN, two separate maxima)
    tokens: tuple[TokenHeat, ...]
    token_total_nats: float
    scores: tuple[Score, ...]
    controls: tuple[ControlRecord, ...] = ()  # empty where the phrase is not in the run's sample
    others: tuple[OtherHeatRecord, ...] = ()  # further methods of the run
    negated_cosine: float | None = None  # of the image with the finding denied; None where no finding is named
    other_side_cosine: float | None = None  # with left and right swapped; None where that may be true too
    erased: ErasedRecord | None = None  # None where the phrase is not in the run's sample


class OwnBoxes(Record):
    """The run's boxes of an image and what depends on them, stored while those of another file replace them."""

    boxes: tuple[ScoredBox, ...]
    targets: tuple[tuple[str, ...], ...]  # for each phrase of the image the ids of the boxes it was scored against
    other_side_cosines: tuple[float | None, ...] = ()  # of each phrase; empty in records of version 0.1.0


class FindingCosines(Record):
    """The cosines of an image with one finding asserted ("Pleural effusion.") and denied ("No pleural effusion.")."""

    asserted: float
    denied: float


class UntrainedHeatRecord(Record):
    """The heat of a method with a bottleneck before its first step, which is the same for every phrase of an image."""

    method: str
    heat: str  # name of its grid in heat.npz
    total: float  # sum over the grid, in the method's unit


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class ScoredImage(_EndsAtFirstFault, Radiograph):
    """One radiograph of a study, identified by keys, with its boxes and phrases."""

    key: str  # salted hash of the SOPInstanceUID
    path_key: str | None = None  # salted hashes of the file's folders and stem, by which a box file may name the image
    valid: str | None = None  # 1-bit PNG beside record.json: black behind collimators and in padding; None: all white
    picture: str  # file name of the displayed image beside record.json: 8-bit grey JPEG (PNG in older records)
    sex: str | None = None  # "female", "male", "other" or "not known"; None in records of older versions
    age: str | None = None  # a band of years, never the age
    study_date: date | None = None  # shifted by patient unless --show-phi; None in records of older versions
    receipt: tuple[PixelStep, ...]
    blanked: tuple[tuple[int, int, int, int], ...] = ()  # (top, left, bottom, right): burned-in text that is not shown
    letters: tuple[tuple[int, int, int, int], ...] = ()  # of each of these areas, without the room around them
    placement: Placement
    boxes: tuple[ScoredBox, ...]
    own: OwnBoxes | None = None  # the run's own boxes, while the image is scored against those of another file
    phrases: tuple[ScoredPhrase, ...]
    absent: tuple[Phrase, ...] = ()  # what the report denies of the whole image, masked; it has no heat
    finding_cosines: dict[str, FindingCosines] = field(default_factory=dict)  # of every known finding
    untrained: tuple[UntrainedHeatRecord, ...] = ()  # of methods with a bottleneck; empty in records of older versions
    side_marker: SideMarker | None = None  # None where none was read, and in records of older versions
    orientation: Orientation | None = None  # as the anatomy shows; None where it cannot be told, and in older records

    @property
    def contradicting_marker(self) -> SideMarker | None:
        """The side marker, if it says that the patient's right is where the header says that the left is."""
        marker = self.side_marker
        return None if marker is None or marker.right_is_at_left != self.horizontally_flipped else marker

    @property
    def lies(self) -> Orientation | None:
        """How the image lies, if that is known and is not what the header says."""
        return unexpected(self.orientation, flipped=self.horizontally_flipped)

    @model_validator(mode="after")
    def _targets_are_boxes(self) -> "ScoredImage":
        """Check that ids are unique and that each target names boxes of the image."""
        _check_ids(self.boxes, [phrase.target or () for phrase in self.phrases])
        if self.own is not None:
            _check_ids(self.own.boxes, self.own.targets)
            if len(self.own.targets) != len(self.phrases):
                raise ValueError(f"{len(self.own.targets)} targets of the run's own boxes, {len(self.phrases)} phrases")
            if len(self.own.other_side_cosines) not in {0, len(self.phrases)}:
                raise ValueError(
                    f"{len(self.own.other_side_cosines)} cosines of the other side, {len(self.phrases)} phrases"
                )
        return self


def _check_ids(boxes: Sequence[ScoredBox], targets: Sequence[Sequence[str]]) -> None:
    ids = [box.id for box in boxes if box.id]
    if len(set(ids)) < len(ids):
        raise ValueError("two boxes have the same id")
    unknown = sorted({box for target in targets for box in target} - set(ids))
    if unknown:
        raise ValueError(f"a phrase's target is {unknown[0]!r}, which is not a box of its image")


class ModelRecord(Record):
    """The model that was audited."""

    name: str
    family: str
    source: str  # hub id, or the folder's name without its path
    sha256: str  # of the weights file
    terms: str  # licence and conditions, as far as known
    is_phantom: bool  # trained on synthetic radiographs: says nothing about patients


class OmittedSentence(Record):
    """A sentence of the report whose finding was not given to the model, and its context."""

    text: str  # masked as phrases are
    section: str
    finding: str
    context: str  # "absent", "historical", ...


class ReportRecord(Record):
    """The report of a study as its page shows it."""

    text: str  # masked as phrases are, and without letterhead and signature unless the run was made with --show-phi
    words: int | None = None  # of the text; None in records of older versions
    masked_words: int | None = None
    header_too_large: bool = False  # an image's header could not be read to its end: every word is masked
    not_put: tuple[OmittedSentence, ...] = ()


class FingerprintRecord(Record):
    """The inputs and settings of a study: its record is valid as long as they are unchanged."""

    inputs: dict[str, str]  # salted hashes of "images", "report", "phrases", "boxes", "references", "controls", ...
    settings: dict[str, Scalar]  # what of the run shapes a study: model, method, numbers, seed, program
    stamps: tuple[str | None, ...]  # an image file's size and times, salted: while it stands, contents are not read


class ExcludedImage(Record):
    """An image of a study that could not be audited."""

    image: str  # salted hash of the SOPInstanceUID
    stage: str
    reason: str  # as failures.csv shows it


class StudyRecord(Record):
    """Everything that a study's page shows. Written last: it marks the study as finished."""

    schema_version: Literal["1"] = SCHEMA_VERSION
    key: str
    patient: str | None = None  # salted hash; None in records of older versions
    created: datetime
    model: ModelRecord
    method: str
    unit: str = "nats"  # of the method's heat: a heat compares with heat of its own method only
    settings: dict[str, Scalar]  # of the method: beta, variance, layers, steps, samples, ...
    seed: int
    software: dict[str, str]  # package -> version
    phantom_images: bool
    patient_data_shown: bool
    report_joined_by: str
    report: ReportRecord | None = None  # None in records of older versions
    images: tuple[ScoredImage, ...]
    left_out: tuple[ExcludedImage, ...] = ()  # images of the study that could not be audited
    fingerprint: FingerprintRecord | None = None  # None in records of older versions: done again by the next run
    files: dict[str, str] | None = None  # SHA-256 of heat, pictures and masks beside it; None in records of 0.1.0
    seal: str | None = None  # HMAC of the file by who had the salt (audit.logbook.seals); None in records of 0.1.0


class FailedStudyRecord(Record):
    """The content of ``failed.json`` if none of a study's images could be audited, so that it is not retried."""

    schema_version: Literal["1"] = SCHEMA_VERSION
    key: str
    fingerprint: FingerprintRecord
    left_out: tuple[ExcludedImage, ...]
