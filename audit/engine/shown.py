"""What of the inputs may be shown: names of files become keys, words of a report are masked."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from audit.engine.keys import Keys
from pipelines.study import LeftOut
from pipelines.text import mask_identifiers
from reports.record import FailureRecord, TokenHeat

__all__ = ["shown_failures", "shown_text", "shown_words"]

_MASK = re.compile(r"\[[a-z-]+\]")
_ROW = re.compile(r"(?P<path>.*?)(?P<row>(?: row \d+)?)$", re.DOTALL)


def shown_text(text: str, *, show_phi: bool) -> str:
    """A phrase as pages show it."""
    return text if show_phi else mask_identifiers(text)


def shown_words(text: str, words: Sequence[tuple[str, float]]) -> tuple[TokenHeat, ...]:
    """Lay the heat of a phrase's words on its shown text; the heat of masked words goes to their mask."""
    shown: list[TokenHeat] = []
    end = 0
    for word, nats in words:
        start = text.find(word, end)
        mask = _MASK.search(text, end)
        if start >= 0 and (mask is None or start < mask.start()):
            shown.append(TokenHeat(word=word, nats=nats))
            end = start + len(word)
        elif shown and _MASK.fullmatch(shown[-1].word) and (mask is None or text[end : mask.start()].strip()):
            shown[-1] = TokenHeat(word=shown[-1].word, nats=shown[-1].nats + nats)
        elif mask is not None:
            shown.append(TokenHeat(word=mask[0], nats=nats))
            end = mask.end()
        else:
            shown.append(TokenHeat(word="[masked]", nats=nats))
    return tuple(shown)


def shown_failures(
    left_out: Iterable[LeftOut], folders: Sequence[Path], keys: Keys, *, show_phi: bool
) -> tuple[FailureRecord, ...]:
    """List what took no part. A file's name may be a patient's: without ``show_phi`` its key stands for it."""
    listed = [_relative(item, folders) for item in left_out]
    if not show_phi:
        names = {name for item in left_out for name in _names_in(item)}
        listed = [_masked(item, names, keys) for item in listed]
    return tuple(
        FailureRecord(source=item.source, stage=item.stage, reason=item.reason, failed=item.failed) for item in listed
    )


def _path_and_row(item: LeftOut) -> tuple[Path, str]:
    found = _ROW.fullmatch(item.source)
    return (Path(found["path"]), found["row"]) if found else (Path(item.source), "")


def _names_in(item: LeftOut) -> set[str]:
    path, _ = _path_and_row(item)
    return {path.name} - {""}


def _relative(item: LeftOut, folders: Sequence[Path]) -> LeftOut:
    """Give a source from the folder that was handed in on, so that OUT does not tell where it lies."""
    path, row = _path_and_row(item)
    for folder in folders:
        if path != folder and path.is_relative_to(folder):
            return replace(item, source=f"{path.relative_to(folder)}{row}")
    return replace(item, source=f"{path.name}{row}")


def _masked(item: LeftOut, names: set[str], keys: Keys) -> LeftOut:
    path, row = _path_and_row(item)
    reason = item.reason
    for name in sorted(names, key=len, reverse=True):  # a name may be part of a longer one
        if name in reason:
            reason = re.sub(rf"\S*{re.escape(name)}", f"file-{keys.key('file', name)}", reason)
    return replace(item, source=f"file-{keys.key('file', path.name)}{row}", reason=reason)
