"""References of a box file, counted again by loops over boxes made up here."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.experiments.baseline_tables import baselines_of_file, text_table
from audit.experiments.baselines import PUBLISHED, Baselines, baselines_of
from pipelines.boxes import BoxRow
from pipelines.errors import BoxError, OutputError
from pipelines.study import Box
from reports.run_record import ScoreSummary
from reports.score_catalogue import HUMAN

HIT = "pointing game, tau 0"
FRAME = (1024, 1024)


def row(
    image: str,
    corners: tuple[float, float, float, float],
    *,
    label: str = "nodule",
    reader: str | None = None,
    frame: tuple[int, int] | None = FRAME,
    patient: str | None = None,
    phrase: str | None = None,
) -> BoxRow:
    x0, y0, x1, y1 = corners
    box = Box(x=x0, y=y0, width=x1 - x0, height=y1 - y0, label=label, reader=reader, phrase=phrase)
    return BoxRow(image=image, box=box, frame=frame, source=f"row of {image}", patient=patient)


def found(
    baselines: Baselines, method: str, score: str = HIT, *, finding: str | None = None, averaging: str = "micro"
) -> ScoreSummary:
    return next(
        s
        for s in baselines.summaries
        if (s.method, s.score, s.finding, s.averaging) == (method, score, finding, averaging)
    )


def made_up_cohort(seed: int, images: int = 30) -> list[BoxRow]:
    """Boxes on a grid of 8 px, the size of a cell, so that cells touched and cells whose centre is inside agree."""
    rng, rows = np.random.default_rng(seed), []
    for image in range(images):
        for label in ("nodule", "pleural effusion"):
            for _ in range(int(rng.integers(0, 3))):
                x, y = (int(v) * 8 for v in rng.integers(0, 90, 2))
                width, height = (int(v) * 8 for v in rng.integers(1, 38, 2))
                rows.append(row(f"{image}.png", (x, y, x + width, y + height), label=label))
    return rows


def masks_by_image(rows: list[BoxRow], label: str) -> dict[str, np.ndarray]:
    masks: dict[str, np.ndarray] = {}
    for each in rows:
        if each.box.label == label:
            mask = masks.setdefault(each.image, np.zeros((128, 128), bool))
            box = each.box
            mask[int(box.y / 8) : int((box.y + box.height) / 8), int(box.x / 8) : int((box.x + box.width) / 8)] = True
    return masks


@pytest.mark.parametrize("seed", range(3))
def test_the_published_rule_is_the_first_hottest_cell_of_the_other_images_boxes(seed: int) -> None:
    rows = made_up_cohort(seed)
    hits = []
    for label in ("nodule", "pleural effusion"):
        masks = masks_by_image(rows, label)
        for image, mask in masks.items():
            others = np.sum([other for name, other in masks.items() if name != image], axis=0)
            hits.append(bool(mask[np.unravel_index(others.argmax(), others.shape)]))
    summary = found(baselines_of(rows), PUBLISHED)
    assert summary.estimate == pytest.approx(np.mean(hits))
    assert (summary.scored, summary.unscored) == (len(hits), 0)


def test_a_cell_that_a_box_only_touches_is_a_hit_by_the_published_rule_alone() -> None:
    """The mean box's cell spans 512 to 520 px; the other box begins at 519."""
    rows = [row("a.png", (512, 512, 520, 520)), row("b.png", (519, 512, 527, 520))]
    baselines = baselines_of(rows)
    assert found(baselines, PUBLISHED).estimate == 1.0
    assert found(baselines, "class-mean box").estimate < 1.0


def test_a_patients_other_images_are_left_out_where_the_file_names_patients() -> None:
    """Two images of p agree, and the only other patient points elsewhere."""
    p1, p2, q = (0, 0, 200, 200), (0, 0, 200, 200), (800, 800, 1000, 1000)
    named = [row("a", p1, patient="p"), row("b", p2, patient="p"), row("c", q, patient="q")]
    nameless = [row("a", p1), row("b", p2), row("c", q)]
    assert found(baselines_of(named), "class-mean box").estimate == 0.0
    assert found(baselines_of(nameless), "class-mean box").estimate == pytest.approx(2 / 3)
    assert (baselines_of(named).patients, baselines_of(nameless).patients) == (2, None)


def test_boxes_of_one_finding_on_one_image_are_one_target() -> None:
    rows = [row("a", (0, 0, 512, 512)), row("a", (512, 512, 1024, 1024)), row("b", (0, 0, 512, 1024))]
    random = found(baselines_of(rows), "random")
    assert (random.estimate, random.scored) == (0.5, 2)


def test_sentences_give_a_words_only_prior_and_their_absence_none() -> None:
    left, right = (700, 300, 800, 400), (200, 300, 300, 400)
    rows = [
        *(row(f"l{i}", left, phrase="nodule in the left upper lobe") for i in range(3)),
        *(row(f"r{i}", right, phrase="nodule in the right upper lobe") for i in range(2)),
    ]
    baselines = baselines_of(rows)
    assert found(baselines, "words-only prior").estimate == 1.0
    assert found(baselines, "class-mean box").estimate == pytest.approx(0.6)
    silent = baselines_of([row("a", left), row("b", right)])
    assert "words-only prior" not in {summary.method for summary in silent.summaries}


