"""Runs beside busy processes: each setting reaches its run, ratios are of one repetition, and nothing goes on after."""

import pytest

from benchmarks.bench_busy import (
    CHOSEN,
    DEFAULTS,
    ONE,
    SETTINGS,
    Timed,
    beside,
    environment_with,
    measure,
    ratios,
    settings_with,
    table,
)
from pipelines.phantom.cohort import make_cohort


def timed(setting: str, *, busy: int, whole: float) -> Timed:
    return Timed(setting=setting, busy=busy, whole=whole, stages={"attribution": whole / 2, "scoring": whole / 4})


TIMED = [
    timed(name, busy=busy, whole=load * seconds)
    for load in (1.0, 4.0, 5.0)  # of the machine, in each repetition
    for busy, of_setting in ((0, (8.0, 10.0, 6.0)), (1, (12.0, 10.0, 80.0)))
    for name, seconds in zip((CHOSEN, ONE, DEFAULTS), of_setting, strict=True)
]


def test_the_machines_load_does_not_change_a_ratio() -> None:
    assert ratios(TIMED, busy=0, to=ONE) == pytest.approx({CHOSEN: 0.8, ONE: 1.0, DEFAULTS: 0.6})
    assert ratios(TIMED, busy=1, to=ONE) == pytest.approx({CHOSEN: 1.2, ONE: 1.0, DEFAULTS: 8.0})


def test_the_table_has_a_row_for_each_setting_and_number_of_busy_processes() -> None:
    lines = table(TIMED)
    assert len(lines) == 2 + 2 * len(SETTINGS)
    assert f"| 1 | {CHOSEN} | 48.0 | 24.0 | 12.0 | 1.20 | 0.15 |" in lines
    assert {line.count("|") for line in lines} == {8}


def test_a_setting_is_all_that_a_run_finds_about_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "7")
    for wanted in settings_with([500]).values():
        environment = environment_with(wanted)
        starts = ("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_")
        assert {name: value for name, value in environment.items() if name.startswith(starts)} == wanted


def test_busy_processes_run_in_the_context_and_end_with_it() -> None:
    with beside(2) as processes:
        assert [process.poll() for process in processes] == [None, None]
    assert all(process.poll() is not None for process in processes)


def test_further_spins_stand_behind_the_three_settings() -> None:
    settings = settings_with([500, 2000])
    assert list(settings) == [CHOSEN, ONE, DEFAULTS, "spin of 500", "spin of 2000"]
    assert settings["spin of 2000"]["GOMP_SPINCOUNT"] == "2000"


@pytest.mark.slow
def test_a_run_beside_a_busy_process_is_measured(tmp_path) -> None:
    make_cohort(tmp_path / "cohort", count=1, seed=3, columns=128, brief=True)
    found = measure(tmp_path / "cohort", tmp_path / "out", CHOSEN, {}, busy=1)
    assert 0 < sum(found.stages.values()) < found.whole
