"""Shapes in type hints are checked at run time, nothing reaches a network, and every run sees the same."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import type_checker
from hypothesis import HealthCheck, settings
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

os.environ["HF_HUB_OFFLINE"] = "1"  # before huggingface_hub is imported, by whatever test comes first
if TYPE_CHECKING:
    from made_up_models import Made

    from audit.encoders.protocol import DualEncoder

type_checker.install(["audit", "pipelines", "reports"])  # before any package of ours is imported

from pipelines.processes import preload  # noqa: E402

# The server of processes starts but once, for whatever test comes first: with all that any of them needs.
preload("audit.execution.run")

# The same examples in every run, and no example or health check that fails because the machine is busy.
settings.register_profile("m2ib", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("m2ib")
expect.set_options(timeout=120_000)  # ms; ends a hang: pages of a busy machine take many seconds

LONGEST = (
    "test_review_in_chromium.py",
    "test_run.py",
    "test_planted_identifiers.py",
    "test_study_page_in_chromium.py",
    "test_rescoring.py",
    "test_resume_after_kill.py",
    "test_viewer_in_chromium.py",
    "test_systematic_faults.py",
    "test_accessibility.py",
    "test_resume.py",
    "test_kept_in_the_browser.py",
    "test_regions.py",
    "test_review_without_server.py",
    "test_training.py",
    "test_hostile_text.py",
    "test_after_damage.py",
    "test_quickstart.py",
    "test_cohort_page_in_chromium.py",
    "test_controls_in_runs.py",
    "test_never_leak.py",
    "test_transforms.py",
    "test_compare_command.py",
    "test_help_in_chromium.py",
    "test_input_bombs.py",
    "test_pages_fit_in_chromium.py",
    "test_after_failures.py",
    "test_threads.py",
    "test_workers.py",
    "test_with_orthanc.py",
)
"""Files that take the longest. They come first: begun last, one would leave the other worker without work."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(LONGEST)))


if "PYTEST_XDIST_WORKER" in os.environ:
    import torch  # the process that hands the tests out to the workers needs none

    torch.set_num_threads(1)  # the workers share the cores


@pytest.fixture(autouse=True)
def index_folder(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """No command that a test runs keeps an index of headers in the home folder."""
    folder = tmp_path_factory.getbasetemp() / "indexes"
    monkeypatch.setenv("M2IB_AUDIT_CACHE", str(folder))
    return folder


@pytest.fixture(autouse=True)
def salt(monkeypatch: pytest.MonkeyPatch) -> str:
    """A fixed salt, so that keys are the same in every run and no test writes into the home folder."""
    value = "a salt for tests only"
    monkeypatch.setenv("M2IB_AUDIT_SALT", value)
    return value


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One Chromium for all tests of a process: playwright starts but once in each."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.fail("no chromium on the PATH: install it (Debian: apt-get install chromium) to test the pages")
    arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def new_context(chromium: Browser) -> Callable[..., BrowserContext]:
    """Make browser contexts that keep a blank page open: without it, each page that opens starts processes again."""

    def make(**options: object) -> BrowserContext:
        context = chromium.new_context(**options)  # type: ignore[arg-type]
        context.set_default_timeout(120_000)
        context.new_page()
        return context

    return make


@pytest.fixture(scope="session")
def made_model(tmp_path_factory: pytest.TempPathFactory) -> "Callable[[str], Made]":
    """The small random model of a family by its name, made once for all tests of a process."""
    from made_up_models import FAMILIES  # noqa: PLC0415 - imports transformers, which most tests do not need

    @cache
    def make(family: str) -> "Made":
        return FAMILIES[family](tmp_path_factory.mktemp("models") / re.sub(r"\W", "-", family))

    return make


@pytest.fixture(scope="session")
def small_clip(made_model: "Callable[[str], Made]") -> "Made":
    """A small random CLIP."""
    return made_model("clip")


@pytest.fixture(scope="session")
def encoder(small_clip: "Made") -> "DualEncoder":
    """The small random CLIP as an encoder."""
    from audit.encoders.loading import load_encoder  # noqa: PLC0415 - behind the import hook

    return load_encoder(str(small_clip.folder))
