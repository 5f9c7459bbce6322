"""The table of sentences labelled by hand is whole, and the code's contexts are measured on it."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.bench_context import CONTEXTS, PARTS
from benchmarks.claims import ReadSentence, claim_tallies, hard_sentences, openi_sentences
from benchmarks.context_labels import (
    LABELS,
    Judged,
    Label,
    fetch_wheel,
    judge,
    openi_reports,
    read_labels,
    tallies,
)
from pipelines.findings import FINDINGS
from pipelines.study import Report

TARGETS = {"present": 0.97, "absent": 0.97, "uncertain": 0.92}
REPORT = Report(source="r", text="FINDINGS: The lungs are clear. Stable left effusion.", stem="CXR1")


def label(context: str, *, compared: bool = False, sentence: int = 2, starts: str = "") -> Label:
    return Label(
        report="CXR1",
        sentence=sentence,
        sha256_start=starts,
        finding="pleural effusion",
        context=context,
        compared_with_prior=compared,
        half="tune",
    )


def below_target(sentences: Sequence[ReadSentence]) -> dict[str, tuple[float | None, float | None]]:
    """Precision and recall of each context that misses its target on the sentences."""
    return {
        tally.name: (tally.precision, tally.recall)
        for tally in claim_tallies(sentences, TARGETS)
        if tally.labelled and min(tally.precision or 0, tally.recall or 0) < TARGETS[tally.name]
    }


@pytest.mark.parametrize("part", PARTS)
def test_claims_of_hard_sentences_are_read_rightly(part: str) -> None:
    assert below_target([each for each in hard_sentences() if each.part == part]) == {}


def test_the_table_has_three_hundred_sentences_and_thirty_of_each_class() -> None:
    labels = read_labels()
    assert len({(each.report, each.sentence) for each in labels}) >= 300
    counts = Counter(each.context for each in labels)
    counts["compared"] = sum(each.compared_with_prior for each in labels)
    assert {name: count for name, count in counts.items() if count < 30} == {}
    assert set(counts) == {*CONTEXTS, "compared"}
    assert {each.finding for each in labels} <= set(FINDINGS)


def test_the_table_holds_no_text_of_a_report() -> None:
    longest = max(len(cell) for line in LABELS.read_text(encoding="utf-8").splitlines() for cell in line.split(","))
    assert longest <= max(map(len, [*FINDINGS, "compared_with_prior"]))


def test_no_report_stands_in_both_halves() -> None:
    halves: dict[str, set[str]] = {}
    for each in read_labels():
        halves.setdefault(each.report, set()).add(each.half)
    assert {frozenset(found) for found in halves.values()} == {frozenset({"tune"}), frozenset({"held out"})}


def test_a_label_is_put_beside_the_codes_answer() -> None:
    (judged,) = judge([label("present", compared=True)], [REPORT])
    assert (judged.context, judged.compared_with_prior) == ("present", True)


def test_a_finding_that_the_code_does_not_see_has_no_context() -> None:
    (judged,) = judge([label("present", sentence=1)], [REPORT])
    assert (judged.context, judged.compared_with_prior) == (None, False)


def test_another_cut_into_sentences_is_noticed() -> None:
    with pytest.raises(ValueError, match="sentence 2 of CXR1 was another"):
        list(judge([label("present", starts="0000")], [REPORT]))


def test_precision_divides_by_what_is_named_and_recall_by_what_is_labelled() -> None:
    answers = [("present", "present"), ("present", "absent"), ("absent", "present"), ("absent", None)]
    answers.append(answers[0])
    judged = [Judged(label=label(truth), context=answer, compared_with_prior=False) for truth, answer in answers]
    present, absent, compared = tallies(judged, ("present", "absent"))
    assert (present.precision, present.recall) == (2 / 3, 2 / 3)
    assert (absent.precision, absent.recall) == (0, 0)
    assert (compared.precision, compared.recall) == (None, None)


@pytest.mark.slow
def test_all_reports_of_openi_parse_and_their_contexts_are_told(tmp_path: Path) -> None:
    table = openi_reports(fetch_wheel(tmp_path))
    assert (len(table.reports), len(table.left_out)) == (3927, 28)  # 28 have neither findings nor impression
    assert {left.failed for left in table.left_out} == {False}
    held_out = [each for each in judge(read_labels(), table.reports) if each.label.half == "held out"]
    measured = {tally.name: min(tally.precision or 0, tally.recall or 0) for tally in tallies(held_out, CONTEXTS)}
    assert {name for name in ("present", "absent") if measured[name] < 0.9} == set()
    assert {name for name, share in measured.items() if share < 0.8} == set()
    sentences = tuple(openi_sentences(table.reports))
    for part in ("tune", "held out"):
        assert below_target([each for each in sentences if each.part == part]) == {}
