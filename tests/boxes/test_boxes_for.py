"""Which boxes are the target of a phrase."""

from dataclasses import replace

import pytest
from made_up_image import made_up_image, target_of

from pipelines.study import Box, Context, Phrase, Side

IMAGE = made_up_image(
    "dicom/study1/im1.dcm", sop_instance_uid="1.2.1.1", study_instance_uid="1.2.1", accession_number="A1"
)
EFFUSION = Box(x=10, y=20, width=30, height=40, label="pleural effusion")
IMAGE_LEFT = Box(x=10, y=0, width=20, height=20, label="nodule")
IMAGE_RIGHT = Box(x=150, y=0, width=20, height=20, label="nodule")


def phrase(finding: str | None = "nodule", side: Side | None = None, text: str = "A nodule.") -> Phrase:
    return Phrase(text=text, section="findings", finding=finding, context=Context.PRESENT, side=side)


def test_boxes_of_another_finding_are_no_target() -> None:
    assert target_of(phrase(), [EFFUSION, IMAGE_LEFT], IMAGE) == (IMAGE_LEFT,)
    assert target_of(phrase(None), [IMAGE_LEFT], IMAGE) == ()


@pytest.mark.parametrize(
    ("side", "flipped", "expected"),
    [
        (Side.RIGHT, False, (IMAGE_LEFT,)),
        (Side.LEFT, False, (IMAGE_RIGHT,)),
        (Side.RIGHT, True, (IMAGE_RIGHT,)),
        (Side.LEFT, True, (IMAGE_LEFT,)),
        (Side.BILATERAL, False, (IMAGE_LEFT, IMAGE_RIGHT)),
        (None, False, (IMAGE_LEFT, IMAGE_RIGHT)),
    ],
)
def test_the_patients_right_is_at_the_images_left_unless_flipped(
    side: Side | None, flipped: bool, expected: tuple[Box, ...]
) -> None:
    image = replace(IMAGE, horizontally_flipped=flipped)
    assert target_of(phrase(side=side), [IMAGE_LEFT, IMAGE_RIGHT], image) == expected


def test_boxes_only_on_the_other_side_stay_targets() -> None:
    assert target_of(phrase(side=Side.LEFT), [IMAGE_LEFT], IMAGE) == (IMAGE_LEFT,)


def test_boxes_drawn_for_this_sentence_come_before_others() -> None:
    drawn = replace(IMAGE_RIGHT, phrase="Nodule in the LEFT lung")
    another = replace(IMAGE_LEFT, phrase="right apical nodule")
    text = "A small nodule in the left lung."
    assert target_of(phrase(text=text), [another, drawn], IMAGE) == (drawn,)
    assert target_of(phrase(text="Some nodules."), [another, drawn], IMAGE) == (another, drawn)


@pytest.mark.parametrize(
    ("finding", "label", "meets"),
    [
        ("nodule", "lung lesion", True),
        ("lung lesion", "mass", True),
        ("nodule", "mass", False),
        ("mass", "nodule", False),
    ],
)
def test_a_lesion_meets_its_narrower_and_broader_labels(finding: str, label: str, meets: bool) -> None:
    box = replace(IMAGE_LEFT, label=label)
    assert target_of(phrase(finding), [box], IMAGE) == ((box,) if meets else ())
