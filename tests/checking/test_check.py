"""`check` shows what a run would audit and what it would exclude, before a model is loaded."""

import csv
import json
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from typer.testing import CliRunner

from audit.cli import app
from audit.configuration import InputsConfig
from audit.input_check import Checked, CheckRow, CheckStatus, check, write_csv
from audit.pipeline.inputs import gather
from audit.privacy.pseudonyms import Pseudonyms
from audit.storage.folder import CACHE_VARIABLE, index_of
from pipelines.phantom.cohort import make_cohort

ROOT = Path(__file__).parents[2]
KEYS = Pseudonyms(b"a salt for tests only")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache folder, which is none of the home folder."""
    monkeypatch.delenv(CACHE_VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "m2ib-audit" / "scans"


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    """Four phantoms: all of them join."""
    folder = tmp_path / "cohort"
    make_cohort(folder, count=4, seed=3, columns=96)
    return folder


@pytest.fixture
def torn(cohort: Path) -> Path:
    """The same with a lateral view, a report gone astray, a cut file, and boxes of nowhere and of no known finding."""
    lateral = cohort / "dicom" / "phantom-00001.dcm"
    dataset = dcmread(lateral)
    dataset.ViewPosition, dataset.PatientOrientation = "LL", ["A", "F"]
    dataset.save_as(lateral)
    (cohort / "reports" / "phantom-00002.txt").rename(cohort / "reports" / "Doe-John.txt")
    cut = cohort / "dicom" / "phantom-00003.dcm"
    cut.write_bytes(cut.read_bytes()[:-20])
    uid = dcmread(cohort / "dicom" / "phantom-00004.dcm").SOPInstanceUID
    with (cohort / "boxes.csv").open("a") as file:
        file.write(f"nowhere,nodule,1,1,5,5,r\n{uid},gizmo,1,1,5,5,r\n{uid},fracture,1,1,5,5,r\n")
    return cohort


def config(cohort: Path, **changes: Any) -> InputsConfig:
    return InputsConfig(
        dicom_dir=cohort / "dicom", reports=cohort / "reports", boxes=cohort / "boxes.csv", index="none", **changes
    )


def checked_of(cohort: Path, *, show_phi: bool = False, **changes: Any) -> Checked:
    return check(config(cohort, **changes), KEYS, show_phi=show_phi)


def flags(cohort: Path, *more: str) -> list[str]:
    folders = ["--dicom-dir", cohort / "dicom", "--reports", cohort / "reports", "--boxes", cohort / "boxes.csv"]
    return ["check", *map(str, folders), *more]


def rows(cohort: Path, kind: str, fate: CheckStatus) -> list[CheckRow]:
    checked = checked_of(cohort, show_phi=True)
    return [row for row in checked.rows if row.kind == kind and row.fate is fate]


def test_it_counts_what_a_run_would_gather(torn):
    checked = checked_of(torn)
    gathered = gather(config(torn))
    assert checked.counts == gathered.counts
    assert checked.nothing is None
    assert checked.joined_by == {"file name": 2}  # the lateral view's report too
    assert len(gathered.studies) == 1
    assert checked.failed == sum(item.failed for item in gathered.left_out)


def test_every_image_and_every_report_has_a_row_with_its_fate(torn):
    checked = checked_of(torn, show_phi=True)
    fates = {row.source: (row.fate, row.stage) for row in checked.rows if row.kind in {"image", "file", "report"}}
    assert fates == {
        "phantom-00001.dcm": (CheckStatus.LEFT_OUT, "view"),
        "phantom-00002.dcm": (CheckStatus.FAILED, "join"),
        "phantom-00003.dcm": (CheckStatus.FAILED, "header"),
        "phantom-00004.dcm": (CheckStatus.AUDITED, ""),
        "phantom-00001.txt": (CheckStatus.LEFT_OUT, "view"),
        "phantom-00003.txt": (CheckStatus.FAILED, "join"),
        "phantom-00004.txt": (CheckStatus.AUDITED, ""),
        "Doe-John.txt": (CheckStatus.FAILED, "join"),
    }
    assert all(row.reason for row in checked.rows if row.fate is not CheckStatus.AUDITED)


def test_every_file_and_report_is_counted_once(torn):
    checked = checked_of(torn)
    assert checked.fates == {
        "files": {CheckStatus.AUDITED: 1, CheckStatus.LEFT_OUT: 1, CheckStatus.FAILED: 2},
        "reports": {CheckStatus.AUDITED: 1, CheckStatus.LEFT_OUT: 1, CheckStatus.FAILED: 2},
    }
    assert sum(checked.fates["files"].values()) == checked.counts["files"]
    assert sum(checked.fates["reports"].values()) == checked.counts["reports"]


def test_reports_and_boxes_among_the_images_are_no_useless_files(torn):
    for path in torn.glob("reports/*"):
        path.rename(torn / "dicom" / path.name)
    (torn / "boxes.csv").rename(torn / "dicom" / "boxes.csv")
    mixed = InputsConfig(
        index="none", dicom_dir=torn / "dicom", reports=torn / "dicom", boxes=(torn / "dicom" / "boxes.csv",)
    )
    checked = check(mixed, KEYS, show_phi=True)
    assert checked.counts["studies"] == 1
    assert [row.source for row in checked.rows if row.stage == "scan"] == []


def test_an_orphan_report_among_the_images_is_not_taken_for_its_own_image(cohort):
    for path in cohort.glob("reports/*"):
        path.rename(cohort / "dicom" / path.name)
    (cohort / "dicom" / "phantom-00002.txt").rename(cohort / "dicom" / "Doe.txt")
    mixed = InputsConfig(index="none", dicom_dir=cohort / "dicom", reports=cohort / "dicom")
    [orphan] = [row for row in check(mixed, KEYS, show_phi=True).rows if row.source == "Doe.txt"]
    assert (orphan.kind, orphan.fate) == ("report", CheckStatus.FAILED)
    assert "no image has the report's name" in orphan.reason


def test_the_report_of_a_leg_is_no_orphan(cohort):
    leg = cohort / "dicom" / "phantom-00002.dcm"
    dataset = dcmread(leg)
    dataset.BodyPartExamined = "LEG"
    dataset.save_as(leg)
    checked = checked_of(cohort, show_phi=True)
    assert checked.failed == 0
    [report] = [row for row in checked.rows if row.source == "phantom-00002.txt"]
    assert (report.fate, "is not audited" in report.reason) == (CheckStatus.LEFT_OUT, True)


@pytest.mark.parametrize(
    ("column", "value", "failed"),
    [
        pytest.param("study_uid", "StudyInstanceUID", 0, id="study"),
        pytest.param("accession", "AccessionNumber", 0, id="accession number"),
        pytest.param("study_uid", "SOPInstanceUID", 2, id="another study"),  # no image has the report, nor it an image
    ],
)
def test_a_report_in_a_table_of_a_ct_is_no_orphan(cohort, column, value, failed):
    ct = cohort / "dicom" / "phantom-00002.dcm"
    dataset = dcmread(ct)
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    dataset.AccessionNumber = "A2"
    dataset.save_as(ct)
    (cohort / "reports" / "phantom-00002.txt").unlink()
    (cohort / "reports" / "ris.csv").write_text(f"{column},report\n{dataset[value].value},FINDINGS: Nodule.\n")
    checked = checked_of(cohort, show_phi=True)
    assert checked.failed == min(failed, 1)
    [report] = [row for row in checked.rows if row.source == "ris.csv row 2"]
    assert ("no radiograph to audit" in report.reason) is not bool(failed)


def test_boxes_of_an_image_that_takes_no_part_are_listed(torn):
    [lost] = [row for row in rows(torn, "boxes", CheckStatus.LEFT_OUT) if row.source == "phantom-00001.dcm"]
    assert re.fullmatch(r"(1 box lies|\d boxes lie) on an image that is not audited: .*", lost.reason)
    checked = checked_of(torn, show_phi=True)
    assert [row.fate for row in checked.rows if row.kind == "image" and row.source == lost.source] == [
        CheckStatus.LEFT_OUT
    ]


def test_frames_that_are_not_audited_are_listed_beside_their_image(cohort):
    path = cohort / "dicom" / "phantom-00003.dcm"
    dataset = dcmread(path)
    dataset.NumberOfFrames = 2
    dataset.PixelData = dataset.PixelData * 2
    dataset.save_as(path)
    checked = checked_of(cohort, show_phi=True)
    fates = {(row.kind, row.fate): row.reason for row in checked.rows if row.source == "phantom-00003.dcm"}
    assert fates["image", CheckStatus.AUDITED] == ""
    assert "first of the image's 2 frames is audited" in fates["frames", CheckStatus.LEFT_OUT]
    assert (sum(checked.fates["files"].values()), checked.failed) == (4, 0)
    each = checked_of(cohort, show_phi=True, frames="each")
    images = [row.source for row in each.rows if row.kind == "image" and row.fate is CheckStatus.AUDITED]
    assert [name for name in images if "00003" in name] == ["phantom-00003.dcm", "phantom-00003.dcm frame 2"]
    assert not [row for row in each.rows if row.kind == "frames"]


def test_hl7_among_the_images_is_no_useless_file_and_its_name_no_news(cohort):
    message = r"MSH|^~\&|||||20240131||ORU^R01" + "\rOBR|1||A1\rOBX|1|TX|x||Nodule.\rMSH|^~\\&|||||||ORU^R01\rOBR|1||A2"
    (cohort / "dicom" / "Doe-John.hl7").write_text(message)
    mixed = InputsConfig(index="none", dicom_dir=cohort / "dicom", reports=cohort / "dicom")
    shown = check(mixed, KEYS)
    assert "Doe" not in repr(shown)
    parts = {
        row.source.partition(" ")[2]: row.source.partition(" ")[0] for row in shown.rows if "message" in row.source
    }
    assert parts.keys() == {"message 1", "message 2"}
    assert len(set(parts.values())) == 1  # one file, one key
    assert [row for row in shown.rows if row.kind == "file"] == []


_ORU = r"MSH|^~\&|||||||ORU^R01"
_RESOURCE = '{"resourceType": "DiagnosticReport"}'


@pytest.mark.parametrize(
    ("ending", "content"),
    [
        pytest.param("hl7", f"{_ORU}\rOBR|1||A1\r{_ORU}\rOBR|1||A2\rOBX|1|TX|x||Nodule.", id="HL7"),
        pytest.param("ndjson", f"{_RESOURCE}\n{_RESOURCE}", id="FHIR"),
        pytest.param("csv", "id,report\n1,\n1,2,3\n", id="table"),
        pytest.param("xml", "<eCitation><a></eCitation>", id="OpenI"),
        pytest.param("parquet", "PAR1", id="Parquet"),
        pytest.param("txt", "", id="text"),
    ],
)
def test_no_reason_names_the_file_of_a_report(cohort, ending, content):
    path = cohort / "reports" / f"Doe-John.{ending}"
    path.write_text(content)
    checked = checked_of(cohort)
    assert checked.failed > 0
    assert "Doe" not in repr(checked)
    assert path.name in repr(checked_of(cohort, show_phi=True))


def test_a_lateral_view_without_a_report_is_listed_for_its_view_alone(torn):
    (torn / "reports" / "phantom-00001.txt").unlink()
    checked = checked_of(torn, show_phi=True)
    of_film = [row for row in checked.rows if row.source == "phantom-00001.dcm"]
    assert [(row.stage, row.fate) for row in of_film if row.kind == "image"] == [("view", CheckStatus.LEFT_OUT)]


def test_boxes_are_grouped_by_label_and_those_that_no_phrase_meets_say_so(torn):
    assert [(row.finding, row.boxes) for row in rows(torn, "boxes", CheckStatus.AUDITED)] == [("nodule", 2)]
    reasons = {row.finding: row.reason for row in rows(torn, "boxes", CheckStatus.LEFT_OUT) if row.finding}
    assert reasons.keys() == {"gizmo", "fracture"}
    assert all("no phrase" in reason for reason in reasons.values())


def test_a_label_of_no_known_finding_is_listed(torn):
    shown = checked_of(torn, show_phi=True).reasons
    assert any('"gizmo"' in each.reason and each.count == 1 for each in shown)
    masked = repr(checked_of(torn))  # somebody typed it: it may be anything
    assert ("gizmo" in masked, f"label-{KEYS.key('label', 'gizmo')[:8]}" in masked) == (False, True)


def test_the_images_of_a_study_with_two_different_reports_are_listed(cohort):
    (cohort / "reports" / "more").mkdir()
    (cohort / "reports" / "more" / "phantom-00001.txt").write_text("FINDINGS: Left pleural effusion.")
    [image] = rows(cohort, "image", CheckStatus.FAILED)
    assert image.source == "phantom-00001.dcm"
    assert "several different reports" in image.reason
    assert len(rows(cohort, "report", CheckStatus.FAILED)) == 2


def test_findings_are_counted_with_and_without_boxes(cohort):
    boxes = (cohort / "boxes.csv").read_text().splitlines()
    (cohort / "boxes.csv").write_text("\n".join(line for line in boxes if "pneumothorax" not in line))
    counted = {each.finding: each for each in checked_of(cohort).findings}
    assert counted["pneumothorax"].phrases > 0 == counted["pneumothorax"].with_boxes
    assert counted["nodule"].phrases == counted["nodule"].with_boxes > 0


def test_names_become_keys_unless_they_are_asked_for(torn):
    assert "Doe" not in repr(checked_of(torn))
    assert "Doe-John.txt" in repr(checked_of(torn, show_phi=True))


def test_reasons_that_differ_in_a_name_alone_are_counted_together(cohort):
    for number in range(5):
        (cohort / "reports" / f"stray-{number}.txt").write_text("FINDINGS: Left pleural effusion.")
    [orphans] = [each for each in checked_of(cohort).reasons if each.stage == "join"]
    assert (orphans.count, len(orphans.examples)) == (5, 3)


@pytest.mark.parametrize(
    ("prepare", "status"),
    [
        pytest.param(lambda folder: folder, 0, id="all well"),
        pytest.param(lambda folder: (folder / "reports" / "phantom-00002.txt").unlink(), 3, id="one fails"),
        pytest.param(
            lambda folder: [path.write_text("FINDINGS: Normal.") for path in (folder / "reports").iterdir()],
            1,
            id="nothing to audit",
        ),
        pytest.param(lambda folder: (folder / "boxes.csv").unlink(), 1, id="no box file"),
    ],
)
def test_the_exit_status_says_how_it_stands(cohort, prepare, status):
    prepare(cohort)
    result = CliRunner().invoke(app, flags(cohort))
    assert result.exit_code == status
    assert ("m2ib-audit: " in result.stderr) is (status == 1)


def test_nothing_to_audit_still_lists_what_was_left_out(cohort):
    for path in (cohort / "reports").iterdir():
        path.write_text("FINDINGS: Normal.")
    result = CliRunner().invoke(app, flags(cohort))
    assert "4  report: the report's findings and impression neither name nor deny a known finding" in result.stdout


def test_the_text_gives_what_to_mend_before_what_is_left_out_by_rule(torn):
    said = CliRunner().invoke(app, flags(torn)).stdout
    failed, by_rule = said.index("Cannot be audited:"), said.index("Left out by rule:")
    assert said.index("Would be audited: 1 study, 1 image") < said.index("files   ") < failed < by_rule
    assert failed < said.index("no report belongs to this study") < by_rule < said.index("The view is lateral")
    assert "--show-phi or a terminal shows the names" in said
    assert "--show-phi" not in CliRunner().invoke(app, flags(torn, "--show-phi")).stdout


def test_rows_of_one_trouble_are_one_reason(torn):
    with (torn / "boxes.csv").open("a") as file:
        file.write("elsewhere,nodule,1,1,5,5,r\nelsewhere,nodule,1,1,5,5,r\n")
    [homeless] = [each for each in checked_of(torn).reasons if "no audited image" in each.reason]
    assert homeless.reason.startswith("no audited image")
    assert homeless.count == 3  # nowhere, elsewhere, and the film that is cut short


def test_json_and_csv_hold_the_same_counts(torn, tmp_path):
    result = CliRunner().invoke(app, flags(torn, "--json", "--csv", str(tmp_path / "rows.csv")))
    assert result.exit_code == 3
    told = json.loads(result.stdout)
    with (tmp_path / "rows.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert told["failed"] == sum(row["fate"] == "failed" for row in table) > 0
    assert told["counts"]["images"] == sum(row["kind"] == "image" and row["fate"] == "audited" for row in table)
    assert sum(each["count"] for each in told["reasons"]) == sum(row["fate"] != "audited" for row in table)


def test_a_cell_that_would_be_a_formula_is_defused(tmp_path):
    row = CheckRow(kind="file", source='=HYPERLINK("x")', fate=CheckStatus.LEFT_OUT, stage="scan", reason="+1")
    write_csv((row,), tmp_path / "rows.csv")
    with (tmp_path / "rows.csv").open(newline="") as file:
        [read] = csv.DictReader(file)
    assert (read["source"], read["reason"]) == ('\'=HYPERLINK("x")', "'+1")


def test_it_loads_no_torch(cohort):
    code = (
        "import sys\nfrom audit.cli import app\n"
        f"app({flags(cohort)!r}, standalone_mode=False)\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers', 'monai')))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Would be audited: 4 studies" in done.stdout


def test_what_the_headers_say_is_kept_in_the_cache_for_its_owner_alone(cohort, cache):
    assert CliRunner().invoke(app, flags(cohort)).exit_code == 0
    [file] = cache.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700


def test_no_index_keeps_nothing(cohort, cache):
    assert CliRunner().invoke(app, flags(cohort, "--set", "inputs.index=none")).exit_code == 0
    assert not cache.exists()


def test_one_folder_has_one_index_however_it_is_written(cohort, monkeypatch):
    monkeypatch.chdir(cohort)
    assert index_of(Path("dicom")) == index_of(cohort / "dicom") == index_of(cohort / "reports" / ".." / "dicom")
    assert index_of(cohort / "dicom") != index_of(cohort / "reports")


def test_a_cache_folder_that_is_no_absolute_path_is_ignored(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    assert index_of(tmp_path).is_relative_to(Path.home())
