"""Rates of progress are written for people, and progress is shown where there is no terminal."""

import pytest

from audit.cli.progress import format_rate, progress_bar


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


def test_without_a_terminal_each_tenth_of_a_stage_is_a_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(lines=True) as progress:
        for done in range(26):
            progress("phantom: audited", done, 25)
        progress("phantom-habit: audited", 1_200, 2_000)
        progress("phantom-habit: audited", 1_201, 2_000)
    printed = capsys.readouterr()
    assert printed.out == ""
    tenths = (3, 5, 8, 10, 13, 15, 18, 20, 23, 25)
    assert printed.err.splitlines() == [
        *(f"phantom: audited {done} of 25" for done in tenths),
        "phantom-habit: audited 1,200 of 2,000",
    ]


def test_without_a_terminal_other_commands_show_no_progress(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar() as progress:
        progress("Auditing studies", 1, 1)
    assert capsys.readouterr() == ("", "")
