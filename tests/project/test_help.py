"""The help of every command says all that its options say: no bracket is taken for markup."""

import re

import click
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from audit.cli import app


def commands(command: click.Command, *path: str) -> list[tuple[tuple[str, ...], click.Command]]:
    found = [(path, command)]
    for name, inner in getattr(command, "commands", {}).items():
        found += commands(inner, *path, name)
    return found


ALL = commands(get_command(app))


def letters(text: str) -> str:
    """What is left where lines, frames and escapes of brackets do not count."""
    return re.sub(r"[\s│╭╮╰╯─\\]", "", text)


@pytest.mark.parametrize(("path", "command"), ALL, ids=[" ".join(path) or "itself" for path, _ in ALL])
def test_the_help_of_a_command_prints_all_of_its_words(path: tuple[str, ...], command: click.Command) -> None:
    result = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert result.exit_code == 0, result.output
    printed = letters(result.output)
    for bracketed in re.findall(r"\[[^\]]*\]", command.help or ""):
        assert letters(bracketed) in printed
    for option in command.params:
        if getattr(option, "hidden", False):
            continue  # it works, but the help of `run` is full
        assert letters(getattr(option, "help", None) or "") in printed


def test_the_configuration_file_names_the_extras_of_a_run() -> None:
    assert "m2ib-audit[ray,slurm]" in letters(CliRunner().invoke(app, ["config"]).output)


def test_no_escape_of_a_bracket_is_printed() -> None:
    result = CliRunner().invoke(app, ["run", "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert "\\" not in result.output
