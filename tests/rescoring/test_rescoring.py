"""Stored heat scored again: the same boxes give the same run, others give theirs, and nothing is lost."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pydicom
import pytest
from run_configs import run_config
from typer.testing import CliRunner

from audit.cli import app
from audit.configuration import RunConfig
from audit.execution.run import run
from audit.logbook import AuditLog
from audit.logbook.chain import DONE, SCORED_AGAIN
from audit.output.rescoring import rescore
from audit.privacy.pseudonyms import SALT_VARIABLE
from pipelines.errors import OutputError
from pipelines.findings import AddedFindings, use_findings
from pipelines.phantom.cohort import make_cohort
from reports.reading import file_checksum
from reports.results_folder import read_record, read_run, study_folders
from reports.run_record import RunRecord
from reports.score_catalogue import (
    BLIND_METHODS,
    ENERGY,
    FALL_ELSEWHERE,
    FALL_REGION,
    HUMAN,
    RELIANCE,
    mean_heat_name,
    names_of,
    untrained_name,
)

STUDIES = 3
SALT = "the salt of whoever ran it"
OF_THE_MOMENT = {"run.json", "index.html", "pages.sha256", "audit.jsonl"}  # say when it was scored again


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    make_cohort(folder, count=STUDIES, seed=5, columns=200, tagged=True, brief=True)
    (folder / "more.toml").write_text('"rib notching" = ["roesler sign"]')
    for path in sorted((folder / "dicom").rglob("*.dcm"))[:2]:
        dataset = pydicom.dcmread(path)
        dataset.ShutterShape = "RECTANGULAR"
        dataset.ShutterLeftVerticalEdge, dataset.ShutterRightVerticalEdge = 21, 180
        dataset.ShutterUpperHorizontalEdge, dataset.ShutterLowerHorizontalEdge = 15, 190
        dataset.save_as(path)
    return folder


@pytest.fixture(scope="module")
def finished(cohort: Path, tmp_path_factory) -> Path:
    """A run with further methods, controls and faithfulness."""
    out = tmp_path_factory.mktemp("finished") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(SALT_VARIABLE, SALT)
        run(_settings(cohort, out))
    return out


@pytest.fixture(autouse=True)
def as_in_a_new_process(monkeypatch) -> None:
    monkeypatch.setenv(SALT_VARIABLE, SALT)
    use_findings(AddedFindings())


def _settings(cohort: Path, out: Path) -> RunConfig:
    return run_config(
        dicom_dir=cohort / "dicom",
        reports=cohort / "reports",
        boxes=(cohort / "boxes.csv",),
        findings=cohort / "more.toml",
        out=out,
        model="phantom",
        method=("m2ib", "grad_cam", "iba"),
        controls=4,
        faithfulness=2,
        steps=2,
        samples=2,
        device="cpu",
    )


@pytest.fixture
def out(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "out"))


def contents(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def scores(out: Path) -> pd.DataFrame:
    return pd.read_parquet(out / "scores.parquet")


def test_the_runs_own_boxes_give_the_very_same_run(finished: Path, out: Path) -> None:
    found = rescore(out)
    assert (found.studies, found.failed) == (STUDIES, ())
    before, after = contents(finished), contents(out)
    assert before.keys() == after.keys()
    changed = {name for name in before if before[name] != after[name]}
    assert changed <= OF_THE_MOMENT
    assert after["audit.jsonl"].startswith(before["audit.jsonl"])
    was, now = (json.loads((folder / "run.json").read_text()) for folder in (finished, out))
    assert now.pop("rescored") is not None
    assert was.pop("rescored") is None
    assert was.pop("seal") != now.pop("seal")
    assert was == now


def test_each_method_has_references_of_its_own(finished: Path) -> None:
    methods = {"m2ib": True, "grad_cam": False, "iba": True}  # those with a bottleneck
    names = set(scores(finished)["method"])
    assert {mean_heat_name(method) for method in methods} <= names
    assert {method for method in methods if untrained_name(method) in names} == {"m2ib", "iba"}
    for summary in read_run(finished).summaries:
        if summary.method in methods and summary.score == ENERGY:
            beside = {difference.reference for difference in summary.differences} - {*BLIND_METHODS, HUMAN}
            own = {mean_heat_name(summary.method), untrained_name(summary.method)}
            assert beside == {name for name in own if name in names}


def test_the_same_box_file_read_again_gives_the_very_same_scores(finished: Path, out: Path, cohort: Path) -> None:
    found = rescore(out, [cohort / "boxes.csv"])
    assert found.failed == ()
    assert found.boxes == read_run(finished).counts["boxes"]
    pd.testing.assert_frame_equal(scores(out), scores(finished))
    for folder in study_folders(finished):
        assert read_record(out / "studies" / folder.name) == read_record(folder)


def test_scoring_twice_is_scoring_once(out: Path, cohort: Path) -> None:
    rescore(out, [cohort / "boxes.csv"])
    once = contents(out)
    rescore(out, [cohort / "boxes.csv"])
    twice = contents(out)
    assert {name for name in once if once[name] != twice[name]} <= OF_THE_MOMENT


def test_other_boxes_change_hits_and_leave_heat_and_faithfulness(finished: Path, out: Path, cohort: Path) -> None:
    boxes = pd.read_csv(cohort / "boxes.csv")
    everything = boxes.assign(x=0, y=0, width=200, height=200)
    everything.to_csv(out.parent / "everything.csv", index=False)
    found = rescore(out, [out.parent / "everything.csv"])
    table, before = scores(out), scores(finished)
    pointing = table[table["score"] == "pointing game, tau 0"]
    scored = pointing[pointing["method"].isin(["m2ib", "grad_cam"]) & pointing["value"].notna()]
    assert len(scored)
    assert (scored["value"] == 1.0).mean() > 0.9
    assert not table.equals(before)
    of_boxes = [*names_of("localisation"), RELIANCE, FALL_REGION, FALL_ELSEWHERE]  # other regions were erased
    kept = ~before["score"].isin(of_boxes)
    now = table[~table["score"].isin(of_boxes)]
    for name in ("study", "image", "phrase", "method", "score", "value", "outcome"):
        assert now[name].astype(object).tolist() == pytest.approx(
            before.loc[kept, name].astype(object).tolist(), nan_ok=True
        )
    assert (out / "studies").exists()
    for folder in study_folders(finished):
        assert (out / "studies" / folder.name / "heat.npz").read_bytes() == (folder / "heat.npz").read_bytes()
        again = read_record(out / "studies" / folder.name)
        controls = [c for image in again.images for phrase in image.phrases for c in phrase.controls]
        assert all(control.hit is not False or control.total == 0.0 for control in controls)  # a flat map misses
    assert found.record.verdicts
    assert found.record.subgroups


@pytest.fixture
def others(out: Path, cohort: Path) -> Path:
    """Other boxes than the run's: two of its own moved, none on the other images, and one that lies outside."""
    boxes = pd.read_csv(cohort / "boxes.csv")
    image = boxes["image"].iloc[0]
    moved = boxes[boxes["image"] == image].head(2).assign(x=5, y=5, width=30, height=30)
    outside = moved.head(1).assign(x=900)
    pd.concat([moved, outside]).to_csv(out.parent / "others.csv", index=False)
    return out.parent / "others.csv"


