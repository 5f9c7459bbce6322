"""Boxes that a reviewer drew go back into the scores of a real run."""

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from audited_phantoms import audit_phantoms
from typer.testing import CliRunner

from audit.cli import app
from audit.privacy.pseudonyms import Pseudonyms, load_salt
from audit.privacy.redaction import Redactor
from audit.review.ledger import LEDGER_NAME, Ledger
from audit.storage.folder import check_writable
from pipelines.errors import OutputError
from reports.record import ScoredPhrase, StudyRecord
from reports.results_folder import read_record, study_folders
from reports.review_record import ReviewEntry, moment_audited

HALF = 4.0  # px from the peak to a drawn box's sides


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    return audit_phantoms(tmp_path_factory.mktemp("cohort"), count=3, seed=5)


def around(point: tuple[float, float], *, away: bool) -> dict[str, float]:
    row, column = point
    column = (column + 100) % 200 if away else column  # half of the image's width to the side
    x = min(max(column - HALF, 0), 200 - 2 * HALF)
    return {"x": x, "y": max(row - HALF, 0), "width": 2 * HALF, "height": 2 * HALF}


def draw(out: Path, *, away: bool) -> dict[tuple[str, str], ScoredPhrase]:
    """Draw a box around, or far beside, the peak of every first phrase with a finding."""
    ledger, drawn = Ledger(out / LEDGER_NAME), {}
    for number, folder in enumerate(study_folders(out)):
        study: StudyRecord = read_record(folder)
        image = study.images[0]
        phrase = next(each for each in image.phrases if each.finding and each.hottest)
        drawn[study.key, phrase.text] = phrase
        entry = {
            "id": f"{number + (1000 if away else 0):032x}",
            "subject": {
                "study": study.key,
                "audited": moment_audited(study),
                "image": image.key,
                "heat": phrase.heat,
            },
            "reviewer": "Ada" if away else "Ben",
            "moment": datetime.now(UTC),
            "verdict": "agree",
            "boxes": [around(phrase.hottest, away=away)],
        }
        ledger.append(ReviewEntry.model_validate(entry), now=datetime.now(UTC))
    ledger.close()
    return drawn


def outcomes(out: Path) -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = {}
    for folder in study_folders(out):
        study = read_record(folder)
        for phrase in study.images[0].phrases:
            pointing = (s for s in phrase.scores if (s.method, s.score) == ("m2ib", "pointing game, tau 0"))
            found[study.key, phrase.text] = {score.outcome for score in pointing}
    return found


def score_with_drawn_boxes(out: Path, reviewer: str) -> None:
    boxes = out.parent / f"{reviewer}.csv"
    done = CliRunner().invoke(app, ["review", "boxes", str(out), "--out", str(boxes), "--reviewer", reviewer])
    assert done.exit_code == 0, done.stderr
    done = CliRunner().invoke(app, ["score", str(out), "--boxes", str(boxes)])
    assert done.exit_code == 0, done.stderr


def test_heat_is_scored_against_what_a_reviewer_drew(finished):
    here = draw(finished, away=False)
    score_with_drawn_boxes(finished, "Ben")
    assert {place: outcomes(finished)[place] for place in here} == {place: {"hit"} for place in here}
    ben = Redactor(keys=Pseudonyms(load_salt()), show_phi=False).reader("Ben")  # a record names no reviewer
    assert set(here) == {
        (folder.name, phrase.text)
        for folder in study_folders(finished)
        for phrase in read_record(folder).images[0].phrases
        if any(box.reader == ben and box.phrase == phrase.text for box in read_record(folder).images[0].boxes)
    }

    away = draw(finished, away=True)
    score_with_drawn_boxes(finished, "Ada")
    assert {place: outcomes(finished)[place] for place in away} == {place: {"miss"} for place in away}
    assert pd.read_parquet(finished / "scores.parquet")["study"].nunique() == 3


def test_a_run_goes_on_beside_what_reviewers_said_and_does_not_delete_it(finished):
    assert (finished / LEDGER_NAME).is_file()
    check_writable(finished, overwrite=False)
    with pytest.raises(OutputError, match=r"holds other files \(review\.sqlite\)"):
        check_writable(finished, overwrite=True)
