"""A run over a cohort with a normal study: it is audited without heat, has its page, and is counted apart."""

from pathlib import Path

import pandas as pd
from short_runs import command
from typer.testing import CliRunner

from audit.cli import app
from reports.results_folder import read_run, read_study, study_folders

NORMAL = "FINDINGS: The lungs are clear. No pneumothorax.\n\nIMPRESSION: No acute cardiopulmonary process.\n"


def test_a_normal_study_is_audited_without_heat(cohort: Path, tmp_path: Path) -> None:
    first = min((cohort / "reports").iterdir())
    first.write_text(NORMAL)
    table = (cohort / "boxes.csv").read_text().splitlines()
    uids = list(dict.fromkeys(line.split(",")[0] for line in table[1:]))  # in the order of the phantoms
    (cohort / "boxes.csv").write_text("\n".join(line for line in table if not line.startswith(uids[0])) + "\n")
    out = tmp_path / "out"
    result = CliRunner().invoke(app, command(cohort, out, "--set", "inputs.index=none"))
    assert result.exit_code == 0, result.output
    assert "Without any abnormal finding in the report: 1 study." in result.stdout
    run = read_run(out)
    assert (run.counts["audited"], run.counts["normal studies audited"], run.counts["left out"]) == (4, 1, 0)
    studies = {folder: read_study(folder) for folder in study_folders(out)}
    ((folder, study),) = ((f, s) for f, s in studies.items() if not s.record.images[0].phrases)
    (image,) = study.record.images
    assert study.heats == {}
    assert [phrase.finding for phrase in image.absent] == [
        "pneumothorax",
        "lung opacity",
        "acute cardiopulmonary abnormality",
    ]
    assert {"pneumothorax", "lung opacity", "acute cardiopulmonary abnormality"} <= set(image.finding_cosines)
    assert "The report names nothing abnormal." in (folder / "index.html").read_text()
    scores = pd.read_csv(out / "scores.csv")
    assert set(scores[scores["study"] == study.record.key]["context"]) == {"absent"}
    scored = CliRunner().invoke(app, ["score", str(out)])
    assert scored.exit_code == 0, scored.output
    pd.testing.assert_frame_equal(pd.read_csv(out / "scores.csv"), scores)
