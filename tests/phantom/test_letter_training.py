"""Training the network that finds letters: synthetic images with their frames, and a small run that learns."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from audit.phantom.letter_images import make_letter_images
from audit.phantom.letter_training import LetterTraining, train_letters
from pipelines.errors import OutputError
from pipelines.regions.letter_network import WEIGHTS, LetterNetwork, letter_answers
from pipelines.regions.letter_shapes import LetterShape

TINY = LetterTraining(steps=3, batch=4, images=12, phantoms=1)


def test_letters_are_drawn_with_their_frames_and_as_their_seed_has_it() -> None:
    drawn = make_letter_images(120, chests=[], seed=3)
    assert drawn.images.shape == (120, 128, 128)
    assert set(np.unique(drawn.shapes)) == {-1, *LetterShape}
    has_letter = (drawn.shapes > 0).any((1, 2))
    assert 0.4 < has_letter.mean() < 0.95
    up, left, down, right = drawn.borders.transpose(1, 0, 2, 3)[:, drawn.shapes > 0]
    height, width = up + down, left + right
    assert (height >= 1.0).all()
    assert (width > 0.5).all()
    assert (height < 60.0).all()
    again = make_letter_images(3, chests=[], seed=3)
    assert np.array_equal(again.images, drawn.images[:3])
    assert not np.array_equal(make_letter_images(3, chests=[], seed=4).images, drawn.images[:3])


def test_the_committed_network_finds_and_reads_letters_that_it_has_not_seen() -> None:
    drawn = make_letter_images(60, chests=[], seed=98)
    found, read = [], []
    for image, shapes in zip(drawn.images, drawn.shapes, strict=True):
        answers, _ = letter_answers(image)
        for place in np.argwhere((shapes == LetterShape.L) | (shapes == LetterShape.R)):
            answer = answers[:, *place]
            found.append(answer[LetterShape.NONE] < 0.5)
            read.append(answer[1:].argmax() + 1 == shapes[*place])
    assert len(found) >= 30
    assert np.mean(found) >= 0.6  # some are barely visible
    assert np.mean(np.array(read)[np.array(found)]) >= 0.9


def test_training_writes_weights_that_load_and_is_never_written_over(tmp_path: Path) -> None:
    for name in ("one", "two"):
        train_letters(tmp_path / name, TINY, on_message=print)
    one, two = (load_file(tmp_path / name) for name in ("one", "two"))
    assert all(bool((one[name] == two[name]).all()) for name in one)  # the same seed trains the same weights
    LetterNetwork().load_state_dict(one)
    assert {name: tensor.shape for name, tensor in one.items()} == {
        name: tensor.shape for name, tensor in load_file(WEIGHTS).items()
    }
    with pytest.raises(OutputError, match="exists already"):
        train_letters(tmp_path / "one", replace(TINY, steps=1), on_message=print)


def test_the_committed_weights_are_small() -> None:
    assert WEIGHTS.stat().st_size < 200_000
