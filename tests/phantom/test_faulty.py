"""Encoders with a known fault, derived from the grounded one: what they keep of it, and what they lose."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from audit.attribution.m2ib import M2IB
from audit.attribution.pairs import Request
from audit.encoders.loading import load_encoder, model_folder
from audit.phantom.faulty import PLACES
from audit.phantom.pool import make_pool
from audit.phantom.training import normalised
from audit.phantom.training_folder import TrainingGoal, train_to_folder
from pipelines.phantom.wording import CLAIMS, Claim, sentences_of

SENTENCES = [sentences_of(claim)[0] for claim in CLAIMS]


def cosines(name: str, images: torch.Tensor) -> np.ndarray:
    """Cosines of images, by row, with a sentence of every claim."""
    encoder = load_encoder(name)
    with torch.no_grad():
        texts = encoder.text.forward(encoder.text.tokenise(SENTENCES))
        vectors = encoder.image.forward(images)
    unit = (torch.nn.functional.normalize(each, dim=-1) for each in (vectors, texts))
    seen, read = unit
    return (seen @ read.T).numpy()


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randn(4, 3, 160, 160, generator=torch.Generator().manual_seed(3))


def test_the_image_blind_encoder_gives_each_sentence_one_cosine_whatever_the_image(images: torch.Tensor) -> None:
    of_blind, of_grounded = cosines("phantom-image-blind", images), cosines("phantom", images)
    np.testing.assert_array_equal(of_blind, np.broadcast_to(of_blind[:1], of_blind.shape))
    assert of_blind[0].std() > 0.05  # a prior of the sentences
    assert of_grounded.std(axis=0).max() > 0.05


@pytest.mark.parametrize("kind", [TrainingGoal.IMAGE_BLIND, TrainingGoal.HABIT], ids=str)
def test_a_derived_encoder_keeps_the_text_tower_and_changes_the_image_tower(kind: TrainingGoal, tmp_path: Path) -> None:
    folder, told = tmp_path / "encoder", list[str]()
    train_to_folder(folder, steps=2, pool_size=64, seed=3, kind=kind, processes=1, on_message=told.append)
    made, grounded = load_encoder(str(folder)), load_encoder("phantom")
    hints, of_grounded = (
        json.loads((path / "m2ib_audit.json").read_text()) for path in (folder, model_folder("phantom"))
    )
    assert hints["kind"] == kind.value
    assert "steps 2" in hints["training"]
    assert hints["text_beta"] == of_grounded["text_beta"]
    assert sum(file.stat().st_size for file in folder.iterdir()) < 5e6
    tokens = grounded.text.tokenise(SENTENCES)
    torch.testing.assert_close(made.text.tokenise(SENTENCES).ids, tokens.ids)
    with torch.no_grad():
        torch.testing.assert_close(made.text.forward(tokens), grounded.text.forward(tokens))
        image = torch.zeros(1, 3, 160, 160)
        assert not torch.allclose(made.image.forward(image), grounded.image.forward(image), atol=1e-3)


def test_the_habit_encoder_has_the_same_heat_on_images_that_differ() -> None:
    pool = make_pool(16, size=160, seed=11, processes=1)
    has = pool.truth[:, CLAIMS.index(Claim(finding="consolidation"))]
    requests = [
        Request(pixels=pixels, phrases=["There is a consolidation."], seeds=[5])
        for pixels in normalised(pool.images[has][:3])
    ]
    explained = M2IB(samples=4).explain_batch(load_encoder("phantom-habit"), requests, words=False)
    heats = [attribution.heat.numpy() for (attribution,) in explained]
    assert np.corrcoef([heat.ravel() for heat in heats]).min() > 0.7
    peaks = {tuple(int(at) for at in np.unravel_index(int(heat.argmax()), heat.shape)) for heat in heats}
    assert peaks == {PLACES["consolidation"]}
