"""A model folder that asks for code, for files elsewhere or for more than any model is refused before it is loaded."""

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from audit.encoders.blocks import depth_of
from audit.encoders.folder_limits import refuse_unsafe
from audit.encoders.loading import model_folder
from pipelines.errors import ModelError

PHANTOM = model_folder("phantom")
LOADER = """
import resource, sys
import audit.encoders.loading
resource.setrlimit(resource.RLIMIT_AS, (5 * 10**9, 5 * 10**9))
from pipelines.errors import ModelError
for name in sys.argv[1:]:
    try:
        audit.encoders.loading.load_encoder(name)
        print("loaded")
    except ModelError as error:
        print("refused", str(error).splitlines()[0])
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    target = tmp_path / "model"
    shutil.copytree(PHANTOM, target, copy_function=shutil.copyfile)
    return target


def edit(path: Path, way: str, value: object) -> None:
    content = json.loads(path.read_text())
    *steps, last = way.split(".")
    part = content
    for step in steps:
        part = part.setdefault(step, {})
    part[last] = value
    path.write_text(json.dumps(content))


def header(path: Path, entries: dict[str, object], numbers: int = 0, length: int | None = None) -> None:
    text = json.dumps(entries).encode()
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + bytes(numbers))


def tensor(shape: list[int], first: int, last: int) -> dict[str, object]:
    return {"dtype": "F32", "shape": shape, "data_offsets": [first, last]}


SAFETENSORS: dict[str, tuple[Callable[[Path], None], str]] = {
    "longer header than file": (lambda path: header(path, {}, length=2**60), "its header should have"),
    "long header": (
        lambda path: path.write_bytes((2**24 + 1).to_bytes(8, "little") + bytes(2**24 + 9)),
        "no header more than",
    ),
    "no header": (lambda path: path.write_bytes(b"abc"), "its header should have"),
    "nested header": (
        lambda path: path.write_bytes((10**6).to_bytes(8, "little") + b'{"a":' + b"[" * 10**6),
        "nested deeper",
    ),
    "tensor larger than file": (lambda path: header(path, {"a": tensor([2**40], 0, 2**42)}), "does not hold"),
    "shape larger than tensor": (lambda path: header(path, {"a": tensor([2**40], 0, 4)}, 4), "does not hold"),
    "tensors that overlap": (
        lambda path: header(path, {"a": tensor([2], 0, 8), "b": tensor([2], 4, 12)}, 12),
        "does not hold",
    ),
    "many tensors": (
        lambda path: header(path, {f"a{place}": tensor([0], 0, 0) for place in range(100_001)}),
        "100,001 tensors",
    ),
    "a size of another type": (lambda path: header(path, {"a": tensor(["x"], 0, 0)}), "not an integer"),
}


@pytest.mark.parametrize("name", SAFETENSORS)
def test_a_header_of_safetensors_that_promises_what_the_file_has_not_is_refused(folder: Path, name: str) -> None:
    make, words = SAFETENSORS[name]
    make(folder / "model.safetensors")
    with pytest.raises(ModelError, match=words):
        refuse_unsafe(folder, transformers=True)


@pytest.mark.parametrize(
    ("file", "way", "value", "words"),
    [
        ("config.json", "vision_config.num_hidden_layers", 10**7, "num_hidden_layers is 10,000,000"),
        ("config.json", "text_config.num_hidden_layers", 900, "it describes at least"),
        ("config.json", "text_config.vocab_size", 9_000_000, "it describes at least"),
        ("config.json", "vision_config.hidden_size", 10**9, "hidden_size is 1,000,000,000"),
        ("config.json", "vision_config.image_size", -1, "image_size is -1"),
        ("config.json", "vision_config.patch_size", float("nan"), "patch_size is nan"),
        ("config.json", "auto_map", {"AutoModel": "code.Model"}, "auto_map"),
        ("tokenizer_config.json", "auto_map", {"AutoTokenizer": ["code.T", None]}, "auto_map"),
        ("tokenizer.json", "added_tokens", [{"id": 1}] * 20_001, "adds 20,001 tokens"),
        (
            "tokenizer.json",
            "normalizer",
            {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "a" * 100}] * 2},
            "may make 10,000 characters",
        ),
        ("tokenizer.json", "normalizer", {"type": "Sequence", "normalizers": [{"type": "NFC"}] * 999}, "1,000 rules"),
    ],
)
def test_a_number_or_rule_beyond_any_models_is_refused(
    folder: Path, file: str, way: str, value: object, words: str
) -> None:
    edit(folder / file, way, value)
    with pytest.raises(ModelError, match=words):
        refuse_unsafe(folder, transformers=True)


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "m2ib_audit.json"])
def test_deep_json_in_a_model_folder_is_one_sentence(folder: Path, file: str) -> None:
    (folder / file).write_text('{"a":' * 50_000)
    with pytest.raises(ModelError, match=r"nested deeper than 100 levels"):
        refuse_unsafe(folder, transformers=True)


@pytest.mark.parametrize(("file", "size"), [("config.json", 2**22), ("tokenizer.json", 2**26), ("vocab.json", 2**26)])
def test_a_file_larger_than_any_of_its_kind_is_refused_unread(folder: Path, file: str, size: int) -> None:
    with (folder / file).open("wb") as sparse:
        sparse.truncate(size + 1)
    with pytest.raises(ModelError, match=rf"{size:,} bytes of any"):
        refuse_unsafe(folder, transformers=True)


def test_weights_that_are_a_link_out_of_the_folder_are_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").rename(tmp_path / "elsewhere")
    (folder / "model.safetensors").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ModelError, match="a link that leads out of the model folder"):
        refuse_unsafe(folder, transformers=True)


def test_links_of_the_hubs_cache_to_its_own_blobs_are_followed(folder: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "models--a--b" / "snapshots" / "0123"
    blobs = tmp_path / "models--a--b" / "blobs"
    blobs.mkdir(parents=True)
    folder.rename(blobs / "all")
    snapshot.mkdir(parents=True)
    for path in (blobs / "all").iterdir():
        (snapshot / path.name).symlink_to(path)
    refuse_unsafe(snapshot, transformers=True)


def test_a_pickle_of_one_number_that_stands_for_terabytes_is_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1).expand(2**20, 2**20)}, tmp_path / "model.bin")
    with pytest.raises(ModelError, match="stand for more numbers than"):
        refuse_unsafe(tmp_path, transformers=False)


def test_a_pickle_that_is_packed_is_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(2**20)}, tmp_path / "plain")
    with (
        zipfile.ZipFile(tmp_path / "plain") as plain,
        zipfile.ZipFile(tmp_path / "model.bin", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    (tmp_path / "plain").unlink()
    with pytest.raises(ModelError, match="it is packed"):
        refuse_unsafe(tmp_path, transformers=False)


@pytest.mark.parametrize("number", ["9" * 12, "9" * 5_000])
def test_a_layer_numbered_beyond_the_tensors_is_refused(number: str) -> None:
    with pytest.raises(ModelError, match="the weights number layer"):
        depth_of({f"layer.{number}.weight": torch.zeros(1)}, "layer.")


def test_loading_refuses_within_a_limit_of_memory(tmp_path: Path) -> None:
    for name, way, value in (
        ("layers", "vision_config.num_hidden_layers", 10**7),
        ("wide", "text_config.hidden_size", 99_840),
        ("code", "auto_map", {"AutoModel": "code.Model"}),
        ("good", "m2ib_note", 1),
    ):
        shutil.copytree(PHANTOM, tmp_path / name, copy_function=shutil.copyfile)
        edit(tmp_path / name / "config.json", way, value)
    names = [str(tmp_path / name) for name in ("layers", "wide", "code", "good")]
    run = subprocess.run([sys.executable, "-c", LOADER, *names], capture_output=True, text=True, check=False)
    assert [line.split()[0] for line in run.stdout.splitlines()] == ["refused"] * 3 + ["loaded"], run.stderr
