"""Training the phantom encoder: small runs that show that it learns, repeats and writes a folder that loads."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from audit.encoders.loading import load_encoder
from audit.phantom.architecture import build_model, build_tokenizer, initialise
from audit.phantom.evaluation import evaluate, held_out_phantoms
from audit.phantom.pool import PhantomPool, make_pool
from audit.phantom.training import TrainingSettings, train
from audit.phantom.training_folder import TrainingGoal, train_to_folder
from pipelines.errors import OutputError
from pipelines.phantom.wording import CLAIMS

TINY = TrainingSettings(steps=8, batch=8, warmup=3, sentences=40, seed=1)

AGREEMENT = "erasing: Spearman of its effect and the true effect"


@pytest.fixture(scope="module")
def pool() -> PhantomPool:
    return make_pool(24, size=160, seed=4, processes=1)


def trained(pool: PhantomPool, settings: TrainingSettings) -> tuple[torch.nn.Module, list[float]]:
    tokenizer = build_tokenizer()
    model = build_model(tokenizer, seed=settings.seed)
    initialise(model, pool.images, seed=settings.seed)
    totals: list[float] = []
    train(model, tokenizer, pool, settings, report=lambda _step, losses: totals.append(sum(losses.values())))
    return model, totals


def test_the_pool_knows_truth_and_no_box(pool: PhantomPool) -> None:
    assert pool.images.shape == (24, 160, 160)
    assert pool.truth.shape == (24, len(CLAIMS))
    present = [index for index, claim in enumerate(CLAIMS) if claim.side is None and claim.zone is None]
    for index in present:
        claim = CLAIMS[index]
        opposite = next(i for i in present if CLAIMS[i].finding == claim.finding and CLAIMS[i].absent != claim.absent)
        np.testing.assert_array_equal(pool.truth[:, index], ~pool.truth[:, opposite])
    assert set(vars(PhantomPool)["__dataclass_fields__"]) == {"images", "truth"}


def test_the_loss_falls_and_the_same_seed_repeats_it(pool: PhantomPool) -> None:
    before = torch.get_rng_state()
    _, first = trained(pool, TINY)
    _, second = trained(pool, TINY)
    assert first == pytest.approx(second, rel=1e-3)
    assert np.mean(first[-3:]) < np.mean(first[:3])
    assert torch.equal(before, torch.get_rng_state())


def test_without_the_multiple_instance_loss_the_training_is_another(pool: PhantomPool) -> None:
    _, grounded = trained(pool, replace(TINY, steps=1))
    _, ungrounded = trained(pool, replace(TINY, steps=1, multiple_instance=0.0))
    assert ungrounded[0] < grounded[0]


def test_training_writes_a_folder_that_loads_and_is_never_written_over(tmp_path: Path) -> None:
    told: list[str] = []
    folder = tmp_path / "encoder"
    train_to_folder(
        folder, steps=2, pool_size=60, seed=3, kind=TrainingGoal.GROUNDED, processes=1, on_message=told.append
    )
    encoder = load_encoder(str(folder))
    assert encoder.info.is_phantom
    assert encoder.preprocessing.size == 160
    assert "seed 3" in json.loads((folder / "m2ib_audit.json").read_text())["training"]
    assert sum(file.stat().st_size for file in folder.iterdir()) < 5e6
    with pytest.raises(OutputError, match="already holds files"):
        train_to_folder(
            folder, steps=1, pool_size=8, seed=3, kind=TrainingGoal.GROUNDED, processes=1, on_message=told.append
        )


def test_held_out_phantoms_hold_another_finding_each() -> None:
    drawn = list(held_out_phantoms(20, seed=6))
    assert all(len(held_out.phantom.findings) >= 2 for held_out in drawn)
    assert any(held_out.bilateral() for held_out in drawn)


def test_an_evaluation_prints_every_figure_with_its_interval() -> None:
    evaluation = evaluate("phantom", count=4, seed=2)
    printed = str(evaluation)
    for test in (
        "location-free phrases: hit",
        "fall of hits under another finding's phrase",
        "words-only prior",
        AGREEMENT,
    ):
        assert test in printed
    assert {line.method for line in evaluation.lines} == {
        "m2ib",
        "cosine",
        "random",
        "centre",
        "class-mean box",
        "words-only prior",
        "uniform words",
        "untrained bottleneck",
        "leave-one-word-out",
    }
    assert all(line.interval.low <= line.interval.estimate <= line.interval.high for line in evaluation.lines)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_the_committed_encoder_reaches_its_figures_on_held_out_phantoms() -> None:
    evaluation = evaluate("phantom", count=150, seed=31)
    hit = evaluation.estimate("location-free phrases: hit", "m2ib")
    blind = max(
        evaluation.estimate("location-free phrases: hit", method) for method in ("random", "centre", "class-mean box")
    )
    assert hit >= 0.75
    assert hit - blind >= 0.30
    assert evaluation.estimate("fall of hits under another finding's phrase", "m2ib") >= 0.45
    assert evaluation.estimate(AGREEMENT, "cosine") >= 0.7
    assert evaluation.estimate("erasing: reliance on the region, SD", "cosine") >= 1.0
