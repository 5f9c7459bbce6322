"""Each format of reports is told by its content and read with its text, identifiers, status and time."""

import base64
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

from pipelines.errors import ReportError
from pipelines.study import Report, ReportStatus
from pipelines.text.formats.file import issued_at
from pipelines.text.formats.hl7_v2 import Delimiters
from pipelines.text.reports import ReportTable, read_reports
from pipelines.text.sections import sections_of

OPENI = """<?xml version="1.0" encoding="utf-8"?>
<eCitation><uId id="CXR7"/><MedlineCitation><Article><Abstract>
<AbstractText Label="COMPARISON">Earlier effusion.</AbstractText>
<AbstractText Label="FINDINGS">Nodule in the caf\u00e9 lobe.</AbstractText>
<AbstractText Label="IMPRESSION"/>
</Abstract></Article></MedlineCitation>
<parentImage id="CXR7_IM-2263-1001"/><parentImage id="CXR7_IM-2263-2001"/></eCitation>"""
BOMB = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;">]><eCitation>&c;</eCitation>'
HL7 = "\r".join(
    [
        r"MSH|^~\&|RIS|HOSP|PACS|HOSP|20240131120000||ORU^R01|1|P|2.5.1",
        "PID|1||123^^^HOSP||DOE^JANE",
        "OBR|1|P1^EPIC|F1^RIS|71020^XR CHEST|||20240131|||||||||||A77||||20240131115900+0100|||F",
        "OBX|1|HD|113014^DICOM Study^DCM||1.2.3.4||||||F",
        r"OBX|2|TX|71020&GDT^XR CHEST^L||Small effusion~at the left base.\.br\Heart \T\ lungs: \E\.br\E\ x^y||||||F",
        "OBX|3|TX|19005-8^Impressions^LN||Left effusion.||||||F",
        "OBX|4|TX|19005-8^Impressions^LN||Deleted mass.||||||D",
    ]
)
HTML = "<div><p>FINDINGS: small <b>left</b>&#160;effusion.</p><p>IMPRESSION: effusion.</p><script>mass</script></div>"


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def only_report(table: ReportTable) -> Report:
    assert (len(table.reports), table.left_out) == (1, ())
    return table.reports[0]


def only_reason(table: ReportTable, *, failed: bool = True) -> str:
    assert [left.failed for left in table.left_out] == [failed]
    return table.left_out[0].reason


def fhir(**parts: Any) -> str:
    return json.dumps({"resourceType": "DiagnosticReport", "id": "r1", "status": "final", **parts})


def form(text: str, kind: str = "text/plain; charset=utf-8") -> list[dict[str, str]]:
    return [{"contentType": kind, "data": base64.b64encode(text.encode()).decode()}]


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


def test_an_hl7_message_keeps_the_order_of_its_repeats_and_its_line_breaks(tmp_path: Path) -> None:
    report = only_report(read_reports(write(tmp_path, "a.hl7", HL7)))
    assert report.text == (
        "FINDINGS:\nSmall effusion\nat the left base.\nHeart & lungs: \\.br\\ x^y\n\nIMPRESSION:\nLeft effusion."
    )
    assert (report.study_instance_uid, report.accession_number) == ("1.2.3.4", "A77")
    assert (report.status, report.issued) == (ReportStatus.FINAL, datetime(2024, 1, 31, 10, 59, tzinfo=UTC))


def test_without_a_placer_field_the_filler_number_is_the_accession(tmp_path: Path) -> None:
    report = only_report(read_reports(write(tmp_path, "a", HL7.replace("A77", ""))))
    assert (report.accession_number, report.accession_issuer) == ("F1", "RIS")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        pytest.param(lambda m: f"\x0b{m}\x1c\r", "Left effusion.", id="MLLP framing"),
        pytest.param(lambda m: f"FHS|^~\\&\rBHS|^~\\&\r{m}\rBTS|1\rFTS|1", "Left effusion.", id="batch"),
        pytest.param(lambda m: m.replace("\r", "\n"), "Left effusion.", id="newlines"),
        pytest.param(lambda m: m.replace("|", "$").replace("^", "%"), "Left effusion.", id="other delimiters"),
        pytest.param(lambda m: m.replace("Left effusion", "Left\neffusion"), "Left\neffusion.", id="raw line break"),
        pytest.param(
            lambda m: m.replace("Left effusion", r"Left\.sp999999999\effusion"), "Left\neffusion.", id="spacing bomb"
        ),
        pytest.param(
            lambda m: m.replace("Left effusion", r"AP\LAT: no mass. \H\Left\N\ heart\lung"),
            r"AP\LAT: no mass. Left heart\lung.",
            id="backslashes that escape nothing",
        ),
        pytest.param(lambda m: m.replace("Left effusion", r"Left\X0D0A\lung \X41\x"), "Left\nlung Ax.", id="bytes"),
    ],
)
def test_hl7_is_read_as_it_is_saved(tmp_path: Path, change: Any, text: str) -> None:
    report = only_report(read_reports(write(tmp_path, "a.hl7", change(HL7))))
    assert report.text.endswith(text)


