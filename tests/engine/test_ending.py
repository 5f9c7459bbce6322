"""The end of a run on the terminal says what its record says, and no more."""

import json
from pathlib import Path

import pytest
from made_up_cases import answered_run, with_differences

from audit.cli.ending import Ending, counts_of, findings_of, state_of
from pipelines.errors import AuditError
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


def test_the_action_of_a_verdict_stands_below_its_hits() -> None:
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


def test_the_three_answers_over_all_phrases_have_their_figures() -> None:
    *_, answers = findings_of(with_differences(answered_run(), 0.2))
    assert answers == "Over all phrases: recognises yes (AUC 0.90), relies yes (0.50 SD), localises yes (85 %)"
    *_, answers = findings_of(answered_run())
    assert "localises not known (" in answers


def test_json_says_what_the_lines_say(capsys: pytest.CaptureFixture[str]) -> None:
    run = with_differences(answered_run(), -0.05)
    Ending(as_json=True).print_run(run, Path("out/index.html"))
    said = json.loads(capsys.readouterr().out)
    assert said == {**json.loads(json.dumps(state_of(run))), "page": "out/index.html"}
    answers = {name: each["answer"] for name, each in said["answers"].items()}
    assert answers == {"recognises": "yes", "relies": "yes", "localises": "no"}
    figures = {"estimate": 0.5, "low": 0.4, "high": 0.6, "patients": 30}
    assert said["answers"]["relies"] == {"answer": "yes", **figures, "note": ""}
    assert said["best_blind"] == {"method": "class-mean box", "estimate": 0.37}
    assert (said["verdict"], said["hits"]["estimate"], said["audited"], said["failed"]) == (None, 0.85, 0, 1)


@pytest.mark.parametrize(
    ("verdict", "fail_on", "status"),
    [
        pytest.param("grounded", ("any",), 3, id="any fault, and there is none"),
        pytest.param("looks at the marker", ("any",), 4, id="any fault"),
        pytest.param("looks at the marker", ("looks at the marker",), 4, id="the named one"),
        pytest.param("looks at the marker", ("looks by habit", "ignores the image"), 3, id="another one"),
        pytest.param("too few cases to say", ("any",), 4, id="nothing was shown"),
        pytest.param("looks at the marker", (), 3, id="not asked"),
    ],
)
def test_a_verdict_that_is_named_gives_status_4(verdict: str, fail_on: tuple[str, ...], status: int) -> None:
    run = run_of(verdicts=(VerdictRecord(method="m2ib", verdict=verdict, because=(), rule=""),))
    assert Ending.of(fail_on=fail_on).status(run, 3) == status


def test_a_run_without_a_verdict_is_a_fault_and_another_method_decides_nothing() -> None:
    assert Ending.of(fail_on=["any"]).status(run_of(verdicts=()), 0) == 4
    other = VerdictRecord(method="nib", verdict="looks by habit", because=(), rule="")
    own = VerdictRecord(method="m2ib", verdict="grounded", because=(), rule="")
    assert Ending.of(fail_on=["any"]).status(run_of(verdicts=(own, other)), 0) == 0


def test_what_is_no_verdict_is_refused_with_those_that_are() -> None:
    with pytest.raises(AuditError, match=r"--fail-on bad: is no verdict; give one of grounded, .*, any"):
        Ending.of(fail_on=["bad"])
