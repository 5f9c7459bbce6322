"""The boxes that a record names as a phrase's target, and what version 0.1.0 left to be derived."""

import json
from dataclasses import replace

import pytest
from made_up_records import EFFUSION, Claim, make_study
from pydantic import TypeAdapter, ValidationError

from reports.outcomes import verdict_on
from reports.record import ScoredBox, ScoredImage, StudyRecord
from reports.study_page import render_study
from reports.targets import own_boxes, target_boxes

LEFT = Claim(text="Left effusion.", side="left", heat_at=(0.7, 0.7), boxes=((0.64, 0.64, 0.24, 0.22),))
RIGHT = Claim(text="Right effusion.", side="right", boxes=((0.64, 0.12, 0.24, 0.22),))
BOTH = Claim(text="Effusions.", side=None, zone=None, boxes=())


def image_of(*claims: Claim, named: bool) -> ScoredImage:
    """An image's record, of this version (whose boxes have ids and whose phrases name them) or of version 0.1.0."""
    image = make_study("a", claims).record.images[0]
    return image if not named else with_names(image)


def with_names(image: ScoredImage) -> ScoredImage:
    own = own_boxes(image)
    phrases = tuple(replace(phrase, target=target) for phrase, target in zip(image.phrases, own.targets, strict=True))
    return replace(image, boxes=own.boxes, phrases=phrases)


def ids(boxes: tuple[ScoredBox, ...]) -> list[str]:
    return [box.id for box in boxes]


@pytest.mark.parametrize("named", [True, False], ids=["this version", "version 0.1.0"])
def test_a_phrase_of_one_side_has_the_boxes_of_that_side(named: bool) -> None:
    image = image_of(LEFT, RIGHT, BOTH, named=named)
    left, right = image.boxes
    assert [target_boxes(image, phrase) for phrase in image.phrases] == [(left,), (right,), (left, right)]


def test_the_record_is_believed_and_the_rule_is_not_asked_again() -> None:
    image = image_of(LEFT, RIGHT, named=True)
    left, right = image.phrases
    moved = replace(image, phrases=(replace(left, target=("box-2",)), right))
    assert ids(target_boxes(moved, moved.phrases[0])) == ["box-2"]


@pytest.mark.parametrize("named", [True, False], ids=["this version", "version 0.1.0"])
def test_the_sentence_counts_the_boxes_of_the_target_alone(named: bool) -> None:
    image = image_of(LEFT, RIGHT, BOTH, named=named)
    sentences = [verdict_on(phrase, image, method="m2ib").sentence for phrase in image.phrases[:2]]
    assert not any("one of" in sentence for sentence in sentences)
    scored = replace(image.phrases[2], scores=image.phrases[0].scores)
    assert "one of the radiologist's boxes" in verdict_on(scored, image, method="m2ib").sentence


def test_a_record_of_version_0_1_0_is_read_and_shows_the_same_page() -> None:
    made = make_study("a", (LEFT, RIGHT, BOTH))
    now = made.record.model_copy(update={"images": tuple(map(with_names, made.record.images))})
    older = json.loads(now.model_dump_json())
    for image in older["images"]:
        image.pop("own")
        for box in image["boxes"]:
            box.pop("id")
        for phrase in image["phrases"]:
            phrase.pop("target")
    read = StudyRecord.model_validate_json(json.dumps(older))
    assert read.images[0].phrases[0].target is None
    page, before = (render_study(each, heats=made.heats, pictures=made.pictures) for each in (now, read))
    for name in ("box-1", "box-2"):
        page = page.replace(f'data-id="{name}"', 'data-id=""')
    assert page == before


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"target": ["box-9"]}, "'box-9', which is not a box of its image"),
        ({"id": "box-2"}, "two boxes have the same id"),
        ({"own": {"boxes": [], "targets": [["box-1"], []]}}, "'box-1', which is not a box of its image"),
        ({"own": {"boxes": [], "targets": []}}, "0 targets of the run's own boxes, 2 phrases"),
    ],
    ids=["target", "id", "own target", "own targets"],
)
def test_a_record_whose_targets_are_no_boxes_is_refused(changed: dict[str, object], message: str) -> None:
    kind = TypeAdapter(ScoredImage)
    record = kind.dump_python(image_of(EFFUSION, LEFT, named=True), mode="json")
    place = {"target": record["phrases"][0], "id": record["boxes"][0], "own": record}[next(iter(changed))]
    place.update(changed)
    with pytest.raises(ValidationError, match=message):
        kind.validate_python(record)
