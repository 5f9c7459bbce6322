"""Checking a model: what is printed is true of the files, and a tower that does not split exactly is found out."""

import json
import math
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from audit.cli import app
from audit.encoders.loading import load_encoder, model_folder
from audit.encoders.protocol import DualEncoder, Encoder
from audit.models import checking
from audit.models.checking import CheckedModel, as_json, as_lines, check, require_exact, split_errors
from pipelines.errors import ModelError

BIOMEDCLIP = Path(__file__).parents[1] / "encoders" / "biomedclip-tiny"
PHANTOM = model_folder("phantom")


@dataclass
class Altered:
    """A tower whose second part is another; all else is the tower's own."""

    tower: object
    wrong: object

    def __getattr__(self, name: str) -> object:
        return getattr(self.tower, name)

    def suffix(self, hidden, layer, mask=None):
        return self.wrong(self.tower, hidden, layer, mask)


def skips_a_block(tower, hidden, layer, mask):
    return tower.suffix(hidden, min(layer + 1, tower.depth - 1), mask)


def forgets_the_mask(tower, hidden, layer, _mask):
    return tower.suffix(hidden, layer, None)


def mixes_up_the_batch(tower, hidden, layer, mask):
    return tower.suffix(hidden, layer, mask).flip(0)


def gives_no_number(tower, hidden, layer, mask):
    return tower.suffix(hidden, layer, mask) * math.nan


def slightly_off(tower, hidden, layer, mask):
    return tower.suffix(hidden, layer, mask) * (1 + 3e-5)


def wrong_layers(encoder: DualEncoder) -> dict[str, list[int]]:
    splits = list(split_errors(encoder))
    return {
        tower: [split.layer for split in splits if split.tower == tower and not split.is_exact]
        for tower in ("image", "text")
    }


def altered(encoder: DualEncoder, **towers: object) -> Encoder:
    parts = {
        name: Altered(getattr(encoder, name), towers[name]) if name in towers else getattr(encoder, name)
        for name in ("image", "text")
    }
    return Encoder(info=encoder.info, preprocessing=encoder.preprocessing, **parts)


@pytest.fixture(scope="module")
def tiny() -> DualEncoder:
    return load_encoder(str(BIOMEDCLIP))


@pytest.fixture(scope="module")
def phantom() -> CheckedModel:
    return check("phantom", device="cpu")


@pytest.mark.parametrize("folder", [PHANTOM, BIOMEDCLIP], ids=["phantom", "biomedclip"])
def test_a_model_splits_exactly_at_every_block_of_both_towers(folder):
    encoder = load_encoder(str(folder))
    splits = list(split_errors(encoder))
    every = [("image", layer) for layer in range(encoder.image.depth)]
    every += [("text", layer) for layer in range(encoder.text.depth)]
    assert [(split.tower, split.layer) for split in splits] == every
    assert all(split.is_exact for split in splits)


def test_a_suffix_that_skips_a_block_is_found_at_every_layer_it_skips(tiny):
    depth = tiny.image.depth
    assert wrong_layers(altered(tiny, image=skips_a_block)) == {"image": list(range(depth - 1)), "text": []}
    assert wrong_layers(altered(tiny, text=skips_a_block)) == {"image": [], "text": list(range(depth - 1))}


def test_a_suffix_that_forgets_the_padding_is_found(tiny):
    found = wrong_layers(altered(tiny, text=forgets_the_mask))
    assert found["text"][0] == 0  # the last block's output is past all attention
    assert found["image"] == []


@pytest.mark.parametrize("wrong", [mixes_up_the_batch, gives_no_number, slightly_off])
def test_a_suffix_that_gives_another_embedding_is_found_at_every_block(tiny, wrong):
    every = list(range(tiny.image.depth))
    assert wrong_layers(altered(tiny, image=wrong, text=wrong)) == {"image": every, "text": every}


def test_the_differences_are_those_of_the_definition(tiny):
    tripled = altered(tiny, image=lambda tower, hidden, layer, mask: 3 * tower.suffix(hidden, layer, mask))
    size = tiny.preprocessing.size
    pixels = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(20_260_101))
    largest = float(2 * tiny.image.forward(pixels).abs().max())
    for split in split_errors(tripled):
        if split.tower == "image":
            assert split.relative == pytest.approx(2, rel=1e-4)
            assert split.absolute == pytest.approx(largest, rel=1e-4)


def test_a_model_that_does_not_split_exactly_is_refused_with_its_blocks(phantom):
    wrong = tuple(replace(split, relative=1.1e-5) if split.tower == "text" else split for split in phantom.splits)
    with pytest.raises(
        ModelError, match=r"^phantom: split at text block 0, text block 1, the model's embeddings differ"
    ):
        require_exact(replace(phantom, splits=wrong))


