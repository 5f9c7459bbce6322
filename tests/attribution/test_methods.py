"""What holds for every method: the form of its maps, batches, seeds, and the model left as it was found."""

import gc
import math

import pytest
import torch
from made_up_models import FAMILIES, PHRASES
from torch import Tensor
from torch.nn.functional import cosine_similarity

from audit.attribution.attention import attend, embedding_of, open_tower
from audit.attribution.engine import Method
from audit.attribution.kernel_shap import KernelSHAP
from audit.attribution.methods import METHODS
from audit.attribution.pairs import Attribution, Pairs, Request
from audit.attribution.rise import RISE
from audit.encoders.loading import load_encoder
from audit.encoders.protocol import DualEncoder
from audit.phantom.evaluation import held_out_phantoms
from pipelines.errors import ModelError
from pipelines.transforms import place_image

ALL = sorted(METHODS)
NEED_BLOCKS = {"grad_eclip", "chefer", "legrad", "rollout", "patch_similarity"}
RANDOM = {"m2ib", "iba", "rise", "kernel_shap"}


def small(name: str) -> Method:
    """The method as it is, with fewer masks where it takes hundreds."""
    fewer = {"rise": lambda: RISE(masks=24, cells=4), "kernel_shap": lambda: KernelSHAP(cells=4, coalitions=24)}
    return fewer.get(name, METHODS[name])()


@pytest.fixture(scope="module")
def encoders(made_model) -> dict[str, DualEncoder]:
    return {family: load_encoder(str(made_model(family).folder)) for family in FAMILIES}


@pytest.fixture(scope="module")
def clip(encoders) -> DualEncoder:
    return encoders["clip"]


def images_for(encoder: DualEncoder, count: int = 2) -> Tensor:
    size = encoder.preprocessing.size
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(4))


def requests_for(encoder: DualEncoder, **changes: list[int]) -> list[Request]:
    images = images_for(encoder)
    return [
        Request(pixels=images[0], phrases=PHRASES[:2], seeds=changes.get("seeds", [5, 6])),
        Request(pixels=images[1], phrases=PHRASES[2:], seeds=[7]),
    ]


def same(left: Attribution, right: Attribution) -> bool:
    return torch.equal(left.heat, right.heat) and left.words == right.words and left.cosine == right.cosine


@pytest.mark.parametrize("name", ALL)
def test_every_method_has_the_form_of_one_and_is_found_by_its_name(name, clip) -> None:
    method = METHODS[name]()
    assert isinstance(method, Method)
    assert method.name == name
    assert method.unit in {"nats", "cosine", "dimensionless"}
    numbers = method.hyperparameters(clip)
    assert set(numbers) == set(method.numbers), "every number that is shown can be set, under the same name"
    again = METHODS[name](**{number: method.numbers[number](value) for number, value in numbers.items()})
    assert again.hyperparameters(clip) == numbers


@pytest.mark.parametrize("family", [pytest.param(name, id=name) for name in sorted(FAMILIES)])
@pytest.mark.parametrize("name", ALL)
def test_every_method_explains_every_family_or_says_why_not(name, family, encoders) -> None:
    encoder, method = encoders[family], small(name)
    pixels = images_for(encoder, 1)[0]
    request = Request(pixels=pixels, phrases=PHRASES[:2], seeds=[1, 2])
    without = (name in NEED_BLOCKS and "resnet" in family) or (name == "grad_eclip" and "siglip" in family)
    if without:
        with pytest.raises(ModelError, match=name):
            method.explain_batch(encoder, [request])
        return
    for explanation in method.explain_batch(encoder, [request])[0]:
        rows, columns = explanation.heat.shape
        assert rows == columns > 1
        assert bool(torch.isfinite(explanation.heat).all())
        assert bool(explanation.words) == method.explains_words
        assert all(math.isfinite(value) for _, value in explanation.words)


@pytest.mark.parametrize("family", [pytest.param(name, id=name) for name in sorted(FAMILIES) if "resnet" not in name])
def test_blocks_run_with_their_attention_in_the_open_give_the_models_own_embedding(family, encoders) -> None:
    encoder = encoders[family]
    images, tokens = images_for(encoder), encoder.text.tokenise(PHRASES[:2])
    pairs = Pairs(
        encoder=encoder,
        images=images,
        image_of=torch.arange(2),
        tokens=tokens,
        seeds=(1, 2),
        image_embedding=encoder.image.forward(images),
        text_embedding=encoder.text.forward(tokens),
        words=True,
    )
    sides = ((pairs.image_side(0), pairs.image_embedding), (pairs.text_side(), pairs.text_embedding))
    for side, whole in sides:
        opened = open_tower(side, method="this test")
        hidden = opened.embedded
        for block in opened.stack.blocks:
            seen = attend(block, hidden, opened.allowed)
            torch.testing.assert_close(seen.weights.sum(-1), torch.ones(seen.weights.shape[:-1]))
            hidden = seen.output
        torch.testing.assert_close(embedding_of(opened, hidden), whole, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ALL)
