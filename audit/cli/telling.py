"""How commands say on stderr what is wrong with the inputs: by name on a terminal, by key elsewhere."""

import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from audit.cli.options import tell

if TYPE_CHECKING:
    from audit.privacy.messages import Told

__all__ = ["NAMES_VARIABLE", "at_the_keyboard", "tell_what_is_wrong"]

NAMES_VARIABLE = "M2IB_AUDIT_NAMES"

_HOW = (
    "file-... and label-... stand for names, which may be a patient's: they are shown where stderr is a terminal, or "
    f"with {NAMES_VARIABLE}=show; `m2ib-audit key FOLDER --find KEY` tells a file's"
)


def at_the_keyboard() -> bool:
    """Say whether stderr is read by who owns the files: it is a terminal, or ``M2IB_AUDIT_NAMES`` is ``show``.

    What is redirected ends in logs: of a batch system, of a container, of a scheduler. With ``hide`` a terminal gets
    keys too.
    """
    said = os.environ.get(NAMES_VARIABLE, "").casefold()
    return said == "show" if said in {"show", "hide"} else sys.stderr.isatty()


def tell_what_is_wrong(told: Sequence["Told"], *, most: int | None = None, things: str = "") -> None:
    """List what is wrong, a line each and ``most`` of the ``things`` at most, and what the keys in it stand for."""
    named = at_the_keyboard()
    lines = [each.to_owner if named else each.masked for each in told]
    for line in lines[:most]:
        tell(f"  {line}")
    if most is not None and len(lines) > most:
        tell(f"  and {len(lines) - most:,} more {things}".rstrip())
    if _hold_keys(lines[:most]):
        tell(_HOW)


def _hold_keys(lines: Iterable[str]) -> bool:
    return any(key in line for line in lines for key in ("file-", "label-"))
