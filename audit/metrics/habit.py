"""A model's habit: the mean of its own heat over other patients' images.

A method that points at the same place on every image can hit a box without looking at the image. The mean of its heat
over other patients, for the same finding, has that habit and nothing of this image: a method that does not score above
it has not shown that it looked.

Every heat map is brought to the grid of the content-blind references and divided by its total, so that each image
counts once whatever the amount of its heat. The correlation of a heat map with that mean tells, without any box, how
much of it is habit.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float, Int

from audit.metrics.blind import GRID, BlindCase, relative_shape
from audit.metrics.scores import score_on_grid
from pipelines.geometry import Placement
from reports.record import Score, ScoredImage
from reports.score_catalogue import MEAN_HEAT_CORRELATION, mean_heat_name
from reports.targets import target_boxes

__all__ = [
    "FEWEST_IMAGES",
    "HeatSum",
    "HeatedImage",
    "HeatedPhrase",
    "MeanHeats",
    "heat_shares",
    "heated_images",
    "mean_heat_rows",
    "phrase_columns",
]

FEWEST_IMAGES = 10
"""Other patients' images of the same finding, below which the mean is over those of all findings."""

Cells = Float[np.ndarray, "128 128"]


def heat_shares(heat: Float[np.ndarray, "grid_rows grid_columns"], placement: Placement) -> Cells | None:
    """Bring heat on the model's grid to 128 x 128 cells over the image, as shares of its total.

    Args:
        heat: on the model's grid; negative values count as 0.
        placement: of the image in the model's input.

    Returns:
        float32, NaN in cells that the model did not see; None if there is no heat in the image.
    """
    over_image = replace(placement, rows=GRID, columns=GRID).heat_to_source(np.maximum(heat.astype(np.float32), 0.0))
    total = float(np.nansum(over_image))
    return over_image / total if total > 0.0 else None


@dataclass(slots=True)
class HeatSum:
    """The sum of images' heat maps, and how many images saw each cell."""

    heat: Cells = field(default_factory=lambda: np.zeros((GRID, GRID)))
    seen: Int[np.ndarray, "128 128"] = field(default_factory=lambda: np.zeros((GRID, GRID), dtype=np.int64))
    images: int = 0

    def add(self, shares: Cells) -> None:
        """Add one image's heat; NaN cells were not seen."""
        seen = ~np.isnan(shares)
        self.heat[seen] += shares[seen]
        self.seen += seen
        self.images += 1

    def minus(self, other: "HeatSum") -> "HeatSum":
        """Return the sum without the images of ``other``, which are among these."""
        return HeatSum(self.heat - other.heat, self.seen - other.seen, self.images - other.images)

    def mean(self) -> Cells:
        """Return the mean over the images that saw each cell; 0 in cells that none saw."""
        return np.where(self.seen > 0, self.heat / np.maximum(self.seen, 1), 0.0).astype(np.float32)


class MeanHeats:
    """Sums of heat by method and finding. Memory depends on the number of findings, not on that of images."""

    def __init__(self) -> None:
        self._sums: defaultdict[tuple[str, str | None], HeatSum] = defaultdict(HeatSum)

    def add_image(self, method: str, heats: Iterable[tuple[str | None, Cells]]) -> None:
        """Add one image's heat of a method, by finding: several phrases of a finding count as their mean.

        Args:
            method: whose heat it is.
            heats: finding and :func:`heat_shares` of each phrase; None for a phrase that names no finding.
        """
        maps: defaultdict[str, list[Cells]] = defaultdict(list)
        all_maps = []
        for finding, shares in heats:
            all_maps.append(shares)
            if finding is not None:
                maps[finding].append(shares)
        for finding, of_finding in maps.items():
            self._sums[method, finding].add(np.mean(of_finding, axis=0))
        if all_maps:
            self._sums[method, None].add(np.mean(all_maps, axis=0))

    def of_others(self, own: "MeanHeats", method: str, finding: str | None) -> Cells | None:
        """Return the mean heat of a method over other patients' images.

        Args:
            own: the sums over the patient's own images, which are left out.
            method: whose heat.
            finding: whose images, if there are at least :data:`FEWEST_IMAGES` of other patients; else those of all.

        Returns:
            float32; None if there is no other patient's image with heat.
        """
        for name in (finding, None):
            others = self.sum_of(method, name).minus(own.sum_of(method, name))
            if others.images >= (1 if name is None else FEWEST_IMAGES):
                return others.mean()
        return None

    def sum_of(self, method: str, finding: str | None) -> HeatSum:
        """Return the sum over images of a finding, or of all findings together if it is None."""
        return self._sums.get((method, finding), HeatSum())


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatedPhrase:
    """A phrase with each method's heat, and what it is scored against."""

    columns: Mapping[str, object]  # of the table of scores, which name the phrase
    case: BlindCase
    heats: Mapping[str, Float[np.ndarray, "grid_rows grid_columns"]]  # by method, on the model's grid


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatedImage:
    """An image with the heat of its phrases; small, so that thousands can be in memory."""

    key: str
    patient: str
    placement: Placement  # in the model's input
    spacing_mm: tuple[float, float] | None
    phrases: tuple[HeatedPhrase, ...]


