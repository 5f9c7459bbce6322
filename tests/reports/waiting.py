"""Waiting for a page: its policy forbids the ``eval`` that Playwright's ``wait_for_function`` asks again with."""

import time

from playwright.sync_api import Page

__all__ = ["settled", "until"]

_SECONDS = 120.0  # ends a hang: a busy machine takes many seconds


# A page of a study or a table of studies, whose scripts have read what the browser keeps; or a page without either.
_SETTLED = "body[data-review-ready], body:not(.study-page, :has(table.studies.scripted))"


def settled(page: Page) -> None:
    """Wait until a page shows what it will show: until then a page of a study withholds its scores and boxes."""
    page.wait_for_selector(_SETTLED, state="attached")


def until(page: Page, expression: str, arg: object = None) -> None:
    """Ask a page, from outside its policy, until an expression holds.

    Raises:
        TimeoutError: it never does.
    """
    deadline = time.monotonic() + _SECONDS
    while not page.evaluate(expression, arg):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {_SECONDS:g} s: {expression}")
        page.wait_for_timeout(20)
