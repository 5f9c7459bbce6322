"""Which words name a finding, a side and a zone."""

import pytest

from pipelines.findings import FINDINGS, canonical_finding, findings_in, side_of, zone_of
from pipelines.study import Side, Zone

LEFT, RIGHT, BOTH = Side.LEFT, Side.RIGHT, Side.BILATERAL
UPPER, MID, LOWER = Zone.UPPER, Zone.MID, Zone.LOWER


@pytest.mark.parametrize(
    ("label", "finding"),
    [
        ("Pleural Effusion", "pleural effusion"),
        ("Pleural_Effusion", "pleural effusion"),
        ("Effusion", "pleural effusion"),
        ("Infiltrate", "infiltration"),
        ("Infiltration", "infiltration"),
        ("Lung Lesion", "lung lesion"),
        ("Nodule/Mass", "lung lesion"),
        ("Enlarged Cardiomediastinum", "enlarged cardiomediastinum"),
        ("Wide mediastinum", "enlarged cardiomediastinum"),
        ("ILD", "interstitial lung disease"),
        ("Aortic enlargement", "aortic enlargement"),
        ("Rib fracture", "fracture"),
        ("Pleural_Thickening", "pleural thickening"),
        ("Pulmonary fibrosis", "fibrosis"),
        ("Groundglass opacity", "lung opacity"),
        ("Support Devices", "support devices"),
        ("Airspace Opacity", "lung opacity"),
        ("No Finding", None),
        ("Other lesion", None),
        ("", None),
    ],
)
def test_a_box_label_names_the_finding_of_its_set(label: str, finding: str | None) -> None:
    assert canonical_finding(label) == finding


@pytest.mark.parametrize("finding", FINDINGS)
def test_every_canonical_name_maps_to_itself(finding: str) -> None:
    assert canonical_finding(finding) == finding
    assert canonical_finding(finding.upper()) == finding


def test_the_span_of_a_mention_holds_its_words() -> None:
    sentence = "Small left pleural effusion and a calcified nodule."
    spans = [sentence[mention.start : mention.end] for mention in findings_in(sentence)]
    assert spans == ["pleural effusion", "calcified", "nodule"]


@pytest.mark.parametrize(
    ("words", "side"),
    [
        ("right heart border", None),
        ("left atrial enlargement", None),
        ("upright", None),
        ("leads left in place", None),
        ("left-sided", LEFT),
        ("Rt lung", RIGHT),
        ("L lung", LEFT),
        ("both lungs", BOTH),
        ("both frontal and lateral views", None),
        ("right greater than left", BOTH),
        ("lung bases", BOTH),
        ("left lung bases", LEFT),
    ],
)
def test_a_side_is_read_as_the_patients(words: str, side: Side | None) -> None:
    assert side_of(words) is side


@pytest.mark.parametrize(
    ("words", "zone"),
    [
        ("upper abdomen", None),
        ("base of the neck", None),
        ("cardiac apex", None),
        ("based on CT", None),
        ("mid and lower lung zones", None),
        ("apices", UPPER),
        ("left upper zone", UPPER),
        ("midlung", MID),
        ("middle lobe", MID),
        ("posterobasal", LOWER),
        ("costophrenic angle", LOWER),
    ],
)
def test_a_zone_is_named_only_where_it_is_one(words: str, zone: Zone | None) -> None:
    assert zone_of(words) is zone
