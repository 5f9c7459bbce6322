"""How well writing is found on real radiographs whose letters were labelled by eye (``benchmarks/film_text.csv``).

A line of the table names one text on one film (``marker``: a single letter; ``words``; ``symbol``: neither found nor
missed is counted), with its frame in pixels of the film, right and bottom exclusive; ``none``: the film has no writing.
A text is found if an area to blank or a detected letter covers a third of it, words if half of them is covered. What is
found, areas and letters outside of them, is right if it lies on a text.
"""

import csv
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool
from PIL import Image

from pipelines.regions.chest import find_lungs
from pipelines.regions.marks import Mark, find_marks, mark_mask
from pipelines.regions.text import Area, find_text

__all__ = ["text_lines"]

_TABLE = Path(__file__).with_name("film_text.csv")
_COVERED = {"marker": 1.0 / 3.0, "words": 0.5}
_ON_TEXT = 0.2  # minimum share of a found frame
_MARGIN_PX = 4  # labels are that exact

Mask = Bool[np.ndarray, "rows columns"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Label:
    text: str
    kind: str
    frame: tuple[int, int, int, int]  # top, left, bottom, right

    def mask(self, shape: tuple[int, ...], margin: int = 0) -> Mask:
        mask = np.zeros(shape, dtype=bool)
        top, left, bottom, right = self.frame
        mask[max(0, top - margin) : bottom + margin, max(0, left - margin) : right + margin] = True
        return mask


def text_lines(folder: Path, table: Path = _TABLE) -> list[str]:
    """Measure the films of a folder that a table labels; return the figures, empty if it labels none."""
    labels = _labels(table)
    paths = sorted(path for path in folder.rglob("*") if path.stem in labels and path.parent.name != "masks")
    counts: Counter[str] = Counter()
    lungs: list[float] = []
    seconds: list[float] = []
    for path in paths:
        with Image.open(path) as image:
            picture = np.asarray(image.convert("L"))
        start = time.perf_counter()
        areas, marks = find_text(picture / np.float32(255.0)), find_marks(picture)
        seconds.append(time.perf_counter() - start)
        texts = labels[path.stem]
        for said in _counted(path.stem, texts, areas, marks, picture.shape):
            counts[said] += 1
        found = find_lungs(picture, np.ones(picture.shape, dtype=bool))
        if found is not None:
            lungs.append(_blanked_by_mistake(texts, areas, found.at_left | found.at_right))
    return _table(counts, lungs, seconds) if paths else []


def _labels(table: Path) -> dict[str, list[_Label]]:
    labels: dict[str, list[_Label]] = defaultdict(list)
    with table.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            texts = labels[row["film"]]
            if row["kind"] != "none":
                top, left, bottom, right = (int(row[edge]) for edge in ("top", "left", "bottom", "right"))
                texts.append(_Label(text=row["text"], kind=row["kind"], frame=(top, left, bottom, right)))
    return labels


def _counted(
    film: str, texts: Sequence[_Label], areas: Sequence[Area], marks: Sequence[Mark], shape: tuple[int, ...]
) -> Iterator[str]:
    """Yield a count's name for each text and each thing found; print what is wrong."""
    blanked = _mask_of(areas, shape)
    either = blanked | mark_mask(marks, shape)
    for text in texts:
        if text.kind == "symbol":
            continue
        is_found = either[text.mask(shape)].mean() >= _COVERED[text.kind]
        yield f"{text.kind} {'found' if is_found else 'missed'}"
        if not is_found:
            print(f"{film}: {text.text!r} was missed")
        if text.kind == "marker" and is_found:
            yield _reading(film, text, marks, shape)
    near, near_symbol = (_near(texts, shape, symbols=symbols) for symbols in (False, True))
    found = [("area", (area.letters or area).edges) for area in areas]
    for mark in marks:
        if not blanked[_cell(mark)]:
            top, left, bottom, right = (round(edge) for edge in mark.frame)
            found.append((f"letter {mark.letter or 'unknown'}", (top, left, bottom, right)))
    for what, edges in found:
        yield from _verdicts(film, what, near[_slices(edges)], near_symbol[_slices(edges)])


def _near(texts: Sequence[_Label], shape: tuple[int, ...], *, symbols: bool) -> Mask:
    mask = np.zeros(shape, dtype=bool)
    for text in texts:
        if (text.kind == "symbol") is symbols:
            mask |= text.mask(shape, _MARGIN_PX)
    return mask


def _cell(mark: Mark) -> tuple[int, int]:
    row, column = mark.middle
    return int(row), int(column)


def _reading(film: str, text: _Label, marks: Sequence[Mark], shape: tuple[int, ...]) -> str:
    inside = text.mask(shape, _MARGIN_PX)
    on_text = [mark for mark in marks if inside[_cell(mark)]]
    read = [mark for mark in on_text if mark.letter is not None]
    if not read:
        return "letter unknown"
    if all(mark.letter == text.text and not mark.mirrored for mark in read):
        return "letter right"
    print(f"{film}: {text.text!r} was read as {read[0].letter}{' mirrored' if read[0].mirrored else ''}")
    return "letter wrong"


def _verdicts(film: str, what: str, near: Mask, near_symbol: Mask) -> Iterator[str]:
    """Yield whether something found is text; what lies on a symbol is neither right nor false."""
    if near.mean() >= _ON_TEXT:
        yield "right"
    elif near_symbol.mean() < _ON_TEXT:
        print(f"{film}: {what} where no text is")
        yield "false"
        if what.startswith("letter ") and not what.endswith("unknown"):
            yield "letter wrong"


def _slices(edges: tuple[int, int, int, int]) -> tuple[slice, slice]:
    top, left, bottom, right = edges
    return slice(max(0, top), max(bottom, top + 1)), slice(max(0, left), max(right, left + 1))


def _mask_of(areas: Sequence[Area], shape: tuple[int, ...]) -> Mask:
    mask = np.zeros(shape, dtype=bool)
    for area in areas:
        mask[_slices(area.edges)] = True
    return mask


def _blanked_by_mistake(texts: Sequence[_Label], areas: Sequence[Area], lungs: Mask) -> float:
    """Share of the lungs under areas whose letters are none."""
    near = _near(texts, lungs.shape, symbols=False)
    wrong = [area for area in areas if near[_slices((area.letters or area).edges)].mean() < _ON_TEXT]
    return float((_mask_of(wrong, lungs.shape) & lungs).sum() / lungs.sum())


def _table(counts: Counter[str], lungs: Sequence[float], seconds: Sequence[float]) -> list[str]:
    found, missed = (sum(counts[f"{kind} {how}"] for kind in _COVERED) for how in ("found", "missed"))
    false = counts["false"]
    rows = {
        "films with labelled text": f"{len(seconds)}",
        "texts found (recall)": f"{found} of {found + missed}, {found / max(1, found + missed):.1%}",
        "side markers found": f"{counts['marker found']} of {counts['marker found'] + counts['marker missed']}",
        "words found": f"{counts['words found']} of {counts['words found'] + counts['words missed']}",
        "found that is text (precision)": f"{counts['right']} of {counts['right'] + false}, "
        f"{counts['right'] / max(1, counts['right'] + false):.1%}",
        "lung area blanked by mistake, mean": f"{np.mean(lungs) if lungs else 0.0:.3%}",
        "letters of side markers read right, not read, wrong": f"{counts['letter right']}, {counts['letter unknown']}, "
        f"{counts['letter wrong']}",
        "seconds a film, median": f"{np.median(seconds):.2f}",
    }
    return ["| | |", "|---|---|", *[f"| {name} | {value} |" for name, value in rows.items()]]
