"""Outcomes of phrases, studies and runs in words, as the pages show them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from reports.page import format_percent, format_percents
from reports.record import Score, ScoredBox, ScoredImage, ScoredPhrase, StudyRecord
from reports.run_record import EvidenceRecord, RunRecord, ScoreSummary
from reports.score_catalogue import BLIND_METHODS, POINTING, POINTING_NEAR, SCORES, method_behind
from reports.targets import target_indices
from reports.texts import counted, named, text

__all__ = [
    "CONTROLS",
    "Outcome",
    "ScoreRow",
    "Verdict",
    "best_reference",
    "blind_share",
    "cohort_summary",
    "control_words",
    "is_lost_to_crop",
    "lacks_evidence",
    "masking_summary",
    "method_name",
    "outcome_of",
    "overall_hits",
    "reference_name",
    "score_rows",
    "single_reasons",
    "study_summary",
    "verdict_on",
    "warned",
    "warnings_of_place",
]


CONTROLS: Final = ("shuffled report", "nonsense", "side swapped", "negated", "other window", "second seed")
"""What was changed on purpose."""

Outcome = Literal["hit", "miss", "unscored"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The outcome of the pointing game for one phrase, in two words and in a sentence."""

    outcome: Outcome
    short: str
    sentence: str


def method_name(method: str) -> str:
    """Return the name of a method or reference as the pages show it."""
    behind = method_behind(method)
    if behind is None:
        return named("method", method)
    return text(f"own_reference_of.{behind[0]}", method=named("method", behind[1]))


def reference_name(reference: str) -> str:
    """Return the name of a reference for use within a sentence."""
    behind = method_behind(reference)
    return named("reference", reference) if behind is None else text(f"own_reference.{behind[0]}")


def control_words(control: str, instead: str | None = None) -> tuple[str, str]:
    """Return the name of a control, and what replaced the phrase: other words, or the change."""
    return named("control", control), instead or (text(f"instead.{control}") if control in CONTROLS else "")


def lacks_evidence(phrase: ScoredPhrase, evidence: EvidenceRecord | None) -> bool:
    """Return True if a phrase's total heat is no more than that of other patients' phrases, where that is informative.

    It is not if such phrases get as much heat as right ones (:class:`reports.run_record.EvidenceRecord`).
    """
    return evidence is not None and evidence.tells and phrase.total_nats < evidence.floor


def warned(phrase: ScoredPhrase, *, method: str) -> tuple[str, ...]:
    """Return which warnings of the score catalogue apply to a phrase; needs no box."""
    found = {score.score: score.value for score in phrase.scores if score.method == method}
    warnings = [(name, *spec.warning) for name, spec in SCORES.items() if spec.warning is not None]
    return tuple(warning for name, warning, value in warnings if found.get(name) == value)


def warnings_of_place(phrase: ScoredPhrase, *, method: str) -> tuple[tuple[str, str], ...]:
    """Return each fault of the peak's location, in two words and in a sentence."""
    side, zone = named("side", phrase.side or "–"), named("zone", phrase.zone or "–")
    values = {"other side": {"side": side}, "other zone": {"zone": zone}}
    return tuple(
        (text(f"warning.{warning}.short"), text(f"warning.{warning}.sentence", **values.get(warning, {})))
        for warning in warned(phrase, method=method)
    )


def is_lost_to_crop(box: ScoredBox) -> bool:
    """Return True if the model could see no part of a box."""
    return box.visible_fraction == 0.0


def outcome_of(phrase: ScoredPhrase, *, method: str) -> Outcome:
    """Return the outcome of one phrase in the pointing game."""
    inside = _score(phrase, method, POINTING)
    return "unscored" if inside is None or inside.outcome == "scored" else inside.outcome


