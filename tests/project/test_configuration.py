"""Configuration: a file, ``--set`` and flags say the same things by the same names."""

import json
import tomllib
from pathlib import Path

import pytest

from audit.config_file import NotGivenError, built, file_layer, flag_layer, of_methods, set_layer, template
from audit.configuration import CohortConfig, RunConfig
from pipelines.errors import AuditError

NEEDED = {"dicom_dir": Path("films"), "reports": Path("reports"), "out": Path("out")}
EVERYTHING = ("inputs", "model", "method", "scoring", "output", "execution")


def of_file(tmp_path: Path, text: str, name: str = "audit.toml") -> RunConfig:
    (tmp_path / name).write_text(text, encoding="utf-8")
    return built(RunConfig, file_layer(tmp_path / name), flag_layer(NEEDED))


def test_the_printed_file_is_read_back_to_the_defaults(tmp_path: Path) -> None:
    assert of_file(tmp_path, template()) == RunConfig.of(**NEEDED)
    assert all(len(line) <= 120 for line in template().splitlines())


def test_every_setting_is_in_the_printed_file() -> None:
    commented = {line.removeprefix("# ").partition(" =")[0] for line in template().splitlines()}
    for section in RunConfig.model_fields.values():
        names = section.annotation.model_fields
        assert {name.replace("_", "-") for name in names if name not in {"hyperparameters", "slurm"}} <= commented


def test_a_flag_wins_over_set_and_set_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "audit.toml").write_text("seed = 1\ncontrols = 2\nmodel = 'a'\n[m2ib]\nbeta = 0.1\nsteps = 3\n")
    layers = (
        file_layer(tmp_path / "audit.toml"),
        set_layer(["method.seed=4", "scoring.controls=5", "m2ib.beta=0.5"], reads=EVERYTHING),
        flag_layer({**NEEDED, "seed": 6, "model": None}),
    )
    found = built(RunConfig, *layers)
    assert (found.method.seed, found.scoring.controls, found.model.model) == (6, 5, "a")
    assert found.method.hyperparameters == {"m2ib": {"beta": 0.5, "steps": 3}}


def test_paths_of_a_file_begin_at_its_folder(tmp_path: Path) -> None:
    (tmp_path / "audit.toml").write_text(
        '[inputs]\ndicom-dir = "films"\nreports = "/r"\nboxes = ["a.csv", "b.csv"]\n[output]\nout = "out"\n'
    )
    found = built(RunConfig, file_layer(tmp_path / "audit.toml"))
    assert found.inputs.folders == [tmp_path / "films", Path("/r"), tmp_path / "a.csv", tmp_path / "b.csv"]
    assert found.output.out == tmp_path / "out"


