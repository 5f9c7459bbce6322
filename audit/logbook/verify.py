"""Checks that the audit log of an OUT is unchanged, and every file as the log states."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from audit.logbook.chain import AUDIT_LOG, GENESIS, log_key, log_lines, parsed
from audit.logbook.covering import Covered, State, cover
from audit.logbook.known import LogContent, follow
from audit.logbook.seals import Value, seal_key
from pipelines.errors import OutputError
from reports.results_folder import RUN

__all__ = ["Verification", "as_text", "entries_of", "verify"]

_LISTED_AT_MOST = 3


@dataclass(slots=True, kw_only=True)
class Verification:
    """The result; ``intact`` if nothing was changed."""

    entries: int = 0
    studies: int = 0  # number of studies whose record is as logged
    files: dict[str, State] = field(default_factory=dict)  # every file of OUT, by its path within it
    foreign: set[str] = field(default_factory=set)  # those that no run writes
    unfinished: bool = False  # a command was not completed, or the log was created when OUT already held studies
    head: str = GENESIS  # checksum of the last line, to be stored elsewhere
    wrong: list[str] = field(default_factory=list)  # a message for each change
    notes: list[str] = field(default_factory=list)  # traces of killed runs, and what could not be checked

    @property
    def intact(self) -> bool:
        """True if nothing was changed, as far as can be determined."""
        return not self.wrong


def verify(
    out: Path, salt: bytes | None, *, head: str | None = None, shown: Callable[[str], str] = str
) -> Verification:
    """Follow the chain and compare its statements with the files of OUT.

    Args:
        out: folder that a run wrote.
        salt: salt of the user who ran; None skips the HMACs, with a note.
        head: checksum of a last line that was stored elsewhere: the log must still hold that line.
        shown: replaces the name of a file that no run writes in notes, because it may be a patient's.

    Raises:
        OutputError: there is no log, or it cannot be read.
    """
    lines = _lines(out)
    whole = [line for line in lines if line.endswith(b"\n")]
    chain = follow(whole, None if salt is None else log_key(salt))
    verdict = Verification(entries=chain.entries, head=chain.head, notes=list(chain.torn), unfinished=bool(chain.torn))
    if len(whole) < len(lines):
        verdict.unfinished = True
        verdict.notes.append(
            f"the last line is torn ({len(lines[-1])} bytes): a run was killed while it wrote; the next one says so"
        )
    if chain.fault is not None:
        verdict.wrong.append(chain.fault)
    else:
        if head is not None and head not in chain.heads:
            verdict.wrong.append(f"truncated or replaced: no line has the checksum {head} that was noted")
        _compare(
            cover(out, chain.statements, None if salt is None else seal_key(salt)), chain.statements, verdict, shown
        )
    if salt is None:
        verdict.notes.append("the HMACs were not checked, because the salt is not available")
    return verdict


def _compare(covered: Covered, log: LogContent, verdict: Verification, shown: Callable[[str], str]) -> None:
    """Add what differs from the log, what the log does not cover, and what was not completed."""
    verdict.studies = covered.studies
    verdict.files = {name: state for name, (state, _) in sorted(covered.files.items())}
    verdict.foreign = covered.foreign
    for name, why in covered.of(State.CHANGED).items():
        verdict.wrong.append(f"{name} was changed since it was written" + (f" ({why})" if why else ""))
    verdict.wrong += [f"{name} is in the log, and is gone" for name in covered.of(State.MISSING)]
    if covered.unknown:
        verdict.wrong.append(
            f"truncated: {_counted(covered.unknown)} finished studies are not in the log and were not written with "
            f"this salt, the first of them {covered.unknown[0]}"
        )
    if not log.finished:
        verdict.notes.append("the last run was not completed: start it again")
    elif log.pages_open and not log.pages:
        verdict.notes.append("not all pages were written: `m2ib-audit render` writes them")
    elif RUN in verdict.files and not log.run_json:
        verdict.wrong.append("truncated: run.json exists, but the log names no completed run")
    if covered.unlogged:
        sentence = f"{_counted(covered.unlogged)} studies were written with this salt and are not in the log"
        if log.finished:
            verdict.wrong.append(f"truncated: {sentence}, the first of them {covered.unlogged[0]}")
        else:
            verdict.notes.append(f"{sentence} yet: a run was killed before it logged them, or the log was truncated")
    if log.begun_over is not None:
        verdict.notes.append(
            f"the log was created over {log.begun_over} existing studies: what was done before is unknown"
        )
    verdict.unfinished |= not log.finished or (log.pages_open and not log.pages) or log.begun_over is not None
    _tell_not_covered(covered, verdict, shown)


def _tell_not_covered(covered: Covered, verdict: Verification, shown: Callable[[str], str]) -> None:
    """List the files that the log does not cover by reason, with a few names each."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name, why in covered.of(State.NOT_COVERED).items():
        if name != AUDIT_LOG:
            groups[why].append(shown(name) if name in covered.foreign else name)
    for why, names in groups.items():
        more = f" and {len(names) - _LISTED_AT_MOST:,} more" if len(names) > _LISTED_AT_MOST else ""
        verdict.notes.append(f"not covered: {', '.join(names[:_LISTED_AT_MOST])}{more} ({why})")


def _counted(names: list[str]) -> str:
    return f"{len(names):,}"


def entries_of(out: Path) -> list[dict[str, Value] | None]:
    """Return every line of the log in order; None for a line that is not an entry.

    Raises:
        OutputError: there is no log, or it cannot be read.
    """
    return [parsed(line) for line in _lines(out)]


def _lines(out: Path) -> list[bytes]:
    try:
        return log_lines(out)
    except FileNotFoundError as error:
        raise OutputError(f"{out / AUDIT_LOG} is missing: no run has written there, or its log was removed") from error


_NOT_SHOWN = frozenset({"n", "ts", "event", "prev", "mac"})


def as_text(entry: Mapping[str, Value] | None) -> str:
    """Return number, time and event, then the values; control characters of a forged line are escaped."""
    if entry is None:
        return "     ?  (not an entry)"
    words = [f"{name}={_format(value)}" for name, value in entry.items() if name not in _NOT_SHOWN]
    line = f"{entry.get('n')!s:>6}  {entry.get('ts')!s}  {entry.get('event')!s:<18}  {' '.join(words)}".rstrip()
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in line)


def _format(value: Value) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_format(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_format, value)) + "]"
    return str(value)
