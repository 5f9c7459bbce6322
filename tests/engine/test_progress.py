"""Rates of progress are written for people."""

import pytest

from audit.cli.progress import format_rate


@pytest.mark.parametrize(
    ("per_second", "shown"),
    [
        pytest.param(129915.9, "130,000 a second", id="headers"),
        pytest.param(996.0, "1,000 a second", id="to the next power of ten"),
        pytest.param(24.4, "24 a second", id="two figures"),
        pytest.param(2.44, "2.4 a second", id="few a second"),
        pytest.param(0.123, "7.4 a minute", id="less than one a second"),
    ],
)
def test_a_rate_has_two_figures_and_a_unit(per_second: float, shown: str) -> None:
    assert format_rate(per_second) == shown
