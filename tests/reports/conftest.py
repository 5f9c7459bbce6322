"""Pages opened in a real Chromium, which fails the test on a script error or a request that leaves the file."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from made_up_cohort import MadeUpCohort, make_cohort
from made_up_records import MadeUp, make_study
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request
from waiting import settled

from reports.study_page import render_study

Opener = Callable[..., Page]


@pytest.fixture
def study() -> MadeUp:
    """A study of one image with four phrases: inside, outside, no box, flat map."""
    return make_study()


@pytest.fixture(scope="session")
def cohort() -> MadeUpCohort:
    """A run of 24 studies."""
    return make_cohort()


@pytest.fixture(scope="session")
def context_for(new_context: Callable[..., BrowserContext]) -> Callable[..., BrowserContext]:
    """Browser contexts by their options; a context costs more than a page, so tests with equal options share one."""
    contexts: dict[str, BrowserContext] = {}

    def find(**options: object) -> BrowserContext:
        settings: dict[str, object] = {"viewport": {"width": 1400, "height": 900}, "offline": True} | options
        if repr(settings) not in contexts:
            contexts[repr(settings)] = new_context(**settings)
        return contexts[repr(settings)]

    return find


@pytest.fixture
def open_page(context_for: Callable[..., BrowserContext], tmp_path: Path) -> Iterator[Opener]:
    """Open HTML text, or a file, from disk, settled; at the end nothing may have failed or left the folder."""
    pages: list[Page] = []
    trouble: list[str] = []

    def on_console(message: ConsoleMessage) -> None:
        # Chromium's advice on reading a canvas often is for the tests, which do; the page itself never reads one.
        if "willReadFrequently" not in message.text:
            trouble.append(message.text)

    def on_request(request: Request) -> None:
        if not request.url.startswith(("file:", "data:")):
            trouble.append(request.url)

    def opener(html: str | Path, **options: object) -> Page:
        path = html if isinstance(html, Path) else tmp_path / f"page-{len(pages)}.html"
        if isinstance(html, str):
            path.write_text(html, encoding="utf-8")
        page = context_for(**options).new_page()
        pages.append(page)
        page.on("pageerror", lambda error: trouble.append(f"script error: {error}"))
        page.on("dialog", lambda dialog: trouble.append(f"dialog: {dialog.message}"))
        page.on("console", on_console)
        page.on("request", on_request)
        page.goto(path.as_uri())
        if options.get("java_script_enabled", True):
            settled(page)
        return page

    yield opener
    for page in pages:
        page.close()
    assert trouble == []


@pytest.fixture
def open_study(open_page: Opener) -> Opener:
    """Open the page of a made-up study, with its small pictures drawn."""

    def opener(made: MadeUp, **options: object) -> Page:
        page = open_page(render_study(made.record, heats=made.heats, pictures=made.pictures), **options)
        if options.get("java_script_enabled", True):
            page.wait_for_selector(".reading[data-ready]", state="attached")
        return page

    return opener
