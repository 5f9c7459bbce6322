"""Training the networks that tell how a radiograph lies: images whose sides can be told apart, and a small run."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from audit.phantom.chest_images import make_lung_images
from audit.phantom.chest_shapes import Pose, sample_chest
from audit.phantom.chest_sides import SidedAnatomy
from audit.phantom.no_chests import make_other_images
from audit.phantom.orientation_training import COMMITTED, train_orientation
from pipelines.errors import OutputError
from pipelines.regions.orientation_network import WEIGHTS

TINY = tuple(replace(each, steps=3, batch=4, chests=8, phantoms=2, others=2) for each in COMMITTED)


def test_sided_chests_have_the_same_lungs_as_plain_ones() -> None:
    sided, plain = (make_lung_images(12, seed=5, processes=1, style=style) for style in ("sided", "plain"))
    assert (sided.lungs == plain.lungs).all()
    assert (sided.images != plain.images).any((1, 2)).all()


def test_heart_aorta_and_hilum_lie_on_the_side_of_the_heart() -> None:
    assert column_of_shadows(heart_side=1) > 64 + 3
    assert column_of_shadows(heart_side=-1) < 64 - 3


def column_of_shadows(*, heart_side: int) -> float:
    """Mean column of the centre of what hides lung, over 20 chests in the middle of the image."""
    columns = []
    for seed in range(20):
        rng = np.random.default_rng([9, seed])
        anatomy = SidedAnatomy(Pose(rng), replace(sample_chest(rng), heart_side=heart_side), rng)
        hidden = sum(share * shape.sum(0) for share, shape in anatomy.shadows())
        if np.any(hidden):
            columns.append(np.average(np.arange(128), weights=hidden))
    return float(np.mean(columns))


def test_images_without_a_chest_are_those_of_their_seed() -> None:
    others = make_other_images(6, seed=4)
    assert others.shape == (6, 128, 128)
    assert (others.std((1, 2)) > 2.0).all()
    assert np.array_equal(make_other_images(6, seed=4), others)
    assert not np.array_equal(make_other_images(6, seed=5), others)


def test_training_writes_the_same_weights_from_the_same_seed_and_never_over_a_file(tmp_path: Path) -> None:
    for name, settings in (("one", TINY), ("two", TINY[:1])):
        train_orientation(tmp_path / name, settings, processes=1, on_message=print)
    one, two = (load_file(tmp_path / name) for name in ("one", "two"))
    assert {name: tensor.shape for name, tensor in one.items()} == {
        name: tensor.shape for name, tensor in load_file(WEIGHTS).items()
    }
    assert all(bool((one[name] == two[name]).all()) for name in two)
    with pytest.raises(OutputError, match="exists already"):
        train_orientation(tmp_path / "one", TINY, processes=1, on_message=print)


def test_the_committed_weights_are_small() -> None:
    assert WEIGHTS.stat().st_size < 1_000_000