def heated_images(
    images: Sequence[ScoredImage],
    heats: Mapping[str, Float[np.ndarray, "grid_rows grid_columns"]],
    *,
    method: str,
    study: str,
    patient: str | None,
) -> Iterator[HeatedImage]:
    """Take the heat maps of a study's phrases, without those of controls.

    Args:
        images: of the study.
        heats: their heat maps, by the names in the records; empty: nothing is taken.
        method: whose heat the phrases name first.
        study: key of the study.
        patient: key of the patient; None: the study counts as a patient of its own.
    """
    for image in images if heats else ():
        yield HeatedImage(
            key=image.key,
            patient=patient or study,
            placement=image.placement,
            spacing_mm=image.spacing_mm,
            phrases=tuple(
                HeatedPhrase(
                    columns=phrase_columns(image, index, study=study, patient=patient),
                    case=BlindCase(
                        patient=patient or study,
                        finding=str(phrase.finding),
                        side=phrase.side,
                        zone=phrase.zone,
                        boxes=tuple(
                            relative_shape(box, rows=image.rows, columns=image.columns)
                            for box in target_boxes(image, phrase)
                        ),
                    ),
                    heats={method: heats[phrase.heat]} | {other.method: heats[other.heat] for other in phrase.others},
                )
                for index, phrase in enumerate(image.phrases)
            ),
        )


def phrase_columns(image: ScoredImage, index: int, *, study: str, patient: str | None) -> dict[str, object]:
    """Return the columns of the table of scores that name a phrase; absent phrases are numbered after the others."""
    phrase = (*image.phrases, *image.absent)[index]
    return {
        "study": study,
        "image": image.key,
        "patient": patient,
        "date": None if image.study_date is None else image.study_date.isoformat(),
        "phrase": index,
        "finding": phrase.finding,
        "side": phrase.side,
        "zone": phrase.zone,
        "context": phrase.context,
    }


def mean_heat_rows(images: Sequence[HeatedImage]) -> Iterator[dict[str, object]]:
    """Score each method's mean heat over other patients on every phrase: rows of the table of scores.

    Args:
        images: of the cohort, in any order.

    Yields:
        A row per phrase, method and score, under the name :func:`reports.score_catalogue.mean_heat_name`.
    """
    everyone = MeanHeats()
    by_patient: defaultdict[str, list[HeatedImage]] = defaultdict(list)
    for image in sorted(images, key=lambda image: image.key):  # sums do not depend on the order of the studies
        _add(everyone, image)
        by_patient[image.patient].append(image)
    for of_patient in by_patient.values():
        own = MeanHeats()
        for image in of_patient:
            _add(own, image)
        for image in of_patient:
            for phrase in image.phrases:
                yield from ({**phrase.columns, **score.model_dump()} for score in _score(image, phrase, everyone, own))


def _add(sums: MeanHeats, image: HeatedImage) -> None:
    for method in dict.fromkeys(method for phrase in image.phrases for method in phrase.heats):
        shares = (
            (phrase.case.finding, heat_shares(phrase.heats[method], image.placement))
            for phrase in image.phrases
            if method in phrase.heats
        )
        sums.add_image(method, [(finding, found) for finding, found in shares if found is not None])


def _score(image: HeatedImage, phrase: HeatedPhrase, everyone: MeanHeats, own: MeanHeats) -> Iterator[Score]:
    for method, heat in phrase.heats.items():
        mean = everyone.of_others(own, method, phrase.case.finding)
        yield from score_on_grid(
            mean,
            phrase.case,
            method=mean_heat_name(method),
            image_shape=(image.placement.rows, image.placement.columns),
            model_px=image.placement.model_px,
            spacing_mm=image.spacing_mm,
        )
        shares = heat_shares(heat, image.placement)
        value = None if mean is None or shares is None else _correlation(shares, mean)
        if value is not None:
            yield Score(method=method, score=MEAN_HEAT_CORRELATION, value=value, outcome="scored")


def _correlation(shares: Cells, mean: Cells) -> float | None:
    """Return Pearson's correlation over the cells that the model saw; None if either map is constant there."""
    seen = ~np.isnan(shares)
    own, others = (cells[seen].astype(np.float64) for cells in (shares, mean))
    own, others = own - own.mean(), others - others.mean()
    norm = float(np.sqrt((own @ own) * (others @ others)))
    return float(own @ others) / norm if norm > 0.0 else None
