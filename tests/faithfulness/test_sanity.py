"""Cascading randomisation: copies that forget from the top, and heats that should notice."""

import numpy as np
import pytest
import torch
from made_up_models import FAMILIES, PHRASES, openai_resnet
from torch.nn import Module
from torch.nn.functional import adaptive_avg_pool2d

from audit.attribution.bottleneck import BottleneckSettings
from audit.attribution.m2ib import M2IB
from audit.attribution.pairs import Attribution, Request
from audit.encoders.blocks import Affine
from audit.encoders.loading import load_encoder
from audit.faithfulness.cascade import TowerName, randomisable, randomised, randomised_tower
from audit.faithfulness.similarity import similarity
from pipelines.errors import ModelError

TRANSFORMERS = [family for family in FAMILIES if family != "openai resnet"]
METHOD = M2IB(BottleneckSettings(beta=0.01, steps=4, samples=2), image_layer=1, text_layer=1)


@pytest.fixture(scope="module", params=TRANSFORMERS)
def of_any_family(request, made_model):
    return load_encoder(str(made_model(request.param).folder))


@pytest.fixture(scope="module")
def requests() -> list[Request]:
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(4))
    return [
        Request(pixels=images[0], phrases=PHRASES[:2], seeds=[5, 6]),
        Request(pixels=images[1], phrases=PHRASES[1:2], seeds=[7]),
    ]


class EdgesOnly:
    """A method that looks at the image and the words, never at the model: what the check is there to find."""

    def explain_batch(self, encoder, requests, *, words: bool = True):  # noqa: ARG002 - as the protocol has it
        return tuple(
            tuple(
                Attribution(
                    heat=adaptive_avg_pool2d(request.pixels.abs().mean(0, keepdim=True), 4)[0],
                    words=tuple((word, float(len(word))) for word in phrase.split()),
                    cosine=0.0,
                )
                for phrase in request.phrases
            )
            for request in requests
        )


def maps_of(block) -> dict[str, object]:
    return {name: getattr(block, name) for name in ("query", "key", "value", "out", "mlp", "norm1", "norm2")}


def test_every_map_of_a_random_block_is_new_and_every_other_block_is_the_models_own(of_any_family) -> None:
    encoder = of_any_family
    for tower in (encoder.image, encoder.text):
        random = randomised_tower(tower, 1, seed=3)
        blocks, new = tower.stack.blocks, random.stack.blocks
        assert all(one is other for one, other in zip(blocks[:-1], new[:-1], strict=True))
        width = blocks[-1].query.weight.shape[1]
        value = torch.randn(2, 3, width, generator=torch.Generator().manual_seed(1))
        for name, part in maps_of(blocks[-1]).items():
            before, after = part(value), maps_of(new[-1])[name](value)
            assert before.shape == after.shape
            assert (before - after).abs().mean() > 0.01 * before.std(), name


def test_the_model_is_untouched_and_collects_no_gradient(of_any_family) -> None:
    encoder = of_any_family
    pixels = torch.randn(2, 3, *[encoder.preprocessing.size] * 2, generator=torch.Generator().manual_seed(1))
    tokens = encoder.text.tokenise(PHRASES)
    images, phrases = encoder.image.forward(pixels), encoder.text.forward(tokens)
    for tower in TowerName:
        half = encoder.image if tower is TowerName.IMAGE else encoder.text
        model = randomised(encoder, tower, blocks=half.depth, seed=1)
        METHOD.explain_batch(model, [Request(pixels=pixels[0], phrases=PHRASES[:1], seeds=[1])])[0]
        for block in (model.image if tower is TowerName.IMAGE else model.text).stack.blocks:
            for part in maps_of(block).values():
                weights = [part.weight] if isinstance(part, Affine) else []
                weights += list(part.parameters()) if isinstance(part, Module) else []
                assert all(weight.grad is None and not weight.requires_grad for weight in weights)
    assert torch.equal(encoder.image.forward(pixels), images)
    assert torch.equal(encoder.text.forward(tokens), phrases)


def test_all_weights_of_the_library_model_are_bit_equal_after_a_cascade(small_clip, encoder, requests) -> None:
    fresh = {name: tensor.clone() for name, tensor in small_clip.reference.state_dict().items()}
    weights = [block.query.weight for block in encoder.image.stack.blocks]
    before = [weight.clone() for weight in weights]
    for tower in TowerName:
        for blocks in (1, 2, 3):
            METHOD.explain_batch(randomised(encoder, tower, blocks=blocks, seed=1), requests)
    assert all(torch.equal(one, other) for one, other in zip(weights, before, strict=True))
    loaded_again = load_encoder(str(small_clip.folder))
    pixels = requests[0].pixels[None]
    assert torch.equal(encoder.image.forward(pixels), loaded_again.image.forward(pixels))
    assert all(torch.equal(tensor, fresh[name]) for name, tensor in small_clip.reference.state_dict().items())


