"""Identifiers planted in headers, private tags, reports, boxes and names are searched for in all that comes out."""

import subprocess
import sys
from pathlib import Path

import pytest
from calling import printed_by
from planting import IN_BOXES, REPORTED
from run_configs import FAST
from searching import files_in, found

Planted = tuple[Path, list[str]]


def words(cohort: Path, out: Path | None, *more: str) -> list[str]:
    given = ["--dicom-dir", cohort / "dicom", "--reports", cohort / "reports", "--boxes", cohort / "boxes.csv"]
    return [str(word) for word in (*given, *(() if out is None else ("--out", out)), *more)]


MODEL = ("--model", "phantom", "--device", "cpu")
SHORT = (*FAST, "--controls", "2", "--set", "inputs.index=none")


def printed(result: subprocess.CompletedProcess[bytes]) -> list[tuple[str, bytes]]:
    return [("stdout", result.stdout), ("stderr", result.stderr)]


@pytest.fixture(scope="module")
def audited(planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[str, bytes]]]:
    """A run over the planted cohort; what it printed."""
    out = tmp_path_factory.mktemp("results") / "out"
    result = printed_by("run", *words(planted[0], out, *SHORT))
    assert result.returncode == 3, result.stderr.decode()
    return out, printed(result)


def test_forty_and_more_identifiers_are_planted(planted: Planted) -> None:
    assert len(set(planted[1])) >= 40


def test_no_identifier_is_in_what_a_run_writes_and_prints(planted: Planted, audited) -> None:
    out, told = audited
    assert len(list((out / "studies").glob("*/record.json"))) >= 2
    assert (out / "failures.csv").read_text().count("\n") >= 6
    assert found(planted[1], [*files_in(out), *told]) == []


@pytest.mark.slow
def test_the_search_finds_what_show_phi_shows(planted: Planted, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = printed_by("run", *words(planted[0], out, *SHORT, "--show-phi"))
    hits = found(planted[1], [*files_in(out), *printed(result)])
    met = {secret for secret, _ in hits}
    assert {*REPORTED, *IN_BOXES.values(), "Orphanczyk_Adam"} - met == {*IN_BOXES.values()} - {IN_BOXES["reader"]}
    assert {"Labelmanski", "Phrasemanski"} <= met
    assert {place for _, place in hits} >= {"stderr", "failures.csv", "index.html"}
    assert not [place for _, place in hits if place.startswith(("log.jsonl", "audit.jsonl"))]  # not even then


def test_no_identifier_is_in_what_a_check_prints(planted: Planted, tmp_path: Path) -> None:
    table = tmp_path / "check.csv"
    result = printed_by("check", *words(planted[0], None, "--csv", str(table)))
    as_json = printed_by("check", *words(planted[0], None, "--json"))
    assert found(planted[1], [*printed(result), *printed(as_json), ("check.csv", table.read_bytes())]) == []
    assert len(table.read_text().splitlines()) > 10


@pytest.mark.slow
def test_no_identifier_comes_with_scoring_again_rendering_or_exporting(planted: Planted, audited, tmp_path) -> None:
    out, _ = audited
    told = []
    for command in (
        ("score", str(out), "--boxes", str(planted[0] / "boxes.csv")),
        ("score", str(out)),
        ("render", str(out)),
        ("review", "export", str(out)),
        ("log", "show", str(out)),
        ("log", "verify", str(out)),
    ):
        result = printed_by(*command)
        assert result.returncode in {0, 1 if command[0] == "review" else 3, 3}, (command, result.stderr.decode())
        told += printed(result)
    assert found(planted[1], [*files_in(out), *told]) == []


@pytest.mark.slow
def test_no_identifier_is_in_what_a_comparison_or_a_sanity_check_says(planted: Planted, tmp_path: Path) -> None:
    out = tmp_path / "out"
    compared = printed_by("compare", *words(planted[0], out, *MODEL, "--methods", "nib,rollout", "--faithfulness", "2"))
    checked = printed_by(
        "sanity", *words(planted[0], None, *MODEL, "--method", "nib", "--phrases", "2", "--tower", "text")
    )
    assert (compared.returncode, checked.returncode) == (3, 0), compared.stderr.decode() + checked.stderr.decode()
    assert found(planted[1], [*files_in(out), *printed(compared), *printed(checked)]) == []


def test_the_terminals_keys_lead_back_to_the_file(planted: Planted, audited) -> None:
    _, told = audited
    stderr = dict(told)["stderr"].decode()
    key = next(word.rstrip(":") for line in stderr.splitlines() for word in line.split() if word.startswith("file-"))
    result = printed_by("key", str(planted[0]), "--find", key)
    assert (result.returncode, result.stdout.decode().count("\n")) == (0, 1)
    assert result.stdout.decode().startswith(f"{key}\tfile\t{planted[0]}")


def test_a_mistake_of_ours_tells_places_and_no_values(planted: Planted, tmp_path: Path) -> None:
    code = (
        "import sys, audit.input_check, audit.cli\n"
        "def fail(*_, **__): raise ZeroDivisionError('Kowalczykowa')\n"
        "audit.input_check.check = fail\n"
        f"sys.argv = ['m2ib-audit', 'check', *{words(planted[0], None)!r}]\n"
        "audit.cli.main()\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (result.returncode, b"ZeroDivisionError" in result.stderr) == (1, True), result.stderr
    assert b"audit/cli/checking.py" in result.stderr
    assert found(["Kowalczykowa"], printed(result)) == []
