"""What holds for every family at every layer: suffix of prefix is the whole, and the model is left as it was."""

import warnings

import pytest
import torch
from made_up_models import FAMILIES, PHRASES, SIZE
from torch.nn import Module

from audit.attribution.bottleneck import BottleneckSettings
from audit.attribution.m2ib import M2IB
from audit.attribution.pairs import Request
from audit.encoders.loading import load_encoder
from audit.encoders.protocol import DualEncoder, ImageTower, TextTower
from audit.encoders.words import CutPhraseWarning

EXACT = {"atol": 1e-5, "rtol": 1e-5}


@pytest.fixture(scope="module", params=FAMILIES)
def encoder(request, made_model) -> DualEncoder:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return load_encoder(str(made_model(request.param).folder))


@pytest.fixture
def pixels(encoder) -> torch.Tensor:
    size = encoder.preprocessing.size
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))


def modules_of(tower: object, seen: set[int] | None = None) -> list[Module]:
    """Every torch module that a tower can reach, through attributes, closures and containers."""
    seen = set() if seen is None else seen
    if id(tower) in seen or isinstance(tower, str | bytes | torch.Tensor | torch.device):
        return []
    seen.add(id(tower))
    if isinstance(tower, Module):
        return list(tower.modules())
    parts = list(getattr(tower, "__dict__", {}).values())
    parts += [getattr(tower, name) for name in getattr(type(tower), "__slots__", ()) if hasattr(tower, name)]
    parts += [cell.cell_contents for cell in getattr(tower, "__closure__", None) or ()]
    parts += [getattr(tower, "__self__", None)]
    if isinstance(tower, list | tuple):
        parts += list(tower)
    return [module for part in parts if part is not None for module in modules_of(part, seen)]


def test_it_is_a_dual_encoder_of_two_towers(encoder) -> None:
    assert isinstance(encoder, DualEncoder)
    assert isinstance(encoder.image, ImageTower)
    assert isinstance(encoder.text, TextTower)


def test_image_prefix_and_suffix_are_the_whole_forward_at_every_layer(encoder, pixels) -> None:
    whole = encoder.image.forward(pixels)
    for layer in range(encoder.image.depth):
        split = encoder.image.suffix(encoder.image.prefix(pixels, layer), layer)
        torch.testing.assert_close(split, whole, **EXACT)


def test_text_prefix_and_suffix_are_the_whole_forward_at_every_layer(encoder) -> None:
    tokens = encoder.text.tokenise(PHRASES)
    whole = encoder.text.forward(tokens)
    for layer in range(encoder.text.depth):
        split = encoder.text.suffix(encoder.text.prefix(tokens, layer), layer, tokens.mask)
        torch.testing.assert_close(split, whole, **EXACT)


def test_batching_changes_no_image(encoder, pixels) -> None:
    for layer in range(encoder.image.depth):
        together = encoder.image.prefix(pixels, layer)
        for row in range(len(pixels)):
            alone = encoder.image.prefix(pixels[row : row + 1], layer)
            torch.testing.assert_close(together[row], alone[0], atol=2e-5, rtol=1e-5)
            batched, single = encoder.image.suffix(together, layer)[row], encoder.image.suffix(alone, layer)[0]
            # By the norm: a convolution sums in another order for two images, and how far apart depends on the CPU.
            assert torch.linalg.vector_norm(batched - single) <= 1e-5 * torch.linalg.vector_norm(single)


def test_batching_and_padding_change_no_phrase(encoder) -> None:
    together = encoder.text.tokenise(PHRASES)
    for layer in range(encoder.text.depth):
        batch = encoder.text.suffix(encoder.text.prefix(together, layer), layer, together.mask)
        for row, phrase in enumerate(PHRASES):
            alone = encoder.text.tokenise([phrase])
            single = encoder.text.suffix(encoder.text.prefix(alone, layer), layer, alone.mask)
            torch.testing.assert_close(batch[row], single[0], **EXACT)


