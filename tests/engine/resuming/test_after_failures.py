"""A run that is given again after a study, the disk or the inputs failed."""

import resource
import shutil

import pytest
from asking import COMPRESSED, FIRST, STUDIES, asked, command, spoil_codestream
from out_trees import tree_of
from pydicom import dcmread
from typer.testing import CliRunner

from audit.cli import app
from audit.execution.run import run
from audit.pipeline.score import Finisher
from pipelines.errors import InputError, OutputError
from reports.results_folder import study_folders


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
    assert "Not retried: 1 study that failed before (retry with --set execution.retry-failed=true)" in second.stderr
    assert (out / "failures.csv").read_text() == failures
    third = CliRunner().invoke(app, command(cohort, out, "--set", "execution.retry-failed=true"))
    assert third.exit_code == 3
    assert "1 study done again: it failed before, and execution.retry-failed is set" in third.stderr
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
    assert "free space there, then repeat the command" in sentence
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
    with pytest.raises(InputError, match=r"dicom is no longer there.*reconnect the disk or share"):
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


def test_inputs_that_vanish_once_they_are_read_fail_the_study_whose_film_they_are(cohort, finished, tmp_path) -> None:
    film, kept, out = cohort / "dicom" / f"{FIRST}.dcm", tmp_path / "kept", tmp_path / "out"

    def lose(_plan: object) -> None:
        kept.mkdir()
        for path in (film, cohort / "reports", cohort / "boxes.csv"):
            path.rename(kept / path.name)

    result = run(asked(cohort, out), on_plan=lose)
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
