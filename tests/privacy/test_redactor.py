"""What a record may hold of boxes and radiographs: the same objects, masked."""

from dataclasses import fields, replace

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
