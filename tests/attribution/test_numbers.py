"""One rule for numbers: a flag is for every chosen method that has it, ``--set`` for one method alone."""

from dataclasses import replace

import pytest
from run_configs import run_config

from audit.attribution.legrad import LeGradPool
from audit.attribution.methods import (
    METHODS,
    build_method,
    check_fit,
    numbers_by_method,
    read_number,
)
from audit.attribution.nib import NIB
from audit.config_file import set_layer
from audit.encoders.loading import load_encoder
from audit.encoders.protocol import Encoder
from audit.pipeline.explain import methods_of
from pipelines.errors import AuditError

LAYER = {"all": {"image_layer": 3}}
PLAIN = {"dicom_dir": "dicom", "reports": "reports", "out": "out", "model": "phantom"}


class OfTwelveBlocks:
    """A tower as it is, but for the number of blocks that it says it has."""

    depth = 12

    def __init__(self, tower: object) -> None:
        self._tower = tower

    def __getattr__(self, name: str) -> object:
        return getattr(self._tower, name)


def set_numbers(*texts: str) -> dict[str, object]:
    return {".".join(path[2:]): value for path, value in set_layer(texts, reads=["method"]).items()}


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
    given = numbers_by_method(["m2ib", "iba", "saliency"], LAYER)
    assert given == {"m2ib": {"image_layer": 3}, "iba": {"image_layer": 3}, "saliency": {}}


def test_what_is_set_for_one_method_wins_over_the_flag() -> None:
    given = numbers_by_method(["m2ib", "iba"], {**LAYER, "iba": {"image_layer": 5}})
    assert given == {"m2ib": {"image_layer": 3}, "iba": {"image_layer": 5}}


def test_a_number_that_no_chosen_method_has_is_refused_with_those_that_have_it() -> None:
    with pytest.raises(AuditError, match=r"all\.beta is a number of m2ib, iba, .*\(nib, rise\)"):
        numbers_by_method(["nib", "rise"], {"all": {"beta": 0.5}})


def test_a_number_of_a_method_that_is_not_chosen_is_refused() -> None:
    with pytest.raises(AuditError, match=r"nib\.steps: nib is not among the methods \(m2ib\)"):
        numbers_by_method(["m2ib"], {"nib": {"steps": 20}})


def test_values_are_read_as_what_the_number_is() -> None:
    assert set_numbers("nib.steps=20", "m2ib.beta = 0.5", "m2ib.image_layer=3", "legrad.pool=own") == {
        "nib.steps": 20,
        "m2ib.beta": 0.5,
        "m2ib.image_layer": 3,
        "legrad.pool": LeGradPool.OWN,
    }


def test_values_of_a_file_have_the_type_of_the_number() -> None:
    assert read_number("m2ib", "beta", 1, source="file") == 1.0
    for method, number, value in (("m2ib", "beta", True), ("nib", "steps", 2.5), ("legrad", "pool", 3)):
        with pytest.raises(AuditError, match=f"file: {value} is not"):
            read_number(method, number, value, source="file")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("nib.steps", "KEY=VALUE", id="no value"),
        pytest.param("steps=3", "KEY=VALUE", id="no method"),
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
        set_numbers(text)


def test_the_same_number_twice_is_refused() -> None:
    with pytest.raises(AuditError, match=r"nib\.steps is given twice"):
        set_numbers("nib.steps=2", "nib.steps=3")


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_number_of_every_method_can_be_set_to_what_it_is(name) -> None:
    encoder = load_encoder("phantom")
    shown = METHODS[name]().hyperparameters(encoder)
    read = set_numbers(*(f"{name}.{number}={value}" for number, value in shown.items()))
    assert (
        build_method(name, {key.split(".")[1]: value for key, value in read.items()}).hyperparameters(encoder) == shown
    )


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
    built = methods_of(run_config(**PLAIN, method=methods, image_layer=3), deep)
    assert [method.hyperparameters(deep)["image_layer"] for method in built] == [3] * len(methods)


def test_a_run_refuses_a_number_that_none_of_its_methods_has(deep) -> None:
    with pytest.raises(AuditError, match=r"all.samples is a number of m2ib, iba, .*\(nib\)"):
        methods_of(run_config(**PLAIN, method="nib", samples=3), deep)


def test_compiling_is_refused_where_nothing_is_compiled(deep) -> None:
    with pytest.raises(AuditError, match=r"model\.compile is for m2ib"):
        methods_of(run_config(**PLAIN, method="nib", compile=True), deep)


def test_nib_squeezes_the_input_of_block_nine_of_twelve_as_published(deep) -> None:
    numbers = NIB().hyperparameters(deep)
    assert (numbers["image_layer"], numbers["text_layer"]) == (8, 8)
