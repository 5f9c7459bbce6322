"""What a radiologist drew stands on the page in its own shape."""

from dataclasses import replace

import numpy as np
import pytest
from made_up_records import EFFUSION, make_study
from run_lengths import run_lengths_of

from pipelines.shapes import Ellipse, Polygons

RING = np.zeros((400, 300), dtype=bool)
RING[100:300, 50:250], RING[150:250, 100:200] = True, False

COVERED = """(path, points) => points.map(([x, y]) => {
  const point = path.ownerSVGElement.createSVGPoint();
  [point.x, point.y] = [x, y];
  return path.isPointInFill(point);
})"""


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param(Polygons(rings=(((100.0, 100.0), (600.0, 150.0), (300.0, 700.0)),)), id="polygon"),
        pytest.param(Ellipse(centre=(400.0, 500.0), first=(200.0, 80.0), second=(-40.0, 150.0)), id="ellipse"),
        pytest.param(run_lengths_of(RING), id="mask with a hole"),
    ],
)
def test_the_outline_on_the_page_encloses_what_is_scored(open_study, shape):
    made = make_study("a", (EFFUSION,))
    image = made.record.images[0]
    x, y, width, height = shape.bounds()
    box = replace(image.boxes[0], x=x, y=y, width=width, height=height, shape=shape)
    changed = replace(image, boxes=(box,))
    made.record = made.record.model_copy(update={"images": (changed,)})
    page = open_study(made)
    rng = np.random.default_rng(0)
    points = rng.uniform((x - 20, y - 20), (x + width + 20, y + height + 20), (400, 2))
    mask = shape.mask(image.rows, image.columns)
    scored = mask[points[:, 1].astype(int).clip(0, image.rows - 1), points[:, 0].astype(int).clip(0, image.columns - 1)]
    shown = np.array(page.locator(".box path.line").first.evaluate(COVERED, points.tolist()))
    assert (shown != scored).mean() < 0.03
    assert 0.1 < scored.mean() < 0.9
