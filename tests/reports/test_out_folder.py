"""OUT: pages whole or not at all, records read back, all pages made again."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made_up_cohort import MadeUpCohort, make_cohort
from made_up_records import EFFUSION, HEART, MadeUp, make_study
from waiting import until

from pipelines.errors import OutputError
from reports.cohort_page import render_cohort
from reports.reading import checksum
from reports.record import StudyRecord
from reports.results_folder import (
    foreign_folder,
    read_run,
    read_study,
    render_pages,
    study_folders,
    study_thumbnail,
)
from reports.run_record import RunRecord
from reports.study_page import render_study
from reports.writing import write_text_atomically

REMAKE = """
import sys
from pathlib import Path
from reports.results_folder import read_run, render_pages

out = Path(sys.argv[1])
render_pages(out, read_run(out))
"""


def write_study(out: Path, made: MadeUp) -> Path:
    """Lay a study down as a run does."""
    folder = out / "studies" / made.record.key
    folder.mkdir(parents=True)
    for name, png in made.pictures.items():
        (folder / name).write_bytes(png)
    np.savez_compressed(folder / "heat.npz", **{name: heat.astype(np.float16) for name, heat in made.heats.items()})
    (folder / "record.json").write_text(made.record.model_dump_json(), encoding="utf-8")
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An OUT folder of three studies, without pages."""
    made: MadeUpCohort = make_cohort(3)
    for each in made.studies:
        write_study(tmp_path, each)
    (tmp_path / "run.json").write_text(made.run.model_dump_json(), encoding="utf-8")
    return tmp_path


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_every_page_is_made_again_from_records_and_heat(out):
    assert render_pages(out, read_run(out)).studies == 3
    pages = {path: path.read_bytes() for path in out.rglob("index.html")}
    assert len(pages) == 4
    assert render_pages(out, read_run(out)).studies == 3
    assert {path: path.read_bytes() for path in out.rglob("index.html")} == pages


def test_a_page_made_again_equals_the_page_made_at_once(tmp_path):
    made = make_study()
    folder = write_study(tmp_path, made)
    again = read_study(folder)
    assert again.record == made.record
    assert render_study(again.record, heats=again.heats, pictures=again.pictures) == render_study(
        made.record, heats=made.heats, pictures=made.pictures
    )


def test_pages_are_the_same_bytes_in_another_process(out):
    render_pages(out, read_run(out))
    before = {path: path.read_bytes() for path in out.rglob("index.html")}
    environment = {**os.environ, "PYTHONHASHSEED": "77", "TZ": "Asia/Tokyo"}
    subprocess.run([sys.executable, "-c", REMAKE, str(out)], check=True, env=environment)
    assert {path: path.read_bytes() for path in out.rglob("index.html")} == before


def test_thumbnails_of_many_studies_lie_beside_their_pages(out, open_page, monkeypatch):
    monkeypatch.setattr("reports.results_folder.EMBEDDED_THUMBNAILS", 2)
    render_pages(out, read_run(out))
    pictures = sorted(out.glob("studies/*/thumbnail.png"))
    assert len(pictures) == 3
    page = open_page(out / "index.html")
    until(page, "[...document.images].every((image) => image.complete)")
    shown = page.locator("table.studies td.picture img")
    sizes = shown.evaluate_all("(all) => all.map((image) => [image.naturalWidth, image.naturalHeight])")
    assert sizes == [[79, 96]] * 3
    assert "data:image/png" not in page.locator("table.studies.scripted").inner_html()


def test_a_thumbnail_is_made_again_only_after_its_record(out, monkeypatch):
    monkeypatch.setattr("reports.results_folder.EMBEDDED_THUMBNAILS", 2)
    render_pages(out, read_run(out))
    first, second, _ = sorted(out.glob("studies/*/thumbnail.png"))
    for each in (first, second):
        each.write_bytes(b"as it was")
    moment = first.stat().st_mtime_ns + 1
    os.utime(first.with_name("record.json"), ns=(moment, moment))
    known = {f"studies/{each.parent.name}/{each.name}": checksum(b"as it was") for each in (first, second)}
    render_pages(out, read_run(out), known=known)
    assert first.read_bytes().startswith(b"\x89PNG")
    assert second.read_bytes() == b"as it was"
    render_pages(out, read_run(out))  # nobody vouches for what lies there
    assert second.read_bytes().startswith(b"\x89PNG")


