"""A lock for one run at a time in one OUT, or for several shards of one run; it ends with the process that holds it.

It is a flock, not a file whose existence counts: the system releases it when the process ends, for whatever reason.
Current network file systems pass it on to their server (NFS 4, SMB), so that it also works between machines. On a file
system without locks, the run continues without a lock and logs a warning.
"""

import contextlib
import errno
import fcntl
import json
import logging
import os
import re
import secrets
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipelines.errors import AuditError, OutputError
from reports.writing import fenced, unwritable

__all__ = ["Fence", "Shard", "held", "is_lock"]

_LOCK = ".m2ib-audit.lock"
_OF_SHARD = re.compile(r"\.m2ib-audit\.lock-shard-(\d+)-of-(\d+)")
_WITHOUT_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS}

_log = logging.getLogger(__name__)
_open: set[int] = set()  # descriptors of locks that this process holds


def _release_in_child() -> None:
    """Close inherited locks after a fork: a lock lives as long as any copy of its descriptor, also in a child."""
    for descriptor in _open:
        os.close(descriptor)
    _open.clear()


os.register_at_fork(after_in_child=_release_in_child)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """Part ``number`` of ``of`` of a cohort, counted from 1."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Parse ``i/N``.

        Raises:
            AuditError: it is malformed, or i is not one of 1 to N.
        """
        found = re.fullmatch(r"(\d+)/(\d+)", text)
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise AuditError(f"shard {text}: give i/N with i from 1 to N, for example 2/8")
        return cls(number=int(found[1]), of=int(found[2]))

    def holds(self, key: str) -> bool:
        """Return True if the study is in this part. Keys are salted hashes, so parts are stable and similar in size."""
        return int(key, 16) % self.of == self.number - 1

    def __str__(self) -> str:
        return f"{self.number}-of-{self.of}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """Checks whether OUT still belongs to the run that holds its lock; it can be sent to other processes.

    A lock ends with the process that holds it, but a worker process may survive, on this machine or another.
    """

    out: Path
    lock: Path
    token: str  # unique for this run; the lock's content names it

    def check(self) -> None:
        """Check that the run still holds OUT.

        Raises:
            OutputError: OUT has disappeared, or another run has started there.
        """
        try:
            owner = json.loads(self.lock.read_bytes())
        except FileNotFoundError as error:
            raise OutputError(
                f"{self.out} was removed or emptied while the run wrote there: restore it, or repeat the command to "
                "start from the beginning"
            ) from error
        except OSError as error:
            raise unwritable(self.lock, error) from error
        except ValueError:  # another run is writing its token at this moment
            owner = {}
        if owner.get("run") != self.token:
            raise OutputError(f"another run has taken over {self.out}: this run stops writing there")

    def kept(self) -> contextlib.AbstractContextManager[None]:
        """Check ownership before each change that this process makes in OUT."""
        return fenced(self.out, self.check)


def is_lock(name: str) -> bool:
    """Return True if a file in OUT is one of the locks."""
    return name == _LOCK or _OF_SHARD.fullmatch(name) is not None


@contextmanager
def held(out: Path, shard: Shard | None = None) -> Iterator[Fence]:
    """Hold an existing OUT exclusively, or, as a shard, together with other shards of the same N.

    Yields an object with which worker processes check whether the holder still holds OUT. In this process it is checked
    before each change of a file.

    Raises:
        OutputError: another process holds it, on this machine or another, or OUT cannot be written.
    """
    with ExitStack() as locks:
        token = locks.enter_context(_locked(out, out / _LOCK, shared=shard is not None))
        lock = out / _LOCK
        if shard is not None:
            lock = out / f"{_LOCK}-shard-{shard}"
            token = locks.enter_context(_locked(out, lock, shared=False))
            _refuse_other_division(out, shard)
        else:
            _forget_shards(out)
        fence = Fence(out=out, lock=lock, token=token)
        locks.enter_context(fence.kept())
        yield fence


@contextmanager
def _locked(out: Path, path: Path, *, shared: bool) -> Iterator[str]:
    descriptor, token = _acquire(out, path, fcntl.LOCK_SH if shared else fcntl.LOCK_EX), secrets.token_hex(8)
    _open.add(descriptor)
    try:
        try:
            os.ftruncate(descriptor, 0)  # no other process holds it: the content is from a killed run
            if not shared:
                _sign(descriptor, token)
        except OSError as error:
            raise unwritable(path, error) from error
        yield token
    finally:
        if descriptor in _open:  # not in a child that was forked meanwhile
            _open.discard(descriptor)
            with contextlib.suppress(OSError):  # the last holder of a shared lock removes it
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(descriptor), path.stat()):  # and not the lock of a recreated OUT
                    path.unlink(missing_ok=True)
            os.close(descriptor)


def _acquire(out: Path, path: Path, operation: int) -> int:
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise unwritable(path, error) from error
        try:
            fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise OutputError(
                f"{out} is in use by {_holder(out, path)}: wait for it or end it; the same command then continues"
            ) from error
        except OSError as error:
            if error.errno not in _WITHOUT_LOCKS:
                os.close(descriptor)
                raise unwritable(path, error) from error
            _log.warning("%s is on a file system without locks: make sure that only one run writes there", out)
            return descriptor
        try:
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except FileNotFoundError:
            pass  # its holder removed the file meanwhile, so our lock would not exclude others
        os.close(descriptor)


def _forget_shards(out: Path) -> None:
    """Remove the locks of killed shards: no shard holds one while OUT is held exclusively."""
    for lock in out.glob(f"{_LOCK}-shard-*"):
        try:
            lock.unlink(missing_ok=True)
        except OSError as error:
            raise unwritable(lock, error) from error


def _sign(descriptor: int, token: str) -> None:
    text = json.dumps(
        {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
            "run": token,
        }
    )
    os.pwrite(descriptor, text.encode(), 0)


def _holder(out: Path, path: Path) -> str:
    """Describe the holder of a lock; for a shared lock, one of its shards."""
    for lock in (path, *sorted(out.glob(f"{_LOCK}-shard-*"))):
        if not _is_held(lock):
            continue
        try:
            owner = json.loads(lock.read_text(encoding="utf-8"))
            who = f"process {owner['pid']} on {owner['host']} since {owner['since']}"
        except (OSError, ValueError, KeyError, TypeError):
            continue
        shard = _OF_SHARD.fullmatch(lock.name)
        return f"shard {shard[1]}/{shard[2]} of a run ({who})" if shard else f"another run ({who})"
    return "another run"


def _is_held(lock: Path) -> bool:
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def _refuse_other_division(out: Path, shard: Shard) -> None:
    """Refuse to run with shards of another N: their parts would overlap."""
    for lock in out.glob(f"{_LOCK}-shard-*"):
        found = _OF_SHARD.fullmatch(lock.name)
        if found and int(found[2]) != shard.of and _is_held(lock):
            raise OutputError(
                f"{out} is in use by {_holder(out, lock)}: give all shards that run at the same time the same N"
            )