def test_without_boxes_the_runs_own_come_back_whatever_was_scored_since(out: Path, others: Path) -> None:
    rescore(out)
    before, failures = contents(out), read_run(out).failures
    found = rescore(out, [others])
    assert found.record.failures != failures
    assert found.boxes == len(pd.read_csv(others)) - 1
    rescore(out, [others])
    rescore(out)
    after = contents(out)
    assert {name for name in before if before[name] != after[name]} <= OF_THE_MOMENT
    was, now = (RunRecord.model_validate_json(each["run.json"]) for each in (before, after))
    assert now.model_copy(update={"rescored": was.rescored, "seal": was.seal}) == was


def test_the_records_keep_the_runs_own_boxes_only_while_others_take_their_place(
    finished: Path, out: Path, others: Path
) -> None:
    rescore(out, [others])
    for folder in study_folders(finished):
        run_image, (image,) = read_record(folder).images[0], read_record(out / "studies" / folder.name).images
        assert image.own is not None
        assert image.own.boxes == run_image.boxes
        assert image.own.targets == tuple(phrase.target for phrase in run_image.phrases)
        assert all(set(phrase.target) <= {box.id for box in image.boxes} for phrase in image.phrases)
    rescore(out)
    assert all(image.own is None for folder in study_folders(out) for image in read_record(folder).images)


