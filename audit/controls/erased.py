"""Image-side controls: the model sees the image with a phrase's target erased, with equal areas erased, and blank.

They need only the cosine, so they cost forward passes of the image tower and no attribution. Two further controls,
other patients' images with and without the finding, follow from the stored embeddings
(:mod:`audit.metrics.recognition`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image as Picture
from torch import Tensor

from audit.attribution.engine import pair_seed
from audit.controls.plan import ControlPlan, patient_of
from pipelines.boxes.table import target_boxes
from pipelines.errors import InputError
from pipelines.geometry import Placement
from pipelines.privacy.burned_in import Area, BurnedIn
from pipelines.regions import chest_of
from pipelines.regions.erasing import Donor, Eraser, Fill, region_of_boxes, regions_elsewhere, without_hidden
from pipelines.study import Box, Case, Exclusion, Image
from pipelines.transforms import LoadedCase, Preprocessing, load_cases

__all__ = ["ErasedImage", "ErasedRegion", "ImageControls"]

DRAWS = 3
"""Equal areas elsewhere for each phrase."""

_QUALITY = 85  # of a picture's JPEG

Vector = Float[np.ndarray, " dim"]
Grey = Float[np.ndarray, "content_rows content_columns"]
Mask = Bool[np.ndarray, "content_rows content_columns"]
Embed = Callable[[Sequence[Float[Tensor, "3 size size"]]], Float[np.ndarray, "images dim"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasedRegion:
    """One phrase's cosines with changed images."""

    index: int  # of the phrase in its case
    fill: Fill
    region: float | None = None  # None: see ``reason``
    elsewhere: tuple[float, ...] = ()
    blank: float
    reason: str | None = None  # why the region, or an equal area, could not be erased
    pictures: tuple[bytes, ...] = ()  # JPEG: the region erased, then the first equal area


@dataclass(slots=True, kw_only=True)
class ErasedImage:
    """A changed image and what it is for."""

    grey: Grey
    index: int  # of the phrase
    kind: str  # "region" or "elsewhere"


@dataclass(frozen=True, slots=True)
class _Content:
    """The part of a model's input that shows the image: what a letterbox pads is left out."""

    rows: slice
    columns: slice

    @classmethod
    def of(cls, placement: Placement) -> "_Content":
        ends = (
            (max(start, 0), min(start + length, placement.size))
            for start, length in (
                (placement.top, placement.resized_rows),
                (placement.left, placement.resized_columns),
            )
        )
        rows, columns = (slice(*end) for end in ends)
        return cls(rows, columns)


class ImageControls:
    """Erases the targets of the sampled phrases; holds paths alone, and reads donors when they are first needed."""

    def __init__(self, plan: ControlPlan, *, fill: Fill, seed: int, burned_in: BurnedIn = BurnedIn.MASK) -> None:
        """Prepare the controls.

        Args:
            plan: the phrases, and the images that regions may be filled from.
            fill: what erased regions are filled with.
            seed: seed of the places and of the grain.
            burned_in: what to do with text on the images to fill from; it is never copied.
        """
        self._plan, self._fill, self._seed, self._burned_in = plan, fill, seed, burned_in
        self._donors: list[tuple[str, Donor]] | None = None

    def of(
        self,
        loaded: LoadedCase,
        preprocessing: Preprocessing,
        texts: Mapping[int, Float[np.ndarray, " dim"]],
        embed: Embed,
    ) -> tuple[ErasedRegion, ...]:
        """Erase the regions of one image's sampled phrases.

        Args:
            loaded: the image.
            preprocessing: what the image tower expects.
            texts: embedding of each sampled phrase, of length 1, by its index.
            embed: gives the embeddings of images, of length 1.
        """
        planned = self._plan.of(loaded.case)
        if not planned:
            return ()
        content = _Content.of(loaded.placement)
        grey = _grey(loaded.inputs, preprocessing)[content.rows, content.columns]
        changed, reasons = [], dict[int, str]()
        eraser = _CaseEraser(self, loaded, preprocessing, grey, content)
        for phrase in planned:
            found, reason = eraser.erased(phrase.index)
            changed += found
            if reason is not None:
                reasons[phrase.index] = reason
        images = [np.full_like(grey, grey.mean()), *(image.grey for image in changed)]
        vectors = embed([_input(image, loaded.inputs, content, preprocessing) for image in images])
        return tuple(
            self._result(phrase.index, texts[phrase.index], vectors, changed, reasons.get(phrase.index), loaded)
            for phrase in planned
        )

    def _result(
        self,
        index: int,
        text: Vector,
        vectors: Float[np.ndarray, "images dim"],
        changed: Sequence[ErasedImage],
        reason: str | None,
        loaded: LoadedCase,
    ) -> ErasedRegion:
        own = [place for place, image in enumerate(changed) if image.index == index]
        cosines = {place: float(vectors[place + 1] @ text) for place in own}
        region = [place for place in own if changed[place].kind == "region"]
        elsewhere = [place for place in own if changed[place].kind == "elsewhere"]
        return ErasedRegion(
            index=index,
            fill=self._fill,
            region=cosines[region[0]] if region else None,
            elsewhere=tuple(cosines[place] for place in elsewhere),
            blank=float(vectors[0] @ text),
            reason=reason,
            pictures=tuple(_picture(changed[place].grey, loaded) for place in (*region, *elsewhere[:1])),
        )

    def generator(self, *parts: str) -> np.random.Generator:
        """Make the generator of one phrase's draws."""
        return np.random.default_rng(pair_seed(self._seed, "erase", *parts))

    def eraser(
        self, grey: Grey, *, midline: float, targets: Mask, hidden: Mask, image: Image, preprocessing: Preprocessing
    ) -> Eraser:
        """Prepare the fill of one image; donors of the same patient are not used.

        Raises:
            InputError: an image to fill from cannot be read. It is tried again for the next image.
        """
        if self._fill is Fill.OTHER_PATIENTS and self._donors is None:
            self._donors = list(_donors(self._plan.fillers, preprocessing, self._burned_in))
        donors = [
            donor.mirrored() if image.horizontally_flipped else donor
            for patient, donor in self._donors or ()
            if patient != patient_of(image)
        ]
        return Eraser(grey, fill=self._fill, midline=midline, targets=targets, hidden=hidden, donors=donors)