def test_a_difference_of_the_tolerance_itself_is_let_through(phantom):
    just = tuple(replace(split, relative=checking.TOLERANCE) for split in phantom.splits)
    require_exact(replace(phantom, splits=just))


def test_the_parameters_are_those_of_the_weights_file(phantom):
    tensors = load_file(PHANTOM / "model.safetensors")
    counted = sum(tensor.numel() for name, tensor in tensors.items() if name != "logit_scale")
    assert phantom.image_parameters + phantom.text_parameters == counted


def test_what_is_said_of_the_model_is_what_its_files_say(phantom):
    config = json.loads((PHANTOM / "config.json").read_text())
    prepared = json.loads((PHANTOM / "preprocessor_config.json").read_text())
    own = json.loads((PHANTOM / "m2ib_audit.json").read_text())
    vision = config["vision_config"]
    side = vision["image_size"] // vision["patch_size"]
    assert (phantom.image_blocks, phantom.text_blocks) == (vision["num_hidden_layers"], 2)
    assert phantom.grids == ((side, side),) * vision["num_hidden_layers"]
    assert (phantom.size_px, phantom.context) == (vision["image_size"], 40)
    assert [list(phantom.mean), list(phantom.std)] == [prepared["image_mean"], prepared["image_std"]]
    assert (phantom.image_layer, phantom.text_layer) == (own["image_layer"], own["text_layer"])
    assert phantom.terms == own["terms"]


def test_the_layers_are_the_papers_where_the_folder_names_none():
    checked = check(str(BIOMEDCLIP), device="cpu")
    assert (checked.image_layer, checked.text_layer) == (2, 2)  # 9 and 7 of 12, for 4 blocks, one left after them


def test_a_layer_in_the_folders_file_that_the_model_has_not_is_one_sentence(tmp_path):
    folder = shutil.copytree(PHANTOM, tmp_path / "model")
    own = json.loads((folder / "m2ib_audit.json").read_text()) | {"image_layer": 3}
    (folder / "m2ib_audit.json").write_text(json.dumps(own))
    with pytest.raises(
        ModelError, match=r"the numbers in m2ib_audit.json do not fit the model: image layer 3 is outside"
    ):
        check(str(folder), device="cpu")


def test_the_same_check_twice_gives_the_same(phantom):
    assert check("phantom", device="cpu") == phantom


def test_progress_counts_every_block(phantom):
    moves = []
    check("phantom", device="cpu", progress=lambda *move: moves.append(move[1:]))
    total = phantom.image_blocks + phantom.text_blocks
    assert moves == [(done, total) for done in range(1, total + 1)]


def test_a_grid_that_shrinks_is_told_with_the_blocks_it_shrinks_at(phantom):
    lines = as_lines(replace(phantom, grids=((16, 16), (16, 16), (8, 8))))
    assert any(line.split(maxsplit=1) == ["grid", "16 x 16 from block 0, 8 x 8 from block 2"] for line in lines)


def test_json_holds_no_bare_nan(phantom):
    broken = (replace(phantom.splits[0], relative=math.nan), *phantom.splits[1:])
    written = json.dumps(as_json(replace(phantom, splits=broken)), allow_nan=False)
    assert json.loads(written)["splits"][0]["relative"] is None
    assert json.loads(written)["is_exact"] is False


def test_the_command_prints_facts_terms_and_the_self_test():
    result = CliRunner().invoke(app, ["models", "check", "phantom", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    told = dict(line.split("  ", maxsplit=1) for line in result.stdout.splitlines())
    assert told["terms"].endswith("it says nothing about patients")
    assert told["split, image"].strip().startswith("exact at all 3 blocks")
    assert told["split, text"].strip().startswith("exact at all 2 blocks")


def test_the_command_gives_json_for_scripts(phantom):
    result = CliRunner().invoke(app, ["models", "check", "phantom", "--device", "cpu", "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == json.loads(json.dumps(as_json(phantom)))


def test_the_command_ends_with_status_1_and_names_the_blocks_where_the_split_is_wrong(monkeypatch, tiny):
    monkeypatch.setattr(checking, "load_encoder", lambda *_args, **_more: altered(tiny, text=skips_a_block))
    result = CliRunner().invoke(app, ["models", "check", "anything", "--device", "cpu"])
    assert result.exit_code == 1
    assert "WRONG at 3 of 4 blocks: 0 (" in result.stdout
    assert result.stderr.startswith("m2ib-audit: biomedclip-tiny: split at text block 0, text block 1, text block 2, ")


def test_weights_that_lack_a_tensor_end_in_one_line_and_status_1(tmp_path):
    folder = shutil.copytree(PHANTOM, tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    del tensors["visual_projection.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    result = CliRunner().invoke(app, ["models", "check", str(folder), "--device", "cpu"])
    assert result.exit_code == 1
    assert "missing: visual_projection.weight" in result.stderr
    assert result.stderr.count("\n") == 1
