"""ROAR+: what is removed, what is learnt without it, and that a planted truth is missed and noise is not."""

import math
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import CLIPConfig, CLIPModel
from typer.testing import CliRunner

from audit.cli import app
from audit.encoders.loading import model_folder
from audit.experiments.roar import RoarSettings, as_text, run_roar
from audit.experiments.roar_retraining import CaptionedImages, fine_tuned, remove_patches, remove_words, retrieve
from audit.phantom.training import TrainingSettings
from pipelines.errors import AuditError, ModelError

PAD, EOS, BOS, MASK, FILLER, FIRST_CLASS = range(6)
CLASSES, GRID, PATCH = 4, 4, 4
TRAINING = TrainingSettings(steps=120, batch=32, learning_rate=3e-3, warmup=10, seed=4)


@cache
def toy_model() -> CLIPModel:
    """A CLIP small enough to learn the toy in a second or two."""
    torch.set_num_threads(1)
    shared = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "projection_dim": 16,
    }
    config = CLIPConfig(
        projection_dim=16,
        vision_config={**shared, "image_size": GRID * PATCH, "patch_size": PATCH},
        text_config={
            **shared,
            "vocab_size": FIRST_CLASS + CLASSES,
            "max_position_embeddings": 8,
            "pad_token_id": PAD,
            "bos_token_id": BOS,
            "eos_token_id": EOS,
        },
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return CLIPModel(config).eval()


@cache
def toy_pairs(count: int = 160) -> tuple[CaptionedImages, list[torch.Tensor], list[list[float]]]:
    """Noise with one patch that shows a class, and three words of which one names it; and the heat of both truths."""
    generator = torch.Generator().manual_seed(7)
    patterns = torch.randn(CLASSES, 3, PATCH, PATCH, generator=generator) * 2
    classes = torch.arange(count) % CLASSES
    cells = torch.randint(GRID * GRID, (count,), generator=generator)
    places = torch.randint(3, (count,), generator=generator)
    images = torch.randn(count, 3, GRID * PATCH, GRID * PATCH, generator=generator) * 0.3
    ids = torch.full((count, 5), FILLER)
    ids[:, 0], ids[:, -1] = BOS, EOS
    heats, words = [], []
    for index in range(count):
        row, column = divmod(int(cells[index]), GRID)
        down, across = (slice(place * PATCH, (place + 1) * PATCH) for place in (row, column))
        images[index, :, down, across] = patterns[classes[index]]
        ids[index, 1 + places[index]] = FIRST_CLASS + classes[index]
        heat = torch.zeros(GRID, GRID)
        heat[row, column] = 1.0
        heats.append(heat)
        words.append([float(place == places[index]) for place in range(3)])
    pairs = CaptionedImages(
        images=images,
        ids=ids,
        mask=torch.ones_like(ids, dtype=torch.bool),
        words=tuple(((1,), (2,), (3,)) for _ in range(count)),
        truth=classes[:, None] == classes[None],
    )
    return pairs, heats, words


@cache
def auc_after(removed: str) -> float:
    """Mean AUC on the last quarter of the toy after training on the rest."""
    pairs, heats, words = toy_pairs()
    seeds = list(range(len(pairs)))
    flat, even = [torch.zeros_like(heat) for heat in heats], [[0.0] * 3 for _ in words]
    left = {
        "nothing": lambda: pairs,
        "planted patch": lambda: remove_patches(pairs, heats, share=0.05, seeds=seeds),
        "random patch": lambda: remove_patches(pairs, flat, share=0.05, seeds=seeds),
        "planted word": lambda: remove_words(pairs, words, share=0.3, seeds=seeds, mask_id=MASK),
        "random word": lambda: remove_words(pairs, even, share=0.3, seeds=seeds, mask_id=MASK),
    }[removed]()
    tuned = fine_tuned(toy_model(), left.part(slice(0, 120)), TRAINING)
    return float(np.nanmean(retrieve(tuned, left.part(slice(120, None))).auc))


def test_without_the_planted_patch_the_toy_cannot_be_learnt_and_without_a_random_one_it_can() -> None:
    assert auc_after("nothing") > 0.95
    assert auc_after("random patch") > 0.85
    assert auc_after("planted patch") < 0.65


def test_without_the_planted_word_the_toy_cannot_be_learnt_and_without_a_random_one_it_is_hurt_less() -> None:
    assert auc_after("planted word") < 0.65
    assert auc_after("random word") > auc_after("planted word") + 0.1


def test_training_leaves_the_model_and_the_global_seed_alone_and_gives_the_same_twice() -> None:
    pairs, _, _ = toy_pairs()
    before = {name: tensor.clone() for name, tensor in toy_model().state_dict().items()}
    state = torch.get_rng_state()
    short = TrainingSettings(steps=3, batch=16, learning_rate=1e-3, warmup=1, seed=2)
    losses: list[float] = []
    one, other = (fine_tuned(toy_model(), pairs, short, report=lambda _s, loss: losses.append(loss)) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in toy_model().state_dict().items())
    assert losses[:3] == losses[3:]
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert not all(torch.equal(tensor, before[name]) for name, tensor in one.state_dict().items())


@given(share=st.floats(0.01, 0.99), seed=st.integers(0, 2**40), levels=st.integers(1, 16))
@settings(max_examples=25)
def test_the_hottest_share_of_patches_and_no_other_becomes_the_mean(share: float, seed: int, levels: int) -> None:
    heat = (torch.randperm(16, generator=torch.Generator().manual_seed(seed % 2**31)) % levels).float().view(4, 4)
    pairs, _, _ = toy_pairs()
    one = pairs.part(slice(0, 1))
    left = remove_patches(one, [heat], share=share, seeds=[seed])
    by_cell = left.images[0].unfold(1, PATCH, PATCH).unfold(2, PATCH, PATCH)
    removed = (by_cell == 0).permute(1, 2, 0, 3, 4).flatten(2).all(2)
    assert int(removed.sum()) == min(16, max(1, math.ceil(share * 16 - 1e-9)))
    assert removed.all() or float(heat[removed].min()) >= float(heat[~removed].max())
    kept = (~removed).repeat_interleave(PATCH, 0).repeat_interleave(PATCH, 1)
    assert torch.equal(left.images[0][:, kept], one.images[0][:, kept])
    assert torch.equal(left.ids, one.ids)


def test_the_hottest_words_are_masked_whole_and_start_and_end_never() -> None:
    pairs, _, _ = toy_pairs()
    two = pairs.part(slice(0, 2))
    worded = replace(two, words=(((1, 2), (3,)), ((1,), (2,), (3,))))
    left = remove_words(worded, [[5.0, 1.0], [0.0, 2.0, 1.0]], share=0.5, seeds=[0, 0], mask_id=MASK)
    assert (left.ids == MASK).tolist() == [[False, True, True, False, False], [False, False, True, True, False]]
    assert torch.equal(left.images, two.images)
    assert not bool((worded.ids == MASK).any())
    with pytest.raises(ValueError, match="2 words has 1 heats"):
        remove_words(worded, [[5.0], [0.0, 2.0, 1.0]], share=0.5, seeds=[0, 0], mask_id=MASK)


def test_retrieval_ranks_a_sentence_among_those_that_do_not_hold_as_a_loop_does() -> None:
    pairs, _, _ = toy_pairs()
    few = pairs.part(slice(0, 30))
    truth = few.truth.clone()
    truth[3] = True  # an image of which every sentence holds is not asked
    few = replace(few, truth=truth)
    found = retrieve(toy_model(), few)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        model = toy_model()
        images = model.visual_projection(model.vision_model(pixel_values=few.images).pooler_output)
        read = model.text_model(input_ids=few.ids, attention_mask=few.mask.long())
        texts = model.text_projection(read.pooler_output)
    images, texts = (torch.nn.functional.normalize(each.float(), dim=-1) for each in (images, texts))
    cosines = (images @ texts.T).double().numpy()
    for row in range(30):
        rivals = [cosines[row, column] for column in range(30) if not few.truth[row, column]]
        if not rivals:
            assert np.isnan([found.auc[row], found.found_first[row], found.found_in_five[row]]).all()
            continue
        own = cosines[row, row]
        wins = sum(1.0 if own > rival else 0.5 if own == rival else 0.0 for rival in rivals)
        assert found.auc[row] == pytest.approx(wins / len(rivals))
        above = sum(rival >= own for rival in rivals)
        assert (found.found_first[row], found.found_in_five[row]) == (above == 0, above < 5)
    assert np.isnan(found.auc).sum() == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"method": "lime"}, "lime: unknown; one of m2ib"),
        ({"shares": (0.0,)}, "shares between 0 and 1"),
        ({"sides": ()}, "names none"),
        ({"phantoms": 3}, "give 8 at least"),
        ({"numbers": {"nib": {"steps": 3}}}, "nib is not among the methods"),
    ],
    ids=["method", "share", "side", "phantoms", "number of another method"],
)
def test_what_cannot_be_measured_is_refused_at_once(changes: dict[str, object], said: str) -> None:
    with pytest.raises(AuditError, match=said):
        RoarSettings(**changes)


