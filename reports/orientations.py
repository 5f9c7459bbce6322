"""Images that do not lie as their header says: the sentence on a study's page, and their list on the cohort page."""

from dataclasses import dataclass
from typing import Final

from pipelines.study import Orientation
from reports.cases import study_address
from reports.record import ScoredImage, StudyRecord
from reports.texts import counted, named, text

__all__ = ["TurnedImage", "TurnedImages", "orientation_sentence"]

_LISTED_AT_MOST: Final = 100


def orientation_sentence(image: ScoredImage) -> str | None:
    """Say that an image appears to be mirrored or rotated, and which scores it lacks; None if it does not."""
    if image.lies is None:
        return None
    if image.lies is Orientation.MIRRORED:
        return text("lies.mirrored")
    if image.lies is Orientation.UPRIGHT:
        return text("lies.not_flipped")
    return text("lies.rotated", orientation=named("orientation", image.lies))


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnedImage:
    """One image of the list."""

    key: str  # of the study
    address: str  # of the study's page
    about: str  # how it appears, in words


class TurnedImages:
    """Collects the list study by study."""

    def __init__(self) -> None:
        self.lines: list[TurnedImage] = []
        self._more = 0

    def add(self, study: StudyRecord) -> None:
        """Add the images of one study."""
        for place, image in enumerate(study.images):
            if image.lies is None:
                continue
            if len(self.lines) == _LISTED_AT_MOST:
                self._more += 1
                continue
            about = text("lies.line", number=place + 1, orientation=named("orientation", image.lies))
            self.lines.append(TurnedImage(key=study.key, address=study_address(study.key), about=about))

    @property
    def more(self) -> str:
        """How many images the list leaves out; empty if it has all."""
        return text("lies.more", images=counted("image", self._more)) if self._more else ""
