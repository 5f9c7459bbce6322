"""Every file of an OUT is covered, or is said not to be, and a change of any covered one shows."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from made_up_cohort import make_cohort
from typer.testing import CliRunner

from audit.cli import app
from audit.logbook import AUDIT_LOG, AuditLog, verify
from audit.logbook.chain import DONE, result_checksums
from audit.logbook.covering import State
from audit.output.rendering import render_again
from audit.pipeline.write import write_run, write_study
from audit.privacy.pseudonyms import Pseudonyms
from reports.reading import file_checksum
from reports.results_folder import THUMBNAIL, read_run, render_pages, study_folders

SALT = b"a salt for tests only"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An OUT of three studies as a run writes it, with its log."""
    out = tmp_path_factory.mktemp("written") / "out"
    (out / "studies").mkdir(parents=True)
    made, log = make_cohort(3), AuditLog(out, SALT)
    log.append("run started")
    for each in made.studies:
        sha256 = write_study(out, each.record, salt=SALT, heats=each.heats, pictures=each.pictures)
        log.append(DONE, study=each.record.key, record_sha256=sha256)
    write_run(out, made.run, pd.DataFrame({"study": [each.record.key for each in made.studies]}), salt=SALT)
    log.append("run finished", **result_checksums(out))
    return out


@pytest.fixture
def out(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "out"))


def files(out: Path) -> list[str]:
    return sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())


def test_every_file_is_covered(out: Path) -> None:
    found = verify(out, SALT)
    assert (found.wrong, found.notes, found.unfinished) == ([], [], False)
    assert {name for name, state in found.files.items() if state is State.COVERED} == {*files(out)} - {AUDIT_LOG}


