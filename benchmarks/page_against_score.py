"""On how many phrases of a run the study pages highlight other boxes than the phrases are scored against.

Each page is read as HTML. The boxes that it highlights for a phrase are scored again with the stored heat; hit or miss
and the energy in the boxes must be those of the record. The page's sentence must speak of several boxes where it
highlights several, and the boxes that a reviewer can copy must be the highlighted ones.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from audit.metrics.overlap import energy_in_box
from audit.metrics.pointing import is_measurable, pointing_outcome, sampled
from audit.metrics.scores import box_mask
from reports.record import ScoredBox, ScoredImage, ScoredPhrase
from reports.results_folder import StudyFolder, read_study, study_folders, valid_of
from reports.score_catalogue import ENERGY, POINTING

__all__ = ["Checked", "check_pages"]

_SEVERAL = ("inside one of the", "outside every one of the")  # of the sentences ``outcome.*_of_several``


@dataclass(frozen=True, slots=True)
class Checked:
    """What was compared."""

    phrases: int
    disagreements: tuple[str, ...]  # a sentence each; a phrase has one at most


def main() -> None:
    """Check one run's pages; exit status 1 where one disagrees."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder that `m2ib-audit run` or `demo` wrote")
    checked = check_pages(parser.parse_args().out)
    for sentence in checked.disagreements:
        print(sentence)
    print(f"{len(checked.disagreements)} of {checked.phrases} phrases in disagreement")
    sys.exit(bool(checked.disagreements))


def check_pages(out: Path) -> Checked:
    """Compare every study page of a run with its record.

    Raises:
        OutputError: a record, heat or picture cannot be read.
    """
    phrases, found = 0, []
    for folder in study_folders(out):
        study = read_study(folder)
        page = _Page()
        page.feed((folder / "index.html").read_text(encoding="utf-8"))
        offered = json.loads(page.data)["review"]["images"]
        for number, image in enumerate(study.record.images):
            valid = valid_of(study, image)
            phrases += len(image.phrases)
            for place, phrase in enumerate(image.phrases):
                shown = _Shown(
                    boxes=tuple(
                        box for box, lit in zip(image.boxes, page.lit[number], strict=True) if str(place) in lit
                    ),
                    sentence=" ".join(page.verdicts[number, place].split()),
                    offered=offered[number]["phrases"][place]["boxes"],
                )
                wrong = next(_disagreements(study, image, phrase, shown, valid), None)
                if wrong is not None:
                    found.append(f"study {folder.name}, image {number + 1}, phrase {place + 1}: {wrong}")
    return Checked(phrases, tuple(found))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """What a page shows of one phrase's target."""

    boxes: tuple[ScoredBox, ...]  # highlighted
    sentence: str
    offered: list[dict[str, float]]  # to be copied by a reviewer


def _disagreements(
    study: StudyFolder,
    image: ScoredImage,
    phrase: ScoredPhrase,
    shown: _Shown,
    valid: Bool[np.ndarray, "rows columns"],
) -> Iterator[str]:
    method = study.record.method
    kept = {score.score: score for score in phrase.scores if score.method == method}
    mask = box_mask(shown.boxes, rows=image.rows, columns=image.columns)
    heat = image.placement.heat_to_source(study.heats[phrase.heat].astype(np.float32))
    heat[~valid] = np.nan
    energy = energy_in_box(*sampled(heat, mask)) if is_measurable(heat, mask) else None
    if energy != kept[ENERGY].value:
        yield f"the highlighted boxes hold {energy} of the heat, the record says {kept[ENERGY].value}"
    if energy is not None:
        outcome = pointing_outcome(heat, mask)
        if outcome != kept[POINTING].outcome:
            yield f"the highlighted boxes are a {outcome}, the record says {kept[POINTING].outcome}"
        several = any(words in shown.sentence for words in _SEVERAL)
        if several != (len(shown.boxes) > 1) and phrase.hottest is not None:
            yield f"{len(shown.boxes)} boxes are highlighted, the page says {shown.sentence!r}"
    if shown.offered != [{"x": b.x, "y": b.y, "width": b.width, "height": b.height} for b in shown.boxes]:
        yield f"{len(shown.boxes)} boxes are highlighted, others ({len(shown.offered)}) are there to be copied"


@dataclass
class _Page(HTMLParser):
    """Reads a study's page: for each image the phrases of each box, for each phrase its sentence, and the data."""

    lit: list[list[list[str]]] = field(default_factory=list)  # [image][box] -> places of phrases
    verdicts: dict[tuple[int, int], str] = field(default_factory=dict)  # by places of image and phrase
    data: str = ""

    def __post_init__(self) -> None:
        super().__init__()
        self._card = (0, 0)
        self._reading: str | None = None  # what the text that comes next belongs to

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what begins."""
        given = {name: value or "" for name, value in attrs}
        kinds = given.get("class", "").split()
        if tag == "section" and "reading" in kinds:
            self.lit.append([])
        elif tag == "g" and "box" in kinds:
            self.lit[-1].append(given["data-phrases"].split())
        elif tag == "article" and "card" in kinds:
            _, image, phrase = given["id"].split("-")
            self._card = int(image), int(phrase)
        elif tag == "p" and "verdict" in kinds:
            self._reading = "verdict"
        elif tag == "script" and given.get("id") == "data":
            self._reading = "data"

    def handle_endtag(self, tag: str) -> None:
        """Note what ends."""
        if tag in {"p", "script"}:
            self._reading = None

    def handle_data(self, data: str) -> None:
        """Keep the texts that were announced."""
        if self._reading == "verdict":
            self.verdicts[self._card] = self.verdicts.get(self._card, "") + data
        elif self._reading == "data":
            self.data += data


if __name__ == "__main__":
    main()