def test_a_run_that_goes_on_makes_its_boxes_the_own_ones_again(
    finished: Path, out: Path, cohort: Path, others: Path
) -> None:
    rescore(out, [others])
    run(_settings(cohort, out))
    for folder in study_folders(finished):
        assert read_record(out / "studies" / folder.name).images == read_record(folder).images
    assert read_run(out).own_failures is None


@pytest.mark.parametrize("reference", ["path", "stem", pytest.param("uid", marks=pytest.mark.slow)])
def test_boxes_find_their_images_by_path_stem_or_uid_through_the_salt(
    finished: Path, out: Path, cohort: Path, reference: str
) -> None:
    boxes = pd.read_csv(cohort / "boxes.csv")
    paths = sorted((cohort / "dicom").rglob("*.dcm"))
    files = {str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID): path for path in paths}
    drawn_on = boxes["image"].map(files)
    names = {
        "path": drawn_on.map(lambda path: str(path.relative_to(cohort))),
        "stem": drawn_on.map(lambda path: path.stem),
        "uid": boxes["image"],
    }
    boxes.assign(image=names[reference]).to_csv(out.parent / "boxes.csv", index=False)
    rescore(out, [out.parent / "boxes.csv"])
    pd.testing.assert_frame_equal(scores(out), scores(finished))


def test_another_salt_than_the_runs_is_refused_and_nothing_changes(out: Path, cohort: Path, monkeypatch) -> None:
    before = contents(out)
    monkeypatch.setenv(SALT_VARIABLE, "another salt, of another user")
    with pytest.raises(OutputError, match=r"another salt.*M2IB_AUDIT_SALT"):
        rescore(out, [cohort / "boxes.csv"])
    assert contents(out) == before


def test_no_name_of_a_file_stands_in_the_records(out: Path, cohort: Path) -> None:
    stems = {path.stem for path in (cohort / "dicom").rglob("*.dcm")}
    text = "".join(path.read_text() for path in out.rglob("record.json"))
    assert stems
    assert not any(stem in text for stem in stems)
    assert str(cohort) not in text


@pytest.mark.parametrize(
    "spoilt",
    [
        pytest.param("record.json", marks=pytest.mark.slow),
        "heat.npz",
        pytest.param("image-1.jpg", marks=pytest.mark.slow),
    ],
)
def test_a_damaged_study_is_listed_and_stops_no_other(out: Path, spoilt: str) -> None:
    folder = study_folders(out)[2]
    (folder / spoilt).write_bytes(b"{")
    found = rescore(out)
    (failed,) = found.failed
    assert (failed.source, found.studies) == (folder.name, STUDIES - 1)
    assert spoilt in failed.reason
    assert str(out) not in failed.reason
    assert folder.name not in set(scores(out)["study"])
    assert folder.name in (out / "failures.csv").read_text()
    result = CliRunner().invoke(app, ["score", str(out)])
    assert result.exit_code == 3
    assert result.stdout.splitlines()[-1].endswith("index.html")


