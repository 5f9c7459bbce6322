"""The command ``m2ib-audit``: parse, call one function, print. Heavy imports stand inside the commands."""

from audit.cli.app import app, main

__all__ = ["app", "main"]
