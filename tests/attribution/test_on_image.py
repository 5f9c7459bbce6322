"""What a notebook asks for: a picture explained, and scored against boxes."""

import numpy as np
import pytest

from audit.attribution.on_image import Explained
from pipelines.geometry import Fit, Placement
from pipelines.image_file import as_picture
from pipelines.study import Box


@pytest.fixture(scope="module")
def explained() -> Explained:
    heat = np.zeros((60, 40), dtype=np.float32)
    heat[30, 20] = 1.0
    return Explained(
        picture=as_picture(np.zeros((60, 40), dtype=np.float32)),
        phrase="A nodule.",
        method="m2ib",
        unit="nats",
        heat=heat,
        grid=np.zeros((4, 4), dtype=np.float32),
        words=(),
        cosine=0.5,
        placement=Placement.of(60, 40, size=20, fit=Fit.STRETCH),
    )


def test_a_box_is_scored(explained: Explained) -> None:
    scores = explained.scores([Box(x=15.0, y=25.0, width=10.0, height=10.0, label="nodule")])
    assert next(score.outcome for score in scores if score.score == "pointing game, tau 0") == "hit"


@pytest.mark.parametrize(
    ("boxes", "words"),
    [([(15, 25, 10, 10)], r"boxes\[0\] is a tuple"), ((15, 25, 10, 10), r"boxes\[0\] is a int"), ([None], "NoneType")],
    ids=["a tuple", "four numbers", "nothing"],
)
@pytest.mark.parametrize("ask", ["scores", "figure"])
def test_what_is_no_box_is_refused_with_what_is_wanted(explained: Explained, boxes, words: str, ask: str) -> None:
    call = {"scores": lambda: explained.scores(boxes), "figure": lambda: explained.figure(boxes=boxes)}[ask]
    with pytest.raises(TypeError, match=rf"{words}.*give pipelines\.study\.Box\("):
        call()
