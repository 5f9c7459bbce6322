"""The file of a protocol is read strictly, and says in one line what is wrong with it."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from audit.planning.protocol import as_toml, read_protocol, refuse_other_model
from pipelines.errors import AuditError
from reports.protocol_record import (
    NonInferiorityQuestion,
    PlannedSize,
    PrecisionQuestion,
    Protocol,
    StopRule,
    SubgroupQuestion,
    SuperiorityQuestion,
)

A, B = "a" * 64, "b" * 64
PROTOCOL = Protocol(
    method="m2ib",
    alpha=0.05,
    power=0.8,
    multiplicity="holm",
    models={"A": A, "B-2": B},
    questions=(
        PrecisionQuestion(kind="precision", name="hit rate", half_width=0.05),
        SuperiorityQuestion(
            kind="superiority", name="above", margin=0.0, size=PlannedSize(patients=90, studies=100, phrases=150)
        ),
        NonInferiorityQuestion(kind="non-inferiority", name="not inferior", margin=0.1, model="B-2", compared_with="A"),
        SubgroupQuestion(kind="subgroup gap", name="gap", attribute="sex", group="female", margin=0.15),
    ),
    monitoring=StopRule(metric="hit rate", alarm="below", limit=0.4, audits_in_a_row=2),
)


def written(folder: Path, change: Callable[[str], str] = lambda text: text) -> Path:
    path = folder / "protocol.toml"
    path.write_text(change(as_toml(PROTOCOL)), encoding="utf-8")
    return path


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    assert read_protocol(written(tmp_path)).content == PROTOCOL


def test_every_key_has_a_comment_above_it() -> None:
    lines = as_toml(PROTOCOL).splitlines()
    keys = [place for place, line in enumerate(lines) if re.match(r"[a-z-]+ = ", line) and not line.startswith("kind")]
    assert [lines[place] for place in keys if not lines[place - 1].startswith("#")] == []


def test_a_comment_makes_another_protocol(tmp_path: Path) -> None:
    before = read_protocol(written(tmp_path))
    after = read_protocol(written(tmp_path, lambda text: text + "# agreed\n"))
    assert after.content == before.content
    assert after.sha256 != before.sha256


def replaced(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (replaced("alpha = 0.05", "alpha = 0.05\nbeta = 0.2"), "beta: extra inputs"),
        (replaced("alpha = 0.05", 'alpha = "0.05"'), "alpha: input should be a valid number"),
        (replaced("alpha = 0.05", "alpha = 5"), "alpha: input should be less than or equal to 0.5"),
        (replaced("power = 0.8", ""), "power: not given"),
        (replaced('multiplicity = "holm"', 'multiplicity = "fdr"'), "multiplicity: input should be 'holm' or 'none'"),
        (replaced('kind = "superiority"', 'kind = "better"'), "questions.2"),
        (replaced("patients = 90", "patients = 90.5"), "patients: input should be a valid integer"),
        (replaced(f'"{A}"', '"abc"'), "models.A: string should match"),
        (replaced('name = "above"', 'name = "hit rate"'), "two questions are named 'hit rate'"),
        (replaced('model = "B-2"', 'model = "C"'), "names model 'C', which is not in [models]"),
        (replaced('model = "B-2"', 'model = "A"'), "compares a model with itself"),
        (replaced("version = 1", "version = 2"), "version: input should be 1"),
        (lambda _text: "alpha = ", "is not valid TOML"),
        (lambda _text: "", "method: not given"),
    ],
    ids=[
        "unknown key",
        "text for a number",
        "percent for a share",
        "missing key",
        "unknown rule",
        "unknown question",
        "half a patient",
        "no checksum",
        "two of one name",
        "unknown model",
        "itself",
        "newer version",
        "no TOML",
        "empty",
    ],
)
def test_a_wrong_protocol_is_refused_with_its_key(tmp_path: Path, change: Callable[[str], str], said: str) -> None:
    with pytest.raises(AuditError) as raised:
        read_protocol(written(tmp_path, change))
    assert f"--protocol {tmp_path / 'protocol.toml'}" in str(raised.value)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_protocol_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="cannot be read"):
        read_protocol(tmp_path / "none.toml")


def test_a_model_that_the_protocol_does_not_name_is_refused(tmp_path: Path) -> None:
    read = read_protocol(written(tmp_path))
    refuse_other_model(read, name="own", sha256=B)
    with pytest.raises(AuditError, match="not in it; it names A") as raised:
        refuse_other_model(read, name="own", sha256="c" * 64)
    assert "plan again" in str(raised.value)


def test_a_protocol_without_models_accepts_every_model(tmp_path: Path) -> None:
    path = tmp_path / "open.toml"
    path.write_text(as_toml(PROTOCOL.model_copy(update={"models": {}})), encoding="utf-8")
    refuse_other_model(read_protocol(path), name="any", sha256="c" * 64)
