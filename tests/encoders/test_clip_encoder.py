"""The CLIP family against transformers' own forward pass."""

import json
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPModel

from audit.encoders.loading import load_encoder, model_folder
from audit.encoders.protocol import DualEncoder
from audit.phantom.architecture import build_model, build_tokenizer, save_processor
from pipelines.errors import ModelError
from pipelines.geometry import Fit

PHRASES = ["There is a nodule in the left upper lung.", "Cardiomegaly.", "No pleural effusion."]
EXACT = {"atol": 1e-5, "rtol": 1e-5}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    tokenizer = build_tokenizer()
    build_model(tokenizer, seed=3).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    save_processor(folder, 160)
    return folder


@pytest.fixture(scope="module")
def encoder(folder: Path) -> DualEncoder:
    return load_encoder(str(folder))


@pytest.fixture(scope="module")
def reference(folder: Path) -> CLIPModel:
    return CLIPModel.from_pretrained(folder).eval()


@pytest.fixture
def pixels() -> torch.Tensor:
    return torch.randn(2, 3, 160, 160, generator=torch.Generator().manual_seed(1))


def features(output: object) -> torch.Tensor:
    """get_image_features gives a tensor in some versions of transformers, a ModelOutput in others."""
    return output if isinstance(output, torch.Tensor) else output.pooler_output  # type: ignore[attr-defined]


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_image_prefix_and_suffix_are_the_whole_forward(encoder, reference, pixels, layer) -> None:
    with torch.no_grad():
        whole = features(reference.get_image_features(pixels))
    split = encoder.image.suffix(encoder.image.prefix(pixels, layer), layer)
    torch.testing.assert_close(split, whole, **EXACT)


@pytest.mark.parametrize("layer", [0, 1])
def test_text_prefix_and_suffix_are_the_whole_forward(encoder, reference, layer) -> None:
    tokens = encoder.text.tokenise(PHRASES)
    with torch.no_grad():
        whole = features(reference.get_text_features(input_ids=tokens.ids, attention_mask=tokens.mask.long()))
    split = encoder.text.suffix(encoder.text.prefix(tokens, layer), layer, tokens.mask)
    torch.testing.assert_close(split, whole, **EXACT)


def test_padding_and_batching_change_no_text_embedding(encoder) -> None:
    together = encoder.text.tokenise(PHRASES)
    batch = encoder.text.suffix(encoder.text.prefix(together, 0), 0, together.mask)
    for row, phrase in enumerate(PHRASES):
        alone = encoder.text.tokenise([phrase])
        single = encoder.text.suffix(encoder.text.prefix(alone, 0), 0, alone.mask)
        torch.testing.assert_close(batch[row], single[0], **EXACT)


def test_no_weight_asks_for_a_gradient_and_the_hidden_state_gets_one(encoder, pixels) -> None:
    hidden = encoder.image.prefix(pixels, 1)
    assert not hidden.requires_grad
    hidden.requires_grad_()
    encoder.image.suffix(hidden, 1).sum().backward()
    assert hidden.grad is not None
    assert torch.count_nonzero(hidden.grad) > 0


def test_the_grid_covers_all_tokens_but_the_leading_ones(encoder, pixels) -> None:
    rows, columns = encoder.image.grid_at(0)
    assert encoder.image.prefix(pixels, 0).shape[1] == rows * columns + encoder.image.leading_tokens


def test_words_are_joined_from_their_pieces(encoder) -> None:
    tokens = encoder.text.tokenise(["Kerley lines, left lung."])
    assert [word for word, _ in tokens.words[0]] == ["Kerley", "lines,", "left", "lung."]
    members = [index for _, indices in tokens.words[0] for index in indices]
    assert members == [i for i, special in enumerate(tokens.special[0].tolist()) if not special]


def test_a_phrase_beyond_the_context_is_cut_with_a_warning_that_names_it(encoder) -> None:
    with pytest.warns(UserWarning, match="longer than the model's context of 40 tokens"):
        tokens = encoder.text.tokenise(["nodule " * 60])
    assert tokens.ids.shape[1] == 40


def test_preprocessing_comes_from_the_folder(folder) -> None:
    loaded = load_encoder(str(folder), fit=Fit.CROP)
    assert (loaded.preprocessing.size, loaded.preprocessing.fit) == (160, Fit.CROP)


def copy_of(folder: Path, target: Path) -> Path:
    for file in folder.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    return target


def test_missing_tensors_are_an_error_that_lists_them(folder, tmp_path) -> None:
    broken = copy_of(folder, tmp_path)
    weights = load_file(broken / "model.safetensors")
    del weights["visual_projection.weight"]
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"missing: visual_projection\.weight"):
        load_encoder(str(broken))


@pytest.mark.parametrize(
    ("file", "text"),
    [
        pytest.param("config.json", "no config.json", id="config"),
        pytest.param("model.safetensors", "no weights", id="weights"),
        pytest.param("preprocessor_config.json", "preprocessor_config.json", id="preprocessing"),
        pytest.param("tokenizer.json", "no readable tokeniser", id="tokeniser"),
    ],
)
def test_a_missing_file_is_named(folder, tmp_path, file, text) -> None:
    broken = copy_of(folder, tmp_path)
    (broken / file).unlink()
    if file == "tokenizer.json":
        (broken / "tokenizer_config.json").unlink()
    with pytest.raises(ModelError, match=text):
        load_encoder(str(broken))


def test_an_unknown_family_is_one_sentence(folder, tmp_path) -> None:
    broken = copy_of(folder, tmp_path)
    config = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps({**config, "model_type": "llama"}))
    with pytest.raises(ModelError, match="model_type 'llama'"):
        load_encoder(str(broken))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("no-such-model", "neither a known name", id="name"),
        pytest.param("/no/such/folder", "no such folder", id="folder"),
        pytest.param("biomedclip", "--local-dir", id="no network"),
    ],
)
def test_weights_that_cannot_be_had_say_how_to_bring_them(name, text, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match=text):
        model_folder(name)


def test_the_committed_phantom_encoder_says_what_it_is() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        info = load_encoder("phantom").info
    assert info.is_phantom
    assert (info.name, info.family) == ("phantom", "vision-text-dual-encoder")
    assert "synthetic" in info.terms
    assert (model_folder("phantom") / "README.md").is_file()
