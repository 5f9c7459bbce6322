"""A process that has imported everything and forks a run on demand: a run then takes its own time and not torch's.

Each line on stdin has ``settings``, ``kill_at_event`` and ``kill_after_seconds``; the answer has ``signal``,
``status``, ``seconds`` and ``told``, which is the number of events or an error. An event is a change of a file or
folder in OUT, seen by an audit hook just before it is made.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from audit.engine.run import run
from audit.engine.settings import RunSettings

_CHANGES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.chmod"}


def main() -> None:
    """Answer until stdin closes."""
    for line in sys.stdin:
        asked = json.loads(line)
        reader, writer = os.pipe()
        began = time.monotonic()
        child = os.fork()
        if child == 0:
            os.close(reader)
            _run(asked, writer)
        os.close(writer)
        if asked["kill_after_seconds"] is not None:
            time.sleep(asked["kill_after_seconds"])
            os.kill(child, signal.SIGKILL)  # a zombie, if it has ended: never another process
        with os.fdopen(reader) as stream:
            told = stream.read()
        _, status = os.waitpid(child, 0)
        answer = {
            "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
            "status": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
            "told": told,
            "seconds": time.monotonic() - began,
        }
        print(json.dumps(answer), flush=True)


def _run(asked: dict, writer: int) -> None:
    paths = {name: Path(value) for name, value in asked["settings"].items() if name in {"dicom_dir", "reports", "out"}}
    boxes = (Path(asked["settings"]["boxes"]),)
    out, events = str(paths["out"]), 0

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
        run(RunSettings(**asked["settings"] | paths | {"boxes": boxes}))
        code = 0
    except Exception as error:  # noqa: BLE001 - told to the test
        os.write(writer, repr(error).encode())
    os.write(writer, str(events).encode())
    os._exit(code)


if __name__ == "__main__":
    main()
