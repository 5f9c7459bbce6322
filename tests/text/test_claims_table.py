"""The tables of sentences with all their claims are whole, and count what is missed and what is invented."""

import csv
from pathlib import Path

import pytest

from benchmarks.bench_context import CONTEXTS
from benchmarks.claims import (
    HARD,
    OPENI,
    ReadSentence,
    claim_tallies,
    hard_sentences,
    openi_sentences,
    wrong_claims,
)
from pipelines.findings import FINDINGS
from pipelines.study import Report


def read(text: str, **claims: str) -> ReadSentence:
    named = {finding.replace("_", " "): context for finding, context in claims.items()}
    return ReadSentence(part="tune", kind="", text=text, claims=named)


def test_the_written_sentences_name_known_findings_and_contexts() -> None:
    sentences = hard_sentences(HARD)
    assert len({sentence.text for sentence in sentences}) == len(sentences) >= 200
    claimed = {claim for sentence in sentences for claim in sentence.claims.items()}
    assert {finding for finding, _ in claimed} <= set(FINDINGS)
    assert {context for _, context in claimed} <= {*CONTEXTS, "not counted"}


def test_the_table_of_openi_holds_no_text_of_a_report() -> None:
    with OPENI.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {len(row["sha256_start"]) for row in rows} == {12}
    claims = {claim for row in rows for claim in row["claims"].split("; ") if claim}
    assert claims <= {f"{finding}={context}" for finding in FINDINGS for context in CONTEXTS}


def test_a_sentence_of_openi_is_found_by_its_number(tmp_path: Path) -> None:
    report = Report(source="r", text="FINDINGS: The lungs are clear. Stable left effusion.", stem="CXR1")
    table = tmp_path / "table.csv"
    table.write_text("report,sentence,sha256_start,half,claims\nCXR1,2,,tune,pleural effusion=present\n")
    (sentence,) = openi_sentences([report], table)
    assert (sentence.text, sentence.claims) == ("Stable left effusion.", {"pleural effusion": "present"})


def test_another_cut_into_sentences_is_noticed(tmp_path: Path) -> None:
    report = Report(source="r", text="FINDINGS: The lungs are clear.", stem="CXR1")
    table = tmp_path / "table.csv"
    table.write_text("report,sentence,sha256_start,half,claims\nCXR1,1,0000,tune,\n")
    with pytest.raises(ValueError, match="sentence 1 of CXR1 was another"):
        list(openi_sentences([report], table))


def test_missed_invented_and_misread_findings_are_wrong() -> None:
    sentence = read("No pneumothorax, left effusion.", pneumothorax="present", mass="absent")
    assert wrong_claims(sentence) == {
        "pneumothorax": ("present", "absent"),
        "mass": ("absent", None),
        "pleural effusion": (None, "present"),
    }


def test_what_readers_may_differ_on_is_not_counted() -> None:
    sentence = read("Left effusion.", pleural_effusion="not counted")
    assert wrong_claims(sentence) == {}
    assert [(tally.labelled, tally.named) for tally in claim_tallies([sentence], ["present"])] == [(0, 0)]


def test_precision_falls_with_what_is_invented_and_recall_with_what_is_missed() -> None:
    sentences = [read("Left effusion."), read("Left effusion.", pleural_effusion="present", mass="present")]
    (tally,) = claim_tallies(sentences, ["present"])
    assert (tally.labelled, tally.named, tally.right) == (2, 2, 1)
