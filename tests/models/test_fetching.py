"""Fetching a model from a hub on loopback: what comes, what does not, and what is refused."""

import json
import shutil
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants, get_session
from transformers import VisionTextDualEncoderModel
from typer.testing import CliRunner

from audit.cli import app
from audit.encoders.catalogue import KNOWN, only_known_hosts
from audit.encoders.loading import load_encoder, model_folder
from audit.models.fetching import as_lines, fetch
from pipelines.errors import ModelError, OutputError

BIOMEDCLIP = Path(__file__).parents[1] / "encoders" / "biomedclip-tiny"
PHANTOM = model_folder("phantom")
OTHER_FORMATS = {
    "flax_model.msgpack": b"flax",
    "tf_model.h5": b"tensorflow",
    "pytorch_model.bin": b"pickle",
    "onnx/model.onnx": b"onnx",
    "onnx/config.json": b"{}",
    ".gitattributes": b"*.bin filter=lfs",
    "output.jpeg": b"a figure",
}
PIXELS = torch.rand(1, 3, 160, 160, generator=torch.Generator().manual_seed(3))


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def told(_line: str) -> None:
    """Take a line of progress."""


@pytest.fixture
def target(tmp_path) -> Path:
    return tmp_path / "fetched" / "model"


def test_a_fetched_folder_loads_and_embeds_as_the_original(hub, target):
    hub.add("owner/model", files_of(PHANTOM) | OTHER_FORMATS, licence="apache-2.0")
    fetch("owner/model", target, on_message=told)
    fetched, original = load_encoder(str(target)), load_encoder("phantom")
    torch.testing.assert_close(fetched.image.forward(PIXELS), original.image.forward(PIXELS), rtol=0, atol=0)
    tokens = original.text.tokenise(["Left pleural effusion."])
    torch.testing.assert_close(fetched.text.forward(tokens), original.text.forward(tokens), rtol=0, atol=0)


def test_a_fetched_folder_holds_the_needed_files_themselves_and_nothing_else(hub, target):
    hub.add("owner/model", files_of(PHANTOM) | OTHER_FORMATS)
    fetched = fetch("owner/model", target, on_message=told)
    assert {path.name for path in target.iterdir()} == set(files_of(PHANTOM))
    assert not any(path.is_symlink() for path in target.iterdir())
    assert (target / "model.safetensors").read_bytes() == (PHANTOM / "model.safetensors").read_bytes()
    assert dict(fetched.files) == {path.name: path.stat().st_size for path in target.iterdir()}
    assert not set(OTHER_FORMATS) & set(hub.sent)


def test_weights_in_several_shards_are_fetched_whole(hub, target, tmp_path):
    VisionTextDualEncoderModel.from_pretrained(PHANTOM).save_pretrained(tmp_path / "shards", max_shard_size="1MB")
    shards = files_of(tmp_path / "shards")
    assert len([name for name in shards if "-of-" in name]) > 2
    rest = {name: content for name, content in files_of(PHANTOM).items() if name != "model.safetensors"}
    hub.add("owner/model", rest | shards | OTHER_FORMATS)
    fetch("owner/model", target, on_message=told)
    assert {name for name in shards if "-of-" in name} <= set(files_of(target))
    assert "pytorch_model.bin" not in files_of(target)
    torch.testing.assert_close(
        load_encoder(str(target)).image.forward(PIXELS), load_encoder("phantom").image.forward(PIXELS)
    )


def test_a_known_name_brings_its_terms_into_the_folder(hub, target):
    example = {"example_data/film.png": b"png", "biomed_clip_example.ipynb": b"{}", "README.md": b"the card"}
    hub.add(KNOWN["biomedclip"].hub_id, files_of(BIOMEDCLIP) | example)
    fetched = fetch("biomedclip", target, on_message=told)
    info = load_encoder(str(target)).info
    assert fetched.family == info.family == "open_clip"
    assert "any deployed use case is out of scope" in info.terms
    assert info.terms == fetched.terms
    expected = {"open_clip_config.json", "open_clip_pytorch_model.bin", "tokenizer.json", "tokenizer_config.json"}
    assert set(files_of(target)) == expected | {"vocab.txt", "README.md", "m2ib_audit.json"}


