"""``m2ib-audit sanity``: a cohort's heat while towers turn random, printed with intervals."""

import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from audit.attribution.engine import pair_seed
from audit.attribution.grad_eclip import GradECLIP
from audit.attribution.pairs import Request
from audit.cli import app
from audit.configuration import InputsConfig
from audit.encoders.loading import load_encoder
from audit.experiments import sanity
from audit.experiments.sanity import Sanity, SanityConfig, SanityLine, check_sanity
from audit.faithfulness.cascade import TowerName, randomised, similarity
from audit.machine import Stopwatch
from audit.metrics.statistics import patient_interval
from audit.pipeline.inputs import gather
from audit.pipeline.load import loaded_studies, phrase_texts
from pipelines.errors import AuditError
from pipelines.geometry import Fit
from pipelines.phantom.cohort import make_cohort


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> InputsConfig:
    folder = tmp_path_factory.mktemp("cohort")
    make_cohort(folder, count=4, seed=11, columns=200, brief=True)
    return InputsConfig(
        index="none", dicom_dir=folder / "dicom", reports=folder / "reports", boxes=(folder / "boxes.csv",)
    )


def settings(cohort: InputsConfig, **changes: object) -> SanityConfig:
    kept = {"method": "grad_eclip", "model": "phantom", "device": "cpu", "phrases": 5}
    return SanityConfig.of(inputs=cohort, **(kept | changes))


def test_every_number_of_random_blocks_of_both_towers_has_a_line(cohort) -> None:
    encoder = load_encoder("phantom")
    found = check_sanity(settings(cohort))
    depths = {TowerName.IMAGE: encoder.image.depth, TowerName.TEXT: encoder.text.depth}
    expected = [(tower, blocks) for tower, depth in depths.items() for blocks in range(1, depth + 1)]
    assert [(line.tower, line.blocks) for line in found.lines] == expected
    assert found.pairs == 5
    for line in found.lines:
        assert line.of == depths[line.tower]
        assert line.cosine.values == 5
        assert -1.0 <= line.cosine.low <= line.cosine.estimate <= line.cosine.high <= 1.0


def test_a_line_is_the_mean_over_pairs_of_what_each_alone_gives(cohort) -> None:
    encoder, method = load_encoder("phantom", fit=Fit.LETTERBOX), GradECLIP()
    studies = gather(cohort).studies
    model = randomised(encoder, TowerName.IMAGE, blocks=2, seed=7)
    pairs = []
    for loaded in loaded_studies(studies, encoder, Stopwatch(), workers=0):
        for case in loaded.cases:
            for text in phrase_texts(case):
                seed = pair_seed(7, case.case.image.instance, text)
                request = Request(pixels=case.inputs, phrases=[text], seeds=[seed])
                ((before,),) = method.explain_batch(encoder, [request])
                ((after,),) = method.explain_batch(model, [request])
                pairs.append(similarity(before, after))
    found = check_sanity(settings(cohort, phrases=99, seed=7, towers=(TowerName.IMAGE,)))
    assert found.pairs == len(pairs) > 5
    line = found.lines[1]
    for name in ("spearman", "ssim", "words_spearman", "cosine"):
        values = [value for pair in pairs if (value := getattr(pair, name)) is not None]
        assert getattr(line, name).estimate == pytest.approx(np.mean(values), abs=1e-4), name


class Fragile(GradECLIP):
    """Explains the trained model only."""

    def attribute(self, pairs):
        if pairs.encoder is not self.trained:
            raise TypeError("an error of our own")
        return super().attribute(pairs)


def test_an_error_under_a_random_model_ends_the_check_instead_of_leaving_pairs_out(cohort, monkeypatch) -> None:
    def remembered(method, encoder):
        method.trained = encoder

    monkeypatch.setattr(sanity, "build_method", lambda _name, _numbers: Fragile())
    monkeypatch.setattr(sanity, "check_fit", remembered)
    with pytest.raises(AuditError, match=r"cannot go on: the audit of this study failed \(TypeError\)"):
        check_sanity(settings(cohort))


