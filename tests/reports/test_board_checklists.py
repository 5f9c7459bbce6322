"""Reporting checklists and the model card: every item is there, answered by the run or said not to be."""

import csv
import io
import json
import re
from xml.etree import ElementTree

import pytest
from made_up_board import board_inputs, planned
from made_up_cohort import make_cohort

from audit.cli.reporting import Checklist
from reports.board.answers import ANSWERS, answer_to
from reports.board.checklists import CHECKLISTS, as_csv, as_markdown, fill
from reports.board.inputs import BoardInputs
from reports.board.model_card import NAMESPACE, card_as_json, card_as_markdown, card_as_xml, model_card

ITEMS = {  # as the statements number them
    "claim2024": [str(number) for number in range(1, 45)],
    "tripod-ai": [
        f"{number}{letter}"
        for number in range(1, 28)
        for letter in {3: "abc", 5: "ab", 6: "abc", 8: "abc", 9: "abc", 12: "abcdefg", 18: "abcdef"}.get(number)
        or {20: "abc", 23: "ab", 27: "abc"}.get(number, [""])
    ],
    "stard-ai": [
        f"{number}{letter}"
        for number in range(1, 41)
        for letter in {15: "abcd", 16: "abc", 17: "ab", 26: "ab", 40: "ab"}.get(number, [""])
    ],
}
NEVER = {"sample_size", "protocol"}  # no protocol was given


def test_every_checklist_can_be_asked_for() -> None:
    assert tuple(Checklist) == CHECKLISTS == tuple(ITEMS)


@pytest.mark.parametrize("name", CHECKLISTS)
def test_a_checklist_has_every_item_of_its_source_once(name: str) -> None:
    filled = fill(name, board_inputs())
    assert [row.number for row in filled.items] == ITEMS[name]
    assert "doi 10." in filled.source


@pytest.mark.parametrize("name", CHECKLISTS)
def test_an_item_has_a_value_with_its_place_or_says_that_it_is_not_answered(name: str) -> None:
    for row in fill(name, board_inputs()).items:
        assert row.is_answered == bool(row.where) == (row.answer != "not answered by this audit"), row


def test_a_full_run_answers_everything_that_an_audit_can_answer() -> None:
    assert {name for name in ANSWERS if answer_to(name, board_inputs()) is None} == NEVER


def test_a_protocol_answers_the_items_of_protocol_and_sample_size() -> None:
    inputs = board_inputs(protocol=planned())
    assert all(answer_to(name, inputs) is not None for name in ANSWERS)
    by_number = {row.number: row for row in fill("claim2024", inputs).items}
    assert by_number["21"].answer == "above blind maps: 50 patients"
    assert "c" * 64 in by_number["42"].answer


def test_a_run_without_measurements_leaves_their_items_open() -> None:
    bare = BoardInputs(run=make_cohort(1, summaries=(), failures=()).run, unscored={}, checksums={})
    open_ = {name for name in ANSWERS if answer_to(name, bare) is None}
    assert open_ >= {"performance", "subgroups", "readers", "rule", "controls", "unscored", "cases", *NEVER}
    by_number = {row.number: row for row in fill("claim2024", bare).items}
    assert not by_number["37"].is_answered
    assert by_number["22"].is_answered


def test_tables_hold_every_item_of_every_checklist_that_was_asked_for() -> None:
    filled = [fill(name, board_inputs()) for name in CHECKLISTS]
    count = sum(map(len, ITEMS.values()))
    rows = list(csv.reader(io.StringIO(as_csv(filled))))
    assert len(rows) == 1 + count
    assert {len(row) for row in rows} == {5}
    lines = as_markdown(filled).splitlines()
    assert len([line for line in lines if re.match(r"\| \d", line)]) == count


def test_a_pipe_in_a_name_does_not_break_a_markdown_table() -> None:
    run = board_inputs().run
    inputs = board_inputs(model=run.model.model_copy(update={"name": "a|b"}))
    (line,) = [line for line in as_markdown([fill("claim2024", inputs)]).splitlines() if line.startswith("| 1 |")]
    assert len(re.findall(r"(?<!\\)\|", line)) == 5


def test_the_model_card_has_the_elements_of_its_schema_in_their_order() -> None:
    root = ElementTree.fromstring(card_as_xml(model_card(board_inputs())))  # noqa: S314 - made just now
    names = [part.tag.removeprefix(f"{{{NAMESPACE}}}") for part in root]
    assert root.tag == f"{{{NAMESPACE}}}AppliedModelCard"
    assert names == [
        *("BasicInfo", "ReleaseInfo", "ModelSummary", "UsesAndDirections", "Warnings", "TrustIngredients"),
        *("KeyMetrics", "Resources", "Bibliography"),
    ]
    metrics = root.find(f"{{{NAMESPACE}}}KeyMetrics")
    assert metrics is not None
    for metric in metrics:
        assert [part.tag.removeprefix(f"{{{NAMESPACE}}}") for part in metric] == [
            *("MetricGoal", "Results", "Interpretation", "TestType", "TestingDataDescription"),
            "ValidationProcessAndJustification",
        ]
        values = [json.loads(value.text or "") for value in metric.iter(f"{{{NAMESPACE}}}ValueJson")]
        assert values
        assert all(value["lower"] <= value["estimate"] <= value["upper"] for value in values)


def test_what_only_the_developer_knows_is_left_to_the_developer_in_every_format() -> None:
    card = model_card(board_inputs())
    assert card["BasicInfo"]["ModelDeveloper"] == "To be filled by the developer."
    for written in (card_as_xml(card), card_as_json(card), card_as_markdown(card)):
        assert written.count("To be filled by the developer.") >= 15
        assert "ignores the image" in written
    assert json.loads(card_as_json(card))["ReleaseInfo"]["ReleaseVersion"].endswith(board_inputs().run.model.sha256)
