"""Which files of a repository are brought: what the loader reads, once."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.models.choosing import BESIDE_WEIGHTS, choose_files
from pipelines.errors import ModelError

SHARDS = [f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)]
PICKLED_SHARDS = [f"pytorch_model-0000{number}-of-00002.bin" for number in (1, 2)]
TRANSFORMERS = ["config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json"]
OPEN_CLIP = ["open_clip_config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt"]
COPIES = [
    "pytorch_model.bin",
    "tf_model.h5",
    "flax_model.msgpack",
    "model.onnx",
    "rust_model.ot",
    "model.fp16.safetensors",
]


def choose(names: list[str]) -> tuple[str, tuple[str, ...]]:
    with TemporaryDirectory() as folder:
        scratch = Path(folder)
        if "config.json" in names:
            (scratch / "config.json").write_text(json.dumps({"model_type": "clip"}))
        return choose_files(names, scratch)


@pytest.mark.parametrize(
    ("beside", "held", "family", "weights"),
    [
        pytest.param(TRANSFORMERS, ["model.safetensors", *COPIES], "clip", ["model.safetensors"], id="safetensors"),
        pytest.param(TRANSFORMERS, COPIES, "clip", ["pytorch_model.bin"], id="pickle where there is nothing better"),
        pytest.param(
            TRANSFORMERS,
            ["model.safetensors.index.json", *SHARDS, *PICKLED_SHARDS, "pytorch_model.bin.index.json", *COPIES],
            "clip",
            ["model.safetensors.index.json", *SHARDS],
            id="shards with their index",
        ),
        pytest.param(
            TRANSFORMERS,
            ["pytorch_model.bin.index.json", *PICKLED_SHARDS],
            "clip",
            ["pytorch_model.bin.index.json", *PICKLED_SHARDS],
            id="pickled shards",
        ),
        pytest.param(
            OPEN_CLIP, ["open_clip_pytorch_model.bin"], "open_clip", ["open_clip_pytorch_model.bin"], id="open_clip"
        ),
        pytest.param(
            OPEN_CLIP,
            ["open_clip_pytorch_model.bin", "open_clip_model.safetensors"],
            "open_clip",
            ["open_clip_model.safetensors"],
            id="open_clip in safetensors",
        ),
        pytest.param(
            [*TRANSFORMERS, "open_clip_config.json"],
            ["model.safetensors", "open_clip_model.safetensors"],
            "clip",
            ["model.safetensors"],
            id="both formats",
        ),
        pytest.param(
            ["preprocessor_config.json", "tokenizer.json"],
            ["best.pt"],
            "open_clip",
            ["best.pt"],
            id="a bare state dict",
        ),
    ],
)
def test_one_set_of_weights_is_chosen_with_what_stands_beside_it(beside, held, family, weights):
    found, chosen = choose([*held, *beside, "README.md"])
    assert found == family
    assert set(chosen) == {*beside, "README.md", *weights}
    assert list(chosen[-len(weights) :]) == weights


def test_several_bare_state_dicts_are_refused():
    with pytest.raises(ModelError, match=r"several files could be the weights \(best.pt, last.pt\)"):
        choose(["preprocessor_config.json", "tokenizer.json", "best.pt", "last.pt"])


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20).filter(
    lambda name: name not in BESIDE_WEIGHTS
)


@given(st.lists(st.one_of(NAMES, st.builds("{}/{}".format, NAMES, NAMES), st.just(".."))))
def test_other_names_change_nothing_and_none_of_them_is_chosen(others):
    plain = [*TRANSFORMERS, "model.safetensors"]
    assert choose([*plain, *others]) == choose(plain)
