"""A run that is given again: what it keeps, what it does again and why, and what it takes out of its result."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from asking import COMPRESSED, FIRST, STUDIES, asked, because, change_image, command, fresh
from out_trees import tree_of
from pydicom import dcmread
from typer.testing import CliRunner

from audit.cli import app
from audit.execution.run import run
from audit.output.rescoring import rescore
from audit.privacy.pseudonyms import Pseudonyms, load_salt
from audit.storage.lock import Shard
from pipelines.errors import AuditError, OutputError
from pipelines.phantom.cohort import make_cohort
from reports.results_folder import read_record, study_folders


def test_a_run_given_again_asks_the_model_nothing_and_writes_the_same(cohort, out, pairs_asked) -> None:
    before = tree_of(out, stamps=False)
    result = run(asked(cohort, out))
    assert pairs_asked == []
    assert (result.record.history.done_before, because(result)) == (STUDIES, {})
    assert tree_of(out, stamps=False) == before


def change_report(cohort: Path) -> None:
    path = cohort / "reports" / f"{FIRST}.txt"
    path.write_text(path.read_text() + "\nThere is a left pneumothorax.\n")


@pytest.mark.parametrize(
    ("change", "settings", "why", "again"),
    [
        pytest.param(change_image, {}, "its image files changed", 1, id="an image"),
        pytest.param(change_report, {}, "its report changed", 1, id="a report"),
        pytest.param(None, {"steps": 2}, "steps was 1, is 2", STUDIES, id="a number of the method"),
        pytest.param(
            None,
            {"show_phi": True},
            "patient data shown was False, is True",
            STUDIES,
            id="what is shown",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            None, {"model": "phantom-ungrounded"}, "model was", STUDIES, id="the model", marks=pytest.mark.slow
        ),
    ],
)
def test_what_changed_is_done_again_and_the_run_says_why(
    cohort: Path,
    out: Path,
    tmp_path: Path,
    pairs_asked: list[int],
    change: Callable[[Path], None] | None,
    settings: dict[str, object],
    why: str,
    again: int,
) -> None:
    if change is not None:
        change(cohort)
    result = run(asked(cohort, out, **settings))
    ((reason, studies),) = because(result).items()
    assert reason.startswith(why)
    assert studies == again == sum(pairs_asked)
    assert result.record.history.done_before == STUDIES - again
    assert tree_of(out, stamps=False) == fresh(cohort, tmp_path, **settings)


def test_a_moved_box_has_stored_heat_scored_again_without_the_model(cohort, out, tmp_path, pairs_asked) -> None:
    boxes = pd.read_csv(cohort / "boxes.csv")
    boxes.loc[0, "x"] += 3
    boxes.to_csv(cohort / "boxes.csv", index=False)
    result = run(asked(cohort, out))
    assert pairs_asked == []
    assert all(group.rescored for group in result.record.history.done_again)
    assert any("its boxes changed" in reason for reason in because(result))
    assert tree_of(out, stamps=False) == fresh(cohort, tmp_path)
    assert because(run(asked(cohort, out))) == {}


def test_boxes_that_come_later_have_their_regions_erased(cohort, tmp_path, pairs_asked) -> None:
    settings = {"controls": 99, "limit": 1}
    run(asked(cohort, tmp_path / "later", boxes=(), **settings))
    pairs_asked.clear()
    run(asked(cohort, tmp_path / "later", **settings))
    assert pairs_asked != []
    (folder,) = study_folders(tmp_path / "later")
    erased = [phrase.erased for image in read_record(folder).images for phrase in image.phrases]
    assert any(each is not None and each.region is not None for each in erased)
    assert tree_of(tmp_path / "later", stamps=False) == fresh(cohort, tmp_path, **settings)


@pytest.mark.slow
def test_boxes_of_others_change_the_references_of_a_study(cohort, out, pairs_asked) -> None:
    boxes = pd.read_csv(cohort / "boxes.csv")
    shared = boxes["label"].value_counts().index[0]
    assert boxes.loc[boxes["label"] == shared, "image"].nunique() > 1  # else this test says nothing
    moved = boxes.index[boxes["label"] == shared][0]
    boxes.loc[moved, "width"] += 2
    boxes.to_csv(cohort / "boxes.csv", index=False)
    told = because(run(asked(cohort, out)))
    assert "boxes of other studies, from which its references are computed, changed" in told
    assert pairs_asked == []


@pytest.mark.slow
def test_a_changed_plan_of_controls_does_the_study_again(cohort, out, tmp_path) -> None:
    result = run(asked(cohort, out, controls=1))
    assert because(result) == {"the controls planned for it changed": 1}
    assert tree_of(out, stamps=False) == fresh(cohort, tmp_path, controls=1)


def test_a_study_that_left_the_inputs_leaves_the_result_and_can_come_back(cohort, out, tmp_path, pairs_asked) -> None:
    before = tree_of(out, stamps=False)
    away = tmp_path / "away"
    away.mkdir()
    for path in (cohort / "dicom" / f"{FIRST}.dcm", cohort / "reports" / f"{FIRST}.txt"):
        path.rename(away / path.name)
    boxes = (cohort / "boxes.csv").read_bytes()
    table = pd.read_csv(cohort / "boxes.csv")
    uid = dcmread(away / f"{FIRST}.dcm").SOPInstanceUID
    table[table["image"] != uid].to_csv(cohort / "boxes.csv", index=False)
    result = run(asked(cohort, out))
    (key,) = result.record.history.set_aside
    assert (out / "set-aside" / key / "record.json").is_file()
    found = tree_of(out, stamps=False)
    expected = fresh(cohort, tmp_path)
    assert {name: found[name] for name in found if not name.startswith("set-aside")} == expected
    pairs_asked.clear()

    (away / f"{FIRST}.dcm").rename(cohort / "dicom" / f"{FIRST}.dcm")
    (away / f"{FIRST}.txt").rename(cohort / "reports" / f"{FIRST}.txt")
    (cohort / "boxes.csv").write_bytes(boxes)
    run(asked(cohort, out))
    assert pairs_asked == []
    assert tree_of(out, stamps=False) == before


def test_a_wrong_setting_that_is_taken_back_costs_only_what_it_did(cohort, out, pairs_asked) -> None:
    before = tree_of(out, stamps=False)

    class Stop:
        """Asked before each study: lets one through."""

        def __init__(self) -> None:
            self.asked = 0

        def __enter__(self) -> Callable[[], bool]:
            def stop() -> bool:
                self.asked += 1
                return self.asked > 1

            return stop

        def __exit__(self, *_error: object) -> None:
            pass

    result = run(asked(cohort, out, steps=2), stopping=Stop)
    assert (result.interrupted, result.record.counts["audited"], result.record.not_done) == (True, 1, STUDIES - 1)
    assert len(study_folders(out)) == 1
    pairs_asked.clear()
    again = run(asked(cohort, out))
    assert pairs_asked == [1]
    assert because(again) == {"steps was 2, is 1": 1}
    after = tree_of(out, stamps=False)
    assert {name for name in after if name.startswith("set-aside")} == set()
    assert after == before


def test_other_inputs_are_not_mixed_into_an_out(out, tmp_path) -> None:
    make_cohort(tmp_path / "others", count=2, seed=77, columns=64)
    before = tree_of(out)
    with pytest.raises(OutputError, match=r"holds 4 studies, none of them among these inputs.*--overwrite"):
        run(asked(tmp_path / "others", out))
    assert tree_of(out) == before


def test_files_that_only_moved_are_not_done_again_and_still_found_by_their_path(
    cohort, out, tmp_path, pairs_asked
) -> None:
    (cohort / "dicom").rename(cohort / "films")
    result = run(asked(cohort, out, dicom_dir=cohort / "films"))
    assert (pairs_asked, because(result)) == ([], {})
    expected = fresh(cohort, tmp_path, dicom_dir=cohort / "films")
    assert tree_of(out, stamps=False) == expected
    path_keys = [
        [image.path_key for folder in study_folders(each) for image in read_record(folder).images]
        for each in (out, tmp_path / "fresh")
    ]
    assert path_keys[0] == path_keys[1]


def test_a_limit_does_the_same_studies_each_time_and_the_rest_comes_later(cohort, finished, tmp_path) -> None:
    out = tmp_path / "part"
    limited = run(asked(cohort, out, limit=2)).record
    assert (limited.counts["audited"], limited.not_done, limited.history.done_before) == (2, STUDIES - 2, 0)
    assert "2 studies still to be audited: this run is incomplete." in (out / "index.html").read_text()
    assert run(asked(cohort, out, limit=2)).record.history.done_before == 2
    whole = run(asked(cohort, out)).record
    assert (whole.not_done, whole.history.done_before) == (0, 2)
    assert tree_of(out, stamps=False) == tree_of(finished, stamps=False)


def test_shards_together_are_the_whole_run(cohort, finished, tmp_path, pairs_asked) -> None:
    out = tmp_path / "shards"
    (cohort / "dicom" / "broken.dcm").write_text("no DICOM file")
    for number in (1, 2, 3):
        result = run(asked(cohort, out, shard=Shard(number=number, of=3)))
        assert result.page == out / "shards" / f"{number}-of-3.json"
        assert result.failed == ()  # a file that belongs to no study belongs to no shard
        assert not (out / "index.html").exists()
    assert sum(pairs_asked) == STUDIES
    (cohort / "dicom" / "broken.dcm").unlink()
    whole = run(asked(cohort, out))
    assert (sum(pairs_asked), whole.record.history.done_before) == (STUDIES, STUDIES)
    found = tree_of(out, stamps=False)
    assert {name: found[name] for name in found if not name.startswith("shards")} == tree_of(finished, stamps=False)


def test_a_shard_does_not_give_up_what_others_did(cohort, out) -> None:
    before = tree_of(out)
    with pytest.raises(AuditError, match="--overwrite would discard the results of other shards"):
        run(asked(cohort, out, shard=Shard(number=1, of=2), overwrite=True))
    assert tree_of(out) == before


@pytest.mark.parametrize("text", ["0/3", "4/3", "2", "a/b"])
def test_a_shard_that_is_none_is_one_sentence(text: str) -> None:
    with pytest.raises(AuditError, match="from 1 to N, for example 2/8"):
        Shard.parse(text)


def test_what_was_scored_against_other_boxes_is_scored_against_the_runs_own_again(
    cohort, out, finished, pairs_asked
) -> None:
    boxes = pd.read_csv(cohort / "boxes.csv")
    boxes["x"] = boxes["x"] // 2
    boxes.to_csv(out.parent / "other.csv", index=False)
    rescore(out, [out.parent / "other.csv"])
    assert tree_of(out, stamps=False) != tree_of(finished, stamps=False)
    others = run(asked(cohort, out, boxes=(out.parent / "other.csv",)))
    assert because(others) == {}  # score and run agree on what a record is made from
    result = run(asked(cohort, out))
    assert pairs_asked == []
    assert sum(because(result).values()) == STUDIES
    assert tree_of(out, stamps=False) == tree_of(finished, stamps=False)


def test_a_dry_run_says_what_it_would_do_and_writes_nothing(cohort, out) -> None:
    change_image(cohort)
    uids = {path.stem: str(dcmread(path).StudyInstanceUID) for path in (cohort / "dicom").iterdir()}
    shutil.rmtree(out / "studies" / Pseudonyms(load_salt()).key("study", uids[COMPRESSED]))
    before = tree_of(out)
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    told = CliRunner().invoke(app, command(cohort, out, "--dry-run"))
    assert told.exit_code == 0, told.output
    first, *rest = told.stdout.splitlines()
    assert first == "4 studies in the inputs"
    assert [line.split(maxsplit=1) for line in rest[:3]] == [
        ["2", "done already"],
        ["1", "to do"],
        ["1", "to do again"],
    ]
    assert rest[3:] == ["  1 study done again: its image files changed"]
    assert tree_of(out) == before
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == times
    new = CliRunner().invoke(app, command(cohort, out.parent / "none", "--dry-run"))
    assert new.exit_code == 0
    assert "      4 to do" in new.stdout
    assert not (out.parent / "none").exists()


def test_a_fingerprint_tells_nobody_without_the_salt_what_was_audited(cohort, finished) -> None:
    written = b"".join(path.read_bytes() for path in finished.rglob("*") if path.is_file())
    for path in [*(cohort / "dicom").iterdir(), *(cohort / "reports").iterdir()]:
        assert hashlib.sha256(path.read_bytes()).hexdigest().encode() not in written
    assert all(read_record(folder).fingerprint is not None for folder in study_folders(finished))
