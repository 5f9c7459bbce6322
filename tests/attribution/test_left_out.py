"""The cosine without a word, against single forward passes of the phrase without it."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cosine_similarity

from audit.attribution.bottleneck import BottleneckSettings
from audit.attribution.iba import IBA
from audit.attribution.left_out import leave_one_word_out
from audit.attribution.m2ib import M2IB
from audit.attribution.pairs import Request
from audit.attribution.saliency import Saliency
from audit.encoders.loading import load_encoder
from audit.encoders.protocol import DualEncoder
from tests.faithfulness.toy_encoder import SIZE, cosine_of, of_words

PHRASES = ("There is a left nodule.", "Effusion", "No right upper zone pneumothorax")


@pytest.fixture(scope="module")
def phantom() -> DualEncoder:
    return load_encoder("phantom-shortcut")


@pytest.fixture
def pixels() -> torch.Tensor:
    return torch.randn(3, 160, 160, generator=torch.Generator().manual_seed(5))


def test_a_word_falls_by_what_it_adds_to_the_cosine() -> None:
    encoder = of_words({"there": 0.0, "is": -0.5, "consolidation": 2.0})
    (words,) = leave_one_word_out(encoder, torch.zeros(3, SIZE, SIZE), ["there is consolidation"])
    assert [(word.word, word.pieces) for word in words] == [("there", 2), ("is", 2), ("consolidation", 2)]
    falls = [cosine_of(1.5) - cosine_of(1.5), cosine_of(1.5) - cosine_of(2.0), cosine_of(1.5) - cosine_of(-0.5)]
    assert [word.fall for word in words] == pytest.approx(falls, abs=1e-6)


def test_phrases_in_a_batch_fall_as_each_does_alone(phantom: DualEncoder, pixels: torch.Tensor) -> None:
    together = leave_one_word_out(phantom, pixels, PHRASES)
    for phrase, words in zip(PHRASES, together, strict=True):
        (alone,) = leave_one_word_out(phantom, pixels, [phrase])
        assert [word.fall for word in words] == pytest.approx([word.fall for word in alone], abs=1e-5)


def test_without_a_neutral_token_the_phrase_is_read_without_the_word(
    phantom: DualEncoder, pixels: torch.Tensor
) -> None:
    assert phantom.text.tokenise(["a"]).neutral is None
    (words,) = leave_one_word_out(phantom, pixels, ["There is a left nodule."])
    image = phantom.image.forward(pixels[None])
    whole, without = (
        float(cosine_similarity(image, phantom.text.forward(phantom.text.tokenise([phrase]))))
        for phrase in ("There is a left nodule.", "There is a nodule.")
    )
    assert words[3].word == "left"
    assert words[3].fall == pytest.approx(whole - without, abs=1e-6)


def test_no_phrase_has_no_words(phantom: DualEncoder, pixels: torch.Tensor) -> None:
    assert leave_one_word_out(phantom, pixels, []) == ()


def test_the_untrained_bottleneck_of_m2ib_depends_on_the_norm_of_each_token_alone(phantom: DualEncoder) -> None:
    settings = BottleneckSettings(beta=10.0)
    (words,) = M2IB(settings).untrained_words(phantom, ["There is a left nodule."])
    tokens = phantom.text.tokenise(["There is a left nodule."])
    hidden = phantom.text.prefix(tokens, 0)[0]
    lam = torch.sigmoid(torch.tensor(settings.initial))
    spread = 1 - lam
    # KL of N(lam h, spread^2) from N(0, 1), summed over the width
    per_token = 0.5 * ((lam * hidden) ** 2 + spread**2 - 1 - torch.log(spread**2)).sum(-1)
    expected = [float(per_token[list(places)].sum()) for _, places in tokens.words[0]]
    assert words == pytest.approx(expected, rel=1e-4)


def test_the_untrained_heat_of_m2ib_is_its_heat_with_one_step_and_depends_on_the_norms_alone(
    phantom: DualEncoder, pixels: torch.Tensor
) -> None:
    (heat,) = M2IB().untrained_heat(phantom, pixels[None])
    layer = M2IB().split(phantom)[0]
    squares = phantom.image.prefix(pixels[None], layer)[0].square().sum(-1)[phantom.image.leading_tokens :]
    assert torch.corrcoef(torch.stack([heat.flatten(), squares]))[0, 1] > 0.9999
    request = Request(pixels=pixels, phrases=PHRASES[:1], seeds=[3])
    ((of_one_step,),) = M2IB(steps=1).explain_batch(phantom, [request])
    torch.testing.assert_close(heat, of_one_step.heat, rtol=1e-4, atol=1e-3)


def test_the_untrained_heat_of_iba_is_its_heat_with_one_step(phantom: DualEncoder, pixels: torch.Tensor) -> None:
    (heat,) = IBA().untrained_heat(phantom, pixels[None])
    request = Request(pixels=pixels, phrases=PHRASES[:1], seeds=[3])
    ((of_one_step,),) = IBA(steps=1).explain_batch(phantom, [request])
    torch.testing.assert_close(heat, of_one_step.heat, rtol=1e-4, atol=1e-3)


def test_every_method_with_a_bottleneck_has_an_untrained_one_and_no_other_has(
    phantom: DualEncoder, pixels: torch.Tensor
) -> None:
    assert Saliency().untrained_words(phantom, PHRASES) is None
    assert Saliency().untrained_heat(phantom, pixels[None]) is None
    for method in (M2IB(), IBA()):
        words = method.untrained_words(phantom, PHRASES)
        assert [len(each) for each in words] == [5, 1, 5]
        assert all(value > 0 for each in words for value in each)


def test_the_text_tower_may_have_a_beta_of_its_own(phantom: DualEncoder) -> None:
    own = replace(phantom, info=replace(phantom.info, beta=10.0, text_beta=1.0))
    assert (M2IB().settings_for(own).beta, M2IB().text_settings_for(own).beta) == (10.0, 1.0)
    assert M2IB(text_beta=2.0).text_settings_for(own).beta == 2.0
    assert M2IB(beta=5.0).text_settings_for(own).beta == 5.0
    assert M2IB(BottleneckSettings(beta=3.0)).text_settings_for(own).beta == 3.0
    with pytest.raises(ValueError, match="positive"):
        M2IB(text_beta=0.0)


def test_words_explained_alone_have_the_heat_that_they_have_with_the_image(
    phantom: DualEncoder, pixels: torch.Tensor
) -> None:
    seeds = [3, 4, 5]
    ((*together,),) = M2IB().explain_batch(phantom, [Request(pixels=pixels, phrases=PHRASES, seeds=seeds)])
    alone = M2IB().explain_words(phantom, pixels, PHRASES, seeds)
    for attribution, words in zip(together, alone, strict=True):
        assert words == pytest.approx([heat for _, heat in attribution.words], rel=1e-3)
