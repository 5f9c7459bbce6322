"""The command ``m2ib-audit``: parse, call one function, print. Heavy imports are inside the commands."""

from audit.cli.app import app, main

__all__ = ["app", "main"]
