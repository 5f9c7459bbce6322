"""Cases through the MONAI pipeline: the same pictures whatever loads them, and nothing stops the row."""

import gc
import multiprocessing
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from model_input import to_model
from PIL import Image as PillowImage
from pydicom.data import get_testdata_file

from pipelines.dicom.headers import read_image_header
from pipelines.dicom.pixels import PixelStep, read_pixels
from pipelines.geometry import Fit, Placement
from pipelines.image_file import picture_of
from pipelines.study import Case, Exclusion
from pipelines.transforms import CaseLoader, LoadedCase, Preprocessing, load_cases, place_image

ROOT = Path(__file__).parents[2]
PLAIN = Preprocessing(size=64, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
NAMES = ("vlut_04.dcm", "RG1_UNCR.dcm", "mlut_18.dcm", "SC_rgb.dcm", "RG1_J2KR.dcm")


def case_of(path: Path) -> Case:
    return Case(image=read_image_header(path), phrases=(), boxes=())


@pytest.fixture(scope="module")
def cases() -> tuple[Case, ...]:
    return tuple(case_of(Path(get_testdata_file(name))) for name in NAMES)


@pytest.fixture
def broken(tmp_path, cases) -> Case:
    """A case whose file is damaged after its header was read."""
    path = tmp_path / "broken.dcm"
    content = Path(get_testdata_file("RG1_J2KR.dcm")).read_bytes()
    path.write_bytes(content)
    case = case_of(path)
    stream = content.index(b"\xff\x4f\xff\x51") + 60
    path.write_bytes(content[:stream] + b"\x55" * (len(content) - stream - 8) + content[-8:])
    return case


def same(one: LoadedCase | Exclusion, other: LoadedCase | Exclusion) -> bool:
    if isinstance(one, Exclusion) or isinstance(other, Exclusion):
        return one == other
    return (
        (one.case, one.placement, one.steps) == (other.case, other.placement, other.steps)
        and one.picture == other.picture
        and np.array_equal(one.valid, other.valid)
        and torch.equal(one.inputs, other.inputs)
    )


@pytest.mark.parametrize(
    ("workers", "cache_rate"),
    [(2, 0.0), (0, 1.0), (0, 0.5), (2, 1.0)],
    ids=["two workers", "cache", "half a cache", "workers and cache"],
)
def test_workers_and_cache_change_nothing(cases, broken, workers, cache_rate):
    row = (*cases[:2], broken, *cases[2:])
    expected = list(load_cases(row, PLAIN))
    loaded = list(load_cases(row, PLAIN, workers=workers, cache_rate=cache_rate))
    assert len(loaded) == len(row)
    assert all(same(one, other) for one, other in zip(loaded, expected, strict=True))


def test_cases_come_in_their_order_with_their_pixels(cases):
    for case, loaded in zip(cases, load_cases(cases, PLAIN), strict=True):
        assert isinstance(loaded, LoadedCase)
        assert loaded.case is case
        pixels = read_pixels(case.image.path)
        assert loaded.picture == picture_of(pixels.display)
        assert (loaded.valid.dtype, loaded.inputs.dtype) == (np.bool_, torch.float32)
        assert loaded.seconds > 0.0
        assert loaded.steps[:-1] == pixels.steps
        assert loaded.steps[-1].step == "burned-in text"
        assert loaded.inputs.shape == (3, 64, 64)


def test_a_case_that_cannot_be_read_takes_its_place_as_left_out(cases, broken):
    first, left_out, last = load_cases((cases[0], broken, cases[2]), PLAIN)
    assert isinstance(first, LoadedCase)
    assert isinstance(last, LoadedCase)
    assert isinstance(left_out, Exclusion)
    assert (left_out.stage, left_out.failed, left_out.source) == ("pixels", True, str(broken.image.path))
    assert "cannot be decoded" in left_out.reason
    assert str(broken.image.path) not in left_out.reason, "reasons stand on pages, and paths may name patients"


def test_a_mistake_of_ours_with_one_image_costs_that_image_alone(cases, monkeypatch, caplog):
    def stumble(display, policy, *, stated):
        if display.shape == stumbling:
            raise ZeroDivisionError("a value of the image")
        return (), PixelStep(step="burned-in text", detail="none")

    stumbling = read_pixels(cases[1].image.path).display.shape
    monkeypatch.setattr("pipelines.transforms.examine", stumble)
    found = list(load_cases(cases[:3], PLAIN))
    assert [isinstance(item, LoadedCase) for item in found] == [True, False, True]
    assert found[1].failed
    assert "ZeroDivisionError" in found[1].reason
    assert "a value of the image" not in found[1].reason
    assert "an image could not be read" in caplog.text


@pytest.mark.parametrize("place", ["pipelines.transforms.examine", "pipelines.dicom.decode.dcmread"])
def test_an_image_that_needs_more_memory_than_there_is_says_so(cases, monkeypatch, place):
    def run_out(*_args, **_kwargs):
        raise MemoryError

    monkeypatch.setattr(place, run_out)
    [left_out] = load_cases(cases[1:2], PLAIN)
    assert "needs more memory than is available: free memory or use fewer execution.workers" in left_out.reason
    assert "bug" not in left_out.reason
    assert "damaged" not in left_out.reason


def test_a_file_that_is_gone_is_left_out(cases, tmp_path):
    gone = replace(cases[0], image=replace(cases[0].image, path=tmp_path / "gone.dcm"))
    [left_out] = load_cases((gone,), PLAIN)
    assert isinstance(left_out, Exclusion)


def test_a_cached_case_is_read_once(cases, tmp_path):
    path = tmp_path / "image.dcm"
    path.write_bytes(cases[0].image.path.read_bytes())
    loader = CaseLoader((case_of(path),), PLAIN, cache_rate=1.0)
    [before] = loader
    path.unlink()
    [after] = loader
    assert same(before, after)


def test_no_case_is_no_work():
    assert list(load_cases((), PLAIN, workers=2)) == []
    assert len(CaseLoader((), PLAIN)) == 0


def test_workers_end_when_the_iterator_is_closed_early(cases):
    loaded = load_cases(cases * 3, PLAIN, workers=2)
    next(loaded)
    workers = multiprocessing.active_children()
    assert workers
    loaded.close()
    gc.collect()
    for worker in workers:
        worker.join()  # one that does not end is a hang, which the timeout of every test ends


def test_workers_that_are_killed_cost_nothing_but_time(cases):
    loaded = load_cases(cases * 3, PLAIN, workers=2)
    found = [next(loaded)]
    for worker in multiprocessing.active_children():
        worker.kill()
    found += loaded
    assert all(same(one, other) for one, other in zip(found, [*load_cases(cases, PLAIN)] * 3, strict=True))


GLOBAL_STATES = """
import random, sys
from pathlib import Path
import numpy as np, torch
from pipelines.dicom.headers import read_image_header
from pipelines.study import Case
from pipelines.transforms import Preprocessing, load_cases

def states():
    return torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()

def main():
    case = Case(image=read_image_header(Path(sys.argv[1])), phrases=(), boxes=())
    plain = Preprocessing(size=64, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    before = states()
    for workers in (0, 1):
        loaded = list(load_cases((case,), plain, workers=workers))
        if len(loaded) != 1 or states() != before:
            sys.exit(f"with {workers} workers")

main()
"""


def test_global_random_states_are_not_touched(cases):
    """In a process of its own: the type checker that runs beside the tests draws random numbers itself."""
    command = [sys.executable, "-c", GLOBAL_STATES, str(cases[0].image.path)]
    ended = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("fit", list(Fit))
@pytest.mark.parametrize("shape", [(300, 200), (201, 333), (64, 64), (20, 31), (1, 500)], ids=str)
def test_a_placed_image_agrees_with_pillow(shape, fit):
    """Pillow's float mode resizes with the same kernel (bicubic a = -0.5, antialiased), coded independently."""
    display = np.random.default_rng(1).random(shape, dtype=np.float32)
    inputs, placement = place_image(display, replace(PLAIN, fit=fit))
    size = (placement.resized_columns, placement.resized_rows)
    resized = np.asarray(PillowImage.fromarray(display).resize(size, PillowImage.Resampling.BICUBIC))
    resized = resized.clip(display.min(), display.max())
    expected = np.zeros((64, 64), dtype=np.float32)
    if fit is Fit.LETTERBOX:
        rows = slice(placement.top, placement.top + placement.resized_rows)
        columns = slice(placement.left, placement.left + placement.resized_columns)
        expected[rows, columns] = resized
    else:
        expected = resized[-placement.top :, -placement.left :][:64, :64]
    np.testing.assert_allclose(inputs[0].numpy(), expected, atol=1e-4)
    assert torch.equal(inputs[0], inputs[2])


@given(
    display=arrays(np.float32, st.tuples(st.integers(1, 60), st.integers(1, 60)), elements=st.floats(0, 1, width=32)),
    size=st.integers(1, 70),
    fit=st.sampled_from(list(Fit)),
)
def test_a_placed_image_stays_in_range_and_its_padding_is_black(display, size, fit):
    inputs, placement = place_image(display, replace(PLAIN, size=size, fit=fit))
    assert inputs.shape == (3, size, size)
    assert 0.0 <= inputs.min() <= inputs.max() <= display.max()
    picture = torch.zeros(size, size, dtype=torch.bool)
    top, left = max(placement.top, 0), max(placement.left, 0)
    picture[top : placement.top + placement.resized_rows, left : placement.left + placement.resized_columns] = True
    assert not inputs[:, ~picture].any()
    assert (inputs[:, picture] >= display.min() - 1e-6).all()


def test_a_bright_square_lands_where_the_placement_says():
    display = np.zeros((300, 200), dtype=np.float32)
    display[210:240, 20:50] = 1.0
    for fit in Fit:
        inputs, placement = place_image(display, replace(PLAIN, size=150, fit=fit))
        rows, columns = torch.nonzero(inputs[0] > 0.5, as_tuple=True)
        top, left = to_model(placement, 210, 20)
        bottom, right = to_model(placement, 240, 50)
        assert rows.min().item() == pytest.approx(top, abs=1)
        assert rows.max().item() + 1 == pytest.approx(bottom, abs=1)
        assert columns.min().item() == pytest.approx(left, abs=1)
        assert columns.max().item() + 1 == pytest.approx(right, abs=1)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"size": 65}, id="size"),
        pytest.param({"mean": (0.1, 0.0, 0.0)}, id="mean"),
        pytest.param({"std": (1.0, 0.5, 1.0)}, id="std"),
        pytest.param({"fit": Fit.CROP}, id="fit"),
    ],
)
def test_every_setting_changes_the_input(changed):
    display = np.random.default_rng(2).random((80, 50), dtype=np.float32)
    plain, _ = place_image(display, PLAIN)
    other, placement = place_image(display, replace(PLAIN, **changed))
    assert plain.shape != other.shape or not torch.equal(plain, other)
    assert isinstance(placement, Placement)


def test_normalisation_is_per_channel():
    display = np.full((10, 10), 0.5, dtype=np.float32)
    preprocessing = Preprocessing(size=10, mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 0.1))
    inputs, _ = place_image(display, preprocessing)
    np.testing.assert_allclose(inputs[:, 5, 5].numpy(), [0.8, 1.2, 2.0], rtol=1e-5)


@pytest.mark.parametrize("bad", [{"size": 0}, {"std": (1.0, 0.0, 1.0)}], ids=["size 0", "std 0"])
def test_a_setting_that_cannot_be_computed_with_is_our_own_mistake(bad):
    with pytest.raises(ValueError, match="positive"):
        replace(PLAIN, **bad)