def test_the_folder_notes_its_source_and_commit(hub, target):
    hub.add("owner/model", files_of(PHANTOM))
    fetch("owner/model", target, revision="v1", on_message=told)
    noted = json.loads((target / "m2ib_audit.json").read_text())
    assert (noted["source"], noted["revision"]) == ("owner/model", hub.repositories["owner/model"].commit)


def test_what_a_repository_says_of_its_layers_and_terms_is_kept(hub, target):
    hub.add("owner/model", files_of(PHANTOM))
    fetch("owner/model", target, on_message=told)
    own, noted = (json.loads((folder / "m2ib_audit.json").read_text()) for folder in (PHANTOM, target))
    assert noted == own | {"source": "owner/model", "revision": hub.repositories["owner/model"].commit}


@pytest.mark.parametrize(
    ("licence", "terms"),
    [
        pytest.param("apache-2.0", "licence apache-2.0 according to its card", id="one"),
        pytest.param(["mit", "apache-2.0"], "licence mit, apache-2.0 according to its card", id="two"),
        pytest.param(None, "no licence stated: see its card", id="none"),
    ],
)
def test_the_terms_of_an_unknown_model_are_what_its_card_states(hub, target, licence, terms):
    files = files_of(PHANTOM)
    del files["m2ib_audit.json"]
    hub.add("owner/model", files, licence=licence)
    assert fetch("owner/model", target, on_message=told).terms == terms
    assert load_encoder(str(target)).info.terms == terms


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_fetch_that_was_cut_short_is_taken_up_where_it_stopped(hub, target):
    repository = hub.add("owner/model", files_of(PHANTOM), cut_short={"model.safetensors"})
    with pytest.raises(ModelError, match=r"owner/model: cannot reach the hub"):
        fetch("owner/model", target, on_message=told)
    assert not (target / "model.safetensors").exists()
    assert (target / "tokenizer.json").exists()
    repository.cut_short.clear()
    hub.sent.clear()
    fetch("owner/model", target, on_message=told)
    assert hub.sent.count("model.safetensors") == 1
    assert "tokenizer.json" not in hub.sent
    assert load_encoder(str(target)).info.sha256 == load_encoder("phantom").info.sha256


def test_fetching_what_is_there_brings_no_weights_again(hub, target):
    hub.add("owner/model", files_of(PHANTOM))
    first = fetch("owner/model", target, on_message=told)
    hub.sent.clear()
    assert fetch("owner/model", target, on_message=told) == first
    assert set(hub.sent) <= {"config.json"}


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_a_file_that_was_changed_in_the_folder_is_brought_again(hub, target, name):
    hub.add("owner/model", files_of(PHANTOM))
    fetch("owner/model", target, on_message=told)
    content = bytearray((target / name).read_bytes())
    content[-3] ^= 1
    (target / name).write_bytes(content)
    fetch("owner/model", target, on_message=told)
    assert (target / name).read_bytes() == (PHANTOM / name).read_bytes()


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_a_file_that_comes_damaged_is_refused_and_not_left(hub, target, name):
    hub.add("owner/model", files_of(PHANTOM), damaged={name})
    with pytest.raises(ModelError, match=r"what came is not what owner/model states; run the same command again"):
        fetch("owner/model", target, on_message=told)
    assert not (target / name).exists()


