"""Phrases with the heat of two models side by side: those that the models answer differently, and all of a study."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.study import Box
from reports.cases import study_address
from reports.model_comparison_record import ChangedPhrase, ModelComparisonRecord, SharedPhrase
from reports.outcomes import outcome_of
from reports.overlay import thumbnail
from reports.record import Pixel, ScoredPhrase
from reports.results_folder import StudyFolder, read_study
from reports.targets import target_boxes

__all__ = ["GALLERY_AT_MOST", "GalleryPair", "GallerySide", "gallery_of", "study_pairs"]

GALLERY_AT_MOST = 40
"""How many phrases won, and how many lost, have pictures: a pair takes some 100 kB of the page."""

_SIDE = 240  # px

_Studies = tuple[StudyFolder, StudyFolder]


@dataclass(frozen=True, slots=True, kw_only=True)
class GallerySide:
    """The heat of one model over the radiograph."""

    name: str
    picture: bytes
    peak: Pixel | None
    address: str  # of the phrase on its study's page, relative to the page over all studies
    outcome: str  # "hit", "miss" or "unscored"
    cosine: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GalleryPair:
    """One phrase with the heat of both models."""

    phrase: SharedPhrase
    rows: int  # of the source, in whose pixels boxes and peaks are
    columns: int
    boxes: tuple[Box, ...]
    sides: tuple[GallerySide, GallerySide]


def _shown_changes(record: ModelComparisonRecord) -> tuple[ChangedPhrase, ...]:
    """Return the phrases won and lost that have pictures."""
    chosen = ([each for each in record.changed if each.change == change] for change in ("won", "lost"))
    return tuple(each for changed in chosen for each in changed[:GALLERY_AT_MOST])


def gallery_of(record: ModelComparisonRecord, folders: tuple[Path, Path]) -> tuple[GalleryPair, ...]:
    """Read the heat of the first phrases won and lost.

    Args:
        record: of the comparison.
        folders: of the runs of both models.

    Raises:
        DamagedError: a study cannot be read.
    """
    return tuple(_pair(record, _read(folders, changed.study), changed) for changed in _shown_changes(record))


def study_pairs(
    record: ModelComparisonRecord, folders: tuple[Path, Path], phrases: Sequence[SharedPhrase]
) -> Iterator[GalleryPair]:
    """Yield every phrase of one study that has heat.

    Args:
        record: of the comparison.
        folders: of the runs of both models.
        phrases: of the study.

    Raises:
        DamagedError: the study cannot be read.
    """
    studies = _read(folders, phrases[0].study)
    for phrase in phrases:
        if phrase.phrases[0] < len(studies[0].record.images[phrase.places[0]].phrases):  # else an absent phrase
            yield _pair(record, studies, phrase)


def _read(folders: tuple[Path, Path], study: str) -> _Studies:
    return read_study(folders[0] / "studies" / study), read_study(folders[1] / "studies" / study)


def _pair(record: ModelComparisonRecord, studies: _Studies, phrase: SharedPhrase) -> GalleryPair:
    image = studies[0].record.images[phrase.places[0]]
    return GalleryPair(
        phrase=phrase,
        rows=image.rows,
        columns=image.columns,
        boxes=target_boxes(image, image.phrases[phrase.phrases[0]]),
        sides=(_side(record, phrase, studies[0], 0), _side(record, phrase, studies[1], 1)),
    )


def _side(record: ModelComparisonRecord, shared: SharedPhrase, study: StudyFolder, side: int) -> GallerySide:
    place, number = shared.places[side], shared.phrases[side]
    image = study.record.images[place]
    phrase = image.phrases[number]
    heat, peak = _heat_of(phrase, record.method)
    picture = thumbnail(
        study.pictures[image.picture], heats=study.heats, show=heat, placement=image.placement, side=_SIDE
    )
    return GallerySide(
        name=record.runs[side].model.name,
        picture=picture,
        peak=peak,
        address=f"{record.runs[side].address}/{study_address(shared.study)}#phrase-{place}-{number}",
        outcome=outcome_of(phrase, method=record.method),
        cosine=phrase.cosine,
    )


def _heat_of(phrase: ScoredPhrase, method: str) -> tuple[str, Pixel | None]:
    """Return the name and the peak of the heat of a method, which may not be the run's main one."""
    other = next((each for each in phrase.others if each.method == method), None)
    return (phrase.heat, phrase.hottest) if other is None else (other.heat, other.hottest)