def test_a_pair_gives_in_a_batch_what_it_gives_alone(name, clip) -> None:
    requests = requests_for(clip)
    batch = small(name).explain_batch(clip, requests)
    assert [len(one) for one in batch] == [2, 1]
    for request, together in zip(requests, batch, strict=True):
        for phrase, seed, explanation in zip(request.phrases, request.seeds, together, strict=True):
            alone = Request(pixels=request.pixels, phrases=[phrase], seeds=[seed])
            single = small(name).explain_batch(clip, [alone])[0][0]
            torch.testing.assert_close(explanation.heat, single.heat, atol=1e-4, rtol=1e-3)
            assert [word for word, _ in explanation.words] == [word for word, _ in single.words]
            values = [value for _, value in single.words]
            assert [value for _, value in explanation.words] == pytest.approx(values, abs=1e-4, rel=1e-3)
            assert explanation.cosine == pytest.approx(single.cosine, abs=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_the_same_seeds_give_the_same_maps_and_the_global_seed_is_left_alone(name, clip) -> None:
    requests = requests_for(clip)
    first = small(name).explain_batch(clip, requests)
    with torch.random.fork_rng():
        torch.manual_seed(99)
        before = torch.get_rng_state()
        second = small(name).explain_batch(clip, requests)
        assert torch.equal(torch.get_rng_state(), before)
    assert all(same(a, b) for one, other in zip(first, second, strict=True) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("name", ALL)
def test_another_seed_changes_the_maps_of_the_methods_that_draw_and_of_no_other(name, clip) -> None:
    first = small(name).explain_batch(clip, requests_for(clip))
    second = small(name).explain_batch(clip, requests_for(clip, seeds=[15, 16]))
    unchanged = torch.equal(first[0][0].heat, second[0][0].heat)
    assert unchanged == (name not in RANDOM)


def state_of(parameter: torch.nn.Parameter) -> tuple[int, bool, int | None]:
    """How often it and its gradient, which models of other tests may have, were written."""
    gradient = parameter.grad
    return parameter._version, parameter.requires_grad, None if gradient is None else gradient._version


@pytest.mark.parametrize("name", ALL)
def test_the_model_is_left_as_it_was_found(name, clip) -> None:
    gc.collect()
    modules = [thing for thing in gc.get_objects() if issubclass(type(thing), torch.nn.Module)]
    parameters = [parameter for module in modules for parameter in module.parameters(recurse=False)]
    hooks = [(len(module._forward_hooks), len(module._backward_hooks)) for module in modules]
    state = [state_of(parameter) for parameter in parameters]
    result = small(name).explain_batch(clip, requests_for(clip))
    assert parameters
    assert [state_of(parameter) for parameter in parameters] == state
    assert [(len(module._forward_hooks), len(module._backward_hooks)) for module in modules] == hooks
    assert not any(explanation.heat.requires_grad for one in result for explanation in one)


@pytest.mark.parametrize("name", ALL)
def test_a_flat_image_gives_a_finite_map(name, clip) -> None:
    flat = torch.zeros(3, 64, 64)
    explanation = small(name).explain_batch(clip, [Request(pixels=flat, phrases=PHRASES[:1], seeds=[1])])[0][0]
    assert bool(torch.isfinite(explanation.heat).all())


@pytest.mark.parametrize("name", [name for name in ALL if name != "m2ib"])
def test_a_caller_without_gradients_gets_the_same_map(name, clip) -> None:
    requests = requests_for(clip)[1:]
    expected = small(name).explain_batch(clip, requests)[0][0]
    with torch.no_grad():
        found = small(name).explain_batch(clip, requests)[0][0]
    assert same(found, expected)


@pytest.mark.parametrize("name", ALL)
def test_without_words_only_the_image_is_explained(name, clip) -> None:
    with_words = small(name).explain_batch(clip, requests_for(clip))
    without = small(name).explain_batch(clip, requests_for(clip), words=False)
    for one, other in zip(with_words[0], without[0], strict=True):
        assert other.words == ()
        torch.testing.assert_close(one.heat, other.heat)


@pytest.mark.parametrize("name", ALL)
def test_no_request_and_no_phrase_give_nothing(name, clip) -> None:
    assert METHODS[name]().explain_batch(clip, []) == ()
    assert METHODS[name]().explain_batch(clip, [Request(pixels=images_for(clip)[0], phrases=[], seeds=[])]) == ((),)


@pytest.mark.parametrize("name", ALL)
def test_the_map_depends_on_the_finding_named_except_for_rollout_which_reads_no_words(name) -> None:
    encoder = load_encoder("phantom")
    (held_out,) = held_out_phantoms(1, seed=91)
    pixels, _ = place_image(held_out.radiograph.image, encoder.preprocessing)
    phrases = ["There is a left pleural effusion.", "The heart is enlarged."]
    method = RISE(masks=60) if name == "rise" else METHODS[name]()
    if name == "kernel_shap":
        method = KernelSHAP(cells=4, coalitions=60)
    one, other = method.explain_batch(encoder, [Request(pixels=pixels, phrases=phrases, seeds=[3, 3])])[0]
    assert torch.equal(one.heat, other.heat) == (name == "rollout")
    if name != "rollout":
        centred = [heat.flatten() - heat.mean() for heat in (one.heat, other.heat)]
        assert float(cosine_similarity(*centred, dim=0)) < 0.98  # Pearson, and 0 where one map is flat
