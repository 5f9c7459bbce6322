"""The models that are known by name, and which of them this machine could load without a network."""

from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError
from rich.console import Console
from rich.table import Table

from audit.encoders.catalogue import KNOWN, SHIPPED, KnownModel

__all__ = ["ListedModel", "as_json", "list_models", "print_table"]

_SHIPPED = "shipped"
_LINE_WIDTH = 260  # holds every entry in one line
_WEIGHTS = {".safetensors", ".bin", ".pt"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedModel:
    """A known model on this machine."""

    name: str
    model: KnownModel
    cached: str  # "yes", "no", or "shipped" for what every installation holds


def list_models() -> tuple[ListedModel, ...]:
    """List the known models, the shipped ones first; nothing but the hub's local cache is asked."""
    shipped = (ListedModel(name=name, model=model, cached=_SHIPPED) for name, model in SHIPPED.items())
    known = (
        ListedModel(name=name, model=model, cached="yes" if _is_cached(model.hub_id) else "no")
        for name, model in KNOWN.items()
    )
    return (*shipped, *known)


def _is_cached(hub_id: str | None) -> bool:
    """Return True if the hub's cache contains weights of this model, not only a file of it."""
    if hub_id is None:
        return False
    try:
        folder = Path(snapshot_download(hub_id, local_files_only=True))
    except LocalEntryNotFoundError:
        return False
    return any(path.suffix in _WEIGHTS and path.is_file() for path in folder.iterdir())


def print_table(models: tuple[ListedModel, ...]) -> None:
    """Print the list in the width of the terminal or, if redirected, as one line per model."""
    terminal = Console()
    console = terminal if terminal.is_terminal else Console(width=_LINE_WIDTH)
    console.print(_table(models))


def _table(models: tuple[ListedModel, ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("name", "architecture", "licence", "gated", "cached", "terms"):
        prose = heading in {"architecture", "licence", "terms"}
        table.add_column(heading, overflow="fold", no_wrap=not prose)
    for listed in models:
        model = listed.model
        gated = "yes" if model.gated else "no"
        table.add_row(listed.name, model.architecture, model.licence, gated, listed.cached, model.terms)
    return table


def as_json(models: tuple[ListedModel, ...]) -> list[dict[str, str | bool | None]]:
    """Return the list as JSON for scripts."""
    return [
        {
            "name": listed.name,
            "hub_id": listed.model.hub_id,
            "architecture": listed.model.architecture,
            "family": listed.model.family,
            "licence": listed.model.licence,
            "gated": listed.model.gated,
            "cached": listed.cached,
            "terms": listed.model.terms,
            "how_to_get": listed.model.how_to_get,
        }
        for listed in models
    ]
