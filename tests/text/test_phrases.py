"""What radiologists' sentences claim: finding, context, side and zone, one sentence a row."""

import pytest

from pipelines.findings import findings_in
from pipelines.study import Context, Phrase, Side, Zone
from pipelines.text.phrases import phrases_of

PRESENT, UNCERTAIN, ABSENT, PAST = Context.PRESENT, Context.UNCERTAIN, Context.ABSENT, Context.HISTORICAL
LEFT, RIGHT, BOTH = Side.LEFT, Side.RIGHT, Side.BILATERAL
UPPER, MID, LOWER = Zone.UPPER, Zone.MID, Zone.LOWER

# Each sentence with all that it claims: {finding: (context, side, zone)}.
SENTENCES: dict[str, dict[str, tuple[Context, Side | None, Zone | None]]] = {
    # affirmed
    "There is consolidation in the left lower lobe.": {"consolidation": (PRESENT, LEFT, LOWER)},
    "Dense right upper lobe consolidation with air bronchograms.": {"consolidation": (PRESENT, RIGHT, UPPER)},
    "RML consolidation.": {"consolidation": (PRESENT, RIGHT, MID)},
    "Patchy LLL airspace opacity.": {"consolidation": (PRESENT, LEFT, LOWER)},
    "Air space disease is seen in the right mid lung.": {"consolidation": (PRESENT, RIGHT, MID)},
    "A 1.5 cm nodular opacity projects over the right apex.": {"nodule": (PRESENT, RIGHT, UPPER)},
    "Nodule in the lingula.": {"nodule": (PRESENT, LEFT, MID)},
    "Multiple bilateral pulmonary nodules.": {"nodule": (PRESENT, BOTH, None)},
    "Small left apical pneumothorax.": {"pneumothorax": (PRESENT, LEFT, UPPER)},
    "Right-sided hydropneumothorax.": {"pneumothorax": (PRESENT, RIGHT, None)},
    "Biapical scarring.": {"fibrosis": (PRESENT, BOTH, UPPER)},
    "Biapical pleural thickening.": {"pleural thickening": (PRESENT, BOTH, UPPER)},
    "Bibasilar atelectasis.": {"atelectasis": (PRESENT, BOTH, LOWER)},
    "Linear atelectasis at the lung bases.": {"atelectasis": (PRESENT, BOTH, LOWER)},
    "Retrocardiac opacity.": {"lung opacity": (PRESENT, None, LOWER)},
    "Hazy perihilar opacities bilaterally.": {"lung opacity": (PRESENT, BOTH, MID)},
    "The heart is enlarged.": {"cardiomegaly": (PRESENT, None, None)},
    "The heart is mildly enlarged.": {"cardiomegaly": (PRESENT, None, None)},
    "Heart size is moderately enlarged.": {"cardiomegaly": (PRESENT, None, None)},
    "Enlarged cardiac silhouette.": {"cardiomegaly": (PRESENT, None, None)},
    "Stable enlargement of the cardiac silhouette.": {"cardiomegaly": (PRESENT, None, None)},
    "The cardiac silhouette remains enlarged.": {"cardiomegaly": (PRESENT, None, None)},
    "The cardiomediastinal silhouette is widened.": {"enlarged cardiomediastinum": (PRESENT, None, None)},
    "Blunting of the right costophrenic angle.": {"pleural effusion": (PRESENT, RIGHT, LOWER)},
    "The left costophrenic angle is blunted.": {"pleural effusion": (PRESENT, LEFT, LOWER)},
    "Layering right pleural fluid.": {"pleural effusion": (PRESENT, RIGHT, None)},
    "Bilateral effusions, right greater than left.": {"pleural effusion": (PRESENT, BOTH, None)},
    "Mild pulmonary vascular congestion.": {"edema": (PRESENT, None, None)},
    "Kerley B lines.": {"edema": (PRESENT, None, None)},
    "Healed fracture of the right 3rd rib.": {"fracture": (PRESENT, RIGHT, None)},
    "Endotracheal tube tip 4 cm above the carina.": {"support devices": (PRESENT, None, None)},
    "Left subclavian central venous line.": {"support devices": (PRESENT, LEFT, None)},
    "Large hiatal hernia.": {"hernia": (PRESENT, None, None)},
    "Calcified granuloma in the left upper lobe.": {"calcification": (PRESENT, LEFT, UPPER)},
    "Cavitary lesion in the right upper lobe.": {"lung cavity": (PRESENT, RIGHT, UPPER)},
    "Hyperinflated lungs.": {"emphysema": (PRESENT, None, None)},
    "Subcutaneous emphysema along the left chest wall.": {"subcutaneous emphysema": (PRESENT, LEFT, None)},
    "Coarse interstitial markings.": {"interstitial lung disease": (PRESENT, None, None)},
    "Left lower lobe collapse.": {"atelectasis": (PRESENT, LEFT, LOWER)},
    "Right suprahilar mass.": {"mass": (PRESENT, RIGHT, UPPER)},
    "RIGHT LOWER LOBE PNEUMONIA.": {"pneumonia": (PRESENT, RIGHT, LOWER)},
    # change is not denial
    "No significant change in the right pleural effusion.": {"pleural effusion": (PRESENT, RIGHT, None)},
    "Without interval change in left basilar consolidation.": {"consolidation": (PRESENT, LEFT, LOWER)},
    "The pneumothorax has not changed.": {"pneumothorax": (PRESENT, None, None)},
    "The effusion has nearly completely resolved.": {"pleural effusion": (PRESENT, None, None)},
    "The consolidation has not resolved.": {"consolidation": (PRESENT, None, None)},
    "Resolving left lower lobe pneumonia.": {"pneumonia": (PRESENT, LEFT, LOWER)},
    "Follow up to document resolution of the right nodule.": {"nodule": (PRESENT, RIGHT, None)},
    # denied
    "No pneumothorax.": {"pneumothorax": (ABSENT, None, None)},
    "No pleural effusion or pneumothorax.": {
        "pleural effusion": (ABSENT, None, None),
        "pneumothorax": (ABSENT, None, None),
    },
    "No focal consolidation, large effusion, or pneumothorax.": {
        "consolidation": (ABSENT, None, None),
        "pleural effusion": (ABSENT, None, None),
        "pneumothorax": (ABSENT, None, None),
    },
    "There is no evidence of pulmonary edema.": {"edema": (ABSENT, None, None)},
    "Negative for pneumonia.": {"pneumonia": (ABSENT, None, None)},
    "The lungs are free of consolidation.": {"consolidation": (ABSENT, None, None)},
    "Pneumothorax is not seen.": {"pneumothorax": (ABSENT, None, None)},
    "The previously seen left pneumothorax has resolved.": {"pneumothorax": (ABSENT, LEFT, None)},
    "Right effusion is no longer seen.": {"pleural effusion": (ABSENT, RIGHT, None)},
    "Interval resolution of the left effusion.": {"pleural effusion": (ABSENT, LEFT, None)},
    "The right chest tube has been removed.": {"support devices": (ABSENT, RIGHT, None)},
    "The heart is not enlarged.": {"cardiomegaly": (ABSENT, None, None)},
    "No new consolidation.": {"consolidation": (ABSENT, None, None)},
    "No opacity suspicious for pneumonia.": {
        "lung opacity": (ABSENT, None, None),
        "pneumonia": (ABSENT, None, None),
    },
    "Neither effusion nor pneumothorax.": {
        "pleural effusion": (ABSENT, None, None),
        "pneumothorax": (ABSENT, None, None),
    },
    "PLEURA: No effusion.": {"pleural effusion": (ABSENT, None, None)},
    "Pneumothorax: None.": {"pneumothorax": (ABSENT, None, None)},
    "Effusion is absent.": {"pleural effusion": (ABSENT, None, None)},
    "Pneumonia has been ruled out.": {"pneumonia": (ABSENT, None, None)},
    "No definite pneumothorax.": {"pneumothorax": (ABSENT, None, None)},
    # doubted
    "Cannot exclude consolidation.": {"consolidation": (UNCERTAIN, None, None)},
    "A small right effusion cannot be excluded.": {"pleural effusion": (UNCERTAIN, RIGHT, None)},
    "Left basilar pneumonia is not excluded.": {"pneumonia": (UNCERTAIN, LEFT, LOWER)},
    "Possible left pneumothorax.": {"pneumothorax": (UNCERTAIN, LEFT, None)},
    "Right base opacity may represent pneumonia.": {
        "lung opacity": (PRESENT, RIGHT, LOWER),
        "pneumonia": (UNCERTAIN, RIGHT, LOWER),
    },
    "Right apical nodule suspicious for mass.": {
        "nodule": (PRESENT, RIGHT, UPPER),
        "mass": (UNCERTAIN, RIGHT, UPPER),
    },
    "Questionable nodule in the left mid lung.": {"nodule": (UNCERTAIN, LEFT, MID)},
    "Left basilar atelectasis versus consolidation.": {
        "atelectasis": (UNCERTAIN, LEFT, LOWER),
        "consolidation": (UNCERTAIN, LEFT, LOWER),
    },
    "Retrocardiac atelectasis or infiltrate.": {
        "atelectasis": (UNCERTAIN, None, LOWER),
        "infiltration": (UNCERTAIN, None, LOWER),
    },
    "? pneumonia at the right base.": {"pneumonia": (UNCERTAIN, RIGHT, LOWER)},
    "Borderline cardiomegaly.": {"cardiomegaly": (UNCERTAIN, None, None)},
    "CT is advised to exclude a mass.": {"mass": (UNCERTAIN, None, None)},
    "This may be due to edema.": {"edema": (UNCERTAIN, None, None)},
    "Pneumonia is unlikely.": {"pneumonia": (UNCERTAIN, None, None)},
    "Atelectasis is likely.": {"atelectasis": (UNCERTAIN, None, None)},
    "The left effusion is not well seen.": {"pleural effusion": (UNCERTAIN, LEFT, None)},
    # a scope ends
    "No pneumothorax, but a small left effusion.": {
        "pneumothorax": (ABSENT, None, None),
        "pleural effusion": (PRESENT, LEFT, None),
    },
    "No consolidation; mild cardiomegaly.": {
        "consolidation": (ABSENT, None, None),
        "cardiomegaly": (PRESENT, None, None),
    },
    "No focal consolidation, however there is right basilar atelectasis.": {
        "consolidation": (ABSENT, None, None),
        "atelectasis": (PRESENT, RIGHT, LOWER),
    },
    "No pneumothorax and the heart is enlarged.": {
        "pneumothorax": (ABSENT, None, None),
        "cardiomegaly": (PRESENT, None, None),
    },
    "No pneumothorax, small left effusion.": {
        "pneumothorax": (ABSENT, None, None),
        "pleural effusion": (PRESENT, LEFT, None),
    },
    "Stable cardiomegaly without pulmonary edema.": {
        "cardiomegaly": (PRESENT, None, None),
        "edema": (ABSENT, None, None),
    },
    "Left effusion is small and pneumothorax is not seen.": {
        "pleural effusion": (PRESENT, LEFT, None),
        "pneumothorax": (ABSENT, None, None),
    },
    "Possible pneumonia with small right effusion.": {
        "pneumonia": (UNCERTAIN, None, None),
        "pleural effusion": (PRESENT, RIGHT, None),
    },
    "Right chest tube without pneumothorax.": {
        "support devices": (PRESENT, RIGHT, None),
        "pneumothorax": (ABSENT, None, None),
    },
    # each finding keeps its own place
    "Right lower lobe consolidation and left pleural effusion.": {
        "consolidation": (PRESENT, RIGHT, LOWER),
        "pleural effusion": (PRESENT, LEFT, None),
    },
    "Cardiomegaly with left and right pleural effusions.": {
        "cardiomegaly": (PRESENT, None, None),
        "pleural effusion": (PRESENT, BOTH, None),
    },
    "Right pleural effusion with adjacent atelectasis.": {
        "pleural effusion": (PRESENT, RIGHT, None),
        "atelectasis": (PRESENT, RIGHT, None),
    },
    "No effusion on the right, small effusion on the left.": {"pleural effusion": (PRESENT, LEFT, None)},
    "Left PICC line and mild interstitial edema.": {
        "support devices": (PRESENT, LEFT, None),
        "edema": (PRESENT, None, None),
    },
    # a pronoun, or the bare size, stands for the finding before it
    "No left effusion; small right one.": {"pleural effusion": (PRESENT, RIGHT, None)},
    "No left effusion, but a moderate one on the right.": {"pleural effusion": (PRESENT, RIGHT, None)},
    "No right effusion; larger one on the left.": {"pleural effusion": (PRESENT, LEFT, None)},
    "No effusion on the left and one on the right.": {"pleural effusion": (PRESENT, RIGHT, None)},
    "No effusion at the left base; a small one at the right base.": {"pleural effusion": (PRESENT, RIGHT, LOWER)},
    "No nodules on the left; several small ones in the right upper lobe.": {"nodule": (PRESENT, RIGHT, UPPER)},
    "No left effusion; trace on the right.": {"pleural effusion": (PRESENT, RIGHT, None)},
    "No left effusion; that on the right is small.": {"pleural effusion": (PRESENT, RIGHT, None)},
    "No left effusion; the right is small.": {"pleural effusion": (PRESENT, RIGHT, None)},
    "The left effusion has cleared, the right one has not.": {"pleural effusion": (PRESENT, RIGHT, None)},
    "Left effusion is smaller, the right one has resolved.": {"pleural effusion": (PRESENT, LEFT, None)},
    "Small left effusion and a larger one on the right.": {"pleural effusion": (PRESENT, BOTH, None)},
    "No acute fracture; an old one of the right fifth rib.": {"fracture": (PRESENT, RIGHT, None)},
    "No large effusion, although a small one cannot be excluded.": {"pleural effusion": (UNCERTAIN, None, None)},
    "No left effusion or right one.": {"pleural effusion": (ABSENT, BOTH, None)},
    "A left effusion is seen but no right one.": {"pleural effusion": (PRESENT, LEFT, None)},
    "No right pleural effusion is seen, with a tiny one suspected on the left.": {
        "pleural effusion": (UNCERTAIN, LEFT, None)
    },
    "No left effusion; only a little on the right.": {"pleural effusion": (PRESENT, RIGHT, None)},
    "Large right effusion; none on the left.": {"pleural effusion": (PRESENT, RIGHT, None)},
    "Large right effusion and none seen on the left.": {"pleural effusion": (PRESENT, RIGHT, None)},
    "No right effusion; none on the left.": {"pleural effusion": (ABSENT, RIGHT, None)},
    "Pneumothorax: none on either side.": {"pneumothorax": (ABSENT, None, None)},
    # "one" that is a number, a person, a film or another part of the chest
    "No effusion; at least one view is rotated.": {"pleural effusion": (ABSENT, None, None)},
    "No effusion; the left hilum is larger than the right one.": {"pleural effusion": (ABSENT, None, None)},
    "No effusion on this film; there was one on the previous film.": {"pleural effusion": (ABSENT, None, None)},
    "No effusion, which is better than on the previous one.": {"pleural effusion": (ABSENT, None, None)},
    "No effusion today, unlike the previous one.": {"pleural effusion": (ABSENT, None, None)},
    "No pneumothorax; one healed rib on the left.": {"pneumothorax": (ABSENT, None, None)},
    "No pneumothorax; no one was told.": {"pneumothorax": (ABSENT, None, None)},
    # who cannot exclude does not deny
    "Neither effusion nor pneumothorax can be excluded.": {
        "pleural effusion": (UNCERTAIN, None, None),
        "pneumothorax": (UNCERTAIN, None, None),
    },
    "Neither consolidation nor effusion could be confidently ruled out.": {
        "consolidation": (UNCERTAIN, None, None),
        "pleural effusion": (UNCERTAIN, None, None),
    },
    "Neither effusion, pneumothorax nor pneumonia has been excluded.": {
        "pleural effusion": (UNCERTAIN, None, None),
        "pneumothorax": (UNCERTAIN, None, None),
        "pneumonia": (UNCERTAIN, None, None),
    },
    "No effusion, nor can a pneumothorax be excluded.": {
        "pleural effusion": (ABSENT, None, None),
        "pneumothorax": (UNCERTAIN, None, None),
    },
    "Neither is pneumonia excluded.": {"pneumonia": (UNCERTAIN, None, None)},
    "Pneumonia, edema: none of these can be excluded.": {
        "pneumonia": (UNCERTAIN, None, None),
        "edema": (UNCERTAIN, None, None),
    },
    "Pneumothorax can be neither confirmed nor excluded.": {"pneumothorax": (UNCERTAIN, None, None)},
    "This film neither confirms nor excludes pneumonia.": {"pneumonia": (UNCERTAIN, None, None)},
    "Neither effusion nor pneumothorax is seen, and pneumonia can be excluded.": {
        "pleural effusion": (ABSENT, None, None),
        "pneumothorax": (ABSENT, None, None),
        "pneumonia": (ABSENT, None, None),
    },
    "Neither effusion nor pneumothorax can be seen.": {
        "pleural effusion": (ABSENT, None, None),
        "pneumothorax": (ABSENT, None, None),
    },
    # of the past
    "History of pneumonia.": {"pneumonia": (PAST, None, None)},
    "Status post valve replacement.": {"support devices": (PAST, None, None)},
    "Evidence of prior granulomatous infection.": {"calcification": (PAST, None, None)},
    "A nodule was seen on the prior CT.": {"nodule": (PAST, None, None)},
    "On the previous exam there was an effusion.": {"pleural effusion": (PAST, None, None)},
    "Old rib fracture.": {"fracture": (PRESENT, None, None)},
    "Nodule at the left apex; this was not present in 2019.": {"nodule": (PRESENT, LEFT, UPPER)},
    "Left effusion, not seen on the prior exam.": {"pleural effusion": (PRESENT, LEFT, None)},
    "Healed fracture with history of trauma and pneumonia.": {
        "fracture": (PRESENT, None, None),
        "pneumonia": (PAST, None, None),
    },
    # words that look like a finding
    "No pericardial effusion.": {},
    "The lungs are clear.": {},
    "Mass effect on the trachea.": {},
    "The heart size is normal.": {},
    "Portable upright view of the thoracic cavity.": {},
}


