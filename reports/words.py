"""Scores in words: the sentences that stand before the numbers."""

from dataclasses import dataclass
from typing import Final, Literal

from pipelines.findings import BROADER
from reports.page import shown_percent
from reports.record import (
    BoxRecord,
    EvidenceRecord,
    ImageRecord,
    PhraseRecord,
    RunRecord,
    ScoreRecord,
    ScoreSummary,
    StudyRecord,
)

__all__ = [
    "CONTENT_BLIND",
    "CONTROLS",
    "FEW_PHRASES",
    "OF_PLACE",
    "ON_PAGES",
    "POINTING",
    "POINTING_NEAR",
    "SHORTCUTS",
    "Verdict",
    "answers",
    "best_reference",
    "cohort_summary",
    "counted",
    "is_lost_to_crop",
    "lacks_evidence",
    "method_name",
    "score_name",
    "study_summary",
    "verdict_on",
    "warnings_of_place",
]

POINTING: Final = "pointing game, tau 0"
POINTING_NEAR: Final = "pointing game, tau 15"

_METHOD_NAMES: Final = {
    "m2ib": "M2IB",
    "nib": "NIB",
    "iba": "IBA",
    "grad_cam": "Grad-CAM",
    "grad_eclip": "Grad-ECLIP",
    "chefer": "Chefer et al.",
    "legrad": "LeGrad",
    "rise": "RISE",
    "kernel_shap": "KernelSHAP",
    "rollout": "Attention rollout",
    "patch_similarity": "Patch similarity",
    "random": "Random point",
    "centre": "Centre of the image",
    "class-mean box": "Class-mean box",
    "words-only prior": "Words-only prior",
    "another reader": "Another reader",
    "area share": "Plain area",
}
CONTENT_BLIND: Final = {
    "random": "a random point",
    "centre": "the image's centre",
    "class-mean box": "a class-mean box",
    "words-only prior": "the words alone (finding, side and zone)",
}
"""References that never look at the image, and how a sentence calls them."""

FEW_PHRASES: Final = 20
"""Below this many scored phrases a group says nothing."""

ON_PAGES: Final = (POINTING, POINTING_NEAR, "energy in box", "IoU at Otsu")
"""Scores of place that charts and studies' pages show; the others say little more to a reader of a page."""

OF_PLACE: Final = (
    *ON_PAGES,
    "pointing game, 10 mm",
    "relevance rank",
    "average precision",
    "IoU at cohort threshold",
    "mIoU",
    "CNR",
)
"""Every score of a heat against the radiologist's boxes."""

CONTROLS: Final = {
    "shuffled report": ("Another patient's phrase", "another patient's phrase, about a finding that this one lacks"),
    "nonsense": ("Nonsense", "words about nothing on a radiograph"),
    "side swapped": ("Side swapped", "left for right, right for left"),
    "negated": ("Negated", "the finding denied"),
    "other window": ("Another window", "the same phrase; the image in a narrower window"),
    "second seed": ("Second seed", "the same phrase and image; other noise"),
}
"""What was changed on purpose: its name, and what took the phrase's place."""

_ON_MARKER: Final = "hottest point on a marker"
_ON_SIDE, _IN_ZONE = "hottest point on the named side", "hottest point in the named zone"
SHORTCUTS: Final = {
    _ON_MARKER: ("lower", "within 15 px (at the scale of the model's input) of letters or marks found on the film"),
    "heat on markers": ("lower", "share of the heat on such letters and marks"),
    "heat outside the chest": ("lower", "share of the heat beyond the lungs, what lies between and the chest wall"),
    "heat on collimation": ("lower", "share of the heat on padding and behind the collimator"),
    _ON_SIDE: ("higher", "the side of the lungs' midline that the phrase names"),
    "heat on the named side": ("higher", "share of the heat on that side"),
    _IN_ZONE: ("higher", "the third of the lungs' height that the phrase names"),
}
"""Scores of heat where no finding can be, or on the named side: which way is better, and what they measure."""

