"""Report files are read, and what is wrong with one names the file, the row and the mend."""

import csv
import gzip
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import ReportError
from pipelines.limits import MAX_REPORT_CHARACTERS
from pipelines.text.reports import ReportTable, read_reports
from pipelines.text.table import BadRow, Row, parse_table, pick_column, plain_stem


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def only_reason(table: ReportTable, *, failed: bool = True) -> str:
    assert [left.failed for left in table.left_out] == [failed]
    return table.left_out[0].reason


def test_a_text_file_is_one_report_joined_by_its_stem(tmp_path: Path) -> None:
    write(tmp_path, "p10/s50414267.txt", "FINDINGS: nodule.")
    (report,) = read_reports(tmp_path).reports
    assert (report.stem, report.text, report.study_instance_uid) == ("s50414267", "FINDINGS: nodule.", None)
    assert report.source == str(tmp_path / "p10" / "s50414267.txt")


def test_a_uid_as_file_name_keeps_its_last_number(tmp_path: Path) -> None:
    write(tmp_path, "1.2.840.113619.7.txt", "nodule")
    assert read_reports(tmp_path).reports[0].stem == "1.2.840.113619.7"


@pytest.mark.parametrize("ending", ["txt", "TEXT", "rpt", "txt.gz"])
def test_whatever_its_ending_a_text_file_is_named_by_its_stem(tmp_path: Path, ending: str) -> None:
    content = b"FINDINGS: nodule."
    write(tmp_path, f"s50414267.{ending}", gzip.compress(content) if ending.endswith("gz") else content)
    assert read_reports(tmp_path).reports[0].stem == "s50414267"


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"], ids=["comma", "tab", "semicolon", "bar"])
def test_a_table_is_one_report_a_row(tmp_path: Path, delimiter: str) -> None:
    lines = [["StudyInstanceUID", "Accession Number", "Report"], ["1.2.3", "A7", '"Nodule,\nleft; | ""new"""']]
    path = write(tmp_path, "reports.csv", "\n".join(delimiter.join(line) for line in lines))
    (report,) = read_reports(path).reports
    assert (report.study_instance_uid, report.accession_number) == ("1.2.3", "A7")
    assert report.text == 'Nodule,\nleft; | "new"'
    assert report.source == f"{path} row 2"


def test_a_number_that_a_spreadsheet_gave_a_fraction_joins_as_the_number(tmp_path: Path) -> None:
    path = write(tmp_path, "r.csv", "accession,study_id,report\n17.0,50414267.0,Nodule.\n1.0.0,s5.0,Mass.\n")
    found = [(report.accession_number, report.stem) for report in read_reports(path).reports]
    assert found == [("17", "50414267"), ("1.0.0", "s5.0")]


def test_findings_and_impression_columns_become_sections(tmp_path: Path) -> None:
    path = write(tmp_path, "r.tsv", "image\tfindings\timpression\na/b/02aa.dcm\tNodule.\tMass.\n")
    (report,) = read_reports(path).reports
    assert (report.stem, report.text) == ("02aa", "FINDINGS: Nodule.\n\nIMPRESSION: Mass.")


def test_a_dotted_study_id_is_a_study_instance_uid(tmp_path: Path) -> None:
    path = write(tmp_path, "r.csv", "study_id,text\n1.2.840.1.5,Nodule\n50414267,Mass\n")
    assert [report.study_instance_uid for report in read_reports(path).reports] == ["1.2.840.1.5", None]


def test_a_table_in_a_text_file_is_known_by_its_header(tmp_path: Path) -> None:
    path = write(tmp_path, "r.txt", "study_id\treport\n5\tNodule\n")
    assert [report.text for report in read_reports(path).reports] == ["Nodule"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        pytest.param("a.txt", "  \n", ["a.txt", "empty", "put the"], id="empty report"),
        pytest.param("a.csv", "", ["a.csv", "empty"], id="empty table"),
        pytest.param("a.csv", "id,report\n", ["a.csv", "no rows", "add one row"], id="header only"),
        pytest.param("a.csv", "age,report\n5,x\n", ["a.csv", "whose report", "age, report", "add"], id="no id column"),
        pytest.param(
            "a.csv", "id,age\n5,6\n", ["a.csv", "no column with text", "id, age", "name it"], id="no text column"
        ),
        pytest.param("a.csv", "id,report\n7,\n", ["row 2", "a.csv", "no report text", "fill"], id="empty cell"),
        pytest.param("a.csv", "id,report\n,text\n", ["row 2", "a.csv", "whose report", "fill"], id="no id"),
        pytest.param("a.csv", "id,report\n1,a,b\n", ["row 2", "a.csv", "3 cells", "double quotes"], id="ragged"),
        pytest.param("a.csv", "id,report\n1\n", ["row 2", "a.csv", "1 cells"], id="short"),
        pytest.param("a.csv", 'id,report\n1,"open\n', ["row 2", "a.csv", "close every double quote"], id="open quote"),
        pytest.param("a.txt", b"\x00\x01\x02", ["a.txt", "not a text file", "save"], id="binary"),
        pytest.param("a.txt", b"\xff\xfeX", ["a.txt", "byte order mark", "save"], id="broken UTF-16"),
        pytest.param("a.txt", "x" * (MAX_REPORT_CHARACTERS + 1), ["100,001 char", "one file or row"], id="too long"),
    ],
)
def test_bad_input_is_named_with_its_mend(tmp_path: Path, name: str, content: str | bytes, words: list[str]) -> None:
    path = write(tmp_path, name, content)
    table = read_reports(tmp_path)
    reason = only_reason(table)
    assert table.reports == ()
    assert table.left_out[0].source.startswith(str(path))
    assert [word for word in words if word not in reason] == []


