"""Each format of reports is told by its content and read with its text, identifiers, status and time."""

import gzip
import json
import shutil
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from report_files import HL7, fhir, form, only_reason, only_report, write

from pipelines.errors import ReportError
from pipelines.study import ReportStatus
from pipelines.text.formats.file import issued_at
from pipelines.text.reports import read_reports
from pipelines.text.sections import sections_of

OPENI = """<?xml version="1.0" encoding="utf-8"?>
<eCitation><uId id="CXR7"/><MedlineCitation><Article><Abstract>
<AbstractText Label="COMPARISON">Earlier effusion.</AbstractText>
<AbstractText Label="FINDINGS">Nodule in the caf\u00e9 lobe.</AbstractText>
<AbstractText Label="IMPRESSION"/>
</Abstract></Article></MedlineCitation>
<parentImage id="CXR7_IM-2263-1001"/><parentImage id="CXR7_IM-2263-2001"/></eCitation>"""
BOMB = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;">]><eCitation>&c;</eCitation>'
HTML = "<div><p>FINDINGS: small <b>left</b>&#160;effusion.</p><p>IMPRESSION: effusion.</p><script>mass</script></div>"


@pytest.mark.parametrize("name", ["7.xml", "7.txt", "7"], ids=["xml", "txt", "no ending"])
def test_an_openi_report_has_its_sections_and_images(tmp_path: Path, name: str) -> None:
    report = only_report(read_reports(write(tmp_path, name, OPENI)))
    assert report.stem == "CXR7"
    assert report.image_names == ("CXR7_IM-2263-1001", "7_IM-2263-1001", "CXR7_IM-2263-2001", "7_IM-2263-2001")
    sections = [(section.name, section.text.strip()) for section in sections_of(report.text)]
    assert sections == [("findings", "Nodule in the café lobe.")]


@pytest.mark.parametrize(
    ("name", "content", "words", "failed"),
    [
        pytest.param("a.xml", BOMB, ["a.xml", "entities", "remove"], True, id="entity bomb"),
        pytest.param("a.xml", "<eCitation><a></eCitation>", ["invalid XML", "export"], True, id="broken XML"),
        pytest.param("a.xml", "<html/>", ["another root", "remove it"], False, id="other XML"),
        pytest.param("a.xml", "<eCitation/>", ["no text in any section"], False, id="empty OpenI report"),
        pytest.param("a.json", "{", ["none of the known formats"], True, id="no JSON"),
        pytest.param("a.json", '{"a": ', ["invalid JSON", "export"], True, id="broken JSON"),
        pytest.param("a.json", '{"a":' * 100_000, ["nested deeper"], True, id="deep JSON"),
        pytest.param("a.json", '{"images": []}', ["without a FHIR DiagnosticReport"], False, id="JSON of boxes"),
        pytest.param("a.json", fhir(), ["holds no text", "presentedForm"], True, id="FHIR without text"),
        pytest.param("a.json", fhir(presentedForm=form("%PDF", "application/pdf")), ["no text"], True, id="PDF alone"),
        pytest.param("a.hl7", HL7.replace("ORU", "ADT"), ["message 1", "not a result"], False, id="other message"),
        pytest.param("a.hl7", HL7.split("\rOBX", maxsplit=1)[0], ["no report text", "OBX-5"], True, id="no OBX"),
        pytest.param("a.parquet", b"PAR1 and no more", ["Parquet", "again"], True, id="broken Parquet"),
        pytest.param("a.csv.gz", b"\x1f\x8b\x08broken", ["cannot be unpacked"], True, id="broken gzip"),
        pytest.param("a.dcm", b"\0" * 128 + b"DICM rubbish", ["1 file ends in .dcm"], False, id="broken DICOM"),
    ],
)
def test_what_cannot_be_read_is_named_and_stops_nothing(
    tmp_path: Path, name: str, content: str | bytes, words: list[str], failed: bool
) -> None:
    write(tmp_path, "good.txt", "FINDINGS: nodule.")
    write(tmp_path, name, content)
    table = read_reports(tmp_path)
    assert [report.stem for report in table.reports] == ["good"]
    reason = only_reason(table, failed=failed)
    assert [word for word in words if word not in reason] == []


