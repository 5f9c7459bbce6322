"""Confidence drop and increase, against the library's own forward pass and against a cosine in closed form."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from made_up_models import FAMILIES, PHRASES
from torch.nn.functional import cosine_similarity
from toy_encoder import PHRASE, SIZE, cosine_of, image_of, of_patches, of_words

from audit.attribution.pairs import Attribution, Request
from audit.encoders.loading import load_encoder
from audit.encoders.model_folder import features
from audit.encoders.protocol import Encoder
from audit.faithfulness.confidence import (
    Confidence,
    TextMask,
    image_confidence,
    text_confidence,
    weights_on_input,
)
from audit.faithfulness.pairs import ExplainedPair, cosines_of_images, unit_range
from pipelines.errors import ModelError
from pipelines.geometry import Fit, Placement

VALUES = {"left": 0.5, "pleural": 2.0, "effusion": 1.0}


@pytest.fixture(scope="module")
def pairs(encoder) -> list[ExplainedPair]:
    """Three real images and phrases with made-up heat."""
    generator = torch.Generator().manual_seed(3)
    tokens = encoder.text.tokenise(PHRASES)
    return [
        ExplainedPair(
            pixels=torch.randn(3, 64, 64, generator=generator),
            phrase=phrase,
            heat=torch.rand(4, 4, generator=generator),
            words=tuple((word, float(torch.rand(1, generator=generator))) for word, _ in words),
        )
        for phrase, words in zip(PHRASES, tokens.words, strict=True)
    ]


def toy_pair(patches: torch.Tensor, heat: torch.Tensor) -> ExplainedPair:
    return ExplainedPair(pixels=image_of(patches), phrase=PHRASE, heat=heat)


def phrase_pair(**heat: float) -> ExplainedPair:
    return ExplainedPair(
        pixels=torch.zeros(3, SIZE, SIZE), phrase=" ".join(heat), heat=torch.rand(3, 3), words=tuple(heat.items())
    )


def test_the_image_is_weighted_by_its_min_max_heat(small_clip, encoder, pairs) -> None:
    model = small_clip.reference
    """By the library's own forward pass, and by the interpolation that brings heat to source pixels."""
    placement = Placement.of(64, 64, size=64, fit=Fit.STRETCH)
    for pair, found in zip(pairs, image_confidence(encoder, pairs), strict=True):
        fine = placement.heat_to_source(pair.heat.numpy())
        weights = torch.from_numpy((fine - fine.min()) / (fine.max() - fine.min()))
        with torch.no_grad():
            images = features(model.get_image_features(torch.stack([pair.pixels, pair.pixels * weights])))
            tokens = encoder.text.tokenise([pair.phrase])
            phrase = features(model.get_text_features(input_ids=tokens.ids, attention_mask=tokens.mask.long()))
        whole, weighted = cosine_similarity(images, phrase).tolist()
        assert (found.whole, found.weighted) == pytest.approx((whole, weighted), abs=1e-5)
        assert found.drop == pytest.approx(max(0.0, whole - weighted), abs=2e-5)


def above_the_median(heat: list[float]) -> list[float]:
    """As M2IB's authors compute it."""
    values = np.array(heat)
    return (values > np.percentile(values, 50)).astype(float).tolist()


def between_the_extremes(heat: list[float]) -> list[float]:
    return [(value - min(heat)) / (max(heat) - min(heat)) for value in heat]


@pytest.mark.parametrize(
    ("mask", "expected"),
    [(TextMask.MINMAX, between_the_extremes), (TextMask.MEDIAN, above_the_median)],
    ids=["minmax", "median"],
)
def test_words_are_weighted_in_their_embeddings_by_their_heat(small_clip, encoder, pairs, mask, expected) -> None:
    model = small_clip.reference
    """By the library's own forward pass, its embedding layer's output multiplied token by token."""
    several = [pair for pair in pairs if len(pair.words) > 1]
    assert len(several) == 2
    for pair, found in zip(several, text_confidence(encoder, several, mask=mask), strict=True):
        tokens = encoder.text.tokenise([pair.phrase])
        heat = [value for _, value in pair.words]
        factors = torch.ones(tokens.ids.shape[1])
        for weight, (_, members) in zip(expected(heat), tokens.words[0], strict=True):
            factors[list(members)] = weight
        handle = model.text_model.embeddings.register_forward_hook(
            lambda _module, _inputs, output, factors=factors: output * factors[:, None]
        )
        with torch.no_grad():
            phrase = features(model.get_text_features(input_ids=tokens.ids, attention_mask=tokens.mask.long()))
            handle.remove()
            image = features(model.get_image_features(pair.pixels[None]))
            whole = encoder.text.forward(tokens)
        assert found.weighted == pytest.approx(float(cosine_similarity(image, phrase)), abs=1e-5)
        assert found.whole == pytest.approx(float(cosine_similarity(image, whole)), abs=1e-5)
        assert abs(found.whole - found.weighted) > 1e-4, "the weights did something"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_phrase_whose_words_all_weigh_one_is_the_whole_phrase_in_every_family(family, made_model) -> None:
    encoder = load_encoder(str(made_model(family).folder))
    tokens = encoder.text.tokenise(PHRASES)
    torch.testing.assert_close(
        encoder.text.run(encoder.text.embed(tokens), tokens.mask), encoder.text.forward(tokens), atol=1e-5, rtol=1e-5
    )


