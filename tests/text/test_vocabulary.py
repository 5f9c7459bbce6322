"""The lists of words that are shown are what their page and the docs say, and name nobody."""

import csv
import re
from pathlib import Path

import pytest

from pipelines.findings import FINDINGS
from pipelines.privacy import vocabulary
from pipelines.privacy.masking import mask_report
from pipelines.privacy.vocabulary import is_clinical, is_common, is_known, is_report_word, may_be_name

LISTS = Path(vocabulary.__file__).parent
ROOT = Path(__file__).parents[2]


def words_of(name: str) -> set[str]:
    lines = (LISTS / name).read_text(encoding="ascii").splitlines()
    return {word for line in lines if not line.startswith("#") for word in line.split()}


@pytest.mark.parametrize("name", ["clinical.txt", "report.txt", "common.txt", "also_names.txt", "eponyms.txt"])
def test_the_page_beside_the_lists_counts_their_words(name: str) -> None:
    row = next(line for line in (LISTS / "README.md").read_text().splitlines() if line.startswith(f"| `{name}`"))
    assert f"{len(words_of(name)):,}" == row.split("|")[2].strip()


def test_the_docs_count_the_same() -> None:
    said = (ROOT / "docs" / "PRIVACY.md").read_text()
    for name in ("clinical.txt", "report.txt", "common.txt", "also_names.txt"):
        assert f"{len(words_of(name)):,}" in said


def test_the_lists_are_small() -> None:
    assert sum(file.stat().st_size for file in LISTS.glob("*.txt")) < 1_000_000


def test_words_of_common_english_are_not_names() -> None:
    names = "smith baker hill rose mary john grace hope carter bishop king park berlin paris reading young long white"
    assert not [name for name in names.split() if is_common(name)]


def test_words_of_reports_that_are_names_are_known_to_be() -> None:
    assert all(may_be_name(word) for word in ("long", "white", "young", "green", "brown", "black", "carina"))
    assert not any(may_be_name(word) for word in ("effusion", "opacity", "costophrenic"))


def test_every_word_of_a_finding_a_side_or_a_zone_is_clinical() -> None:
    words = {word for finding in FINDINGS for word in re.findall(r"[a-z]+", finding)}
    assert [word for word in sorted(words) if not is_clinical(word)] == []
    assert all(is_clinical(word) for word in ("left", "right", "upper", "apical", "no", "without", "effusions"))


SENTENCES = [
    row["sentence"]
    for row in csv.DictReader((Path(__file__).parent / "hard_sentences.csv").read_text(encoding="utf-8").splitlines())
]


def test_the_words_of_labelled_sentences_about_findings_are_shown() -> None:
    """None of them names anybody; at most one in two hundred may lose a word, and not one that says what is meant."""
    masked = {sentence: shown for sentence in SENTENCES if "[" in (shown := mask_report(sentence).text)}
    assert len(SENTENCES) > 500
    assert len(masked) <= len(SENTENCES) / 200, masked


@pytest.mark.parametrize(
    "sentence",
    ["Query right apical pneumothorax.", "Right hilum is bulky.", "Left LLZ and RUZ opacities, felt to be infective."],
)
def test_words_that_carry_the_meaning_of_a_sentence_are_shown(sentence: str) -> None:
    assert mask_report(sentence).text == sentence


def test_compounds_and_plurals_of_words_of_reports_are_known() -> None:
    known = ("nonconsolidating", "hypoaerated", "subpleural", "retrosternal", "reexpanded", "opacities", "catheters")
    assert all(is_report_word(word) for word in known)
    assert not any(is_known(word) for word in ("retrosmith", "nonkowalski", "underhill", "xyz"))
