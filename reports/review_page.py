"""The data that a study's page needs for a review: its heat maps, the vocabulary, and the session of the server."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from reports.page import json_for_script
from reports.record import ScoredImage, ScoredPhrase, StudyRecord
from reports.review_record import FILE_FORMAT, REASONS, ReviewEntry, moment_audited
from reports.targets import target_boxes
from reports.texts import text

__all__ = [
    "REVIEW_FILES",
    "NeighbourStudies",
    "ReviewSession",
    "neighbours_on_disk",
    "reason_words",
    "review_data",
    "with_verdicts",
    "without_scores",
]

REVIEW_FILES = (
    "review.css",
    "review_migration.js",
    "review_storage.js",
    "review_store.js",
    "review_name.js",
    "review_answer.js",
    "review_boxes.js",
    "review_navigation.js",
    "review_hidden.js",
    "review.js",
)
"""In ``assets``; what they hold stands on every study's page, with the server and without."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NeighbourStudies:
    """Addresses of the previous, the next and the first study, for a page that is opened from disk."""

    previous: str | None
    following: str | None
    first: str


def neighbours_on_disk(keys: Sequence[str], place: int) -> NeighbourStudies:
    """Return the neighbours of the study at index ``place`` among a folder's studies, relative to its page."""
    addresses = [f"../{key}/index.html" for key in keys[max(0, place - 1) : place + 2]]
    return NeighbourStudies(
        previous=addresses[0] if place > 0 else None,
        following=addresses[-1] if place + 1 < len(keys) else None,
        first=f"../{keys[0]}/index.html",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewSession:
    """One reviewer at one study, on a page that ``m2ib-audit review`` serves."""

    reviewer: str
    blind: bool  # what others said is not shown
    hide_scores: bool = False  # nor scores, boxes and the run's verdict before the reviewer has answered a phrase
    place: int  # of the study among all, from 1
    studies: int
    previous: str | None  # address of the study before that has a phrase
    following: str | None
    unanswered: str  # address that leads to the next study with a phrase that this reviewer has not answered


def review_data(
    study: StudyRecord, session: ReviewSession | None, beside: NeighbourStudies | None = None
) -> dict[str, object]:
    """Return the data of the page's review script; without a session the page stores entries in the browser."""
    return {
        "format": FILE_FORMAT,
        "study": study.key,
        "audited": moment_audited(study).isoformat(),
        "reasons": list(reason_words().items()),
        "images": [_image_data(image) for image in study.images],
        "session": None if session is None else asdict(session),
        "beside": None if beside is None else asdict(beside),
    }


def reason_words() -> dict[str, str]:
    """Return the wording of each reason, by its code."""
    return {code: text(f"reason.{code}") for code in REASONS}


def with_verdicts(page: bytes, entries: Iterable[ReviewEntry]) -> bytes:
    """Insert one reviewer's verdicts into the cohort page, which is one file for all reviewers."""
    rows = [[entry.subject.study, entry.subject.audited.isoformat(), entry.verdict] for entry in entries]
    return page.replace(b'"reviewed":null', b'"reviewed":' + json_for_script(rows).encode(), 1)


def without_scores(page: bytes) -> bytes | None:
    """Hide hits, scores and verdicts on the cohort page; None if a page of an older version does not support that."""
    if b".scores-hidden" not in page:
        return None
    return page.replace(b'<body class="cohort-page', b'<body class="cohort-page scores-hidden', 1)


def _image_data(image: ScoredImage) -> dict[str, object]:
    return {
        "key": image.key,
        "rows": image.rows,
        "columns": image.columns,
        "phrases": [
            {"heat": phrase.heat, "peak": phrase.hottest, "boxes": _boxes(image, phrase)} for phrase in image.phrases
        ],
    }


def _boxes(image: ScoredImage, phrase: ScoredPhrase) -> list[dict[str, float]]:
    """Return the boxes that a phrase is scored against, which a reviewer may correct."""
    return [{"x": box.x, "y": box.y, "width": box.width, "height": box.height} for box in target_boxes(image, phrase)]
