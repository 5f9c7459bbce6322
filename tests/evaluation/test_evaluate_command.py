"""The command ``evaluate`` on phantoms: what it measures, prints and writes, and how it goes on after a kill."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import cosine_similarity, interpolate
from typer.testing import CliRunner, Result

from audit.attribution.nib import NIB
from audit.attribution.pairs import Request
from audit.cli import app
from audit.encoders.loading import load_encoder
from audit.experiments import evaluation as evaluation_run
from audit.experiments.evaluation_pairs import MEASURES
from audit.phantom.evaluation import held_out_phantoms
from pipelines.geometry import Fit
from pipelines.image_file import read_image
from pipelines.phantom.cohort import phantom_dataset
from pipelines.phantom.wording import claims_of, sentence_of
from pipelines.transforms import place_image

PAIRS = 10
FAST = ("--model", "phantom", "--device", "cpu", "--method", "nib")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Phantoms in every format, each with a sentence, as Conceptual Captions lists them."""
    folder = tmp_path_factory.mktemp("pairs")
    lines = []
    for index, held_out in enumerate(held_out_phantoms(PAIRS, seed=3)):
        values = held_out.radiograph.image
        name = f"{index}.{('png', 'jpg', 'tif', 'dcm')[index % 4]}"
        if name.endswith("dcm"):
            dataset = phantom_dataset(held_out.radiograph, held_out.phantom, seed=3, index=index)
            dataset.save_as(folder / name, enforce_file_format=True)
        else:
            depth = (4095, np.uint16) if index % 8 == 0 else (255, np.uint8)
            Image.fromarray((values * depth[0]).round().astype(depth[1])).save(folder / name)
        claim = next(claim for claim in claims_of(held_out.phantom) if not claim.absent)
        lines.append(f"{sentence_of(claim, held_out.generator)}\t{name}\n")
    (folder / "pairs.tsv").write_text("".join(lines), encoding="utf-8")
    return folder


def evaluate(table: Path, out: Path, *flags: str) -> Result:
    paths = ["--data-path", str(table), "--output-path", str(out)]
    return CliRunner().invoke(app, ["evaluate", *paths, *FAST, *flags])


def rows_of(out: Path) -> list[dict[str, str]]:
    with out.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def without_seconds(out: Path) -> list[dict[str, str]]:
    return sorted(({**row, "seconds": ""} for row in rows_of(out)), key=lambda row: (int(row["row"]), row["method"]))


def changed(folder: Path, tmp_path: Path, extra: Sequence[str]) -> Path:
    """The same table with more lines, its paths absolute."""
    lines = (folder / "pairs.tsv").read_text(encoding="utf-8").splitlines()
    absolute = [f"{caption}\t{folder / name}" for caption, name in (line.split("\t") for line in lines)]
    (tmp_path / "more.tsv").write_text("\n".join([*absolute, *extra]) + "\n", encoding="utf-8")
    return tmp_path / "more.tsv"


@pytest.fixture(scope="module")
def whole(folder, tmp_path_factory) -> tuple[Path, Result]:
    """An evaluation that nothing disturbed."""
    out = tmp_path_factory.mktemp("whole") / "out.csv"
    return out, evaluate(folder / "pairs.tsv", out, "--pairs", str(PAIRS))


def test_there_is_a_row_for_every_pair_and_all_were_measured(whole):
    out, result = whole
    assert result.exit_code == 0, result.output
    rows = rows_of(out)
    assert sorted(int(row["row"]) for row in rows) == list(range(1, PAIRS + 1))
    assert all(row["error"] == "" and float(row["seconds"]) > 0 for row in rows)
    assert {row["method"] for row in rows} == {"nib"}


def test_a_picture_of_more_than_8_bits_says_what_was_stretched(folder, whole):
    out, result = whole
    deep = {name for name in ("0.png", "8.png") if np.asarray(Image.open(folder / name)).dtype == np.uint16}
    notes = {row["image"]: row["note"] for row in rows_of(out) if row["note"]}
    assert notes.keys() == deep == {"0.png", "8.png"}
    stored = np.asarray(Image.open(folder / "0.png"))
    assert f"{stored.min()} to {stored.max()}" in notes["0.png"]
    assert "own range: 2" in result.stderr


