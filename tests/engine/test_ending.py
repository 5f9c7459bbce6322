"""The end of a run on the terminal says what its record says, and no more."""

import pytest

from audit.cli.running import counts_of, findings_of
from pipelines.findings import FINDINGS
from reports.record import ModelRecord
from reports.run_record import FailureRecord, RunRecord, ScoreSummary, VerdictRecord

POINTING = "pointing game, tau 0"


def summary(method: str, estimate: float | None, **changes: object) -> ScoreSummary:
    fields = {"score": POINTING, "finding": None, "averaging": "micro", "scored": 31, "unscored": 4, "patients": 20}
    low, high = (None, None) if estimate is None else (estimate - 0.07, estimate + 0.05)
    return ScoreSummary.model_validate(
        {"method": method, "estimate": estimate, "low": low, "high": high, **fields, **changes}
    )


def run_of(*summaries: ScoreSummary, **changes: object) -> RunRecord:
    fields = {
        "created": "2026-03-04T09:12:00Z",
        "finished": "2026-03-04T09:13:00Z",
        "model": ModelRecord(name="m", family="f", source="s", sha256="0", terms="t", is_phantom=True),
        "method": "m2ib",
        "settings": {},
        "seed": 0,
        "device": "CPU",
        "software": {},
        "phantom_images": True,
        "patient_data_shown": False,
        "counts": {"audited": 1234, "failed": 1, "left out": 2},
        "timings": (),
        "summaries": summaries,
        "verdicts": (VerdictRecord(method="m2ib", verdict="grounded", because=(), rule=""),),
        "failures": (FailureRecord(source="file-3f2a", stage="pixels", reason="SMITH^JOHN.dcm", failed=True),),
    }
    return RunRecord.model_validate({**fields, **changes})


BLIND = (summary("random", 0.06), summary("class-mean box", 0.37), summary("words-only prior", 0.31))


def test_hits_stand_with_their_interval_beside_the_best_blind_reference() -> None:
    assert list(findings_of(run_of(summary("m2ib", 0.87), *BLIND))) == [
        "Verdict on m2ib: grounded",
        (
            "  hits 87 % of 31 scored phrases (95 % interval 80 to 92; 20 patients), 4 not scored; "
            "best blind reference: class-mean box, 37 %"
        ),
    ]


def test_the_action_of_a_verdict_is_the_last_line() -> None:
    verdict = VerdictRecord(method="m2ib", verdict="grounded", because=(), rule="", action="Audit again next year.")
    *_, action = findings_of(run_of(summary("m2ib", 0.87), *BLIND, verdicts=(verdict,)))
    assert action == "  Audit again next year."


def test_only_the_share_over_all_phrases_each_counted_once_is_told() -> None:
    others = (
        summary("m2ib", 0.11, finding=min(FINDINGS)),
        summary("m2ib", 0.22, averaging="macro"),
        summary("m2ib", 0.33, score="pointing game, tau 15"),
        summary("nib", 0.44),
    )
    _, hits = findings_of(run_of(*others, summary("m2ib", 0.87), *BLIND))
    assert hits.startswith("  hits 87 % of 31 scored phrases")


def test_one_phrase_of_one_patient_is_in_the_singular() -> None:
    _, hits = findings_of(run_of(summary("m2ib", 0.5, scored=1, unscored=0, patients=1), *BLIND))
    assert "1 scored phrase (" in hits
    assert "; 1 patient), 0 not scored" in hits


@pytest.mark.parametrize(
    ("summaries", "line"),
    [
        pytest.param((summary("m2ib", None, scored=0, unscored=9),), "  hits: not measured, 9 not scored", id="no box"),
        pytest.param((), "  hits: not measured, 0 not scored", id="no summary"),
    ],
)
def test_hits_that_nobody_measured_are_no_zero(summaries, line) -> None:
    assert list(findings_of(run_of(*summaries)))[1] == line


def test_a_run_whose_blind_references_were_not_scored_says_so() -> None:
    _, hits = findings_of(run_of(summary("m2ib", 0.87)))
    assert hits.endswith("4 not scored; no blind reference could be scored")


def test_a_run_without_a_scored_table_has_no_verdict() -> None:
    assert list(findings_of(run_of(verdicts=()))) == ["No verdict: no phrase was given to the model"]


def test_counts_are_those_of_the_record_and_name_no_file() -> None:
    run = run_of(summary("m2ib", 0.87), *BLIND)
    assert counts_of(run) == "1,234 studies audited, 1 failed, 2 left out by rule"
    assert "SMITH" not in "".join([counts_of(run), *findings_of(run)])
    assert "file-" not in "".join([counts_of(run), *findings_of(run)])
