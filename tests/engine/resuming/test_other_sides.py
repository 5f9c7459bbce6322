"""Phrases with left and right swapped, while the boxes that decide whether these are true come and go."""

from pathlib import Path

import pandas as pd
import pytest
from asking import FIRST, asked, because, fresh
from out_trees import tree_of

from audit.execution.run import run
from audit.output.rescoring import rescore
from reports.results_folder import read_record, read_run, study_folders
from reports.score_catalogue import BEATS_OTHER_SIDE


@pytest.fixture
def sided(cohort: Path) -> Path:
    """Name a side in one report: the side of its box."""
    (cohort / "reports" / f"{FIRST}.txt").write_text("IMPRESSION: Right airspace consolidation.\n")
    return cohort


@pytest.fixture
def mirrored(cohort: Path) -> Path:
    """Draw each box on the other side too."""
    boxes, path = pd.read_csv(cohort / "boxes.csv"), cohort.parent / "mirrored.csv"
    pd.concat([boxes, boxes.assign(x=64 - boxes["x"] - boxes["width"])]).to_csv(path, index=False)
    return path


def measured(out: Path) -> list[float]:
    """List the cosines with the other side; the tests of the run count them."""
    images = [image for folder in study_folders(out) for image in read_record(folder).images]
    cosines = [phrase.other_side_cosine for image in images for phrase in image.phrases]
    found = [cosine for cosine in cosines if cosine is not None]
    counts = {test.result.cases for test in read_run(out).cosine_tests if test.test == BEATS_OTHER_SIDE}
    assert counts == ({len(found)} if found else set())
    return found


def test_a_swapped_side_is_not_compared_while_a_box_makes_it_true(sided, mirrored, tmp_path) -> None:
    out = tmp_path / "sided"
    run(asked(sided, out))
    before = measured(out)
    assert len(before) == 1
    rescore(out, [mirrored])
    assert measured(out) == []
    rescore(out)
    assert measured(out) == before


def test_a_swapped_side_is_measured_once_no_box_makes_it_true(sided, mirrored, tmp_path, pairs_asked) -> None:
    out = tmp_path / "sided"
    run(asked(sided, out, boxes=(mirrored,)))
    assert measured(out) == []
    pairs_asked.clear()
    result = run(asked(sided, out))
    assert sum(pairs_asked) == 1
    assert [count for reason, count in because(result).items() if "left and right swapped" in reason] == [1]
    assert tree_of(out, stamps=False) == fresh(sided, tmp_path)
