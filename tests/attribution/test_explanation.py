"""What a notebook asks for: a picture explained, and scored against boxes."""

import subprocess
import sys

import numpy as np
import pytest

from audit.attribution.explanation import Explanation
from pipelines.geometry import Fit, Placement
from pipelines.image_file import as_picture
from pipelines.study import Box


@pytest.fixture(scope="module")
def explained() -> Explanation:
    heat = np.zeros((60, 40), dtype=np.float32)
    heat[30, 20] = 1.0
    return Explanation(
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


def test_a_box_is_scored(explained: Explanation) -> None:
    scores = explained.scores([Box(x=15.0, y=25.0, width=10.0, height=10.0, label="nodule")])
    assert next(score.outcome for score in scores if score.score == "pointing game, tau 0") == "hit"


WITHOUT_TYPE_CHECKS = """
import numpy as np
from audit.attribution.explanation import Explanation
from pipelines.geometry import Fit, Placement
from pipelines.image_file import as_picture

flat = np.zeros((60, 40), dtype=np.float32)
explained = Explanation(
    picture=as_picture(flat), phrase="A nodule.", method="m2ib", unit="nats", heat=flat, grid=flat[:4, :4], words=(),
    cosine=0.5, placement=Placement.of(60, 40, size=20, fit=Fit.STRETCH),
)
for boxes in ([(15, 25, 10, 10)], (15, 25, 10, 10), [None]):
    for call in (explained.scores, lambda given: explained.figure(boxes=given)):
        try:
            call(boxes)
        except TypeError as error:
            print(error)
"""


def test_what_is_no_box_is_refused_with_what_is_wanted() -> None:
    """As a user meets it: type hints are checked in tests alone, and would refuse it first."""
    done = subprocess.run([sys.executable, "-c", WITHOUT_TYPE_CHECKS], check=True, capture_output=True, text=True)
    wanted = "give pipelines.study.Box(x=..., y=..., width=..., height=..., label=...), in pixels of the image"
    assert done.stdout.splitlines() == [
        f"boxes[0] is a {kind}: {wanted}" for kind in ("tuple", "int", "NoneType") for _ in range(2)
    ]
