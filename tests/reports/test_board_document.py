"""The document for a board: what it says comes from the run, and it names nobody."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from made_up_board import NAME_OF_FILE, UNSCORED, board_inputs, planned
from made_up_cohort import make_cohort
from pdf_text import pages_of, text_of_pdf

from audit.output.board import ReportSettings, write_report
from audit.pipeline.write import write_run
from pipelines.errors import DamagedError, InputError
from reports.board.document import board_document
from reports.board.figures import Axis, finding_bars
from reports.board.flow import flow_steps
from reports.board.typesetting import template_data, typeset
from reports.grounding import grounding_rows
from reports.page import format_number

MADE = datetime(2026, 3, 4, 9, 12, 5, 123456, tzinfo=UTC)


@pytest.fixture(scope="module")
def pdf() -> bytes:
    return typeset(board_document(board_inputs()), made=MADE)


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def test_the_document_has_two_to_six_pages_and_every_section(pdf: bytes) -> None:
    pages = pages_of(pdf)
    assert 2 <= len(pages) <= 6
    assert len(pdf) < 2 << 20
    text = squeezed("".join(pages))
    for title in (
        *("Question", "Data and exclusions", "Model and terms", "Verdict and its rule"),
        *("The three answers for each finding", "Subgroups", "Limits", "Planned and post hoc", "Signatures"),
        "Checksums",
    ):
        assert squeezed(title) in text
    assert squeezed("No protocol was given: all figures are exploratory") in text
    assert "a" * 64 in text


def test_the_figures_of_the_document_are_those_of_the_run(pdf: bytes) -> None:
    text = squeezed(text_of_pdf(pdf))
    rows = grounding_rows(board_inputs().run)
    estimates = [format_number(row.recognises.result.estimate) for row in rows if row.recognises.result]
    assert estimates
    assert all(squeezed(f"{each} ({format_number(0.3)} to {format_number(0.5)})") in text for each in estimates)
    assert squeezed("ignores the image") in text


def test_every_font_is_embedded_and_no_package_is_imported(pdf: bytes) -> None:
    fonts = set(re.findall(rb"/BaseFont/([\w+-]+)", pdf))
    assert fonts
    assert all(re.match(rb"[A-Z]{6}\+(?:LibertinusSerif|DejaVuSansMono)\b", font) for font in fonts)
    assert pdf.count(b"/FontFile") == pdf.count(b"/Type/FontDescriptor") > 0


def test_the_same_run_gives_the_same_bytes(pdf: bytes) -> None:
    assert typeset(board_document(board_inputs()), made=MADE) == pdf
    assert b"20260304" in pdf  # the date is the run's


def test_a_name_is_shown_as_it_is_and_never_run_as_markup() -> None:
    name = '#panic("x") *_[$ \\ </script> @preview'
    run = board_inputs().run
    model = run.model.model_copy(update={"name": name})
    pdf = typeset(board_document(board_inputs(model=model)), made=MADE)
    assert squeezed(name) in squeezed(text_of_pdf(pdf))


def test_no_file_name_and_no_reason_that_quotes_one_is_in_the_document(pdf: bytes) -> None:
    given = json.dumps(template_data(board_document(board_inputs(patient_data_shown=True))))
    assert NAME_OF_FILE not in given
    assert squeezed(NAME_OF_FILE) not in squeezed(text_of_pdf(pdf))


def test_the_flow_counts_exclusions_by_stage_and_phrases_without_a_score_by_reason() -> None:
    given, joined, audited, scored = flow_steps(board_inputs())
    assert "1 × view, such as a lateral one" in given.exclusions
    assert "1 × pixels of the image" in joined.exclusions
    assert joined.exclusions[-1] == "3 studies still to be audited"
    assert audited.exclusions == tuple(f"{count} phrases: {reason}" for reason, count in UNSCORED.items())
    assert scored.lines == ("55 scored phrases", "of 24 patients")


def test_planned_questions_stand_with_their_answers_and_all_else_is_called_exploratory() -> None:
    document = board_document(board_inputs(protocol=planned()))
    text = squeezed(text_of_pdf(typeset(document, made=MADE)))
    assert squeezed("above blind maps") in text
    assert squeezed("All other figures of this document are exploratory") in text
    assert squeezed("No protocol was given") not in text
    assert "c" * 64 in text
    (row,) = document.planned
    assert (row.outcome, row.size, row.answer) == ("shown", "20 of 50", "yes")


def test_an_answer_to_a_protocol_that_came_late_does_not_count_as_planned() -> None:
    document = board_document(board_inputs(protocol=planned(before_results=False)))
    assert [row.answer for row in document.planned] == ["unknown"]
    assert "none of these questions counts as planned" in document.plan[0]
    assert document.plan[-1] == "All figures of this document are exploratory."


def test_an_interval_lies_on_its_axis_and_what_is_outside_at_the_end() -> None:
    axis = Axis(low=-1.0, high=3.0, low_label="", high_label="")
    assert [axis.place(value) for value in (-2.0, -1.0, 0.0, 3.0, 9.0)] == [0.0, 0.0, 0.25, 1.0, 1.0]
    (_, spread, _), bars, more = finding_bars(board_inputs().run)
    assert (spread.low, spread.high, more) == (0.0, 0.5, 0)
    relies = bars[0].cells[1].bar
    assert relies is not None
    assert (relies.low, relies.at, relies.high) == (0.6, 0.8, 1.0)


def test_a_run_of_the_first_version_has_a_document_too() -> None:
    run = make_cohort(2, counts={}).run
    inputs = board_inputs(**{name: getattr(run, name) for name in ("verdicts", "cosine_tests", "subgroups", "counts")})
    text = squeezed(text_of_pdf(typeset(board_document(inputs), made=MADE)))
    assert squeezed("This run has no verdict") in text
    assert squeezed("This run has no answers for each finding") in text


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "OUT"
    (folder / "studies").mkdir(parents=True)
    columns = ("method", "score", "outcome", "reason")
    rows = [
        ("m2ib", "pointing game, tau 0", outcome, reason) for outcome, reason in (("hit", ""), ("unscored", "no box"))
    ]
    write_run(folder, make_cohort(2).run, pd.DataFrame(rows, columns=columns), salt=b"0" * 32)
    return folder


def test_the_document_lies_beside_out_and_leaves_it_as_it_was(out: Path) -> None:
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert write_report(ReportSettings(out=out)) == (out.with_suffix(".pdf"),)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    assert squeezed("1 phrase: no box") in squeezed(text_of_pdf(out.with_suffix(".pdf").read_bytes()))


def test_a_changed_table_is_refused(out: Path) -> None:
    (out / "scores.csv").write_text("method,score,outcome,reason\n")
    with pytest.raises(DamagedError, match=r"scores.csv is not the table that was written"):
        write_report(ReportSettings(out=out))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"pdf": "OUT/report.pdf"}, "is in OUT"),
        ({"pdf": "report.doc"}, "ends in .pdf"),
        ({"table": "list.csv"}, "--checklist"),
        ({"table": "list.txt", "checklists": ("claim2024",)}, "ends in .csv or .md"),
        ({"model_card": "card.yaml"}, "ends in .xml or .json or .md"),
    ],
    ids=["in OUT", "suffix of the document", "no checklist", "suffix of the table", "suffix of the card"],
)
def test_a_wrong_place_is_refused_before_anything_is_written(out: Path, wrong: dict, said: str) -> None:
    given = {name: out.parent / value if isinstance(value, str) else value for name, value in wrong.items()}
    with pytest.raises(InputError, match=said):
        write_report(ReportSettings(out=out, **given))
    assert [path.name for path in out.parent.iterdir()] == ["OUT"]