def test_a_limit_in_the_configuration_bounds_the_studies_of_the_sample(cohort) -> None:
    whole = check_sanity(settings(cohort, phrases=99, towers=()))
    limited = check_sanity(settings(cohort.model_copy(update={"limit": 1}), phrases=99, towers=()))
    assert 0 < limited.pairs < whole.pairs


def test_gradients_of_a_random_model_no_longer_point_where_the_trained_ones_did(cohort) -> None:
    found = check_sanity(settings(cohort, towers=(TowerName.IMAGE,)))
    assert found.lines[-1].spearman.estimate < 0.6
    assert found.lines[-1].ssim.estimate < found.lines[-1].ssim.high + 1e-9 <= 1.0


def test_the_same_seed_gives_the_same_figures_and_the_sample_does_not_depend_on_the_method(cohort) -> None:
    first, second = (check_sanity(settings(cohort, towers=(TowerName.TEXT,), seed=3)) for _ in range(2))
    assert first == second
    other = check_sanity(settings(cohort, towers=(TowerName.TEXT,), seed=3, method="grad_cam"))
    assert [line.cosine for line in other.lines] == [line.cosine for line in first.lines]


@pytest.mark.parametrize("value", [-0.25, 0.5])  # without and with an interval that is bounded by the values' range
def test_one_patient_has_an_estimate_and_no_interval(value: float) -> None:
    one = patient_interval(np.array([value]), ["patient"])
    line = SanityLine(tower=TowerName.IMAGE, blocks=1, of=3, spearman=one, ssim=None, words_spearman=one, cosine=one)
    printed = str(Sanity(method="m2ib", model="phantom", pairs=1, seed=0, lines=(line,))).splitlines()[-1]
    assert re.split(r" {2,}", printed)[2:] == [
        f"{value:.2f} [too few patients]",
        "-",
        *[f"{value:.2f} [too few patients]"] * 2,
    ]
    assert "inf" not in printed


def test_the_command_prints_a_row_a_step(cohort) -> None:
    words = ["sanity", "--dicom-dir", str(cohort.dicom_dir), "--reports", str(cohort.reports), "--boxes"]
    words += [str(cohort.boxes[0]), "--model", "phantom", "--method", "grad_cam", "--phrases", "3", "--tower", "image"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    rows = [line for line in result.stdout.splitlines() if line.startswith("image")]
    assert len(rows) == load_encoder("phantom").image.depth
    assert re.search(r"1 of \d+ +-?\d\.\d\d \[-?\d\.\d\d, -?\d\.\d\d\]", rows[0])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["sanity", "--model", "phantom"], "a cohort is needed"),
        (["sanity", "--model", "phantom", "--phantoms", "2", "--method", "gradcam"], "--method gradcam: unknown"),
    ],
    ids=["no cohort", "unknown method"],
)
def test_what_cannot_be_checked_is_refused_in_one_line(words, sentence) -> None:
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 1
    assert sentence in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_a_sample_without_a_readable_image_is_refused(tmp_path: Path) -> None:
    make_cohort(tmp_path, count=4, seed=11, columns=200, brief=True)
    spoilt = 0
    for path in (tmp_path / "dicom").rglob("*.dcm"):
        content = path.read_bytes()
        start = content.find(b"\xff\x4f\xff\x51") + 8  # of a JPEG 2000 stream; the header stays whole
        if start < 8:
            path.unlink()
            continue
        path.write_bytes(content[:start] + bytes(len(content) - start))
        spoilt += 1
    assert spoilt
    files = InputsConfig(index="none", dicom_dir=tmp_path / "dicom", reports=tmp_path / "reports")
    with pytest.raises(AuditError, match="no image of the sample could be read"):
        check_sanity(settings(files))


def test_a_number_that_is_set_is_of_the_method_that_is_checked(cohort) -> None:
    with pytest.raises(AuditError, match="nib is not among the methods"):
        check_sanity(settings(cohort, hyperparameters={"nib": {"steps": 2}}))
    blocks = {"towers": (TowerName.IMAGE,), "method": "legrad"}
    one, other = (
        check_sanity(settings(cohort, **blocks, hyperparameters={"legrad": {"image_blocks": count}}))
        for count in (1, 3)
    )
    assert [line.spearman for line in one.lines] != [line.spearman for line in other.lines]
