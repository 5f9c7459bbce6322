"""What identifies is masked, what is clinical stays."""

import csv
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.privacy.masking import mask_identifiers, mask_report
from pipelines.privacy.patterns import folded, normal_form


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Discussed with Dr. Smith.", "Discussed with Dr. [name]."),
        ("Told to Dr. Jane van der Berg by phone.", "Told to Dr. [name] by phone."),
        ("Mr Jones was seen. Heart is enlarged.", "Mr [name] was seen. Heart is enlarged."),
        ("Mrs. O'Neill-Brown has a nodule.", "Mrs. [name] has a nodule."),
        ("DR. SMITH", "DR. [name]"),
        ("told dr smith", "told dr [name]"),
        ("Dictated by: John Q. Public, MD", "Dictated by: [name], MD"),
        ("Reviewed by Anna Lee.", "Reviewed by [name]."),
        ("Anna Lee, M.D. reviewed.", "[name], M.D. reviewed."),
        ("Patient: Doe John", "Patient: [name]"),
        ("Compared with 2019-03-12.", "Compared with [date]."),
        ("Compared with 12.03.2019.", "Compared with [date]."),
        ("Compared with 3/12/19.", "Compared with [date]."),
        ("Compared with March 12, 2019.", "Compared with [date]."),
        ("Compared with 12 March 2019.", "Compared with [date]."),
        ("Compared with the 12th of March.", "Compared with the [date]."),
        ("Compared with 12-Mar-2019.", "Compared with [date]."),
        ("Compared with Mar 2019.", "Compared with [date]."),
        ("Compared with 03/2019.", "Compared with [date]."),
        ("Compared with the study from 3/12.", "Compared with the study from [date]."),
        ("Compared with 20190312.", "Compared with [number]."),
        ("At 14:30 and at 2:30 pm.", "At [time] and at [time]."),
        ("At 3 p.m. it was new.", "At [time] it was new."),
        ("At 1430 hours.", "At [time]."),
        ("Call 555-123-4567.", "Call [number]."),
        ("Call +44 20 7946 0958.", "Call [number]."),
        ("Call (555) 123-4567.", "Call [number]."),
        ("pager 41234", "pager [number]"),
        ("Mail j.doe@example.org now.", "Mail [e-mail] now."),
        ("MRN: 1234567", "MRN: [number]"),
        ("Accession number A12-345", "Accession number [number]"),
        ("Study AB1234567 is new.", "Study [number] is new."),
        ("UID 1.2.840.113619.2.5", "UID [number]"),
        ("A 92-year-old man.", "A [age]-year-old man."),
        ("a 45 year old woman", "a [age] year old woman"),
    ],
)
def test_what_identifies_is_masked(text: str, masked: str) -> None:
    assert mask_identifiers(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "A 1.5 cm nodule in the right upper lobe.",
        "A 3.2 x 4.5 cm mass.",
        "Compression fracture of T7.",
        "Fractures of the right 3rd to 5th ribs, T12-L1 and C5-6.",
        "Opacity in the lower 1/3 of the left lung, from 1/3 to 2/3.",
        "An effusion of 1200 mL.",
        "DR chest, PA and lateral. MR imaging is advised.",
        "Left PICC line, ET tube 4 cm above the carina.",
        "Unchanged since 3 years ago.",
        "There are 2 nodules, the largest 12 mm.",
        "The catheter was seen with its tip in the SVC.",
        "It may be mass or may represent atelectasis. Marked cardiomegaly.",
        "CHEST PA AND LATERAL: NO EFFUSION.",
        "Second decade of fibrosis, March fracture.",
        "CHEST, PA AND LATERAL",
        "1. No change. 2. May represent pneumonia.",
        "It has an extension 3 cm below the carina.",
        "Discussed with Medicine. DISCUSSED WITH MEDICINE. Seen by the ED team.",
        "Discussed with Heart Failure. Seen by Heart team. Seen by Lung Surgery.",
        "Fractures of ribs 10-11-12 and of the 8th vertebral body.",
        "Long line in place, a white lung, a green drain.",
        "1. Long segment of collapse. 2. Young heart.",
        "Pt. rotated. Pt supine. Per protocol. Per Radiology.",
        "Right 10F pigtail catheter, an 8 Fr chest tube and a 24 French drain.",
        "Kerley B lines, a hernia of Morgagni, a Swan-Ganz catheter, Hodgkin's lymphoma and a Port-A-Cath.",
        "COVID-19 pneumonia, grade 2 effusion, stage IIIA carcinoma.",
        "Hypoaerated, nonconsolidating, subpleural, infrahilar and retrosternal.",
        "Whether the nodules' margins don't or can't be seen isn't clear.",
    ],
)
def test_what_is_clinical_stays(text: str) -> None:
    assert mask_identifiers(text) == text


