"""Tests erasing on phantoms, where the truth is known: the same phantom can be rendered without the finding.

Two questions: does the fall of the cosine with the region erased follow the fall with the finding removed, and does
erasing leave a phantom without findings alone? The second is measured for present and absent phrases: what a fill adds
to the image raises the ones and lowers the others.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.stats import rankdata
from torch.nn.functional import normalize

from audit.encoders.protocol import DualEncoder
from audit.metrics.statistics import Interval, patient_interval
from pipelines.geometry import Placement
from pipelines.phantom.lesions import PHANTOM_FINDINGS
from pipelines.phantom.render import Phantom, RenderedPhantom, render, sample_phantom, without_findings
from pipelines.phantom.wording import Claim, sentences_of
from pipelines.regions.chest import chest_mask, find_lungs
from pipelines.regions.erasing import Donor, Eraser, Fill, region_of_boxes, regions_elsewhere
from pipelines.study import Box
from pipelines.transforms import place_image

__all__ = ["ErasingTest", "ErasingValue"]

_DRAWS, _DONORS = 3, 12
_RESAMPLES, _TAIL = 1000, 0.025


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasingValue:
    """One value of the test."""

    test: str
    interval: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One finding of one phantom; every number is a fall of a cosine."""

    name: str
    finding: str
    truth: float  # with the finding removed
    region: float
    elsewhere: float | None
    healthy: tuple[float, float]  # without findings: of the present phrase and of the absent one
    healthy_elsewhere: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class _Placed:
    """A rendered phantom on the model's input."""

    radiograph: RenderedPhantom
    placement: Placement
    grey: Float[np.ndarray, "rows columns"]


class ErasingTest:
    """Collects the falls of the cosine over phantoms."""

    def __init__(self, encoder: DualEncoder, *, seed: int, columns: int, fill: Fill = Fill.OTHER_PATIENTS) -> None:
        """Prepare a test.

        Args:
            encoder: the model.
            seed: seed of the donors, the places and the grain.
            columns: width at which phantoms are rendered, px.
            fill: what erased regions are filled with.
        """
        self._encoder, self._seed, self._columns, self._fill = encoder, seed, columns, fill
        self._cases: list[_Case] = []
        self._tried: list[tuple[str, float]] = []  # phantom, and 1 if a region could be erased
        self._cosines: list[Float[np.ndarray, " findings"]] = []
        self._donors = [self._donor(index) for index in range(_DONORS)] if fill is Fill.OTHER_PATIENTS else []
        present = [sentences_of(Claim(finding=finding))[0] for finding in PHANTOM_FINDINGS]
        absent = [sentences_of(Claim(finding=finding, absent=True))[0] for finding in PHANTOM_FINDINGS]
        with torch.no_grad():
            self._texts = _unit(encoder.text.forward(encoder.text.tokenise([*present, *absent])))

    def look_at(self, name: str, phantom: Phantom) -> None:
        """Erase each finding's boxes, and equal areas, on the phantom and on the same phantom without findings."""
        own = self._placed(phantom)
        lungs = find_lungs(
            np.round(255.0 * np.clip(own.grey, 0.0, 1.0)).astype(np.uint8), np.ones(own.grey.shape, bool)
        )
        targets = self._region(own, own.radiograph.boxes)
        healthy = self._placed(without_findings(phantom, *phantom.findings))
        midline = own.grey.shape[1] / 2 if lungs is None else lungs.midline
        erasers = [
            Eraser(each.grey, fill=self._fill, midline=midline, targets=targets, donors=self._donors)
            for each in (own, healthy)
        ]
        self._cosines.append(self._falls(own, [])[0][: len(PHANTOM_FINDINGS)])
        for finding in sorted(phantom.findings):
            drawn = zip(own.radiograph.boxes, own.radiograph.boxed, strict=True)
            region = self._region(own, [box for box, lesion in drawn if lesion.finding == finding])
            if not region.any():
                continue
            self._tried.append((name, 0.0))
            generator = np.random.default_rng([self._seed, len(self._cases)])
            places = (
                ()
                if lungs is None
                else regions_elsewhere(
                    region, chest_mask(lungs), targets, midline=midline, draws=_DRAWS, generator=generator
                )
            )
            changed = [[eraser.erase(mask, generator) for mask in (region, *places)] for eraser in erasers]
            if any(images[0] is None for images in changed):
                continue
            self._tried[-1] = (name, 1.0)
            removed = self._placed(without_findings(phantom, finding))
            place = PHANTOM_FINDINGS.index(finding)
            rows = [place, place + len(PHANTOM_FINDINGS)]
            falls, of_healthy = (
                self._falls(each, [image for image in images if image is not None])[1:, rows]
                for each, images in zip((own, healthy), changed, strict=True)
            )
            truth = self._falls(own, [removed.grey])[1, place]
            self._cases.append(
                _Case(
                    name=name,
                    finding=finding,
                    truth=float(truth),
                    region=float(falls[0, 0]),
                    elsewhere=float(falls[1:, 0].mean()) if len(falls) > 1 else None,
                    healthy=(float(of_healthy[0, 0]), float(of_healthy[0, 1])),
                    healthy_elsewhere=tuple(of_healthy[1:].mean(axis=0).tolist()) if len(of_healthy) > 1 else None,
                )
            )

    def values(self) -> Iterator[ErasingValue]:
        """Summarise, with intervals over phantoms."""
        if not self._cases:
            return
        sd = float(np.sqrt(np.array(self._cosines).var(axis=0).mean()))
        shares = _interval(self._tried, are_shares=True)
        yield ErasingValue(test="erasing: share of regions that could be erased", interval=shares)
        paired = [case for case in self._cases if case.elsewhere is not None]
        groups = {"": paired} | {name: [case for case in paired if case.finding == name] for name in PHANTOM_FINDINGS}
        for name, cases in groups.items():
            if cases:
                reliance = [(case.name, (case.region - (case.elsewhere or 0.0)) / sd) for case in cases]
                test = f"  {name}: reliance on its region, SD" if name else "erasing: reliance on the region, SD"
                yield ErasingValue(test=test, interval=_interval(reliance))
        yield ErasingValue(test="erasing: Spearman of its effect and the true effect", interval=self._agreement())
        free = [(case.name, case.healthy[1] - case.healthy[0]) for case in self._cases]
        yield ErasingValue(test="without findings: rise of present less absent phrases", interval=_interval(free))
        less = [
            (case.name, (case.healthy[1] - case.healthy[0]) - (other[1] - other[0]))
            for case in self._cases
            if (other := case.healthy_elsewhere) is not None
        ]
        yield ErasingValue(test="without findings: the same, less that elsewhere", interval=_interval(less))

    def _agreement(self) -> Interval:
        """Correlate ranks over all cases; the interval is a bootstrap over phantoms."""
        pairs = np.array([(case.region, case.truth) for case in self._cases])
        names, phantom = np.unique([case.name for case in self._cases], return_inverse=True)
        of_phantom = [np.flatnonzero(phantom == index) for index in range(len(names))]
        generator = np.random.default_rng(self._seed)
        drawn = []
        for _ in range(_RESAMPLES):
            chosen = np.concatenate([of_phantom[i] for i in generator.integers(len(names), size=len(names))])
            drawn.append(_spearman(pairs[chosen]))
        low, high = np.nanquantile(drawn, [_TAIL, 1.0 - _TAIL])
        found = _spearman(pairs)
        return Interval(estimate=found, low=float(low), high=float(high), values=len(pairs), patients=len(names))

    def _falls(
        self, placed: _Placed, images: Sequence[Float[np.ndarray, "rows columns"]]
    ) -> Float[np.ndarray, "images phrases"]:
        """Return the image's own cosines in the first row, then the falls with each changed image."""
        pixels = [_input(grey, placed.placement, self._encoder) for grey in (placed.grey, *images)]
        with torch.no_grad():
            cosines = _unit(self._encoder.image.forward(torch.stack(pixels))) @ self._texts.T
        falls: Float[np.ndarray, "images phrases"] = np.concatenate([cosines[:1], cosines[:1] - cosines[1:]])
        return falls

    def _placed(self, phantom: Phantom) -> _Placed:
        radiograph = render(phantom, columns=self._columns)
        inputs, placement = place_image(radiograph.image, self._encoder.preprocessing)
        preprocessing = self._encoder.preprocessing
        grey = inputs[0].numpy().astype(float) * preprocessing.std[0] + preprocessing.mean[0]
        return _Placed(radiograph, placement, grey[_shown(placement)])

    def _region(self, placed: _Placed, boxes: Sequence[Box]) -> np.ndarray:
        region: np.ndarray = region_of_boxes(boxes, placed.placement)[_shown(placed.placement)]
        return region

    def _donor(self, index: int) -> Donor:
        placed = self._placed(sample_phantom(np.random.default_rng([self._seed, index, 2]), at_least=1))
        return Donor(image=placed.grey, blocked=self._region(placed, placed.radiograph.boxes))


