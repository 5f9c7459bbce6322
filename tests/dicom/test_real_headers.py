"""The body part that a header names, and the 7,469 real headers of the Indiana collection."""

from collections import Counter
from pathlib import Path

import pytest

from benchmarks.context_labels import fetch_wheel
from benchmarks.indiana_headers import header_rows, window_sources, write_headers
from pipelines.dicom.headers import inspect_file
from pipelines.study import Exclusion, Image


@pytest.mark.parametrize(
    ("stated", "left_out_as"),
    [
        ("CHEST", None),
        ("", None),
        ("PORTABLE CHEST", None),
        ("NON GRID CHEST", None),
        ("THORAX PA", None),
        ("chest/abdomen", None),
        ("RIBS", None),
        ("CHST", None),
        ("TRUNK", None),
        ("UNKNOWN", None),
        ("12345", None),
        ("CHEST SPINE", None),
        ("CHEAST", None),
        ("TORAX", None),
        ("RIBCAGE", None),
        ("BODY", None),
        ("KNEE", "KNEE"),
        ("SPINE", "SPINE"),
        ("TSPINE", "SPINE"),
        ("T SPINE", "SPINE"),
        ("L-SPINE", "SPINE"),
        ("THORACIC SPINE", "SPINE"),
        ("CTSPINE", "SPINE"),
        ("Left hand", "HAND"),
        ("EXTREMETY", "EXTREMITY"),
        ("SKULL", "SKULL"),
        ("CERVICAL SPINE", "SPINE"),
    ],
)
def test_only_what_is_stated_to_be_another_part_of_the_body_is_left_out(write_dx, stated, left_out_as) -> None:
    found = inspect_file(write_dx(BodyPartExamined=stated))
    assert isinstance(found, Image) is (left_out_as is None)
    if left_out_as is not None:
        assert isinstance(found, Exclusion)
        assert not found.failed
        assert f"BodyPartExamined is {left_out_as});" in found.reason


@pytest.mark.slow
def test_every_header_of_the_indiana_collection_is_read_and_its_decisions_are_those_that_were_looked_at(
    tmp_path: Path,
) -> None:
    rows = header_rows(fetch_wheel(tmp_path))
    assert len(rows) == 7469
    folder = tmp_path / "headers"
    folder.mkdir()
    found = [inspect_file(path) for path in write_headers(rows, folder)]
    images = [image for image in found if isinstance(image, Image)]
    left_out = Counter((item.reason, item.failed) for item in found if isinstance(item, Exclusion))
    # Two are films of a limb, as their header says, if misspelt.
    assert [(reason.split(";")[0], failed, count) for (reason, failed), count in left_out.items()] == [
        ("Not a chest radiograph (BodyPartExamined is EXTREMITY)", False, 2)
    ]
    views = Counter((image.view.value, image.view_source) for image in images)
    # Where ViewPosition is blank, orientation and view code are too: nothing is guessed.
    assert sum(views.values()) == 7467
    assert views["unknown", ""] == 2586
    assert views["PA", "ViewPosition"] + views["AP", "ViewPosition"] in range(4014, 4017)
    assert views["lateral", "ViewPosition"] in range(865, 868)
    assert set(views) == {("unknown", ""), *((view, "ViewPosition") for view in ("PA", "AP", "lateral"))}
    polarity = Counter(image.photometric_interpretation for image in images)
    assert set(polarity) == {"MONOCHROME1", "MONOCHROME2"}
    assert polarity["MONOCHROME1"] in range(3582, 3585)
    spacing = Counter(image.spacing_source for image in images)
    assert spacing[None] <= 2  # secondary captures
    assert spacing["PixelSpacing"] > spacing["ImagerPixelSpacing"] > 2500
    assert sum(image.horizontally_flipped for image in images) == 14  # R\F, whatever FieldOfViewHorizontalFlip says


@pytest.mark.slow
def test_what_decides_the_window_of_the_indiana_collection_was_counted(tmp_path: Path) -> None:
    rows = header_rows(fetch_wheel(tmp_path))
    assert dict(window_sources(rows)) == {
        "VOI window, first of 1": 4077,
        "VOI LUT, first of 1": 3037,
        "percentiles, no usable VOI LUT or window": 355,
    }
    several = rows[rows["Window Center"].str.startswith("[")]
    assert dict(window_sources(several)) == {"VOI LUT, first of 1": 26}  # which comes before their windows