_SCORE_NAMES: Final = {
    POINTING: "Pointing game",
    POINTING_NEAR: "Pointing, within 15 px",
    "pointing game, 10 mm": "Pointing, within 10 mm",
    "mIoU": "Mean IoU",
    "CNR": "Contrast to noise",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the pointing game says about one phrase, in two words and in a sentence."""

    outcome: Literal["hit", "miss", "unscored"]
    short: str
    sentence: str


def method_name(method: str) -> str:
    """Print a method's name as the page shows it."""
    if method.startswith("shuffled "):
        return f"{method_name(method.removeprefix('shuffled '))}, cells shuffled"
    return _METHOD_NAMES.get(method, method[:1].upper() + method[1:])


def score_name(score: str) -> str:
    """Print a score's name as the page shows it."""
    return _SCORE_NAMES.get(score, score[:1].upper() + score[1:])


def counted(count: int, one: str, many: str | None = None) -> str:
    """Print a number with its noun: ``1 study``, ``24 studies``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def answers(box: BoxRecord, phrase: PhraseRecord) -> bool:
    """Say whether a box is drawn for the phrase's finding, under its own name or a broader one."""
    return phrase.finding is not None and box.label in {phrase.finding, BROADER.get(phrase.finding)}


def lacks_evidence(phrase: PhraseRecord, evidence: EvidenceRecord | None) -> bool:
    """Say whether a phrase's heat amounts to no more than that of other patients' phrases, where that means anything.

    It means nothing where such phrases get as much heat as right ones (:class:`reports.record.EvidenceRecord`).
    """
    return evidence is not None and evidence.tells and phrase.total_nats < evidence.floor


def warnings_of_place(phrase: PhraseRecord, *, method: str) -> tuple[tuple[str, str], ...]:
    """Say, in two words and in a sentence each, what is wrong with where the hottest point lies; no box is needed."""
    found = {score.score: score.value for score in phrase.scores if score.method == method}
    warnings = []
    if found.get(_ON_MARKER) == 1.0:
        sentence = "The hottest point lies on letters or a mark on the film."
        warnings.append(("on a marker", sentence))
    if found.get(_ON_SIDE) == 0.0:
        sentence = f"The phrase says {phrase.side}; the hottest point lies on the patient's other side."
        warnings.append(("other side", sentence))
    if found.get(_IN_ZONE) == 0.0:
        sentence = f"The phrase says {phrase.zone} zone; the hottest point lies at another height of the lungs."
        warnings.append(("other zone", sentence))
    return tuple(warnings)


def is_lost_to_crop(box: BoxRecord) -> bool:
    """Say whether the model could see none of a box."""
    return box.visible_fraction == 0.0


def verdict_on(phrase: PhraseRecord, image: ImageRecord, *, method: str) -> Verdict:
    """Put the outcome of one phrase into words."""
    scores = {score.score: score for score in phrase.scores if score.method == method}
    inside = scores.get(POINTING)
    if inside is None:
        return Verdict(outcome="unscored", short="not scored", sentence="Not scored.")
    if inside.outcome not in {"hit", "miss"}:
        reason = inside.reason or "no reason recorded"
        return Verdict(outcome="unscored", short="not scored", sentence=f"Not scored: {reason.rstrip('.')}.")
    boxes = [box for box in image.boxes if answers(box, phrase)]
    several, claim = len(boxes) > 1, phrase.finding or "this phrase"
    if inside.outcome == "hit":
        target = "one of the radiologist's boxes" if several else "the radiologist's box"
        sentence = f"The hottest point lies inside {target} for {claim}."
        return Verdict(outcome="hit", short="inside the box", sentence=sentence)
    if phrase.hottest is None:
        sentence = "The map points nowhere: it has no single hottest point. That counts as a miss."
        return Verdict(outcome="miss", short="points nowhere", sentence=sentence)
    target = "every one of the radiologist's boxes" if several else "the radiologist's box"
    sentence = f"The hottest point lies outside {target} for {claim}{_near_miss(scores.get(POINTING_NEAR))}."
    return Verdict(outcome="miss", short="outside the box", sentence=sentence)


def study_summary(record: StudyRecord) -> str:
    """Say in a sentence or two what one study's page holds."""
    pairs = [(image, phrase) for image in record.images for phrase in image.phrases]
    if not pairs:
        return f"No phrase was put to the model on {counted(len(record.images), 'image')}."
    outcomes = [verdict_on(phrase, image, method=record.method).outcome for image, phrase in pairs]
    hits, scored = outcomes.count("hit"), len(outcomes) - outcomes.count("unscored")
    text = f"{counted(len(pairs), 'phrase')} on {counted(len(record.images), 'image')}. "
    if scored == 0:
        return text + "None could be scored against a radiologist's box."
    text += f"The hottest point lies inside the radiologist's box for {hits} of {counted(scored, 'scored phrase')}"
    return text + (f"; {len(pairs) - scored} not scored." if scored < len(pairs) else ".")


def best_reference(run: RunRecord, *, score: str = POINTING, finding: str | None = None) -> ScoreSummary | None:
    """Find the content-blind reference that scores highest over all phrases, or over those of one finding."""
    references = [
        summary
        for summary in run.summaries
        if summary.score == score
        and summary.method in CONTENT_BLIND
        and summary.finding == finding
        and (finding is not None or summary.averaging == "micro")
        and summary.estimate is not None
    ]
    return max(references, key=lambda summary: summary.estimate or 0.0, default=None)


def blind_share(phrase: PhraseRecord, run: RunRecord) -> str | None:
    """Say how often a map that never looks hits this phrase's finding; None where the run cannot say."""
    if phrase.finding is None:
        return None
    reference = best_reference(run, finding=phrase.finding)
    if reference is None or reference.estimate is None:
        return None
    return (
        f"A map that never looks at the image ({method_name(reference.method).lower()}) hits the box in "
        f"{100 * reference.estimate:.0f}\u202f% of the run's {counted(reference.scored, 'phrase')} of {phrase.finding}."
    )


def cohort_summary(run: RunRecord, *, studies: int, phrases: int) -> list[str]:
    """Say in a few sentences what the whole run found."""
    sentences = [f"{counted(studies, 'study', 'studies')} audited, {counted(phrases, 'phrase')}."]
    if run.not_done:
        sentences.append(f"{counted(run.not_done, 'study', 'studies')} still to be audited: this is a part of the run.")
    own = next(
        (
            summary
            for summary in run.summaries
            if (summary.method, summary.score, summary.finding, summary.averaging)
            == (run.method, POINTING, None, "micro")
        ),
        None,
    )
    if own is None or own.estimate is None:
        return [*sentences, "No phrase could be scored against a radiologist's box."]
    sentence = f"The hottest point lies inside the radiologist's box in {shown_percent(own.estimate)}{_interval(own)} "
    sentence += f"of {counted(own.scored, 'scored phrase')}"
    reference = best_reference(run)
    if reference is None or reference.estimate is None:
        return [*sentences, f"{sentence}."]
    blind = CONTENT_BLIND[reference.method]
    sentences.append(
        f"{sentence}; without looking at the image, {blind} would do so in {shown_percent(reference.estimate)}."
    )
    if not _clears(own, reference):
        sentences.append("The interval does not clear that reference: this run does not show that the model looks.")
    if own.unscored:
        sentences.append(f"{counted(own.unscored, 'phrase')} could not be scored.")
    return sentences


def _clears(own: ScoreSummary, reference: ScoreSummary) -> bool:
    """Whether a method lies above a reference: by their paired difference, or where there is none by its interval."""
    paired = next((each for each in own.differences if each.reference == reference.method), None)
    if paired is not None:
        return paired.low > 0.0
    return own.low is None or reference.estimate is None or own.low > reference.estimate


def _interval(summary: ScoreSummary) -> str:
    if summary.low is None or summary.high is None:
        return ""
    return f" (95\N{NARROW NO-BREAK SPACE}% interval {100 * summary.low:.0f} to {100 * summary.high:.0f})"


def _near_miss(near: ScoreRecord | None) -> str:
    if near is None or near.outcome != "hit":
        return ""
    return ", but within 15 px at the scale of the model's input"