def test_the_means_are_those_of_the_rows(whole):
    out, result = whole
    means = {mean["score"]: mean for mean in json.loads(out.with_suffix(".summary.json").read_text())["means"]}
    rows = rows_of(out)
    for name in ("cosine", *MEASURES):
        values = np.array([float(row[name]) for row in rows if row[name]])
        mean = means[name.replace("_", " ")]
        assert mean["mean"] == pytest.approx(values.mean(), abs=1e-9)
        assert mean["low"] <= mean["mean"] <= mean["high"]
        assert (mean["pairs"], mean["unmeasured"]) == (len(values), len(rows) - len(values))
        assert f"{values.mean():.3f}" in result.stdout
        if name != "cosine":
            shuffled = np.array([float(row[f"shuffled_{name}"]) for row in rows if row[f"shuffled_{name}"]])
            assert mean["shuffled_mean"] == pytest.approx(shuffled.mean(), abs=1e-9)
            assert mean["difference"] == pytest.approx(values.mean() - shuffled.mean(), abs=1e-9)
    with out.with_suffix(".summary.csv").open(newline="") as stream:
        assert [float(mean["mean"]) for mean in csv.DictReader(stream)] == [mean["mean"] for mean in means.values()]


def test_a_row_is_what_the_definition_gives_by_hand(folder, whole):
    encoder = load_encoder("phantom", fit=None)
    captions = [line.split("\t")[0] for line in (folder / "pairs.tsv").read_text().splitlines()]
    for row in rows_of(whole[0])[:4]:
        caption = captions[int(row["row"]) - 1]
        pixels, placement = place_image(read_image(folder / row["image"]).display, encoder.preprocessing)
        assert placement.fit is Fit.CROP  # the model's own way, as the authors' code has it
        ((explanation,),) = NIB().explain_batch(encoder, [Request(pixels=pixels, phrases=(caption,), seeds=(0,))])
        heat = interpolate(explanation.heat[None, None], size=pixels.shape[1:], mode="bilinear")[0, 0]
        weighted = pixels * (heat - heat.min()) / (heat.max() - heat.min())
        with torch.no_grad():
            text = encoder.text.forward(encoder.text.tokenise([caption]))
            o, s = cosine_similarity(encoder.image.forward(torch.stack([pixels, weighted])), text).tolist()
        assert float(row["cosine"]) == pytest.approx(o, abs=1e-5)
        assert float(row["image_drop"]) == pytest.approx(100 * max(0.0, o - s), abs=1e-3)
        assert float(row["image_increase"]) == 100 * (s > o)


def test_the_same_seed_draws_and_measures_the_same_and_another_draws_others(folder, tmp_path):
    one, again, other = (tmp_path / name for name in ("1.csv", "2.csv", "3.csv"))
    for out, seed in ((one, "5"), (again, "5"), (other, "6")):
        assert evaluate(folder / "pairs.tsv", out, "--pairs", "4", "--seed", seed).exit_code == 0
    assert without_seconds(one) == without_seconds(again)
    assert {row["row"] for row in rows_of(one)} != {row["row"] for row in rows_of(other)}


