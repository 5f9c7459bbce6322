"""What a run keeps so that it can go on: what each study was made from, what failed, and what an earlier run did."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

__all__ = ["DoneAgain", "FailedStudyRecord", "FingerprintRecord", "HistoryRecord", "LeftOutImage"]

Scalar = float | int | str | bool | None


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class FingerprintRecord(_Record):
    """What a study was made from: its record is good for as long as all of this is the same."""

    inputs: dict[str, str]  # salted hashes of "images", "report", "phrases", "boxes", "references", "controls", ...
    settings: dict[str, Scalar]  # what of the run shapes a study: model, method, numbers, seed, program
    stamps: tuple[str | None, ...]  # an image file's size and times, salted: while it stands, contents are not read


class LeftOutImage(_Record):
    """An image of a study that could not be audited."""

    image: str  # salted hash of the SOPInstanceUID
    stage: str
    reason: str  # as failures.csv shows it


class FailedStudyRecord(_Record):
    """What ``failed.json`` holds where none of a study's images could be audited, so that it is not tried for ever."""

    schema_version: Literal["1"] = "1"
    key: str
    fingerprint: FingerprintRecord
    left_out: tuple[LeftOutImage, ...]


class DoneAgain(_Record):
    """Studies that were done although OUT held them, and why."""

    because: tuple[str, ...]
    rescored: bool  # stored heat was scored again, and the model not asked
    studies: tuple[str, ...]  # keys


class HistoryRecord(_Record):
    """What a run found in OUT and made of it."""

    done_before: int  # studies
    failed_before: int  # studies that were not tried again
    done_again: tuple[DoneAgain, ...]
    set_aside: tuple[str, ...]  # keys of studies that are no part of this run and lie in the folder "set-aside"
