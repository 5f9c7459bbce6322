"""What CONTRIBUTING's table promises: one file and one line, and a run takes what was added all the way to its page."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import pytest
import typer
from pydicom import dcmread
from typer.testing import CliRunner

from audit.attribution.engine import Method
from audit.attribution.methods import METHODS
from audit.attribution.pairs import Maps, Pairs
from audit.cli.app import build_app
from audit.cli.experiments import EXPERIMENTS, on_cohort
from audit.configuration import CohortConfig
from audit.encoders import dual_encoder
from audit.encoders.loading import FAMILIES, model_folder
from audit.metrics.pointing import Target
from audit.metrics.scores import MEASURES, Measure
from audit.pipeline.inputs import gather
from audit.privacy.messages import Message
from pipelines.boxes.reader import FORMATS as FORMATS_OF_BOXES
from pipelines.boxes.reader import BoxFormat
from pipelines.boxes.table import RawBox
from pipelines.errors import BoxError
from pipelines.phantom.cohort import make_cohort
from pipelines.study import Report
from pipelines.text import reports
from pipelines.text.formats.file import ReadReports, ReportFile
from pipelines.text.reports import ReportFormat
from reports.record import ScoredPhrase
from reports.results_folder import read_study, study_folders
from reports.score_catalogue import BLIND_METHODS, POINTING, SCORES, ScoreSpec, mean_heat_name


class Brightness(Method):
    """How bright each cell of the image is: a method that asks the model nothing."""

    name = "brightness"
    unit = "grey"

    def attribute(self, pairs: Pairs) -> Maps:
        """Average each cell of the grid."""
        grid = pairs.encoder.image.grid_at(0)
        pixels = pairs.images[pairs.image_of].mean(1, keepdim=True)
        cell = pixels.shape[-1] // grid[0]
        return Maps(image=pixels.unfold(2, cell, cell).unfold(3, cell, cell).mean((-2, -1))[:, 0], tokens=None)


def cold_share(heat: np.ndarray, target: Target) -> float:
    """Share of the box's pixels that are colder than the mean of the map."""
    return float(np.average(heat < np.nanmean(heat), weights=target))


COLD = ScoreSpec(name="cold share of the box", kind="localisation", unit="share", higher_is_better=False, on_page=True)


class CountConfig(CohortConfig):
    """The configuration of an experiment that counts phrases."""

    letters: int


@dataclass(frozen=True)
class Count:
    """What the experiment found."""

    phrases: int
    messages: tuple[Message, ...] = ()

    def __str__(self) -> str:
        return f"{self.phrases} longer phrases"


def count_phrases(config: CountConfig, *, progress: Callable[[str, int, int], None]) -> Count:
    """Count the phrases of a cohort that have more letters than were asked for."""
    inputs = gather(config.cohort, progress=lambda done, total: progress("Reading headers", done, total))
    phrases = [phrase for study in inputs.studies for case in study.cases for phrase in case.phrases]
    return Count(phrases=sum(len(phrase.text) > config.letters for phrase in phrases))


def recognise_dictation(file: ReportFile) -> bool:
    return file.text.startswith("DICTATION OF ")


def read_dictation(file: ReportFile) -> ReadReports:
    uid, _, text = file.text.removeprefix("DICTATION OF ").partition("\n")
    return (Report(source=str(file.path), text=text, study_instance_uid=uid),), ()


def recognise_crosses(text: str) -> bool:
    return text.startswith("crosses\n")


def read_crosses(name: str, text: str) -> Iterator[RawBox | BoxError]:
    for number, line in enumerate(text.splitlines()[1:], start=2):
        image, label, x, y, width, height = line.split("|")
        yield RawBox(source=f"{name} row {number}", image=image, label=label, x=x, y=y, width=width, height=height)