def _unit(vectors: Float[torch.Tensor, "batch dim"]) -> Float[np.ndarray, "batch dim"]:
    unit: Float[np.ndarray, "batch dim"] = normalize(vectors.float(), dim=-1).cpu().numpy()
    return unit


def _spearman(pairs: Float[np.ndarray, "cases 2"]) -> float:
    """Correlate ranks; NaN if one column is constant, as it may be in a resample of few phantoms."""
    ranks = rankdata(pairs, axis=0)
    spread = ranks.std(axis=0)
    if spread.min() == 0.0:
        return float("nan")
    centred = ranks - ranks.mean(axis=0)
    return float((centred[:, 0] * centred[:, 1]).mean() / spread.prod())


def _shown(placement: Placement) -> tuple[slice, slice]:
    rows, columns = (
        slice(max(start, 0), min(start + length, placement.size))
        for start, length in ((placement.top, placement.resized_rows), (placement.left, placement.resized_columns))
    )
    return rows, columns


def _input(grey: Float[np.ndarray, "rows columns"], placement: Placement, encoder: DualEncoder) -> torch.Tensor:
    preprocessing = encoder.preprocessing
    square = np.zeros((preprocessing.size, preprocessing.size), dtype=np.float32)
    square[_shown(placement)] = grey
    mean, std = (torch.tensor(values)[:, None, None] for values in (preprocessing.mean, preprocessing.std))
    return (torch.from_numpy(square)[None] - mean) / std


def _interval(values: Sequence[tuple[str, float]], *, are_shares: bool = False) -> Interval:
    return patient_interval(
        np.array([value for _, value in values]), [name for name, _ in values], may_be_negative=not are_shares
    )