def claims(phrases: tuple[Phrase, ...]) -> dict[str, tuple[Context, Side | None, Zone | None]]:
    return {phrase.finding or "": (phrase.context, phrase.side, phrase.zone) for phrase in phrases}


@pytest.mark.parametrize(("sentence", "expected"), SENTENCES.items(), ids=list(SENTENCES))
def test_a_sentence_claims_what_its_radiologist_meant(
    sentence: str, expected: dict[str, tuple[Context, Side | None, Zone | None]]
) -> None:
    found = claims(phrases_of(sentence))
    # A place says little about what is not there: it is not held to for denied findings that share a sentence.
    places = {
        finding: value if value[0] is not ABSENT or len(expected) == 1 else (value[0], None, None)
        for finding, value in found.items()
    }
    assert places == expected


@pytest.mark.parametrize(
    ("sentence", "compared"),
    [
        ("Unchanged left effusion.", {"pleural effusion"}),
        ("The left effusion is stable.", {"pleural effusion"}),
        ("The heart is enlarged, but stable.", {"cardiomegaly"}),
        ("Interval increase in the right effusion.", {"pleural effusion"}),
        ("The effusion has increased since the prior exam.", {"pleural effusion"}),
        ("The right PICC line has been removed.", {"support devices"}),
        ("New left nodule.", {"nodule"}),
        ("Stable cardiomegaly without edema.", {"cardiomegaly"}),
        ("Stable cardiomegaly; left effusion.", {"cardiomegaly"}),
        ("Nodule in the left lung compared with the prior exam.", {"nodule"}),
        ("Small left effusion.", set()),
        ("Increased interstitial markings.", set()),
        ("No new consolidation.", set()),
        ("Old rib fracture.", set()),
        ("Calcified granuloma from prior granulomatous disease.", set()),
    ],
)
def test_a_comparison_stands_beside_the_context(sentence: str, compared: set[str]) -> None:
    phrases = phrases_of(sentence)
    assert {phrase.finding for phrase in phrases if phrase.compared_with_prior} == compared
    denies = sentence in {"The right PICC line has been removed.", "No new consolidation."}
    assert (PRESENT in {phrase.context for phrase in phrases}) is not denies