@pytest.mark.parametrize("key", ["dicom-dir", "dicom_dir"])
def test_a_key_is_spelt_with_hyphens_or_underscores(tmp_path: Path, key: str) -> None:
    (tmp_path / "audit.toml").write_text(f'{key} = "films"\nreports = "r"\nout = "o"\n')
    assert built(RunConfig, file_layer(tmp_path / "audit.toml")).inputs.dicom_dir == tmp_path / "films"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(
            '[inputs]\ndicom-dri = "x"', "inputs.dicom-dri: unknown key; did you mean inputs.dicom-dir?", id="typo"
        ),
        pytest.param("colour = 3", "colour: unknown key; the keys are inputs.dicom-dir", id="nothing like it"),
        pytest.param('[method]\nout = "x"', "method.out: unknown key; did you mean output.out?", id="other section"),
        pytest.param('[inputs]\nlimit = "3"', "inputs.limit: input should be a number", id="a text for a number"),
        pytest.param("[inputs]\nlimit = 0", "inputs.limit: input should be greater than or equal to 1", id="range"),
        pytest.param("[method]\nwords = 1", "method.words: input should be true or false", id="a number for a switch"),
        pytest.param("[method]\nseed = true", "method.seed: input should be a number", id="a switch for a number"),
        pytest.param('[model]\nfit = "big"', "model.fit: input should be 'auto'", id="choice"),
        pytest.param("[m2ib]\nbta = 3", "m2ib.bta: m2ib has no number bta; it has beta", id="hyperparameter"),
        pytest.param('[m2ib]\nbeta = "x"', "m2ib.beta: x is not a number", id="type of a hyperparameter"),
        pytest.param("[lime]\nbeta = 2", "lime.beta: method lime: unknown", id="method"),
        pytest.param("seed = 4\n[method]\nseed = 5", "method.seed is given twice", id="twice"),
        pytest.param("x =", "is not valid TOML", id="no TOML"),
    ],
)
def test_a_mistake_in_a_file_names_the_key_and_the_file(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(AuditError) as caught:
        of_file(tmp_path, text)
    assert str(caught.value).startswith(f"--config {tmp_path / 'audit.toml'}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "said"), [("none.toml", "cannot be read"), ("none.json", "cannot be read")])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(AuditError, match=f"{name}: {said}"):
        file_layer(tmp_path / name)


def test_another_json_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text(json.dumps({"images": []}))
    with pytest.raises(AuditError, match=r"record\.json: is not a run\.json of m2ib-audit"):
        file_layer(tmp_path / "record.json")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("m2ib.beta", "give KEY=VALUE"),
        ("beta=3", "give KEY=VALUE"),
        ("inputs.indx=none", "did you mean inputs.index?"),
        ("execution.workers=few", "execution.workers=few: input should be a valid integer"),
        ("execution.shard=4/3", "give i/N with i from 1 to N"),
        ("output.out=x", "this command does not read output.out"),
    ],
)
def test_a_mistake_in_set_is_named(text: str, said: str) -> None:
    with pytest.raises(AuditError, match=said.replace("?", r"\?")):
        set_layer([text], reads=("inputs", "method", "execution"))


def test_what_is_not_given_is_named_as_flag_and_as_key() -> None:
    with pytest.raises(NotGivenError, match=r"--reports is not given: give it, or reports under \[inputs\]"):
        built(RunConfig, flag_layer({"dicom_dir": Path("films"), "out": Path("out")}))


def test_a_configuration_is_frozen_and_has_no_other_fields() -> None:
    config = RunConfig.of(**NEEDED)
    with pytest.raises(ValueError, match="frozen"):
        config.method.seed = 3
    with pytest.raises(AuditError, match="sead: unknown"):
        RunConfig.of(**NEEDED, sead=3)


def test_a_cohort_is_files_or_phantoms() -> None:
    with pytest.raises(AuditError, match="a cohort is needed"):
        _ = CohortConfig.of().cohort
    with pytest.raises(AuditError, match="makes its own cohort"):
        _ = CohortConfig.of(phantoms=4, dicom_dir="films", reports="reports").cohort


def test_what_a_run_records_of_its_configuration_holds_no_path_and_shows_nobody() -> None:
    config = RunConfig.of(
        **NEEDED,
        boxes="b.csv",
        index="i.sqlite",
        key_list="k.csv",
        show_phi=True,
        hyperparameters={"nib": {"steps": 3}},
    )
    recorded = json.dumps(config.for_result())
    assert not any(word in recorded for word in ("films", "b.csv", "i.sqlite", "k.csv", "show_phi"))
    logged = json.dumps(config.for_log())
    assert not any(word in logged for word in ("films", "b.csv", "i.sqlite", "k.csv"))
    assert config.for_result()["method"]["hyperparameters"] == {"nib": {"steps": 3}}


def test_a_file_may_have_hyperparameters_of_methods_that_are_not_chosen(tmp_path: Path) -> None:
    (tmp_path / "audit.toml").write_text("[m2ib]\nbeta = 0.1\n[nib]\nsteps = 4\n[all]\nimage_layer = 1\n")
    layer = file_layer(tmp_path / "audit.toml")
    assert {path[2] for path in of_methods(layer, {("method", "method"): ("nib",)})} == {"nib", "all"}
    assert of_methods(layer, {("method", "method"): ("all",)}) == layer


def test_the_printed_file_is_toml_and_its_tables_are_the_sections() -> None:
    assert set(tomllib.loads(template())) == set(EVERYTHING)
