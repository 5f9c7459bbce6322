"""All faithfulness scores of a pair: their names, their places, and that they tell M2IB's heat from noise."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toy_encoder import PHRASE, cosine_of, image_of, of_patches, of_words

from audit.attribution.m2ib import M2IB
from audit.attribution.pairs import Request
from audit.encoders.loading import load_encoder
from audit.faithfulness.curves import Baseline, Change, CurveSettings, image_curves, word_curves
from audit.faithfulness.measures import FaithfulnessSettings, RoadSettings, road, score_faithfulness
from audit.faithfulness.pairs import ExplainedPair, shuffled
from audit.phantom.evaluation import held_out_phantoms
from pipelines.phantom.wording import Claim, sentence_of
from pipelines.transforms import place_image
from reports.score_catalogue import SCORES

VALUES = {"left": 0.5, "pleural": 2.0, "effusion": 1.0}
QUIET = FaithfulnessSettings(road=RoadSettings(noise=0.0))
NAMES = [
    "image confidence drop",
    "image confidence increase",
    "text confidence drop",
    "text confidence increase",
    "image deletion AUC, mean grey",
    "image insertion AUC, blur",
    "text deletion AUC, zero embeddings",
    "text insertion AUC, zero embeddings",
    "ROAD",
]


def pair_of(heat: torch.Tensor, **words: float) -> ExplainedPair:
    patches = torch.arange(9.0).view(3, 3) / 9
    return ExplainedPair(
        pixels=image_of(patches), phrase=" ".join(words) or PHRASE, heat=heat, words=tuple(words.items()), seed=4
    )


def test_every_pair_has_every_score_in_one_order_under_the_methods_name() -> None:
    pairs = [pair_of(torch.rand(3, 3), left=1.0, pleural=2.0), pair_of(torch.rand(3, 3), effusion=1.0, left=0.0)]
    scored = score_faithfulness(of_words(VALUES), pairs, method="m2ib", settings=QUIET)
    for own in scored:
        assert [score.score for score in own] == NAMES
        assert {score.method for score in own} == {"m2ib"}
        assert {score.outcome for score in own} == {"scored"}


def test_the_values_are_those_of_the_single_functions() -> None:
    encoder, pair = of_patches(), pair_of(torch.rand(3, 3, generator=torch.Generator().manual_seed(1)))
    values = {score.score: score.value for score in score_faithfulness(encoder, [pair], method="m", settings=QUIET)[0]}
    delete, insert = QUIET.curves
    assert values["image deletion AUC, mean grey"] == image_curves(encoder, [pair], delete)[0].area
    assert values["image insertion AUC, blur"] == image_curves(encoder, [pair], insert)[0].area
    assert (insert.change, insert.baseline) == (Change.INSERTION, Baseline.BLUR)
    assert values["ROAD"] == road(encoder, [pair], QUIET.road)[0].difference

    encoder, pair = of_words(VALUES), pair_of(torch.rand(3, 3), left=1.0, pleural=0.0)
    values = {score.score: score.value for score in score_faithfulness(encoder, [pair], method="m", settings=QUIET)[0]}
    assert values["text confidence drop"] == pytest.approx(100 * (cosine_of(2.5) - cosine_of(0.5)), abs=1e-3)
    assert values["text confidence increase"] == 0.0
    for change in Change:
        assert values[f"text {change} AUC, zero embeddings"] == word_curves(encoder, [pair], change)[0].area


def test_an_increase_is_a_hundred() -> None:
    encoder = of_words({"left": 2.0, "pleural": -1.0})
    pair = pair_of(torch.rand(3, 3), left=5.0, pleural=0.0)
    values = {score.score: score.value for score in score_faithfulness(encoder, [pair], method="m", settings=QUIET)[0]}
    assert (values["text confidence increase"], values["text confidence drop"]) == (100.0, 0.0)


def test_what_cannot_be_ranked_is_unscored_with_its_reason() -> None:
    one_word, one_cell = pair_of(torch.rand(3, 3), left=1.0), pair_of(torch.ones(1, 1), left=1.0, pleural=2.0)
    scored = score_faithfulness(of_words(VALUES), [one_word, one_cell], method="m", settings=QUIET)
    for own, word in zip(scored, ("text", "image"), strict=True):
        unscored = [score for score in own if score.outcome == "unscored"]
        assert [score.score for score in unscored] == [
            name for name in NAMES if name.startswith(word) or (name == "ROAD" and word == "image")
        ]
        assert all(score.value is None and "ranks nothing" in score.reason for score in unscored)
        assert all(score.value is not None and score.reason is None for score in own if score not in unscored)


def test_settings_choose_the_curves_and_whether_road_runs() -> None:
    curves = (CurveSettings(change=Change.DELETION, baseline=Baseline.BLUR),)
    chosen = FaithfulnessSettings(curves=curves, road=None)
    names = [
        score.score
        for score in score_faithfulness(of_patches(), [pair_of(torch.rand(3, 3))], method="m", settings=chosen)[0]
    ]
    assert [name for name in names if name.startswith("image d")] == ["image deletion AUC, blur"]
    assert "ROAD" not in names


def test_two_curves_of_one_name_are_refused() -> None:
    twice = FaithfulnessSettings(curves=(CurveSettings(steps=3), CurveSettings(steps=4)))
    with pytest.raises(ValueError, match="two curves of one name"):
        score_faithfulness(of_patches(), [], method="m", settings=twice)


def test_no_pair_gives_no_score() -> None:
    assert score_faithfulness(of_patches(), [], method="m") == []


def test_the_direction_of_every_score_is_known() -> None:
    lower = [name for name in NAMES if not SCORES[name].higher_is_better]
    assert lower == [name for name in NAMES if "drop" in name or "deletion" in name]


@given(st.permutations(range(9)), st.integers(0, 10**20))
def test_a_shuffled_heat_has_the_same_values_in_other_places(heat, seed) -> None:
    pair = pair_of(torch.tensor(heat).float().view(3, 3), left=1.0, pleural=2.0, effusion=3.0)
    other = shuffled(pair, seed=seed)
    assert sorted(other.heat.flatten().tolist()) == sorted(pair.heat.flatten().tolist())
    assert [word for word, _ in other.words] == ["left", "pleural", "effusion"]
    assert sorted(value for _, value in other.words) == [1.0, 2.0, 3.0]
    assert torch.equal(other.heat, shuffled(pair, seed=seed).heat)
    assert other.pixels is pair.pixels


def test_a_shuffle_knows_no_place() -> None:
    pair = pair_of(torch.eye(3), left=1.0, pleural=2.0, effusion=3.0)
    many = [shuffled(pair, seed=seed) for seed in range(300)]
    hot = torch.stack([one.heat for one in many]).mean(0)
    assert float((hot - 1 / 3).abs().max()) < 0.1
    assert np.mean([one.words[0][1] for one in many]) == pytest.approx(2.0, abs=0.2)


@pytest.mark.gpu
def test_a_gpu_gives_the_scores_of_the_cpu() -> None:
    generator = torch.Generator().manual_seed(3)
    pixels, heat = torch.randn(3, 160, 160, generator=generator), torch.rand(16, 16, generator=generator)
    words = (("left", 1.0), ("pleural", 3.0), ("effusion", 2.0))
    found = []
    for device in ("cpu", "cuda"):
        pair = ExplainedPair(pixels=pixels.to(device), phrase="left pleural effusion", heat=heat, words=words, seed=2)
        found.append(score_faithfulness(load_encoder("phantom", device=device), [pair], method="m")[0])
    for one, other in zip(*found, strict=True):
        assert other.value == pytest.approx(one.value, abs=0.1 if "confidence" in one.score else 1e-3), one.score


def test_on_phantoms_m2ib_deletes_faster_than_its_own_values_at_random_places() -> None:
    encoder, pairs = load_encoder("phantom"), []
    for held_out in held_out_phantoms(3, seed=91):
        pixels, _ = place_image(held_out.radiograph.image, encoder.preprocessing)
        phrases = [sentence_of(Claim(finding=name), held_out.generator) for name in sorted(held_out.phantom.findings)]
        request = Request(pixels=pixels, phrases=phrases, seeds=range(len(phrases)))
        pairs += ExplainedPair.all_of(request, M2IB().explain_batch(encoder, [request], words=False)[0])
    noise = [shuffled(pair, seed=index) for index, pair in enumerate(pairs)]
    own, random = (
        np.mean([curve.area for curve in image_curves(encoder, some, CurveSettings())]) for some in (pairs, noise)
    )
    assert len(pairs) >= 5
    assert own < random - 0.03