def test_one_bad_row_stops_no_other(tmp_path: Path) -> None:
    path = write(tmp_path, "r.csv", "id,report\n1,Nodule\n2,a,b\n\n3,Mass\n4,\n")
    table = read_reports(path)
    assert [(report.stem, report.source) for report in table.reports] == [
        ("1", f"{path} row 2"),
        ("3", f"{path} row 5"),
    ]
    assert [left.source for left in table.left_out] == [f"{path} row 3", f"{path} row 6"]


def test_a_first_row_of_data_is_not_repeated_in_the_message(tmp_path: Path) -> None:
    write(tmp_path, "r.csv", '12345,"John Doe, 56, has a large nodule in the left lung"\n')
    assert "John" not in only_reason(read_reports(tmp_path))


def test_a_table_of_boxes_among_the_reports_is_left_out_by_rule(tmp_path: Path) -> None:
    write(tmp_path, "boxes.csv", "image,label,x,y,width,height\n")
    assert "--boxes" in only_reason(read_reports(tmp_path), failed=False)


def test_latin_1_is_read_and_the_guess_recorded(tmp_path: Path) -> None:
    write(tmp_path, "r.txt", "Nodule à gauche.".encode("latin-1"))
    table = read_reports(tmp_path)
    assert table.reports[0].text == "Nodule à gauche."
    assert "Latin-1" in only_reason(table, failed=False)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_unicode_is_read_without_a_doubt(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path, "r.csv", "id,report\r\n1,Épanchement\r\n".encode(encoding))
    table = read_reports(path)
    assert (table.reports[0].text, table.left_out) == ("Épanchement", ())


def test_other_files_are_counted_and_hidden_ones_listed(tmp_path: Path) -> None:
    for name in ("a.txt", "1.dcm", "sub/2.dcm", ".DS_Store", ".git/x.txt"):
        write(tmp_path, name, "nodule")
    table = read_reports(tmp_path)
    assert len(table.reports) == 1
    assert [Path(item.source).name for item in table.left_out] == [".DS_Store", ".git", "*.dcm"]
    assert table.left_out[-1].reason.startswith("2 files end in .dcm")
    assert not any(item.failed for item in table.left_out)


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    outside = write(tmp_path, "outside.txt", "secret")
    write(tmp_path, "in/a.txt", "nodule")
    (tmp_path / "in" / "link.txt").symlink_to(outside)
    assert [report.text for report in read_reports(tmp_path / "in").reports] == ["nodule"]


def test_a_missing_folder_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=r"nowhere does not exist: give --reports"):
        read_reports(tmp_path / "nowhere")


def test_an_empty_folder_says_what_to_put_there(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=r"no report among 0 files: add .*\.csv"):
        read_reports(tmp_path)


def test_a_file_of_another_format_says_which_are_known(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=r"a\.pdf does not have the suffix of a report format: give"):
        read_reports(write(tmp_path, "a.pdf", "x"))


cell = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r"), max_size=20)


@given(rows=st.lists(st.tuples(cell, cell, cell), max_size=6), delimiter=st.sampled_from(",;\t|"))
@settings(max_examples=60, deadline=None)
def test_a_table_comes_back_as_it_was_written(rows: list[tuple[str, str, str]], delimiter: str) -> None:
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([("id", "report", "more"), *rows])
    table = parse_table(stream.getvalue())
    read = [tuple(row.cells.values()) for row in table.rows if isinstance(row, Row)]
    assert [tuple(sorted(cells)) for cells in read] == [
        tuple(sorted(part.strip() for part in row)) for row in rows if any(part.strip() for part in row)
    ]


@settings(deadline=None)
@given(text=st.text(st.sampled_from('ab,"\n\t;'), max_size=60))
def test_any_text_gives_rows_with_every_column_or_a_sentence(text: str) -> None:
    table = parse_table(text)
    for row in table.rows:
        assert row.reason if isinstance(row, BadRow) else set(row.cells) == set(table.columns)


@pytest.mark.parametrize(
    ("reference", "stem"),
    [
        ("p10/s5/02aa.dcm", "02aa"),
        ("C:\\data\\x.PNG", "x"),
        ("1.2.840.113", "1.2.840.113"),
        ("IM0001", "IM0001"),
        ("a.nii.gz", "a"),
        ("", ""),
    ],
)
def test_a_reference_gives_its_stem(reference: str, stem: str) -> None:
    assert plain_stem(reference) == stem


def test_the_best_known_column_wins_whatever_its_spelling() -> None:
    assert pick_column(["Image ID", "STUDY_ID"], ("study_id", "image_id")) == "STUDY_ID"
    assert pick_column(["other"], ("study_id",)) is None
