"""Labels of public sets that have no reports, as one report for each image or study.

NIH lists the labels of an image in one cell ("Cardiomegaly|Effusion"), PadChest as a list of quoted names, and the
boxes of VinDr-CXR name one label a row. CheXpert, MIMIC-CXR and VinDr-CXR have a column for each label: 1 (present), -1
(uncertain), 0 (absent) or blank (not named). Each label becomes one sentence. Rows of several readers are joined:
present comes before uncertain, and this before absent.

Source: Wang et al. 2017 (NIH ChestX-ray14), Irvin et al. 2019 (CheXpert), Bustos et al. 2020 (PadChest), Nguyen et al.
2022 (VinDr-CXR).
"""

import re
from collections.abc import Callable, Iterator
from functools import cache

from pipelines.findings import AddedFindings, added_findings, canonical_finding
from pipelines.study import Exclusion, Report
from pipelines.text.formats.file import ReadReports, ReportFile, failed
from pipelines.text.table import BadRow, Row, columns_of, parse_table, pick_column, plain_stem

__all__ = ["read_label_table", "recognise_label_table"]

_REFERENCE = ("Image Index", "ImageID", "Path", "dicom_id", "image_id", "study_id")
_TEXTS = ("report", "text", "findings", "impression")  # the radiologist's own words come before labels
_LISTS = ("Finding Labels", "Labels")
_LABEL_OF_BOX = ("class_name",)
_FEWEST_COLUMNS = 5  # columns that are named after findings
_NOT_FINDINGS = frozenset({"no finding", "normal"})
_SENTENCES = {1.0: "{}.", -1.0: "Possible {}.", 0.0: "No {}."}
_STRONGEST_FIRST = (1.0, -1.0, 0.0)
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_PREFACE = "TECHNIQUE: Labels of a data set, not a radiologist's report."

_Labels = Callable[[Row], Iterator[tuple[str, float]]]


@cache
def _finding_of(label: str, _added: AddedFindings) -> str | None:
    return canonical_finding(label)


def _finding(label: str) -> str | None:
    """Return the finding that a label names; a table repeats its labels many times."""
    return _finding_of(label, added_findings())


def recognise_label_table(file: ReportFile) -> bool:
    """Return True for a table that names images or studies and their labels, and no text."""
    return _labels_of(columns_of(file.text.lstrip())) is not None


def read_label_table(file: ReportFile) -> ReadReports:
    """Read one report per image or study; a row that cannot be read is excluded with its reason."""
    table = parse_table(file.text)
    labels_of, reference = _labels_of(table.columns), pick_column(table.columns, _REFERENCE)
    left_out: list[Exclusion] = []
    found: dict[str, tuple[int, dict[str, float]]] = {}
    for row in table.rows if labels_of is not None and reference is not None else ():
        if isinstance(row, BadRow):
            reason = f"row {row.number} of {file.path.name}: {row.reason}"
            left_out.append(failed(f"{file.path} row {row.number}", reason))
            continue
        _, known = found.setdefault(row.cells[reference or ""], (row.number, {}))
        for label, value in labels_of(row) if labels_of is not None else ():
            strongest = min((value, known.get(label, value)), key=_STRONGEST_FIRST.index)
            known[label] = strongest
    reports = (
        Report(
            source=f"{file.path} row {number}",
            text=_text(labels),
            stem=plain_stem(name),
            image_names=(name,),
            from_labels=True,
        )
        for name, (number, labels) in found.items()
    )
    return tuple(reports), tuple(left_out)


def _labels_of(columns: tuple[str, ...]) -> _Labels | None:
    """Return the function that reads the labels of a row; None if the table has none."""
    if pick_column(columns, _REFERENCE) is None:
        return None
    has_text = pick_column(columns, _TEXTS) is not None
    listed = pick_column(columns, _LISTS) or (None if has_text else pick_column(columns, _LABEL_OF_BOX))
    if listed is not None:
        return lambda row: _listed(row.cells[listed])
    named = {column: finding for column in columns if (finding := _finding(column)) is not None}
    if len(named) < _FEWEST_COLUMNS or has_text:
        return None
    return lambda row: _marked(row, named)


def _listed(cell: str) -> Iterator[tuple[str, float]]:
    quoted = [one or other for one, other in _QUOTED.findall(cell)]
    for label in quoted or cell.split("|"):
        words = " ".join(label.split())
        if words and words.casefold() not in _NOT_FINDINGS:
            yield _finding(words) or words, 1.0


def _marked(row: Row, named: dict[str, str]) -> Iterator[tuple[str, float]]:
    for column, finding in named.items():
        try:
            value = float(row.cells[column] or "nan")
        except ValueError:
            continue
        if value in _SENTENCES:
            yield finding, value


def _text(labels: dict[str, float]) -> str:
    sentences = [_SENTENCES[value].format(label) for label, value in labels.items()] or ["No finding."]
    return "\n".join([_PREFACE, "", "FINDINGS:", *(sentence[:1].upper() + sentence[1:] for sentence in sentences)])
