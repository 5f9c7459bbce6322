"""The whole way through on small cohorts: what comes out, what goes wrong, and what never shows."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydicom import dcmread
from short_runs import command, settings_for
from typer.testing import CliRunner, Result

from audit.cli import app
from audit.execution.run import run
from audit.logbook import AUDIT_LOG, verify
from audit.privacy.pseudonyms import load_salt
from pipelines.errors import OutputError
from pipelines.geometry import Fit
from reports.results_folder import read_run, read_study, study_folders
from reports.score_catalogue import (
    AREA_SHARE,
    BLIND_METHODS,
    COSINE,
    PERCENTILE,
    WORD_REFERENCES,
    mean_heat_name,
    names_of,
    untrained_name,
)

SCORES, SHORTCUT_SCORES = names_of("localisation"), names_of("shortcut")


@pytest.fixture(scope="module")
def clean(phantom_cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """The OUT of the command over the whole cohort, to be read only, and how the command ended."""
    out = tmp_path_factory.mktemp("clean") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("M2IB_AUDIT_SALT", "a salt for tests only")
        ended = CliRunner().invoke(app, command(phantom_cohort, out, "--set", "inputs.index=none"))
    assert ended.exit_code == 0, ended.output
    return out, ended


@pytest.fixture
def finished(clean: tuple[Path, Result], tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(clean[0], tmp_path / "finished"))


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_a_run_leaves_pages_records_heat_and_tables(clean: tuple[Path, Result]) -> None:
    out, _ = clean
    assert {path.name for path in out.iterdir()} == {
        "index.html",
        "pages.sha256",
        "run.json",
        "scores.parquet",
        "scores.csv",
        "failures.csv",
        "log.jsonl",
        "audit.jsonl",
        "studies",
    }
    assert len(study_folders(out)) == 4
    record = read_run(out)
    assert record.counts["audited"] == 4
    assert record.model.is_phantom
    assert record.phantom_images
    for folder in study_folders(out):
        study = read_study(folder)
        for image in study.record.images:
            (untrained,) = image.untrained
            assert {untrained.heat, *(phrase.heat for phrase in image.phrases)} == set(study.heats)
            for phrase in image.phrases:
                assert np.isclose(study.heats[phrase.heat].sum(), phrase.total_nats, rtol=0.01)


def test_the_table_holds_a_row_per_image_phrase_method_and_score(clean: tuple[Path, Result]) -> None:
    table = pd.read_parquet(clean[0] / "scores.parquet")
    assert not table.duplicated(["image", "phrase", "method", "score"]).any()
    own_references = {mean_heat_name("m2ib"), untrained_name("m2ib")}
    references = {*BLIND_METHODS, AREA_SHARE, *WORD_REFERENCES, *own_references}
    assert set(table["method"]) == {"m2ib", COSINE, *references}
    of_boxes = table[table["score"].isin(SCORES)]
    assert (
        of_boxes.groupby(["image", "phrase"]).size() == (1 + len(BLIND_METHODS) + len(own_references)) * len(SCORES)
    ).all()
    of_place = table[table["score"].isin(SHORTCUT_SCORES)]
    assert (of_place[of_place["method"] == "m2ib"].groupby(["image", "phrase"]).size() == len(SHORTCUT_SCORES)).all()
    assert set(of_place["method"]) == {"m2ib", AREA_SHARE}
    of_cosine = table[table["method"] == COSINE]
    assert set(of_cosine["score"]) <= {*names_of("recognition"), *names_of("reliance")}
    assert of_cosine.loc[of_cosine["score"] == PERCENTILE, "value"].between(0.0, 1.0).all()
    of_words = table[table["score"].isin(names_of("words"))]
    assert len(of_boxes) + len(of_place) + len(of_cosine) + len(of_words) == len(table)
    assert table.loc[table["outcome"] == "unscored", "value"].isna().all()
    assert table.groupby("study", observed=True)["date"].nunique().eq(1).all()
    assert (table["date"].astype(str) > "2100").all(), "shifted by more than a century"


def test_a_study_whose_header_says_more_than_is_read_has_its_report_masked_whole(cohort: Path, tmp_path: Path) -> None:
    for path in (cohort / "dicom").glob("*.dcm"):
        dataset = dcmread(path)
        dataset.private_block(0x0099, "MAKER", create=True).add_new(0x01, "UT", "gardener " * 120_000)
        dataset.save_as(path)
    out = tmp_path / "out"
    run(settings_for(cohort, out, limit=1))
    (folder,) = study_folders(out)
    record = read_study(folder).record
    assert record.report.header_too_large
    assert record.report.text == "[masked]"
    assert {phrase.text for image in record.images for phrase in image.phrases} == {"[masked]"}
    assert {word.word for image in record.images for phrase in image.phrases for word in phrase.tokens} == {"[masked]"}
    assert "the whole report is masked" in (folder / "index.html").read_text()


def test_the_same_seed_gives_the_same_heat_and_another_seed_another(cohort: Path, tmp_path: Path) -> None:
    def heats(out: Path) -> list[np.ndarray]:
        studies = [read_study(folder) for folder in study_folders(out)]
        return [study.heats[phrase.heat] for study in studies for i in study.record.images for phrase in i.phrases]

    for name, seed in (("first", 1), ("second", 1), ("third", 2)):
        run(settings_for(cohort, tmp_path / name, seed=seed, steps=4, limit=2))
    first, second, third = (heats(tmp_path / name) for name in ("first", "second", "third"))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, third, strict=True))


PLAIN = {"steps": 4, "beta": 1.0, "limit": 1}  # early steps follow the sign of the gradient alone


def phrases_in(out: Path) -> list[dict[str, object]]:
    return [asdict(p) for f in study_folders(out) for i in read_study(f).record.images for p in i.phrases]


@pytest.fixture(scope="module")
def plain(phantom_cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    """Every phrase of a run that no flag has changed."""
    out = tmp_path_factory.mktemp("plain") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("M2IB_AUDIT_SALT", "a salt for tests only")
        run(settings_for(phantom_cohort, out, **PLAIN))
    return phrases_in(out)


@pytest.mark.parametrize(
    "change",
    [
        {"beta": 50.0},
        {"variance": 4.0},
        {"steps": 5},
        {"samples": 4},
        {"image_layer": 1},
        {"text_layer": 1},
        {"fit": Fit.CROP},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_flag_of_the_method_changes_the_record(
    cohort: Path, tmp_path: Path, plain: list[dict[str, object]], change: dict[str, object]
) -> None:
    run(settings_for(cohort, tmp_path / "changed", **PLAIN | change))
    changed = phrases_in(tmp_path / "changed")
    assert [p["text"] for p in plain] == [p["text"] for p in changed]
    assert plain != changed


def test_the_run_says_each_methods_numbers_and_does_studies_again_where_one_changed(
    cohort: Path, tmp_path: Path
) -> None:
    asked = {"method": ("m2ib", "nib", "saliency"), "image_layer": 1, "controls": 0, "limit": 1}
    first = run(settings_for(cohort, tmp_path / "out", **asked, hyperparameters={"nib": {"steps": 3}})).record
    assert (first.method_settings["m2ib"]["steps"], first.method_settings["nib"]["steps"]) == (2, 3)
    assert [first.method_settings[name]["image_layer"] for name in ("m2ib", "nib")] == [1, 1]
    assert first.method_settings["saliency"] == {}
    assert first.settings["nib image layer"] == 1
    again = run(settings_for(cohort, tmp_path / "out", **asked, hyperparameters={"nib": {"steps": 4}})).record
    assert [group.because for group in again.history.done_again] == [("nib steps was 3, is 4",)]


def test_no_identifier_and_no_file_name_shows(cohort: Path, tmp_path: Path) -> None:
    secret = "Kowalczyk"  # noqa: S105 - a patient's name
    path = cohort / "dicom" / "phantom-00001.dcm"
    dataset = dcmread(path)
    dataset.PatientName, dataset.PatientID = f"{secret}^Anna", f"{secret}-77"
    dataset.InstitutionName = dataset.SeriesDescription = secret
    dataset.save_as(cohort / "dicom" / "phantom-00001.dcm")
    report = cohort / "reports" / "phantom-00001.txt"
    report.write_text(report.read_text().replace("FINDINGS:", f"FINDINGS: Discussed with Dr. {secret} on 12/03/2024."))
    (cohort / "dicom" / f"{secret}.dcm").write_text("not a DICOM file")
    (cohort / "reports" / f"{secret}.txt").write_text("FINDINGS: There is a nodule.")
    result = run(settings_for(cohort, tmp_path / "out"))
    assert result.record.counts["failed"] == 2
    written = everything_in(tmp_path / "out")
    assert secret.encode() not in written
    assert dataset.StudyInstanceUID.encode() not in written
    assert secret in "".join(item.source for item in result.failed)


def test_show_phi_names_the_files(cohort: Path, tmp_path: Path) -> None:
    (cohort / "dicom" / "Kowalczyk.dcm").write_text("not a DICOM file")
    run(settings_for(cohort, tmp_path / "out", show_phi=True))
    failures = pd.read_csv(tmp_path / "out" / "failures.csv")
    assert failures["path"].tolist() == ["Kowalczyk.dcm"]


def test_keys_change_with_the_salt(cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(settings_for(cohort, tmp_path / "one", limit=1))
    monkeypatch.setenv("M2IB_AUDIT_SALT", "another salt for this test")
    run(settings_for(cohort, tmp_path / "two", limit=1))
    assert not {f.name for f in study_folders(tmp_path / "one")} & {f.name for f in study_folders(tmp_path / "two")}


def test_a_clean_run_ends_with_0_and_prints_five_lines_and_the_page(clean: tuple[Path, Result]) -> None:
    out, result = clean
    record = read_run(out)
    counts, verdict, hits, action, answers, page = result.stdout.splitlines()
    assert (
        counts == f"{record.counts['audited']} studies audited, 0 failed, {record.counts['left out']} left out by rule"
    )
    assert verdict == f"Verdict on m2ib: {record.verdicts[0].verdict}"
    assert hits.startswith("  hits ")
    assert action == f"  {record.verdicts[0].action}"
    assert answers.startswith("Over all phrases: recognises ")
    assert page == str(out / "index.html")


def test_a_run_with_nothing_to_do_prints_the_same_ending(
    phantom_cohort: Path, clean: tuple[Path, Result], finished: Path
) -> None:
    again = CliRunner().invoke(app, command(phantom_cohort, finished))
    assert "0 to do" in again.stderr
    assert again.stdout == clean[1].stdout.replace(str(clean[0]), str(finished))


def test_every_method_of_a_run_gets_its_verdict_and_hits(cohort: Path, tmp_path: Path) -> None:
    methods = ["--method", "m2ib", "--method", "saliency"]
    result = CliRunner().invoke(app, command(cohort, tmp_path / "out", *methods))
    assert result.exit_code == 0, result.output
    _, *lines, _, _ = result.stdout.splitlines()
    assert [line.split(":")[0] for line in lines[::3]] == ["Verdict on m2ib", "Verdict on saliency"]
    assert all(line.startswith("  hits ") for line in lines[1::3])


def test_a_shard_prints_no_verdict(cohort: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, command(cohort, tmp_path / "out", "--set", "execution.shard=1/2"))
    assert result.exit_code == 0, result.output
    counts, page = result.stdout.splitlines()
    assert "audited" in counts
    assert page.endswith(".json")


def test_a_run_is_replaced_only_on_demand(phantom_cohort: Path, finished: Path) -> None:
    out, first = finished, read_run(finished)
    kept = run(settings_for(phantom_cohort, out)).record
    assert (kept.history.done_before, kept.created > first.created) == (4, True)
    assert {read_study(folder).record.created for folder in study_folders(out)} == {first.created}
    replaced = run(settings_for(phantom_cohort, out, overwrite=True)).record
    assert replaced.history.done_before == 0
    assert {read_study(folder).record.created for folder in study_folders(out)} == {replaced.created}


def test_a_run_that_is_given_up_is_logged_before_its_results_go(cohort: Path, tmp_path: Path, monkeypatch) -> None:
    out = tmp_path / "out"
    run(settings_for(cohort, out, limit=1))

    def refuse(path: Path, *_args: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", refuse)
        with pytest.raises(OutputError, match="cannot be written"):
            run(settings_for(cohort, out, limit=1, overwrite=True))
    last = json.loads((out / AUDIT_LOG).read_text().splitlines()[-1])
    assert last["event"] == "run replaced"
    found = verify(out, load_salt())
    assert (found.intact, found.unfinished) == (True, True)
    run(settings_for(cohort, out, limit=1, overwrite=True))
    assert verify(out, load_salt()).intact


def test_run_json_is_valid_json_without_nan(clean: tuple[Path, Result]) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} in a record")

    for path in clean[0].rglob("*.json"):
        json.loads(path.read_text(), parse_constant=refuse)


def test_workers_change_nothing_but_the_time(phantom_cohort: Path, clean: tuple[Path, Result], tmp_path: Path) -> None:
    outs = clean[0], tmp_path / "beside"
    run(settings_for(phantom_cohort, outs[1], workers=2))
    here, beside = ({p.relative_to(out): p for p in out.rglob("*") if p.is_file()} for out in outs)
    assert here.keys() == beside.keys()
    for name in here:
        if name.suffix in {".npz", ".png", ".jpg"}:
            assert here[name].read_bytes() == beside[name].read_bytes(), name
    one, other = (pd.read_parquet(out / "scores.parquet") for out in outs)
    pd.testing.assert_frame_equal(one, other, rtol=1e-6)  # sums over pixels round by how many threads share them
    told = {stage.stage for stage in read_run(outs[1]).timings}
    assert told == {
        *("inputs", "model", "decode", "prefix", "attribution", "faithfulness", "words", "embeddings", "erasing"),
        *("scoring", "pages", "writing", "summary"),
    }


@pytest.mark.parametrize("method", ["nib", "rollout"], ids=["with words", "without words"])
def test_another_method_goes_all_the_way_to_its_pages(cohort: Path, tmp_path: Path, method: str) -> None:
    plain = {"method": (method,), "steps": None, "samples": None}
    result = run(settings_for(cohort, tmp_path / "out", **plain))
    assert (result.failed, result.record.method) == ((), method)
    assert any(summary.method == method and summary.estimate is not None for summary in result.record.summaries)
    for folder in study_folders(tmp_path / "out"):
        record = read_study(folder).record
        assert record.unit != "nats"
        assert all(bool(phrase.tokens) == (method == "nib") for image in record.images for phrase in image.phrases)
        page = (folder / "index.html").read_text()
        assert "nats per cell" not in page
        assert " nats</dd>" not in page


@pytest.mark.gpu
def test_a_run_on_a_gpu_audits_every_study_in_bf16(cohort: Path, tmp_path: Path) -> None:
    result = run(settings_for(cohort, tmp_path / "out", device="cuda"))
    assert result.failed == ()
    assert result.record.counts["audited"] == 4
    assert result.record.settings["precision"] == "bf16"
    assert result.record.device.startswith("cuda")


def test_a_study_keeps_its_report_masked_and_the_sentences_that_were_not_put(cohort: Path, tmp_path: Path) -> None:
    for number, report in enumerate(sorted((cohort / "reports").glob("*.txt"))):
        said = "There is no pneumothorax on the left. Discussed with Dr. Kowalczyk on 12/03/2024."
        report.write_text(f"LETTERHEAD {number}\n{report.read_text().replace('IMPRESSION:', f'IMPRESSION: {said}')}")
    shown = {}
    for show_phi in (False, True):
        out = tmp_path / f"out-{show_phi}"
        run(settings_for(cohort, out, show_phi=show_phi))
        shown[show_phi] = [read_study(folder).record.report for folder in study_folders(out)]
    for masked, open_ in zip(shown[False], shown[True], strict=True):
        assert "There is no pneumothorax on the left. Discussed with Dr. [name] on [date]." in masked.text
        assert "LETTERHEAD" not in masked.text
        assert "Dr. Kowalczyk on 12/03/2024" in open_.text
        assert "LETTERHEAD" in open_.text
        assert ("There is no pneumothorax on the left.", "pneumothorax", "absent") in [
            (each.text, each.finding, each.context) for each in masked.not_put
        ]
        assert [each.finding for each in masked.not_put] == [each.finding for each in open_.not_put]
