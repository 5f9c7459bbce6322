"""Waiting for a page: its policy forbids the ``eval`` that Playwright's ``wait_for_function`` asks again with."""

import time

from playwright.sync_api import Page

__all__ = ["until"]

_SECONDS = 120.0  # ends a hang: a busy machine takes many seconds


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
