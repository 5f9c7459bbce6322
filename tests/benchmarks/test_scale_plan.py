"""The plan for many studies is proportional to what was measured, and says what bounds one OUT."""

from dataclasses import replace

import pytest

from benchmarks.scale_plan import MEASURED, main, plan


def test_twice_the_nodes_take_half_the_hours_and_the_same_work() -> None:
    one = plan(1_000_000, nodes=8, cores=32, studies_an_out=100_000, measured=MEASURED)
    two = plan(1_000_000, nodes=16, cores=32, studies_an_out=100_000, measured=MEASURED)
    assert two.hours == pytest.approx(one.hours / 2)
    assert (two.core_hours, two.storage_terabytes, two.files) == (one.core_hours, one.storage_terabytes, one.files)
    assert one.core_hours == pytest.approx(1_000_000 * MEASURED.core_seconds_a_study / 3600)


def test_more_folders_make_each_ones_closing_shorter() -> None:
    few = plan(1_000_000, nodes=1, cores=1, studies_an_out=500_000, measured=MEASURED)
    many = plan(1_000_000, nodes=1, cores=1, studies_an_out=100_000, measured=MEASURED)
    assert (few.outs, many.outs) == (2, 10)
    assert many.closing_hours == pytest.approx(few.closing_hours / 5)
    assert many.closing_gigabytes == pytest.approx(few.closing_gigabytes / 5)


@pytest.mark.parametrize("name", MEASURED.__slots__)
def test_every_measured_figure_shapes_the_plan(name: str) -> None:
    changed = replace(MEASURED, **{name: getattr(MEASURED, name) * 2})
    sizes = {"nodes": 3, "cores": 4, "studies_an_out": 1000}
    assert plan(5000, **sizes, measured=changed) != plan(5000, **sizes, measured=MEASURED)


def test_it_is_printed_with_what_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--studies", "250000", "--nodes", "4"])
    printed = capsys.readouterr().out
    assert "250,000 studies" in printed
    assert "3 folders OUT" in printed


@pytest.mark.parametrize("wrong", [{"nodes": 0}, {"cores": -1}, {"studies_an_out": 0}], ids=str)
def test_nothing_is_no_plan(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="positive"):
        plan(10, **({"nodes": 1, "cores": 1, "studies_an_out": 1} | wrong), measured=MEASURED)
