"""One run at a time on one OUT, or several shards of one run; a lock dies with the process that holds it.

flock, and not a file that merely exists: the system lets go of it when its process ends, however it ends. Network file
systems of today pass it on to their server (NFS 4, SMB), so that it holds between machines too; where one knows no
locks, the run goes on without and says so.
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


def _let_go_in_child() -> None:
    """Close what a fork has inherited: a lock lives as long as any copy of its descriptor, and a child may linger."""
    for descriptor in _open:
        os.close(descriptor)
    _open.clear()


os.register_at_fork(after_in_child=_let_go_in_child)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """Part ``number`` of ``of`` of a cohort, from 1."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read ``i/N``.

        Raises:
            AuditError: it is not of that form, or i is not one of 1 to N.
        """
        found = re.fullmatch(r"(\d+)/(\d+)", text)
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise AuditError(f"--shard {text}: give i/N with i from 1 to N, for example 2/8")
        return cls(number=int(found[1]), of=int(found[2]))

    def holds(self, key: str) -> bool:
        """Whether a study is in this part; its key is a salted hash, so the parts are of one size, and stay."""
        return int(key, 16) % self.of == self.number - 1

    def __str__(self) -> str:
        return f"{self.number}-of-{self.of}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """Tells whether OUT still belongs to the run that holds its lock; it can be sent to other processes.

    A lock dies with the process that holds it, and a process that works for it may live on, on this machine or another.
    """

    out: Path
    lock: Path
    token: str  # of this run alone; the lock's text names it

    def check(self) -> None:
        """Find out whether the run still holds OUT.

        Raises:
            OutputError: OUT is gone, or another run has begun there.
        """
        try:
            said = json.loads(self.lock.read_bytes())
        except FileNotFoundError as error:
            raise OutputError(
                f"{self.out} was removed or emptied while the run wrote there: bring it back, or give the same command "
                "again to begin from the start"
            ) from error
        except OSError as error:
            raise unwritable(self.lock, error) from error
        except ValueError:  # another run signs it at this moment
            said = {}
        if said.get("run") != self.token:
            raise OutputError(f"another run has taken over {self.out}: this one writes nothing more there")

    def kept(self) -> contextlib.AbstractContextManager[None]:
        """Have it checked before each change that this process makes in OUT."""
        return fenced(self.out, self.check)


def is_lock(name: str) -> bool:
    """Whether a file in OUT is one of the locks."""
    return name == _LOCK or _OF_SHARD.fullmatch(name) is not None


@contextmanager
def held(out: Path, shard: Shard | None = None) -> Iterator[Fence]:
    """Hold OUT, which must be there, alone; or, as a shard, beside other shards of as many.

    Gives what tells the processes that work for the holder whether it still holds OUT; in this one it is checked before
    each change of a file.

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
            os.ftruncate(descriptor, 0)  # nobody holds it alone: what stands there is of a run that was killed
            if not shared:
                _sign(descriptor, token)
        except OSError as error:
            raise unwritable(path, error) from error
        yield token
    finally:
        if descriptor in _open:  # not in a child that was forked meanwhile
            _open.discard(descriptor)
            with contextlib.suppress(OSError):  # a shared lock goes when its last holder does
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(descriptor), path.stat()):  # and not of who has made OUT again meanwhile
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
                f"{out} is in use by {_holder(out, path)}: wait for it or end it; the same command then goes on"
            ) from error
        except OSError as error:
            if error.errno not in _WITHOUT_LOCKS:
                os.close(descriptor)
                raise unwritable(path, error) from error
            _log.warning("%s lies on a file system without locks: see to it that only one run writes there", out)
            return descriptor
        try:
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except FileNotFoundError:
            pass  # whoever held it has removed it meanwhile: what we hold is no one else's lock
        os.close(descriptor)


def _forget_shards(out: Path) -> None:
    """Remove the locks of shards that were killed: none is held while OUT is held alone."""
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
    """Say who holds a lock: of a lock that shards share, one of them."""
    for lock in (path, *sorted(out.glob(f"{_LOCK}-shard-*"))):
        if not _is_held(lock):
            continue
        try:
            said = json.loads(lock.read_text(encoding="utf-8"))
            who = f"process {said['pid']} on {said['host']} since {said['since']}"
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
    """Refuse to run beside shards of another number: their parts would overlap."""
    for lock in out.glob(f"{_LOCK}-shard-*"):
        found = _OF_SHARD.fullmatch(lock.name)
        if found and int(found[2]) != shard.of and _is_held(lock):
            raise OutputError(
                f"{out} is in use by {_holder(out, lock)}: give all shards that run at the same time the same N"
            )
