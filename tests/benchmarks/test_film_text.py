"""Writing on films is counted against a table of labels."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from benchmarks.film_text import text_lines
from pipelines.phantom.render import render, sample_phantom

HEAD = "film,text,kind,left,top,right,bottom\n"
HERE, ELSEWHERE = "10,20,160,50", "300,500,380,520"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A phantom with a name and a side marker."""
    phantom = sample_phantom(np.random.default_rng([31, 1]))
    plain = replace(phantom, anatomy=replace(phantom.anatomy, marker=" "))
    picture = Image.fromarray((255.0 * render(plain, columns=512).image).astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    pen.text((10, 20), "DOE^JANE", fill=255, font=ImageFont.load_default(size=30))
    pen.text((440, 20), "L", fill=255, font=ImageFont.load_default(size=32))
    made = tmp_path_factory.mktemp("films")
    picture.save(made / "one.png")
    return made


def figures(folder: Path, table: Path, *lines: str) -> dict[str, str]:
    table.write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in text_lines(folder, table)[2:]]
    return {row[0]: row[1] for row in rows}


def test_text_where_the_table_has_it_is_found_and_the_letter_right(folder: Path, tmp_path: Path) -> None:
    said = figures(folder, tmp_path / "t.csv", f"one,DOE^JANE,words,{HERE}", "one,L,marker,442,28,458,52")
    assert said["texts found (recall)"] == "2 of 2, 100.0%"
    assert said["found that is text (precision)"].endswith("100.0%")
    assert said["letters of side markers read right, not read, wrong"] == "1, 0, 0"
    assert said["lung area blanked by mistake, mean"] == "0.000%"


def test_text_elsewhere_is_missed_and_what_is_found_is_false(folder: Path, tmp_path: Path) -> None:
    said = figures(folder, tmp_path / "t.csv", f"one,DOE^JANE,words,{ELSEWHERE}", "one,R,marker,442,28,458,52")
    assert said["texts found (recall)"] == "1 of 2, 50.0%"
    assert not said["found that is text (precision)"].endswith("100.0%")
    assert said["letters of side markers read right, not read, wrong"] == "0, 0, 1"


def test_a_folder_without_a_labelled_film_has_no_figures(folder: Path, tmp_path: Path) -> None:
    assert figures(folder, tmp_path / "t.csv", f"two,DOE^JANE,words,{HERE}") == {}
