"""One rule for numbers: a flag is for every chosen method that has it, ``--set`` for one method alone."""

from dataclasses import replace
from pathlib import Path

import pytest

from audit.attribution.legrad import LeGradPool
from audit.attribution.methods import (
    METHODS,
    GivenNumbers,
    SharedNumber,
    build_method,
    check_fit,
    numbers_by_method,
    parse_settings,
)
from audit.attribution.nib import NIB
from audit.encoders.loading import load_encoder
from audit.encoders.protocol import Encoder
from audit.pipeline.explain import methods_of
from audit.pipeline.settings import RunSettings
from pipelines.errors import AuditError

LAYER = SharedNumber(flag="--image-layer", name="image_layer", value=3)
PLAIN = RunSettings(dicom_dir=Path("dicom"), reports=Path("reports"), out=Path("out"), model="phantom")


class OfTwelveBlocks:
    """A tower as it is, but for the number of blocks that it says it has."""

    depth = 12

    def __init__(self, tower: object) -> None:
        self._tower = tower

    def __getattr__(self, name: str) -> object:
        return getattr(self._tower, name)


@pytest.fixture(scope="module")
def deep() -> Encoder:
    phantom = load_encoder("phantom")
    return Encoder(
        info=replace(phantom.info, beta=None, image_layer=None, text_layer=None),
        preprocessing=phantom.preprocessing,
        image=OfTwelveBlocks(phantom.image),
        text=OfTwelveBlocks(phantom.text),
    )


def test_a_flag_is_for_every_chosen_method_that_has_the_number() -> None:
    given = numbers_by_method(["m2ib", "iba", "saliency"], GivenNumbers(shared=(LAYER,)))
    assert given == {"m2ib": {"image_layer": 3}, "iba": {"image_layer": 3}, "saliency": {}}


def test_what_is_set_for_one_method_wins_over_the_flag() -> None:
    given = numbers_by_method(["m2ib", "iba"], GivenNumbers(shared=(LAYER,), own={"iba": {"image_layer": 5}}))
    assert given == {"m2ib": {"image_layer": 3}, "iba": {"image_layer": 5}}


def test_a_number_that_no_chosen_method_has_is_refused_with_those_that_have_it() -> None:
    beta = SharedNumber(flag="--beta", name="beta", value=0.5)
    with pytest.raises(AuditError, match=r"--beta is a number of m2ib, iba, .*\(nib, rise\)"):
        numbers_by_method(["nib", "rise"], GivenNumbers(shared=(beta,)))


def test_a_number_of_a_method_that_is_not_chosen_is_refused() -> None:
    with pytest.raises(AuditError, match=r"--set nib\.steps: nib is not among the methods \(m2ib\)"):
        numbers_by_method(["m2ib"], GivenNumbers(own={"nib": {"steps": 20}}))


def test_values_are_read_as_what_the_number_is() -> None:
    read = parse_settings(["nib.steps=20", "m2ib.beta = 0.5", "m2ib.image_layer=3", "legrad.pool=own"])
    assert read == {
        "nib": {"steps": 20},
        "m2ib": {"beta": 0.5, "image_layer": 3},
        "legrad": {"pool": LeGradPool.OWN},
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("nib.steps", "METHOD.NUMBER=VALUE", id="no value"),
        pytest.param("steps=3", "METHOD.NUMBER=VALUE", id="no method"),
        pytest.param("lime.steps=3", "method lime: unknown; one of m2ib", id="unknown method"),
        pytest.param(
            "nib.beta=3", "nib has no number beta; it has steps, image_layer, text_layer", id="not its number"
        ),
        pytest.param(
            "saliency.beta=3", "saliency has no number beta; it has no numbers", id="a method without numbers"
        ),
        pytest.param("nib.steps=2.5", "2.5 is not a whole number", id="a share of a step"),
        pytest.param("m2ib.beta=much", "much is not a number", id="a word"),
        pytest.param("m2ib.beta=nan", "nan is not a finite number", id="not a number"),
        pytest.param("legrad.pool=cls", "cls is not one of mean, own", id="unknown choice"),
    ],
)
def test_what_cannot_be_read_says_why(text, said) -> None:
    with pytest.raises(AuditError, match=said):
        parse_settings([text])


def test_the_same_number_twice_is_refused() -> None:
    with pytest.raises(AuditError, match=r"nib\.steps is given twice"):
        parse_settings(["nib.steps=2", "nib.steps=3"])


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_number_of_every_method_can_be_set_to_what_it_is(name) -> None:
    encoder = load_encoder("phantom")
    shown = METHODS[name]().hyperparameters(encoder)
    read = parse_settings([f"{name}.{number}={value}" for number, value in shown.items()])
    assert build_method(name, read.get(name, {})).hyperparameters(encoder) == shown


def test_a_number_out_of_its_range_is_refused_by_name() -> None:
    with pytest.raises(AuditError, match="nib: NIB needs at least one step"):
        build_method("nib", {"steps": 0})
    with pytest.raises(AuditError, match=r"iba: .*must be positive"):
        build_method("iba", {"beta": -1.0})


def test_a_block_that_the_model_has_not_is_refused_by_name() -> None:
    encoder = load_encoder("phantom")
    for name in ("m2ib", "iba", "nib", "grad_cam", "grad_eclip", "patch_similarity"):
        with pytest.raises(AuditError, match=f"the numbers of {name} do not fit the model: image layer 40"):
            check_fit(build_method(name, {"image_layer": 40}), encoder)


@pytest.mark.parametrize("methods", [("m2ib", "iba", "nib"), ("iba",)], ids=["several", "one that is not m2ib"])
def test_a_run_gives_its_layer_to_each_of_its_methods(methods, deep) -> None:
    built = methods_of(replace(PLAIN, methods=methods, image_layer=3), deep)
    assert [method.hyperparameters(deep)["image_layer"] for method in built] == [3] * len(methods)


def test_a_run_refuses_a_number_that_none_of_its_methods_has(deep) -> None:
    with pytest.raises(AuditError, match=r"--samples is a number of m2ib, iba, .*\(nib\)"):
        methods_of(replace(PLAIN, methods=("nib",), samples=3), deep)


def test_compiling_is_refused_where_nothing_is_compiled(deep) -> None:
    with pytest.raises(AuditError, match="--compile is for m2ib"):
        methods_of(replace(PLAIN, methods=("nib",), compiled=True), deep)


def test_nib_squeezes_the_input_of_block_nine_of_twelve_as_published(deep) -> None:
    numbers = NIB().hyperparameters(deep)
    assert (numbers["image_layer"], numbers["text_layer"]) == (8, 8)
