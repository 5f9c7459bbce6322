"""HL7 v2 results are read with their text, identifiers, status, time and versions."""

import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_files import HL7, only_report, write

from pipelines.study import ReportStatus
from pipelines.text.formats.hl7_v2 import Delimiters
from pipelines.text.reports import read_reports


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


@given(st.text(st.sampled_from("|^~\\&.brXab \n"), max_size=30))
def test_unescaping_what_was_escaped_gives_the_text_back(text: str) -> None:
    escaped = "".join(
        {"|": r"\F\\"[:3], "^": r"\S\\"[:3], "~": r"\R\\"[:3], "\\": r"\E\\"[:3], "&": r"\T\\"[:3]}.get(c, c)
        for c in text
    )
    assert Delimiters().unescape(escaped) == text
