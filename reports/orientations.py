"""Images that do not lie as their header says: the warnings on a study's page, and their list on the cohort page."""

from dataclasses import dataclass
from typing import Final

from pipelines.study import Orientation, SideMarker
from reports.cases import study_address
from reports.record import ScoredImage, StudyRecord
from reports.texts import counted, named, text

__all__ = ["TurnedImage", "TurnedImages", "image_warnings"]

_LISTED_AT_MOST: Final = 100


def image_warnings(image: ScoredImage) -> tuple[str, ...]:
    """Say that an image's side marker contradicts the header, and that the image appears to be mirrored or rotated."""
    return tuple(sentence for sentence in (_of_marker(image.contradicting_marker), _of_lie(image.lies)) if sentence)


def _of_marker(marker: SideMarker | None) -> str | None:
    if marker is None:
        return None
    if marker.at_left:
        return text("marker.contradicts_at_left", letter=marker.letter)
    return text("marker.contradicts_at_right", letter=marker.letter)


def _of_lie(lies: Orientation | None) -> str | None:
    if lies is None:
        return None
    if lies is Orientation.MIRRORED:
        return text("lies.mirrored")
    if lies is Orientation.UPRIGHT:
        return text("lies.not_flipped")
    return text("lies.rotated", orientation=named("orientation", lies))


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
