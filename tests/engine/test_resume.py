"""A run that is given again: what it keeps, what it does again and why, and what it takes out of its result."""

import hashlib
import json
import resource
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from out_trees import tree_of
from pydicom import dcmread
from typer.testing import CliRunner

from audit.attribution.m2ib import M2IB
from audit.cli import app
from audit.logbook import AUDIT_LOG, AuditLog, verify
from audit.logbook.chain import DONE, OPENED
from audit.output.lock import Shard
from audit.output.rescoring import rescore
from audit.pipeline.run import RunResult, run
from audit.pipeline.score import Finisher
from audit.pipeline.settings import RunSettings
from audit.privacy.pseudonyms import Pseudonyms, load_salt
from pipelines.errors import AuditError, InputError, OutputError
from pipelines.phantom.cohort import make_cohort
from reports.reading import file_checksum
from reports.results_folder import read_record, study_folders

STUDIES = 4
FIRST, COMPRESSED = "phantom-00001", "phantom-00004"


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantoms")
    make_cohort(folder, count=STUDIES, seed=4, columns=64, brief=True)
    return folder


@pytest.fixture(scope="module")
def finished(phantoms: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("M2IB_AUDIT_SALT", "a salt for tests only")
        out = tmp_path_factory.mktemp("finished") / "out"
        run(asked(phantoms, out))
    return out


@pytest.fixture
def cohort(phantoms: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(phantoms, tmp_path / "cohort"))


@pytest.fixture
def out(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "out"))


def asked(cohort: Path, out: Path, **changes: object) -> RunSettings:
    values = {
        "dicom_dir": cohort / "dicom",
        "reports": cohort / "reports",
        "boxes": (cohort / "boxes.csv",),
        "out": out,
        "model": "phantom",
        "device": "cpu",
        "steps": 1,
        "samples": 1,
        "controls": 0,
        "words": False,
    }
    return RunSettings(**values | changes)


def command(cohort: Path, out: Path, *more: str) -> list[str]:
    flags = ["--dicom-dir", str(cohort / "dicom"), "--reports", str(cohort / "reports"), "--out", str(out)]
    flags += ["--boxes", str(cohort / "boxes.csv"), "--model", "phantom", "--steps", "1", "--samples", "1"]
    return ["run", *flags, "--controls", "0", "--no-words", "--device", "cpu", *more]


