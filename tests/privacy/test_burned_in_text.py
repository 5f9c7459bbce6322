"""Text in the pixels: found at several sizes, contrasts and places, and blanked only in what is displayed."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageDraw
from planting import burned_in
from pydicom import dcmread
from pydicom.data import get_testdata_file
from scipy.ndimage import gaussian_filter

from benchmarks.bench_burned_in import ACROSS, covered, phantom_film, write_on
from pipelines.cohort import match
from pipelines.dicom.pixels import read_pixels
from pipelines.images.scan import scan_folder
from pipelines.phantom.cohort import make_cohort
from pipelines.privacy.burned_in import Area, BurnedIn, blanked, examine
from pipelines.regions import regions_of
from pipelines.regions.printed import find_letters, is_printed
from pipelines.regions.text import find_text
from pipelines.study import Exclusion
from pipelines.text.reports import read_reports
from pipelines.transforms import LoadedCase, Preprocessing, load_cases

PREPROCESSING = Preprocessing(size=32, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


@pytest.fixture(scope="module")
def film() -> np.ndarray:
    return phantom_film(7001, columns=640)


@pytest.fixture(scope="module")
def wide_film() -> np.ndarray:
    return phantom_film(7001, columns=1024)


@pytest.mark.parametrize("place", ["corner", "edge", "on the chest", "plate", "down the side"])
@pytest.mark.parametrize("height", [14, 24, 48])
def test_a_name_is_found_wherever_it_stands(film: np.ndarray, place: str, height: int) -> None:
    written = write_on(film, "DOE^JANE", height=height, contrast=1.0, place=place, seed=3)
    areas = find_text(written.display)
    assert covered(written.frame, areas) >= 0.9
    letters = [area.letters for area in areas]
    assert covered(written.frame, letters) >= 0.7
    for area, inner in zip(areas, letters, strict=True):
        assert area.top <= inner.top < inner.bottom <= area.bottom
        assert area.left <= inner.left < inner.right <= area.right
        assert inner.edges != area.edges


@pytest.mark.parametrize("negative", [False, True], ids=["white", "black"])
@pytest.mark.parametrize("height", [14, 24, 40])
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_a_line_that_crosses_from_air_to_tissue_is_covered_whole(
    wide_film: np.ndarray, height: int, seed: int, negative: bool
) -> None:
    written = write_on(wide_film, "DOE^JANE 14.03.1962", height=height, contrast=1.0, place=ACROSS, seed=seed)
    display = 1.0 - written.display if negative else written.display
    assert covered(written.frame, find_text(display)) >= 0.99


def test_lines_that_cross_each_other_are_not_blanked_with_all_that_lies_between() -> None:
    film = np.full((600, 600), 0.3, dtype=np.float32)
    film = write_on(film, "KOWALCZYK ANNA", height=20, contrast=1.0, place="corner", seed=1).display
    film = write_on(film, "KOWALCZYK ANNA", height=20, contrast=1.0, place="down the side", seed=1).display
    areas = find_text(film)
    assert sum((a.bottom - a.top) * (a.right - a.left) for a in areas) / film.size < 0.1


def cables(seed: int, *, count: int = 6, side: int = 640) -> np.ndarray:
    """Draw cables that cross and run side by side, blurred as what lies in the beam is, on tissue with some noise."""
    rng = np.random.default_rng(seed)
    drawn = Pillow.new("L", (side, side), 0)
    pen = ImageDraw.Draw(drawn)
    along = np.linspace(0.0, 1.0, 80)
    for _ in range(count):
        start, bend, end = rng.uniform(0, side, (3, 2))
        points = [
            tuple(start * (1 - t) ** 2 + 2 * bend * t * (1 - t) + end * t**2)
            for t in along  # a quadratic curve
        ]
        pen.line(points, fill=int(rng.integers(110, 200)), width=int(rng.integers(3, 7)))
    film = 0.35 + gaussian_filter(np.asarray(drawn, dtype=np.float32) / 255.0, 1.3)
    return np.clip(film + rng.normal(0.0, 0.01, film.shape), 0.0, 1.0).astype(np.float32)


@pytest.mark.parametrize("seed", range(6))
def test_cables_are_no_text_and_a_name_among_them_is_found(seed: int) -> None:
    film = cables(seed)
    assert find_text(film) == ()
    written = write_on(film, "KOWALCZYK ANNA", height=24, contrast=1.0, place="corner", seed=seed)
    assert covered(written.frame, find_text(written.display)) >= 0.9


def test_letters_out_of_focus_are_no_print(film: np.ndarray) -> None:
    sharp = write_on(film, "DOE^JANE", height=48, contrast=1.0, place="corner", seed=3)
    letters = find_letters(np.round(sharp.display * 255).astype(np.uint8), 28.0)
    blurred = find_letters(np.round(gaussian_filter(sharp.display, 2.0) * 255).astype(np.uint8), 28.0)
    top, left, bottom, right = sharp.frame
    for found, printed in ((letters, True), (blurred, False)):
        boxes = found.boxes
        inside = (boxes[:, 0] >= top - 4) & (boxes[:, 2] <= bottom + 4) & (boxes[:, 1] >= left - 4)
        row = np.flatnonzero(inside & (boxes[:, 3] <= right + 4)).tolist()
        assert len(row) >= 3
        assert is_printed(found, row, pixel=1.0) is printed


@pytest.mark.parametrize("columns", [320, 512])
@pytest.mark.parametrize("seed", range(7001, 7007))
def test_a_side_marker_is_no_text_and_ribs_are_none(seed: int, columns: int) -> None:
    assert find_text(phantom_film(seed, columns=columns)) == ()


@pytest.mark.parametrize("place", ["corner", "on the chest"])
def test_a_name_on_a_small_film_is_found_and_little_else_is(place: str) -> None:
    written = write_on(phantom_film(7001, columns=320), "DOE^JANE", height=14, contrast=1.0, place=place, seed=3)
    areas = find_text(written.display)
    assert covered(written.frame, areas) >= 0.9
    assert sum((a.bottom - a.top) * (a.right - a.left) for a in areas) / written.display.size < 0.1


def test_a_film_of_one_grey_and_one_of_a_few_pixels_have_no_text() -> None:
    assert find_text(np.full((300, 300), 0.4, dtype=np.float32)) == ()
    assert find_text(np.zeros((3, 5), dtype=np.float32)) == ()


def test_a_real_radiograph_has_little_that_is_taken_for_text() -> None:
    display = read_pixels(Path(str(get_testdata_file("RG1_UNCR.dcm")))).display
    areas = find_text(display)
    assert sum((a.bottom - a.top) * (a.right - a.left) for a in areas) / display.size < 0.02


def test_nothing_of_a_blanked_area_stays() -> None:
    display = np.full((20, 30), 0.25, dtype=np.float32)
    display[5:9, 5:20] = np.random.default_rng(1).random((4, 15))
    shown = blanked(display, [Area(5, 5, 9, 20)])
    assert (shown == 0.25).all()
    assert (display[5:9, 5:20] != 0.25).any()


@pytest.mark.parametrize("text", [True, False], ids=["text", "no text"])
@pytest.mark.parametrize("stated", [True, False], ids=["stated", "not stated"])
@pytest.mark.parametrize("policy", list(BurnedIn))
def test_the_policy_decides(film: np.ndarray, policy: BurnedIn, stated: bool, text: bool) -> None:
    written = write_on(film, "DOE^JANE", height=24, contrast=1.0, place="corner", seed=3)
    found = examine(written.display if text else film, policy, stated=stated)
    left_out = policy is not BurnedIn.KEEP and (
        (policy is BurnedIn.LEAVE_OUT and (text or stated)) or (stated and not text)
    )
    assert isinstance(found, str) is left_out
    if not isinstance(found, str):
        assert bool(found[0]) is (text and policy is BurnedIn.MASK)
        assert "burned-in" in found[1].step


def loaded(cohort: Path, policy: BurnedIn) -> LoadedCase | Exclusion:
    studies = match(scan_folder(cohort / "dicom").images, read_reports(cohort / "reports")).studies
    (item,) = load_cases([case for study in studies for case in study.cases], PREPROCESSING, burned_in=policy)
    return item


def test_the_picture_is_blanked_and_the_models_input_is_not(tmp_path: Path) -> None:
    make_cohort(tmp_path, count=1, seed=5, columns=400)
    path = tmp_path / "dicom" / "phantom-00001.dcm"
    burned_in(path, "DOE JANE")
    kept, masked = loaded(tmp_path, BurnedIn.KEEP), loaded(tmp_path, BurnedIn.MASK)
    assert isinstance(kept, LoadedCase)
    assert isinstance(masked, LoadedCase)
    assert masked.inputs.equal(kept.inputs)
    assert (masked.picture != kept.picture, kept.blanked) == (True, ())
    assert any("the model saw the unchanged image" in step.detail for step in masked.steps)
    area = masked.blanked[0]
    markers = regions_of(masked.picture, masked.valid, masked.blanked).markers
    row, column = (area.top + area.bottom) // 2, (area.left + area.right) // 2
    film_shape = masked.valid.shape
    cell = row * markers.shape[0] // film_shape[0], column * markers.shape[1] // film_shape[1]
    assert markers[cell]  # heat on blanked text is heat on letters
    plain = regions_of(masked.picture, masked.valid).markers
    top, left, bottom, right = (
        edge * grid // size
        for edge, grid, size in zip(area.letters.edges, markers.shape * 2, film_shape * 2, strict=True)
    )
    added = np.argwhere(markers & ~plain)
    assert len(added)
    assert (added >= [top, left]).all()  # and the room around it is not
    assert (added <= [bottom, right]).all()
    assert isinstance(loaded(tmp_path, BurnedIn.LEAVE_OUT), Exclusion)


def test_a_header_that_says_yes_leaves_a_film_out_unless_its_text_is_found(tmp_path: Path) -> None:
    make_cohort(tmp_path, count=1, seed=5, columns=400)
    path = tmp_path / "dicom" / "phantom-00001.dcm"
    dataset = dcmread(path)
    dataset.BurnedInAnnotation = "YES"
    dataset.save_as(path)
    left_out = loaded(tmp_path, BurnedIn.MASK)
    assert isinstance(left_out, Exclusion)
    assert (left_out.failed, left_out.stage) == (False, "burned-in text")
    burned_in(path, "DOE JANE")
    assert isinstance(loaded(tmp_path, BurnedIn.MASK), LoadedCase)


@pytest.mark.parametrize("side", [1, 20, 26, 33, 105, 128, 160])
def test_a_picture_of_any_size_is_looked_at(side: int) -> None:
    noise = np.random.default_rng(side).random((side, side + 3))
    for display in (noise, np.zeros((side, side + 3)), np.ones((side + 3, side))):
        assert all(area.bottom > area.top and area.right > area.left for area in find_text(display.astype(np.float32)))
