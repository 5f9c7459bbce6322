"""Who owns the files sees on a terminal which file, column and label is wrong; a redirected stderr and OUT see keys."""

from pathlib import Path

import pytest
from calling import called, started
from planting import IN_BOXES, IN_NAMES, TABLE_HEAD
from pydicom import dcmread
from run_configs import FAST
from searching import files_in, found

from pipelines.phantom.cohort import make_cohort

Planted = tuple[Path, list[str]]

# What there is to correct; the first is left out by rule, which ``check`` alone says.
NAMED = [IN_NAMES["file"], IN_NAMES["orphan"], TABLE_HEAD, "Labelmanski"]
OF_OWNERS = [*NAMED, *IN_NAMES.values()]  # names of files and folders, columns, labels
MODEL = ("--model", "phantom", "--device", "cpu")


@pytest.fixture(scope="module")
def commands(planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[str]]]:
    """Every command that says what is wrong with inputs, and the folder that they write to."""
    cohort, out = planted[0], tmp_path_factory.mktemp("out")
    given = ["--dicom-dir", str(cohort / "dicom"), "--reports", str(cohort / "reports")]
    boxes = ["--boxes", str(cohort / "boxes.csv")]
    fast = [
        *FAST,
        "--controls",
        "0",
        "--no-words",
        "--set",
        "inputs.index=none",
    ]
    pairs = out / "pairs.csv"
    film = next((cohort / "dicom").glob("*.dcm"))
    pairs.write_text(f"caption,image\na nodule,{film}\na nodule,{cohort / 'dicom' / IN_NAMES['orphan']}.dcm\n")
    measured = out / "measured.csv"
    return out, {
        "run": ["run", *given, *boxes, "--out", str(out / "run"), *fast],
        "check": ["check", *given, *boxes, "--set", "inputs.index=none"],
        "score": ["score", str(out / "run"), *boxes],
        "compare": [
            *("compare", *given, *boxes, "--out", str(out / "compared"), *MODEL, "--set", "inputs.index=none"),
            *("--methods", "rollout", "--faithfulness", "0", "--overwrite"),
        ],
        "baselines": ["baselines", *boxes],
        "evaluate": [
            *("evaluate", "--data-path", str(pairs), "--output-path", str(measured), *MODEL, "--overwrite"),
            *("--pairs", "2", "--method", "rollout"),
        ],
    }


SHOWN = {  # of NAMED, what concerns the command
    "run": NAMED[1:],
    "check": NAMED,
    "score": ["Labelmanski"],
    "compare": NAMED[1:],
    "baselines": ["Labelmanski"],
    "evaluate": [IN_NAMES["orphan"]],
}
OWN_TABLES = {"baselines": ["Labelmanski"], "evaluate": [IN_NAMES["orphan"]]}  # their results hold what they were given


@pytest.mark.parametrize("command", SHOWN)
def test_names_are_shown_on_a_terminal_and_keys_elsewhere(command: str, commands, planted: Planted) -> None:
    """Report text, words of headers and cells of tables are shown nowhere."""
    _, given = commands
    secrets = planted[1]
    never = [secret for secret in secrets if secret not in OF_OWNERS]

    def said(*, terminal: bool) -> bytes:
        status, stdout, stderr = called(*given[command], terminal=terminal)
        assert status in {0, 3}, stderr.decode()
        assert found([s for s in secrets if s not in OWN_TABLES.get(command, ())], [("stdout", stdout)]) == []
        assert found(never, [("stderr", stderr)]) == []
        return stderr

    assert {secret for secret, _ in found(NAMED, [("stderr", said(terminal=True))])} >= set(SHOWN[command])
    repeated = OWN_TABLES[command] if command == "evaluate" else ()
    in_a_log = said(terminal=False)
    assert found([secret for secret in secrets if secret not in repeated], [("stderr", in_a_log)]) == []


@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "log"])
def test_a_process_of_its_own_tells_a_terminal_from_a_log(terminal: bool, commands, planted: Planted) -> None:
    status, stdout, stderr = started(*commands[1]["check"], terminal=terminal)
    assert status in {0, 3}, stderr.decode()
    shown = NAMED if terminal else []
    assert {secret for secret, _ in found(NAMED, [("stderr", stderr)])} == set(shown)
    hidden = [secret for secret in planted[1] if secret not in (OF_OWNERS if terminal else ())]
    assert found(hidden, [("stderr", stderr)]) == []
    assert found(planted[1], [("stdout", stdout)]) == []


@pytest.mark.parametrize(
    ("terminal", "names", "shown"), [(True, "hide", False), (False, "show", True)], ids=["hide", "show"]
)
def test_a_variable_says_otherwise(terminal: bool, names: str, shown: bool, commands, planted: Planted) -> None:
    _, _, stderr = called(*commands[1]["check"], terminal=terminal, names=names)
    assert bool(found(NAMED, [("stderr", stderr)])) is shown
    assert found([s for s in planted[1] if s not in OF_OWNERS], [("stderr", stderr)]) == []


def test_what_a_terminal_shows_is_in_no_file(commands, planted: Planted) -> None:
    out, given = commands
    called(*given["run"], terminal=True)
    assert len(list((out / "run" / "studies").glob("*/record.json"))) >= 2
    assert found(planted[1], files_in(out / "run")) == []


def test_of_two_files_with_one_image_and_of_two_reports_each_is_named(tmp_path: Path) -> None:
    make_cohort(tmp_path, count=2, seed=5, columns=64, brief=True)
    film, other = sorted((tmp_path / "dicom").glob("*.dcm"))
    (tmp_path / "dicom" / "sub").mkdir()
    dcmread(film).save_as(tmp_path / "dicom" / "sub" / "Duplikatowa.dcm")
    (tmp_path / "reports" / "sub").mkdir()
    report = tmp_path / "reports" / f"{other.stem}.txt"
    (tmp_path / "reports" / "sub" / report.name).write_text(report.read_text() + " Dr. Ignatiusowicz.")
    given = ["check", "--dicom-dir", str(tmp_path / "dicom"), "--reports", str(tmp_path / "reports")]
    given += ["--set", "inputs.index=none"]
    _, stdout, stderr = called(*given, terminal=True)
    told = " ".join(stderr.decode().split())
    assert f'The file "{film.name}" of the folder holds the same image' in told
    assert "sub/Duplikatowa.dcm" in told
    assert f"reports/{report.name}, sub/{report.name}" in told
    _, _, in_a_log = called(*given, terminal=False)
    assert found(["Duplikatowa", film.stem, other.stem], [("stdout", stdout), ("stderr", in_a_log)]) == []
    assert found([IN_BOXES["reader"], "Ignatiusowicz"], [("stdout", stdout), ("stderr", stderr)]) == []
