"""A typer application whose commands print brackets in their help, and name what replaced a removed flag."""

from collections.abc import Callable
from typing import Any, TypeVar

from rich.markup import escape
from typer import Typer
from typer.core import TyperCommand

from audit.cli.options import WRONG_USAGE, print_message

__all__ = ["Commands"]

Function = TypeVar("Function", bound=Callable[..., Any])

_NUMBERS = ("beta", "variance", "steps", "samples", "image-layer", "text-layer")
_KEYS = {
    "frames": "inputs.frames=each",
    "burned-in": "inputs.burned-in=keep",
    "index": "inputs.index=FILE",
    "no-index": "inputs.index=none",
    "precision": "model.precision=fp32",
    "compile": "model.compile=true",
    "key-list": "output.key-list=FILE",
    "engine": "execution.engine=ray",
    "slurm": "execution.slurm.shards=8",
    "workers": "execution.workers=4",
    "shard": "execution.shard=1/8",
    "retry-failed": "execution.retry-failed=true",
}


def _advice(key: str) -> str:
    path, _, value = key.partition("=")
    section, _, name = path.rpartition(".")
    return f"--set {key}, or {name} = {value if value.isdigit() else '...'} under [{section}] in the file of --config"


_REMOVED = {
    **{f"--{name}": _advice(f"all.{name.replace('-', '_')}=3") for name in _NUMBERS},
    **{f"--{name}": _advice(key) for name, key in _KEYS.items()},
}
_RENAMED = {
    ("evaluate", "--samples"): "--pairs",
    ("evaluate", "--noise-samples"): _advice("all.samples=3"),
    ("sanity", "--pairs"): "--phrases",
    **dict.fromkeys([("demo", "--studies"), ("commission", "--studies"), ("roar", "--n")], "--phantoms"),
    **dict.fromkeys([("make", "--n"), ("evaluate", "--n")], "--phantoms"),
    **dict.fromkeys([("pull", "--config"), ("push", "--config")], "--pacs-config"),
    ("push", "--no-index"): "--index none",
    ("baselines", "--format"): "--boxes-format",
    ("train", "--kind"): "--encoder",
}


class _Command(TyperCommand):
    """One command."""

    def __init__(self, name: str | None, **rest: Any) -> None:
        super().__init__(name, **rest)
        self.help = None if self.help is None else escape(self.help)
        for parameter in self.params:
            text = getattr(parameter, "help", None)
            if text is not None:
                parameter.help = escape(text)  # type: ignore[attr-defined] # arguments and options of typer have one

    # typer's own Context is private in some versions and click's in others: hence Any.
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse a flag of an earlier version and name its replacement."""
        own = {name for parameter in self.params for name in (*parameter.opts, *parameter.secondary_opts)}
        for word in args[: args.index("--")] if "--" in args else args:
            flag = word.partition("=")[0]
            instead = _RENAMED.get((self.name or "", flag)) or (_REMOVED.get(flag) if "--set" in own else None)
            if instead is not None and flag not in own:
                print_message(
                    f"m2ib-audit: {flag} was removed from {ctx.command_path.partition(' ')[2]}: use {instead}"
                )
                ctx.exit(WRONG_USAGE)
        return super().parse_args(ctx, args)


class Commands(Typer):
    """A typer application of such commands."""

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Function], Function]:
        """Register a function as a command."""
        return super().command(name, **{"cls": _Command, **settings})