def test_prefix_and_suffix_of_a_random_tower_are_its_whole_at_every_layer(of_any_family) -> None:
    encoder = of_any_family
    pixels = torch.randn(2, 3, *[encoder.preprocessing.size] * 2, generator=torch.Generator().manual_seed(1))
    tokens = encoder.text.tokenise(PHRASES)
    image, text = (randomised_tower(tower, 2, seed=5) for tower in (encoder.image, encoder.text))
    exact = {"atol": 1e-4, "rtol": 1e-4}
    for layer in range(image.depth):
        torch.testing.assert_close(image.suffix(image.prefix(pixels, layer), layer), image.forward(pixels), **exact)
    for layer in range(text.depth):
        split = text.suffix(text.prefix(tokens, layer), layer, tokens.mask)
        torch.testing.assert_close(split, text.forward(tokens), **exact)
    assert (image.forward(pixels) - encoder.image.forward(pixels)).abs().max() > 0.01
    assert (text.forward(tokens) - encoder.text.forward(tokens)).abs().max() > 0.01
    assert (image.grid_at(0), image.leading_tokens) == (encoder.image.grid_at(0), encoder.image.leading_tokens)
    assert text.context == encoder.text.context


def test_no_random_block_is_the_model_itself(encoder, requests) -> None:
    model = randomised(encoder, TowerName.IMAGE, blocks=0, seed=1)
    pixels = requests[0].pixels[None]
    torch.testing.assert_close(model.image.forward(pixels), encoder.image.forward(pixels), atol=1e-5, rtol=1e-5)


def test_a_longer_cascade_holds_the_shorter_ones_blocks(encoder) -> None:
    one, two = (randomised_tower(encoder.text, blocks, seed=9).stack.blocks for blocks in (1, 2))
    assert torch.equal(one[-1].query.weight, two[-1].query.weight)
    assert torch.equal(one[-1].mlp.fc1.weight, two[-1].mlp.fc1.weight)
    assert not torch.equal(one[-2].query.weight, two[-2].query.weight)


def test_two_random_blocks_have_nothing_in_common(encoder) -> None:
    blocks = randomised_tower(encoder.text, 2, seed=9).stack.blocks
    last, before = (block.query.weight.flatten().numpy() for block in blocks[-2:])
    assert abs(np.corrcoef(last, before)[0, 1]) < 0.05


def test_the_seed_decides_and_the_global_generator_is_left_alone(encoder) -> None:
    state = torch.get_rng_state()
    weights = [randomised_tower(encoder.image, 1, seed=seed).stack.blocks[-1].query.weight for seed in (1, 1, 2)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert torch.equal(torch.get_rng_state(), state)


def test_random_weights_keep_mean_and_spread_and_nothing_else(encoder) -> None:
    old = encoder.image.stack.blocks[-1].mlp.fc1.weight
    new = randomised_tower(encoder.image, 1, seed=1).stack.blocks[-1].mlp.fc1.weight
    assert float(new.std()) == pytest.approx(float(old.std()), rel=0.05)
    assert float(new.mean()) == pytest.approx(float(old.mean()), abs=0.05 * float(old.std()))
    assert abs(np.corrcoef(old.flatten().numpy(), new.flatten().numpy())[0, 1]) < 0.05


@pytest.mark.parametrize("blocks", [-1, 4])
def test_more_blocks_than_there_are_is_refused(encoder, blocks) -> None:
    with pytest.raises(ValueError, match="this tower has 3 blocks"):
        randomised_tower(encoder.image, blocks, seed=1)


def test_a_convolutional_tower_is_refused_by_name_and_its_text_tower_is_not(tmp_path) -> None:
    encoder = load_encoder(str(openai_resnet(tmp_path / "resnet").folder))
    with pytest.raises(ModelError, match=r"resnet: its image tower \(ResNetImageTower\).*other tower"):
        randomised(encoder, TowerName.IMAGE, blocks=1, seed=1)
    assert randomised(encoder, TowerName.TEXT, blocks=1, seed=1).image is encoder.image
    assert randomisable(encoder) == (TowerName.TEXT,)


@pytest.mark.parametrize("tower", TowerName)
def test_a_method_that_ignores_the_model_is_found_out(encoder, requests, tower) -> None:
    trained, found = (
        EdgesOnly().explain_batch(model, requests) for model in (encoder, randomised(encoder, tower, blocks=3, seed=0))
    )
    for before, after in zip(trained, found, strict=True):
        for pair in map(similarity, before, after):
            assert (pair.spearman, pair.ssim, pair.words_spearman) == pytest.approx((1.0, 1.0, 1.0))


@pytest.mark.parametrize("tower", TowerName)
def test_the_heat_of_m2ib_changes_with_the_seed_of_the_random_blocks_and_is_repeated_by_it(
    encoder, requests, tower
) -> None:
    trained = METHOD.explain_batch(encoder, requests[:1])[0][0]
    first, again, other = (
        similarity(
            trained, METHOD.explain_batch(randomised(encoder, tower, blocks=3, seed=seed), requests[:1])[0][0]
        ).spearman
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other
    assert first < 0.99
