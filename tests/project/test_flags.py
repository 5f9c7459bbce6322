"""A flag has one name, meaning and default in all commands, and the help of ``run`` stays short."""

import re
from collections import defaultdict
from typing import get_args, get_origin

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from audit.cli import app

SHORT_HELP = {"COLUMNS": "200", "TERM": "dumb"}


def options(command: object, *path: str) -> list[tuple[str, object]]:
    found = [(" ".join(path), each) for each in command.params if each.param_type_name == "option"]
    for name, inner in getattr(command, "commands", {}).items():
        found += options(inner, *path, name)
    return found


ALL = options(get_command(app))


def type_of_one(annotation: object) -> object:
    """Give the type of one value: `compare` takes --model twice, the other commands once."""
    return get_args(annotation)[0] if get_origin(annotation) is list else annotation


def test_a_flag_of_several_commands_is_the_same_in_each() -> None:
    meanings = defaultdict(dict)
    for command, option in ALL:
        for flag in (*option.opts, *option.secondary_opts):
            told = (
                option.help,
                repr(option.default),
                repr(option.show_default),
                repr(type_of_one(option.type_descriptor.annotation)),
                option.min,
            )
            meanings[flag].setdefault((*told, tuple(option.opts)), []).append(command)
    assert {flag: found for flag, found in meanings.items() if len(found) > 1} == {}
    assert len(meanings["--seed"]) == 1
    assert len(next(iter(meanings["--seed"].values()))) > 5


def test_run_has_at_most_20_options_and_each_stands_in_a_panel() -> None:
    own = [option for command, option in ALL if command == "run" and not option.hidden]
    assert len(own) <= 19  # and --help
    assert {option.rich_help_panel for option in own} == {
        "Inputs",
        "Model",
        "Attribution",
        "Scoring",
        "Output",
        "Configuration",
    }
    printed = CliRunner().invoke(app, ["run", "--help"], env=SHORT_HELP).output
    assert printed.count("│ --") <= 20
    for command, option in ALL:  # what the panels have no room for
        assert command != "run" or not option.hidden or re.search(rf"`{option.opts[0]}( [A-Z]+)?`", printed)


@pytest.mark.parametrize(
    ("words", "instead"),
    [
        (["run", "--beta", "0.5"], "--set all.beta=3"),
        (["run", "--image-layer=3"], "--set all.image_layer=3"),
        (["run", "--shard", "1/2"], "--set execution.shard=1/8"),
        (["run", "--no-index"], "--set inputs.index=none"),
        (["compare", "--frames", "each"], "--set inputs.frames=each"),
        (["check", "--index", "a"], "--set inputs.index=FILE"),
        (["evaluate", "--samples", "3"], "--pairs"),
        (["evaluate", "--noise-samples", "3"], "--set all.samples=3"),
        (["sanity", "--pairs", "3"], "--phrases"),
        (["demo", "--studies", "3"], "--phantoms"),
        (["roar", "--n", "3"], "--phantoms"),
        (["phantom", "make", "--n", "3"], "--phantoms"),
        (["phantom", "train", "--kind", "grounded"], "--encoder"),
        (["pull", "--config", "a"], "--pacs-config"),
        (["push", "--no-index"], "--index none"),
        (["baselines", "--format", "a"], "--boxes-format"),
    ],
    ids=" ".join,
)
def test_a_removed_flag_names_what_took_its_place_in_one_line(words: list[str], instead: str) -> None:
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert instead in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("words", [["run"], ["check"], ["compare"], ["baselines"], ["phantom", "make"]], ids=" ".join)
def test_what_is_needed_and_not_given_is_wrong_usage_in_one_line(words: list[str]) -> None:
    result = CliRunner().invoke(app, words)
    assert result.exit_code in {1, 2}
    assert len(result.stderr.splitlines()) == 1


def test_config_prints_a_file() -> None:
    result = CliRunner().invoke(app, ["config"])
    assert result.exit_code == 0
    assert "\n[execution]\n" in result.stdout