class _CaseEraser:
    """The regions of one image, with what is computed once for all its phrases."""

    def __init__(
        self,
        controls: ImageControls,
        loaded: LoadedCase,
        preprocessing: Preprocessing,
        grey: Grey,
        content: _Content,
    ) -> None:
        self._controls, self._loaded, self._content = controls, loaded, content
        found = chest_of(loaded.picture, loaded.valid)
        self._chest = None if found.chest is None else _on_input(found.chest, loaded.placement, content)
        middle = loaded.placement.columns / 2 if found.lungs is None else found.lungs.midline * found.pixel[1]
        self._midline = float(loaded.placement.to_model(0.0, middle)[1]) - content.columns.start
        self._targets = self._region(loaded.case.boxes)
        self._hidden = _hidden(loaded)[content.rows, content.columns]
        self._eraser: Eraser | None = None
        self._grey, self._preprocessing = grey, preprocessing

    def erased(self, index: int) -> tuple[list[ErasedImage], str | None]:
        """Erase the target of a phrase, then equal areas elsewhere.

        Returns:
            The changed images, and why the region or an equal area was not erased; None if both were.
        """
        case = self._loaded.case
        phrase, region = case.phrases[index], self._region(target_boxes(case, case.phrases[index]))
        if not case.image.view.is_frontal or not region.any():
            is_frontal = case.image.view.is_frontal
            return [], "no box on the model's input" if is_frontal else "regions are erased on frontal views only"
        if self._eraser is None:
            try:
                self._eraser = self._controls.eraser(
                    self._grey,
                    midline=self._midline,
                    targets=self._targets,
                    hidden=self._hidden,
                    image=case.image,
                    preprocessing=self._preprocessing,
                )
            except InputError as error:  # a file of another study: this one's other results stand
                return [], str(error)
        generator = self._controls.generator(case.image.instance, str(index))
        own = self._eraser.erase(region, generator, finding=phrase.finding)
        if own is None:
            return [], "nothing to fill the region with"
        found = [ErasedImage(grey=own, index=index, kind="region")]
        if self._chest is None:
            return found, "the lungs were not found"
        places = regions_elsewhere(
            region, self._chest, self._targets, midline=self._midline, draws=DRAWS, generator=generator
        )
        others = [self._eraser.erase(place, generator, finding=phrase.finding) for place in places]
        found += [ErasedImage(grey=other, index=index, kind="elsewhere") for other in others if other is not None]
        if len(found) > 1:
            return found, None
        return found, "nothing to fill an equal area with" if places else "no room for an equal area in the chest"

    def _region(self, boxes: Sequence[Box]) -> Mask:
        region: Mask = region_of_boxes(boxes, self._loaded.placement)[self._content.rows, self._content.columns]
        return region


