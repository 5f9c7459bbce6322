"""The list of known models: nothing is supposed, and what is cached is seen without a network."""

import json
import shutil
from pathlib import Path

import pytest
from huggingface_hub import constants
from typer.testing import CliRunner

from audit.cli import app
from audit.encoders.catalogue import KNOWN, SHIPPED
from audit.encoders.loading import FAMILIES, load_encoder, model_folder
from audit.models.listing import list_models
from pipelines.errors import ModelError


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path) -> Path:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def put_into(cache: Path, hub_id: str, *names: str, content_of: Path | None = None) -> None:
    """Lay files into the hub's cache as its own library does."""
    folder = cache / f"models--{hub_id.replace('/', '--')}"
    snapshot = folder / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("a" * 40)
    for name in names:
        (snapshot / name).write_bytes(b"content" if content_of is None else (content_of / name).read_bytes())


def cached() -> dict[str, str]:
    return {listed.name: listed.cached for listed in list_models()}


def test_every_known_model_and_the_shipped_ones_are_listed_once():
    shipped = ["phantom", *(f"phantom-{fault}" for fault in ("ungrounded", "shortcut", "image-blind", "habit"))]
    assert [listed.name for listed in list_models()] == [*shipped, *KNOWN]


def test_an_empty_cache_holds_none_but_the_shipped_ones_are_there():
    assert cached() == {**dict.fromkeys(SHIPPED, "shipped"), **dict.fromkeys(KNOWN, "no")}


def test_weights_in_the_hubs_cache_are_seen_without_a_network(cache):
    put_into(cache, KNOWN["biomedclip"].hub_id, "open_clip_config.json", "open_clip_pytorch_model.bin")
    assert cached() == {**dict.fromkeys(SHIPPED, "shipped"), **dict.fromkeys(KNOWN, "no"), "biomedclip": "yes"}


@pytest.mark.parametrize("name", ["biomedclip", KNOWN["biomedclip"].hub_id])
def test_a_cached_model_loads_with_its_terms_by_name_and_by_hub_id(cache, name):
    tiny = Path(__file__).parents[1] / "encoders" / "biomedclip-tiny"
    put_into(cache, KNOWN["biomedclip"].hub_id, *(path.name for path in tiny.iterdir()), content_of=tiny)
    info = load_encoder(name).info
    assert (info.source, info.terms) == (KNOWN["biomedclip"].hub_id, KNOWN["biomedclip"].terms)


def test_a_folder_that_bears_a_known_name_is_not_taken_for_that_model(monkeypatch, tmp_path):
    shutil.copytree(model_folder("phantom"), tmp_path / "chexzero")
    monkeypatch.chdir(tmp_path)
    info = load_encoder("chexzero").info
    assert (info.source, info.terms) == ("chexzero", load_encoder("phantom").info.terms)


def test_a_known_model_that_is_on_no_hub_is_refused_with_how_it_is_had():
    with pytest.raises(ModelError, match=r"--model chexzero: its weights are on no hub; take one checkpoint"):
        load_encoder("chexzero")


def test_a_card_without_weights_in_the_cache_is_not_the_model(cache):
    put_into(cache, KNOWN["clip"].hub_id, "README.md", "config.json")
    assert cached()["clip"] == "no"


@pytest.mark.parametrize("listed", list_models(), ids=lambda listed: listed.name)
def test_every_entry_says_what_it_is_and_how_it_is_had(listed):
    model = listed.model
    assert model.family in FAMILIES
    assert all((model.architecture, model.licence, model.terms, model.how_to_get))
    assert "\n" not in model.terms + model.how_to_get
    assert model.hub_id is None or model.hub_id in model.how_to_get
    assert not model.gated or "accept the terms" in model.how_to_get


def test_what_is_listed_of_the_shipped_model_is_what_its_folder_says():
    shipped, encoder = list_models()[0].model, load_encoder("phantom")
    assert (shipped.family, shipped.terms) == (encoder.info.family, encoder.info.terms)
    assert f"{encoder.preprocessing.size} px" in shipped.architecture
    assert f"context {encoder.text.context}" in shipped.architecture
    assert f"of {encoder.image.depth} blocks" in shipped.architecture


def test_biomedclips_terms_say_that_deployed_use_is_out_of_scope():
    assert "any deployed use case is out of scope" in KNOWN["biomedclip"].terms


@pytest.mark.parametrize("words", [["models"], ["models", "list"]], ids=["without a command", "list"])
def test_the_command_prints_a_line_a_model_where_it_goes_to_a_file(words):
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    heading, *lines = result.stdout.splitlines()
    assert heading.split() == ["name", "architecture", "licence", "gated", "cached", "terms"]
    assert [line.split()[0] for line in lines] == [*SHIPPED, *KNOWN]
    for line, model in zip(lines, (*SHIPPED.values(), *KNOWN.values()), strict=True):
        assert model.terms in line


def test_the_command_gives_json_for_scripts(cache):
    put_into(cache, KNOWN["siglip"].hub_id, "config.json", "model.safetensors")
    result = CliRunner().invoke(app, ["models", "--json"])
    entries = {entry["name"]: entry for entry in json.loads(result.stdout)}
    assert entries["siglip"]["cached"] == "yes"
    assert entries["medsiglip"]["gated"] is True
    assert entries["chexzero"]["hub_id"] is None


@pytest.mark.parametrize("command", [["models"], ["models", "list"], ["models", "fetch"], ["models", "check"]])
def test_every_command_has_help(command):
    result = CliRunner().invoke(app, [*command, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.stdout