STUDY = {
    "resourceType": "ImagingStudy",
    "id": "i1",
    "identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:1.2.9"}],
}
ACSN = {"type": {"coding": [{"code": "ACSN"}]}, "system": "urn:oid:2.16.1", "value": "A5"}


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        pytest.param({"presentedForm": form("FINDINGS: mass."), "conclusion": "x"}, "FINDINGS: mass.", id="plain"),
        pytest.param(
            {"presentedForm": form(HTML, "text/html")},
            "FINDINGS: small left effusion.\nIMPRESSION: effusion.",
            id="HTML",
        ),
        pytest.param({"conclusion": "Nodule."}, "IMPRESSION:\nNodule.", id="conclusion"),
        pytest.param(
            {"conclusionCode": [{"coding": [{"display": "Nodule"}]}]}, "IMPRESSION:\nNodule", id="conclusion code"
        ),
        pytest.param({"text": {"div": HTML}}, "FINDINGS: small left effusion.\nIMPRESSION: effusion.", id="narrative"),
        pytest.param(
            {
                "contained": [
                    {"id": "o", "code": {"coding": [{"code": "59776-5"}]}, "valueString": "Small mass."},
                ],
                "result": [{"reference": "#o"}, {"reference": "#gone"}],
                "conclusion": "Mass.",
            },
            "FINDINGS:\nSmall mass.\n\nIMPRESSION:\nMass.",
            id="contained result",
        ),
    ],
)
def test_a_fhir_report_gives_its_text(tmp_path: Path, parts: dict[str, Any], text: str) -> None:
    report = only_report(read_reports(write(tmp_path, "r.json", fhir(**parts))))
    assert (report.text, report.stem, report.status) == (text, "r1", ReportStatus.FINAL)


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param({"identifier": [ACSN], "imagingStudy": [{"reference": "ImagingStudy/i1"}]}, id="bundle"),
        pytest.param(
            {
                "basedOn": [{"identifier": ACSN}],
                "imagingStudy": [{"reference": "https://x/fhir/ImagingStudy/i1/_history/2"}],
            },
            id="absolute, and the order's number",
        ),
        pytest.param({"identifier": [ACSN], "study": [{"reference": "urn:uuid:7"}]}, id="R5 by full URL"),
        pytest.param(
            {"identifier": [ACSN], "imagingStudy": [{"identifier": {"value": "urn:oid:1.2.9"}}]}, id="logical"
        ),
    ],
)
@pytest.mark.parametrize("lines", [False, True], ids=["Bundle", "NDJSON"])
def test_a_fhir_report_names_its_study_and_accession(tmp_path: Path, parts: dict[str, Any], lines: bool) -> None:
    resource = json.loads(fhir(presentedForm=form("mass"), issued="2024-01-31T12:00:00+01:00", **parts))
    if lines and "study" in parts:
        parts["study"][0]["reference"] = "ImagingStudy/i1"
        resource["study"] = parts["study"]
    bundle = {
        "resourceType": "Bundle",
        "entry": [{"resource": resource}, {"fullUrl": "urn:uuid:7", "resource": STUDY}],
    }
    content = "\n".join(map(json.dumps, (resource, STUDY))) if lines else json.dumps(bundle, indent=1)
    report = only_report(read_reports(write(tmp_path, "x.ndjson", content)))
    assert (report.study_instance_uid, report.accession_number, report.accession_issuer) == ("1.2.9", "A5", "2.16.1")
    assert report.issued == datetime(2024, 1, 31, 11, 0, tzinfo=UTC)


def test_a_fhir_report_of_two_studies_names_none(tmp_path: Path) -> None:
    studies = [{"identifier": {"value": f"urn:oid:1.2.{last}"}} for last in (1, 2)]
    report = only_report(read_reports(write(tmp_path, "r.json", fhir(conclusion="mass", imagingStudy=studies))))
    assert report.study_instance_uid is None


def test_parquet_keeps_text_in_bytes_and_numbers_in_floats(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"accession": [50414267.0, None], "study_id": ["a", "b"], "report": ["Größe.\n".encode(), b"x"]}
    )
    frame.to_parquet(tmp_path / "r.parquet")
    first, second = read_reports(tmp_path).reports
    assert (first.accession_number, first.text) == ("50414267", "Größe.")
    assert (second.accession_number, second.text) == (None, "x")


