"""Write a report file, and look at what was read."""

import base64
import json
from pathlib import Path
from typing import Any

from pipelines.study import Report
from pipelines.text.reports import ReportTable

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
