"""Reports in other languages are recognised, counted in one sentence, and never read as if they were English."""

from pathlib import Path

import pytest
from made_up_image import made_up_image

from audit.configuration import InputsConfig
from audit.pipeline.inputs import survey
from pipelines.cohort import match
from pipelines.phantom.cohort import make_cohort
from pipelines.study import Report
from pipelines.text.language import language_of
from pipelines.text.reports import ReportTable

REPORTS = {
    "German": "Befund: Kein Pneumothorax. Kleiner Pleuraerguss links. Das Herz ist nicht vergrößert.",
    "French": "Pas de pneumothorax. Épanchement pleural gauche. La silhouette cardiaque est normale.",
    "Spanish": "Sin neumotórax. Derrame pleural izquierdo. La silueta cardíaca es normal.",
    "Italian": "Non pneumotorace. Versamento pleurico a sinistra. Ombra cardiaca nei limiti della norma.",
    "Portuguese": "Ausência de pneumotórax. Derrame pleural à esquerda. Área cardíaca normal. Seios livres.",
    "Dutch": "Geen pneumothorax. Het hart is niet vergroot. Pleuravocht links.",
    "Polish": "Nie stwierdzono odmy. Płyn w lewej jamie opłucnej. Sylwetka serca bez zmian.",
    "Swedish": "Ingen pneumothorax. Pleuravätska på vänster sida. Hjärtat är inte förstorat.",
    "Danish or Norwegian": "Ingen pneumothorax. Pleuravæske på venstre side. Hjertet er ikke forstørret.",
    "Turkish": "Pnömotoraks saptanmadı. Sol plevral efüzyon izlendi. Kalp doğal.",
    "Russian or another language in Cyrillic": "Пневмоторакса нет. Выпот слева.",
    "Greek": "Χωρίς πνευμοθώρακα.",
    "Arabic or Persian": "لا يوجد استرواح الصدر.",
    "Japanese": "気胸はありません。",
    "Chinese": "未见气胸。左侧胸腔积液。",
}


@pytest.mark.parametrize(("language", "text"), REPORTS.items(), ids=REPORTS)
def test_a_report_in_another_language_is_recognised(language: str, text: str) -> None:
    assert language_of(text) == language


def test_spanish_in_stems_of_words_is_spanish() -> None:
    assert language_of("radiografi actual comp con previ persistent derram pleural derech . sin cambi .") == "Spanish"


@pytest.mark.parametrize(
    "text",
    [
        "FINDINGS: No pneumothorax. Small left pleural effusion. The heart is not enlarged.",
        "Cardiomegaly.",
        "Dr. van der Berg saw a nodule. Discussed with Dr. de la Cruz.",
        "read by long, long 8e7598e3e6c3",
        "ICD en bloc, s/p CABG. Post op changes.",
        "",
        "12 34",
    ],
)
def test_english_and_what_cannot_be_told_are_read(text: str) -> None:
    assert language_of(text) is None


def test_a_denied_finding_in_german_becomes_no_phrase_and_is_counted() -> None:
    images = [
        made_up_image(f"{name}.dcm", sop_instance_uid=name, study_instance_uid=name) for name in ("one", "two", "three")
    ]
    texts = (REPORTS["German"], REPORTS["German"].replace("Kleiner", "Großer"), "FINDINGS: Nodule.")
    reports = tuple(
        Report(source=f"{image.path.stem}.txt", text=text, stem=image.path.stem)
        for image, text in zip(images, texts, strict=True)
    )
    cohort = match(images, ReportTable(reports=reports, left_out=()))
    assert [study.study_instance_uid for study in cohort.studies] == ["three"]
    assert cohort.languages == {"German": 2}
    assert len(cohort.left_out) == 4  # two reports, two images
    assert {item.reason.partition(";")[0] for item in cohort.left_out} == {"the report is in German"}
    assert not any(item.failed for item in cohort.left_out)


def test_a_cohort_in_one_other_language_says_so_first() -> None:
    report = Report(source="film.txt", text=REPORTS["Spanish"], stem="film")
    nothing = match([made_up_image()], ReportTable(reports=(report,), left_out=())).nothing
    assert nothing is not None
    assert "1 of 1 joined reports are in Spanish" in nothing
    assert "known finding" not in nothing


def test_check_says_it_in_one_sentence_with_the_count(tmp_path: Path) -> None:
    make_cohort(tmp_path, count=2, seed=3, columns=96)
    (tmp_path / "reports" / "phantom-00001.txt").write_text(REPORTS["French"])
    inputs = survey(InputsConfig(dicom_dir=tmp_path / "dicom", reports=tmp_path / "reports", index="none"))
    assert inputs.languages == (
        "1 of 2 joined reports is in French and left out: findings and negation are read in English only.",
    )
