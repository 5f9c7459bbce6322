"""Every command of docs/PUBLIC_SETS.md, run on miniatures of the sets, has the outcome that the document states."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import Result
from made_up_sets import SETS
from run_configs import FAST
from typer.testing import CliRunner

from audit.cli import app
from reports.results_folder import read_run, read_study, study_folders

DOCUMENT = (Path(__file__).parents[2] / "docs" / "PUBLIC_SETS.md").read_text(encoding="utf-8")
SECTIONS = dict(zip(*[iter(re.split(r"^## (.+)\n", DOCUMENT, flags=re.MULTILINE)[1:])] * 2, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a set's commands give on its miniature."""

    audited: str  # as `check` prints it
    files: int  # images that the set's table describes
    named: str  # the set that `check` recognises
    phrases: dict[str, int]  # `check`: phrases with boxes by finding
    hits: int  # `run`: phrases that were scored


OUTCOMES = {
    "NIH ChestX-ray14": Outcome(
        audited="2 studies, 2 images, 3 phrases, 3 boxes",
        files=4,
        named="NIH ChestX-ray14",
        phrases={"atelectasis": 1, "pleural effusion": 1, "infiltration": 1},
        hits=3,
    ),
    "MS-CXR": Outcome(
        audited="2 studies, 2 images, 2 phrases, 2 boxes",
        files=3,
        named="MIMIC-CXR-JPG",
        phrases={"pleural effusion": 1, "consolidation": 1},
        hits=2,
    ),
    "VinDr-CXR": Outcome(
        audited="2 studies, 2 images, 2 phrases, 6 boxes",
        files=3,
        named="VinDr-CXR",
        phrases={"pleural effusion": 1, "cardiomegaly": 1},
        hits=2,
    ),
    "CheXlocalize": Outcome(
        audited="2 studies, 2 images, 4 phrases, 3 boxes",
        files=3,
        named="CheXpert",
        phrases={"cardiomegaly": 1, "lung opacity": 1, "support devices": 1, "enlarged cardiomediastinum": 0},
        hits=3,
    ),
}


def blocks(section: str, kind: str) -> Iterator[str]:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", SECTIONS[section], re.MULTILINE | re.DOTALL)
    yield from (block for language, block in fenced if language == kind)


def commands(section: str) -> Iterator[list[str]]:
    """Yield the words of each command, without the name of the program."""
    for block in blocks(section, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            program, *words = shlex.split(line)
            assert program == "m2ib-audit", "the test can run no other program"
            yield words


def executed(words: list[str]) -> Result:
    """Run a command as written, with the phantom model and one step instead of BiomedCLIP."""
    if words[0] == "run":
        place = words.index("--model")
        assert words[place + 1] == "biomedclip"
        words = [*words[:place], *words[place + 2 :], *FAST]
    return CliRunner().invoke(app, words)


@pytest.fixture
def miniature(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    SETS[request.param](tmp_path)
    monkeypatch.chdir(tmp_path)
    return request.param


each_set = pytest.mark.parametrize("miniature", SETS, indirect=True)


def test_every_set_has_commands_and_an_outcome() -> None:
    assert set(SETS) == set(SECTIONS) == set(OUTCOMES)
    assert all({"check", "run"} <= {words[0] for words in commands(section)} for section in SECTIONS)


@each_set
def test_check_says_what_the_document_states(miniature: str) -> None:
    layout = "".join(blocks(miniature, ""))
    named = [line.split()[0] for line in layout.splitlines()]
    assert named
    assert [name for name in named if not Path(name).is_file()] == []
    expected = OUTCOMES[miniature]
    for words in commands(miniature):
        if words[0] == "run":
            continue
        result = executed(words)
        assert (result.exit_code, result.stderr) == (0, "")
        if words[0] != "check":
            continue
        assert f"Would be audited: {expected.audited}\n" in result.stdout
        assert f"This looks like {expected.named}: " in result.stdout
        assert f"its table describes {expected.files} of {expected.files} image files.\n" in result.stdout
        table = result.stdout.partition("with boxes\n")[2]
        rows = re.findall(r"^(\w[\w ]+?) +\d+ +(\d+)$", table, re.MULTILINE)
        assert {finding: int(boxes) for finding, boxes in rows} == expected.phrases
        assert "Cannot be audited" not in result.stdout


@pytest.mark.slow
@each_set
def test_run_audits_the_images_with_boxes(miniature: str) -> None:
    [words] = [words for words in commands(miniature) if words[0] == "run"]
    result = executed(words)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("2 studies audited, 0 failed")
    out = Path(words[words.index("--out") + 1])
    assert (out / "index.html").is_file()
    assert read_run(out).counts["audited"] == 2
    studies = [read_study(folder) for folder in study_folders(out)]
    phrases = [phrase for study in studies for image in study.record.images for phrase in image.phrases]
    assert sum(bool(phrase.target) for phrase in phrases) == OUTCOMES[miniature].hits
