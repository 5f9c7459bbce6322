"""Text in one form of Unicode, so that a word is found however its letters are encoded."""

import unicodedata

__all__ = ["folded", "normal_form"]

_APOSTROPHES = dict.fromkeys(map(ord, "\u2018\u2019\u201a\u201b\u02bc\u02b9\u0060\u00b4\u2032\u05f3"), "'")
_DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2043\u00ad\u058a\u30a0"), "-")
_PLAIN = _APOSTROPHES | _DASHES | {0x00AD: None, 0x034F: None, 0x2044: "/", 0x2215: "/"}


def normal_form(text: str) -> str:
    """Compose letters and their marks, make full-width forms plain, and take out characters that are not seen.

    Typographic apostrophes and dashes become those of ASCII. Plain ASCII stays as it is.

    Source: Unicode Standard Annex 15, form NFKC; general category Cf (format characters).
    """
    if text.isascii():
        return text
    composed = unicodedata.normalize("NFKC", text.translate(_PLAIN))
    return "".join(char for char in composed.translate(_PLAIN) if unicodedata.category(char) != "Cf")


def folded(text: str) -> str:
    """Put letters into small ones, each into one, so that places in the text stay what they are."""
    return text.lower() if text.isascii() else "".join(low if len(low := char.lower()) == 1 else char for char in text)
