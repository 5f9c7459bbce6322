"""What a record may hold of boxes and radiographs: the same objects, masked."""

from dataclasses import fields, replace
from datetime import date, timedelta

import pytest
from made_up_image import made_up_image

from audit.privacy.pseudonyms import Pseudonyms
from audit.privacy.redaction import Redactor
from pipelines.study import Box, Radiograph

MASKING, SHOWING = (Redactor(keys=Pseudonyms(b"salt"), show_phi=show_phi) for show_phi in (False, True))
BOX = Box(x=1.0, y=2.0, width=3.0, height=4.0, label="nodule", reader="Smith", phrase="Nodule, told Smith of it.")


def test_a_box_keeps_its_place_and_finding_and_loses_names() -> None:
    (masked,) = MASKING.boxes([BOX], spoken=["Nodule."])
    assert masked == replace(BOX, reader=masked.reader, phrase=masked.phrase)
    assert "Smith" not in f"{masked.reader} {masked.phrase}"
    assert masked.reader.startswith("reader-")
    assert masked.phrase.startswith("Nodule")


def test_masking_a_masked_box_changes_nothing() -> None:
    masked = MASKING.boxes([replace(BOX, label="Smith's mass")], spoken=["Nodule."])
    assert MASKING.boxes(masked, spoken=["Nodule."])[0].label == masked[0].label
    assert MASKING.boxes(masked, spoken=["Nodule."])[0].reader == masked[0].reader


@pytest.mark.parametrize(
    ("manufacturer", "shown"),
    [("Philips Medical Systems", "Philips Medical Systems"), (None, None), ("", None), ("Smith's ward", "maker-")],
    ids=["maker", "unknown", "blank", "name"],
)
def test_a_radiograph_keeps_the_names_of_makers_alone(manufacturer: str | None, shown: str | None) -> None:
    seen = MASKING.radiograph(made_up_image(manufacturer=manufacturer))
    assert seen.manufacturer == shown or (shown == "maker-" and seen.manufacturer.startswith(shown))
    assert {field.name for field in fields(seen)} == {field.name for field in fields(Radiograph)}


def test_nothing_is_masked_where_patient_data_may_be_shown() -> None:
    assert SHOWING.boxes([BOX], spoken=[]) == (BOX,)
    assert SHOWING.radiograph(made_up_image(manufacturer="Smith's ward")).manufacturer == "Smith's ward"


def test_dates_keep_the_intervals_of_a_patient_and_not_the_order_of_patients() -> None:
    days = [date(2026, 11, 23) + timedelta(days=7 * place) for place in range(20)]
    shifted = [MASKING.study_date(day, patient="a") for day in days]
    assert [later - shifted[0] for later in shifted] == [later - days[0] for later in days]
    of_patients = [MASKING.study_date(days[0], patient=f"patient-{place}") for place in range(20)]
    assert len(set(of_patients)) == 20
    assert all(timedelta(days=36_525) <= day - days[0] < timedelta(days=2 * 36_525) for day in of_patients)
    other_salt = Redactor(keys=Pseudonyms(b"other salt"), show_phi=False)
    assert other_salt.study_date(days[0], patient="a") != shifted[0]
    assert SHOWING.study_date(days[0], patient="a") == days[0]
    assert MASKING.study_date(None, patient="a") is None