@pytest.fixture
def pairs_asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images were put to the model in each call."""
    real, calls = M2IB.explain_batch, list[int]()

    def counted(self, encoder, requests, **options):
        calls.append(len(requests))
        return real(self, encoder, requests, **options)

    monkeypatch.setattr(M2IB, "explain_batch", counted)
    return calls


def because(result: RunResult) -> dict[str, int]:
    """Why studies were done again, and how many."""
    return {"; ".join(group.because): len(group.studies) for group in result.record.history.done_again}


def fresh(cohort: Path, folder: Path, **changes: object) -> dict[str, bytes]:
    """The tree of a run into a new OUT."""
    run(asked(cohort, folder / "fresh", **changes))
    return tree_of(folder / "fresh", stamps=False)


def test_a_run_given_again_asks_the_model_nothing_and_writes_the_same(cohort, out, pairs_asked) -> None:
    before = tree_of(out, stamps=False)
    result = run(asked(cohort, out))
    assert pairs_asked == []
    assert (result.record.history.done_before, because(result)) == (STUDIES, {})
    assert tree_of(out, stamps=False) == before


def change_image(cohort: Path) -> None:
    path = cohort / "dicom" / f"{FIRST}.dcm"
    dataset = dcmread(path)
    pixels = bytearray(dataset.PixelData)
    pixels[len(pixels) // 2] ^= 7
    dataset.PixelData = bytes(pixels)
    dataset.save_as(path)


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


@pytest.mark.slow
def test_boxes_of_others_change_the_references_of_a_study(cohort, out, pairs_asked) -> None:
    boxes = pd.read_csv(cohort / "boxes.csv")
    shared = boxes["label"].value_counts().index[0]
    assert boxes.loc[boxes["label"] == shared, "image"].nunique() > 1  # else this test says nothing
    moved = boxes.index[boxes["label"] == shared][0]
    boxes.loc[moved, "width"] += 2
    boxes.to_csv(cohort / "boxes.csv", index=False)
    told = because(run(asked(cohort, out)))
    assert "boxes of other studies changed, of which its references are made" in told
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
    assert "2 studies still to be audited: this is a part of the run." in (out / "index.html").read_text()
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
    with pytest.raises(AuditError, match="--overwrite would give up what other shards did"):
        run(asked(cohort, out, shard=Shard(number=1, of=2), overwrite=True))
    assert tree_of(out) == before


@pytest.mark.parametrize("text", ["0/3", "4/3", "2", "a/b"])
def test_a_shard_that_is_none_is_one_sentence(text: str) -> None:
    with pytest.raises(AuditError, match="from 1 to N, for example 2/8"):
        Shard.parse(text)


def spoil_codestream(path: Path) -> None:
    """Leave the header as it is, so that the file fails when its pixels are read."""
    content = bytearray(path.read_bytes())
    start = content.index(b"\xff\x4f\xff\x51")  # SOC and SIZ of JPEG 2000
    content[start : start + 64] = bytes(64)
    path.write_bytes(content)


def test_a_failed_study_is_not_tried_again_unless_asked_or_changed(cohort, tmp_path) -> None:
    film, out = cohort / "dicom" / f"{COMPRESSED}.dcm", tmp_path / "out"
    whole = film.read_bytes()
    spoil_codestream(film)
    first = CliRunner().invoke(app, command(cohort, out))
    assert first.exit_code == 3
    failures = (out / "failures.csv").read_text()
    assert failures.count("pixels") == 1
    second = CliRunner().invoke(app, command(cohort, out))
    assert second.exit_code == 3
    assert "3 studies done already, 0 to do" in second.stderr
    assert "Not tried again: 1 study that failed before (--retry-failed tries)" in second.stderr
    assert (out / "failures.csv").read_text() == failures
    third = CliRunner().invoke(app, command(cohort, out, "--retry-failed"))
    assert third.exit_code == 3
    assert "1 study done again: it failed before, and --retry-failed is given" in third.stderr
    film.write_bytes(whole)
    fourth = CliRunner().invoke(app, command(cohort, out))
    assert fourth.exit_code == 0, fourth.output
    assert "1 study done again: its image files changed" in fourth.stderr
    assert len(study_folders(out)) == STUDIES


def test_an_image_that_failed_stays_listed_where_the_rest_of_its_study_is_kept(cohort, tmp_path) -> None:
    dataset = dcmread(cohort / "dicom" / f"{COMPRESSED}.dcm")
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    dataset.save_as(cohort / "dicom" / "second-film.dcm")
    spoil_codestream(cohort / "dicom" / "second-film.dcm")
    first = run(asked(cohort, tmp_path / "out"))
    again = run(asked(cohort, tmp_path / "out"))
    assert len(first.failed) == 1
    assert again.record.history.done_before == STUDIES
    assert [(each.source, each.stage) for each in again.failed] == [(each.source, each.stage) for each in first.failed]
    assert again.record.failures == first.record.failures
    assert "second-film" not in "".join(path.read_text() for path in (tmp_path / "out").rglob("*.json"))


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


def test_a_full_disk_is_one_sentence_and_the_run_goes_on_from_there(cohort, finished, tmp_path) -> None:
    out = tmp_path / "out"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    largest = max(path.stat().st_size for path in finished.rglob("heat.npz"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest * 2, hard))  # pages are larger
    try:
        told = CliRunner().invoke(app, command(cohort, out))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert told.exit_code == 1
    (sentence,) = told.stderr.strip().splitlines()
    assert str(out) in sentence
    assert "free space there, then give the same command again" in sentence
    assert "Traceback" not in told.output
    run(asked(cohort, out))
    assert tree_of(out, stamps=False) == tree_of(finished, stamps=False)


@pytest.mark.parametrize("leaves", ["nothing", pytest.param("the place where it was mounted", marks=pytest.mark.slow)])
def test_images_whose_share_goes_away_do_not_count_as_failed(cohort, finished, tmp_path, monkeypatch, leaves) -> None:
    real, out = Finisher.finish, tmp_path / "out"

    def unmount(self, explained):
        if (cohort / "dicom").exists():
            (cohort / "dicom").rename(cohort / "away")
            if leaves != "nothing":
                (cohort / "dicom").mkdir()
        return real(self, explained)

    monkeypatch.setattr(Finisher, "finish", unmount)
    with pytest.raises(InputError, match=r"dicom is no longer there.*bring the disk or share back"):
        run(asked(cohort, out))
    monkeypatch.undo()
    monkeypatch.setenv("M2IB_AUDIT_SALT", "a salt for tests only")
    if leaves != "nothing":
        (cohort / "dicom").rmdir()
    (cohort / "away").rename(cohort / "dicom")
    result = run(asked(cohort, out))
    assert (result.failed, result.record.history.failed_before) == ((), 0)
    assert result.record.history.done_before == 0  # the one under way had lost its file, so nobody can vouch for it
    assert tree_of(out, stamps=False) == tree_of(finished, stamps=False)


def test_a_fingerprint_tells_nobody_without_the_salt_what_was_audited(cohort, finished) -> None:
    written = b"".join(path.read_bytes() for path in finished.rglob("*") if path.is_file())
    for path in [*(cohort / "dicom").iterdir(), *(cohort / "reports").iterdir()]:
        assert hashlib.sha256(path.read_bytes()).hexdigest().encode() not in written
    assert all(read_record(folder).fingerprint is not None for folder in study_folders(finished))


@pytest.mark.slow
def test_a_record_of_an_older_version_is_done_again(cohort, out, pairs_asked) -> None:
    path = study_folders(out)[0] / "record.json"
    record = json.loads(path.read_text())
    del record["fingerprint"], record["left_out"]
    path.write_text(json.dumps(record))
    log = AuditLog(out, load_salt())
    log.append(DONE, study=path.parent.name, record_sha256=file_checksum(path))
    assert because(run(asked(cohort, out))) == {"its record does not say what it was made from": 1}
    assert pairs_asked == [1]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def swap(path: Path) -> None:
    others = [folder / path.name for folder in study_folders(path.parents[2]) if folder != path.parent]
    path.write_bytes(others[0].read_bytes())


@pytest.mark.parametrize(
    ("spoilt", "spoil"),
    [
        pytest.param("record.json", cut, id="a record cut short"),
        pytest.param("record.json", lambda path: path.write_text("[" * 100_000 + "]" * 100_000), id="a deep record"),
        pytest.param("heat.npz", Path.unlink, id="no heat"),
        pytest.param("heat.npz", cut, id="a heat cut short"),
        pytest.param("heat.npz", lambda path: path.write_bytes(b""), id="an empty heat"),
        pytest.param("heat.npz", swap, id="another study's heat"),
        pytest.param("image-1.jpg", lambda path: path.write_bytes(b"rubbish"), id="a rubbish picture"),
        pytest.param("image-1.jpg", swap, id="another study's picture"),
    ],
)
def test_a_damaged_study_is_done_again(cohort, out, finished, spoilt, spoil) -> None:
    spoil(study_folders(out)[1] / spoilt)
    assert because(run(asked(cohort, out))) == {"what OUT holds of it is damaged": 1}
    assert tree_of(out, stamps=False) == tree_of(finished, stamps=False)


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([{"workers": 2}], id="with workers"),
        pytest.param([{"shard": Shard(number=1, of=2)}, {"shard": Shard(number=2, of=2)}], id="in shards"),
    ],
)
def test_studies_damaged_each_in_its_way_are_done_again(cohort, out, finished, parts) -> None:
    first, second, third, fourth = study_folders(out)
    swap(second / "heat.npz")
    cut(first / "heat.npz")
    (third / "image-1.jpg").write_bytes(b"rubbish")
    (fourth / "record.json").write_text("[" * 100_000 + "]" * 100_000)
    results = [run(asked(cohort, out, **part)) for part in parts]
    assert [result.failed for result in results] == [()] * len(parts)
    assert [set(because(result)) for result in results] == [{"what OUT holds of it is damaged"}] * len(parts)
    assert sum(sum(because(result).values()) for result in results) == STUDIES
    whole = run(asked(cohort, out))
    assert whole.record.history.done_before == STUDIES
    shutil.rmtree(out / "shards", ignore_errors=True)
    assert tree_of(out, stamps=False) == tree_of(finished, stamps=False)


def test_inputs_that_vanish_once_they_are_read_fail_the_study_whose_film_they_are(cohort, finished, tmp_path) -> None:
    film, kept, out = cohort / "dicom" / f"{FIRST}.dcm", tmp_path / "kept", tmp_path / "out"

    def lose(_plan: object) -> None:
        kept.mkdir()
        for path in (film, cohort / "reports", cohort / "boxes.csv"):
            path.rename(kept / path.name)

    result = run(asked(cohort, out), tell=lose)
    (failed,) = result.failed
    assert (failed.source, failed.stage, result.record.counts["audited"]) == (str(film), "pixels", STUDIES - 1)
    assert "it was there before: bring it back" in failed.reason
    for path in (film, cohort / "reports", cohort / "boxes.csv"):
        (kept / path.name).rename(path)
    again = run(asked(cohort, out))
    assert (again.failed, again.record.history.done_before) == ((), STUDIES - 1)
    assert tree_of(out, stamps=False) == tree_of(finished, stamps=False)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_out_that_vanishes_in_mid_run_ends_it_and_does_not_come_back(cohort, finished, tmp_path, workers) -> None:
    out = tmp_path / "out"

    def lose(stage: str, done: int, _total: int) -> None:
        if (stage, done) == ("Auditing studies", 1):
            shutil.rmtree(out)

    with pytest.raises(OutputError, match="out was removed or emptied while the run wrote there"):
        run(asked(cohort, out, workers=workers), progress=lose)
    assert not out.exists()
    run(asked(cohort, out))
    assert tree_of(out, stamps=False) == tree_of(finished, stamps=False)


def test_push_sends_nothing_of_a_study_whose_record_the_log_names_otherwise(cohort, out, tmp_path) -> None:
    key, to = forge(out), tmp_path / "pushed"
    flags = ["--dicom-dir", str(cohort / "dicom"), "--no-index", "--kind", "sr", "--to-folder", str(to)]
    told = CliRunner().invoke(app, ["push", str(out), *flags])
    assert told.exit_code == 3, told.output
    assert f"{key}: " in told.stderr
    assert "cannot be relied on (its record was changed since it was written)" in told.stderr
    assert {path.name for path in to.iterdir()} == {folder.name for folder in study_folders(out)} - {key}


def forge(out: Path) -> str:
    """Change a record in its meaning alone, and give its study."""
    path = study_folders(out)[1] / "record.json"
    path.write_text(path.read_text().replace('"method": "m2ib"', '"method": "m2iB"', 1))
    return path.parent.name


def cut_behind(out: Path, event: str) -> None:
    """Cut the log behind the last entry of a kind."""
    lines = (out / AUDIT_LOG).read_bytes().splitlines(keepends=True)
    last = max(place for place, line in enumerate(lines) if json.loads(line)["event"] == event)
    (out / AUDIT_LOG).write_bytes(b"".join(lines[: last + 1]))


def test_a_record_that_the_log_names_otherwise_is_done_again(cohort, out, finished) -> None:
    key = forge(out)
    assert verify(out, load_salt()).wrong == [f"studies/{key}/record.json was changed since it was written"]
    assert because(run(asked(cohort, out))) == {"its record was changed since it was written": 1}
    assert tree_of(out, stamps=False) == tree_of(finished, stamps=False)
    assert verify(out, load_salt()).intact


@pytest.mark.parametrize("forged", [True, False], ids=["forged", "as written"])
@pytest.mark.parametrize("place", ["no log", "cut at its start", "cut behind study opened"])
def test_a_log_that_was_cut_or_removed_has_no_forged_record_signed(cohort, out, finished, place, forged) -> None:
    salt, key = load_salt(), study_folders(out)[1].name
    if place == "cut behind study opened":
        AuditLog(out, salt).append_all([("scoring again started", {}), (OPENED, {"study": key})])
    elif place == "cut at its start":
        cut_behind(out, "run started")
    else:
        (out / AUDIT_LOG).unlink()
    if forged:
        forge(out)
    if place != "no log":
        found = verify(out, salt)
        assert (found.intact, found.unfinished) == (not forged, True)
    again = because(run(asked(cohort, out)))
    assert again == ({"the log does not know its record, which was not written with this salt": 1} if forged else {})
    assert tree_of(out, stamps=False) == tree_of(finished, stamps=False)
    found = verify(out, salt)
    assert found.intact
    said = [note for note in found.notes if "created over 4 existing studies" in note]
    assert (len(said), found.unfinished) == ((1, True) if place == "no log" else (0, False))


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


def test_what_a_killed_run_left_is_cleaned_and_foreign_files_are_refused(cohort, out, finished) -> None:
    folder = study_folders(out)[0]
    (folder / ".record.json.0a1b2c3d").write_text("{")
    (out / ".scores.parquet.deadbeef").write_text("half")
    (out / "studies" / "0123456789abcdef").mkdir()
    (out / "studies" / "0123456789abcdef" / "heat.npz").write_bytes(b"half")
    run(asked(cohort, out))
    assert tree_of(out, stamps=False) == tree_of(finished, stamps=False)
    (out / "studies" / "my thesis").mkdir()
    with pytest.raises(OutputError, match=r"other files \(studies/my thesis\)"):
        run(asked(cohort, out, overwrite=True))
    assert (out / "studies" / "my thesis").is_dir()


def test_a_page_of_something_else_is_no_run(cohort, tmp_path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("my home page")
    with pytest.raises(OutputError, match=r"other files \(index\.html\)"):
        run(asked(cohort, tmp_path / "site"))
    assert [path.name for path in (tmp_path / "site").iterdir()] == ["index.html"]
