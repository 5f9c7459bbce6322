"""The command ``baselines``: a table on stdout, everything else on stderr."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from audit.cli import app
from pipelines.phantom.cohort import make_cohort

VINDR = "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max\n" + "".join(
    f"im{image},Cardiomegaly,3,R{reader},{100 + 10 * reader},200,{400 + image},500\n"
    for image in range(4)
    for reader in range(3)
)


def test_it_prints_readers_against_readers_and_names_what_it_left_out(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_text(VINDR + "im9,Mass,8,R1,5,5,5,9\n" * 7, encoding="utf-8")
    result = CliRunner().invoke(app, ["baselines", "--boxes", str(path), "--out", str(tmp_path / "scores.csv")])
    assert result.exit_code == 0
    assert "12 boxes of 1 finding on 4 images; each image is left out" in result.stdout
    (line,) = (line for line in result.stdout.splitlines() if "Another reader" in line)
    assert line.split()[:5] == ["all", "(micro)", "Another", "reader", "1.000"]
    assert "image_height" in result.stdout
    assert result.stderr.count("train.csv row") == 5
    assert "and 2 more excluded rows" in result.stderr
    assert (tmp_path / "scores.csv").read_text(encoding="utf-8").startswith("finding,averaging,method,score,estimate")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param(["--boxes-format", "NIH CSV"], "is not in the format NIH CSV", id="another format"),
        pytest.param(["--out", "scores.xlsx"], "neither .csv nor .json", id="another suffix"),
        pytest.param(["--boxes", "none.csv"], "does not exist", id="no file"),
    ],
)
def test_a_mistake_is_one_line_and_status_1(tmp_path: Path, options: list[str], words: str) -> None:
    path = tmp_path / "train.csv"
    path.write_text(VINDR, encoding="utf-8")
    result = CliRunner().invoke(app, ["baselines", "--boxes", str(path), *options])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert words in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_the_named_format_is_used_and_the_same_file_gives_the_same_table(tmp_path: Path) -> None:
    path = tmp_path / "boxes.csv"
    rows = "".join(f"i{n},Nodule,{37 * n % 80},{53 * n % 80},{5 + n},{9 + n},100,100\n" for n in range(12))
    path.write_text("image,label,x,y,width,height,image_height,image_width\n" + rows, encoding="utf-8")
    base = ["baselines", "--boxes", str(path), "--boxes-format"]
    one, again = (CliRunner().invoke(app, [*base, "generic csv"]).stdout for _ in range(2))
    assert "Class-mean box" in one
    assert one == again
    assert CliRunner().invoke(app, [*base, "NIH CSV"]).exit_code == 1


def test_a_table_that_says_no_sizes_and_no_readers_says_what_to_add_instead_of_an_empty_table(tmp_path: Path) -> None:
    make_cohort(tmp_path, count=2, seed=3, columns=64, brief=True)
    result = CliRunner().invoke(app, ["baselines", "--boxes", str(tmp_path / "boxes.csv")])
    assert result.exit_code == 0, result.stderr
    assert "Nothing could be scored:\n- " in result.stdout
    assert "add columns image_height and image_width, in px, to the box file" in result.stdout
    assert "- no human reference: the file names fewer than two readers" in result.stdout
    lines = (tmp_path / "boxes.csv").read_text(encoding="utf-8").splitlines()
    sized = tmp_path / "sized.csv"
    sized.write_text(
        "\n".join([f"{lines[0]},image_height,image_width", *(f"{line},70,64" for line in lines[1:])]), encoding="utf-8"
    )
    done = CliRunner().invoke(app, ["baselines", "--boxes", str(sized)])
    assert "Nothing could be scored" not in done.stdout
    assert any("Random point" in line or "random" in line.casefold() for line in done.stdout.splitlines())
