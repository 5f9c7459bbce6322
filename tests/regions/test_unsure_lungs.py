"""Lungs that the network is unsure of: taken if the image stands like a chest, else refused."""

import numpy as np

from audit.phantom.no_chests import make_other_images
from pipelines.phantom.anatomy import Grid
from pipelines.phantom.render import render, sample_phantom
from pipelines.regions.chest import find_lungs


def test_noise_hides_a_chest_so_far_that_it_is_found_without_confidence() -> None:
    phantom = sample_phantom(np.random.default_rng([8, 0]), at_least=1)
    image = render(phantom, columns=200).image
    noise = np.random.default_rng(0).normal(size=image.shape)
    faint = np.clip(0.5 + 0.16 * (image - 0.5) + 0.24 * noise, 0.0, 1.0)
    lungs = find_lungs((255.0 * faint).astype(np.uint8), np.ones(image.shape, dtype=bool))
    assert lungs is not None
    assert lungs.confidence < 0.5
    true = Grid(phantom.anatomy, *image.shape).lungs
    for found, side in ((lungs.at_left, "right"), (lungs.at_right, "left")):
        drawn = true[side] > 0.5
        assert 2 * (found & drawn).sum() >= 0.75 * (found.sum() + drawn.sum())


def test_images_without_a_chest_have_no_lungs() -> None:
    images = make_other_images(60, seed=5)
    found = [find_lungs(image, np.ones(image.shape, dtype=bool)) for image in images]
    assert sum(lungs is not None for lungs in found) == 0
