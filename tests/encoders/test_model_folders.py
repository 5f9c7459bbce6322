"""What is in a model folder, and what a reader is told when it is not as it should be."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from made_up_models import FAMILIES, MEAN, PHRASES, SIZE, STD
from safetensors.torch import load_file, save_file

from audit.encoders.loading import family_of, load_encoder
from audit.encoders.weights import checksum, weights_files
from pipelines.errors import ModelError
from pipelines.geometry import Fit

BIOMEDCLIP = Path(__file__).parent / "biomedclip-tiny"


@pytest.fixture
def copy(made_model, tmp_path):
    def make(family: str) -> Path:
        target = tmp_path / "model"
        shutil.copytree(made_model(family).folder, target, copy_function=shutil.copyfile)
        return target

    return make


def edit(path: Path, **changes: object) -> None:
    """Change a JSON file; a name with dots goes down into it."""
    content = json.loads(path.read_text())
    for name, value in changes.items():
        *way, last = name.split("__")
        part = content
        for step in way:
            part = part[step]
        part[last] = value
    path.write_text(json.dumps(content))


def tensors_of(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "open_clip_pytorch_model.bin", weights_only=True)


@pytest.mark.parametrize(
    ("family", "name"),
    [
        ("biomedclip", "open_clip"),
        ("clip", "clip"),
        ("siglip", "siglip"),
        ("siglip2", "siglip2"),
        ("vit and bert", "vision-text-dual-encoder"),
        ("openai state dict", "open_clip"),
        ("open_clip's own", "open_clip"),
        ("openai resnet", "open_clip"),
    ],
)
def test_a_family_is_told_apart_by_its_files(made_model, family, name) -> None:
    assert family_of(made_model(family).folder) == name


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "biomedclip"])
def test_mean_deviation_and_size_come_from_the_folder(made_model, family) -> None:
    preprocessing = load_encoder(str(made_model(family).folder)).preprocessing
    assert (list(preprocessing.mean), list(preprocessing.std), preprocessing.size) == (MEAN, STD, SIZE)
    assert preprocessing.fit is Fit.LETTERBOX


@pytest.mark.parametrize(
    ("family", "fit"),
    [
        pytest.param("clip", Fit.CROP, id="centre crop"),
        pytest.param("siglip", Fit.STRETCH, id="height and width"),
        pytest.param("open_clip's own", Fit.STRETCH, id="squash"),
        pytest.param("biomedclip", Fit.CROP, id="shortest"),
    ],
)
def test_the_models_own_fit_is_what_its_files_say(made_model, family, fit) -> None:
    assert load_encoder(str(made_model(family).folder), fit=None).preprocessing.fit is fit


def test_transformers_5s_joint_processor_file_is_read(copy) -> None:
    folder = copy("clip")
    own = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").unlink()
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": own}))
    assert list(load_encoder(str(folder)).preprocessing.mean) == MEAN


def test_safetensors_are_preferred_to_a_pickle(copy) -> None:
    folder = copy("biomedclip")
    save_file(
        {name: tensor + 0.01 if tensor.dim() else tensor for name, tensor in tensors_of(folder).items()},
        folder / "open_clip_model.safetensors",
    )
    encoder, other = load_encoder(str(folder)), load_encoder(str(BIOMEDCLIP))
    assert encoder.info.sha256 == checksum((folder / "open_clip_model.safetensors",)) != other.info.sha256
    tokens = encoder.text.tokenise(PHRASES)
    assert not torch.allclose(encoder.text.forward(tokens), other.text.forward(tokens))


def test_sharded_safetensors_are_read_and_all_of_them_are_in_the_checksum(made_model, copy) -> None:
    folder = copy("clip")
    (folder / "model.safetensors").unlink()
    made_model("clip").reference.save_pretrained(folder, max_shard_size="300KB")
    files = weights_files(folder, transformers=True)
    assert len(files) > 3
    whole, sharded = load_encoder(str(made_model("clip").folder)), load_encoder(str(folder))
    tokens = whole.text.tokenise(PHRASES)
    assert torch.equal(whole.text.forward(tokens), sharded.text.forward(tokens))
    files[2].write_bytes(files[2].read_bytes()[:-1] + b"\1")
    assert checksum(files) != sharded.info.sha256


@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(lambda tensors: {"state_dict": tensors, "epoch": 3}, id="nested"),
        pytest.param(lambda tensors: {f"module.{name}": t for name, t in tensors.items()}, id="parallel"),
        pytest.param(lambda tensors: {name: t.half() for name, t in tensors.items()}, id="fp16"),
        pytest.param(
            lambda tensors: tensors | {"text.transformer.embeddings.position_ids": torch.arange(256)[None]},
            id="position ids, as transformers before 4.31 wrote them",
        ),
    ],
)
def test_the_ways_that_checkpoints_are_written_make_no_difference(copy, wrap) -> None:
    folder = copy("biomedclip")
    torch.save(wrap(tensors_of(folder)), folder / "open_clip_pytorch_model.bin")
    encoder, plain = load_encoder(str(folder)), load_encoder(str(BIOMEDCLIP))
    tokens = plain.text.tokenise(PHRASES)
    torch.testing.assert_close(encoder.text.forward(tokens), plain.text.forward(tokens), atol=2e-2, rtol=2e-2)
    assert encoder.text.forward(tokens).dtype is torch.float32


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param(
            lambda t: t.pop("visual.trunk.blocks.1.attn.qkv.bias"),
            r"missing: trunk\.blocks\.1\.attn\.qkv\.bias",
            id="less",
        ),
        pytest.param(lambda t: t.update({"text.extra.weight": torch.ones(2)}), r"unexpected: extra\.weight", id="more"),
        pytest.param(
            lambda t: t.update({"visual.head.proj.weight": torch.ones(32, 63)}),
            r"mismatched: head\.proj\.weight \(32, 63\) instead of \(32, 64\)",
            id="another shape",
        ),
        pytest.param(
            lambda t: [t.pop(name) for name in list(t) if name.startswith("visual.trunk.patch_embed")],
            "the image half of these weights is of no architecture that is read here",
            id="no image half",
        ),
        pytest.param(lambda t: t.clear(), "there is no tensor in this file", id="nothing"),
    ],
)
def test_tensors_that_do_not_fit_are_listed(copy, change, told) -> None:
    folder = copy("biomedclip")
    tensors = tensors_of(folder)
    change(tensors)
    torch.save(tensors, folder / "open_clip_pytorch_model.bin")
    with pytest.raises(ModelError, match=told):
        load_encoder(str(folder))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"model_cfg__vision_cfg__timm_model_name": "convnext_base"}, "timm model 'convnext_base'"),
        ({"model_cfg__vision_cfg__timm_model_name": "vit_base_patch16_siglip_224"}, "patch16_siglip"),
        ({"model_cfg__vision_cfg__timm_pool": "avg"}, "pool 'avg'"),
        ({"model_cfg__text_cfg__hf_model_name": "roberta-base"}, "text model 'roberta-base'"),
        ({"model_cfg__text_cfg__hf_pooler_type": "mean_pooler"}, "pooler 'mean_pooler'"),
        ({"model_cfg__vision_cfg__image_size": 384}, "prepares images of 384 px, but the model takes 224"),
        ({"preprocess_cfg__std": [0.1, 0.0, 0.1]}, "are not usable"),
        ({"preprocess_cfg__resize_mode": "stretch-a-bit"}, "resize_mode 'stretch-a-bit'"),
        ({"model_cfg": 3}, "model_cfg is missing or no object"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_open_clip_config_that_is_not_read_is_one_sentence(copy, change, told) -> None:
    folder = copy("biomedclip")
    edit(folder / "open_clip_config.json", **change)
    with pytest.raises(ModelError, match=told) as caught:
        load_encoder(str(folder))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"model_cfg__vision_cfg__pool_type": "avg"}, "pool_type is 'avg'"),
        ({"model_cfg__text_cfg__embed_cls": True}, "embed_cls is True"),
    ],
    ids=["image", "text"],
)
def test_a_variant_that_no_tensor_gives_away_is_refused(copy, change, told) -> None:
    folder = copy("open_clip's own")
    edit(folder / "open_clip_config.json", **change)
    with pytest.raises(ModelError, match=told):
        load_encoder(str(folder))


def test_quick_gelu_is_taken_where_the_config_says_so(copy) -> None:
    folder = copy("open_clip's own")
    before = load_encoder(str(folder))
    tokens = before.text.tokenise(PHRASES)
    edit(folder / "open_clip_config.json", model_cfg__quick_gelu=True)
    assert not torch.allclose(load_encoder(str(folder)).text.forward(tokens), before.text.forward(tokens), atol=1e-4)


def test_a_torchscript_archive_is_refused_with_the_mend(copy) -> None:
    folder = copy("openai state dict")
    with pytest.warns(DeprecationWarning, match="torch.jit"):
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), folder / "best.pt")
    with pytest.raises(ModelError, match=r"TorchScript archive.*state_dict\(\)"):
        load_encoder(str(folder))


class Hostile:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_pickle_that_runs_code_is_refused_and_runs_nothing(copy, tmp_path) -> None:
    folder = copy("openai state dict")
    torch.save({"visual.proj": Hostile(tmp_path / "was-here")}, folder / "best.pt")
    with pytest.raises(ModelError, match="could run code"):
        load_encoder(str(folder))
    assert not (tmp_path / "was-here").exists()


def test_a_pickle_of_transformers_that_runs_code_runs_nothing(copy, tmp_path) -> None:
    folder = copy("clip")
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(tensors | {"extra": Hostile(tmp_path / "was-here")}, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="could run code"):
        load_encoder(str(folder))
    assert not (tmp_path / "was-here").exists()


def test_a_cut_file_of_weights_is_one_sentence(copy) -> None:
    folder = copy("openai state dict")
    (folder / "best.pt").write_bytes((folder / "best.pt").read_bytes()[:5000])
    with pytest.raises(ModelError, match=r"best\.pt: cannot be read as weights"):
        load_encoder(str(folder))


def test_a_bare_state_dict_needs_to_say_how_its_images_were_prepared(copy) -> None:
    folder = copy("openai state dict")
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(ModelError, match=r"add preprocessor_config\.json with image_mean"):
        load_encoder(str(folder))


def test_several_files_that_could_be_the_weights_are_not_guessed_at(copy) -> None:
    folder = copy("openai state dict")
    shutil.copy(folder / "best.pt", folder / "last.pt")
    with pytest.raises(ModelError, match=r"best\.pt, last\.pt"):
        load_encoder(str(folder))


def test_another_models_tokeniser_is_noticed(copy, made_model) -> None:
    folder = copy("openai state dict")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(BIOMEDCLIP / name, folder / name)
    encoder = load_encoder(str(folder))
    with pytest.raises(ModelError, match="is not that of these weights"):
        encoder.text.tokenise(PHRASES)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param(
            {"size": {"shortest_edge": 224}, "crop_size": {"height": 224}}, "224 px, but the model takes 64", id="size"
        ),
        pytest.param({"rescale_factor": 1 / 127.5}, "rescale_factor", id="range"),
        pytest.param({"image_mean": [0.5]}, "are not usable", id="mean"),
        pytest.param({"image_mean": [0.5, float("nan"), 0.5]}, "are not usable", id="mean that is no number"),
        pytest.param({"image_std": [0.5, float("inf"), 0.5]}, "are not usable", id="endless deviation"),
        pytest.param({"image_std": [10**401, 1, 1]}, "are not usable", id="deviation of 401 digits"),
    ],
)
def test_a_processor_that_does_not_suit_the_tower_is_refused(copy, change, told) -> None:
    folder = copy("clip")
    edit(folder / "preprocessor_config.json", **change)
    with pytest.raises(ModelError, match=told):
        load_encoder(str(folder))


def test_a_processor_that_does_not_normalise_leaves_values_as_they_are(copy) -> None:
    folder = copy("clip")
    edit(folder / "preprocessor_config.json", do_normalize=False)
    preprocessing = load_encoder(str(folder)).preprocessing
    assert (preprocessing.mean, preprocessing.std) == ((0.0,) * 3, (1.0,) * 3)


def test_a_half_of_another_kind_is_one_sentence(copy) -> None:
    folder = copy("vit and bert")
    edit(folder / "config.json", vision_config__model_type="swin")
    with pytest.raises(ModelError, match="vision_config of this vision-text dual encoder is of type 'swin'"):
        load_encoder(str(folder))


def test_siglips_words_are_the_phrases_own_though_its_tokeniser_drops_punctuation(made_model) -> None:
    tokens = load_encoder(str(made_model("siglip").folder)).text.tokenise(["Left effusion - no pneumothorax."])
    assert [word for word, _ in tokens.words[0]] == ["Left", "effusion", "no", "pneumothorax."]
    members = [index for _, indices in tokens.words[0] for index in indices]
    assert members == [index for index, special in enumerate(tokens.special[0].tolist()) if not special]
    assert tokens.mask.all()


def test_a_folder_built_as_biomedclip_gives_biomedclips_terms() -> None:
    terms = load_encoder(str(BIOMEDCLIP)).info.terms
    assert "built as BiomedCLIP" in terms
    assert "any deployed use case is out of scope" in terms


@pytest.mark.parametrize(
    ("card", "terms"),
    [
        pytest.param("---\nlanguage: en\nlicense: mit\n---\n# A model\n", "licence mit according to", id="card"),
        pytest.param("# A model\n\nlicense: mit\n", "not stated", id="no front matter"),
        pytest.param(None, "not stated", id="no card"),
    ],
)
def test_terms_are_read_from_the_card_and_never_guessed(copy, card, terms) -> None:
    folder = copy("clip")
    (folder / "README.md").unlink(missing_ok=True)
    if card is not None:
        (folder / "README.md").write_text(card)
    assert load_encoder(str(folder)).info.terms.startswith(terms)


def test_a_fetched_folder_names_its_source_and_commit(copy) -> None:
    folder = copy("clip")
    (folder / "m2ib_audit.json").write_text(json.dumps({"source": "a/b", "revision": "c0ffee", "terms": "none"}))
    info = load_encoder(str(folder)).info
    assert (info.name, info.source, info.terms) == ("model", "a/b at c0ffee", "none")
