"""A process that has imported everything and forks a run on demand: a run then takes its own time and not torch's.

Each line on stdin has ``settings`` of a run, the ``arguments`` of a command, or what is ``pulled``; with ``out``,
``kill_at_event``, ``kill_after_seconds`` and ``kill_role``: "parent", or which of its processes.

The answer has ``signal``, ``status``, ``seconds``, ``told`` (the number of events, or an error), and ``left``: how many
processes outlived it. An event is a change of a file or folder in OUT, seen by an audit hook just before it is
made.
"""

import json
import os
import signal
import sys
import time

import psutil
from kill_targets import pulled

import audit.pacs.pushing  # noqa: F401 - imported by a command only when it is given, and then in each fork
import reports.dicom_out  # noqa: F401
from audit.cli import app
from audit.configuration import RunConfig
from audit.execution.run import run

_SECONDS_TO_END = 60.0  # a hang, on whatever machine

_CHANGES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.chmod"}


def main() -> None:
    """Answer until stdin closes."""
    for line in sys.stdin:
        asked = json.loads(line)
        reader, writer = os.pipe()
        began, started = time.monotonic(), []
        child = os.fork()
        if child == 0:
            os.close(reader)
            _run(asked, writer)
        os.close(writer)
        if asked["kill_after_seconds"] is not None:
            time.sleep(asked["kill_after_seconds"])
            started = psutil.Process(child).children(recursive=True)
            role = asked.get("kill_role", "parent")
            if role == "parent":
                os.kill(child, signal.SIGKILL)  # a zombie, if it has ended: never another process
            else:
                _kill_one(child, role)
        with os.fdopen(reader) as stream:
            told = stream.read()
        _, status = os.waitpid(child, 0)
        answer = {
            "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
            "status": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
            "told": told,
            "left": len(psutil.wait_procs(started, timeout=_SECONDS_TO_END)[1]),
            "seconds": time.monotonic() - began,
        }
        print(json.dumps(answer), flush=True)


def _kill_one(run: int, role: str) -> None:
    """Kill a process of a run by what it does, as soon as there is one: the "server", a "worker" of it, a "decoder"."""
    while True:
        try:
            parent = psutil.Process(run)
            if parent.status() == psutil.STATUS_ZOMBIE:
                return
            for each in parent.children(recursive=True):
                if _role(each, run) == role:
                    each.kill()
                    return
        except psutil.NoSuchProcess:
            continue
        time.sleep(0.01)


def _role(process: psutil.Process, run: int) -> str | None:
    command = " ".join(process.cmdline())
    if "decoder_process" in command:
        return "decoder"
    if "forkserver" in command:
        return "server" if process.ppid() == run else "worker"
    return None


def _run(asked: dict, writer: int) -> None:
    out, events = str(asked["out"]), 0

    def hook(event: str, args: tuple) -> None:
        nonlocal events
        if event == "open":
            if not args[2] & (os.O_WRONLY | os.O_RDWR):
                return
        elif event not in _CHANGES:
            return
        if str(args[0]).startswith(out):
            events += 1
            if events == asked["kill_at_event"]:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    code = 1
    try:
        code = _carry_out(asked)
    except Exception as error:  # noqa: BLE001 - told to the test
        os.write(writer, repr(error).encode())
    os.write(writer, str(events).encode())
    os._exit(code)


def _carry_out(asked: dict) -> int:
    if "arguments" in asked:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what a command prints is not an answer
        return app(asked["arguments"], standalone_mode=False) or 0
    if "pulled" in asked:
        return pulled(*asked["pulled"])
    settings = asked["settings"]
    run(RunConfig.of(index="none", **settings))
    return 0


if __name__ == "__main__":
    main()
