"""Presets and flags: which numbers a method gets for a model."""

from dataclasses import replace

import pytest

from audit.encoders.loading import load_encoder
from audit.encoders.protocol import Encoder
from audit.experiments.evaluation_settings import PRESETS, EvaluationConfig, methods_of, text_mask_of
from audit.faithfulness.confidence import TextMask

SHARED = ("beta", "variance", "steps", "samples", "image_layer", "text_layer")


class OfDepth:
    """A tower as it is, but for the number of blocks that it says it has."""

    def __init__(self, tower: object, depth: int) -> None:
        self._tower, self.depth = tower, depth

    def __getattr__(self, name: str) -> object:
        return getattr(self._tower, name)


def encoder_of(image_depth: int, text_depth: int, **hints: float) -> Encoder:
    phantom = load_encoder("phantom")
    info = replace(phantom.info, **{"beta": None, "image_layer": None, "text_layer": None, **hints})
    return Encoder(
        info=info,
        preprocessing=phantom.preprocessing,
        image=OfDepth(phantom.image, image_depth),
        text=OfDepth(phantom.text, text_depth),
    )


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return encoder_of(12, 12)


def asked(*, hyperparameters: dict[str, object] | None = None, **changes: object) -> EvaluationConfig:
    """A configuration; a hyperparameter by its name alone is for every method that has it."""
    shared = {name: changes.pop(name) for name in SHARED if name in changes}
    given = {**({"all": shared} if shared else {}), **(hyperparameters or {})}
    return EvaluationConfig.of(data_path="pairs.tsv", output_path="out.csv", hyperparameters=given, **changes)


def numbers(encoder: Encoder, **changes: object) -> dict[str, float]:
    (method,) = methods_of(asked(**changes), encoder)
    return dict(method.hyperparameters(encoder))


@pytest.mark.parametrize(
    ("preset", "published"),
    [
        ("natural", {"beta": 0.1, "variance": 1, "steps": 10, "samples": 10, "image_layer": 9, "text_layer": 9}),
        ("ms-cxr", {"beta": 1, "variance": 1, "steps": 10, "samples": 10, "image_layer": 9, "text_layer": 7}),
    ],
)
def test_a_preset_gives_the_published_numbers(encoder, preset, published):
    given = numbers(encoder, preset=preset)
    assert {name: given[name] for name in published} == published
    assert preset in PRESETS


def test_a_preset_wins_over_the_models_folder_and_a_flag_over_both():
    encoder = encoder_of(12, 12, beta=7.0, image_layer=1, text_layer=2)
    names = ("beta", "image_layer", "text_layer")
    without, with_preset, with_flag = (
        tuple(numbers(encoder, **changes)[name] for name in names)
        for changes in ({}, {"preset": "natural"}, {"preset": "natural", "beta": 3.0, "text_layer": 5})
    )
    assert without == (7.0, 1, 2)
    assert with_preset == (0.1, 9, 9)
    assert with_flag == (3.0, 9, 5)


@pytest.mark.parametrize(
    ("depths", "layers"), [((24, 12), (18, 9)), ((6, 6), (4, 4)), ((4, 2), (2, 0))], ids=["L", "half", "small"]
)
def test_a_presets_layers_are_taken_to_other_depths_in_proportion(depths, layers):
    given = numbers(encoder_of(*depths), preset="natural")
    assert (given["image_layer"], given["text_layer"]) == layers


@pytest.mark.parametrize(("method", "text_layer"), [("nib", 8), ("iba", 9)])
def test_a_layer_is_for_every_method_that_has_one_and_a_preset_for_m2ib_and_iba(encoder, method, text_layer):
    given = numbers(encoder, method=method, preset="natural", image_layer=3)
    assert (given["image_layer"], given["text_layer"]) == (3, text_layer)


def test_a_number_of_one_method_wins_over_the_flag_and_leaves_the_others(encoder):
    both = asked(method=("m2ib", "nib"), steps=4, hyperparameters={"nib": {"steps": 7}})
    m2ib, nib = methods_of(both, encoder)
    assert (m2ib.hyperparameters(encoder)["steps"], nib.hyperparameters(encoder)["steps"]) == (4, 7)


@pytest.mark.parametrize(
    ("changes", "mask"),
    [
        pytest.param({}, "minmax", id="without a preset"),
        pytest.param({"preset": "natural"}, "median", id="natural, as its authors"),
        pytest.param({"preset": "ms-cxr"}, "median", id="ms-cxr, as its authors"),
        pytest.param({"preset": "natural", "text_mask": TextMask.MINMAX}, "minmax", id="a flag wins"),
        pytest.param({"text_mask": TextMask.MEDIAN}, "median", id="a flag alone"),
    ],
)
def test_words_are_weighted_as_the_flag_or_the_preset_says(changes, mask):
    assert text_mask_of(asked(**changes)) == mask


@pytest.mark.parametrize("name", SHARED)
def test_every_hyperparameter_moves_its_own_number_and_no_other(encoder, name):
    plain, moved = numbers(encoder), numbers(encoder, **{name: 3})
    follows = {"text_beta": 3} if name == "beta" else {}  # beta is that of both towers unless the text tower's is given
    assert moved == {**plain, name: 3, **follows}
    assert plain[name] != 3
