"""A reviewer's answer for a heat map: the format shared by pages, review server, database and saved files.

An entry speaks of one heat, named by the keys of its study and image and by its name in ``heat.npz``. It holds all that
the reviewer says of that heat at one moment; a later entry takes its place, and the earlier one is kept.
"""

from datetime import UTC, datetime
from typing import Annotated, Final, Literal, get_args

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, field_validator

from reports.record import StudyRecord

__all__ = [
    "FILE_FORMAT",
    "LONGEST_COMMENT",
    "REASONS",
    "REGION_ANSWERS",
    "VERDICTS",
    "Opinion",
    "Reason",
    "RegionAnswer",
    "ReviewBox",
    "ReviewEntry",
    "ReviewFile",
    "Subject",
    "moment_audited",
    "subjects_of",
]

FILE_FORMAT: Final = "m2ib-audit review"
LONGEST_COMMENT: Final = 4000  # characters

Opinion = Literal["agree", "partly", "disagree"]
VERDICTS: Final[tuple[Opinion, ...]] = get_args(Opinion)

RegionAnswer = Literal["yes", "unsure", "no"]
REGION_ANSWERS: Final[tuple[RegionAnswer, ...]] = get_args(RegionAnswer)
"""Answers to "Would you expect the model to need this region?", in order for weighted agreement."""

Reason = Literal[
    "wrong-side",
    "wrong-zone",
    "other-finding",
    "marker",
    "device",
    "outside",
    "too-wide",
    "part-missed",
    "box-wrong",
    "report-wrong",
    "no-place",
    "image-quality",
    "other",
]
REASONS: Final[tuple[Reason, ...]] = get_args(Reason)
"""Why a reviewer agrees in part or not at all, as ``reports/texts`` words it: first of where the heat lies and how far
it reaches, then of what it is held against. Codes are stored: they may be added, never changed."""

Key = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$", max_length=200)]
EntryId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ReviewBox(_Record):
    """A rectangle that a reviewer drew, in source pixels (as :class:`pipelines.study.Box`)."""

    x: float = Field(ge=0)
    y: float = Field(ge=0)
    width: float = Field(gt=0)
    height: float = Field(gt=0)


class Subject(_Record):
    """The one heat that an entry speaks of."""

    study: Key
    audited: AwareDatetime  # StudyRecord.created: of a study that was audited again, old verdicts say nothing
    image: Key  # ScoredImage.key
    heat: Annotated[str, StringConstraints(min_length=1, max_length=200)]  # ScoredPhrase.heat


class ReviewEntry(_Record):
    """All that one reviewer says of one heat at one moment."""

    id: EntryId  # made by the page: an entry that is sent twice is kept once
    subject: Subject
    reviewer: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80)]
    moment: AwareDatetime
    verdict: Opinion | None  # None: withdrawn, or not given yet
    region_needed: RegionAnswer | None = None
    """Whether the model is expected to need the marked region; None: no answer, or an entry of an older version"""
    reasons: tuple[Reason, ...] = ()
    comment: Annotated[str, StringConstraints(max_length=LONGEST_COMMENT)] = ""
    boxes: tuple[ReviewBox, ...] = Field(default=(), max_length=50)
    scores_hidden: bool | None = (
        None  # whether the verdict was given before scores and boxes were shown; None: not known
    )
    replaces: EntryId | None = None  # the entry that the reviewer had before this one

    @field_validator("reasons")
    @classmethod
    def _once_and_in_order(cls, reasons: tuple[Reason, ...]) -> tuple[Reason, ...]:
        return tuple(reason for reason in REASONS if reason in reasons)

    @property
    def is_empty(self) -> bool:
        """True if both answers, reasons, comment and boxes are all empty: everything was withdrawn."""
        is_unanswered = self.verdict is None and self.region_needed is None
        return is_unanswered and not (self.reasons or self.comment.strip() or self.boxes)


class ReviewFile(_Record):
    """The file that a page saves if no server stores its entries."""

    format: Literal["m2ib-audit review"] = FILE_FORMAT
    version: Literal[1] = 1
    saved: datetime
    entries: tuple[ReviewEntry, ...]


def moment_audited(study: StudyRecord) -> datetime:
    """Return the time of a study's audit with its zone; a time without zone was written in UTC."""
    return study.created if study.created.tzinfo is not None else study.created.replace(tzinfo=UTC)


def subjects_of(study: StudyRecord) -> tuple[Subject, ...]:
    """List the heats of a study that a reviewer may speak of."""
    audited = moment_audited(study)
    return tuple(
        Subject(study=study.key, audited=audited, image=image.key, heat=phrase.heat)
        for image in study.images
        for phrase in image.phrases
    )
