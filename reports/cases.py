"""The phrases that the cohort page lists by name: right for the wrong reason, the reverse, and the best and worst."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from reports.grounding import prefers_opposite, recognises
from reports.outcomes import Outcome, outcome_of
from reports.page import format_number, format_percent
from reports.record import ScoredImage, ScoredPhrase, StudyRecord
from reports.reliance import falls_of, relies_on_region
from reports.run_record import PhraseTest, RunRecord
from reports.score_catalogue import COSINE_ROUNDING, ENERGY, POINTING_NEAR
from reports.texts import counted, text

__all__ = ["CaseLine", "CaseList", "CaseLists", "study_address"]

LISTED: Final = {"wrong_reason": 10, "reverse": 10, "worst": 5, "best": 5}
"""How many phrases each list shows at most."""

_Key = tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseLine:
    """One phrase of a list."""

    text: str
    finding: str
    key: str  # of the study
    address: str  # of the phrase on its study's page
    about: str  # why it is listed, in words


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseList:
    """One list with its title; ``cases`` is not empty."""

    title: str
    note: str
    cases: tuple[CaseLine, ...]
    more: str  # how many phrases the list leaves out; empty if it has all


def study_address(key: str) -> str:
    """Return the address of a study's page, relative to the cohort page."""
    return f"studies/{quote(key, safe='')}/index.html"


class _First:
    """Keeps the first lines by their keys; ties stay in the order in which they were added."""

    def __init__(self, most: int) -> None:
        self._most, self._kept, self.total = most, list[tuple[_Key, int, CaseLine]](), 0

    def add(self, key: _Key, line: CaseLine) -> None:
        self._kept.append((key, self.total, line))
        self.total += 1
        if len(self._kept) > 2 * self._most:
            self._shorten()

    def lines(self) -> tuple[CaseLine, ...]:
        self._shorten()
        return tuple(line for _, _, line in self._kept)

    def _shorten(self) -> None:
        self._kept.sort(key=lambda each: each[:2])
        del self._kept[self._most :]


@dataclass(frozen=True, slots=True, kw_only=True)
class _JudgedPhrase:
    """What decides on one phrase's lists."""

    phrase: ScoredPhrase
    outcome: Outcome
    is_near: bool  # the peak lies within the tolerance of the box
    percentile: float | None
    recognised: bool | None
    prefers_opposite: bool
    relies: bool | None
    reliance: float | None  # fall for the region minus the mean fall elsewhere, of the cosine

    @property
    def is_elsewhere(self) -> bool:
        """True if the peak of the heat lies away from the box."""
        return self.outcome == "miss" and not self.is_near

    @property
    def is_right_for_the_wrong_reason(self) -> bool:
        """True if the answer is right and does not depend on the region, or is recognised and the heat is elsewhere."""
        is_right = self.recognised is True or (self.recognised is None and self.outcome == "hit")
        return (is_right and self.relies is False) or (self.recognised is True and self.is_elsewhere)

    @property
    def is_wrong_though_looking_right(self) -> bool:
        """True if the finding is not recognised, although heat or reliance are where the radiologist's box is."""
        looks_right = (self.outcome == "hit" and self.relies is not False) or self.relies is True
        return self.recognised is False and looks_right