def test_parquet_rows_are_reports(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"accession_number": ["A1", None], "Accession Issuer": ["X", "X"], "report": ["Nodule.", "Mass."], "n": [1, 2]}
    )
    frame.to_parquet(tmp_path / "r.parquet")
    table = read_reports(tmp_path)
    assert [(report.accession_number, report.accession_issuer, report.text) for report in table.reports] == [
        ("A1", "X", "Nodule.")
    ]
    assert "row 2 of r.parquet does not say whose report" in only_reason(table)


@pytest.mark.parametrize("suffix", ["gz", "zip"])
def test_packed_files_are_unpacked(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"r.csv.{suffix}"
    if suffix == "gz":
        path.write_bytes(gzip.compress(b"id,report\n1,Nodule\n"))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("r.csv", "id,report\n1,Nodule\n")
    assert only_report(read_reports(path)).text == "Nodule"


def test_a_folder_may_mix_all_formats(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "FINDINGS: nodule.")
    write(tmp_path, "b.csv", "id,report\n1,Nodule\n")
    write(tmp_path, "c.xml", OPENI)
    write(tmp_path, "d.hl7", HL7)
    write(tmp_path, "e.json", fhir(conclusion="mass"))
    pd.DataFrame({"id": ["9"], "report": ["Nodule."]}).to_parquet(tmp_path / "f.parquet")
    shutil.copy(str(get_testdata_file("reportsi.dcm")), tmp_path / "g.dcm")
    shutil.copy(str(get_testdata_file("CT_small.dcm")), tmp_path / "h.dcm")
    table = read_reports(tmp_path)
    assert len(table.reports) == 7
    assert only_reason(table, failed=False).startswith("1 file ends in .dcm and is not a report")


def test_an_image_alone_is_no_report() -> None:
    with pytest.raises(ReportError, match="not have the suffix of a report format"):
        read_reports(Path(str(get_testdata_file("CT_small.dcm"))))


def test_a_text_that_starts_with_a_bracket_is_a_report(tmp_path: Path) -> None:
    assert only_report(read_reports(write(tmp_path, "a.txt", "[**date**] FINDINGS: nodule."))).stem == "a"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2024", datetime(2024, 1, 1, tzinfo=UTC)),
        ("20240131235960.123456", datetime(2024, 1, 31, 23, 59, 59, 123456, tzinfo=UTC)),
        ("202401310030+0100", datetime(2024, 1, 30, 23, 30, tzinfo=UTC)),
        ("2024-01-31T00:30:00Z", datetime(2024, 1, 31, 0, 30, tzinfo=UTC)),
        ("20241331", None),
        ("00010101000000+1400", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_times_of_all_formats_are_read(written: str, expected: datetime | None) -> None:
    assert issued_at(written) == expected


@pytest.fixture(scope="module")
def whole_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    parquet = tmp_path_factory.mktemp("whole") / "r.parquet"
    pd.DataFrame({"id": ["9", "10"], "report": ["Nodule.", "Mass."]}).to_parquet(parquet)
    return {"r.parquet": parquet.read_bytes(), "r.dcm": Path(str(get_testdata_file("reportsi.dcm"))).read_bytes()}


@pytest.mark.parametrize("name", ["r.parquet", "r.dcm"])
@given(data=st.data())
@settings(max_examples=60)
def test_a_damaged_binary_file_stops_no_other(
    tmp_path_factory: pytest.TempPathFactory, whole_files: dict[str, bytes], name: str, data: st.DataObject
) -> None:
    content = bytearray(whole_files[name])
    for place in data.draw(st.lists(st.integers(4, len(content) - 1), max_size=8)):
        content[place] = data.draw(st.integers(0, 255))
    folder = tmp_path_factory.mktemp("damaged")
    write(folder, "good.txt", "FINDINGS: nodule.")
    write(folder, name, bytes(content[: data.draw(st.integers(0, len(content)))]))
    table = read_reports(folder)
    assert "good" in {report.stem for report in table.reports}
    assert len(table.reports) + len(table.left_out) >= 2  # read, or named


@given(
    start=st.sampled_from(["MSH|^~\\&|", "{", '[{"resourceType": ', "<?xml ", "<eCitation>", "PAR1"]),
    rest=st.text(max_size=80),
)
def test_no_rubbish_after_a_known_start_raises(tmp_path_factory: pytest.TempPathFactory, start: str, rest: str) -> None:
    folder = tmp_path_factory.mktemp("rubbish")
    write(folder, "good.txt", "FINDINGS: nodule.")
    write(folder, "x.json", start + rest)
    assert "good" in {report.stem for report in read_reports(folder).reports}
