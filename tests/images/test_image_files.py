"""PNG, JPEG and TIFF as radiographs: recognised by content, shown as the file has them, and refused with a reason."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import copy

import numpy as np
import pytest
from made_up_films import drawn_film, saved_film
from PIL import Image
from pydicom.data import get_testdata_file

from pipelines.errors import InputError
from pipelines.images.polarity import is_inverted
from pipelines.images.scan import Scan, scan_folder, select_views
from pipelines.images.source import read_radiograph
from pipelines.phantom.render import render, sample_phantom
from pipelines.study import Image as Radiograph
from pipelines.study import View

ONE_GREY = 1 / 255 + 1e-6
DEEP = np.linspace(300, 4000, 160 * 128).reshape(160, 128).astype(np.uint16)


def only_image(folder: Path) -> Radiograph:
    scan = scan_folder(folder)
    assert scan.left_out == ()
    return scan.images[0]


def steps_of(image: Radiograph) -> dict[str, str]:
    return {step.step: step.detail for step in read_radiograph(image).steps}


def reasons(scan: Scan) -> dict[str, tuple[str, bool]]:
    return {Path(item.source).name: (item.reason, item.failed) for item in scan.left_out}


@pytest.mark.parametrize(("name", "kind"), [("a.png", "PNG"), ("a.jpg", "JPEG"), ("a.tif", "TIFF"), ("a.dcm", "PNG")])
def test_an_image_file_is_recognised_by_its_content(tmp_path: Path, name: str, kind: str) -> None:
    saved_film(tmp_path / "p" / name, format=kind)
    image = only_image(tmp_path)
    assert (image.file_format, image.rows, image.columns, image.view) == (kind, 160, 128, View.UNKNOWN)
    assert (image.sop_instance_uid, image.study_instance_uid, image.patient_id) == (f"p/{name}", f"p/{name}", "")


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "CMYK"])
def test_each_colour_mode_becomes_the_same_grey(tmp_path: Path, mode: str) -> None:
    saved_film(tmp_path / ("a.tif" if mode == "CMYK" else "a.png"), mode=mode)
    pixels = read_radiograph(only_image(tmp_path))
    np.testing.assert_allclose(pixels.display, drawn_film(), atol=ONE_GREY)
    assert pixels.valid.all()
    assert pixels.display.dtype == np.float32


def test_transparent_pixels_are_not_part_of_the_image(tmp_path: Path) -> None:
    film = np.dstack([np.full((80, 80, 3), 200, np.uint8), np.full((80, 80), 255, np.uint8)])
    film[:20, :, 3] = 0
    Image.fromarray(film).save(tmp_path / "a.png")
    pixels = read_radiograph(only_image(tmp_path))
    assert (pixels.valid == (film[..., 3] > 0)).all()
    assert "25.0%" in {s.step: s.detail for s in pixels.steps}["transparency"]


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_deep_grey_is_stretched_between_percentiles_and_says_its_bits(tmp_path: Path, name: str) -> None:
    Image.fromarray(DEEP).save(tmp_path / name)
    image = only_image(tmp_path)
    low, high = map(float, np.percentile(DEEP, [1, 99], method="inverted_cdf"))
    expected = np.clip((DEEP - low) / (high - low), 0, 1)
    np.testing.assert_allclose(read_radiograph(image).display, expected, atol=1e-6)
    assert steps_of(image)["percentiles"].startswith("12 bits in use, and the file states no window")


def test_one_bright_letter_does_not_darken_deep_grey(tmp_path: Path) -> None:
    with_letter = DEEP.copy()
    with_letter[:4, :4] = 65_535
    Image.fromarray(with_letter).save(tmp_path / "a.png")
    assert np.median(read_radiograph(only_image(tmp_path)).display) == pytest.approx(0.5, abs=0.02)


def test_floats_are_stretched_too_and_what_is_no_number_is_refused(tmp_path: Path) -> None:
    Image.fromarray(DEEP.astype(np.float32) / 7 - 100).save(tmp_path / "a.tif")
    image = only_image(tmp_path)
    assert read_radiograph(image).display.max() == 1.0
    broken = DEEP.astype(np.float32)
    broken[3, 3] = np.nan
    Image.fromarray(broken).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match="not numbers"):
        read_radiograph(image)


@pytest.mark.parametrize("deep", [False, True])
def test_zeros_that_a_tiff_declares_white_are_shown_white(tmp_path: Path, deep: bool) -> None:
    film = DEEP if deep else np.round(drawn_film() * 255).astype(np.uint8)
    stored = film.max() - film if deep else film  # Pillow inverts 8 bits itself when it saves them
    Image.fromarray(stored).save(tmp_path / "a.tif", tiffinfo={262: 0})
    image = only_image(tmp_path)
    assert "WhiteIsZero" in steps_of(image)["polarity"]
    shown = read_radiograph(image).display
    assert shown[-1, -1] > shown[0, 0] if deep else np.allclose(shown, drawn_film(), atol=ONE_GREY)


@pytest.mark.parametrize(
    ("display", "said"),
    [
        (drawn_film(), "as in the file: the mediastinum is brighter"),
        (1 - drawn_film(), "inverted: in the file the mediastinum is darker"),
        (np.full((160, 128), 0.4), "as in the file: it is unknown"),
    ],
)
def test_an_inverted_frontal_view_is_recognised_and_shown_upright(
    tmp_path: Path, display: np.ndarray, said: str
) -> None:
    saved_film(tmp_path / "a.png", display)
    image = replace(only_image(tmp_path), view=View.PA)
    assert steps_of(image)["polarity"].startswith(said)
    expected = display if "unknown" in said else drawn_film()
    np.testing.assert_allclose(read_radiograph(image).display, expected, atol=ONE_GREY)


def test_the_polarity_of_a_lateral_view_is_left_as_it_is(tmp_path: Path) -> None:
    saved_film(tmp_path / "a.png", 1 - drawn_film())
    image = replace(only_image(tmp_path), view=View.LATERAL)
    assert "unknown" in steps_of(image)["polarity"]
    np.testing.assert_allclose(read_radiograph(image).display, 1 - drawn_film(), atol=ONE_GREY)


def test_phantoms_are_not_inverted_and_their_negatives_are() -> None:
    films = [render(sample_phantom(np.random.default_rng([3, i])), columns=320).image for i in range(8)]
    assert [is_inverted(film) for film in films] == [False] * 8
    assert [is_inverted(1 - film) for film in films] == [True] * 8


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_rotation_that_exif_states_is_applied(tmp_path: Path, name: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees clockwise for display
    saved_film(tmp_path / name, np.rot90(drawn_film()), exif=exif, quality=98)
    image = only_image(tmp_path)
    assert (image.rows, image.columns) == (160, 128)
    np.testing.assert_allclose(read_radiograph(image).display, drawn_film(), atol=0.3 if name.endswith("jpg") else 0.01)
    assert steps_of(image)["orientation"] == "EXIF orientation 6"


def test_pages_of_a_tiff_are_frames(tmp_path: Path) -> None:
    pages = [Image.fromarray(np.full((70, 80), grey, np.uint8)) for grey in (50, 100, 150)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    image = only_image(tmp_path)
    assert image.frames == 3
    shown = [read_radiograph(replace(image, frame=number)).display[0, 0] for number in (1, 2, 3)]
    np.testing.assert_allclose(shown, np.array([50, 100, 150]) / 255, atol=1e-6)


def test_pages_of_other_sizes_are_refused(tmp_path: Path) -> None:
    pages = [Image.new("L", size) for size in ((70, 80), (80, 70))]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    image = only_image(tmp_path)
    with pytest.raises(InputError, match="pages differ in size"):
        read_radiograph(replace(image, frame=2))


def many_pages(path: Path) -> None:
    pages = [Image.new("1", (64, 64))] * 1001
    pages[0].save(path, save_all=True, append_images=pages[1:])


def cut(path: Path) -> None:
    saved_film(path)
    path.write_bytes(path.read_bytes()[:20])


def huge(path: Path) -> None:
    Image.new("1", (6000, 6000)).save(path)


@pytest.mark.parametrize(
    ("name", "make", "reason", "failed"),
    [
        ("a.png", cut, "cannot be decoded", True),
        ("a.png", huge, "36000000|6000 x 6000 pixels are more than the limit", True),
        ("a.tif", many_pages, "more than 1,000 pages", True),
        ("a.png", lambda path: Image.new("L", (32, 200)).save(path), "too small for a radiograph", False),
        ("a.gif", lambda path: Image.new("L", (99, 200)).save(path), "Not DICOM, PNG, JPEG or TIFF", False),
        ("._a.png", lambda path: path.write_bytes(b"\x00\x05\x16\x07" + bytes(60)), "AppleDouble", False),
    ],
)
def test_a_file_that_is_no_film_is_listed_with_its_reason(
    tmp_path: Path, name: str, make: Callable[[Path], None], reason: str, failed: bool
) -> None:
    make(tmp_path / name)
    scan = scan_folder(tmp_path)
    assert scan.images == ()
    [(said, is_failure)] = reasons(scan).values()
    assert re.search(reason, said)
    assert is_failure is failed
    assert str(tmp_path) not in said


def test_pixels_that_are_cut_off_are_a_reason_and_no_crash(tmp_path: Path) -> None:
    path = saved_film(tmp_path / "a.png", np.random.default_rng(1).random((200, 200)))
    path.write_bytes(path.read_bytes()[:2000])
    image = only_image(tmp_path)
    with pytest.raises(InputError, match="cannot be decoded"):
        read_radiograph(image)


@pytest.mark.parametrize(
    ("png", "dicom", "reason"),
    [
        ("a/film.png", "a/film.dcm", "holds the same image as DICOM"),
        ("png/{uid}.png", "dicom/x.dcm", "holds the same image as DICOM"),
        ("png/a-name-of-16-or-more.png", "dicom/a-name-of-16-or-more.dcm", "holds the same image as DICOM"),
        ("b/film.png", "a/film.dcm", None),
    ],
)
def test_a_film_that_is_also_there_as_dicom_is_used_once(
    tmp_path: Path, png: str, dicom: str, reason: str | None
) -> None:
    (tmp_path / dicom).parent.mkdir()
    copy(get_testdata_file("RG1_UNCR.dcm"), tmp_path / dicom)
    uid = only_image(tmp_path).sop_instance_uid
    saved_film(tmp_path / png.format(uid=uid))
    scan = scan_folder(tmp_path)
    assert len(scan.images) == (2 if reason is None else 1)
    assert all(reason is not None and reason in said and not failed for said, failed in reasons(scan).values())


def test_of_two_files_of_one_name_the_first_is_used(tmp_path: Path) -> None:
    saved_film(tmp_path / "a.png")
    saved_film(tmp_path / "a.jpg")
    scan = scan_folder(tmp_path)
    assert [image.path.name for image in scan.images] == ["a.jpg"]
    assert "has the same name" in reasons(scan)["a.png"][0]


def test_an_unknown_view_says_how_an_image_file_states_it(tmp_path: Path) -> None:
    saved_film(tmp_path / "a.png")
    kept, [left] = select_views(scan_folder(tmp_path).images)
    assert kept == ()
    assert "table of images with the columns image and view" in left.reason


def test_an_index_returns_what_the_scan_found(tmp_path: Path) -> None:
    saved_film(tmp_path / "films" / "p" / "a.png")
    first, again = (scan_folder(tmp_path / "films", index=tmp_path / "index") for _ in range(2))
    assert first == again
    assert hash(again.images[0]) == hash(first.images[0])
