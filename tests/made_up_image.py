"""The header of a film that no file holds, and the target of a phrase on it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipelines.boxes.table import target_boxes
from pipelines.study import Box, Case, Image, Phrase, View


def made_up_image(path: str = "film.dcm", **changes: Any) -> Image:
    """Make a frontal film of 100 x 200 px of which no more is known than it must be; ``changes`` are fields of it."""
    fields = {
        "path": Path(path),
        "sop_instance_uid": "1.2.3",
        "study_instance_uid": "1.2",
        "patient_id": "p",
        "accession_number": "",
        "rows": 100,
        "columns": 200,
        "view": View.PA,
        "view_source": "ViewPosition",
        "photometric_interpretation": "MONOCHROME2",
        "spacing_mm": None,
        "spacing_source": None,
        "sex": None,
        "age_years": None,
        "manufacturer": None,
        "series_description": "",
        "horizontally_flipped": False,
    }
    return Image(**fields | changes)


def target_of(phrase: Phrase, boxes: Iterable[Box], image: Image) -> tuple[Box, ...]:
    """Give the boxes that a phrase is scored against where it is the only one of its image."""
    return target_boxes(Case(image=image, phrases=(phrase,), boxes=tuple(boxes)), phrase)
