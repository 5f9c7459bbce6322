"""What a record keeps of a study meets boxes that are read later."""

import pytest
from made_up_image import made_up_image, target_of

from audit.output.stored import keyed_rows
from audit.privacy.pseudonyms import Pseudonyms
from audit.privacy.redaction import Redactor
from pipelines.boxes import BoxRow
from pipelines.study import Box, Context, Phrase

KEYS = Pseudonyms(b"the salt of whoever ran it")
DATED = "Left effusion, unchanged since March 12th, 2019."
UNDATED = "Another effusion is small."
IMAGE = made_up_image("film.dcm")


def drawn_for(wording: str, *, x: float) -> BoxRow:
    box = Box(x=x, y=10.0, width=20.0, height=20.0, label="pleural effusion", phrase=wording)
    return BoxRow(image="film.dcm", box=box, frame=None, source="boxes.csv row 1")


def sentence(text: str) -> Phrase:
    return Phrase(
        text=text, section="findings", finding="pleural effusion", context=Context.PRESENT, side=None, zone=None
    )


@pytest.mark.parametrize("show_phi", [False, True], ids=["masked", "shown"])
def test_a_box_drawn_for_a_dated_sentence_is_its_target_in_the_record_as_in_the_run(show_phi: bool) -> None:
    redactor = Redactor(keys=KEYS, show_phi=show_phi)
    rows = [drawn_for(DATED, x=130.0), drawn_for(UNDATED, x=160.0)]
    in_run = target_of(sentence(DATED), [row.box for row in rows], IMAGE)
    read = [kept for row in rows for kept in keyed_rows(row, {}, redactor)]
    later = target_of(sentence(redactor.text(DATED).text), [row.box for row in read], IMAGE)
    assert [box.x for box in in_run] == [box.x for box in later] == [130.0]