def test_words_are_not_removed_by_a_method_that_explains_none() -> None:
    with pytest.raises(AuditError, match="grad_cam does not explain words: pass --side image"):
        run_roar(RoarSettings(method="grad_cam"))


def test_a_model_without_a_token_for_a_removed_word_is_refused(tmp_path: Path) -> None:
    folder = shutil.copytree(model_folder("phantom-shortcut"), tmp_path / "model")
    tokenizer = folder / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text("utf-8").replace("[MASK]", "[HOLE]"), "utf-8")
    with pytest.raises(ModelError, match=r"no \[MASK\]"):
        run_roar(RoarSettings(method="grad_cam", model=str(folder), sides=("image",)))


def test_a_small_run_prints_a_line_for_every_way_of_removing_and_says_what_it_cost() -> None:
    flags = ["--method", "nib", "--phantoms", "12", "--steps", "2", "--batch", "8", "--share", "0.5"]
    result = CliRunner().invoke(app, ["roar", *flags])
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()[3:]]
    assert [line[:2] for line in lines] == [[s, r] for s in ("image", "text") for r in ("nothing", "nib", "random")]
    again = run_roar(RoarSettings(method="nib", phantoms=12, steps=2, batch=8, shares=(0.5,), sides=("image",)))
    assert as_text(again).splitlines()[3:] == [line for line in result.stdout.splitlines() if line.startswith("image")]
    nothing, own, at_random = again.lines
    assert (again.trained_on, again.held_out) == (9, 3)
    assert nothing.fall is None
    assert own.fall is not None
    assert own.beyond_random is not None
    assert at_random.fall is not None
    assert own.fall.estimate == pytest.approx(nothing.auc.estimate - own.auc.estimate)
    assert own.beyond_random.estimate == pytest.approx(own.fall.estimate - at_random.fall.estimate)