def test_a_page_of_few_studies_needs_no_other_file(out):
    render_pages(out, read_run(out))
    assert not list(out.glob("studies/*/thumbnail.png"))
    assert "img-src data:;" in (out / "index.html").read_text()


def test_cohort_and_study_lead_to_each_other(out, open_page):
    render_pages(out, read_run(out))
    page = open_page(out / "index.html")
    key = page.locator("a.study-link").nth(1).inner_text()
    page.locator("a.study-link").nth(1).click()
    page.wait_for_selector(".reading[data-ready]", state="attached")
    assert page.locator("h1").inner_text().endswith(key)
    page.get_by_role("link", name="All studies").click()
    assert page.locator("table.studies tbody tr[data-key]").count() == 3
    assert page.locator("table.studies img").evaluate_all("(all) => all.every((each) => each.naturalWidth > 0)")


@pytest.mark.parametrize("version", ["0", "2", None, 1], ids=["older", "newer", "missing", "number"])
def test_a_record_of_another_version_is_refused_with_both_versions(out, version):
    edit(study_folders(out)[0] / "record.json", schema_version=version)
    (sentence,) = render_pages(out, read_run(out)).damaged
    assert re.search(rf"schema version {version!r}, this program reads '1'.*wrote it", sentence)


def test_a_run_of_another_version_is_refused(out):
    edit(out / "run.json", schema_version="9")
    with pytest.raises(OutputError, match=r"run\.json has schema version '9'"):
        read_run(out)


def spoil_json(folder: Path) -> None:
    (folder / "record.json").write_text('{"schema_version": "1", "key"')


def spoil_list(folder: Path) -> None:
    (folder / "record.json").write_text("[]")


def spoil_field(folder: Path) -> None:
    edit(folder / "record.json", seed="many")


def spoil_unknown_field(folder: Path) -> None:
    edit(folder / "record.json", surprise=1)


def spoil_heat(folder: Path) -> None:
    (folder / "heat.npz").write_bytes(b"PK\x03\x04 no archive")


