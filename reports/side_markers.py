"""The sentence on a study's page about a side marker that contradicts the header."""

from reports.record import ScoredImage
from reports.texts import text

__all__ = ["side_marker_sentence"]


def side_marker_sentence(image: ScoredImage) -> str | None:
    """Say that the side marker contradicts the header; None if it does not, or no side marker was read."""
    marker = image.contradicting_marker
    if marker is None:
        return None
    if marker.at_left:
        return text("marker.contradicts_at_left", letter=marker.letter)
    return text("marker.contradicts_at_right", letter=marker.letter)
