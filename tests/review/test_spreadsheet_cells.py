"""Text that a spreadsheet would run is defused, and every other text stays as it is."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_review import ROOT

from pipelines.quoting import defused


@pytest.mark.parametrize("start", list("=+-@\t\r\n＝＋－＠"), ids=repr)
def test_what_begins_as_a_formula_does_gets_an_apostrophe(start):
    assert defused(f"{start}cmd|' /C calc'!A0") == f"'{start}cmd|' /C calc'!A0"


@given(st.text())
def test_other_text_stays_and_nothing_is_lost(text):
    safe = defused(text)
    assert safe.removeprefix("'") == text.removeprefix("'") if text.startswith("'") else safe.endswith(text)
    assert not re.match(r"[=+\-@\t\r\n＝＋－＠]", safe)
    assert defused(safe) == safe


def test_there_is_one_such_function_in_the_program():
    pattern = re.compile(r'"=",\s*"\+"')
    sources = [path for folder in ("audit", "pipelines", "reports") for path in Path(ROOT / folder).rglob("*.py")]
    assert [path.name for path in sources if pattern.search(path.read_text(encoding="utf-8"))] == ["quoting.py"]