def test_a_word_without_weight_is_gone_from_the_sum() -> None:
    found = text_confidence(of_words(VALUES), [phrase_pair(left=0.0, pleural=5.0, effusion=1.0)])[0]
    assert found.whole == pytest.approx(cosine_of(3.5))
    assert found.weighted == pytest.approx(cosine_of(0.0 * 0.5 + 1.0 * 2.0 + 0.2 * 1.0))


def test_the_words_above_the_median_are_kept_whole_and_the_others_hidden() -> None:
    pair = phrase_pair(left=0.0, pleural=5.0, effusion=1.0)
    found = text_confidence(of_words(VALUES), [pair], mask=TextMask.MEDIAN)[0]
    assert found.weighted == pytest.approx(cosine_of(2.0))
    flat = text_confidence(of_words(VALUES), [phrase_pair(left=2.0, pleural=2.0)], mask=TextMask.MEDIAN)[0]
    assert flat.weighted == pytest.approx(0.0)


def test_several_phrases_of_different_lengths_share_a_batch() -> None:
    encoder = of_words(VALUES)
    batch = [phrase_pair(left=0.0, pleural=5.0, effusion=1.0), phrase_pair(effusion=1.0, left=3.0)]
    together = text_confidence(encoder, batch)
    assert together == [text_confidence(encoder, [pair])[0] for pair in batch]
    assert together[1].weighted == pytest.approx(cosine_of(0.5))


