"""The table of studies on the cohort page: the data that its script filters, sorts and draws.

A hundred thousand studies are tens of megabytes of text; sentences and names shared by studies are stored once.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from reports.cases import study_address
from reports.outcomes import Outcome, outcome_of, warned
from reports.page import data_url
from reports.record import ScoredPhrase, StudyRecord
from reports.review_record import moment_audited
from reports.score_catalogue import ENERGY
from reports.texts import named

__all__ = ["PlainRow", "StudyTable"]

_PLAIN_ROWS = 100  # that a browser without scripts shows
_ATTRIBUTES = ("view", "sex", "age", "manufacturer", "photometric_interpretation")
_DIGITS = 4
_FLAGS_AT_MOST = 16  # outcomes and warnings, of which there are six
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainRow:
    """One study for readers without JavaScript."""

    key: str
    address: str
    views: str
    phrases: tuple[tuple[str, str], ...]  # text and outcome
    hits: int
    scored: int
    energy: float | None
    cosine: float | None


@dataclass(frozen=True, slots=True)
class _Phrase:
    record: ScoredPhrase
    outcome: Outcome
    flags: tuple[str, ...]  # the outcome, and what was noted beside it
    energy: float | None


def _phrase(record: ScoredPhrase, method: str) -> _Phrase:
    outcome = outcome_of(record, method=method)
    return _Phrase(record, outcome, (outcome, *warned(record, method=method)), _energy(record, method))


class _Names:
    """Names stored once, with an index for each."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    def __getitem__(self, name: str) -> int:
        return self._places.setdefault(name, len(self._places))

    def all(self) -> list[str]:
        return list(self._places)


class StudyTable:
    """Collects the table's data study by study."""

    def __init__(self) -> None:
        """Create an empty table."""
        self.studies, self.phrases = 0, 0
        self.has_pictures = self.has_files = False
        self.plain: list[PlainRow] = []
        self._rows: list[list[object]] = []
        self._texts, self._findings, self._flags = _Names(), _Names(), _Names()
        self._groups: dict[tuple[str, str], int] = {}
        self._since: int | None = None  # the first study's audit

    def add(self, study: StudyRecord, thumbnail: bytes | str | None) -> None:
        """Add one study, with its thumbnail or the file name of its thumbnail, if it has one."""
        phrases = [_phrase(phrase, study.method) for image in study.images for phrase in image.phrases]
        energies = [phrase.energy for phrase in phrases if phrase.energy is not None]
        row = PlainRow(
            key=study.key,
            address=study_address(study.key),
            views=", ".join(image.view for image in study.images),
            phrases=tuple((phrase.record.text, phrase.outcome) for phrase in phrases),
            hits=sum(phrase.outcome == "hit" for phrase in phrases),
            scored=sum(phrase.outcome != "unscored" for phrase in phrases),
            energy=_mean(energies),
            cosine=_mean([phrase.record.cosine for phrase in phrases]),
        )
        groups = {
            (attribute, value)
            for image in study.images
            for attribute in _ATTRIBUTES
            if (value := getattr(image, attribute))
        }
        audited = (moment_audited(study) - _EPOCH) // timedelta(milliseconds=1)  # as scripts count time
        self._since = audited if self._since is None else self._since
        self._rows.append(
            [
                row.key,
                row.views,
                [number for text, outcome in row.phrases for number in (self._texts[text], self._flags[outcome])],
                _once(self._findings[phrase.record.finding] for phrase in phrases if phrase.record.finding),
                _once(self._flags[flag] for phrase in phrases for flag in phrase.flags),
                _once(self._pairs(phrases)),
                [self._groups.setdefault(group, len(self._groups)) for group in sorted(groups)],
                row.hits,
                row.scored,
                _rounded(row.energy),
                _rounded(row.cosine),
                data_url(thumbnail) if isinstance(thumbnail, bytes) else thumbnail or "",
                audited - self._since,
            ]
        )
        if len(self.plain) < _PLAIN_ROWS:
            self.plain.append(row)
        self.studies += 1
        self.phrases += len(phrases)
        self.has_pictures = self.has_pictures or thumbnail is not None
        self.has_files = self.has_files or isinstance(thumbnail, str)

    def _pairs(self, phrases: list[_Phrase]) -> Iterator[int]:
        """Return a number for each finding and flag that occur in one phrase."""
        for phrase in phrases:
            if phrase.record.finding:
                for flag in phrase.flags:
                    yield self._findings[phrase.record.finding] * _FLAGS_AT_MOST + self._flags[flag]

    @property
    def finding_names(self) -> list[str]:
        """Every finding, in alphabetical order."""
        return sorted(self._findings.all())

    @property
    def warnings(self) -> list[str]:
        """Warnings on phrases in addition to their outcome."""
        return sorted(set(self._flags.all()) - {"hit", "miss", "unscored"})

    @property
    def group_names(self) -> dict[str, list[tuple[int, str]]]:
        """The subgroups by attribute: number and value of each."""
        found: dict[str, list[tuple[int, str]]] = {}
        for (attribute, value), number in sorted(self._groups.items()):
            name = named("attribute", attribute.replace("_", " "))
            found.setdefault(name, []).append((number, value))
        return {name: values for name, values in found.items() if len(values) > 1}

    def data(self) -> dict[str, object]:
        """The data of the page's script."""
        return {
            "reviewed": None,  # the review server puts a reviewer's verdicts here
            "since": self._since,
            "texts": self._texts.all(),
            "findings": self._findings.all(),
            "flags": self._flags.all(),
            "most": _FLAGS_AT_MOST,
            "studies": self._rows,
        }


def _energy(phrase: ScoredPhrase, method: str) -> float | None:
    return next((score.value for score in phrase.scores if (score.method, score.score) == (method, ENERGY)), None)


def _once(numbers: Iterable[int]) -> list[int]:
    return list(dict.fromkeys(numbers))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
