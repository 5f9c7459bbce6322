"""The phrases that two models answer differently, each with the heat of both models side by side."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.study import Box
from reports.cases import study_address
from reports.model_comparison_record import ChangedPhrase, ModelComparisonRecord
from reports.overlay import thumbnail
from reports.record import Pixel
from reports.results_folder import StudyFolder, read_study
from reports.targets import target_boxes

__all__ = ["GALLERY_AT_MOST", "GalleryPair", "GallerySide", "gallery_of"]

GALLERY_AT_MOST = 40
"""How many phrases won, and how many lost, have pictures: a pair takes some 100 kB of the page."""

_SIDE = 240  # px


@dataclass(frozen=True, slots=True, kw_only=True)
class GallerySide:
    """The heat of one model over the radiograph."""

    name: str
    picture: bytes
    peak: Pixel | None
    address: str  # of the phrase on its study's page


@dataclass(frozen=True, slots=True, kw_only=True)
class GalleryPair:
    """One phrase with the heat of both models."""

    changed: ChangedPhrase
    rows: int  # of the source, in whose pixels boxes and peaks are
    columns: int
    boxes: tuple[Box, ...]
    sides: tuple[GallerySide, GallerySide]


def gallery_of(record: ModelComparisonRecord, folders: tuple[Path, Path]) -> tuple[GalleryPair, ...]:
    """Read the heat of the first phrases won and lost.

    Args:
        record: of the comparison.
        folders: of the runs of both models.

    Raises:
        DamagedError: a study cannot be read.
    """
    return tuple(_pair(record, folders, changed) for changed in _shown(record.changed))


def _shown(changed: Sequence[ChangedPhrase]) -> Iterator[ChangedPhrase]:
    for change in ("won", "lost"):
        yield from [each for each in changed if each.change == change][:GALLERY_AT_MOST]


def _pair(record: ModelComparisonRecord, folders: tuple[Path, Path], changed: ChangedPhrase) -> GalleryPair:
    studies = [read_study(folder / "studies" / changed.study) for folder in folders]
    image = studies[0].record.images[changed.places[0]]
    return GalleryPair(
        changed=changed,
        rows=image.rows,
        columns=image.columns,
        boxes=target_boxes(image, image.phrases[changed.phrases[0]]),
        sides=(_side(record, changed, studies[0], 0), _side(record, changed, studies[1], 1)),
    )


def _side(record: ModelComparisonRecord, changed: ChangedPhrase, study: StudyFolder, side: int) -> GallerySide:
    place, number = changed.places[side], changed.phrases[side]
    image = study.record.images[place]
    phrase = image.phrases[number]
    other = next((each for each in phrase.others if each.method == record.method), None)
    picture = thumbnail(
        study.pictures[image.picture],
        heats=study.heats,
        show=phrase.heat if other is None else other.heat,
        placement=image.placement,
        side=_SIDE,
    )
    return GallerySide(
        name=record.runs[side].model.name,
        picture=picture,
        peak=phrase.hottest if other is None else other.hottest,
        address=f"{record.runs[side].address}/{study_address(changed.study)}#phrase-{place}-{number}",
    )