def in_new_formats(folder: Path) -> None:
    """Write a cohort's reports and boxes again, in formats that only this test knows."""
    for film in sorted((folder / "dicom").iterdir()):
        report = folder / "reports" / f"{film.stem}.txt"
        uid = dcmread(film, stop_before_pixels=True).StudyInstanceUID
        report.with_suffix(".dictation").write_text(f"DICTATION OF {uid}\n{report.read_text()}")
        report.unlink()
    drawn = pd.read_csv(folder / "boxes.csv", dtype=str)[["image", "label", "x", "y", "width", "height"]]
    lines = ["crosses", *drawn.agg("|".join, axis=1)]
    (folder / "boxes.crosses").write_text("\n".join(lines))


def phrases_of(folder: Path) -> list[ScoredPhrase]:
    return [phrase for image in read_study(folder).record.images for phrase in image.phrases]


def test_each_extension_point_takes_one_more_and_shows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, Brightness.name, Brightness)
    dictation = ReportFormat(recognise=recognise_dictation, read=read_dictation, endings=(".dictation",))
    monkeypatch.setattr(reports, "FORMATS", {"dictation": dictation, **reports.FORMATS})
    monkeypatch.setitem(FORMATS_OF_BOXES, "crosses", BoxFormat(recognise=recognise_crosses, read=read_crosses))
    monkeypatch.setitem(FAMILIES, "twin", dual_encoder.load)
    monkeypatch.setitem(SCORES, COLD.name, COLD)
    monkeypatch.setitem(MEASURES, COLD.name, Measure(of_map=cold_share))
    letters = Annotated[int, typer.Option(help="Letters of the phrases that are not counted.")]
    places = {"run": f"{__name__}:count_phrases", "config": f"{__name__}:CountConfig"}
    counting = on_cohort("Count long phrases.", **places, flags={"letters": (letters, 10)})
    monkeypatch.setitem(EXPERIMENTS, "count", counting)
    make_cohort(tmp_path, count=2, seed=5)
    in_new_formats(tmp_path)
    model = tmp_path / "twin"
    shutil.copytree(model_folder("phantom"), model)
    config = model / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"model_type": "twin"}))
    words = [
        "--dicom-dir",
        tmp_path / "dicom",
        "--reports",
        tmp_path / "reports",
        "--boxes",
        tmp_path / "boxes.crosses",
    ]
    words += ["--model", model, "--method", "brightness", "--device", "cpu", "--set", "inputs.index=none"]
    cohort = [str(word) for word in words]
    app = build_app()
    done = CliRunner().invoke(app, ["run", *cohort, "--set", "execution.workers=0", "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    scores = pd.read_csv(tmp_path / "out" / "scores.csv")
    peaks = scores[(scores.method == "brightness") & (scores.score == POINTING)]
    assert set(peaks.outcome) <= {"hit", "miss"}
    assert len(peaks) == len(scores[(scores.method == "random") & (scores.score == POINTING)]) > 0
    cold = scores[scores.score == COLD.name]
    assert set(cold.method) == {"brightness", mean_heat_name("brightness"), *BLIND_METHODS}
    assert cold[cold.method.isin(("brightness", "centre"))].value.between(0, 1).all()
    page = (tmp_path / "out" / "index.html").read_text()
    assert "<caption>Cold share of the box</caption>" in page
    assert "Cold share of the box ↓</th>" in page
    for folder in (tmp_path / "out" / "studies").iterdir():
        assert '<th scope="col" class="num">Cold share of the box</th>' in (folder / "index.html").read_text()
        assert json.loads((folder / "record.json").read_text())["report_joined_by"] == "StudyInstanceUID"
        assert "brightness" in (folder / "index.html").read_text()
    phrases = [phrase for folder in study_folders(tmp_path / "out") for phrase in phrases_of(folder)]
    longer = sum(len(phrase.text) > 30 for phrase in phrases)
    assert 0 < longer < len(phrases)
    assert CliRunner().invoke(app, ["count", *cohort, "--letters", "30"]).stdout == f"{longer} longer phrases\n"
    assert "Count long phrases." in CliRunner().invoke(app, ["--help"]).stdout