def _donors(cases: Sequence[Case], preprocessing: Preprocessing, burned_in: BurnedIn) -> Iterator[tuple[str, Donor]]:
    """Read the images to fill from, none flipped, with their patients; one that cannot be decoded or shown is no donor.

    A process of its own decodes them, because a damaged file may end it. Text is also looked for where the run keeps
    it: only the pages of its own patient may show it.

    Raises:
        InputError: a file cannot be read. Without it, results would depend on the moment and on the machine.
    """
    policy = BurnedIn.MASK if burned_in is BurnedIn.KEEP else burned_in
    for source, first in zip(cases, load_cases(cases, preprocessing, workers=1, burned_in=policy), strict=True):
        loaded = first
        if isinstance(loaded, Exclusion) and loaded.failed:
            _check_readable(source)
            (loaded,) = load_cases([source], preprocessing, workers=1, burned_in=policy)  # the share may be back
        if not isinstance(loaded, LoadedCase):
            continue
        case, content = loaded.case, _Content.of(loaded.placement)
        text = _hidden(loaded)
        grey = without_hidden(_grey(loaded.inputs, preprocessing), text)
        blocked = text | region_of_boxes(case.boxes, loaded.placement)
        donor = Donor(
            image=grey[content.rows, content.columns],
            blocked=blocked[content.rows, content.columns],
            unplaced=frozenset(
                phrase.finding for phrase in case.phrases if phrase.finding and not target_boxes(case, phrase)
            ),
        )
        yield patient_of(case.image), donor.mirrored() if case.image.horizontally_flipped else donor


def _check_readable(case: Case) -> None:
    try:
        with case.image.path.open("rb") as stream:
            stream.read(1)
    except OSError as error:
        raise InputError(
            f"an image to fill the region from cannot be read ({error.strerror}): make all files of --dicom-dir "
            "readable on every machine of the run, then repeat the command"
        ) from error


def _hidden(loaded: LoadedCase) -> Bool[np.ndarray, "size size"]:
    """Mark the burned-in text on the model's input."""
    areas = [
        Box(x=area.left, y=area.top, width=area.right - area.left, height=area.bottom - area.top, label="")
        for area in loaded.blanked
    ]
    return region_of_boxes(areas, loaded.placement)


def _grey(inputs: Float[Tensor, "3 size size"], preprocessing: Preprocessing) -> Float[np.ndarray, "size size"]:
    """Undo the normalisation of a grey image: values from 0 to 1."""
    grey: Float[np.ndarray, "size size"] = (inputs[0].numpy() * preprocessing.std[0] + preprocessing.mean[0]).astype(
        np.float64
    )
    return grey


def _input(
    grey: Grey, inputs: Float[Tensor, "3 size size"], content: _Content, preprocessing: Preprocessing
) -> Float[Tensor, "3 size size"]:
    """Put changed grey values in the place of a model's input, and normalise them."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (preprocessing.mean, preprocessing.std))
    changed = inputs.clone()
    changed[:, content.rows, content.columns] = (torch.from_numpy(grey.astype(np.float32))[None] - mean) / std
    return changed


def _on_input(mask: Bool[np.ndarray, "grid_rows grid_columns"], placement: Placement, content: _Content) -> Mask:
    """Sample a mask that covers the source image at the centres of the input's pixels."""
    rows, columns = (np.arange(span.start, span.stop) + 0.5 for span in (content.rows, content.columns))
    source_rows, source_columns = placement.to_source(rows, columns)
    down = np.clip((source_rows * mask.shape[0] / placement.rows).astype(int), 0, mask.shape[0] - 1)
    across = np.clip((source_columns * mask.shape[1] / placement.columns).astype(int), 0, mask.shape[1] - 1)
    sampled: Mask = mask[np.ix_(down, across)]
    return sampled


def _picture(grey: Grey, loaded: LoadedCase) -> bytes:
    """Show a changed image, with burned-in text blanked as in the displayed radiograph."""
    shown, placement = np.round(255.0 * np.clip(grey, 0.0, 1.0)).astype(np.uint8), loaded.placement
    content = _Content.of(placement)
    for area in loaded.blanked:
        rows, columns = _spans(area, placement, content)
        shown[rows, columns] = 0
    buffer = BytesIO()
    Picture.fromarray(shown).save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


def _spans(area: Area, placement: Placement, content: _Content) -> tuple[slice, slice]:
    """Return the pixels of the content that an area touches."""
    top, left = placement.to_model(float(area.top), float(area.left))
    bottom, right = placement.to_model(float(area.bottom), float(area.right))
    rows, columns = (
        slice(max(int(np.floor(low)) - start, 0), max(int(np.ceil(high)) - start, 0))
        for low, high, start in ((top, bottom, content.rows.start), (left, right, content.columns.start))
    )
    return rows, columns
