"""Find a model by name, folder or hub id, and load it by what its files say."""

from collections.abc import Callable
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

from audit.encoders import clip, dual_encoder, siglip
from audit.encoders.catalogue import KNOWN, SHIPPED, find_known, info_of, only_known_hosts
from audit.encoders.folder_limits import refuse_unsafe
from audit.encoders.model_folder import read_json
from audit.encoders.open_clip import checkpoint
from audit.encoders.protocol import DualEncoder, EncoderInfo
from audit.encoders.weights import has_state_dict
from pipelines.errors import ModelError
from pipelines.geometry import Fit

__all__ = ["FAMILIES", "family_of", "load_encoder", "model_folder"]


FAMILIES: dict[str, Callable[[Path, EncoderInfo, torch.device, Fit | None], DualEncoder]] = {
    "clip": clip.load,
    "siglip": siglip.load,
    "siglip2": siglip.load_naflex,
    "vision-text-dual-encoder": dual_encoder.load,
    "open_clip": checkpoint.load,
}
"""How a model of each ``model_type`` (config.json) is loaded, and one that has an open_clip config or neither.

To add a family, write one file and add its line.
"""


def _shipped_folder(name: str) -> Path:
    return Path(__file__).parent / name


def model_folder(name: str) -> Path:
    """Return the folder with a model's files; they are fetched from the hub if they are not on this machine.

    Raises:
        ModelError: the files are not available; the message says how to get them.
    """
    if name in SHIPPED:
        return _shipped_folder(name)
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    known = find_known(name)
    if known is not None and known.hub_id is None:
        raise ModelError(f"--model {name}: its weights are on no hub; {known.how_to_get}; pass --model FOLDER")
    hub_id = name if known is None or known.hub_id is None else known.hub_id
    if hub_id.count("/") != 1 or folder.is_absolute() or name.startswith("."):
        names = ", ".join([*KNOWN, *SHIPPED])
        raise ModelError(
            f"--model {name}: no such folder, and neither a known name ({names}) nor a hub id (owner/name)"
        )
    try:
        with only_known_hosts():
            return Path(snapshot_download(hub_id))
    except RepositoryNotFoundError as error:
        raise ModelError(
            f"--model {name}: the hub has no model {hub_id}, or it needs a log-in (`hf auth login`)"
        ) from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ModelError(
            f"--model {name}: the weights of {hub_id} are not on this machine and the hub cannot be reached; "
            f"run `m2ib-audit models fetch {name} FOLDER` (or `hf download {hub_id} --local-dir FOLDER`) where there "
            "is a network, copy FOLDER here and pass --model FOLDER, or pass --model phantom to try the tool without "
            "weights"
        ) from error


def load_encoder(name: str, *, device: str | torch.device = "cpu", fit: Fit | None = Fit.LETTERBOX) -> DualEncoder:
    """Load a model by known name, folder or hub id; ``fit`` None fits images as the model's own files specify.

    Raises:
        ModelError: the files are missing, incomplete or of an unknown family.
    """
    folder = model_folder(name)
    family = family_of(folder)
    refuse_unsafe(folder, transformers=family != "open_clip")
    return FAMILIES[family](folder, info_of(name, folder, family), torch.device(device), fit)


def family_of(folder: Path) -> str:
    """Identify a model folder's family by its files.

    Some hub repositories contain files for transformers and for open_clip: those for transformers are used if complete.

    Raises:
        ModelError: no known family, or no model at all.
    """
    config = folder / "config.json"
    if config.is_file() and (_has_transformers_weights(folder) or not (folder / checkpoint.CONFIG).is_file()):
        family = str(read_json(config).get("model_type", ""))
        if family in FAMILIES:
            return family
        raise ModelError(f"{folder}: model_type {family!r} in config.json is not one of {', '.join(sorted(FAMILIES))}")
    if not (folder / checkpoint.CONFIG).is_file() and (_has_transformers_weights(folder) or not has_state_dict(folder)):
        raise ModelError(
            f"{folder}: no config.json (transformers), no {checkpoint.CONFIG} (open_clip) and no bare state dict "
            "in this model folder; copy the complete model folder"
        )
    return "open_clip"


def _has_transformers_weights(folder: Path) -> bool:
    return any(path.name.startswith(("model", "pytorch_model")) for path in folder.iterdir())
