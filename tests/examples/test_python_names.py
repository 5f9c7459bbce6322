"""What ``from audit import ...`` gives, and explaining one picture as a notebook does."""

import subprocess
import sys
from inspect import unwrap

import numpy as np
import pytest
import torch

import audit
from audit.attribution.bottleneck import BottleneckSettings
from audit.attribution.engine import pair_seed
from audit.attribution.explanation import Explanation
from audit.attribution.m2ib import M2IB
from audit.attribution.methods import METHODS, explain
from audit.attribution.nib import NIB
from audit.attribution.pairs import Request
from audit.encoders.loading import load_encoder
from audit.encoders.protocol import DualEncoder
from audit.phantom.evaluation import HeldOut, held_out_phantoms
from pipelines.errors import InputError
from pipelines.image_file import Picture, read_image
from pipelines.phantom.cohort import phantom_dataset
from pipelines.transforms import place_image

QUICK = BottleneckSettings(beta=10.0, steps=3, samples=2)


@pytest.fixture(scope="module")
def encoder() -> DualEncoder:
    return load_encoder("phantom")


@pytest.fixture(scope="module")
def held_out() -> HeldOut:
    return next(held_out_phantoms(1, seed=7))


@pytest.fixture(scope="module")
def seen(encoder, held_out) -> Explanation:
    return M2IB(QUICK).explain(encoder, held_out.radiograph.image, "There is cardiomegaly.")


def test_importing_audit_loads_nothing_heavy_and_its_names_load_on_demand():
    code = (
        "import sys, audit; heavy = ('torch', 'transformers', 'monai', 'pandas', 'matplotlib', 'numpy');"
        "assert not [name for name in heavy if name in sys.modules];"
        "from audit import Box; assert 'torch' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", audit.__all__)
def test_every_name_is_there(name):
    assert getattr(audit, name) is getattr(audit, name)
    assert name in dir(audit)


def test_all_methods_are_among_the_names():
    assert {method.__name__ for method in METHODS.values()} <= set(audit.__all__)


def test_a_name_that_is_not_there_is_refused():
    with pytest.raises(AttributeError, match="no attribute 'heatmap'"):
        _ = audit.heatmap


def test_a_picture_is_explained_as_its_placed_pixels_are(encoder, held_out, seen):
    pixels, placement = place_image(held_out.radiograph.image, encoder.preprocessing)
    phrase = "There is cardiomegaly."
    (expected,) = M2IB(QUICK).explain_batch(
        encoder, [Request(pixels=pixels, phrases=[phrase], seeds=[pair_seed(0, phrase)])]
    )[0]
    np.testing.assert_array_equal(seen.grid, expected.heat.numpy())
    np.testing.assert_array_equal(seen.heat, placement.heat_to_source(expected.heat.numpy()))
    assert (seen.words, seen.cosine) == (expected.words, expected.cosine)
    assert (seen.method, seen.unit, seen.phrase) == ("m2ib", "nats", phrase)
    assert [word for word, _ in seen.words] == ["There", "is", "cardiomegaly."]


def test_the_explanation_says_how_much_and_where(seen, held_out):
    assert seen.heat.shape == held_out.radiograph.image.shape
    assert seen.total == pytest.approx(seen.grid.astype(float).sum(), rel=1e-5)
    row, column = seen.peak
    assert seen.heat[row, column] == np.nanmax(seen.heat)
    assert f"row {row}, column {column}" in repr(seen)
    assert "cardiomegaly" not in repr(seen)


def test_the_scores_are_those_of_the_hottest_point_and_the_boxes(seen, held_out):
    inside = {score.score: score for score in seen.scores(held_out.radiograph.boxes)}
    row, column = seen.peak
    hit = any(
        box.x <= column + 0.5 < box.x + box.width and box.y <= row + 0.5 < box.y + box.height
        for box in held_out.radiograph.boxes
    )
    assert inside["pointing game, tau 0"].outcome == ("hit" if hit else "miss")
    assert inside["pointing game, 10 mm"].outcome == "unscored"
    with_spacing = {score.score: score for score in seen.scores(held_out.radiograph.boxes, spacing_mm=(0.5, 0.5))}
    assert with_spacing["pointing game, 10 mm"].outcome in {"hit", "miss"}
    assert {score.outcome for score in seen.scores(())} == {"unscored"}


def test_the_seed_moves_the_noise_and_the_same_seed_gives_the_same(encoder, held_out, seen):
    image = held_out.radiograph.image
    again, other = (M2IB(QUICK).explain(encoder, image, seen.phrase, seed=seed) for seed in (0, 1))
    np.testing.assert_array_equal(seen.grid, again.grid)
    assert not np.array_equal(seen.grid, other.grid)


@pytest.mark.parametrize("name", ["nib", "grad_cam", "rollout"])
def test_every_method_explains_by_the_same_function(encoder, held_out, name):
    found = explain(encoder, held_out.radiograph.image, "There is cardiomegaly.", method=METHODS[name]())
    assert found.method == name
    assert np.isfinite(found.heat).all()


def test_m2ib_is_the_method_where_none_is_given(encoder, held_out):
    assert explain(encoder, held_out.radiograph.image, "There is cardiomegaly.").method == "m2ib"


def test_a_dicom_is_explained_where_it_shows_a_body(encoder, held_out, tmp_path):
    dataset = phantom_dataset(held_out.radiograph, held_out.phantom, seed=1, index=3)
    dataset.save_as(tmp_path / "film.dcm", enforce_file_format=True)
    read = read_image(tmp_path / "film.dcm")
    valid = read.valid.copy()
    valid[:, :40] = False
    found = explain(encoder, Picture(display=read.display, valid=valid, steps=read.steps), "x", method=NIB())
    assert np.isnan(found.heat[:, :40]).all()
    assert np.isfinite(found.heat[:, 40:]).all()
    assert found.peak is not None
    assert found.peak[1] >= 40


@pytest.mark.parametrize(
    ("image", "words"),
    [
        pytest.param(np.zeros((3, 20, 20)), "RGB", id="channels first"),
        pytest.param(np.zeros((0, 20)), "RGB", id="empty"),
        pytest.param(np.full((20, 20), 200, dtype=np.uint8), "divide", id="8 bits"),
        pytest.param(np.full((20, 20), 1.5), "divide", id="beyond 1"),
        pytest.param(np.full((20, 20), np.nan), "divide", id="no numbers"),
    ],
)
def test_an_array_that_is_no_picture_is_refused_with_the_mend(encoder, image, words):
    with pytest.raises(InputError, match=words):
        explain(encoder, image, "anything")


def test_pixels_and_pictures_are_not_mixed_up(encoder, held_out):
    explain_one = unwrap(M2IB.explain)  # without the tests' own check of types
    with pytest.raises(TypeError, match="explain_batch"):
        explain_one(M2IB(), encoder, torch.zeros(3, 160, 160), "one")
    with pytest.raises(TypeError, match="one phrase at a time"):
        explain_one(M2IB(), encoder, held_out.radiograph.image, ["one", "two"])