def verdict_on(phrase: ScoredPhrase, image: ScoredImage, *, method: str) -> Verdict:
    """Describe the outcome of one phrase."""
    outcome = outcome_of(phrase, method=method)
    if outcome == "unscored":
        sentence = _why_unscored(_score(phrase, method, POINTING))
        return Verdict(outcome=outcome, short=text("common.not_scored"), sentence=sentence)
    if outcome == "miss" and phrase.hottest is None:
        return Verdict(outcome=outcome, short=text("outcome.short_nowhere"), sentence=text("outcome.nowhere"))
    near = _score(phrase, method, POINTING_NEAR)
    key = "near" if outcome == "miss" and near is not None and near.outcome == "hit" else outcome
    several = "_of_several" if len(target_indices(image, phrase)) > 1 else ""
    values = {"finding": phrase.finding or text("outcome.this_phrase")}
    if key == "near" and image.placement.fit == "stretch":
        several += "_stretched"
        down, across = image.placement.model_px
        reach = SCORES[POINTING_NEAR].within_px or 0.0
        values |= {"down": f"{reach * down:.0f}", "across": f"{reach * across:.0f}"}
    sentence = text(f"outcome.{key}{several}", **values)
    return Verdict(outcome=outcome, short=text(f"outcome.short_{outcome}"), sentence=sentence)


def _score(phrase: ScoredPhrase, method: str, name: str) -> Score | None:
    found = [score for score in phrase.scores if (score.method, score.score) == (method, name)]
    return found[-1] if found else None


def _why_unscored(score: Score | None) -> str:
    if score is None:
        return text("outcome.unscored")
    return text("outcome.unscored_for", reason=(score.reason or text("outcome.no_reason")).rstrip("."))


def study_summary(record: StudyRecord) -> str:
    """Summarise a study in one or two sentences."""
    phrases = [phrase for image in record.images for phrase in image.phrases]
    images = counted("image", len(record.images))
    if not phrases:
        absent = sum(len(image.absent) for image in record.images)
        if absent:
            return text("summary.study_normal", images=images, absent=counted("absent_phrase", absent))
        return text("summary.study_without_phrase", images=images)
    outcomes = [outcome_of(phrase, method=record.method) for phrase in phrases]
    hits, unscored = outcomes.count("hit"), outcomes.count("unscored")
    about = {"phrases": counted("phrase", len(phrases)), "images": images}
    if unscored == len(phrases):
        return text("summary.study_unscored", **about)
    scored = counted("scored_phrase", len(phrases) - unscored)
    if unscored:
        return text("summary.study_partly", **about, hits=hits, scored=scored, unscored=unscored)
    return text("summary.study", **about, hits=hits, scored=scored)


def masking_summary(record: StudyRecord) -> str:
    """Describe whether patient data are shown, and how many words of a study's report are masked."""
    if record.patient_data_shown:
        return text("common.shown")
    report = record.report
    if report is None or report.words is None or report.masked_words is None:
        return text("common.masked")
    if report.header_too_large:
        return text("study.all_masked")
    return text("study.words_masked", masked=report.masked_words, words=counted("word", report.words))


def best_reference(run: RunRecord, *, score: str = POINTING, finding: str | None = None) -> ScoreSummary | None:
    """Return the content-blind reference with the best score over all phrases, or over those of one finding."""
    sign = 1.0 if SCORES[score].higher_is_better else -1.0
    references = [
        (sign * summary.estimate, summary)
        for summary in run.summaries
        if summary.score == score
        and summary.method in BLIND_METHODS
        and summary.finding == finding
        and (finding is not None or summary.averaging == "micro")
        and summary.estimate is not None
    ]
    return max(references, key=lambda found: found[0])[1] if references else None


def blind_share(phrase: ScoredPhrase, run: RunRecord) -> str | None:
    """Describe how often a content-blind map hits this phrase's finding; None if the run does not contain it."""
    if phrase.finding is None:
        return None
    reference = best_reference(run, finding=phrase.finding)
    if reference is None or reference.estimate is None:
        return None
    return text(
        "outcome.blind",
        reference=reference_name(reference.method),
        share=format_percent(reference.estimate),
        phrases=counted("phrase", reference.scored),
        finding=phrase.finding,
    )