def test_capitals_and_letters_that_grow_in_small_form_leave_spans_and_contexts_as_they_are() -> None:
    sentence = "İİİ: NO PLEURAL EFFUSION; Small NODULE."  # the small form of İ has two characters
    spans = [sentence[mention.start : mention.end] for mention in findings_in(sentence)]
    assert spans == ["PLEURAL EFFUSION", "NODULE"]
    contexts = {phrase.finding: phrase.context for phrase in phrases_of(sentence)}
    assert contexts == {"pleural effusion": Context.ABSENT, "nodule": Context.PRESENT}


def test_the_same_sentence_in_findings_and_impression_is_one_phrase() -> None:
    phrases = phrases_of("FINDINGS: Small left effusion.\n\nIMPRESSION: small left effusion")
    assert [(phrase.text, phrase.section) for phrase in phrases] == [("Small left effusion.", "findings")]


def test_a_sentence_with_two_findings_gives_two_phrases_of_one_text() -> None:
    phrases = phrases_of("Left effusion and atelectasis.")
    assert [phrase.finding for phrase in phrases] == ["pleural effusion", "atelectasis"]
    assert {phrase.text for phrase in phrases} == {"Left effusion and atelectasis."}


def test_history_and_indication_make_no_phrase() -> None:
    text = "INDICATION: pneumonia?\nCOMPARISON: effusion on prior.\nFINDINGS: Right nodule.\nIMPRESSION: Nodule."
    assert {phrase.finding for phrase in phrases_of(text)} == {"nodule"}
