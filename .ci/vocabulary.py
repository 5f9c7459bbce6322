"""Make the lists of common words, and of report words that are names too, from public word lists.

Takes Debian's package "scowl", unpacked, and two packages of PyPI: "simple-icd-10-cm" (the wheel) and "names" (the
source archive). What is written depends on nothing else but the hand-written lists beside it.
"""

import argparse
import re
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parents[1] / "pipelines" / "text" / "vocabulary"
FAMILIAR, COMMON = 20, 35  # SCOWL's sizes: the larger, the rarer its words
SHORT = 5  # letters: words as short as this are often names somewhere, and only familiar ones are taken
RANKED = 40_000  # surnames of the census by frequency, down to about one person in a million
_LIST = re.compile(r"(?:english|american|british|british_z)-(words|contractions|proper-names|upper)\.(\d+)")
_DESCRIBED = re.compile(r"<(?:desc|note|inclusionTerm)>(.*?)</")
_SMALL_WORD = re.compile(r"(?<![\w'-])[a-z]{3,}(?![\w'])")


def main() -> None:
    """Write common.txt and also_names.txt."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scowl", type=Path, required=True, help="folder usr/share/dict/scowl of Debian's package")
    parser.add_argument("--icd", type=Path, required=True, help="wheel of simple-icd-10-cm")
    parser.add_argument("--names", type=Path, required=True, help="source archive of names")
    given = parser.parse_args()
    surnames, first_names = _names_of(given.names)
    proper = {word.casefold() for word in _scowl(given.scowl, kinds={"proper-names", "upper"}, largest=50)}
    every_name = {*surnames, *first_names, *proper}
    own = {word for name in ("clinical.txt", "report.txt") for word in words_in(HERE / name)}
    plurals = {f"{word}s" for word in own}
    taken = {
        *_scowl(given.scowl, kinds={"words"}, largest=FAMILIAR),
        *(word for word in _scowl(given.scowl, kinds={"words"}, largest=COMMON) if len(word) > SHORT),
        *_icd_words(given.icd),
    }
    common = {word for word in taken if word.isascii() and word.isalpha() and word.islower() and len(word) > 2}
    common -= every_name | own | plurals
    also_names = (own | (plurals & every_name)) & {*list(surnames)[:RANKED], *first_names, *proper}
    _write("common.txt", common, "Common English words that are no names.", _SOURCES)
    _write("also_names.txt", also_names, "Words of clinical.txt and report.txt that are names of people or places too.")


_SOURCES = (
    "From SCOWL 2020.12.07 (copyright 2000-2011 Kevin Atkinson and others, notice in README.md) and the descriptions "
    "of ICD-10-CM April 2026 (CDC, public domain), less the names of the US census of 1990 and of SCOWL."
)


def words_in(file: Path) -> Iterator[str]:
    """Give the words of a list; a line that begins with # is none."""
    for line in file.read_text(encoding="ascii").splitlines():
        if not line.startswith("#"):
            yield from line.split()


def _names_of(archive: Path) -> tuple[dict[str, None], set[str]]:
    """Give the surnames, the most frequent first, and the first names of the census."""
    with tarfile.open(archive) as packed:
        lists = {Path(name).name: packed.extractfile(name) for name in packed.getnames() if "dist." in name}
        named = {
            name: [line.split()[0].decode().casefold() for line in opened] for name, opened in lists.items() if opened
        }
    return dict.fromkeys(named["dist.all.last"]), {*named["dist.female.first"], *named["dist.male.first"]}


def _scowl(folder: Path, *, kinds: set[str], largest: int) -> set[str]:
    words: set[str] = set()
    for file in sorted(folder.iterdir()):
        named = _LIST.fullmatch(file.name)
        if named and named[1] in kinds and int(named[2]) <= largest:
            words.update(file.read_text(encoding="latin-1").split())
    return words


def _icd_words(wheel: Path) -> set[str]:
    """Give the words that stand in small letters in descriptions of diseases: eponyms have a capital."""
    with zipfile.ZipFile(wheel) as packed:
        name = next(name for name in packed.namelist() if name.endswith(".xml"))
        text = packed.read(name).decode()
    return {word for described in _DESCRIBED.findall(text) for word in _SMALL_WORD.findall(described)}


def _write(name: str, words: set[str], *says: str) -> None:
    head = [f"# {line}" for line in (*says, f"{len(words):,} words, written by .ci/vocabulary.py: do not edit.")]
    (HERE / name).write_text("\n".join([*head, *sorted(words)]) + "\n", encoding="ascii")
    sys.stdout.write(f"{name}: {len(words):,} words\n")


if __name__ == "__main__":
    main()
