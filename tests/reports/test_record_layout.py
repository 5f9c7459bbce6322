"""The layout of record.json is a contract: names and forms of its fields, and what a reader refuses."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from made_up_records import EFFUSION, HEART, make_study
from pydantic import ValidationError

from pipelines.shapes import Polygons
from reports.record import StudyRecord

FIELDS = {
    "placement": {"rows", "columns", "size", "fit", "resized_rows", "resized_columns", "top", "left"},
    "receipt": {"step", "detail"},
    "boxes": {
        *("id", "x", "y", "width", "height", "label", "reader", "phrase"),
        *("visible_fraction", "shape"),
    },
    "phrases": {
        *("text", "section", "finding", "context", "side", "zone", "compared_with_prior", "target", "cosine", "heat"),
        *("total_nats", "peak_nats", "hottest", "tokens", "token_total_nats", "scores", "controls", "others"),
        *("negated_cosine", "other_side_cosine", "erased"),
    },
    "images": {
        *("key", "path_key", "valid", "picture", "view", "view_source", "rows", "columns", "spacing_mm"),
        *("spacing_source", "horizontally_flipped", "sex", "age", "manufacturer", "photometric_interpretation"),
        *(
            "study_date",
            "frame",
            "frames",
            "file_format",
            "receipt",
            "blanked",
            "letters",
            "placement",
            "boxes",
            "own",
            "phrases",
        ),
        *("untrained", "side_marker", "orientation", "absent", "finding_cosines"),
    },
    "scores": {"method", "score", "value", "outcome", "reason", "levels"},
}

Json = dict[str, object]


def written() -> Json:
    """A record with a shape, as it is written."""
    made = make_study("a", (EFFUSION, HEART)).record
    image = made.images[0]
    shape = Polygons(rings=(((1.0, 1.0), (9.0, 1.0), (9.0, 9.0)),))
    boxes = (replace(image.boxes[0], id="box-1", shape=shape), *image.boxes[1:])
    record = made.model_copy(update={"images": (replace(image, boxes=boxes),)})
    stored: Json = json.loads(record.model_dump_json())
    return stored


@pytest.mark.parametrize("name", FIELDS)
def test_a_part_of_a_record_is_written_flat_under_the_names_of_earlier_versions(name: str) -> None:
    record = written()
    image = record["images"][0]
    part = {"images": record, "scores": image["phrases"][0]}.get(name, image)[name]
    assert set(part if isinstance(part, dict) else part[0]) == FIELDS[name]


def test_the_values_of_names_are_words() -> None:
    image = written()["images"][0]
    assert image["placement"]["fit"] == "letterbox"
    assert image["boxes"][0]["shape"] == {"rings": [[[1.0, 1.0], [9.0, 1.0], [9.0, 9.0]]], "kind": "polygons"}


def unknown_fit(image: Json) -> None:
    image["placement"]["fit"] = "tilted"


def unknown_view(image: Json) -> None:
    image["view"] = "oblique"


def unknown_context(image: Json) -> None:
    image["phrases"][0]["context"] = "<script>"


def more_of_a_phrase(image: Json) -> None:
    image["phrases"][0]["patient"] = "Doe"


def more_of_an_image(image: Json) -> None:
    image["patient_id"] = "12"


def more_of_the_placement(image: Json) -> None:
    image["placement"]["turned"] = 90


def more_of_a_step(image: Json) -> None:
    image["receipt"][0]["value"] = 3


def more_of_a_box(image: Json) -> None:
    image["boxes"][0]["depth"] = 3


def more_of_a_shape(image: Json) -> None:
    image["boxes"][0]["shape"]["holes"] = []


def another_kind_of_shape(image: Json) -> None:
    image["boxes"][0]["shape"]["kind"] = "spline"


def seen_twice(image: Json) -> None:
    image["boxes"][0]["visible_fraction"] = 2.0


def an_outcome_of_its_own(image: Json) -> None:
    image["phrases"][0]["scores"][0]["outcome"] = "near"


@pytest.mark.parametrize(
    "change",
    [
        *(unknown_view, unknown_context, more_of_a_phrase, more_of_an_image),
        *(unknown_fit, more_of_the_placement, more_of_a_step, more_of_a_box, more_of_a_shape),
        *(another_kind_of_shape, seen_twice, an_outcome_of_its_own),
    ],
    ids=lambda change: change.__name__.replace("_", " "),
)
def test_a_record_that_says_something_else_is_refused(change: Callable[[Json], None]) -> None:
    record = written()
    StudyRecord.model_validate_json(json.dumps(record))
    change(record["images"][0])
    with pytest.raises(ValidationError):
        StudyRecord.model_validate_json(json.dumps(record))


@pytest.mark.parametrize("part", ["boxes", "receipt", "phrases", "corners"])
def test_reading_ends_at_the_first_fault_of_a_sequence(part: str) -> None:
    record = written()
    image = record["images"][0]
    if part == "corners":
        image["boxes"][0]["shape"]["rings"][0] = ["x"] * 1000
    else:
        image[part] = ["x"] * 1000
    with pytest.raises(ValidationError) as refused:
        StudyRecord.model_validate_json(json.dumps(record))
    assert refused.value.error_count() == 1
