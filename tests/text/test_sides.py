"""A side and a zone belong to the finding of their clause, one sentence a row."""

import pytest

from pipelines.study import Context, Side, Zone
from pipelines.text.phrases import phrases_of

LEFT, RIGHT, BOTH = Side.LEFT, Side.RIGHT, Side.BILATERAL
UPPER, MID, LOWER = Zone.UPPER, Zone.MID, Zone.LOWER

# Each sentence with the place of every finding that it does not deny: {finding: (side, zone)}.
SENTENCES: dict[str, dict[str, tuple[Side | None, Zone | None]]] = {
    "The left lung is clear; right lower lobe consolidation is new.": {"consolidation": (RIGHT, LOWER)},
    "Right basilar opacity, left lung clear.": {"lung opacity": (RIGHT, LOWER)},
    "L pleural effusion; R lung clear.": {"pleural effusion": (LEFT, None)},
    "Opacity of the right base compared to the left.": {"lung opacity": (RIGHT, LOWER)},
    "Right lung is clear, left basal consolidation.": {"consolidation": (LEFT, LOWER)},
    "The right lung is clear and there is a small left effusion.": {"pleural effusion": (LEFT, None)},
    "Left effusion with clear right lung.": {"pleural effusion": (LEFT, None)},
    "Small left apical pneumothorax, the right lung is well expanded.": {"pneumothorax": (LEFT, UPPER)},
    "Bilateral effusions, left greater than right.": {"pleural effusion": (BOTH, None)},
    "Effusions, R > L.": {"pleural effusion": (BOTH, None)},
    "Effusions, right more than left.": {"pleural effusion": (BOTH, None)},
    "Bibasilar opacities, worse on the left.": {"lung opacity": (BOTH, LOWER)},
    "RUL nodule.": {"nodule": (RIGHT, UPPER)},
    "LLL consolidation and RUL nodule.": {"consolidation": (LEFT, LOWER), "nodule": (RIGHT, UPPER)},
    "LUZ consolidation.": {"consolidation": (LEFT, UPPER)},
    "RLZ shadowing.": {"lung opacity": (RIGHT, LOWER)},
    "Consolidation in the RMZ.": {"consolidation": (RIGHT, MID)},
    "R PTX.": {"pneumothorax": (RIGHT, None)},
    "L base atelectasis.": {"atelectasis": (LEFT, LOWER)},
    "Lt effusion.": {"pleural effusion": (LEFT, None)},
    "Rt. basal consolidation.": {"consolidation": (RIGHT, LOWER)},
    "L-sided effusion.": {"pleural effusion": (LEFT, None)},
    "R/O pneumothorax.": {"pneumothorax": (None, None)},
    "Compression fracture of L1.": {"fracture": (None, None)},
    "Consolidation in both lower lobes.": {"consolidation": (BOTH, LOWER)},
    "Bilateral rib fractures and a right effusion.": {"fracture": (BOTH, None), "pleural effusion": (RIGHT, None)},
    "Left and right pleural effusions.": {"pleural effusion": (BOTH, None)},
    "Effusion on the left and on the right.": {"pleural effusion": (BOTH, None)},
    "Nodules in the left upper and right lower lobes.": {"nodule": (BOTH, None)},
    "On the left, there is an effusion and on the right a nodule.": {
        "pleural effusion": (LEFT, None),
        "nodule": (RIGHT, None),
    },
    "At the right base, there is a small effusion.": {"pleural effusion": (RIGHT, LOWER)},
    "Opacity, seen in the left mid zone.": {"lung opacity": (LEFT, MID)},
    "Left pneumothorax with mediastinal shift to the right.": {
        "pneumothorax": (LEFT, None),
        "mediastinal shift": (RIGHT, None),
    },
    "Right upper lobe collapse with elevation of the right hemidiaphragm and left basal atelectasis.": {
        "atelectasis": (BOTH, None)
    },
    "Right IJ catheter and left apical pneumothorax.": {
        "support devices": (RIGHT, None),
        "pneumothorax": (LEFT, UPPER),
    },
    "Right IJ catheter, no pneumothorax, left basal atelectasis.": {
        "support devices": (RIGHT, None),
        "atelectasis": (LEFT, LOWER),
    },
    "Left chest tube; small right apical pneumothorax.": {
        "support devices": (LEFT, None),
        "pneumothorax": (RIGHT, UPPER),
    },
    "Right pleural effusion larger than before, left base clear.": {"pleural effusion": (RIGHT, None)},
    "Left upper zone mass, right hilum normal.": {"mass": (LEFT, UPPER)},
    "The right costophrenic angle is sharp; the left is blunted with a small effusion.": {
        "pleural effusion": (LEFT, None)
    },
    "No right effusion; left effusion is small.": {"pleural effusion": (LEFT, None)},
    "No left effusion but a small right effusion.": {"pleural effusion": (RIGHT, None)},
    "Right lower lobe opacity, the left lung being clear.": {"lung opacity": (RIGHT, LOWER)},
    "Increased density in the left lung base relative to the right.": {"lung opacity": (LEFT, LOWER)},
    "Right perihilar opacity in contrast to the left.": {"lung opacity": (RIGHT, MID)},
    "Effusion on the right but not on the left.": {"pleural effusion": (RIGHT, None)},
    "Consolidation in the right lung, sparing the left lung.": {"consolidation": (RIGHT, None)},
    "Normal left lung; consolidation of the right middle lobe.": {"consolidation": (RIGHT, MID)},
    "Cardiomegaly and left effusion.": {"cardiomegaly": (None, None), "pleural effusion": (LEFT, None)},
    "Pulmonary edema with a right effusion.": {"edema": (None, None), "pleural effusion": (RIGHT, None)},
    "Left retrocardiac opacity.": {"lung opacity": (LEFT, LOWER)},
    "Right apical scarring and left basal atelectasis.": {"fibrosis": (RIGHT, UPPER), "atelectasis": (LEFT, LOWER)},
    "Atelectasis at both bases with a right apical nodule.": {"atelectasis": (BOTH, LOWER), "nodule": (RIGHT, UPPER)},
    "Nodule in the right upper zone, effusion on the left.": {
        "nodule": (RIGHT, UPPER),
        "pleural effusion": (LEFT, None),
    },
    "Left lower lobe opacity likely represents atelectasis, right lung clear.": {
        "lung opacity": (LEFT, LOWER),
        "atelectasis": (LEFT, LOWER),
    },
    "Left effusion is unchanged and right effusion has increased.": {"pleural effusion": (BOTH, None)},
    "Left-sided pacemaker, right basal effusion.": {
        "support devices": (LEFT, None),
        "pleural effusion": (RIGHT, LOWER),
    },
    "Previously seen opacity in the right base is unchanged, and the left lung remains clear.": {
        "lung opacity": (RIGHT, LOWER)
    },
    "Mild left basilar atelectasis, otherwise the right lung is clear.": {"atelectasis": (LEFT, LOWER)},
    "Both lungs are clear except for a nodule in the left apex.": {"nodule": (LEFT, UPPER)},
    "Lungs are clear bilaterally other than a right granuloma.": {"calcification": (RIGHT, None)},
    "Left: effusion.": {"pleural effusion": (LEFT, None)},
    "Right lung: consolidation in the lower zone.": {"consolidation": (RIGHT, LOWER)},
    "Left heart border is obscured by a lingular consolidation.": {"consolidation": (LEFT, MID)},
    "The right heart border is obscured; consolidation.": {"consolidation": (None, None)},
    "Hazy opacity over the L hemithorax.": {"lung opacity": (LEFT, None)},
    "Bilateral apical scarring, right lower lobe nodule.": {"fibrosis": (BOTH, UPPER), "nodule": (RIGHT, LOWER)},
    "The left hemidiaphragm is elevated; right pleural effusion.": {"pleural effusion": (RIGHT, None)},
    "Left rib fractures with an underlying pneumothorax.": {"fracture": (LEFT, None), "pneumothorax": (LEFT, None)},
    "Small effusion, larger on the right.": {"pleural effusion": (RIGHT, None)},
    "The heart is enlarged, the right lung is clear, left effusion.": {
        "cardiomegaly": (None, None),
        "pleural effusion": (LEFT, None),
    },
}


@pytest.mark.parametrize(("sentence", "places"), SENTENCES.items(), ids=list(SENTENCES))
def test_a_side_belongs_to_the_finding_of_its_clause(
    sentence: str, places: dict[str, tuple[Side | None, Zone | None]]
) -> None:
    stated = [phrase for phrase in phrases_of(sentence) if phrase.context is not Context.ABSENT]
    assert {phrase.finding: (phrase.side, phrase.zone) for phrase in stated} == places
