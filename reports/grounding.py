"""Recognition and reliance as pages show them: per phrase a sentence and pictures, per finding a row of a table."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.errors import OutputError
from reports.page import format_number, format_percent
from reports.record import ErasedRecord, ScoredPhrase
from reports.run_record import CosineTest, PhraseTest, RunRecord, ScoreSummary
from reports.score_catalogue import COSINE_ROUNDING, PERCENTILE, POINTING, RECALL, RELIANCE, SCORES, score_name
from reports.texts import counted, named, text

__all__ = [
    "ErasedPicture",
    "ErasedView",
    "GroundingRow",
    "cosine_rows",
    "erased_view",
    "grounding_rows",
    "recall_sentence",
    "recognised",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasedPicture:
    """An image with a region erased."""

    picture: bytes
    caption: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasedView:
    """The changes of a phrase's cosine when its image is changed."""

    pictures: tuple[ErasedPicture, ...]
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroundingRow:
    """One finding: whether the model recognises it, relies on the marked region, and shows it."""

    finding: str  # "" for all phrases
    recognises: CosineTest | None
    relies: CosineTest | None
    localises: ScoreSummary | None


def recognised(phrase: ScoredPhrase, test: PhraseTest | None) -> str | None:
    """Say how the phrase's cosine compares; None where the run says nothing of it."""
    if test is None:
        return None
    parts = []
    if test.percentile is not None:
        images = text("grounding.images") if test.images is None else counted("image", test.images)
        parts.append(text("grounding.ranks", share=format_percent(test.percentile), images=images))
    for value, name in ((test.beats_negation, "negation"), (test.beats_other_side, "other_side")):
        if value is not None:
            outcome = "prefers" if value > 0.5 else "not_told" if value == 0.5 else "prefers_opposite"
            parts.append(text(f"grounding.{outcome}_{name}"))
    if not parts:
        return None
    return text("grounding.cosine", cosine=format_number(phrase.cosine, 2), comparisons="; ".join(parts))


def erased_view(
    phrase: ScoredPhrase, pictures: Mapping[str, bytes], *, sd: float | None, study: str, has_own_boxes: bool
) -> ErasedView | None:
    """Show the images with regions erased, and say what this did to the cosine.

    Args:
        phrase: the phrase that they were made for.
        pictures: the study's pictures, by name.
        sd: standard deviation of a phrase's cosines over the images of the run; None if not known.
        study: key of the study.
        has_own_boxes: False while the image is scored against the boxes of another file than the run's: the erased
            regions are then not those of the displayed boxes, and only the blank image is reported.

    Raises:
        OutputError: a picture that the record names is not there.
    """
    erased = phrase.erased
    if erased is None:
        return None
    missing = [name for name in erased.pictures if name not in pictures]
    if missing:
        raise OutputError(f"study {study} lacks the picture {missing[0]!r}: audit the study again")
    if not has_own_boxes:
        return ErasedView(pictures=(), sentences=(text("grounding.own_boxes"), _blank_sentence(phrase, erased)))
    cosines = (erased.region, *erased.elsewhere[:1])
    shown = (
        ErasedPicture(
            picture=pictures[name],
            caption=text(
                f"grounding.{place}", before=format_number(phrase.cosine, 2), after=format_number(cosine or 0.0, 2)
            ),
        )
        for name, place, cosine in zip(erased.pictures, ("region", "elsewhere"), cosines, strict=False)
    )
    return ErasedView(pictures=tuple(shown), sentences=tuple(_sentences(phrase, erased, sd)))


def _sentences(phrase: ScoredPhrase, erased: ErasedRecord, sd: float | None) -> list[str]:
    said = []
    if erased.region is not None and erased.elsewhere:
        mean = sum(erased.elsewhere) / len(erased.elsewhere)
        falls = {"region": phrase.cosine - erased.region, "elsewhere": phrase.cosine - mean}
        said.append(
            text(
                "grounding.falls",
                region=format_number(falls["region"], 2),
                elsewhere=format_number(falls["elsewhere"], 2),
                places=counted("place", len(erased.elsewhere)),
            )
        )
        if sd is not None and sd > COSINE_ROUNDING:
            reliance = (falls["region"] - falls["elsewhere"]) / sd
            said.append(text("grounding.reliance", reliance=format_number(reliance, 1)))
    if erased.reason is not None:
        said.append(text("grounding.not_erased", reason=erased.reason))
    said.append(_blank_sentence(phrase, erased))
    said.append(text("grounding.filled", fill=named("fill", erased.fill)))
    return said


def _blank_sentence(phrase: ScoredPhrase, erased: ErasedRecord) -> str:
    return text("grounding.blank", fall=format_number(phrase.cosine - erased.blank, 2))


def grounding_rows(run: RunRecord) -> tuple[GroundingRow, ...]:
    """List all phrases, then each finding; nothing for a run of an older version."""
    tests = {(test.test, test.finding): test for test in run.cosine_tests}
    hits = {
        summary.finding: summary
        for summary in run.summaries
        if (summary.method, summary.score, summary.averaging) == (run.method, POINTING, "micro") and summary.scored
    }
    findings = dict.fromkeys(test.finding for test in run.cosine_tests if test.test in {PERCENTILE, RELIANCE})
    return tuple(
        GroundingRow(
            finding=finding or "",
            recognises=tests.get((PERCENTILE, finding)),
            relies=tests.get((RELIANCE, finding)),
            localises=hits.get(finding),
        )
        for finding in findings
    )


def cosine_rows(run: RunRecord) -> tuple[tuple[str, CosineTest], ...]:
    """List every test over all phrases with its name; retrieval has a sentence of its own."""
    return tuple(
        (score_name(test.test), test) for test in run.cosine_tests if test.finding is None and test.test in SCORES
    )


def recall_sentence(run: RunRecord) -> str | None:
    """Say how often an image finds its own report among other patients'; None where it was not measured."""
    found = {test.test: test for test in run.cosine_tests}
    tests = [found[name] for rank in (1, 5, 10) if (name := RECALL.format(rank)) in found]
    if len(tests) < 3:
        return None
    first, five, ten = (
        text(
            "grounding.share_of_chance",
            share=format_percent(test.result.estimate),
            chance=format_percent(test.chance),
        )
        for test in tests
    )
    return text(
        "grounding.recall",
        images=counted("image", tests[0].result.cases),
        patients=counted("patient", tests[0].result.patients),
        first=first,
        five=five,
        ten=ten,
    )