PLANTED = list(
    csv.DictReader(
        (Path(__file__).parent / "planted_identifiers.csv").read_text().splitlines(),
        delimiter="|",
        quoting=csv.QUOTE_NONE,
    )
)


def test_identifiers_of_twelve_kinds_and_eight_languages_are_planted() -> None:
    assert len(PLANTED) >= 160
    assert len({row["kind"] for row in PLANTED}) >= 12
    assert len({row["language"] for row in PLANTED}) >= 8


@pytest.mark.parametrize("row", PLANTED, ids=[row["sentence"] for row in PLANTED])
def test_no_planted_identifier_is_shown(row: dict[str, str]) -> None:
    for sentence in (row["sentence"], f"There is a small effusion. {row['sentence']} No pneumothorax."):
        shown = re.sub(r"\[[a-z-]+\]", "\0", folded(mask_identifiers(sentence)))
        for hidden in row["hidden"].split(";"):
            assert re.search(rf"(?<![^\W_]){re.escape(folded(normal_form(hidden)))}(?![^\W_])", shown) is None


@pytest.mark.parametrize(
    "names",
    [
        *(
            "Smith",
            "Müller",
            "Mu\u0308ller",
            "O’Brien",
            "d’Arcy",
            "Öztürk",
            "Sánchez-Vega",
            "van der Heijden",
            "de la Cruz",
        ),
        *("Иванова", "王小明", "山田", "محمد", "Παπαδόπουλος", "Ｓｍｉｔｈ", "Sm\u200bith", "Smi\u00adth", "Ѕmith"),
        *("Long", "White", "Young", "Green", "Brown", "Black", "Gray"),
    ],
)
@pytest.mark.parametrize(
    "sentence",
    [
        *("Seen by {}.", "Discussed with {} at noon.", "Dr. {} agrees.", "Pt {} was rotated.", "Per {} it is new."),
        *(
            "{} was informed.",
            "Signed, {}, MD",
            "/s/ {}",
            "The nodule, as Mary {} said, is new.",
            "Frau {} hat einen Erguss.",
        ),
        *("told dr {}", "{}, Mary: no effusion.", "Attending: {}", "cc: {}", "J. {} has read the film."),
    ],
)
def test_a_name_is_masked_wherever_a_name_stands(names: str, sentence: str) -> None:
    shown = mask_identifiers(sentence.format(names))
    plain = normal_form(names)
    assert all(part not in shown for part in re.split(r"[ '-]", plain) if len(part) > 3), shown


@pytest.mark.parametrize("name", ["Wall", "Stone", "Port", "Heart", "Rod", "Hand"])
@pytest.mark.parametrize("sentence", ["Seen by {} in clinic.", "Findings discussed with {}.", "We told {} of it."])
def test_a_word_of_anatomy_with_a_capital_is_a_name_where_people_are_told(name: str, sentence: str) -> None:
    assert mask_identifiers(sentence.format(name)) == sentence.format("[name]")
    assert mask_identifiers(f"A nodule of the chest {name.lower()}.") == f"A nodule of the chest {name.lower()}."