def test_what_stands_in_the_padding_changes_nothing(encoder) -> None:
    tokens = encoder.text.tokenise(PHRASES)
    hidden = encoder.text.prefix(tokens, 0)
    noisy = torch.where(tokens.mask[..., None], hidden, torch.full_like(hidden, 30.0))
    torch.testing.assert_close(
        encoder.text.suffix(noisy, 0, tokens.mask), encoder.text.suffix(hidden, 0, tokens.mask), **EXACT
    )


def test_the_grid_covers_all_tokens_but_the_leading_ones_at_every_layer(encoder, pixels) -> None:
    for layer in range(encoder.image.depth):
        rows, columns = encoder.image.grid_at(layer)
        assert encoder.image.prefix(pixels, layer).shape[1] == rows * columns + encoder.image.leading_tokens


def test_a_patch_of_the_image_lies_where_the_grid_says(encoder, pixels) -> None:
    """A change in the image's top right corner changes the first block most in the grid's top right corner."""
    size = encoder.preprocessing.size
    changed = pixels.clone()
    changed[:, :, : size // 4, -size // 4 :] += 20.0
    difference = (encoder.image.prefix(changed, 0) - encoder.image.prefix(pixels, 0)).abs().sum(-1)
    rows, columns = encoder.image.grid_at(0)
    grid = difference[:, encoder.image.leading_tokens :].reshape(-1, rows, columns).mean(0)
    corner = grid[: rows // 4, -columns // 4 :].mean()
    assert corner > 2 * grid[rows // 2 :, : columns // 2].mean()


def test_explaining_leaves_no_gradient_no_hook_and_the_same_weights(encoder, pixels) -> None:
    modules = modules_of(encoder.image) + modules_of(encoder.text)
    parameters = [parameter for module in modules for parameter in module.parameters()]
    assert parameters
    before = [parameter.clone() for parameter in parameters]
    M2IB(BottleneckSettings(steps=1, samples=2)).explain_batch(
        encoder, [Request(pixels=pixels[0], phrases=PHRASES, seeds=[1, 2, 3])]
    )[0]
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in parameters)
    assert all(torch.equal(parameter, old) for parameter, old in zip(parameters, before, strict=True))
    assert not any(module._forward_hooks or module._forward_pre_hooks or module._backward_hooks for module in modules)
    assert not any(module.training for module in modules)


def test_explanations_have_the_grids_shape_and_the_phrases_words(encoder, pixels) -> None:
    explained = M2IB(BottleneckSettings(steps=2, samples=2)).explain_batch(
        encoder, [Request(pixels=pixels[0], phrases=PHRASES[1:2], seeds=[1])]
    )[0]
    layer, _ = M2IB().split(encoder)
    assert explained[0].heat.shape == encoder.image.grid_at(layer)
    assert torch.isfinite(explained[0].heat).all()
    assert [word for word, _ in explained[0].words] == ["Left", "pleural", "effusion,", "no", "pneumothorax."]


def test_a_layer_that_is_not_there_is_refused(encoder, pixels) -> None:
    with pytest.raises(ValueError, match="outside this tower's blocks"):
        encoder.image.prefix(pixels, encoder.image.depth)
    with pytest.raises(ValueError, match="outside this tower's blocks"):
        encoder.text.prefix(encoder.text.tokenise(PHRASES), -1)


def test_a_phrase_beyond_the_context_is_cut_with_a_warning_that_counts_its_words(encoder) -> None:
    phrase = "Left pleural effusion. " * encoder.text.context
    words = len(phrase.split())
    with pytest.warns(CutPhraseWarning, match=rf"{words} words .*context of {encoder.text.context} tokens") as told:
        tokens = encoder.text.tokenise([phrase])
    assert "effusion" not in str(told[0].message)
    assert tokens.ids.shape[1] == encoder.text.context
    assert encoder.text.forward(tokens).shape[0] == 1


def test_numbers_of_weights_add_up(encoder) -> None:
    counted = {id(p): p.numel() for module in modules_of(encoder.image) for p in module.parameters()}
    assert encoder.image.parameters == sum(counted.values()) or encoder.info.family != "open_clip"
    assert min(encoder.image.parameters, encoder.text.parameters) > SIZE
