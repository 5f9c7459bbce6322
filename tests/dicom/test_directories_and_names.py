"""DICOMDIR files, and names in every character set: neither stops anything, and no name leaks."""

import logging
import shutil
import warnings
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_charset_files, get_testdata_file

from pipelines.dicom.headers import inspect_file
from pipelines.dicom.pixels import read_pixels
from pipelines.images.scan import scan_folder
from pipelines.study import Exclusion, Image

DIRECTORIES = Path(str(get_testdata_file("DICOMDIR"))).parent


@pytest.mark.parametrize("path", sorted(p for p in DIRECTORIES.rglob("DICOMDIR*") if p.is_file()), ids=lambda p: p.name)
def test_a_dicomdir_is_left_out_by_rule(path):
    found = inspect_file(path)
    assert isinstance(found, Exclusion)
    assert not found.failed
    assert "The files that it lists are read from the folder" in found.reason


def test_the_files_that_a_dicomdir_names_are_found_once_and_nothing_outside_the_folder_is(tmp_path, write_dx):
    outside = write_dx(name="outside/a.dcm", SOPInstanceUID="1.2.3.9")
    folder = tmp_path / "disc"
    write_dx(name="disc/IMAGES/A", SOPInstanceUID="1.2.3.5")
    shutil.copy(DIRECTORIES / "DICOMDIR", folder / "DICOMDIR")
    scan = scan_folder(folder)
    assert [image.path for image in scan.images] == [folder / "IMAGES" / "A"]
    assert [Path(item.source).name for item in scan.left_out] == ["DICOMDIR"]
    assert outside.exists()


CHARACTER_SETS = sorted(Path(str(get_charset_files("chrH31.dcm")[0])).parent.glob("*.dcm"))


@pytest.mark.parametrize("source", CHARACTER_SETS, ids=lambda path: path.stem)
def test_a_radiograph_in_any_character_set_is_read_and_its_names_reach_no_reason_or_log(
    tmp_path, write_dx, source, caplog
):
    named = dcmread(source)
    dataset = dcmread(write_dx())
    for keyword in ("SpecificCharacterSet", "PatientName", "ReferringPhysicianName"):
        if keyword in named:
            dataset[keyword] = named.get_item(keyword)
    dataset.add_new("Manufacturer", "LO", "Hersteller")
    path = tmp_path / "named.dcm"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some of these names break the rules of their own character set
        dataset.save_as(path)
    caplog.clear()
    with caplog.at_level(logging.DEBUG):
        found = inspect_file(path)
        pixels = read_pixels(path)
    assert isinstance(found, Image)
    assert found.manufacturer == "Hersteller"
    assert pixels.display.shape == (8, 8)
    assert not caplog.records


@pytest.mark.parametrize("stated", ["ISO_IR 9999", "\\ISO 2022 IR 87", "GB18030", "utf8", "rubbish"])
def test_a_character_set_that_is_unknown_or_does_not_fit_stops_nothing(write_dx, stated):
    found = inspect_file(write_dx(SpecificCharacterSet=stated, Manufacturer="Acme"))
    assert isinstance(found, Image)
    assert found.manufacturer == "Acme"
