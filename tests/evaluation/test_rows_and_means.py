"""The file of measurements, cut anywhere, and the means over it beside numpy's."""

import csv
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.experiments.evaluation_pairs import Measurement, append, read_measurements, rewrite
from audit.experiments.evaluation_summary import as_csv, as_text, summarise
from pipelines.errors import OutputError

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=9) | st.sampled_from(
    ["a\nb.png", 'say "so".png', "a,b.png", "=1+1.png", "-x.png", "@me", "\tc"]
)
SCORES = st.none() | st.floats(-200, 200).map(lambda value: float(f"{value:.6g}"))
MEASUREMENTS = st.builds(
    Measurement,
    row=st.integers(1, 10**7),
    image=NAMES.filter(lambda name: not name.startswith("'")),
    method=st.sampled_from(["m2ib", "nib"]),
    cosine=SCORES,
    image_drop=SCORES,
    shuffled_text_increase=SCORES,
    seconds=SCORES,
    error=st.none() | st.just("cannot be read (No such file); check it"),
    note=st.none() | st.just("cut"),
)


def plain(measurement: Measurement) -> Measurement:
    """What the file gives back: a name that a spreadsheet would run keeps its apostrophe, and -0 is 0."""
    starts = ("=", "+", "-", "@", "\t", "\r")
    name = f"'{measurement.image}" if measurement.image.startswith(starts) else measurement.image
    return replace(measurement, image=name)


@given(measurements=st.lists(MEASUREMENTS, max_size=5), share=st.floats(0, 1))
def test_a_file_cut_anywhere_gives_back_its_whole_rows(tmp_path_factory, measurements, share):
    path = tmp_path_factory.getbasetemp() / "cut.csv"
    rewrite(path, [])
    header = path.read_bytes()
    for measurement in measurements:
        append(path, [measurement])
    body = path.read_bytes().removeprefix(header)
    path.write_bytes(header + body[: round(share * len(body))].decode(errors="ignore").encode())
    kept = read_measurements(path)
    assert kept == tuple(map(plain, measurements))[: len(kept)]
    if share == 1.0:
        assert len(kept) == len(measurements)
    rewrite(path, kept)
    assert read_measurements(path) == tuple(map(plain, kept))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(
            lambda text: text.replace("cosine", "similarity"), "was not written by an evaluation", id="other header"
        ),
        pytest.param(lambda text: text[:0], "was not written by an evaluation", id="empty"),
        pytest.param(lambda text: text.replace("0.25", "a lot"), "changed by hand", id="no number"),
        pytest.param(lambda text: text + "1,2\n", "changed by hand", id="a short row"),
    ],
)
def test_a_file_that_cannot_be_gone_on_with_is_refused(tmp_path, change, words):
    path = tmp_path / "out.csv"
    rewrite(path, [Measurement(row=3, image="a.png", method="m2ib", cosine=0.25)])
    path.write_text(change(path.read_text()))
    with pytest.raises(OutputError, match=words):
        read_measurements(path)
    path.unlink()
    with pytest.raises(OutputError, match="cannot be read"):
        read_measurements(path)


def test_what_cannot_be_written_says_so(tmp_path):
    for path in (tmp_path / "none" / "out.csv", Path("/dev/full")):
        with pytest.raises(OutputError, match="cannot be written"):
            append(path, [Measurement(row=1, image="a.png", method="m2ib")])


def many(seed: int = 0, pairs: int = 40) -> list[Measurement]:
    random = np.random.default_rng(seed)
    return [
        Measurement(
            row=index,
            image=f"{index // 2}.png",
            method=method,
            cosine=random.normal(),
            image_drop=random.random(),
            shuffled_image_drop=random.random() + 1.0,
            text_drop=random.random() if index % 3 else None,
            shuffled_text_drop=random.random() if index % 3 else None,
        )
        for method in ("nib", "m2ib")
        for index in range(pairs)
    ]


def test_means_are_numpys_over_what_was_measured_and_methods_keep_their_order():
    measurements = many()
    means = summarise(measurements)
    assert list(dict.fromkeys(mean.method for mean in means)) == ["nib", "m2ib"]
    for mean in means:
        own = [m for m in measurements if m.method == mean.method]
        values = [value for m in own if (value := asdict(m)[mean.score.replace(" ", "_")]) is not None]
        assert (mean.pairs, mean.unmeasured) == (len(values), 40 - len(values))
        assert mean.mean == (pytest.approx(np.mean(values)) if values else None)
    by_score = {mean.score: mean for mean in means if mean.method == "nib"}
    assert by_score["image drop"].difference == pytest.approx(
        np.mean([m.image_drop - m.shuffled_image_drop for m in measurements if m.method == "nib"])
    )
    assert by_score["image drop"].difference_high < -0.5
    assert (by_score["image drop"].images, by_score["text drop"].pairs) == (20, 26)
    assert by_score["cosine"].difference is None


def test_intervals_are_over_images():
    alone = [replace(m, image=f"{m.row}.png") for m in many()]
    together = [replace(m, image="one.png") for m in many()]
    several, one = (
        next(mean for mean in summarise(measured) if mean.score == "image drop") for measured in (alone, together)
    )
    assert 0.0 < several.low < several.mean < several.high < 1.0
    assert (one.mean, one.low, one.high) == (pytest.approx(several.mean), 0.0, 1.0)  # one image tells nothing of others


def test_the_table_and_the_csv_say_what_the_means_say():
    means = summarise(many())
    lines = as_text(means).splitlines()
    assert len(lines) == 1 + len(means)
    assert all(line.endswith(str(mean.pairs)) for line, mean in zip(lines[1:], means, strict=True))
    assert "lower is better" in lines[2]
    unmeasured = next(line for line, mean in zip(lines[1:], means, strict=True) if mean.mean is None)
    assert unmeasured.split()[-2:] == ["-", "0"]
    rows = list(csv.DictReader(as_csv(means).splitlines()))
    assert [row["score"] for row in rows] == [mean.score for mean in means]
    assert [float(row["mean"]) if row["mean"] else None for row in rows] == [mean.mean for mean in means]
