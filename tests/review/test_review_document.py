"""docs/review.md says what the program does."""

import re

from made_up_review import ROOT
from typer.testing import CliRunner

from audit.cli import app
from reports.review_record import REASONS

TEXT = (ROOT / "docs" / "review.md").read_text(encoding="utf-8")


def test_every_reason_is_explained_and_no_other():
    assert re.findall(r"^\| `([a-z-]+)` \|", TEXT, re.MULTILINE) == list(REASONS)


def test_every_key_of_the_page_is_listed():
    shown = (ROOT / "reports" / "templates" / "review.html").read_text(encoding="utf-8")
    keys = set(re.findall(r"<kbd>([A-Z0-9])</kbd>", shown)) | {*"123456"}  # by their place in a row
    listed = {key for cell in re.findall(r"^\| ([A-Z0-9, ]+) \|", TEXT, re.MULTILINE) for key in cell.split(", ")}
    assert listed == keys


def test_options_are_those_of_the_commands():
    helps = "".join(
        CliRunner().invoke(app, ["review", command, "--help"], env={"COLUMNS": "200"}).stdout
        for command in ("serve", "export", "import", "boxes")
    )
    named = set(re.findall(r"--[a-z][a-z-]+", TEXT)) - {"--overwrite", "--boxes", "--network"}  # of others
    assert named
    assert [option for option in sorted(named) if option not in helps] == []