class CaseLists:
    """Collects the lists study by study; keeps only what is shown."""

    def __init__(self, run: RunRecord) -> None:
        """Start empty lists for the studies of a run."""
        self._run = run
        self._lists = {name: _First(most) for name, most in LISTED.items()}

    def add(self, study: StudyRecord) -> None:
        """Add the phrases of one study."""
        for image_place, image in enumerate(study.images):
            tests = self._run.recognised.get(image.key, ())
            for place, phrase in enumerate(image.phrases):
                test = tests[place] if place < len(tests) else None
                anchor = f"#phrase-{image_place}-{place}"
                self._add(_judged(phrase, image, test, method=study.method), study, anchor)

    def _add(self, case: _JudgedPhrase, study: StudyRecord, anchor: str) -> None:
        energy = _score(case.phrase, study.method, ENERGY)
        if energy is not None and case.outcome in {"hit", "miss"}:
            about = text("cases.energy", energy=format_number(energy, 2))
            name, key = ("best", -energy) if case.outcome == "hit" else ("worst", energy)
            self._lists[name].add((key,), self._line(case, study, anchor, about))
        reliance = case.reliance if case.reliance is not None else 0.0
        percentile = case.percentile if case.percentile is not None else 0.5
        about = "; ".join(self._signs(case))
        if case.is_right_for_the_wrong_reason:
            signs = (case.relies is False) + case.is_elsewhere
            self._lists["wrong_reason"].add((-signs, reliance, -percentile), self._line(case, study, anchor, about))
        elif case.is_wrong_though_looking_right:
            signs = (case.relies is True) + (case.outcome == "hit")
            self._lists["reverse"].add((-signs, percentile, -reliance), self._line(case, study, anchor, about))

    def _line(self, case: _JudgedPhrase, study: StudyRecord, anchor: str, about: str) -> CaseLine:
        return CaseLine(
            text=case.phrase.text,
            finding=case.phrase.finding or "",
            key=study.key,
            address=study_address(study.key) + anchor,
            about=about,
        )

    def _signs(self, case: _JudgedPhrase) -> list[str]:
        """Say what speaks for and against a phrase, in the order of the three questions."""
        signs = []
        if case.percentile is not None:
            signs.append(text("cases.above", share=format_percent(case.percentile)))
        if case.prefers_opposite:
            signs.append(text("cases.prefers_opposite"))
        sd = self._run.cosine_sd
        if case.reliance is not None and sd is not None and sd > COSINE_ROUNDING:
            signs.append(text("cases.reliance", reliance=format_number(case.reliance / sd, 1)))
        elif case.reliance is not None:
            signs.append(text("cases.fall", fall=format_number(case.reliance, 2)))
        signs.append(text(f"cases.peak_{'near' if case.outcome == 'miss' and case.is_near else case.outcome}"))
        return signs

    def by_reason(self) -> tuple[CaseList, ...]:
        """List what is right for the wrong reason, and the reverse."""
        return self._shown(("wrong_reason", "reverse"))

    def by_energy(self) -> tuple[CaseList, ...]:
        """List misses with the least energy in the box, and hits with the most."""
        return self._shown(("worst", "best"))

    def _shown(self, names: Sequence[str]) -> tuple[CaseList, ...]:
        return tuple(_list(name, self._lists[name]) for name in names if self._lists[name].total)


def _list(name: str, found: _First) -> CaseList:
    lines = found.lines()
    more = found.total - len(lines) if name in {"wrong_reason", "reverse"} else 0
    return CaseList(
        title=text(f"cases.{name}"),
        note=text(f"cases.{name}_note"),
        cases=lines,
        more=text("cases.more", phrases=counted("phrase", more)) if more else "",
    )


def _judged(phrase: ScoredPhrase, image: ScoredImage, test: PhraseTest | None, *, method: str) -> _JudgedPhrase:
    # While other boxes replace the run's own, the erased regions are not those that the phrase is scored against.
    falls = falls_of(phrase) if image.own is None else None
    return _JudgedPhrase(
        phrase=phrase,
        outcome=outcome_of(phrase, method=method),
        is_near=_score(phrase, method, POINTING_NEAR) == 1.0,
        percentile=None if test is None else test.percentile,
        recognised=recognises(test),
        prefers_opposite=prefers_opposite(test),
        relies=None if falls is None else relies_on_region(falls),
        reliance=None if falls is None else falls.region - falls.mean_elsewhere,
    )


def _score(phrase: ScoredPhrase, method: str, name: str) -> float | None:
    return next((each.value for each in phrase.scores if (each.method, each.score) == (method, name)), None)
