"""Tables of captions and images in every form that they come in, and the draw from them."""

import csv
import gzip
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.experiments.pair_table import PairTable, read_pair_table
from pipelines.errors import InputError

CAPTIONS = ("a man, a dog", "left pleural effusion", 'the "cold" sea', "two birds on a wire")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for index in range(len(CAPTIONS)):
        (tmp_path / f"{index}.jpg").touch()
    return tmp_path


def table(folder: Path, text: str | bytes, name: str = "pairs.tsv") -> PairTable:
    (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return read_pair_table(folder / name)


def pairs(read: PairTable) -> dict[str, str]:
    return {row.image: row.caption for row in read.draw(10_000, seed=0) if row.wrong is None}


def written(delimiter: str, order: tuple[int, int], header: tuple[str, str] | None, quoting: int) -> str:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator="\n")
    cells = [(caption, f"{index}.jpg") for index, caption in enumerate(CAPTIONS)]
    writer.writerows([tuple(row[place] for place in order) for row in [*([header] if header else []), *cells]])
    return text.getvalue()


EXPECTED = {f"{index}.jpg": caption for index, caption in enumerate(CAPTIONS)}


@pytest.mark.parametrize("delimiter", ["\t", ",", ";", "|"], ids=["tab", "comma", "semicolon", "bar"])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["caption first", "image first"])
@pytest.mark.parametrize(
    "header",
    [None, ("caption", "path"), ("Sentence", "Image Path"), ("what is seen", "where it lies")],
    ids=["no header", "plain names", "other names", "unknown names"],
)
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL], ids=["few quotes", "all quoted"])
def test_every_delimiter_order_header_and_quoting_gives_the_same_pairs(folder, delimiter, order, header, quoting):
    read = table(folder, written(delimiter, order, header, quoting))
    assert pairs(read) == EXPECTED
    assert read.rows == len(CAPTIONS)


@pytest.mark.parametrize(
    "pack",
    [
        pytest.param(lambda text: text.encode(), id="as it is"),
        pytest.param(lambda text: b"\xef\xbb\xbf" + text.encode(), id="byte order mark"),
        pytest.param(lambda text: ("\ufeff" + text).encode("utf-16-le"), id="UTF-16"),
        pytest.param(lambda text: gzip.compress(text.encode()), id="gzip"),
        pytest.param(lambda text: text.replace("\n", "\r\n").encode(), id="Windows lines"),
        pytest.param(lambda text: text.rstrip("\n").encode(), id="no last newline"),
        pytest.param(lambda text: ("\n" + text + "\n\n").encode(), id="blank lines"),
    ],
)
def test_encoding_packing_and_line_ends_make_no_difference(folder, pack):
    assert pairs(table(folder, pack(written("\t", (0, 1), None, csv.QUOTE_MINIMAL)))) == EXPECTED


def test_quotes_of_an_unquoted_table_are_part_of_the_caption(folder):
    """Conceptual Captions is not quoted: a caption that opens a quote must swallow nothing."""
    text = "".join(f"{caption}\t{index}.jpg\n" for index, caption in enumerate(('"so', 'it" goes', "on, and on", '"')))
    expected = {"0.jpg": '"so', "1.jpg": 'it" goes', "2.jpg": "on, and on", "3.jpg": '"'}
    assert pairs(table(folder, text)) == expected


def test_a_quoted_caption_may_have_many_lines(folder):
    report = "FINDINGS: none, really.\nThe heart, as ever,\nis normal.\n\nIMPRESSION: none."
    text = "image,report\n" + "".join(f'{index}.jpg,"{report}"\n' for index in range(4))
    assert set(pairs(table(folder, text, "pairs.csv")).values()) == {report}


def test_among_several_columns_of_images_the_one_with_files_is_taken(folder):
    text = "image,caption,path\n" + "".join(f"id{index},words here,{index}.jpg\n" for index in range(4))
    assert set(pairs(table(folder, text))) == set(EXPECTED)


def test_a_named_column_of_captions_wins_over_a_wordier_one_where_only_the_images_are_unnamed(folder):
    text = "ImageID,Report,Comment\n" + "".join(
        f"{index}.jpg,no nodule,read on a late winter day\n" for index in range(4)
    )
    assert set(pairs(table(folder, text)).values()) == {"no nodule"}


def test_a_table_of_a_header_alone_has_no_rows(folder):
    assert table(folder, "caption,path\n").rows == 0


def test_without_a_header_the_wordiest_column_beside_the_images_has_the_captions(folder):
    text = "".join(f"{index}\ttrain\t{index}.jpg\tno acute disease is seen\n" for index in range(4))
    assert set(pairs(table(folder, text)).values()) == {"no acute disease is seen"}


