"""While the tests run, calls are checked: types, shapes of arrays against each other, and what is given back."""

import numpy as np
import pytest
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import TypeCheckError
from type_checker import checked

from audit.metrics.pointing import Outcome, Tolerance, pointing_outcome
from pipelines.geometry import Fit, Placement
from pipelines.transforms import Preprocessing

HEAT, TARGET = np.eye(4, dtype=np.float32), np.eye(4, dtype=bool)


def test_what_fits_its_hints_passes() -> None:
    assert isinstance(pointing_outcome(HEAT, TARGET, tolerance=Tolerance(reach=1)), Outcome)  # an int is a float


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda: pointing_outcome(HEAT, TARGET[:3]), id="axes of two arrays that differ"),
        pytest.param(lambda: pointing_outcome(HEAT[0], TARGET), id="an axis too few"),
        pytest.param(lambda: pointing_outcome(HEAT, TARGET.astype(int)), id="numbers of another type"),
        pytest.param(lambda: pointing_outcome(HEAT, TARGET, tolerance="1"), id="another type beside arrays"),
        pytest.param(lambda: Placement.of("4", 4, size=4, fit=Fit.CROP), id="another type, beside a name in quotes"),
        pytest.param(lambda: Preprocessing(size=4, mean=0.0, std=(1.0, 1.0, 1.0)), id="a field of a dataclass"),
    ],
)
def test_what_does_not_fit_is_an_error(call) -> None:
    with pytest.raises((BeartypeCallHintViolation, TypeCheckError)):
        call()


def test_what_is_given_back_is_checked_too() -> None:
    @checked
    def count() -> int:
        return "1"  # type: ignore[return-value]

    with pytest.raises(BeartypeCallHintViolation):
        count()