def cohort_summary(run: RunRecord, *, studies: int, phrases: int) -> list[str]:
    """Summarise the run in a few sentences."""
    sentences = [text("summary.run", studies=counted("study", studies), phrases=counted("phrase", phrases))]
    if run.not_done:
        sentences.append(text("summary.run_to_go", studies=counted("study", run.not_done)))
    own = overall_hits(run)
    if own is None or own.estimate is None:
        return [*sentences, text("summary.none_scored")]
    found = {"share": _share_with_interval(own), "scored": counted("scored_phrase", own.scored)}
    reference = best_reference(run)
    if reference is None or reference.estimate is None:
        return [*sentences, text("summary.run_hits", **found)]
    blind, blind_share = text(f"blind.{reference.method}"), format_percent(reference.estimate)
    sentences.append(text("summary.run_hits_beside", **found, blind=blind, blind_share=blind_share))
    if not _clears(own, reference):
        sentences.append(text("summary.run_does_not_clear"))
    if own.unscored:
        sentences.append(text("summary.run_unscored", phrases=counted("phrase", own.unscored)))
    return sentences


def overall_hits(run: RunRecord) -> ScoreSummary | None:
    """Return the audited method's pointing game over all phrases."""
    place = (run.method, POINTING, None, "micro")
    return next((s for s in run.summaries if (s.method, s.score, s.finding, s.averaging) == place), None)


def _clears(own: ScoreSummary, reference: ScoreSummary) -> bool:
    """Return True if a method is above a reference: by their paired difference, or otherwise by its interval."""
    paired = next((each for each in own.differences if each.reference == reference.method), None)
    if paired is not None:
        return paired.low > 0.0
    return own.low is None or reference.estimate is None or own.low > reference.estimate


def _share_with_interval(summary: ScoreSummary) -> str:
    share = format_percent(summary.estimate)
    if summary.low is None or summary.high is None or summary.low == summary.high:
        return share  # runs of version 0.1.0 hold intervals without a width, which say nothing
    low, high = format_percents(summary.low, summary.high)
    return text("summary.share_with_interval", share=share, low=low, high=high)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRow:
    """One method's line of the score table; ``reason`` replaces all cells if none was scored."""

    name: str
    is_subject: bool  # the audited method
    is_first_blind: bool  # the first of the references that never look at the image
    cells: tuple[Score | None, ...]
    reason: str | None


def score_rows(scores: Sequence[Score], names: Sequence[str], *, subject: str) -> tuple[ScoreRow, ...]:
    """Return a phrase's scores: the audited method, further methods, then content-blind references."""
    in_order = dict.fromkeys(score.method for score in scores)
    methods = sorted(in_order, key=lambda method: (method != subject, method in BLIND_METHODS))
    first_blind = next((method for method in methods if method in BLIND_METHODS), None)
    by_place = {(score.method, score.score): score for score in scores}
    rows = []
    for method in methods:
        cells = tuple(by_place.get((method, name)) for name in names)
        if not any(cells):  # its scores are of another kind: the tables have them
            continue
        reasons = {cell.reason for cell in cells if cell is not None and cell.value is None}
        all_unscored = all(cell is None or cell.value is None for cell in cells)
        reason = next(iter(reasons)) if all_unscored and len(reasons) == 1 else None
        rows.append(
            ScoreRow(
                name=method_name(method),
                is_subject=method == subject,
                is_first_blind=method == first_blind,
                cells=cells,
                reason=reason,
            )
        )
    return tuple(rows)


def single_reasons(rows: Sequence[ScoreRow]) -> tuple[tuple[str, str], ...]:
    """Return the reasons for missing scores of methods that have other scores; each reason once."""
    found = {
        (row.name, cell.reason.rstrip("."))
        for row in rows
        if row.reason is None
        for cell in row.cells
        if cell is not None and cell.value is None and cell.outcome not in {"hit", "miss"} and cell.reason
    }
    return tuple(sorted(found))
