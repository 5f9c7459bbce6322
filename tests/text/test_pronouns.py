"""A sentence that names no finding goes on from the sentence before it."""

import pytest

from pipelines.study import Context, Side, Zone
from pipelines.text.phrases import phrases_of

PRESENT, UNCERTAIN, ABSENT = Context.PRESENT, Context.UNCERTAIN, Context.ABSENT
LEFT, RIGHT = Side.LEFT, Side.RIGHT
UPPER, MID, LOWER = Zone.UPPER, Zone.MID, Zone.LOWER


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No left pneumothorax. A small one on the right.", (PRESENT, RIGHT, None)),
        ("No left pneumothorax.\nThere is a small one on the right.", (PRESENT, RIGHT, None)),
        ("Small left pneumothorax. A larger one at the right apex.", (PRESENT, RIGHT, UPPER)),
        ("Small left pneumothorax. No right one.", (ABSENT, RIGHT, None)),
        ("Small left pneumothorax. The one on the right has resolved.", (ABSENT, RIGHT, None)),
        ("Small left pneumothorax. A right one cannot be excluded.", (UNCERTAIN, RIGHT, None)),
        ("No left pneumothorax. Trace on the right.", (PRESENT, RIGHT, None)),
        ("No left pneumothorax. That on the right is small.", (PRESENT, RIGHT, None)),
        ("No left pneumothorax. The right is small.", (PRESENT, RIGHT, None)),
        ("No left pneumothorax. A small one on the right with adjacent atelectasis.", (PRESENT, RIGHT, None)),
    ],
)
def test_a_pronoun_stands_for_the_finding_of_the_sentence_before(
    text: str, expected: tuple[Context, Side | None, Zone | None]
) -> None:
    first, second, *rest = phrases_of(text)
    assert second.finding == first.finding == "pneumothorax"
    assert (second.context, second.side, second.zone) == expected
    assert (first.text, second.text) == (text.replace("\n", " ").split(". ")[0] + ".", text.replace("\n", " "))
    assert [(other.finding, other.text) for other in rest] == (
        [("atelectasis", second.text.split(". ")[1])] if "atelectasis" in text else []
    )


def test_a_pronoun_goes_on_from_sentence_to_sentence() -> None:
    text = "No nodule in the lingula. A small one in the right upper lobe. A second one at the right base."
    assert [(phrase.finding, phrase.context, phrase.side, phrase.zone) for phrase in phrases_of(text)] == [
        ("nodule", ABSENT, LEFT, MID),
        ("nodule", PRESENT, RIGHT, UPPER),
        ("nodule", PRESENT, RIGHT, LOWER),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "No effusion. The left hilum is larger than the right one.",  # another thing
        "No effusion on this film. There was one on the previous film.",
        "No effusion. Better than on the previous one.",
        "No effusion or pneumothorax. A small one on the right.",  # of several findings none is known to be meant
        "The heart is enlarged. A small one on the right.",  # there is one heart
        "No pneumothorax. One healed rib on the left.",  # a number
        "No pneumothorax. One may ask for a lateral view.",  # a person
        "No pneumothorax. No one was told.",
        "No pneumothorax. The lungs are clear. A small one on the right.",  # not the sentence before
        "FINDINGS: No pneumothorax.\nIMPRESSION: A small one on the right.",
        "No pneumothorax. " + "Lines are unchanged and " * 41 + "a small one is on the right.",  # too long for one text
    ],
)
def test_a_pronoun_that_may_stand_for_something_else_is_not_read(text: str) -> None:
    said = [(phrase.finding, phrase.text) for phrase in phrases_of(text)]
    assert said == [(finding, first) for finding, first in said if text.removeprefix("FINDINGS: ").startswith(first)]
    assert len({first for _, first in said}) == 1


@pytest.mark.parametrize(
    "text",
    [
        "Pneumothorax: no\nEffusion: small left",
        "Pneumothorax - no\nEffusion - small left",
        "Pneumothorax? No. Effusion? Yes, small left.",
        "Pneumothorax: none. Effusion: small left.",
    ],
    ids=["colons", "dashes", "questions", "one line"],
)
def test_an_answer_belongs_to_the_finding_before_it(text: str) -> None:
    stated = {phrase.finding: (phrase.context, phrase.side) for phrase in phrases_of(text)}
    assert stated == {"pneumothorax": (ABSENT, None), "pleural effusion": (PRESENT, LEFT)}
