"""The test of an installation: what it prints, when it passes, and one whole run of it."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from audit.cli import app
from audit.controls.verdict_rule import LEAST_PHRASES
from audit.experiments.commissioning import EXPECTED, LEAST_STUDIES, CommissionedModel, Commissioning
from pipelines.phantom.render import sample_phantom
from reports.run_record import VerdictRecord, VerdictWord


def audited(model: str, found: VerdictWord, *, failed: int = 0) -> CommissionedModel:
    verdict = VerdictRecord(method="m2ib", verdict=found, because=("212 phrases could be scored",), rule="")
    return CommissionedModel(model=model, expected=EXPECTED[model], found=verdict, failed=failed)


def commissioning(**changed: CommissionedModel) -> Commissioning:
    models = {model: audited(model, expected) for model, expected in EXPECTED.items()} | changed
    return Commissioning(studies=100, seed=1, models=tuple(models.values()))


def test_every_encoder_has_a_verdict_of_its_own() -> None:
    assert len(set(EXPECTED.values())) == len(EXPECTED)


def test_a_passed_commissioning_states_each_verdict_with_the_expected_one_and_its_figures() -> None:
    lines = str(commissioning()).splitlines()
    for model, verdict in EXPECTED.items():
        at = lines.index(f"pass  {model}: {verdict}")
        assert [line.strip() for line in lines[at + 1 : at + 3]] == [
            f"expected: {verdict}",
            "212 phrases could be scored",
        ]
    assert lines[-2:] == [f"{len(EXPECTED)} of {len(EXPECTED)} encoders got the expected verdict", "PASS"]


@pytest.mark.parametrize(
    ("wrong", "printed"),
    [
        pytest.param(audited("phantom", "looks by habit"), "FAIL  phantom: looks by habit", id="another verdict"),
        pytest.param(audited("phantom", "grounded", failed=2), "2 studies could not be audited", id="failed studies"),
    ],
)
def test_one_encoder_that_differs_fails_the_commissioning(wrong: CommissionedModel, printed: str) -> None:
    result = commissioning(phantom=wrong)
    assert not result.passed
    assert printed in str(result)
    assert str(result).endswith("FAIL")


@pytest.mark.parametrize("seed", range(8))
def test_the_fewest_phantoms_have_phrases_enough_for_a_verdict(seed: int) -> None:
    phantoms = (sample_phantom(np.random.default_rng([seed, index]), at_least=1) for index in range(LEAST_STUDIES))
    assert sum(len(phantom.findings) for phantom in phantoms) > LEAST_PHRASES


def test_too_few_phantoms_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    out = tmp_path / "c"
    result = CliRunner().invoke(app, ["commission", "--phantoms", str(LEAST_STUDIES - 1), "--out", str(out)])
    assert result.exit_code != 0
    assert f"give --phantoms {LEAST_STUDIES} or more" in result.stderr
    assert not out.exists()


@pytest.mark.slow
def test_an_installation_tells_the_encoder_that_looks_from_those_that_do_not(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["commission", "--phantoms", "60", "--seed", "5", "--out", str(tmp_path / "c")])
    assert result.exit_code == 0, result.output
    assert result.stdout.rstrip().endswith("PASS")
    for model, verdict in EXPECTED.items():
        assert f"pass  {model}: {verdict}" in result.stdout
        assert f"{model}: audited 60 of 60" in result.stderr
        assert (tmp_path / "c" / model / "index.html").exists()