def test_a_folder_that_holds_something_else_is_refused_and_left_as_it_was(hub, target):
    hub.add("owner/model", files_of(PHANTOM))
    target.mkdir(parents=True)
    (target / "letter.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"is not empty and holds something else; give a new or empty folder"):
        fetch("owner/model", target, on_message=told)
    assert files_of(target) == {"letter.txt": b"mine"}
    assert not hub.sent


def test_a_folder_of_another_model_is_refused(hub, target):
    hub.add("owner/model", files_of(PHANTOM))
    hub.add("owner/other", files_of(PHANTOM))
    fetch("owner/model", target, on_message=told)
    with pytest.raises(OutputError, match=r"holds a model from owner/model; give a new or empty folder"):
        fetch("owner/other", target, on_message=told)


def test_two_revisions_are_never_mixed(hub, target):
    repository = hub.add("owner/model", files_of(PHANTOM))
    fetch("owner/model", target, on_message=told)
    first, repository.commit = repository.commit, "f" * 40
    with pytest.raises(OutputError, match=rf"it holds revision {first}.*pass --revision {first}"):
        fetch("owner/model", target, on_message=told)


def test_a_file_in_the_folders_place_is_refused(hub, tmp_path):
    hub.add("owner/model", files_of(PHANTOM))
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(OutputError, match=r"this is a file; give a new or empty folder"):
        fetch("owner/model", tmp_path / "taken", on_message=told)


def test_a_folder_that_cannot_be_made_is_refused_in_a_sentence(hub, tmp_path):
    hub.add("owner/model", files_of(PHANTOM))
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(OutputError, match=r"cannot be written \(Not a directory\)"):
        fetch("owner/model", tmp_path / "taken" / "below", on_message=told)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        pytest.param(
            {"config.json": b'{"model_type": "llama"}', "model.safetensors": b"gigabytes"},
            r"^owner/model: model_type 'llama' in config.json is not one of",
            id="of another family",
        ),
        pytest.param({"README.md": b"words"}, r"^owner/model: no config.json", id="no model at all"),
        pytest.param(
            {"config.json": b'{"model_type": "clip"}', "tf_model.h5": b"gigabytes"},
            r"^owner/model: no weights in this model folder; one of model.safetensors",
            id="weights of TensorFlow alone",
        ),
        pytest.param(
            {"config.json": b'{"model_type": "clip"}', "model.safetensors.index.json": b"{}"},
            r"^owner/model: model.safetensors.index.json names shards of weights",
            id="an index without its shards",
        ),
        pytest.param({"config.json": b"[]"}, r"config.json: a JSON object is needed", id="a config that is none"),
    ],
)
def test_what_cannot_be_read_is_refused_before_its_weights_come(hub, target, files, message):
    hub.add("owner/model", files)
    with pytest.raises(ModelError, match=message):
        fetch("owner/model", target, on_message=told)
    assert set(hub.sent) <= {"config.json"}
    assert not target.exists()


def test_names_that_lead_out_of_the_folder_are_not_followed(hub, target):
    hub.add("owner/model", files_of(PHANTOM) | {"../config.json": b"evil", "/etc/vocab.txt": b"evil", "..": b"evil"})
    fetch("owner/model", target, on_message=told)
    assert list(target.parent.iterdir()) == [target]
    assert set(files_of(target)) == set(files_of(PHANTOM))