corner = st.integers(0, 40)
drawn = st.lists(
    st.tuples(
        st.sampled_from(["i", "j"]), st.sampled_from("ABC"), corner, corner, st.integers(1, 30), st.integers(1, 30)
    ),
    min_size=2,
    max_size=9,
)


@given(drawn)
@settings(max_examples=60, deadline=None)
def test_readers_are_counted_pair_by_pair(boxes: list[tuple[str, str, int, int, int, int]]) -> None:
    """Every ordered pair of readers of an image counts once, by a loop."""
    rows = [row(image, (x, y, x + w, y + h), reader=reader, frame=None) for image, reader, x, y, w, h in boxes]
    hits = []
    for image in "ij":
        for one in "ABC":
            for other in "ABC":
                mine = [b[2:] for b in boxes if b[:2] == (image, one)]
                theirs = [b[2:] for b in boxes if b[:2] == (image, other)]
                if one == other or not mine or not theirs:
                    continue
                x, y, w, h = max(mine, key=lambda b: b[2] * b[3])
                hits.append(any(u <= x + w / 2 <= u + p and v <= y + h / 2 <= v + q for u, v, p, q in theirs))
    baselines = baselines_of(rows)
    if not hits:
        assert HUMAN not in {summary.method for summary in baselines.summaries}
    else:
        summary = found(baselines, HUMAN)
        assert (summary.estimate, summary.scored) == (pytest.approx(np.mean(hits)), len(hits))


def test_without_the_images_size_only_readers_are_scored_and_the_mend_is_named() -> None:
    rows = [row("a", (0, 0, 9, 9), reader="A", frame=None), row("a", (1, 1, 9, 9), reader="B", frame=None)]
    baselines = baselines_of(rows)
    assert {summary.method for summary in baselines.summaries} == {HUMAN}
    assert found(baselines, HUMAN, "IoU at Otsu").estimate == pytest.approx(64 / 81)
    (note,) = baselines.notes
    assert "image_height" in note


def test_no_box_is_no_baseline() -> None:
    with pytest.raises(BoxError, match="contains no usable box"):
        baselines_of([])


NIH = (
    "Image Index,Finding Label,Bbox [x,y,w,h],,,\n"
    + "".join(f"0000000{i}_000.png,Mass,{300 + 5 * i},{400 - 7 * i},200.5,180\n" for i in range(6))
    + "".join(f"0000000{i}_000.png,=Odd,{100 + 40 * i},{700 - 7 * i},100,100\n" for i in range(3))
    + "00000009_000.png,Mass,1,2,0,4\n"
)


def test_a_file_becomes_a_table_with_every_finding_and_its_references(tmp_path: Path) -> None:
    (tmp_path / "boxes.csv").write_text(NIH, encoding="utf-8")
    result = baselines_of_file(tmp_path / "boxes.csv")
    lines = text_table(result.baselines).splitlines()
    assert lines[0].startswith("9 boxes of 2 findings on 6 images of 6 patients; each patient is left out")
    assert "hit" in lines[3].split()
    assert {line.split("  ")[0] for line in lines[4:]} >= {"all (micro)", "all (macro)", "=odd", "mass"}
    mass = next(line for line in lines if line.startswith("mass") and "Class-mean box " in line)
    assert "1.000 [0.610, 1.000]" in mass  # six hits of six patients
    assert mass.endswith(" 6")
    assert [item.failed for item in result.left_out] == [True, False]


def test_every_score_is_written_as_csv_and_as_json(tmp_path: Path) -> None:
    (tmp_path / "boxes.csv").write_text(NIH, encoding="utf-8")
    for name in ("out.csv", "out.JSON"):
        baselines = baselines_of_file(tmp_path / "boxes.csv", out=tmp_path / name).baselines
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    content = json.loads((tmp_path / "out.JSON").read_text(encoding="utf-8"))
    assert len(rows) == len(content["scores"]) == len(baselines.summaries)
    wanted = found(baselines, "class-mean box", "average precision", finding="mass")
    for written in (rows, content["scores"]):
        (cell,) = [
            r for r in written if (r["finding"], r["method"], r["score"]) == ("mass", "class-mean box", wanted.score)
        ]
        assert float(cell["estimate"]) == wanted.estimate
        assert int(cell["scored"]) == wanted.scored
    assert "'=odd" in {r["finding"] for r in rows}
    assert content["patients"] == 6


def test_another_suffix_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"neither \.csv nor \.json"):
        baselines_of_file(tmp_path / "missing.csv", out=tmp_path / "out.xlsx")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "boxes.csv").write_text(NIH, encoding="utf-8")
    with pytest.raises(OutputError, match="cannot be written"):
        baselines_of_file(tmp_path / "boxes.csv", out=tmp_path / "none" / "out.csv")