def test_what_cannot_be_read_is_a_row_with_its_reason_and_status_3(folder, tmp_path, whole):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    table = changed(folder, tmp_path, ["a dog\tnone.png", "a cat\tbroken.png", "no image", "=1+1\t=evil.png"])
    result = evaluate(table, tmp_path / "out.csv")
    assert result.exit_code == 3
    assert "fewer than the requested 500" in result.stderr
    assert "row 11 (none.png): cannot be read" in result.stderr
    errors = {row["row"]: row for row in rows_of(tmp_path / "out.csv") if row["error"]}
    assert sorted(errors) == ["11", "12", "13", "14"]
    assert all(row[name] == "" for row in errors.values() for name in ("cosine", *MEASURES))
    assert errors["14"]["image"] == "'=evil.png"  # a spreadsheet runs nothing
    good = [row for row in without_seconds(tmp_path / "out.csv") if not row["error"]]
    for row, undisturbed in zip(good, without_seconds(whole[0]), strict=True):
        assert float(row["image_drop"]) == pytest.approx(float(undisturbed["image_drop"]), abs=1e-2)
    assert "14 pairs sampled from 14, 4 of them could not be measured" in result.stdout
    assert "says nothing about patients" in result.stderr


def test_where_nothing_could_be_measured_there_are_no_means(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    (tmp_path / "pairs.tsv").write_text(f"a cat\tbroken.png\na dog\t{'x' * 400}.png\n", encoding="utf-8")
    result = evaluate(tmp_path / "pairs.tsv", tmp_path / "out.csv")
    assert result.exit_code == 3
    means = json.loads((tmp_path / "out.summary.json").read_text())["means"]
    assert means
    assert all(mean["mean"] is None and mean["unmeasured"] == 2 for mean in means)


def test_the_summary_says_how_words_were_weighted_and_a_resumed_run_keeps_to_it(folder, tmp_path):
    out = tmp_path / "out.csv"
    minmax = evaluate(folder / "pairs.tsv", tmp_path / "minmax.csv", "--pairs", str(PAIRS))
    median = evaluate(folder / "pairs.tsv", out, "--pairs", str(PAIRS), "--preset", "natural")
    assert "--text-mask minmax" in minmax.stdout
    assert "--text-mask median" in median.stdout
    summary = json.loads(out.with_suffix(".summary.json").read_text())
    assert summary["settings"]["text mask"] == "median"
    assert [row["text_drop"] for row in rows_of(out)] != [row["text_drop"] for row in rows_of(tmp_path / "minmax.csv")]
    other = evaluate(folder / "pairs.tsv", out, "--pairs", str(PAIRS), "--text-mask", "minmax", "--resume")
    assert "made with other settings (text mask)" in other.stderr


def test_a_run_that_was_interrupted_goes_on_where_it_stopped(folder, tmp_path, monkeypatch, whole):
    out, read = tmp_path / "out.csv", []

    def interrupted(path):
        if len(read) == 8:  # the first batch was explained
            raise KeyboardInterrupt
        read.append(path)
        return read_image(path)

    monkeypatch.setattr(evaluation_run, "read_image", interrupted)
    cut = evaluate(folder / "pairs.tsv", out, "--pairs", str(PAIRS))
    assert cut.exit_code == 1
    assert "--resume" in cut.stderr
    assert not out.with_suffix(".summary.json").exists()
    before = out.read_text()
    with out.open("a") as stream:  # and a machine that lost its power in the middle of a row
        stream.write("3,im")
    monkeypatch.setattr(evaluation_run, "read_image", read_image)
    resumed = evaluate(folder / "pairs.tsv", out, "--pairs", str(PAIRS), "--resume")
    assert resumed.exit_code == 0
    assert "8 rows existed already" in resumed.stderr
    assert out.read_text().startswith(before)  # seconds and all: nothing was computed again
    for row, undisturbed in zip(without_seconds(out), without_seconds(whole[0]), strict=True):
        assert row["row"] == undisturbed["row"]
        assert float(row["image_drop"]) == pytest.approx(float(undisturbed["image_drop"]), abs=1e-2)


def test_a_resumed_run_measures_pairs_again_that_lack_one_of_the_methods(folder, tmp_path):
    out, flags = tmp_path / "out.csv", ("--pairs", "3", "--method", "nib", "--method", "rollout")
    assert evaluate(folder / "pairs.tsv", out, *flags).exit_code == 0
    undisturbed = without_seconds(out)
    lines = out.read_text().splitlines(keepends=True)
    out.write_text("".join(lines[:-1]))  # killed between two rows of one pair
    resumed = evaluate(folder / "pairs.tsv", out, *flags, "--resume")
    assert resumed.exit_code == 0
    assert "4 rows existed already" in resumed.stderr
    assert [(row["row"], row["method"]) for row in without_seconds(out)] == [
        (row["row"], row["method"]) for row in undisturbed
    ]


def test_an_error_of_our_own_on_one_pair_is_its_row_and_the_others_are_measured(folder, tmp_path, monkeypatch):
    def fragile(method, pairs):
        if any("stone" in word for of_pair in pairs.tokens.words for word, _ in of_pair):
            raise TypeError("an error of our own")
        return attribute(method, pairs)

    attribute = NIB.attribute
    monkeypatch.setattr(NIB, "attribute", fragile)
    table, out = changed(folder, tmp_path, [f"stone\t{folder / '0.png'}"]), tmp_path / "out.csv"
    assert evaluate(table, out).exit_code == 3
    errors = {row["row"]: row["error"] for row in rows_of(out) if row["error"]}
    assert list(errors) == ["11"]
    assert "failed (TypeError)" in errors["11"]
    assert len(rows_of(out)) == PAIRS + 1


def test_a_resumed_run_tries_again_what_could_not_be_read(folder, tmp_path):
    table, out = changed(folder, tmp_path, ["a dog\tlate.png"]), tmp_path / "out.csv"
    assert evaluate(table, out).exit_code == 3
    Image.fromarray(np.zeros((9, 9), dtype=np.uint8)).save(tmp_path / "late.png")
    done = evaluate(table, out, "--resume")
    assert done.exit_code == 0
    assert "10 rows existed already" in done.stderr
    assert len(rows_of(out)) == PAIRS + 1


@pytest.mark.parametrize(
    ("flags", "setting"),
    [
        pytest.param(["--seed", "9"], "seed", id="seed"),
        pytest.param(["--pairs", "4"], "samples", id="samples"),
        pytest.param(["--method", "rollout"], "methods", id="another method"),
        pytest.param(["--set", "all.image_layer=1"], "methods", id="a number of the method"),
        pytest.param(["--fit", "letterbox"], "fit", id="fit"),
    ],
)
def test_a_run_is_not_resumed_with_other_settings(folder, tmp_path, flags, setting):
    out = tmp_path / "out.csv"
    assert evaluate(folder / "pairs.tsv", out, "--pairs", "2").exit_code == 0
    before = out.read_text()
    refused = evaluate(folder / "pairs.tsv", out, "--pairs", "2", *flags, "--resume")
    assert refused.exit_code == 1
    assert f"other settings ({setting})" in refused.stderr
    assert out.read_text() == before


def test_a_run_is_not_resumed_with_another_table(folder, tmp_path):
    out = tmp_path / "out.csv"
    table = changed(folder, tmp_path, [])
    assert evaluate(table, out, "--pairs", "2").exit_code == 0
    table = changed(folder, tmp_path, ["one\tmore.png"])
    assert "table sha256" in evaluate(table, out, "--pairs", "2", "--resume").stderr


def test_a_file_that_is_there_is_kept_unless_it_is_to_be_replaced(folder, tmp_path):
    out = tmp_path / "out.csv"
    out.write_text("precious")
    kept = evaluate(folder / "pairs.tsv", out, "--pairs", "2")
    assert kept.exit_code == 1
    assert "--overwrite" in kept.stderr
    assert "was not written by an evaluation" in evaluate_foreign(folder, out).stderr
    assert out.read_text() == "precious"
    assert evaluate(folder / "pairs.tsv", out, "--pairs", "2", "--overwrite").exit_code == 0
    assert len(rows_of(out)) == 2


def evaluate_foreign(folder: Path, out: Path) -> Result:
    """Resume with a file that is no evaluation's, beside a record that would fit."""
    other = out.with_name("other.csv")
    assert evaluate(folder / "pairs.tsv", other, "--pairs", "2").exit_code == 0
    out.with_suffix(".run.json").write_bytes(other.with_suffix(".run.json").read_bytes())
    return evaluate(folder / "pairs.tsv", out, "--pairs", "2", "--resume")


def test_no_caption_is_printed_or_written_even_where_it_is_too_long(folder, tmp_path):
    long = "Mr Miller " + "has an opacity in the left lung and " * 30
    table, out = changed(folder, tmp_path, [f"{long}\t{folder / '0.png'}"]), tmp_path / "out.csv"
    result = evaluate(table, out)
    assert result.exit_code == 0
    assert "Captions truncated to the model's context length: 1" in result.stderr
    (note,) = (row["note"] for row in rows_of(out) if row["row"] == "11")
    assert "its end was not read" in note
    told = [result.output, *(path.read_text() for path in tmp_path.glob("out.*"))]
    assert len(told) == 5
    captions = [line.split("\t")[0] for line in table.read_text().splitlines()]
    assert not [caption for caption in [*captions, "Miller"] for text in told if caption in text]


def test_colour_reaches_the_model(folder, tmp_path):
    grey = np.asarray(Image.open(folder / "1.jpg"))
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(np.stack([grey, grey // 2, 255 - grey], axis=-1)).save(tmp_path / "colour.png")
    (tmp_path / "pairs.csv").write_text("file,sentence\ngrey.png,left effusion\ncolour.png,left effusion\n")
    assert evaluate(tmp_path / "pairs.csv", tmp_path / "out.csv").exit_code == 0
    cosine = {row["image"]: float(row["cosine"]) for row in rows_of(tmp_path / "out.csv")}
    assert abs(cosine["grey.png"] - cosine["colour.png"]) > 0.01


def test_several_methods_have_a_row_each_and_one_without_words_no_text_scores(folder, tmp_path):
    out = tmp_path / "out.csv"
    flags = [
        "--pairs",
        "2",
        "--method",
        "rollout",
        "--method",
        "m2ib",
        "--set",
        "all.steps=2",
        "--set",
        "all.samples=1",
    ]
    result = evaluate(folder / "pairs.tsv", out, *flags)
    assert result.exit_code == 0, result.output
    rows = rows_of(out)
    assert [row["method"] for row in rows] == ["nib", "nib", "rollout", "rollout", "m2ib", "m2ib"]
    assert [bool(row["image_drop"]) for row in rows] == [True] * 6
    assert [bool(row["text_drop"]) for row in rows] == [True, True, False, False, True, True]
    means = json.loads(out.with_suffix(".summary.json").read_text())["means"]
    assert {mean["method"]: mean["mean"] for mean in means if mean["score"] == "text drop"}["rollout"] is None


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        pytest.param(["--method", "lime"], "--method lime: unknown", id="unknown method"),
        pytest.param(["--set", "all.beta=2"], "all.beta is a number of m2ib", id="a number of another method"),
        pytest.param(["--set", "iba.beta=2"], "iba is not among the methods (nib)", id="set for another method"),
        pytest.param(["--set", "nib.steps=few"], "few is not a whole number", id="set to a word"),
        pytest.param(["--set", "all.image_layer=40"], "do not fit the model", id="no such layer"),
        pytest.param(["--resume", "--overwrite"], "give one of them", id="resume and overwrite"),
        pytest.param(["--output-path", "out.xlsx"], "suffix .csv", id="no CSV"),
        pytest.param(["--output-path", "none/out.csv"], "make it first", id="no folder"),
        pytest.param(["--data-path", "none.tsv"], "cannot be read", id="no table"),
        pytest.param(["--image-root", "nowhere"], "--image-root", id="no images there"),
        pytest.param(["--device", "tpu:1"], "--device tpu:1", id="no such device"),
    ],
)
def test_a_mistake_is_one_line_and_status_1_and_writes_nothing(folder, tmp_path, flags, words):
    result = evaluate(folder / "pairs.tsv", tmp_path / "out.csv", *flags)
    assert result.exit_code == 1
    assert words in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
