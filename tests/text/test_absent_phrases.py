"""What a report denies of the whole image becomes absent phrases, and no more than that."""

import pytest

from pipelines.study import Context
from pipelines.text.absent import ABNORMALITY, absent_phrases
from pipelines.text.phrases import phrases_of

HEART, MEDIASTINUM, HILUM = "cardiomegaly", "enlarged cardiomediastinum", "enlarged hilum"


def denied(text: str) -> set[str]:
    found = absent_phrases(text, phrases_of(text))
    assert all(phrase.context is Context.ABSENT for phrase in found)
    return {str(phrase.finding) for phrase in found}


@pytest.mark.parametrize(
    ("text", "findings"),
    [
        ("No pleural effusion.", {"pleural effusion"}),
        ("No focal consolidation, effusion or pneumothorax.", {"consolidation", "pleural effusion", "pneumothorax"}),
        ("Effusion: none.", {"pleural effusion"}),
        ("The heart is not enlarged.", {HEART}),
        ("Heart size is normal.", {HEART}),
        ("Normal heart size.", {HEART}),
        ("Heart size within normal limits.", {HEART}),
        ("The cardiomediastinal silhouette is unremarkable.", {HEART, MEDIASTINUM}),
        ("Heart size and mediastinal contours are within normal limits.", {HEART, MEDIASTINUM}),
        ("Mediastinal and hilar contours are normal.", {MEDIASTINUM, HILUM}),
        ("The heart size and pulmonary vascularity appear within normal limits.", {HEART}),
        ("The lungs are clear.", {"lung opacity"}),
        ("Heart size normal and lungs clear.", {HEART, "lung opacity"}),
        ("Both lungs are well expanded and clear.", {"lung opacity"}),
        ("Lungs are clear of effusion or pneumothorax.", {"pleural effusion", "pneumothorax"}),
        ("No acute cardiopulmonary process.", {ABNORMALITY}),
        ("No evidence of acute cardiopulmonary abnormality.", {ABNORMALITY}),
        ("No acute disease.", {ABNORMALITY}),
        ("Normal chest x-ray.", {ABNORMALITY}),
    ],
)
def test_a_denial_is_an_absent_phrase_for_each_finding_that_it_excludes(text: str, findings: set[str]) -> None:
    assert denied(text) == findings


@pytest.mark.parametrize(
    "text",
    [
        "No large effusion.",
        "No new consolidation.",
        "No significant pleural effusion.",
        "No displaced rib fracture.",
        "No acute fracture.",
        "No fractures of the thoracic spine.",
        "No rib fracture.",
        "No focal opacity.",
        "No pneumothorax on the left.",
        "No apical pneumothorax.",
        "The effusion has resolved.",
        "The endotracheal tube has been removed.",
        "No endotracheal tube.",
        "A nodule without calcification.",
        "The right lung is clear.",
        "The lungs are otherwise clear.",
        "Heart size is at the upper limits of normal.",
        "Heart size is borderline.",
        "The bony structures reveal no acute abnormality.",
        "No acute abnormality of the spine.",
        "No acute bony abnormality.",
        "Cannot exclude an effusion.",
        "History of pneumonia.",
        "Lungs are clear except for a small nodule.",
    ],
)
def test_a_limited_denial_is_no_absent_phrase(text: str) -> None:
    assert denied(text) == set()


@pytest.mark.parametrize(
    ("text", "findings"),
    [
        ("No left effusion. Small right effusion. No pneumothorax.", {"pneumothorax"}),
        ("The lungs are clear. Possible left basal atelectasis.", set()),
        ("No lung lesion. A nodule in the left upper lobe.", set()),
        ("No consolidation. Hazy opacity at the left base.", {"consolidation"}),
        ("Heart size is normal. Mild cardiomegaly.", set()),
        ("No acute cardiopulmonary process. Small left effusion.", set()),
        ("No acute cardiopulmonary process. History of pneumonia.", {ABNORMALITY}),
    ],
)
def test_a_denial_that_the_report_contradicts_is_no_absent_phrase(text: str, findings: set[str]) -> None:
    assert denied(text) == findings


def test_a_finding_is_denied_once_with_its_first_sentence() -> None:
    text = "FINDINGS: No pleural effusion. There is no effusion.\n\nIMPRESSION: No effusion."
    (phrase,) = absent_phrases(text, phrases_of(text))
    assert (phrase.text, phrase.section) == ("No pleural effusion.", "findings")
