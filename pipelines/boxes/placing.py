"""Assigns boxes to their images and converts them to the images' pixels."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pipelines.boxes.table import BoxRow
from pipelines.images.finder import ImageFinder, is_one_file
from pipelines.limits import MAX_BOXES_ON_IMAGE
from pipelines.study import Box, Exclusion, Image

__all__ = ["PlacedBoxes", "images_with_boxes", "place_boxes"]

_ROUNDING_PX = 1.0  # annotation tools round: a smaller overhang is not reported
_NAMED_AT_MOST = 5  # rows listed in one message


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedBoxes:
    """Each image's boxes in its own pixels, and a report of the boxes that lie outside."""

    by_image: Mapping[Image, Sequence[Box]]
    left_out: tuple[Exclusion, ...]


def place_boxes(images: Sequence[Image], rows: Sequence[BoxRow]) -> PlacedBoxes:
    """Assign each box to its image, rescale it from the size that it refers to, and clip it to the image.

    A reference is a SOP Instance UID, a path or its last parts, a file stem, or the last parts of a path written as one
    name ("patient1_study1_view1_frontal"). The folders of a reference are used only if its name is ambiguous: two
    images have the name, or the box file uses it in two folders. In a multi-frame file a box lies on the frames
    that its row names, or on all frames if it names none.
    """
    finder = ImageFinder(images, [row.image for row in rows])
    by_image: dict[Image, list[Box]] = defaultdict(list)
    left_out: list[Exclusion] = []
    homeless: dict[tuple[str, int], list[str]] = defaultdict(list)
    elsewhere: dict[str, bool] = {}
    for row in rows:
        fits = finder.images_of(row.image)
        if not is_one_file(fits):
            homeless[row.image, len(fits)].append(row.source)
            elsewhere[row.image] = not fits and finder.has_name(row.image)
            continue
        box = _rescaled(row, fits[0])
        clipped = _clipped(box, fits[0])
        if clipped is None or clipped[1] > _ROUNDING_PX:
            left_out.append(_outside(row, box, fits[0], lost=clipped is None))
        frames = [image for image in fits if not row.frames or image.frame in row.frames]
        if not frames:
            left_out.append(_on_other_frame(row, fits))
        if clipped is not None:
            for image in frames:
                by_image[image].append(clipped[0])
    crowded = [image for image, boxes in by_image.items() if len(boxes) > MAX_BOXES_ON_IMAGE]
    left_out += [_too_many(image, len(by_image.pop(image))) for image in crowded]
    nothing_joined = bool(rows) and sum(map(len, homeless.values())) == len(rows)
    left_out += [
        _unplaced(sources, fits, nothing_joined=nothing_joined, elsewhere=elsewhere[reference])
        for (reference, fits), sources in homeless.items()
    ]
    return PlacedBoxes(by_image=by_image, left_out=tuple(left_out))


def images_with_boxes(images: Sequence[Image], rows: Sequence[BoxRow]) -> frozenset[Image]:
    """Return the images to which a box refers, by the rules of :func:`place_boxes`; of a file, all frames."""
    finder = ImageFinder(images, [row.image for row in rows])
    referred = (finder.images_of(reference) for reference in dict.fromkeys(row.image for row in rows))
    return frozenset(image for fits in referred if is_one_file(fits) for image in fits)


def _rescaled(row: BoxRow, image: Image) -> Box:
    frame = image.original_shape if row.frame is None and row.of_original else row.frame
    if frame is None:
        return row.box
    down, across = image.rows / frame[0], image.columns / frame[1]
    box = row.box
    shape = box.shape and box.shape.mapped((0.0, 0.0), (across, down))
    return replace(
        box, x=box.x * across, y=box.y * down, width=box.width * across, height=box.height * down, shape=shape
    )


def _clipped(box: Box, image: Image) -> tuple[Box, float] | None:
    """Return the part of a box inside the image and the largest overhang in px; None if the box is outside."""
    left, top = max(box.x, 0.0), max(box.y, 0.0)
    right, bottom = min(box.x + box.width, float(image.columns)), min(box.y + box.height, float(image.rows))
    if right <= left or bottom <= top:
        return None
    overhang = max(left - box.x, top - box.y, box.x + box.width - right, box.y + box.height - bottom)
    if overhang == 0.0:
        return box, 0.0
    return replace(box, x=left, y=top, width=right - left, height=bottom - top), overhang


def _outside(row: BoxRow, box: Box, image: Image, *, lost: bool) -> Exclusion:
    where = f"x {box.x:g} to {box.x + box.width:g}, y {box.y:g} to {box.y + box.height:g}"
    size = f"image of {image.columns} x {image.rows} px"
    if lost:
        what, remedy = f"lies outside its {size}", "correct the box, or state which image size it refers to"
    else:
        what, remedy = f"extends past the edge of its {size} and was clipped", "check that it refers to this image size"
    return Exclusion(
        source=row.source, stage="boxes", reason=f"{row.source}: the box ({where}) {what}: {remedy}", failed=lost
    )


def _too_many(image: Image, count: int) -> Exclusion:
    reason = (
        f"{count:,} boxes lie on one image, more than {MAX_BOXES_ON_IMAGE:,}, so none of them is used: give "
        "only the boxes of its readers"
    )
    return Exclusion(source=str(image.path), stage="boxes", reason=reason, failed=True)


def _on_other_frame(row: BoxRow, images: Sequence[Image]) -> Exclusion:
    number, count = row.frames[0], images[0].frames
    if number > count:
        reason = f"{row.source} lies on frame {number} of an image of {count}: correct the frame's number"
        return Exclusion(source=row.source, stage="boxes", reason=reason, failed=True)
    reason = (
        f"{row.source} lies on frame {number} of its image, which is not audited: pass --set inputs.frames=each to "
        "audit it"
    )
    return Exclusion(source=row.source, stage="boxes", reason=reason, failed=False)


def _unplaced(sources: Sequence[str], fits: int, *, nothing_joined: bool, elsewhere: bool) -> Exclusion:
    listed = ", ".join(sources[:_NAMED_AT_MOST])
    listed += f" and {len(sources) - _NAMED_AT_MOST} more" if len(sources) > _NAMED_AT_MOST else ""
    if fits:
        reason = (
            f"{listed}: {fits} images have the name that the boxes refer to: refer to them by SOP Instance UID or path"
        )
    elif elsewhere:
        reason = (
            f"{listed}: the images of this name are in other folders than the boxes say: write folders as they are "
            "below --dicom-dir, or refer to images by SOP Instance UID"
        )
    else:
        reason = f"{listed}: no audited image has this name: refer to images by SOP Instance UID, path or file stem"
    return Exclusion(source=sources[0], stage="boxes", reason=reason, failed=bool(fits) or nothing_joined)