@pytest.mark.parametrize(
    ("letter", "status"), [("P", ReportStatus.PRELIMINARY), ("C", ReportStatus.CORRECTED), ("", None)]
)
def test_without_a_status_of_the_order_the_results_say_how_far_it_got(
    tmp_path: Path, letter: str, status: ReportStatus | None
) -> None:
    message = "\r".join([r"MSH|^~\&|||||20240131||ORU^R01", "OBR|1||A1", f"OBX|1|TX|x||Nodule.{'|' * 6}{letter}"])
    assert only_report(read_reports(write(tmp_path, "a.hl7", message))).status is status


def test_orders_of_two_accession_numbers_in_one_message_are_two_reports_told_apart(tmp_path: Path) -> None:
    path = write(tmp_path, "a.hl7", HL7 + "\rOBR|2|||CXR||||||||||||||A78|||||||F\rOBX|1|TX|x||Nodule.||||||F")
    reports = read_reports(path).reports
    assert [(report.source, report.accession_number) for report in reports] == [
        (f"{path} message 1 order 1", "A77"),
        (f"{path} message 1 order 2", "A78"),
    ]


def test_encapsulated_and_coded_hl7_results_are_text(tmp_path: Path) -> None:
    encoded = base64.b64encode(b"FINDINGS: nodule.").decode()
    header, _, _ = HL7.partition("\rOBX")
    message = f"{header}\rOBX|1|ED|x||^TEXT^PLAIN^Base64^{encoded}\rOBX|2|CE|19005-8^I^LN||R91^Nodule^I10"
    report = only_report(read_reports(write(tmp_path, "a.hl7", message)))
    assert report.text == "FINDINGS: nodule.\n\nIMPRESSION:\nNodule"


def order(status: str, text: str, minute: int = 0, accession: str = "A1") -> str:
    return "\r".join(
        [
            rf"MSH|^~\&|||||202401311200||ORU^R01|{minute}|P|2.3",
            f"OBR|1||{accession}|{'|' * 18}20240131{12:02}{minute:02}|||{status}",
            f"OBX|1|TX|x||{text}",
        ]
    )


@pytest.mark.parametrize(
    ("versions", "text", "older"),
    [
        pytest.param([("P", "A", 0), ("F", "B", 1)], "B", 1, id="final replaces preliminary"),
        pytest.param([("F", "A", 0), ("C", "B", 1)], "B", 1, id="corrected replaces final"),
        pytest.param([("C", "B", 5), ("F", "A", 0)], "B", 1, id="time decides, not the file's order"),
        pytest.param([("F", "A", 1), ("P", "B", 2)], "A", 1, id="a late preliminary replaces nothing"),
        pytest.param([("F", "A", 0), ("A", "B", 1)], "A\n\nADDENDUM:\nB", 0, id="an addendum is appended"),
        pytest.param([("F", "A", 0), ("A", "Addendum: B", 1)], "A\n\nAddendum: B", 0, id="with its own heading"),
        pytest.param([("F", "A", 0), ("A", "B", 1), ("C", "D", 2)], "D", 2, id="corrected after an addendum"),
        pytest.param([("P", "A", 0)], "A", 0, id="preliminary alone"),
        pytest.param([("A", "B", 1)], "B", 0, id="addendum alone"),
        pytest.param([("F", "A", 0), ("X", "", 1)], None, 2, id="withdrawn"),
    ],
)
def test_of_several_versions_the_last_complete_one_counts(
    tmp_path: Path, versions: list[tuple[str, str, int]], text: str | None, older: int
) -> None:
    for index, (status, words, minute) in enumerate(versions):
        write(tmp_path, f"{index}.hl7", order(status, words, minute))
    write(tmp_path, "other.hl7", order("F", "other", 0, "A2"))
    table = read_reports(tmp_path)
    expected = {"other"} if text is None else {text, "other"}
    assert {report.text for report in table.reports} == expected
    assert [left.failed for left in table.left_out] == [False] * older


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


@given(st.text(st.sampled_from("|^~\\&.brXab \n"), max_size=30))
def test_unescaping_what_was_escaped_gives_the_text_back(text: str) -> None:
    escaped = "".join(
        {"|": r"\F\\"[:3], "^": r"\S\\"[:3], "~": r"\R\\"[:3], "\\": r"\E\\"[:3], "&": r"\T\\"[:3]}.get(c, c)
        for c in text
    )
    assert Delimiters().unescape(escaped) == text


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
