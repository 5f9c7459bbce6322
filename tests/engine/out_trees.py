"""OUT folders compared byte for byte, but for what tells when and how fast a run went."""

import json
import re
from pathlib import Path

from audit.logbook import AUDIT_LOG, EVENT_LOG
from reports.results_folder import PAGES

_MOMENT = re.compile(rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z| UTC)?")
_STAMPS = re.compile(rb'"stamps": \[[^\]]*\]|"path_key": "[^"]*"')
_SEAL = re.compile(rb'"seal": "[0-9a-f]{64}"')
_STAGES = re.compile(rb"<h3>Time by stage</h3>.*?</dl>|<dt>Took</dt>.*?</dd>", re.DOTALL)

_DATA = re.compile(rb'(<script[^>]*id="data"[^>]*>)(.*?)(?=</script>)', re.DOTALL)


def tree_of(out: Path, *, stamps: bool = True) -> dict[str, bytes]:
    """Give the normalised contents of every file below OUT, by relative path; a folder has none.

    ``stamps=False`` leaves away what records say of where their image files lie and of their times: for inputs that the
    test has just copied.
    """
    return {
        str(path.relative_to(out)): _normalised(path, stamps=stamps) if path.is_file() else b"a folder"
        for path in sorted(out.rglob("*"))
        # The logs say what each run did, so two runs have said more than one.
        if path.name not in {AUDIT_LOG, EVENT_LOG}
    }


def pages_listed(content: bytes) -> list[str]:
    """Give the paths in a list of pages, in its order, without checksums: pages say when their study was audited."""
    lines = [line.split("  ", 1) for line in content.decode("ascii").splitlines()]
    assert all(re.fullmatch("[0-9a-f]{64}", checksum) for checksum, _ in lines)
    return [path for _, path in lines]


def _normalised(path: Path, *, stamps: bool) -> bytes:
    content = path.read_bytes()
    if not stamps and path.name == "record.json":
        content = _STAMPS.sub(b"", content)
    if path.name == "run.json":
        record = json.loads(content)
        # When the run was, how long its stages took (a resumed run has not timed what it found done), and what it found
        # in OUT: the one thing in which a resumed run must differ from an undisturbed one.
        for name in ("created", "finished", "timings", "history", "seal"):
            del record[name]
        if record.get("rescored"):
            record["rescored"] = "MOMENT"
        return json.dumps(record, indent=1).encode()
    if path.name == PAGES:
        return "\n".join(pages_listed(content)).encode()
    if path.name == "record.json":
        content = _SEAL.sub(b"", content)  # an HMAC of the record, with the moment that it was audited at
    if path.suffix in {".json", ".html"}:
        content = _MOMENT.sub(b"MOMENT", content)  # records and pages say when their study was audited
    if path.suffix == ".html":
        content = _STAGES.sub(b"STAGES", content)  # the page over all shows the timings of run.json
        content = _DATA.sub(_without_moments, content)
    return content


def _without_moments(found: re.Match[bytes]) -> bytes:
    """Take out of the page over all when each study was audited: milliseconds after the first, last in its row."""
    data = json.loads(found[2])
    if "since" in data:
        del data["since"]
        data["studies"] = [row[:-1] for row in data["studies"]]
    return found[1] + json.dumps(data).encode()
