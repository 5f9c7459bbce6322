"""A run that is given again over results that were damaged, forged or left half-written."""

import json
import shutil
from pathlib import Path

import pytest
from asking import STUDIES, asked, because
from out_trees import tree_of
from typer.testing import CliRunner

from audit.cli import app
from audit.execution.run import run
from audit.logbook import AUDIT_LOG, AuditLog, verify
from audit.logbook.chain import DONE, OPENED
from audit.privacy.pseudonyms import load_salt
from audit.storage.lock import Shard
from pipelines.errors import OutputError
from reports.reading import file_checksum
from reports.results_folder import study_folders


@pytest.mark.slow
def test_a_record_of_an_older_version_is_done_again(cohort, out, pairs_asked) -> None:
    path = study_folders(out)[0] / "record.json"
    record = json.loads(path.read_text())
    del record["fingerprint"], record["left_out"]
    path.write_text(json.dumps(record))
    log = AuditLog(out, load_salt())
    log.append(DONE, study=path.parent.name, record_sha256=file_checksum(path))
    assert because(run(asked(cohort, out))) == {"its record does not state its inputs": 1}
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
    assert because(run(asked(cohort, out))) == {"its results in OUT are damaged": 1}
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
    assert [set(because(result)) for result in results] == [{"its results in OUT are damaged"}] * len(parts)
    assert sum(sum(because(result).values()) for result in results) == STUDIES
    whole = run(asked(cohort, out))
    assert whole.record.history.done_before == STUDIES
    shutil.rmtree(out / "shards", ignore_errors=True)
    assert tree_of(out, stamps=False) == tree_of(finished, stamps=False)


def test_push_sends_nothing_of_a_study_whose_record_the_log_names_otherwise(cohort, out, tmp_path) -> None:
    key, to = forge(out), tmp_path / "pushed"
    flags = ["--dicom-dir", str(cohort / "dicom"), "--index", "none", "--kind", "sr", "--to-folder", str(to)]
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