def test_paths_begin_where_the_image_root_says(tmp_path):
    root = tmp_path / "images"
    (root / "p10").mkdir(parents=True)
    (root / "p10" / "film").touch()  # no suffix: only its being there tells
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "pairs.tsv").write_text("a film\tp10/film\n" * 2)
    read = read_pair_table(tmp_path / "t" / "pairs.tsv", image_root=root)
    (first, _) = read.draw(2, seed=0)
    assert read.file_of(first) == root / "p10" / "film"
    with pytest.raises(InputError, match="--image-root"):
        read_pair_table(tmp_path / "t" / "pairs.tsv")


def test_an_absolute_path_is_left_as_it_is(folder):
    path = folder / "0.jpg"
    read = table(folder, f"a film\t{path}\n")
    assert read.file_of(read.draw(1, seed=0)[0]) == path


@pytest.mark.parametrize(
    ("line", "words"),
    [
        pytest.param("alone", "1 cells and not 2", id="too few cells"),
        pytest.param("one\ttwo\tthree", "3 cells and not 2", id="too many cells"),
        pytest.param("\t3.jpg", "no caption", id="no caption"),
        pytest.param("a dog\t", "names no image", id="no image"),
        pytest.param("a dog\thttp://example.org/a.jpg", "web address", id="a web address"),
    ],
)
def test_a_wrong_row_is_drawn_with_its_reason_and_its_number(folder, line, words):
    read = table(folder, f"a\t0.jpg\n\nb\t1.jpg\n{line}\nc\t2.jpg\n")
    (wrong,) = (row for row in read.draw(9, seed=0) if row.wrong is not None)
    assert words in wrong.wrong
    assert wrong.number == 4
    assert read.rows == 4


def test_a_quote_that_is_not_closed_makes_one_row_wrong(folder):
    rows = "".join(f'"a, b",{index}.jpg\n' for index in range(4))
    read = table(folder, "caption,image\n" + rows + '"a" b,0.jpg\n')
    assert [(row.number, "double quote" in row.wrong) for row in read.draw(9, seed=0) if row.wrong] == [(6, True)]
    assert pairs(read) == dict.fromkeys(EXPECTED, "a, b")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("", "two columns or more", id="empty"),
        pytest.param("only one column\nof words\n", "two columns or more", id="one column"),
        pytest.param("a\tb\nc\td\n", "no column contains image paths", id="no paths"),
        pytest.param(b"\x00\x01", "not a text file", id="binary"),
    ],
)
def test_what_is_no_table_of_pairs_is_refused_by_name(tmp_path, text, words):
    with pytest.raises(InputError, match=words) as caught:
        table(tmp_path, text)
    assert "pairs.tsv" in str(caught.value)


def test_a_message_repeats_no_caption(tmp_path):
    with pytest.raises(InputError) as caught:
        table(tmp_path, "Mr Miller of 12 High Street\tcough\nSmith\tfever\n")
    assert "Miller" not in str(caught.value)
    read = table(tmp_path, "Mr Miller of 12 High Street\ta.png\n")
    assert "Miller" not in repr(read)


def test_empty_cells_behind_the_last_column_do_no_harm(folder):
    assert pairs(table(folder, "a\t0.jpg\nb\t1.jpg\nc\t2.jpg\nd\t3.jpg\t\t\n")).keys() == EXPECTED.keys()


@given(
    captions=st.lists(
        st.text(st.sampled_from("ab \",;|\n'="), min_size=1).map(str.strip).filter(bool), min_size=1, max_size=8
    ),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_whatever_the_captions_hold_a_quoted_table_gives_them_back(tmp_path_factory, captions, quoting):
    path = tmp_path_factory.getbasetemp() / "any.tsv"
    with path.open("w", newline="") as stream:
        rows = ((caption, f"{index}.png") for index, caption in enumerate(captions))
        csv.writer(stream, delimiter="\t", quoting=quoting, lineterminator="\n").writerows(rows)
    assert pairs(read_pair_table(path)) == {f"{index}.png": caption for index, caption in enumerate(captions)}


@given(seed=st.integers(0, 99), count=st.integers(1, 40), more=st.integers(0, 40))
def test_a_draw_is_without_replacement_and_the_start_of_a_larger_one(tmp_path_factory, seed, count, more):
    path = tmp_path_factory.getbasetemp() / "draw.tsv"
    path.write_text("".join(f"a film of {index}\t{index}.png\n" for index in range(30)))
    read = read_pair_table(path)
    rows = read.draw(count, seed=seed)
    assert len({row.number for row in rows}) == len(rows) == min(count, 30)
    assert all(row.caption == f"a film of {row.image.removesuffix('.png')}" for row in rows)
    assert read.draw(count + more, seed=seed)[: len(rows)] == rows


def test_seeds_draw_differently_and_every_row_as_often(tmp_path):
    read = table(tmp_path, "".join(f"a film\t{index}.png\n" for index in range(10)))
    drawn = [row.number for seed in range(400) for row in read.draw(3, seed=seed)]
    counts = [drawn.count(number) for number in range(1, 11)]
    assert min(counts) > 120 - 5 * 120**0.5
    assert max(counts) < 120 + 5 * 120**0.5
