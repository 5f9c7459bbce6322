"""Absent phrases as pages show them: per phrase a card without heat, per finding a row of the page over all studies."""

from dataclasses import dataclass
from typing import Final

from pipelines.study import Phrase
from reports.page import format_number, format_percent
from reports.record import ScoredImage, StudyRecord
from reports.run_record import AbsenceTest, CosineTest, Estimate, RunRecord
from reports.score_catalogue import (
    ABSENCE_PERCENTILE,
    ASSERTION_PREFERRED,
    COSINE_ROUNDING,
    DENIAL_PREFERRED,
    score_name,
)
from reports.targets import standing_denials
from reports.texts import counted, text

__all__ = ["AbsenceRow", "AbsentView", "absence_headings", "absence_rows", "absence_summary", "absent_views"]

_ALL: Final = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AbsenceRow:
    """One finding where reports deny it; None: not measured."""

    finding: str  # "" for all findings
    denied: Estimate  # share of these images that prefer the denial
    asserted: Estimate | None  # share of the images with the finding that prefer the assertion
    percentile: Estimate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AbsentView:
    """One absent phrase of an image."""

    phrase: Phrase
    short: str  # which sentence has the higher cosine, in two words
    outcome: str  # "hit" if it is the denial, "miss" if the assertion, "unscored" for a tie or if it is not measured
    sentences: tuple[str, ...]


def absence_rows(run: RunRecord) -> tuple[AbsenceRow, ...]:
    """List all findings together, then each; nothing for a run of an older version or one without denials."""
    tests: dict[str, dict[str, CosineTest]] = {}
    for test in run.cosine_tests:
        if test.kind == "absence":
            tests.setdefault(test.finding or _ALL, {})[test.test] = test

    def result(found: dict[str, CosineTest], name: str) -> Estimate | None:
        return found[name].result if name in found else None

    return tuple(
        AbsenceRow(
            finding=finding,
            denied=found[DENIAL_PREFERRED].result,
            asserted=result(found, ASSERTION_PREFERRED),
            percentile=result(found, ABSENCE_PERCENTILE),
        )
        for finding, found in tests.items()
        if DENIAL_PREFERRED in found
    )


def absence_headings() -> tuple[str, str, str]:
    """Return the headings of the figures of a row, in the order of its columns."""
    return score_name(DENIAL_PREFERRED), score_name(ASSERTION_PREFERRED), score_name(ABSENCE_PERCENTILE)


def absence_summary(run: RunRecord) -> str | None:
    """Say how many studies report nothing abnormal, and how many findings are denied; None without a denial."""
    absent = run.counts.get("absent phrases audited", 0)
    if not absent:
        return None
    normal = counted("study", run.counts.get("normal studies audited", 0))
    return text("absence.summary", absent=counted("absent_phrase", absent), normal=normal)


def absent_views(image: ScoredImage, record: StudyRecord, run: RunRecord | None) -> tuple[AbsentView, ...]:
    """Show what the report denies of an image; a denial that a box refutes is left out."""
    drawn = {box.label for each in record.images for box in each.boxes}
    tests = {} if run is None else run.absence.get(image.key, {})
    return tuple(_view(image, phrase, tests.get(str(phrase.finding))) for _, phrase in standing_denials(image, drawn))


def _view(image: ScoredImage, phrase: Phrase, test: AbsenceTest | None) -> AbsentView:
    cosines = image.finding_cosines.get(str(phrase.finding))
    if cosines is None:
        return AbsentView(phrase=phrase, short=text("common.not_scored"), outcome="unscored", sentences=())
    ahead = cosines.denied - cosines.asserted
    outcome = "tie" if not abs(ahead) > COSINE_ROUNDING else "denial" if ahead > 0 else "assertion"
    denied, asserted = format_number(cosines.denied, 2), format_number(cosines.asserted, 2)
    sentences = [text(f"absence.prefers_{outcome}", denied=denied, asserted=asserted, finding=phrase.finding)]
    if test is not None and test.percentile is not None:
        images = counted("image", test.images)
        sentences.append(text("absence.ranks", share=format_percent(test.percentile), images=images))
    return AbsentView(
        phrase=phrase,
        short=text(f"absence.short_{outcome}"),
        outcome={"denial": "hit", "assertion": "miss"}.get(outcome, "unscored"),
        sentences=tuple(sentences),
    )
