"""Known findings are listed in words, and a file of the user's adds others, or is refused with the line."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from audit.cli import app
from audit.configuration import InputsConfig
from audit.pipeline.inputs import survey
from audit.pipeline.scoring_context import ScoringContext
from pipelines.errors import InputError
from pipelines.finding_file import read_findings
from pipelines.finding_words import wordings_of
from pipelines.findings import FINDINGS, AddedFindings, canonical_finding, findings_in, use_findings
from pipelines.phantom.cohort import make_cohort
from pipelines.privacy.masking import mask_report
from pipelines.study import Context, Identifiers
from pipelines.text.phrases import phrases_in_sentence

TOML = """# of our department
"rib notching" = ["notched ribs", "Roesler sign"]
"pleural effusion" = ["fluid at the base"]
"""
CSV = "finding,wording\nrib notching,notched ribs\npleural effusion,fluid at the base\n"


@pytest.fixture(autouse=True)
def only_known_findings() -> Iterator[None]:
    yield
    use_findings(AddedFindings())


def written(folder: Path, text: str, name: str = "more.toml") -> Path:
    (folder / name).write_text(text)
    return folder / name


@pytest.mark.parametrize("finding", FINDINGS)
def test_each_listed_wording_is_read_as_its_finding(finding: str) -> None:
    listed = wordings_of(finding)
    assert listed
    assert all(finding in {each.finding for each in findings_in(form)} for form in listed if "…" not in form)


@pytest.mark.parametrize(("name", "text"), [("a.toml", TOML), ("a.csv", CSV)])
def test_added_wordings_are_read_and_come_before_the_known_ones(tmp_path: Path, name: str, text: str) -> None:
    assert phrases_in_sentence("Notched ribs on the left.") == ()
    use_findings(read_findings(written(tmp_path, text, name)))
    [phrase] = phrases_in_sentence("Notched  ribs on the left.")
    assert (phrase.finding, phrase.context, phrase.side) == ("rib notching", Context.PRESENT, "left")
    [denied] = phrases_in_sentence("No fluid at the base.")
    assert (denied.finding, denied.context) == ("pleural effusion", Context.ABSENT)
    assert canonical_finding("Rib_Notching") == "rib notching"
    use_findings(AddedFindings())
    assert phrases_in_sentence("Notched  ribs on the left.") == ()


def test_added_words_are_shown_in_reports() -> None:
    text = "FINDINGS: There is blorbification on the left."
    assert "blorbification" not in mask_report(text, Identifiers()).text
    use_findings(AddedFindings(wordings=(("rib notching", "blorbification"),)))
    assert "blorbification on the left" in mask_report(text, Identifiers()).text


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.toml", '"a b" = [x]\n', "is not TOML: .*line 1"),
        ("a.toml", '# one\n"rib notching" = "notched"\n', "line 2: .rib notching. needs a list"),
        (
            "a.toml",
            '"one" = ["same"]\n"two" = ["same"]\n',
            "line 2: .same. is a wording of .two. here and of .one. in line 1",
        ),
        ("a.toml", '"one" = [\n "fine",\n "(a|b)+",\n]\n', "line 3: the wording"),
        ("a.toml", "", "adds no finding"),
        ("a.csv", "a,b\n1,2\n", "line 1: the columns finding and wording"),
        ("a.csv", "finding,wording\none,fine\none,\n", "line 3: the wording"),
        ("a.csv", f"finding,wording\none,{'w' * 81}\n", "line 2: the wording"),
    ],
)
def test_a_file_that_cannot_be_used_names_the_line(tmp_path: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_findings(written(tmp_path, text, name))


def test_the_command_lists_known_and_added_findings(tmp_path: Path) -> None:
    plain = CliRunner().invoke(app, ["findings"])
    assert "pleural effusion\n    " in plain.stdout
    more = CliRunner().invoke(app, ["findings", "--json", "--findings", str(written(tmp_path, TOML))])
    listed = json.loads(more.stdout)
    assert listed["rib notching"] == ["notched ribs", "roesler sign"]
    assert listed["pleural effusion"][0] == "fluid at the base"
    wrong = CliRunner().invoke(app, ["findings", "--findings", str(written(tmp_path, "x", "b.toml"))])
    assert wrong.exit_code == 1
    assert "is not TOML" in wrong.stderr


def test_a_cohort_is_read_with_the_file_and_its_scorers_get_it(tmp_path: Path) -> None:
    make_cohort(tmp_path, count=2, seed=3, columns=96)
    (tmp_path / "reports" / "phantom-00001.txt").write_text("FINDINGS: Notched ribs.")
    config = InputsConfig(dicom_dir=tmp_path / "dicom", reports=tmp_path / "reports", index="none")
    with_file = survey(config.model_copy(update={"findings": written(tmp_path, TOML)}))
    assert len(with_file.studies) == 2
    assert with_file.studies[0].cases[0].phrases[0].finding == "rib notching"
    context = ScoringContext(with_file.studies, lambda image: image.patient_id)
    assert ("rib notching", "notched ribs") in context.findings.wordings
    assert len(survey(config).studies) == 1
