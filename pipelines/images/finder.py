"""Finds the images that the rows of a table refer to, by identifier, path or file stem."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from pipelines.study import Image
from pipelines.text.table import folders_of, have_same_tail, plain_stem

__all__ = ["ImageFinder", "is_one_file"]

_MOST_FOLDERS = 3  # patient and study folders that CheXlocalize writes before an image's name


class ImageFinder:
    """Finds the images that a row of a table refers to.

    A reference is a SOP Instance UID, a path or its last parts, a file stem, or the last parts of a path written as one
    name ("patient1_study1_view1_frontal"). The folders of a reference are used only if its name is ambiguous: two
    images have the name, or the references use it in two folders.
    """

    def __init__(self, images: Iterable[Image], references: Iterable[str]) -> None:
        self._by_uid: dict[str, list[Image]] = defaultdict(list)
        self._by_stem: dict[str, list[Image]] = defaultdict(list)
        self._by_joined: dict[str, list[Image]] = defaultdict(list)
        for image in images:
            self._by_uid[image.sop_instance_uid].append(image)
            stem = plain_stem(image.path.name).casefold()
            self._by_stem[stem].append(image)
            folders = [part.casefold() for part in image.path.parent.parts[-_MOST_FOLDERS:]]
            for first in range(len(folders)):
                self._by_joined["_".join([*folders[first:], stem])].append(image)
        self._folders: dict[str, set[tuple[str, ...]]] = defaultdict(set)
        for reference in references:
            self._folders[plain_stem(reference).casefold()].add(folders_of(reference))

    def images_of(self, reference: str) -> list[Image]:
        """Return the images that a reference fits, or the frames of one; none or several if it is not clear."""
        stem = plain_stem(reference)
        by_uid = self._by_uid.get(reference) or self._by_uid.get(stem)
        if by_uid:
            return by_uid
        fits = self._by_stem.get(stem.casefold(), [])
        if not fits:
            return self._by_joined.get(stem.casefold(), [])
        if is_one_file(fits) and len(self._folders[stem.casefold()]) < 2:
            return fits
        wanted = folders_of(reference)
        return [image for image in fits if have_same_tail(wanted, folders_of(str(image.path)))]

    def has_name(self, reference: str) -> bool:
        """Return True if some image, in any folder, has the name at the end of the reference."""
        return plain_stem(reference).casefold() in self._by_stem


def is_one_file(images: Sequence[Image]) -> bool:
    """Return True if they are one image, or frames of one file."""
    return len({image.path for image in images}) == 1 and len({image.frame for image in images}) == len(images)
