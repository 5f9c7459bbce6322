"""Reliance of one phrase: what its cosine loses with regions of the image erased, and with a blank image."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pipelines.errors import OutputError
from reports.page import format_number
from reports.record import ErasedRecord, ScoredPhrase
from reports.score_catalogue import COSINE_ROUNDING
from reports.texts import counted, named, text

__all__ = ["Answer", "EffectRow", "ErasedPicture", "ErasedView", "Falls", "erased_view", "falls_of", "relies_on_region"]

Answer = Literal["yes", "no", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Falls:
    """How far a phrase's cosine falls with a part of its image erased."""

    region: float
    elsewhere: tuple[float, ...]  # one for each equal area; not empty

    @property
    def mean_elsewhere(self) -> float:
        """Mean over the equal areas."""
        return sum(self.elsewhere) / len(self.elsewhere)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasedPicture:
    """An image with a region erased."""

    picture: bytes
    place: str  # "region" or "elsewhere"
    name: str
    caption: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectRow:
    """The fall of a phrase's cosine with one change of its image, and its bar."""

    name: str
    fall: float
    in_sd: float | None  # None where the run's standard deviation is not known
    start: float  # of the bar, in percent of the plot's width
    width: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasedView:
    """The changes of a phrase's cosine when its image is changed."""

    answer: Answer  # whether the cosine depends on the marked region
    lead: str  # the same in words
    pictures: tuple[ErasedPicture, ...]
    effects: tuple[EffectRow, ...]
    zero: float  # where the bars begin, in percent of the plot's width
    sentences: tuple[str, ...]


def falls_of(phrase: ScoredPhrase) -> Falls | None:
    """Return how far a phrase's cosine falls; None where its region or an equal area was not erased."""
    erased = phrase.erased
    if erased is None or erased.region is None or not erased.elsewhere:
        return None
    elsewhere = tuple(phrase.cosine - cosine for cosine in erased.elsewhere)
    return Falls(region=phrase.cosine - erased.region, elsewhere=elsewhere)


def relies_on_region(falls: Falls) -> bool | None:
    """Return whether a phrase's cosine depends on the marked region.

    It does if it falls more without the region than without each equal area elsewhere; it does not if it falls no more
    than without them on average; None in between.
    """
    if falls.region - falls.mean_elsewhere <= COSINE_ROUNDING:
        return False
    return True if falls.region - max(falls.elsewhere) > COSINE_ROUNDING else None


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
        return ErasedView(
            answer="unknown",
            lead=text("grounding.not_measured"),
            pictures=(),
            effects=(),
            zero=0.0,
            sentences=(text("grounding.own_boxes"), _blank_sentence(phrase, erased)),
        )
    cosines = (erased.region, *erased.elsewhere[:1])
    shown = (
        ErasedPicture(
            picture=pictures[name],
            place=place,
            name=text(f"grounding.{place}"),
            caption=text(
                "grounding.cosines", before=format_number(phrase.cosine, 2), after=format_number(cosine or 0.0, 2)
            ),
        )
        for name, place, cosine in zip(erased.pictures, ("region", "elsewhere"), cosines, strict=False)
    )
    falls = falls_of(phrase)
    zero, effects = _effects(phrase, erased, falls, sd)
    relies = None if falls is None else relies_on_region(falls)
    return ErasedView(
        answer="unknown" if relies is None else "yes" if relies else "no",
        lead=_lead(falls),
        pictures=tuple(shown),
        effects=effects,
        zero=zero,
        sentences=tuple(_sentences(erased, falls, sd)),
    )


def _lead(falls: Falls | None) -> str:
    if falls is None:
        return text("grounding.not_measured")
    relies = relies_on_region(falls)
    answer = "between" if relies is None else "depends" if relies else "does_not_depend"
    rises = [fall < -COSINE_ROUNDING for fall in (falls.region, falls.mean_elsewhere)]
    names = {(False, True): "_elsewhere_rises", (True, False): "_rises", (True, True): "_both_rise"}
    which = names.get((rises[0], rises[1]), "")
    if answer == "does_not_depend" and not rises[0]:  # elsewhere it rises by no more than rounding
        which = ""
    return text(
        f"grounding.{answer}{which}",
        region=format_number(abs(falls.region), 2),
        elsewhere=format_number(abs(falls.mean_elsewhere), 2),
        places=counted("place", len(falls.elsewhere)),
    )


def _effects(
    phrase: ScoredPhrase, erased: ErasedRecord, falls: Falls | None, sd: float | None
) -> tuple[float, tuple[EffectRow, ...]]:
    """Return where bars begin, and a bar for each change."""
    found = [] if erased.region is None else [(text("grounding.without_region"), phrase.cosine - erased.region)]
    if falls is not None:
        places = counted("place", len(falls.elsewhere))
        found.append((text("grounding.without_elsewhere", places=places), falls.mean_elsewhere))
    found.append((text("grounding.with_blank"), phrase.cosine - erased.blank))
    low, high = min(0.0, *(fall for _, fall in found)), max(0.0, *(fall for _, fall in found))
    span = max(high - low, COSINE_ROUNDING)
    rows = (
        EffectRow(
            name=name,
            fall=fall,
            in_sd=fall / sd if sd is not None and sd > COSINE_ROUNDING else None,
            start=round(100.0 * (min(fall, 0.0) - low) / span, 2),
            width=round(100.0 * abs(fall) / span, 2),
        )
        for name, fall in found
    )
    return round(100.0 * -low / span, 2), tuple(rows)


def _sentences(erased: ErasedRecord, falls: Falls | None, sd: float | None) -> list[str]:
    said = []
    if falls is not None and sd is not None and sd > COSINE_ROUNDING:
        reliance = (falls.region - falls.mean_elsewhere) / sd
        said.append(text("grounding.reliance", reliance=format_number(reliance, 1)))
    if erased.reason is not None:
        said.append(text("grounding.not_erased", reason=erased.reason))
    said.append(text("grounding.filled", fill=named("fill", erased.fill)))
    return said


def _blank_sentence(phrase: ScoredPhrase, erased: ErasedRecord) -> str:
    return text("grounding.blank", fall=format_number(phrase.cosine - erased.blank, 2))
