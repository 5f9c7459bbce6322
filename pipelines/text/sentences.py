"""Splits report text into sentences, without losing or adding a letter."""

import re
from collections.abc import Iterator

__all__ = ["LONGEST_SENTENCE", "sentences_of"]

LONGEST_SENTENCE = 1000  # characters; text without a full stop is cut here, at a space, so that the work is bounded

_BULLET = r"(?:[-*•–·]+|\(?\d{1,2}[.)](?!\d))"
_ITEM = re.compile(rf"\s*{_BULLET}\s+(?=\S)")
_PARAGRAPH = re.compile(r"\n[ \t]*\n")
_TITLES = r"dr|drs|mr|mrs|ms|prof|st|vs|approx|e\.g|i\.e|cf|resp|fig|ref|inc|jr|sr|dept|ext|min|max|incl|lt|rt"
_ABBREVIATION = re.compile(rf"(?:\b(?:{_TITLES})|(?:^|[\s(])[A-Za-z])\.\Z", re.IGNORECASE)
_LIST_NUMBER = re.compile(r"\s*\d{1,2}\.")  # starts an item; not a sentence
_LONGEST_ABBREVIATION = 12  # characters, with its context
_CLOCK = re.compile(r"\b[ap]\.m\.\Z", re.IGNORECASE)
# A question mark after a space belongs to the words after it ("? pneumonia"), so it does not end a sentence.
_STOP = re.compile(r"(?:(?<!\.)\.+|(?<=[^\s?!])[?!]+)[\"')\]]*(?=\s)|(?<=[a-z])\.(?=[A-Z][a-z])")
_ASKS = re.compile(r"\b(?:is|are|was|were|has|have|does|do|did|can|could|should)\b", re.IGNORECASE)
_ANSWER = re.compile(r"\s*(?:no|none|nil|yes|negative|absent)\b[ .;,]", re.IGNORECASE)  # "Effusion? No."
_ANSWERED = re.compile(r"[:=?–-]\s*no\.?\Z", re.IGNORECASE)  # a line that ends here although "no" often continues
_LABEL_LINE = re.compile(r"[A-Z][\w/&-]*(?: [\w/&-]+){0,3}:")
_OPEN_END = re.compile(
    r"(?:[,(/&-]|\b(?:a|an|and|as|at|be|by|dr|for|from|has|have|in|is|are|may|no|not|of|on|or|over|than|that|the|to|was|"
    r"were|with|without|left|right|which))\.?\Z",
    re.IGNORECASE,
)


def sentences_of(text: str) -> tuple[str, ...]:
    """Split text into sentences, each on one line with single spaces, without its bullet or number.

    Full stops of titles ("Dr."), initials, decimals and list numbers do not end a sentence. A blank line, a list item
    and a line that was ended early on purpose do.
    """
    sentences: list[str] = []
    for block in _PARAGRAPH.split(text):
        for chunk in _deliberate_lines(block):
            body = " ".join(_ITEM.sub("", chunk, count=1).split()) if _ITEM.match(chunk) else " ".join(chunk.split())
            for sentence in _split(body):
                sentences.extend(_bounded(sentence))
    return tuple(sentence for sentence in sentences if any(character.isalnum() for character in sentence))


def _deliberate_lines(block: str) -> Iterator[str]:
    """Join wrapped lines, and keep lines separate that end on purpose."""
    lines = [line.rstrip() for line in block.split("\n") if line.strip()]
    widest = max((len(line) for line in lines), default=0)
    pending: list[str] = []
    for line in lines:
        if pending and _ends_on_purpose(pending[-1], line, widest):
            yield " ".join(pending)
            pending = []
        pending.append(line)
    if pending:
        yield " ".join(pending)


def _ends_on_purpose(line: str, following: str, widest: int) -> bool:
    if _ITEM.match(following):
        return True
    words = following.split()
    open_end = _OPEN_END.search(line) is not None and not _ANSWERED.search(line)
    if _LABEL_LINE.match(following.strip()) and not open_end:
        return True
    # A wrapped line has no room for the next word; its author ended a shorter line before a capital letter.
    has_room = len(line) + 1 + len(words[0]) <= widest
    return (has_room or _ANSWERED.search(line) is not None) and words[0][0].isupper() and not open_end


def _split(body: str) -> Iterator[str]:
    begin = 0
    for stop in _STOP.finditer(body):
        before = body[max(begin, stop.end() - _LONGEST_ABBREVIATION) : stop.end()]
        following = body[stop.end() : stop.end() + 2].lstrip()[:1]
        if _ABBREVIATION.search(before) and "." in stop.group():
            continue
        if (
            "?" in stop.group()
            and _ANSWER.match(f"{body[stop.end() :]} ")
            and not _ASKS.search(body[begin : stop.end()])
        ):
            continue
        if _CLOCK.search(before) and not following.isupper():
            continue
        if _LIST_NUMBER.fullmatch(body, begin, stop.end()):
            begin = stop.end()
            continue
        yield body[begin : stop.end()].strip()
        begin = stop.end()
    if body[begin:].strip():
        yield body[begin:].strip()


def _bounded(sentence: str) -> Iterator[str]:
    while len(sentence) > LONGEST_SENTENCE:
        cut = sentence.rfind(" ", 1, LONGEST_SENTENCE)
        cut = cut if cut > 0 else LONGEST_SENTENCE
        yield sentence[:cut].strip()
        sentence = sentence[cut:].strip()
    if sentence:
        yield sentence
