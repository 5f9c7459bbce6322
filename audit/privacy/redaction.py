"""Redaction of everything that is shown of the inputs: file names become keys, words of reports are masked."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import chain
from pathlib import Path, PurePath

from audit.privacy.pseudonyms import Pseudonyms
from pipelines.privacy.masking import MaskedText, mask_identifiers, mask_report
from pipelines.privacy.patterns import folded, normal_form
from pipelines.privacy.safe_terms import is_maker, is_plain, is_reader_number
from pipelines.privacy.vocabulary import is_known, may_be_name
from pipelines.quoting import files_named_in, printable, requoted
from pipelines.study import PART_OF_FILE, Box, Exclusion, Identifiers, Radiograph, fields_of
from reports.record import TokenHeat
from reports.results_folder import is_study_key
from reports.run_record import FailureRecord

__all__ = ["Redactor", "failure_records", "foreign_name", "name_of_source", "safe_words", "shown_groups"]

_NOBODY = Identifiers()
_KEY = re.compile(r"file-[0-9a-f]{16}")
_KEYED = re.compile(r"(?:label|reader|maker)-[0-9a-f]{8}")
_WORD = re.compile(r"\w+")
_BEFORE_NAMES = re.compile(r"""[(\["'=,;:/\\]""")  # a name may begin after these within a word
_AROUND_NAMES = frozenset("\"'/\\")
_AFTER_NAMES = ".,;:!?)]\"'"  # may directly follow a name in a sentence


def foreign_name(path: str, keys: Pseudonyms | None) -> str:
    """Return the path of a file in OUT that no run writes, with a key instead of its name; without keys the folder."""
    *folders, name = path.split("/")
    parts = ["studies", "set-aside", "shards"]
    shown = [part if part in parts or is_study_key(part) else foreign_name(part, keys) for part in folders]
    return "/".join([*shown, "file-" if keys is None else keys.file_key(name)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Redactor:
    """Masks the free text of inputs: everything that may name a person becomes a key, unless ``show_phi`` is set."""

    keys: Pseudonyms
    show_phi: bool

    def label(self, label: str) -> str:
        """Mask the label of a box, unless it is a known term."""
        return label if self.show_phi or is_plain(label) else self._keyed("label", label)

    def reader(self, reader: str | None) -> str | None:
        """Mask the reader of a box; different readers stay distinguishable."""
        if reader is None or self.show_phi or is_reader_number(reader):
            return reader
        return self._keyed("reader", reader)

    def text(self, text: str, known: Identifiers = _NOBODY) -> MaskedText:
        """Mask the text of a report; identifiers of the images' headers (``known``) are masked where they recur."""
        masked = mask_report(text, known)
        return replace(masked, text=text, masked_words=0, spans=()) if self.show_phi else masked

    def radiograph(self, image: Radiograph) -> Radiograph:
        """Return the geometry and acquisition of an image, with the manufacturer masked."""
        return replace(Radiograph(**fields_of(image, Radiograph)), manufacturer=self.maker(image.manufacturer or None))

    def study_date(self, day: date | None, *, patient: str) -> date | None:
        """Shift a date by the number of days of its patient (:meth:`Pseudonyms.shifted`); ``patient`` is a key."""
        return day if day is None or self.show_phi else self.keys.shifted(day, patient=patient)

    def boxes(self, boxes: Iterable[Box], *, spoken: Sequence[str]) -> tuple[Box, ...]:
        """Mask labels, readers and sentences of boxes; ``spoken`` are the masked phrases of their image."""
        return tuple(
            replace(
                box,
                label=self.label(box.label),
                reader=self.reader(box.reader),
                phrase=None if box.phrase is None else self.wording(box.phrase, spoken),
            )
            for box in boxes
        )

    def wording(self, wording: str, spoken: Iterable[str]) -> str:
        """Mask the sentence of a box, except for known terms and words in the image's masked phrases."""
        if self.show_phi:
            return wording
        known = {word.casefold() for text in spoken for word in _WORD.findall(text)}

        def shown(word: re.Match[str]) -> str:
            return word[0] if word[0].casefold() in known or is_plain(word[0]) else "[masked]"

        return _WORD.sub(shown, mask_identifiers(wording))

    def maker(self, manufacturer: str | None) -> str | None:
        """Mask the manufacturer unless it is a known one; some hospitals write other text into that element."""
        if manufacturer is None or self.show_phi or is_maker(manufacturer):
            return manufacturer
        return self._keyed("maker", manufacturer)

    def reason(self, reason: str) -> str:
        """Mask what a reason for an exclusion quotes from a file."""
        return reason if self.show_phi else requoted(reason, self._quote)

    def _quote(self, text: str) -> str:
        """Mask quoted text except for keys of files."""
        if is_plain(text) or _KEYED.fullmatch(text):
            return text
        kept = " ".join(_KEY.findall(text))
        rest = _KEY.sub("", text).strip()
        return " ".join(filter(None, (kept, rest if is_plain(rest) else self._keyed("label", rest))))

    def _keyed(self, kind: str, text: str) -> str:
        return text if _KEYED.fullmatch(text) else f"{kind}-{self.keys.key(kind, text.casefold())[:8]}"


def safe_words(text: str, masked: MaskedText, words: Iterable[tuple[str, float]]) -> tuple[TokenHeat, ...]:
    """Return the heat of a phrase's words; the heat of masked words is added to their mask.

    Args:
        text: the phrase as it was given to the model.
        masked: the phrase as it is shown.
        words: words of the phrase in order, each with its heat.
    """
    given = tuple(words)
    return tuple(
        TokenHeat(word=word, nats=sum(given[place][1] for place in places))
        for word, places in shown_groups(text, masked, [word for word, _ in given])
    )


def shown_groups(text: str, masked: MaskedText, words: Iterable[str]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Return a phrase's words as they are shown, each with its places in ``words``: adjacent masked words are one."""
    plain = folded(normal_form(text))
    shown: list[tuple[str, tuple[int, ...]]] = []
    last: tuple[int, int, str] | None = None  # the mask that the word before is under
    end = 0
    for place, word in enumerate(words):
        sought = folded(normal_form(word)).strip()
        start = plain.find(sought, end) if sought else -1
        if start < 0:
            # The tokeniser spells the word differently from the phrase: it may be under a mask.
            mask = (end, end, "masked") if masked.spans else None
        else:
            end = start + len(sought)
            mask = masked.mask_at(start, end)
        if mask is not None and mask == last:
            shown[-1] = (shown[-1][0], (*shown[-1][1], place))
        else:
            shown.append((word if mask is None else f"[{mask[2]}]", (place,)))
        last = mask
    return tuple(shown)


def name_of_source(source: str) -> str:
    """Return the file name of a source, without its folders and the row of a table."""
    path = PART_OF_FILE.sub("", source)
    return PurePath(path).name or path


def failure_records(
    left_out: Iterable[Exclusion], folders: Sequence[Path], keys: Pseudonyms, *, show_phi: bool
) -> tuple[FailureRecord, ...]:
    """Return the records of exclusions. A file name may name a patient: without ``show_phi`` it becomes a key."""
    given = [folder.parts for folder in folders]
    listed = [_Listed.of(item, given) for item in left_out]
    if show_phi:
        return tuple(
            each.record(printable(f"{'/'.join(each.below)}{each.row}"), printable(each.item.reason)) for each in listed
        )
    own, others = (each.below[-1] for each in listed), (files_named_in(each.item.reason) for each in listed)
    names, redactor = _FileNames(chain(own, *others), keys), Redactor(keys=keys, show_phi=False)
    return tuple(
        each.record(
            f"{names.key_of(each.below[-1])}{each.row}", redactor.reason(names.masked_in(each.item.reason, each.path))
        )
        for each in listed
    )


@dataclass(frozen=True, slots=True)
class _Listed:
    """An exclusion and the parts of its source."""

    item: Exclusion
    path: str
    row: str  # " row 7" of a table, " message 7" of HL7, or ""
    below: tuple[str, ...]  # parts of the path relative to the input folder, whose location is not shown in OUT

    @classmethod
    def of(cls, item: Exclusion, folders: Sequence[tuple[str, ...]]) -> "_Listed":
        found = PART_OF_FILE.search(item.source)
        path, row = (item.source[: found.start()], found[0]) if found else (item.source, "")
        parts = PurePath(path).parts
        for folder in folders:
            if len(parts) > len(folder) and parts[: len(folder)] == folder:
                return cls(item, path, row, parts[len(folder) :])
        return cls(item, path, row, parts[-1:] or ("",))

    def record(self, source: str, reason: str) -> FailureRecord:
        return FailureRecord(source=source, stage=self.item.stage, reason=reason, failed=self.item.failed)


class _FileNames:
    """The names of files that must not be shown, and the keys that replace them.

    A reason may contain the name of its own file or of others. It is searched word by word, so that the time grows with
    the number of reasons and not with reasons times names.
    """

    def __init__(self, names: Iterable[str], keys: Pseudonyms) -> None:
        self._keys = keys
        self._names = frozenset(filter(None, names))
        self._lengths: dict[str, set[int]] = defaultdict(set)  # first word of a name: how many words such names have
        for name in self._names:
            words = name.split()
            self._lengths[words[0] if words else name].add(len(words))
        self._masked: dict[str, str] = {}

    def key_of(self, name: str) -> str:
        return self._keys.file_key(name)

    def masked_in(self, reason: str, path: str) -> str:
        """Replace each name, and the path that leads to it, by a key; ``path`` is the file that the reason is about."""
        reason = reason.replace(path, PurePath(path).name) if "/" in path else reason
        if reason not in self._masked:
            self._masked[reason] = self._masked_by_word(reason)
        return self._masked[reason]

    def _masked_by_word(self, reason: str) -> str:
        words = list(re.finditer(r"\S+", reason))
        shown: list[str] = []
        end = 0
        for index, word in enumerate(words):
            if word.start() < end:
                continue  # part of a name of several words
            found = self._name_at(reason, words[index:])
            if found is not None:
                start, until, name = found
                shown += [reason[end:start], self.key_of(name)]
                end = until
        return "".join([*shown, reason[end:]])

    def _name_at(self, reason: str, words: Sequence[re.Match[str]]) -> tuple[int, int, str] | None:
        """Find the longest name that begins in the first word; return the start of its path, its end, and the name."""
        word = words[0]
        best: tuple[int, int, str] | None = None
        for start in _starts(word):
            for until in self._ends(reason, start, words):
                name = reason[start:until]
                if _is_word(name) and reason[max(0, start - 1) : start] not in _AROUND_NAMES:
                    continue  # a file that is called "out" does not make a name of the word
                if name in self._names and (best is None or len(name) > len(best[2])):
                    best = _path_start(word, start), until, name
        return best

    def _ends(self, reason: str, start: int, words: Sequence[re.Match[str]]) -> Iterator[int]:
        """Yield the positions where a name that starts at ``start`` may end."""
        first = reason[start : words[0].end()]
        lengths = {1}.union(*(self._lengths.get(begun, ()) for begun in (first, first.rstrip(_AFTER_NAMES))))
        for length in lengths:
            if not 0 < length <= len(words):
                continue
            until = words[length - 1].end()
            yield until
            while until > start and reason[until - 1] in _AFTER_NAMES:
                until -= 1
                yield until


def _is_word(name: str) -> bool:
    """Return True if a file's name is an ordinary word that names no person."""
    return name.isalpha() and name.islower() and is_known(name) and not may_be_name(name)


def _starts(word: re.Match[str]) -> Iterator[int]:
    yield word.start()
    yield from (word.start() + found.end() for found in _BEFORE_NAMES.finditer(word[0]))


def _path_start(word: re.Match[str], start: int) -> int:
    """Return the start of the path before a name in a word, after an opening bracket or quote."""
    begin = word.start()
    while begin < start and word[0][begin - word.start()] in "([\"'":
        begin += 1
    return begin