def test_a_change_swap_or_loss_of_any_file_shows(out: Path) -> None:
    first, second = (folder.name for folder in study_folders(out)[:2])
    for name in [name for name in files(out) if name != AUDIT_LOG]:
        path = out / name
        whole = path.read_bytes()
        changed = bytearray(whole)
        changed[len(whole) // 2] ^= 1
        contents = [bytes(changed), whole[:-1], b""]
        if first in name and (out / name.replace(first, second)).exists():
            contents.append((out / name.replace(first, second)).read_bytes())
        for content in contents:
            path.write_bytes(content)
            assert any(name in sentence for sentence in verify(out, SALT).wrong), name
        path.unlink()
        assert any(name in sentence and "gone" in sentence for sentence in verify(out, SALT).wrong), name
        path.write_bytes(whole)
    assert verify(out, SALT).intact


def test_a_changed_record_vouches_for_no_file_and_the_reason_says_so(out: Path) -> None:
    record = study_folders(out)[0] / "record.json"
    record.write_text(record.read_text() + " ")
    notes = "\n".join(verify(out, SALT).notes)
    assert "the record with the checksums of these is not the one that was written" in notes
    assert "version 0.1.0" not in notes


def test_a_log_that_is_cut_behind_any_entry_is_not_intact_to_its_end(out: Path) -> None:
    end_of_run = len((out / AUDIT_LOG).read_bytes().splitlines())
    render_again(out)
    lines = (out / AUDIT_LOG).read_bytes().splitlines(keepends=True)
    head = verify(out, SALT).head
    assert len(lines) == end_of_run + 2
    for kept in range(1, len(lines)):
        (out / AUDIT_LOG).write_bytes(b"".join(lines[:kept]))
        found = verify(out, SALT)
        # The pages that were made again are the same, so a log that ends before they were says what is there.
        assert found.wrong or found.unfinished or kept == end_of_run, lines[kept - 1]
        assert any("truncated" in sentence for sentence in verify(out, SALT, head=head).wrong), lines[kept - 1]


def test_files_added_beside_and_taken_from_a_study_are_named_together(out: Path) -> None:
    first, second, _ = study_folders(out)
    shutil.copytree(first, out / "studies" / "0123456789abcdef")
    shutil.rmtree(second)
    (out / "index.html").write_text((out / "index.html").read_text().replace("</body>", "<p>More</p></body>"))
    wrong = "\n".join(verify(out, SALT).wrong)
    assert "index.html was changed since it was written" in wrong
    assert f"studies/{second.name}/record.json is in the log, and is gone" in wrong
    assert f"studies/{second.name}/index.html is in the log, and is gone" in wrong
    assert "1 studies were written with this salt and are not in the log, the first of them 0123456789abcdef" in wrong


def test_a_file_that_no_run_writes_is_listed_and_a_link_too(out: Path, tmp_path: Path) -> None:
    folder = study_folders(out)[0]
    (folder / "more.html").write_text("<p>Another page</p>")
    (tmp_path / "elsewhere").mkdir()
    (out / "link").symlink_to(tmp_path / "elsewhere")
    found = verify(out, SALT)
    assert found.intact
    strange = {name for name, state in found.files.items() if state is State.NOT_COVERED and name != AUDIT_LOG}
    assert strange == {f"studies/{folder.name}/more.html", "link"}
    assert [note for note in found.notes if "no run writes these" in note]
    told = CliRunner().invoke(app, ["log", "verify", str(out), "--files"], env={"M2IB_AUDIT_SALT": SALT.decode()})
    key = Pseudonyms(SALT).file_key("more.html")  # any name may be a patient's
    assert f"not covered  studies/{folder.name}/{key}" in told.stdout
    assert f"studies/{folder.name}/{key}" in told.stderr
    assert "more.html" not in told.output
    assert told.exit_code == 0


def test_a_log_is_compared_with_no_salt_that_is_made_for_it(out: Path, tmp_path: Path) -> None:
    home = {"M2IB_AUDIT_SALT": None, "XDG_CONFIG_HOME": str(tmp_path / "config")}
    told = CliRunner().invoke(app, ["log", "verify", str(out)], env=home)
    assert told.exit_code != 0
    assert "there is no salt at" in told.stderr
    assert "--without-salt" in told.stderr
    assert CliRunner().invoke(app, ["log", "verify", str(out), "--without-salt"], env=home).exit_code == 0
    assert not (tmp_path / "config").exists()


def test_what_version_0_1_0_wrote_is_said_not_to_be_covered(out: Path) -> None:
    log = AuditLog(out, SALT)
    for folder in study_folders(out):
        path = folder / "record.json"
        record = json.loads(path.read_text())
        del record["files"], record["seal"]
        path.write_text(json.dumps(record))
        log.append(DONE, study=folder.name, record_sha256=file_checksum(path))
    found = verify(out, SALT)
    assert found.intact
    assert found.files[f"studies/{study_folders(out)[0].name}/heat.npz"] is State.NOT_COVERED
    assert any("0.1.0" in note and "heat.npz" in note for note in found.notes)


def test_rendering_leaves_out_what_was_changed_and_signs_nothing_of_it(out: Path) -> None:
    folder = study_folders(out)[0]
    record = folder / "record.json"
    record.write_text(record.read_text().replace('"seed": ', '"seed": 1', 1))
    (out / "scores.parquet").write_bytes((out / "scores.parquet").read_bytes()[:-9])
    found = render_again(out)
    assert found.studies == 2
    assert ["record.json" in found.damaged[0], "scores.parquet" in found.damaged[1]] == [True, True]
    wrong = verify(out, SALT).wrong
    assert {sentence.split()[0] for sentence in wrong} == {f"studies/{folder.name}/record.json", "scores.parquet"}


@pytest.mark.parametrize("names", ["hide", "show"])
def test_a_folder_of_another_name_among_the_studies_is_named_to_its_owner_alone(
    out: Path, monkeypatch: pytest.MonkeyPatch, names: str
) -> None:
    monkeypatch.setenv("M2IB_AUDIT_NAMES", names)
    shutil.copytree(study_folders(out)[0], out / "studies" / "Anna Kowalska")
    told = CliRunner().invoke(app, ["render", str(out)])
    assert (told.exit_code, "is not a study of a run" in told.stderr) == (3, True)
    assert ("studies/Anna Kowalska is" in told.stderr, "studies/file-" in told.stderr) == (
        names == "show",
        names == "hide",
    )
    assert ("Kowalska" in told.output) is (names == "show")
    assert not any("Kowalska" in path.read_text() for path in [*out.rglob("*.html"), out / "pages.sha256"])


def test_a_changed_run_json_has_no_pages_made_of_it(out: Path) -> None:
    path = out / "run.json"
    path.write_text(path.read_text().replace('"seed": ', '"seed": 1', 1))
    told = CliRunner().invoke(app, ["render", str(out)])
    assert (told.exit_code, "run.json was changed since it was written" in told.output) == (1, True)


def test_pages_of_a_log_of_another_salt_are_not_made(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("M2IB_AUDIT_SALT", "the salt of somebody else")
    before = (out / AUDIT_LOG).read_bytes()
    told = CliRunner().invoke(app, ["render", str(out)])
    assert (told.exit_code, "written with another salt" in told.output) == (1, True)
    assert (out / AUDIT_LOG).read_bytes() == before


def test_a_thumbnail_that_was_swapped_is_made_again(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reports.results_folder.EMBEDDED_THUMBNAILS", 2)
    render_again(out)
    first, second, _ = (folder / THUMBNAIL for folder in study_folders(out))
    whole = first.read_bytes()
    first.write_bytes(second.read_bytes())
    assert not verify(out, SALT).intact
    render_again(out)
    assert (first.read_bytes() == whole, verify(out, SALT).intact) == (True, True)


def test_a_render_that_was_cut_short_is_said(out: Path) -> None:
    AuditLog(out, SALT).append("pages are made again")
    render_pages(out, read_run(out))
    found = verify(out, SALT)
    assert (found.intact, found.unfinished) == (True, True)
    assert any("`m2ib-audit render` writes them" in note for note in found.notes)