def test_a_heat_of_ones_wherever_the_image_holds_anything_drops_nothing() -> None:
    patches = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    heat = torch.tensor([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    found = image_confidence(of_patches(), [toy_pair(patches, heat)])
    assert (found[0].drop, found[0].increased) == (0.0, False)


def test_an_image_weighted_by_ones_keeps_its_cosine(encoder, pairs) -> None:
    ones = torch.ones(64, 64)
    changes = [[lambda pair=pair: pair.pixels, lambda pair=pair: pair.pixels * ones] for pair in pairs]
    for whole, weighted in cosines_of_images(encoder, pairs, changes):
        found = Confidence(whole=whole, weighted=weighted)
        assert (found.drop, found.increased) == (0.0, False)


def test_hiding_what_speaks_against_the_phrase_is_an_increase() -> None:
    patches = torch.tensor([[3.0, 3.0, 3.0], [0.0, 0.0, 0.0], [-2.0, -2.0, -2.0]])
    heat = torch.tensor([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    found = image_confidence(of_patches(), [toy_pair(patches, heat), toy_pair(patches, heat.flip(0))])
    assert [one.increased for one in found] == [True, False]
    assert [one.drop > 0.0 for one in found] == [False, True]


@pytest.mark.parametrize(
    ("whole", "weighted", "drop", "increased"),
    [
        pytest.param(0.4, 0.1, 0.3, False, id="lost"),
        pytest.param(0.1, 0.4, 0.0, True, id="gained"),
        pytest.param(0.4, 0.4, 0.0, False, id="equal is no increase"),
        pytest.param(0.4, 0.4 + 5e-7, 0.0, False, id="fp32 does not resolve this gain"),
        pytest.param(0.4 + 5e-7, 0.4, 0.0, False, id="nor this loss"),
        pytest.param(-0.1, -0.4, 0.3, False, id="below zero"),
    ],
)
def test_drop_and_increase_of_one_pair(whole, weighted, drop, increased) -> None:
    found = Confidence(whole=whole, weighted=weighted)
    assert found.drop == pytest.approx(drop)
    assert found.increased is increased


@given(o=st.floats(-1, 1), s=st.floats(-1, 1))
def test_drop_and_increase_are_those_of_the_published_formulas(o, s) -> None:
    found = Confidence(whole=o, weighted=s)
    assert found.drop == pytest.approx(max(0.0, o - s), abs=2e-6)
    assert found.increased == (s - o > 1e-6)


@given(scale=st.floats(0.01, 100.0), shift=st.floats(-50.0, 50.0), seed=st.integers(0, 99))
def test_scale_and_offset_of_the_heat_do_not_matter(scale, shift, seed) -> None:
    generator = torch.Generator().manual_seed(seed)
    heat, patches = torch.rand(3, 3, generator=generator), torch.rand(3, 3, generator=generator)
    both = [toy_pair(patches, heat), toy_pair(patches, heat * scale + shift)]
    one, other = image_confidence(of_patches(), both)
    assert one.weighted == pytest.approx(other.weighted, abs=1e-3)


@given(seed=st.integers(0, 999), rows=st.integers(2, 5), columns=st.integers(2, 5))
def test_weights_span_zero_to_one_and_grow_with_the_heat(seed, rows, columns) -> None:
    heat = torch.rand(rows, columns, generator=torch.Generator().manual_seed(seed))
    weights = weights_on_input(heat, 24)
    assert (float(weights.min()), float(weights.max())) == (0.0, 1.0)
    assert bool((weights_on_input(2.0 * heat, 24) - weights).abs().max() < 1e-5)
    assert bool((weights_on_input(heat.flip(1), 24) - weights.flip(1)).abs().max() < 1e-5)


@pytest.mark.parametrize(
    "heat",
    [
        pytest.param(torch.full((3, 3), 4.0), id="flat"),
        pytest.param(torch.full((3, 3), float("nan")), id="NaN"),
        pytest.param(torch.tensor([[1.0, float("inf"), 0.0]] * 3), id="infinite"),
    ],
)
def test_a_heat_that_picks_nothing_out_leaves_a_grey_image(heat) -> None:
    assert unit_range(heat).tolist() == [[0.0] * 3] * 3
    found = image_confidence(of_patches(), [toy_pair(torch.ones(3, 3), heat)])[0]
    assert (found.whole, found.weighted) == pytest.approx((cosine_of(9.0), 0.0))


def test_words_of_equal_heat_leave_no_word() -> None:
    found = text_confidence(of_words(VALUES), [phrase_pair(left=2.0, pleural=2.0)])[0]
    assert found.weighted == pytest.approx(0.0)


def test_what_cannot_be_measured_is_none_and_keeps_its_place() -> None:
    single = ExplainedPair(pixels=torch.ones(3, SIZE, SIZE), phrase=PHRASE, heat=torch.ones(1, 1))
    found = image_confidence(of_patches(), [single, toy_pair(torch.ones(3, 3), torch.rand(3, 3)), single])
    assert [one is None for one in found] == [True, False, True]
    words = [phrase_pair(left=1.0), phrase_pair(left=1.0, pleural=2.0), phrase_pair()]
    assert [one is None for one in text_confidence(of_words(VALUES), words)] == [True, False, True]


def test_words_that_are_not_the_phrases_are_refused() -> None:
    pair = ExplainedPair(
        pixels=torch.zeros(3, SIZE, SIZE),
        phrase="left pleural effusion",
        heat=torch.rand(3, 3),
        words=(("left", 1.0), ("effusion", 2.0)),
    )
    with pytest.raises(ValueError, match="2 words is not that of a phrase of 3"):
        text_confidence(of_words(VALUES), [pair])


def test_a_text_tower_without_embeddings_is_refused_by_name() -> None:
    class FromIds:
        depth = parameters = 1
        context = 9

        def tokenise(self, phrases): ...
        def prefix(self, tokens, layer): ...
        def suffix(self, hidden, layer, mask=None): ...
        def forward(self, tokens): ...

    toy = of_words(VALUES)
    encoder = Encoder(info=toy.info, preprocessing=toy.preprocessing, image=toy.image, text=FromIds())
    with pytest.raises(ModelError, match=r"toy: its text tower \(FromIds\).*embed and run"):
        text_confidence(encoder, [phrase_pair(left=1.0, pleural=2.0)])


def test_scoring_leaves_no_gradient_and_the_same_weights(small_clip, encoder, pairs) -> None:
    names = ("image", "text")
    blocks = [block for name in names for block in getattr(encoder, name).stack.blocks]
    weights = [block.query.weight for block in blocks]
    before = [weight.clone() for weight in weights]
    image_confidence(encoder, pairs)
    text_confidence(encoder, pairs)
    assert all(torch.equal(one, other) for one, other in zip(weights, before, strict=True))
    assert all(weight.grad is None and not weight.requires_grad for weight in weights)


def test_a_request_and_its_explanations_become_pairs() -> None:
    request = Request(pixels=torch.zeros(3, 4, 4), phrases=["one", "two"], seeds=[7, 8])
    answers = [
        Attribution(heat=torch.full((2, 2), float(number)), words=((name, 1.0),), cosine=0.1)
        for number, name in enumerate(request.phrases)
    ]
    pairs = ExplainedPair.all_of(request, answers)
    assert [(pair.phrase, pair.seed, pair.words) for pair in pairs] == [
        ("one", 7, (("one", 1.0),)),
        ("two", 8, (("two", 1.0),)),
    ]
    assert [float(pair.heat[0, 0]) for pair in pairs] == [0.0, 1.0]
    with pytest.raises(ValueError, match="shorter"):
        ExplainedPair.all_of(request, answers[:1])
