"""The benchmarks' own logic: the reference is the method, passes are counted right, results are kept."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from audit.attribution.explain import M2IB
from audit.attribution.m2ib import M2IBSettings
from audit.encoders.loading import load_encoder
from benchmarks.bench_block_passes import count, share_of_pooled
from benchmarks.bench_memory import _seconds_by_tenth, watch
from benchmarks.machine import describe, peak_memory_gb, write_section
from benchmarks.models import PHRASES, SMALL, plain_towers, write_checkpoint
from benchmarks.reference import plain_maps


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("biomedclip")
    write_checkpoint(folder, SMALL)
    return folder


@pytest.fixture
def pixels() -> torch.Tensor:
    return torch.randn(3, SMALL.size, SMALL.size, generator=torch.Generator().manual_seed(2))


def test_the_plain_towers_embed_as_our_encoder_does(folder, pixels) -> None:
    encoder, towers = load_encoder(str(folder)), plain_towers(folder)
    tokens = encoder.text.tokenise(PHRASES[:1])
    with torch.no_grad():
        torch.testing.assert_close(towers.embed_images(pixels[None]), encoder.image.whole(pixels[None]))
        torch.testing.assert_close(towers.embed_texts(tokens.ids), encoder.text.whole(tokens))


def test_the_published_algorithm_and_ours_give_the_same_heat_under_the_same_noise(folder, pixels) -> None:
    encoder, towers = load_encoder(str(folder)), plain_towers(folder)
    settings, phrase = M2IBSettings(steps=4, samples=3), PHRASES[0]
    tokens = encoder.text.tokenise([phrase])
    image, text = plain_maps(towers, pixels, tokens.ids[0], layers=(9, 7), seed=5, settings=settings)
    ours = M2IB(settings, image_layer=9, text_layer=7).explain(encoder, pixels, [phrase], seeds=[5])[0]
    torch.testing.assert_close(ours.heat.flatten(), image[1:], atol=1e-4, rtol=1e-4)
    expected = [sum(float(text[index]) for index in members) for _, members in tokens.words[0]]
    assert [nats for _, nats in ours.words] == pytest.approx(expected, abs=1e-4, rel=1e-4)


def test_the_published_algorithm_collects_a_gradient_for_every_weight(folder, pixels) -> None:
    towers = plain_towers(folder)
    ids = torch.tensor([2, 5, 6, 3])
    plain_maps(towers, pixels, ids, layers=(9, 7), seed=5, settings=M2IBSettings(steps=1, samples=1))
    assert towers.vision.embeddings.cls_token.grad is not None
    assert towers.text.encoder.layer[0].attention.self.query.weight.grad is not None


def test_block_passes_are_those_of_nine_steps_and_ten_samples(folder, pixels) -> None:
    encoder = load_encoder(str(folder))
    passes = count(encoder, pixels, PHRASES[0])
    pooled = share_of_pooled(17, SMALL.width, 4 * SMALL.width)
    assert passes["image"] == pytest.approx(12 - 2 + 2 * 1 - 1 + (9 * 10 * 2) * (1 + pooled) + pooled, abs=1.01)
    assert 9 * 10 * 2 * 3 < passes["text"] < 9 * 10 * 2 * 3.5 + 13


def test_a_pooled_block_of_a_full_size_tower_is_a_hundredth_of_a_whole_one() -> None:
    assert 0.005 < share_of_pooled(197, 768, 3072) < 0.02


def test_a_process_that_was_started_does_not_answer_with_the_memory_of_the_one_that_started_it() -> None:
    held = torch.ones(200_000_000)  # 0.8 GB
    code = "from benchmarks.machine import peak_memory_gb; print(peak_memory_gb())"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert peak_memory_gb() > held.nbytes / 1e9
    assert 0.02 < float(child.stdout) < 0.8


def test_a_section_is_written_once_and_then_replaced(tmp_path) -> None:
    path = tmp_path / "RESULTS.md"
    write_section("one", command="a", lines=["first"], path=path)
    write_section("two", command="b", lines=["second"], path=path)
    write_section("one", command="a", lines=[r"third \1"], path=path)
    text = path.read_text()
    assert "first" not in text
    assert text.count("## one") == text.count("## two") == 1
    assert text.index(r"third \1") < text.index("second")
    assert describe() in text


def test_a_run_is_watched_until_it_ends_and_its_failure_is_told(tmp_path) -> None:
    made = "import pathlib, sys, time; p = pathlib.Path(sys.argv[1]) / 'studies' / 'a'; p.mkdir(parents=True);"
    made += "(p / 'record.json').touch(); time.sleep(0.5); sys.exit(int(sys.argv[2]))"
    samples = watch([sys.executable, "-c", made, str(tmp_path), "0"], tmp_path, every=0.05)
    assert samples[-1][1] == 1
    assert samples[-1][2] > 1.0
    with pytest.raises(RuntimeError, match="ended with 3"):
        watch(
            [sys.executable, "-c", made.replace("p.mkdir(parents=True)", "pass"), str(tmp_path), "3"],
            tmp_path,
            every=0.05,
        )


def test_time_per_study_is_taken_between_tenths() -> None:
    samples = [(2.0 * done, done, 100.0) for done in range(101)]
    assert _seconds_by_tenth(samples, 100) == pytest.approx([2.0] * 10)