def spoil_heat_pickle(folder: Path) -> None:
    np.save(folder / "heat.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    (folder / "heat.npy").rename(folder / "heat.npz")


def spoil_heat_names(folder: Path) -> None:
    np.savez(folder / "heat.npz", other=np.zeros((2, 2)))


def drop_heat(folder: Path) -> None:
    (folder / "heat.npz").unlink()


def drop_picture(folder: Path) -> None:
    next(folder.glob("*.png")).unlink()


def spoil_picture(folder: Path) -> None:
    next(folder.glob("*.png")).write_bytes(b"no picture")


def escape_picture(folder: Path) -> None:
    record = json.loads((folder / "record.json").read_text())
    record["images"][0]["picture"] = "../../run.json"
    (folder / "record.json").write_text(json.dumps(record))


def rename_folder(folder: Path) -> None:
    folder.rename(folder.with_name("f" * 16))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_json, "record.json is not a record"),
        (spoil_list, "record.json is not a record"),
        (spoil_field, "record.json is damaged at seed"),
        (spoil_unknown_field, "record.json is damaged at surprise"),
        (spoil_heat, "heat.npz is not stored heat"),
        (spoil_heat_pickle, "heat.npz is not stored heat"),
        (spoil_heat_names, "heat.npz lacks the heat"),
        (drop_heat, "heat.npz cannot be read"),
        (drop_picture, ".png cannot be read"),
        (spoil_picture, "is neither JPEG nor PNG"),
        (escape_picture, "'../../run.json', which is not a plain file name"),
        (rename_folder, "not its folder's name"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_damaged_study_is_named_with_what_is_wrong_and_stops_no_other(out, spoil, message):
    first, spoilt, last = study_folders(out)
    spoil(spoilt)
    rendered = render_pages(out, read_run(out))
    (sentence,) = rendered.damaged
    assert message in sentence
    assert rendered.studies == 2
    assert all((folder / "index.html").exists() for folder in (first, last))
    page = rendered.page.read_text()
    assert [folder.name in page for folder in (first, spoilt, last)] == [True, False, True]


def test_a_folder_of_another_name_is_no_study_and_no_page_leads_to_it(out):
    first, *_ = study_folders(out)
    shutil.copytree(first, out / "studies" / "Anna Kowalska")
    rendered = render_pages(out, read_run(out))
    assert rendered.studies == 3
    assert rendered.damaged == (foreign_folder(out / "studies" / "Anna Kowalska"),)
    pages = [path for path in out.rglob("*.html") if path.parent.name != "Anna Kowalska"]
    assert len(pages) == 4
    assert not any("Kowalska" in path.read_text() for path in [*pages, out / "pages.sha256"])


def test_a_record_with_the_key_of_somebody_else_does_not_repeat_it(out):
    first, *_ = study_folders(out)
    record = first / "record.json"
    record.write_text(record.read_text().replace(f'"key":"{first.name}"', '"key":"Anna-Kowalska"', 1))
    (sentence,) = render_pages(out, read_run(out)).damaged
    assert "record.json has a key that no run gives, not its folder's name" in sentence
    assert "Kowalska" not in sentence


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(OutputError, match=r"run\.json cannot be read \(No such file or directory\)"):
        render_pages(tmp_path, read_run(tmp_path))


def test_a_study_without_its_record_is_not_finished_and_is_left_alone(out):
    unfinished = out / "studies" / "half"
    unfinished.mkdir()
    assert render_pages(out, read_run(out)).studies == 3
    assert list(unfinished.iterdir()) == []


def test_a_study_without_phrases_needs_no_heat(tmp_path):
    folder = write_study(tmp_path, make_study("a", ()))
    (folder / "heat.npz").unlink()
    study = read_study(folder)
    assert study.heats == {}
    assert study_thumbnail(study) is not None


def test_a_missing_heat_or_picture_is_named():
    made = make_study("a", (EFFUSION, HEART))
    with pytest.raises(OutputError, match="lacks the heat 'ai0-0'"):
        render_study(made.record, heats={}, pictures=made.pictures)
    with pytest.raises(OutputError, match=r"lacks the picture 'ai0\.png'"):
        render_study(made.record, heats=made.heats, pictures={})


def test_records_survive_the_way_through_json(cohort):
    assert RunRecord.model_validate_json(cohort.run.model_dump_json()) == cohort.run
    for made in cohort.studies:
        assert StudyRecord.model_validate_json(made.record.model_dump_json()) == made.record


def test_the_cohort_page_does_not_depend_on_how_studies_are_handed_over(cohort):
    records = [made.record for made in cohort.studies]
    assert render_cohort(cohort.run, iter(records)) == render_cohort(cohort.run, tuple(records))


def test_writing_replaces_the_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "index.html"
    write_text_atomically(path, "old")
    write_text_atomically(path, "new – ü\r\n")
    assert path.read_bytes() == "new – ü\r\n".encode()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o027, 0o640)], ids=["open", "private", "group"]
)
def test_who_may_read_a_file_follows_from_the_umask(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        write_text_atomically(tmp_path / "index.html", "page")
    finally:
        os.umask(before)
    assert (tmp_path / "index.html").stat().st_mode & 0o777 == mode


def test_a_write_that_fails_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "index.html"
    write_text_atomically(path, "old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"index\.html cannot be written \(No space left on device\)"):
        write_text_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_into_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(OutputError, match="No such file or directory"):
        write_text_atomically(tmp_path / "none" / "index.html", "x")


def test_pages_are_made_where_torch_is_not_installed(out, tmp_path):
    blocked = tmp_path / "blocked"
    (blocked / "torch").mkdir(parents=True)
    (blocked / "torch" / "__init__.py").write_text("raise ImportError('torch is not installed here')")
    subprocess.run([sys.executable, "-c", REMAKE, str(out)], check=True, env={**os.environ, "PYTHONPATH": str(blocked)})
    assert (out / "index.html").exists()
    shutil.rmtree(blocked)
