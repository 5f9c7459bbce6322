"""Text that goes into the cells of a table, for a spreadsheet runs some of what it opens."""

__all__ = ["defused"]

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def defused(text: str) -> str:
    """Put an apostrophe before text that a spreadsheet would run as a formula; other text comes back as it is.

    Source: OWASP, "CSV Injection" (cells that begin with =, +, -, @, tab, carriage return or line feed, and the
    full-width forms of the first four, which some spreadsheets take for them).
    """
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