POSITIONS = (
    *("Effusion, per {}.", "Per {}, no change.", "cc {}", "CC: {}", "Attn: {}", "attn {}", "Resident: {}", "PCP: {}"),
    *("D/w {} at the bedside.", "d/w {}.", "S/w {} by phone.", "Case discussed w/ {}.", "Seen w/ {} on rounds."),
    *("Paged {}.", "paged {} about the drain.", "Reviewed with {}.", "Spoke to {} by phone.", "Agree with {}."),
    *(
        "Results called to {}.",
        "Findings texted to {}.",
        "Message sent to {}.",
        "Handed off to {}.",
        "Ask {} about it.",
    ),
    *("Left message for {}.", "Awaiting callback from {}.", "According to {}, the line is old.", "From: {}", "Via {}."),
    *("{} aware.", "{} notified of the effusion.", "{} paged.", "RN {} informed.", "PCP {} to be informed."),
    *("{} to follow up.", "Surgeon {} reviewed the film.", "Follow up with {} in clinic.", "Under the care of {}."),
    *("Verified: {}", "Wet read: {}", "Overread by {}.", "Prelim read by {}.", "Tube placed by {} this morning."),
    *("Intubated by {}.", "Images reviewed by me and {}.", "Addendum ({}): no effusion.", "Told the team ({})."),
    *("Consult {} for the drain.", "No acute disease. {}/resident", "Conveyed to {} in the ED."),
)


@pytest.mark.parametrize("name", ["Stone", "Wall", "Small", "Hand", "Day", "Young", "Long"])
@pytest.mark.parametrize("position", POSITIONS)
def test_a_name_without_a_title_that_is_also_a_word_is_masked_where_people_are_spoken_of(
    position: str, name: str
) -> None:
    sentence = position.format(name)
    for text in (sentence, f"There is an effusion.\n{sentence}\nNo pneumothorax."):
        assert name not in re.findall(r"\w+", mask_identifiers(text))


@pytest.mark.parametrize(
    "text",
    [
        *("Wet read: Small effusion.", "PA: Small effusion.", "CC: Left cough."),
        *("Follow up with Chest CT.", "Small to moderate effusion.", "Placed via Right IJ.", "Opacity (Right)."),
        *("Right to left shunt.", "Small effusion noted.", "Drained by Surgery.", "Reviewed: No effusion."),
        *("Hand and wall are intact.", "From: Emergency", "Head CT to follow.", "Read: Normal.", "Final: Clear."),
    ],
)
def test_where_people_are_spoken_of_words_of_findings_sides_and_denial_stay(text: str) -> None:
    assert mask_identifiers(text) == text


def test_all_words_and_the_masked_ones_are_counted() -> None:
    masked = mask_report("Seen by Jane Vasquez. No effusion of 12 mm.")
    assert (masked.text, masked.words, masked.masked_words) == ("Seen by [name]. No effusion of 12 mm.", 9, 2)


def test_long_reports_are_counted_in_one_pass_over_words_and_masks() -> None:
    masked = mask_report("Kowalczyk 2-3/4 cm, nodule.\n" * 5_000)
    assert masked.masked_words >= 5_000
    assert masked.masked_words + 5_000 <= masked.words


def test_what_looks_like_a_mask_and_is_none_of_ours_is_masked() -> None:
    assert "smith" not in mask_identifiers("Seen by [smith].")


@settings(deadline=None)
@given(
    st.text(
        st.characters(categories=["L", "M"], exclude_characters="abcdefghijklmnopqrstuvwxyz"), min_size=2, max_size=12
    )
)
def test_no_word_in_another_script_is_shown(word: str) -> None:
    plain = normal_form(word)
    if any(char.isalpha() and not char.isascii() for char in plain):
        assert plain not in mask_identifiers(f"There is {word} in the lung.")


fragments = st.lists(
    st.sampled_from(
        [
            "Dr.",
            "Mr",
            "Smith",
            "SMITH",
            "van",
            "12",
            "3/12",
            "2019",
            "-",
            ".",
            ",",
            ":",
            "March",
            "pm",
            "555",
            "A1234567",
            "MRN",
            "[name]",
            "[date]",
            "\n",
            "cm",
            "years",
            "x@y.z",
            "MD",
            "1.2.3.4",
            "effusion",
            "read by",
        ]
    ),
    max_size=12,
).flatmap(lambda words: st.sampled_from([" ".join(words), "".join(words)]))


@settings(deadline=None)
@given(fragments | st.text(max_size=200))
def test_masking_twice_is_masking_once(text: str) -> None:
    once = mask_identifiers(text)
    assert mask_identifiers(once) == once


@settings(deadline=None)
@given(st.integers(10_000, 10**12))
def test_no_long_number_survives(number: int) -> None:
    assert str(number) not in mask_identifiers(f"The number is {number} and no more.")