def test_embeddings_that_vanish_while_studies_are_scored_stop_nothing(out: Path, monkeypatch) -> None:
    append, away = AuditLog.append, out.parent / "away"

    def vanishing(log: AuditLog, event: str, **stated: object) -> None:
        append(log, event, **stated)
        if event == SCORED_AGAIN:
            (out / "studies" / str(stated["study"]) / "embeddings.npz").rename(away)

    def returning(stage: str, _done: int, _total: int) -> None:
        if stage == "Scoring again":
            folder = next(each for each in study_folders(out) if not (each / "embeddings.npz").exists())
            away.rename(folder / "embeddings.npz")

    monkeypatch.setattr(AuditLog, "append", vanishing)
    found = rescore(out, progress=returning)
    assert (found.studies, found.failed) == (STUDIES, ())


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"run\.json cannot be read"):
        rescore(tmp_path)
    result = CliRunner().invoke(app, ["score", str(tmp_path)])
    assert result.exit_code == 1


def test_labels_are_read_with_the_findings_that_the_run_added(out: Path, cohort: Path, tmp_path: Path) -> None:
    boxes = pd.read_csv(cohort / "boxes.csv").assign(label="Roesler sign")
    boxes.to_csv(tmp_path / "others.csv", index=False)
    assert rescore(out, [tmp_path / "others.csv"]).failed == ()
    images = [image for folder in study_folders(out) for image in read_record(folder).images]
    assert {box.label for image in images for box in image.boxes} == {"rib notching"}


def test_a_collimated_image_scores_again_with_its_mask(finished: Path) -> None:
    images = [image for folder in study_folders(finished) for image in read_record(folder).images]
    masked = [image.valid for image in images if image.valid is not None]
    assert len(masked) == 2  # else the equalities above would say nothing of masks
    assert len(images) == STUDIES


def test_records_of_an_older_version_score_by_uid(finished: Path, out: Path, cohort: Path) -> None:
    for folder in study_folders(out):
        record = json.loads((folder / "record.json").read_text())
        record.pop("patient")
        for image in record["images"]:
            for name in ("path_key", "sex", "age", "manufacturer", "photometric_interpretation", "own"):
                image.pop(name)
            for box in image["boxes"]:
                box.pop("id")
            for phrase in image["phrases"]:
                phrase.pop("target")
        (folder / "record.json").write_text(json.dumps(record))
        sha256 = file_checksum(folder / "record.json")
        AuditLog(out, SALT.encode()).append(DONE, study=folder.name, record_sha256=sha256)
    found = rescore(out, [cohort / "boxes.csv"])
    assert found.failed == ()
    # Without a patient's key each study is a patient of its own, as each study of the phantom cohort is.
    pd.testing.assert_frame_equal(scores(out).drop(columns="patient"), scores(finished).drop(columns="patient"))
    for folder in study_folders(finished):
        again, before = (read_record(each / "studies" / folder.name).images for each in (out, finished))
        assert [(image.boxes, [p.target for p in image.phrases]) for image in again] == [
            (image.boxes, [p.target for p in image.phrases]) for image in before
        ]
    known = {summary.value for summary in found.record.subgroups if summary.attribute in {"sex", "manufacturer"}}
    assert known == {"not known"}


def test_render_makes_the_pages_again_without_torch(out: Path) -> None:
    pages = {path: path.read_bytes() for path in out.rglob("index.html")}
    for path in pages:
        path.unlink()
    program = (
        "import sys; from audit.cli import app; from typer.testing import CliRunner; "
        f"result = CliRunner().invoke(app, ['render', {str(out)!r}]); "
        "assert 'torch' not in sys.modules, 'torch was imported'; print(result.output); sys.exit(result.exit_code)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
    assert f"{STUDIES} study pages rendered" in done.stdout
    assert {path: path.read_bytes() for path in out.rglob("index.html")} == pages


def test_render_goes_on_after_a_damaged_study_and_says_so(out: Path) -> None:
    folder = study_folders(out)[0]
    (folder / "heat.npz").unlink()
    result = CliRunner().invoke(app, ["render", str(out)])
    assert result.exit_code == 3
    assert "heat.npz cannot be read" in result.output
    assert f"{STUDIES - 1} study pages rendered" in result.output
