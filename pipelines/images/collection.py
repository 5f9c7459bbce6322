"""Collects the images of a folder: what its files and the tables among them say."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.images.scan import scan_folder
from pipelines.images.tables import describe_images
from pipelines.study import Exclusion, Image

__all__ = ["ImageCollection", "collect_images"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageCollection:
    """The images of a folder, as :class:`pipelines.images.scan.Scan`, described by tables."""

    images: tuple[Image, ...]
    left_out: tuple[Exclusion, ...]
    files: int
    sentences: tuple[str, ...]  # which public set the files look like, and what is missing


def collect_images(
    folder: Path,
    *,
    tables: Sequence[Path] = (),
    others: Iterable[Path] = (),
    index: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ImageCollection:
    """Scan a folder, and describe its images by the tables in it.

    Args:
        folder: the folder, with its subfolders.
        tables: more tables of images.
        others: more files that may be tables of images, and are ignored if they are not.
        index: see :func:`pipelines.images.scan.scan_folder`.
        progress: see there.

    Raises:
        InputError: the folder or a table cannot be read.
        CohortError: the folder is empty.
    """
    scan = scan_folder(folder, index=index, progress=progress)
    inside = [Path(item.source) for item in scan.left_out if item.stage == "scan" and not item.failed]
    candidates = dict.fromkeys(path for path in (*inside, *others) if path not in set(tables) and path.is_file())
    described = describe_images(scan.images, candidates, tables)
    left_out = (item for item in scan.left_out if item.source not in described.tables)
    return ImageCollection(
        images=described.images,
        left_out=(*left_out, *described.left_out),
        files=scan.files,
        sentences=described.sentences,
    )
