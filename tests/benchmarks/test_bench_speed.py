"""Block-passes and throughput: what is counted is what ran, and shares are of what the mathematics needs."""

import pytest
import torch

from audit.attribution.bottleneck import BottleneckSettings
from audit.attribution.m2ib import M2IB
from audit.encoders import blocks, transformer
from benchmarks import bench_batch
from benchmarks.bench_block_passes import Passes, budget, count, share_of_pooled, table
from benchmarks.models import PHRASES, SMALL

PASSES = 9 * 10  # steps that run a tower, samples


def test_the_budget_is_the_designs() -> None:
    assert budget(9, last=1.0) == 412
    assert budget(9, last=1 / 6) == pytest.approx(245, abs=1)


@pytest.mark.parametrize(
    ("tower", "whole_blocks", "tokens"), [("image", 1, 17), ("text", 3, 13)], ids=["image", "text"]
)
def test_block_passes_are_those_of_one_prefix_and_of_nine_steps_of_ten_samples(
    encoder, pixels, tower, whole_blocks, tokens
) -> None:
    passes = count(encoder, pixels, PHRASES[0], inner=SMALL.inner)[tower]
    assert tower == "image" or encoder.text.tokenise([PHRASES[0]]).ids.shape[1] == tokens
    pooled = share_of_pooled(tokens, SMALL.width, SMALL.inner)
    assert passes.backward == pytest.approx(PASSES * (whole_blocks + pooled))
    assert passes.forward == pytest.approx(11 + pooled + passes.backward)


def test_counting_leaves_the_blocks_as_they_were(encoder, pixels) -> None:
    count(encoder, pixels, PHRASES[0], inner=SMALL.inner)
    assert transformer.run_block is blocks.run_block
    assert transformer.run_block_at is blocks.run_block_at


def test_a_pooled_block_of_a_full_size_tower_is_a_hundredth_of_a_whole_one() -> None:
    assert 0.005 < share_of_pooled(197, 768, 3072) < 0.02


def test_the_table_adds_forward_and_backward() -> None:
    lines = table({"image": Passes(forward=2.0, backward=1.5), "text": Passes(forward=4.0, backward=3.0)})
    assert "| **ours, both** | **3.5** | **7.0** |" in lines
    assert "| as published (whole towers, weight gradients) | 7200 | 7200 |" in lines


def test_the_operations_of_a_pair_are_those_of_the_block_passes_that_run(encoder, pixels) -> None:
    passes, tokens = count(encoder, pixels, PHRASES[0], inner=SMALL.inner), {"image": 17, "text": 13}
    expected = 0.0
    for tower, length in tokens.items():
        products = 4 * length * SMALL.width**2 + 2 * length * SMALL.width * SMALL.inner + 2 * length**2 * SMALL.width
        expected += passes[tower].both * 2 * products
    assert bench_batch.operations_a_pair(SMALL, 13, BottleneckSettings()) == pytest.approx(expected)


def test_all_pairs_of_a_batch_are_explained_at_once(encoder, monkeypatch) -> None:
    sizes, attribute = [], M2IB.attribute

    def spied(self, pairs):
        sizes.append(len(pairs.seeds))
        return attribute(self, pairs)

    monkeypatch.setattr(M2IB, "attribute", spied)
    method = M2IB(BottleneckSettings(steps=2, samples=1), image_layer=9, text_layer=7, pairs_at_once=6)
    speed = bench_batch.measure(encoder, method, torch.device("cpu"), 6, repeats=2)
    assert sizes == [6, 6, 6]
    assert speed.pairs_per_second > 0
    assert speed.peak_gb > 0.1


def test_the_matrix_rate_is_of_this_machines_order(monkeypatch) -> None:
    monkeypatch.setattr(bench_batch, "MATRIX_SIDE", {"cpu": 256})
    assert 1e8 < bench_batch.matrix_rate(torch.device("cpu"), torch.float32) < 1e14
