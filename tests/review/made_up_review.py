"""An OUT to review, entries on its heats, and clients that speak to a real server over it."""

import json
import subprocess
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from made_up_cohort import make_cohort
from made_up_records import EFFUSION, FLAT, HEART, NODULE, Claim, MadeUp, make_study
from playwright.sync_api import Page

from reports.results_folder import read_run, render_pages

ROOT = Path(__file__).parents[2]
REVIEWERS = ("Ada", "Ben")


def lay_down(out: Path, *studies: MadeUp) -> Path:
    """Write an OUT of these studies as a run does, with its pages."""
    for made in studies:
        folder = out / "studies" / made.record.key
        folder.mkdir(parents=True)
        for name, png in made.pictures.items():
            (folder / name).write_bytes(png)
        np.savez_compressed(folder / "heat.npz", **{name: heat.astype(np.float16) for name, heat in made.heats.items()})
        (folder / "record.json").write_text(made.record.model_dump_json(), encoding="utf-8")
    (out / "run.json").write_text(make_cohort(0).run.model_dump_json(), encoding="utf-8")
    render_pages(out, read_run(out))
    return out


def three_studies() -> tuple[MadeUp, ...]:
    """One of two images, one of a single phrase, one of four phrases."""
    return (
        make_study("a" * 16, (EFFUSION, NODULE), (HEART,), patient="p1"),
        make_study("b" * 16, (EFFUSION,), seed=3, patient="p2"),
        make_study("c" * 16, (EFFUSION, NODULE, HEART, FLAT), seed=5, patient="p3"),
    )


def two_sided_study() -> MadeUp:
    """A left and a right effusion, each with its phrase and its box, and a phrase of both."""
    left = Claim(text="Left effusion.", side="left", heat_at=(0.7, 0.7), boxes=((0.64, 0.64, 0.24, 0.22),))
    both = Claim(text="Effusions.", side=None, zone=None, boxes=())
    return make_study("d" * 16, (left, replace(EFFUSION, text="Right effusion."), both), patient="p4")


@dataclass
class Answer:
    """What the server said."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict:
        return json.loads(self.body)


@dataclass
class Client:
    """Speaks to a server as one browser does, and as no browser would where a test says so."""

    port: int
    cookie: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def ask(
        self, path: str, *, method: str = "GET", body: object = None, raw: bytes | None = None, **headers: str
    ) -> Answer:
        sent = {"Host": f"127.0.0.1:{self.port}"}
        if body is not None or raw is not None:
            sent |= {"Content-Type": "application/json", "Origin": f"http://127.0.0.1:{self.port}"}
        if self.cookie is not None:
            sent["Cookie"] = self.cookie
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            content = raw if body is None else json.dumps(body).encode()
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in sent.items():
                if value:
                    connection.putheader(name, value)
            if content is not None and "Transfer-Encoding" not in sent:
                connection.putheader("Content-Length", str(len(content)))
            connection.endheaders(content)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())
        finally:
            connection.close()

    def enter(self, address: str) -> Answer:
        parts = urlsplit(address)
        answer = self.ask(f"{parts.path}?{parts.query}")
        if "set-cookie" in answer.headers:
            self.cookie = answer.headers["set-cookie"].partition(";")[0]
        return answer

    def post(self, entry: dict, **headers: str) -> Answer:
        return self.ask("/api/entries", method="POST", body=entry, **headers)


@dataclass
class Server:
    """A running ``m2ib-audit review``."""

    process: subprocess.Popen | None  # None: it runs in this one
    addresses: dict[str, str]  # by reviewer
    warnings: list[str] = field(default_factory=list)  # told beside the pages; of a server in this process

    @property
    def port(self) -> int:
        return urlsplit(next(iter(self.addresses.values()))).port

    def client(self, reviewer: str = "Ada") -> Client:
        client = Client(self.port)
        assert client.enter(self.addresses[reviewer]).status == 200
        return client


def entry_of(made: MadeUp, number: int = 0, place: int = 0, image: int = 0, **changes: object) -> dict:
    """An entry as a page sends it; ``number`` makes its id."""
    record = made.record.images[image]
    return {
        "id": f"{number:032x}",
        "subject": {
            "study": made.record.key,
            "audited": made.record.created.isoformat(),
            "image": record.key,
            "heat": record.phrases[place].heat,
        },
        "reviewer": "Ada",
        "moment": "2026-03-05T10:00:00+00:00",
        "verdict": "agree",
        "reasons": [],
        "comment": "",
        "boxes": [],
        "replaces": None,
    } | changes


def ready(page: Page) -> None:
    """Wait until a study's page has read what was said."""
    page.wait_for_selector("body[data-review-ready]", state="attached")
