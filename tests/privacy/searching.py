"""Every byte of a folder, in whatever way a secret may be written or packed there.

Words that are no others' are found wherever they stand (:func:`found`). Numbers such as a year, and names that are
words too, also stand in output by coincidence. Of these only whole words in texts are counted (:func:`counted`), and
compared with a control run on the same inputs with other values in their place: what stands in both is coincidence
(:func:`more_than_in_control`).
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from containers import unpacked

__all__ = ["counted", "files_in", "found", "more_than_in_control"]

_WIDE = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
_ENCODINGS = (
    *(*_WIDE, "latin-1", "iso8859-2", "iso8859-5", "iso8859-7", "iso8859-9", "cp1251", "koi8-r", "cp1256"),
    *("gb18030", "shift_jis", "euc_jp", "euc_kr"),
)

Named = tuple[str, bytes]


def found(secrets: Iterable[str], named: Iterable[Named]) -> list[tuple[str, str]]:
    """Give each secret that is met, with where: as it stands, escaped, encoded or packed, in any case."""
    texts = {secret: _folded(secret) for secret in secrets}
    encoded = {secret: _in_encodings(secret) for secret in texts}
    hits = set()
    for name, data in named:
        for place, content in unpacked(name, data):
            text, has_zeros = _folded(content.decode("utf-8", "ignore")), b"\0" in content
            for secret, folded in texts.items():
                plain, wide = encoded[secret]
                forms = plain | wide if has_zeros else plain
                if folded in text or any(form in content for form in forms):
                    hits.add((secret, place))
    return sorted(hits)


def counted(words: Iterable[str], named: Iterable[Named]) -> Counter[tuple[str, str]]:
    """Count words that stand alone in texts, by word and place; in bytes that are no text "91F" stands by chance.

    The digits of "1944" do not stand alone in 0.1944, 19440 or a key ("a1944f"); they do in "1944-03-14" and "(1944)".
    """
    patterns = {word: (_folded(word), _alone(word)) for word in words}
    counts: Counter[tuple[str, str]] = Counter()
    for name, data in named:
        for place, content in unpacked(name, data):
            if (text := _text(content)) is None:
                continue
            for word, (folded, pattern) in patterns.items():
                if folded in text and (number := len(pattern.findall(text))):
                    counts[word, place] += number
    return counts


def more_than_in_control(
    words: Iterable[str], named: Iterable[Named], control: Iterable[Named]
) -> list[tuple[str, str]]:
    """Give the words that stand in a place more often than in the same place of the control: those that leaked."""
    words = list(words)
    return sorted((counted(words, named) - counted(words, control)).elements())


def files_in(folder: Path) -> Iterator[Named]:
    """Give the name and content of every file; names are searched as content is."""
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        yield f"name of {name}", name.encode("utf-8", "surrogateescape")
        if path.is_file():
            yield name, path.read_bytes()


def _text(content: bytes) -> str | None:
    """Give content as text; None where it is none."""
    try:
        return None if b"\0" in content else _folded(content.decode())
    except UnicodeDecodeError:
        return None


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def _alone(word: str) -> re.Pattern[str]:
    """A word with no letter or digit beside it; behind a dot only as the year of "14.3.1944", not as a fraction."""
    ahead = r"(?<![^\W_.])(?:(?<!\.)|(?<=\d\.\d\.)|(?<=\d\.\d\d\.))"
    return re.compile(rf"{ahead}{re.escape(_folded(word))}(?![^\W_]|\.\d)")


def _in_encodings(secret: str) -> tuple[frozenset[bytes], frozenset[bytes]]:
    """Give the bytes of a secret in other encodings than UTF-8; apart from them those that need a zero in the data."""
    forms = {secret, secret.casefold(), secret.upper(), secret.title()}
    forms |= {unicodedata.normalize("NFD", form) for form in forms}
    plain: set[bytes] = set()
    wide: set[bytes] = set()
    for form in forms:
        for encoding in _ENCODINGS if not form.isascii() else _WIDE:
            try:
                (wide if form.isascii() else plain).add(form.encode(encoding))
            except UnicodeEncodeError:
                continue
    return frozenset(plain), frozenset(wide)
