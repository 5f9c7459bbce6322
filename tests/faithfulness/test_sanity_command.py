"""``m2ib-audit sanity``: a cohort's heat under random towers and small changes, printed with intervals and verdicts."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from audit.attribution.engine import pair_seed
from audit.attribution.grad_eclip import GradECLIP
from audit.attribution.pairs import Request
from audit.cli import app
from audit.configuration import InputsConfig
from audit.encoders.loading import load_encoder
from audit.experiments import sanity
from audit.experiments.method_sanity import DRAWS, EPSILON, moved, noisy
from audit.experiments.sanity import Sanity, SanityConfig, check_sanity
from audit.experiments.sanity_tables import sanity_rows
from audit.faithfulness.cascade import TowerName, randomised
from audit.faithfulness.similarity import relative_change, similarity, structure
from audit.machine import Stopwatch
from audit.pipeline.inputs import gather
from audit.pipeline.load import loaded_studies, phrase_texts
from pipelines.errors import AuditError, ModelError
from pipelines.phantom.cohort import make_cohort
from pipelines.transforms import Preprocessing
from reports.sanity_record import MethodSanity, SampleMean, TowerVerdict


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


@pytest.fixture(scope="module")
def checked(cohort) -> MethodSanity:
    """The check of one method on every phrase, with a seed of its own."""
    (method,) = check_sanity(settings(cohort, phrases=99, seed=7)).methods
    return method


@pytest.fixture(scope="module")
def pairs(cohort) -> list[tuple[str, torch.Tensor, str, int]]:
    """Patient, input, phrase and seed of each pair that ``checked`` explains."""
    loaded = loaded_studies(gather(cohort).studies, load_encoder("phantom"), Stopwatch(), workers=0)
    cases = [case for study in loaded for case in study.cases]
    return [
        (case.case.image.patient_id, case.inputs, text, pair_seed(7, case.case.image.instance, text))
        for case in cases
        for text in phrase_texts(case)
    ]


def explain_alone(encoder, pixels, text: str, seed: int):
    ((found,),) = GradECLIP().explain_batch(encoder, [Request(pixels=pixels, phrases=[text], seeds=[seed])])
    return found


def test_every_number_of_random_blocks_of_both_towers_has_a_stage(checked, pairs) -> None:
    encoder = load_encoder("phantom")
    depths = {"image": encoder.image.depth, "text": encoder.text.depth}
    expected = [(tower, blocks) for tower, depth in depths.items() for blocks in range(1, depth + 1)]
    assert [(stage.tower, stage.blocks) for stage in checked.stages] == expected
    assert checked.phrases == len(pairs) > 5
    for stage in checked.stages:
        assert stage.of == depths[stage.tower]
        assert stage.cosine.cases == len(pairs)
        assert -1.0 <= stage.cosine.low <= stage.cosine.estimate <= stage.cosine.high <= 1.0


def test_a_stage_is_the_mean_over_pairs_of_what_each_alone_gives(checked, pairs) -> None:
    encoder = load_encoder("phantom")
    model = randomised(encoder, TowerName.IMAGE, blocks=2, seed=7)
    alike = [similarity(explain_alone(encoder, *pair), explain_alone(model, *pair)) for _, *pair in pairs]
    stage = checked.stages[1]
    for name in ("spearman", "ssim", "words_spearman", "cosine"):
        values = [value for pair in alike if (value := getattr(pair, name)) is not None]
        assert getattr(stage, name).estimate == pytest.approx(np.mean(values), abs=1e-4), name


def test_a_method_passes_for_a_tower_if_its_heat_is_less_alike_than_that_of_random_pairs(checked, pairs) -> None:
    encoder = load_encoder("phantom")
    heats = [explain_alone(encoder, *pair).heat.double().numpy() for _, *pair in pairs]
    patients = [patient for patient, *_ in pairs]
    apart = [
        structure(one, other)
        for place, one in enumerate(heats)
        for before, other in enumerate(heats[:place])
        if patients[place] != patients[before]
    ]
    assert checked.random_pairs == min(50, len(apart))
    assert checked.reference.low <= checked.reference.estimate <= checked.reference.high
    if len(apart) <= 50:
        assert checked.reference.estimate == pytest.approx(np.mean(apart), abs=1e-4)
    last = {stage.tower: stage.ssim for stage in checked.stages if stage.blocks == stage.of}
    assert {verdict.tower: verdict.ssim for verdict in checked.verdicts} == last
    for verdict in checked.verdicts:
        assert verdict.passes is (verdict.ssim.estimate < checked.reference.estimate)
    assert [verdict.passes for verdict in checked.verdicts] == [True, False]  # Grad-ECLIP on phantoms


def test_repeated_explanations_are_compared_with_the_first_ones(checked, pairs) -> None:
    encoder = load_encoder("phantom")
    by_change = {repeated.change: repeated for repeated in checked.repeatability}
    assert list(by_change) == ["second seed", "other window", "shift"]
    seed = by_change["second seed"]  # gradients have no noise
    assert (seed.ssim.estimate, seed.spearman.estimate, seed.peak_px.estimate) == pytest.approx((1.0, 1.0, 0.0))
    assert (seed.ssim.low, seed.peak_px.high) == pytest.approx((1.0, 0.0))
    shifted = []
    for _, pixels, *pair in pairs:
        first = explain_alone(encoder, pixels, *pair).heat
        second = explain_alone(encoder, moved(pixels, 2), *pair).heat
        shifted.append(structure(first.double().numpy(), second.double().numpy()))
    assert by_change["shift"].ssim.estimate == pytest.approx(np.mean(shifted), abs=1e-3)
    assert by_change["other window"].ssim.estimate < 1.0


def test_max_sensitivity_is_the_largest_relative_change_over_the_draws(checked, pairs, cohort) -> None:
    encoder = load_encoder("phantom")
    images = {
        case.case.image.patient_id: case.case.image.instance
        for study in loaded_studies(gather(cohort).studies, encoder, Stopwatch(), workers=0)
        for case in study.cases
    }
    first = [explain_alone(encoder, *pair).heat.double().numpy() for _, *pair in pairs]
    changes = []
    for draw in range(DRAWS):
        seeds = [pair_seed(7, "noise", images[patient], str(draw)) for patient, *_ in pairs]
        requests = [
            Request(pixels=noisy(pixels, encoder.preprocessing, seed=noise), phrases=[text], seeds=[seed])
            for (_, pixels, text, seed), noise in zip(pairs, seeds, strict=True)
        ]
        found = GradECLIP().explain_batch(encoder, requests, words=False)
        changes.append(
            [relative_change(heat, new.heat.double().numpy()) for heat, (new,) in zip(first, found, strict=True)]
        )
    largest = np.array(changes).max(0)
    assert checked.max_sensitivity.estimate == pytest.approx(np.mean(largest), rel=1e-3)
    assert checked.max_sensitivity.low > 0.0


def test_noise_is_grey_and_within_epsilon_of_the_display_range() -> None:
    preprocessing = Preprocessing(size=16, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    pixels = torch.zeros(3, 16, 16)
    added = noisy(pixels, preprocessing, seed=1) * torch.tensor(preprocessing.std)[:, None, None]
    assert torch.allclose(added[0], added[1])
    assert torch.allclose(added[0], added[2])
    assert 0.9 * EPSILON < float(added.abs().max()) <= EPSILON
    assert abs(float(added.mean())) < 0.2 * EPSILON


def test_a_moved_image_has_its_left_column_in_the_gap() -> None:
    pixels = torch.arange(5.0).expand(3, 5, 5)
    assert moved(pixels, 2)[1, 0].tolist() == [0.0, 0.0, 0.0, 1.0, 2.0]


class Fragile(GradECLIP):
    """Explains the trained model only."""

    def attribute(self, pairs):
        if pairs.encoder is not self.trained:
            raise TypeError("an error of our own")
        return super().attribute(pairs)


def test_an_error_under_a_random_model_ends_the_check_instead_of_leaving_pairs_out(cohort, monkeypatch) -> None:
    def remembered(methods, encoder, _device):
        methods[0].trained = encoder
        return {}

    monkeypatch.setattr(sanity, "build_method", lambda _name, _numbers: Fragile())
    monkeypatch.setattr(sanity, "refusals", remembered)
    with pytest.raises(AuditError, match=r"cannot go on: the audit of this study failed \(TypeError\)"):
        check_sanity(settings(cohort))


def test_a_limit_in_the_configuration_bounds_the_studies_of_the_sample(cohort) -> None:
    limited = check_sanity(settings(cohort.model_copy(update={"limit": 1}), phrases=99, towers=()))
    (method,) = limited.methods
    assert 0 < method.phrases <= 4
    assert method.max_sensitivity.patients == 1
    assert method.reference is None
    assert "no verdict: random pairs of maps need at least three patients" in str(limited)
    assert "[too few patients]" in str(limited)
    assert "inf" not in str(limited)


def test_the_same_seed_gives_the_same_figures_and_the_sample_does_not_depend_on_the_method(cohort) -> None:
    few = {"towers": (TowerName.TEXT,), "phrases": 2}
    first, second = (check_sanity(settings(cohort, **few, seed=3)) for _ in range(2))
    assert first == second
    other = check_sanity(settings(cohort, **few, seed=3, method="grad_cam"))
    assert [stage.cosine for stage in other.methods[0].stages] == [stage.cosine for stage in first.methods[0].stages]


def mean(estimate: float, low: float | None = None, high: float | None = None) -> SampleMean:
    return SampleMean(estimate=estimate, low=low, high=high, cases=9, patients=1 if low is None else 4)


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (
            TowerVerdict(tower="text", ssim=mean(0.5, 0.4, 0.6), passes=False, is_clear=True),
            "FAIL  text tower: 0.50 [0.40, 0.60] >= 0.25 [0.20, 0.30], mean SSIM of 50 random pairs of maps",
        ),
        (
            TowerVerdict(tower="image", ssim=mean(0.2, 0.1, 0.3), passes=True, is_clear=False),
            "pass  image tower: 0.20 [0.10, 0.30] < 0.25 [0.20, 0.30], mean SSIM of 50 random pairs of maps",
        ),
    ],
    ids=["fail", "pass, not clear"],
)
def test_a_verdict_is_printed_with_its_figures(checked, verdict: TowerVerdict, said: str) -> None:
    method = checked.model_copy(update={"verdicts": (verdict,), "random_pairs": 50, "reference": mean(0.25, 0.2, 0.3)})
    printed = str(Sanity(model="phantom", seed=0, methods=(method,), refused={})).splitlines()
    assert (said if verdict.is_clear else f"{said}; the intervals overlap") in printed


def test_every_mean_has_a_row_and_only_verdicts_say_whether_a_method_passes(checked) -> None:
    rows = sanity_rows([checked])
    assert len(rows) == 1 + 4 * len(checked.stages) + 3 * len(checked.repeatability) + 1
    judged = [row for row in rows if row["passes"] is not None]
    assert [(row["change"], row["passes"]) for row in judged] == [
        (f"{verdict.tower} tower randomised", verdict.passes) for verdict in checked.verdicts
    ]
    assert all(row["estimate"] == verdict.ssim.estimate for row, verdict in zip(judged, checked.verdicts, strict=True))


def test_a_method_that_does_not_fit_the_model_is_listed_and_stops_no_other(cohort, monkeypatch) -> None:
    monkeypatch.setattr(sanity, "refusals", lambda *_given: {"rollout": "its attention is not there"})
    found = check_sanity(settings(cohort, method="rollout,grad_cam", phrases=2, towers=()))
    assert [method.method for method in found.methods] == ["grad_cam"]
    assert "rollout was not checked: its attention is not there" in str(found)
    with pytest.raises(ModelError, match="its attention is not there"):
        check_sanity(settings(cohort, method="rollout"))


def test_the_command_prints_a_row_a_step_and_writes_every_figure(cohort, tmp_path: Path) -> None:
    words = ["sanity", "--dicom-dir", str(cohort.dicom_dir), "--reports", str(cohort.reports), "--boxes"]
    words += [str(cohort.boxes[0]), "--model", "phantom", "--method", "grad_cam", "--phrases", "3", "--tower", "image"]
    words += ["--out", str(tmp_path / "sanity.json")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    rows = [line for line in result.stdout.splitlines() if line.startswith("image")]
    assert len(rows) == load_encoder("phantom").image.depth
    assert re.search(r"1 of \d+ +-?\d\.\d\d \[-?\d\.\d\d, -?\d\.\d\d\]", rows[0])
    written = json.loads((tmp_path / "sanity.json").read_text("utf-8"))
    assert written["rule"] in result.stdout
    assert "Arun et al. 2021" in written["rule"]
    assert MethodSanity.model_validate(written["methods"][0]).method == "grad_cam"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["sanity", "--model", "phantom", "--phantoms", "2", "--out", "s.txt"], "neither .csv nor .json"),
        (["sanity", "--model", "phantom"], "a cohort is needed"),
        (["sanity", "--model", "phantom", "--phantoms", "2", "--method", "gradcam"], "--method gradcam: unknown"),
    ],
    ids=["file", "no cohort", "unknown method"],
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
    blocks = {"towers": (TowerName.IMAGE,), "method": "legrad", "phrases": 2}
    one, other = (
        check_sanity(settings(cohort, **blocks, hyperparameters={"legrad": {"image_blocks": count}}))
        for count in (1, 3)
    )
    assert [stage.spearman for stage in one.methods[0].stages] != [stage.spearman for stage in other.methods[0].stages]
