"""What the tests kill beside commands: a pull from an archive that is a folder."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset

from audit.pacs.archive import FoundSeries, Keep, Wanted
from audit.pacs.pulling import pull


class FolderArchive:
    """Gives the films of a folder as an archive does."""

    def __init__(self, folder: Path) -> None:
        self._files = {str(dcmread(path).SOPInstanceUID): path for path in sorted(folder.rglob("*.dcm"))}
        self._films = [dcmread(path, stop_before_pixels=True) for path in self._files.values()]

    def query(self, level: str, keys: Mapping[str, str]) -> list[Dataset]:
        name = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}[level]
        given = {key: value for key, value in keys.items() if value and key.endswith("InstanceUID")}
        matching = [film for film in self._films if all(film.get(key) == value for key, value in given.items())]
        return list({film.get(name): film for film in matching}.values())

    def fetch(self, series: FoundSeries, uids: Sequence[str], keep: Keep) -> dict[str, str]:  # noqa: ARG002
        for uid in uids:
            keep(uid, self._files[uid].read_bytes())
        return {}

    def store(self, objects: Sequence[Dataset]) -> dict[str, str]:
        raise NotImplementedError

    def __enter__(self) -> "FolderArchive":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""


def pulled(films: str, into: str) -> int:
    """Pull all films of a folder; give an exit status."""
    wanted = Wanted(first=date(1900, 1, 1), last=date(2099, 12, 31))
    return len(pull(FolderArchive(Path(films)), Path(into), wanted).failed)
