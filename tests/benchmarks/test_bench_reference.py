"""The reference is the published method: the same towers, the same maps, and all of its work."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from audit.attribution.bottleneck import BottleneckSettings
from audit.attribution.m2ib import M2IB
from audit.attribution.pairs import Request
from benchmarks.bench_reference import Agreement, measure
from benchmarks.models import PHRASES, plain_towers
from benchmarks.reference import plain_maps

ROOT = Path(__file__).parents[2]


def test_the_plain_towers_embed_as_our_encoder_does(folder, encoder, pixels) -> None:
    towers, tokens = plain_towers(folder), encoder.text.tokenise(PHRASES[:1])
    with torch.no_grad():
        torch.testing.assert_close(towers.embed_images(pixels[None]), encoder.image.forward(pixels[None]))
        torch.testing.assert_close(towers.embed_texts(tokens.ids), encoder.text.forward(tokens))


@pytest.mark.parametrize("seed", [0, 5], ids=["seed 0", "seed 5"])
def test_the_published_algorithm_and_ours_give_the_same_heat_under_the_same_noise(
    folder, encoder, pixels, seed
) -> None:
    settings, phrase = BottleneckSettings(steps=4, samples=3), PHRASES[0]
    tokens = encoder.text.tokenise([phrase])
    image, text = plain_maps(plain_towers(folder), pixels, tokens.ids[0], layers=(9, 7), seed=seed, settings=settings)
    ours = M2IB(settings, image_layer=9, text_layer=7).explain_batch(
        encoder, [Request(pixels=pixels, phrases=[phrase], seeds=[seed])]
    )[0][0]
    torch.testing.assert_close(ours.heat.flatten(), image[1:], atol=1e-4, rtol=1e-4)
    expected = [sum(float(text[index]) for index in members) for _, members in tokens.words[0]]
    assert [nats for _, nats in ours.words] == pytest.approx(expected, abs=1e-4, rel=1e-4)


def test_the_published_algorithm_collects_a_gradient_for_every_weight_that_its_passes_reach(folder, pixels) -> None:
    towers, ids = plain_towers(folder), torch.tensor([2, 5, 6, 3])
    plain_maps(towers, pixels, ids, layers=(9, 7), seed=5, settings=BottleneckSettings(steps=1, samples=1))
    parts = (towers.vision, towers.vision_projection, towers.text, towers.text_projection)
    weights = [weight for part in parts for weight in part.parameters()]
    assert len(weights) > 12 * 2 * 12
    assert all(weight.grad is not None for weight in weights)


def test_the_published_algorithm_leaves_no_hook_on_the_towers(folder, pixels) -> None:
    towers = plain_towers(folder)
    settings = BottleneckSettings(steps=1, samples=1)
    plain_maps(towers, pixels, torch.tensor([2, 5, 6, 3]), layers=(9, 7), seed=5, settings=settings)
    assert not any(module._forward_hooks for module in (*towers.vision.modules(), *towers.text.modules()))


def test_both_sides_are_measured_on_the_same_pairs(folder) -> None:
    ours, reference = (measure(side, folder, pairs=2, repeats=1) for side in ("ours", "reference"))
    assert len(ours.seconds) == len(reference.seconds) == 2
    assert len(ours.patches) == 2 * 16
    assert Agreement.of(ours.patches, reference.patches).largest < 1e-3
    assert Agreement.of(ours.words, reference.words).pearson > 0.9999


def test_maps_that_differ_do_not_agree() -> None:
    agreement = Agreement.of([0.0, 1.0, 2.0], [2.0, 1.0, 0.0])
    assert agreement.pearson == pytest.approx(-1.0)
    assert agreement.largest == pytest.approx(1.0)


@pytest.mark.slow
def test_the_last_line_is_the_ratio() -> None:
    command = [sys.executable, "-m", "benchmarks.bench_reference", "--small", "--rounds", "1", "--repeats", "1"]
    done = subprocess.run([*command, "--threads", "1"], cwd=ROOT, capture_output=True, text=True, check=True)
    label, value = done.stdout.splitlines()[-1].split(": ")
    assert label == "ratio"
    assert float(value) > 0
