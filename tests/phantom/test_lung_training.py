"""Training the network that finds the lungs: synthetic chests with their masks, and a small run that learns."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from audit.phantom.chest_images import make_lung_images
from audit.phantom.lung_training import LungTraining, phantom_lung_images, train_lungs
from pipelines.errors import OutputError
from pipelines.regions.lung_network import WEIGHTS, LungNetwork, lung_probabilities

TINY = LungTraining(steps=4, batch=4, chests=12, phantoms=4)


def test_chests_are_drawn_with_both_lungs_and_as_their_seed_has_it() -> None:
    drawn = make_lung_images(40, seed=3, processes=1)
    assert drawn.images.shape == (40, 128, 128)
    assert (drawn.images.std((1, 2)) > 2.0).all()
    areas = drawn.lungs.mean((2, 3))
    assert ((areas > 0.01) & (areas < 0.45)).all()
    assert not drawn.lungs.all(1).any()  # no pixel lies in both
    middles = np.array([[np.nonzero(mask)[1].mean() for mask in masks] for masks in drawn.lungs])
    assert (middles[:, 0] < middles[:, 1]).all()
    again = make_lung_images(3, seed=3, processes=1)
    assert np.array_equal(again.images, drawn.images[:3])
    assert not np.array_equal(make_lung_images(3, seed=4, processes=1).images, drawn.images[:3])


def test_masks_of_phantoms_are_those_that_the_committed_network_finds() -> None:
    phantoms = phantom_lung_images(6, seed=99)
    for image, masks in zip(phantoms.images, phantoms.lungs, strict=True):
        for probability, mask in zip(lung_probabilities(image).mean(axis=0), masks, strict=True):
            found = probability > 0.5
            assert 2 * (found & mask).sum() >= 0.9 * (found.sum() + mask.sum())


def test_training_writes_weights_that_load_and_is_never_written_over(tmp_path: Path) -> None:
    out = tmp_path / "lungs.safetensors"
    train_lungs(out, TINY, processes=1, on_message=print)
    weights = load_file(out)
    LungNetwork().load_state_dict(weights)
    assert {name: tensor.shape for name, tensor in weights.items()} == {
        name: tensor.shape for name, tensor in load_file(WEIGHTS).items()
    }
    with pytest.raises(OutputError, match="exists already"):
        train_lungs(out, replace(TINY, steps=1), processes=1, on_message=print)


def test_the_same_seed_trains_the_same_weights(tmp_path: Path) -> None:
    for name in ("one", "two"):
        train_lungs(tmp_path / name, TINY, processes=1, on_message=print)
    one, two = (load_file(tmp_path / name) for name in ("one", "two"))
    assert all(bool((one[name] == two[name]).all()) for name in one)


def test_the_committed_weights_are_small() -> None:
    assert WEIGHTS.stat().st_size < 2_000_000
