"""Codes of the results: DICOM and SNOMED CT codes if pydicom's dictionary has them, otherwise a private scheme.

Source: PS3.16 annex D (DICOM controlled terminology), chapter 8 (coding schemes: private designators begin with 99).
"""

from typing import Final

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import CodedConcept
from pydicom.sr.codedict import codes

from reports.dicom_out.identity import plain_line

__all__ = [
    "AI",
    "CHEST_IMAGING",
    "COSINE",
    "HEAT_PEAK",
    "HEAT_REGION",
    "HEAT_TOTAL",
    "NAT",
    "NO_UNITS",
    "SPATIAL_CONCEPT",
    "finding_code",
    "outcome_code",
    "own_code",
    "own_scheme",
    "unit_code",
]

_SCHEME = "99M2IB"


def own_code(value: str, meaning: str) -> CodedConcept:
    """Return a code of the private scheme; values have at most 16 characters, meanings 64."""
    return CodedConcept(value=value, scheme_designator=_SCHEME, meaning=plain_line(meaning))


AI: Final = CodedConcept.from_code(codes.DCM.ArtificialIntelligence)
CHEST_IMAGING: Final = CodedConcept(value="413815006", scheme_designator="SCT", meaning="Chest imaging")
SPATIAL_CONCEPT: Final = CodedConcept.from_code(codes.SCT.SpatialAndRelationalConcept)
NO_UNITS: Final = CodedConcept(value="1", scheme_designator="UCUM", meaning="no units")
NAT: Final = CodedConcept(value="{nat}", scheme_designator="UCUM", meaning="nat")
COSINE: Final = own_code("cosine", "Cosine similarity of image and phrase")
HEAT_TOTAL: Final = own_code("heat-total", "Sum of the heat over the model's grid")
HEAT_PEAK: Final = own_code("heat-peak", "Heat of the hottest cell of the model's grid")
HEAT_REGION: Final = own_code("heat-region", "Where the model looked (heat above Otsu's threshold)")

# Findings with a code in pydicom's dictionary of DICOM context groups.
_STANDARD = {"pleural effusion": codes.SCT.PleuralEffusion, "pneumothorax": codes.SCT.Pneumothorax}
_OUTCOMES = {"hit": "Hit", "miss": "Miss", "unscored": "Unscored: nobody drew a box"}


def own_scheme() -> CodingSchemeIdentificationItem:
    """Return the identification of the coding scheme 99M2IB."""
    return CodingSchemeIdentificationItem(
        designator=_SCHEME, name="m2ib-audit concepts", responsible_organization="m2ib-audit"
    )


def unit_code(unit: str) -> CodedConcept:
    """Return the code for the unit of a method's heat."""
    return NAT if unit == "nats" else NO_UNITS


def finding_code(finding: str | None) -> CodedConcept:
    """Return the code of a phrase's finding, or a generic code for a phrase without a known finding."""
    if finding is None:
        return own_code("phrase", "Phrase of the report")
    if finding in _STANDARD:
        return CodedConcept.from_code(_STANDARD[finding])
    return own_code(finding[:16].strip().replace(" ", "-"), finding)


def outcome_code(outcome: str) -> CodedConcept:
    """Return the code for the outcome of a pointing game."""
    return own_code(outcome, _OUTCOMES[outcome])