class Elsewhere(BaseHTTPRequestHandler):
    """A host that is not the hub's, and takes note of who asks it for what."""

    def log_message(self, *_args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.server.asked.append(dict(self.headers))
        content = (PHANTOM / "model.safetensors").read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_HEAD(self) -> None:
        self.do_GET()


@pytest.fixture
def elsewhere():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_redirect_to_another_host_is_not_followed(hub, target, elsewhere):
    repository = hub.add("anyone/phantom", PHANTOM)
    repository.elsewhere["model.safetensors"] = f"http://localhost:{elsewhere.server_port}/weights"
    with pytest.raises(
        ModelError, match=r"leads to http://localhost:\d+, which is not a host of the hub.*M2IB_AUDIT_HUB"
    ):
        fetch("anyone/phantom", target, endpoint=hub.endpoint, on_message=told)
    assert elsewhere.asked == []


@pytest.mark.parametrize("address", ["file:///etc/hostname", "https://huggingface.co.evil.example/weights"])
def test_an_address_that_only_looks_like_the_hubs_is_not_followed(hub, target, address):
    hub.add("anyone/phantom", PHANTOM).elsewhere["model.safetensors"] = address
    with pytest.raises(ModelError, match="which is not a host of the hub"):
        fetch("anyone/phantom", target, endpoint=hub.endpoint, on_message=told)


def test_the_hubs_other_hosts_and_those_that_the_user_names_are_reached_without_credentials(hub, monkeypatch):
    monkeypatch.setenv("M2IB_AUDIT_HUB_HOSTS", "files.hospital.example")
    with only_known_hosts(hub.endpoint):
        *_, check = get_session().event_hooks["request"]
        for address in (
            "https://cdn-lfs.hf.co/a",
            "https://us.cdn.huggingface.co/a",
            "https://files.hospital.example/a",
        ):
            request = get_session().build_request("GET", address, headers={"authorization": "Bearer secret"})
            check(request)
            assert "authorization" not in request.headers
        own = get_session().build_request("GET", f"{hub.endpoint}/a", headers={"authorization": "Bearer secret"})
        check(own)
        assert own.headers["authorization"] == "Bearer secret"
    assert check not in get_session().event_hooks["request"]


def test_a_gated_model_is_refused_with_the_way_in(hub, target):
    hub.add(KNOWN["medsiglip"].hub_id, files_of(PHANTOM), gated=True)
    with pytest.raises(
        ModelError, match=r"gated; accept its terms on https://huggingface.co/google/medsiglip-448, run"
    ):
        fetch("medsiglip", target, on_message=told)
    assert not target.exists()


def test_a_model_that_the_hub_has_not_is_refused(hub, target):
    with pytest.raises(ModelError, match=r"^owner/nothing: the hub has no such model, or it is private"):
        fetch("owner/nothing", target, on_message=told)


def test_a_revision_that_is_not_there_is_refused(hub, target):
    hub.add("owner/model", files_of(PHANTOM))
    with pytest.raises(ModelError, match=r"there is no revision v9"):
        fetch("owner/model", target, revision="v9", on_message=told)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("medclip", r"neither a known name \(biomedclip, .*\) nor a hub id", id="unknown"),
        pytest.param("./model", r"neither a known name", id="a path"),
        pytest.param("owner/a b", r"owner/a b: this is not a hub id", id="no hub id"),
        pytest.param("phantom", r"it is part of this installation; pass --model phantom", id="shipped"),
        pytest.param("chexzero", r"its weights are on no hub; take one checkpoint", id="on no hub"),
    ],
)
def test_a_name_that_cannot_be_fetched_is_refused_with_the_mend(hub, target, name, message):
    with pytest.raises(ModelError, match=message):
        fetch(name, target, on_message=told)
    assert not target.exists()


def test_without_a_network_the_message_says_how_to_bring_the_folder(hub, target):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(ModelError, match=r"cannot reach the hub .*fetch where there is a network and copy"):
        fetch("biomedclip", target, endpoint=nobody, on_message=told)


def test_where_the_hub_is_switched_off_the_message_names_the_switch(hub, target, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=r"the hub is switched off here \(HF_HUB_OFFLINE\)"):
        fetch("biomedclip", target, on_message=told)


def test_the_command_prints_files_sizes_terms_and_what_comes_next(hub, target):
    hub.add("owner/model", files_of(PHANTOM))
    result = CliRunner().invoke(app, ["models", "fetch", "owner/model", str(target)])
    assert result.exit_code == 0, result.output
    printed = result.stdout
    assert f"{(PHANTOM / 'model.safetensors').stat().st_size:,} bytes" in printed
    assert "terms     Apache-2.0; trained on synthetic radiographs only" in printed
    assert printed.rstrip().endswith(f"next      m2ib-audit models check {target}")


def test_the_command_ends_in_one_line_and_status_1_where_it_could_not(hub, target):
    result = CliRunner().invoke(app, ["models", "fetch", "chexzero", str(target)])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("m2ib-audit: chexzero: ")
    assert result.stderr.count("\n") == 1


def test_every_line_of_the_summary_stays_aligned(hub, target):
    hub.add("owner/model", files_of(PHANTOM))
    lines = [line for line in as_lines(fetch("owner/model", target, on_message=told)) if line.endswith("bytes")]
    assert len({len(line) for line in lines}) == 1
    shutil.rmtree(target)
