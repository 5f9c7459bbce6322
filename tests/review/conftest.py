"""An OUT to review and a real server on loopback over it."""

import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import uvicorn
from browser_store import begin_with_initials, empty
from made_up_review import REVIEWERS, ROOT, Server, lay_down, ready, three_studies
from playwright.sync_api import BrowserContext, Page

from audit.review.app import Review, make_app
from audit.review.guard import ENTRY, Sessions
from audit.review.ledger import LEDGER_NAME, Ledger
from audit.review.serving import Watched, server_config
from audit.review.studies import ReviewedStudies

OWN = re.compile(r"(?:http://127\.0\.0\.1:\d+/|file:|data:|blob:)")

Starter = Callable[..., Server]


@pytest.fixture(scope="session")
def finished_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An OUT of three studies, to be copied."""
    folder = tmp_path_factory.mktemp("finished") / "out"
    folder.mkdir()
    return lay_down(folder, *three_studies())


@pytest.fixture
def out(finished_out: Path, tmp_path: Path) -> Path:
    """An OUT of three studies."""
    return Path(shutil.copytree(finished_out, tmp_path / "out"))


@pytest.fixture
def serve_here() -> Iterator[Starter]:
    """Start servers in this process: they are there at once, where a process of their own takes seconds."""
    started: list[tuple[uvicorn.Server, threading.Thread, Ledger]] = []
    warnings_told: list[str] = []

    def start(
        out: Path, *, reviewers: tuple[str, ...] = REVIEWERS, blind: bool = False, hide_scores: bool = False
    ) -> Server:
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        ledger, sessions = Ledger(out / LEDGER_NAME), Sessions(reviewers)
        review = Review(
            out=out,
            ledger=ledger,
            studies=ReviewedStudies(out),
            sessions=sessions,
            blind=blind,
            hide_scores=hide_scores,
            clock=lambda: datetime.now(UTC),
            warn=warnings_told.append,
        )
        server = uvicorn.Server(server_config(Watched(make_app(review, port=port))))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        started.append((server, thread, ledger))
        tokens = sessions.lasting_tokens().items()
        addresses = {name: f"http://127.0.0.1:{port}{ENTRY}?token={token}" for name, token in tokens}
        return Server(None, addresses, warnings_told)

    yield start
    for server, thread, ledger in started:
        server.should_exit = True
        thread.join()
        ledger.close()


@pytest.fixture(scope="module")
def start_server() -> Iterator[Starter]:
    """Start servers that end by themselves when a test forgets them."""
    running: list[subprocess.Popen] = []

    def start(out: Path, *options: str, reviewers: tuple[str, ...] = REVIEWERS) -> Server:
        names = [word for name in reviewers for word in ("--reviewer", name)]
        command = [sys.executable, "-m", "audit.cli", "review", str(out), "--no-browser", "--idle-minutes", "30"]
        process = subprocess.Popen([*command, *names, *options], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        running.append(process)
        addresses = {}
        for _ in reviewers:
            name, _, address = process.stdout.readline().strip().partition(": ")
            addresses[name] = address
        return Server(process, addresses)

    yield start
    for process in running:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture(scope="session")
def context_for(new_context: Callable[..., BrowserContext]) -> Callable[..., BrowserContext]:
    """Contexts by reviewer and options: one costs more than a page, and cookies bear the port of their server."""
    contexts: dict[str, BrowserContext] = {}

    def find(name: str, **options: object) -> BrowserContext:
        settings = {"viewport": {"width": 1400, "height": 900}} | options
        key = f"{name} {settings}"
        if key not in contexts:
            contexts[key] = new_context(**settings)
        return contexts[key]

    return find


@pytest.fixture
def browser_name(context_for: Callable[..., BrowserContext], tmp_path: Path) -> str:
    """A browser that keeps nothing yet of pages from disk: the same for all tests, emptied."""
    name = "disk, emptied"
    blank = context_for(name, offline=True).pages[0]
    if blank.url == "about:blank":
        (tmp_path / "blank.html").write_text("<!doctype html><title>blank</title>")
        blank.goto((tmp_path / "blank.html").as_uri())
    empty(blank)
    return name


@pytest.fixture
def own_browser_name(request: pytest.FixtureRequest) -> str:
    """A browser for one test alone, which sets its clock or what it keeps in localStorage."""
    return request.node.name


@pytest.fixture
def new_page(context_for: Callable[..., BrowserContext], serve_here: Starter) -> Iterator[Callable[..., Page]]:
    """Pages of a reviewer's browser; at the end nothing may have failed or gone elsewhere.

    The servers of a test are asked for so that they outlive its pages: a page may still be saving when a test ends.
    """
    pages: list[Page] = []
    trouble: list[str] = []
    allowed: list[str] = ["willReadFrequently"]  # advice for the tests, which read canvases

    def make(name: str = "Ada", *, expected: str | None = None, **options: object) -> Page:
        page = context_for(name, **options).new_page()
        pages.append(page)
        page.on("pageerror", lambda error: trouble.append(f"script error: {error}"))
        page.on("dialog", lambda dialog: trouble.append(f"dialog: {dialog.message}"))
        page.on("console", lambda message: trouble.append(message.text))
        page.on("request", lambda request: OWN.match(request.url) or trouble.append(request.url))
        if expected is not None:
            allowed.append(expected)
        return page

    yield make
    for page in pages:
        page.close()
    assert [each for each in trouble if not any(part in each for part in allowed)] == []


@pytest.fixture
def open_review(new_page: Callable[..., Page]) -> Callable[..., Page]:
    """Open a study as one of the reviewers."""

    def opener(server: Server, key: str, reviewer: str = "Ada", **options: object) -> Page:
        page = new_page(reviewer, **options)
        name, _, value = server.client(reviewer).cookie.partition("=")
        cookie = {"name": name, "value": value, "url": f"http://127.0.0.1:{server.port}/", "httpOnly": True}
        page.context.add_cookies([cookie])
        page.goto(f"http://127.0.0.1:{server.port}/studies/{key}/index.html")
        ready(page)
        return page

    return opener


@pytest.fixture
def open_file(new_page: Callable[..., Page]) -> Callable[..., Page]:
    """Open a study's page from disk."""

    def opener(out: Path, key: str, reviewer: str = "disk", initials: str | None = "AB", **options: object) -> Page:
        page = new_page(reviewer, offline=True, **options)
        if initials is not None:
            begin_with_initials(page, initials)
        page.goto((out / "studies" / key / "index.html").as_uri())
        ready(page)
        return page

    return opener


@pytest.fixture
def server(serve_here, out) -> Server:
    return serve_here(out)
