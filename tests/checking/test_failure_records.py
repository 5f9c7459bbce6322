"""No file's name gets out, and a long list of files takes no longer a file than a short one."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.privacy.pseudonyms import Pseudonyms
from audit.privacy.redaction import failure_records
from pipelines.privacy.vocabulary import is_known
from pipelines.study import Exclusion

KEYS = Pseudonyms(b"a salt for tests only")
FOLDER = Path("/data/dicom")


def left_out(source: str, reason: str) -> Exclusion:
    return Exclusion(source=source, stage="header", reason=reason, failed=True)


def key(name: str) -> str:
    return f"file-{KEYS.key('file', name)}"


def reasons(*items: Exclusion) -> list[str]:
    return [shown.reason for shown in failure_records(items, [FOLDER], KEYS, show_phi=False)]


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("Doe.dcm is cut short", "{0} is cut short"),
        ("it is Doe.dcm.", "it is {0}."),
        ("two (Doe.dcm, Roe, Jane.txt): keep one", "two ({0}, {1}): keep one"),
        ('"Doe.dcm" is empty', '"{0}" is empty'),
        ("/data/dicom/a b/Doe.dcm: empty", "{0}: empty"),
        ("dicom/a/Doe.dcm row 3: empty", "{0} row 3: empty"),
        ("C:\\films\\Doe.dcm", "{0}"),
        ("Doe.dcm.gz is another file", "Doe.dcm.gz is another file"),
        ("nothing is to be done", "nothing is to be done"),
    ],
)
def test_names_become_keys_where_a_sentence_gives_them(reason: str, shown: str) -> None:
    items = [left_out("/data/dicom/a b/Doe.dcm", reason), left_out("/data/dicom/Roe, Jane.txt", "empty")]
    assert reasons(*items)[0] == shown.format(key("Doe.dcm"), key("Roe, Jane.txt"))


def test_the_longer_of_two_names_counts() -> None:
    items = [left_out("/data/dicom/Doe", "Doe John.dcm is empty"), left_out("/data/dicom/Doe John.dcm", "Doe is empty")]
    assert reasons(*items) == [f"{key('Doe John.dcm')} is empty", f"{key('Doe')} is empty"]


def test_a_short_name_leaves_the_words_that_hold_its_letters_alone() -> None:
    assert reasons(left_out("/data/dicom/x7", "that x72 is x7, xx7")) == [f"that x72 is {key('x7')}, xx7"]


def test_a_file_whose_name_is_a_word_of_sentences_leaves_the_word_alone() -> None:
    reason = 'out of the folder; "out" and a/out are empty'
    shown = f'out of the folder; "{key("out")}" and {key("out")} are empty'
    assert reasons(left_out("/data/dicom/out", reason), left_out("/data/dicom/young", "of young")) == [
        shown,
        f"of {key('young')}",
    ]


@given(
    name=st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=12).filter(
        lambda name: (
            name not in {".", ".."} and name.strip() == name and not name.endswith(" row 1") and not is_known(name)
        )
    ),
    before=st.sampled_from(["", "The file ", "two (", 'named "', "in dicom/a/", "a, "]),
    after=st.sampled_from(["", " is empty", ", b", "): keep it", '" is empty', ": export it again"]),
)
def test_no_name_stays_in_a_reason(name: str, before: str, after: str) -> None:
    [shown] = reasons(left_out(f"/data/dicom/{name}", f"{before}{name}{after}"))
    assert key(name) in shown


def test_a_row_of_a_table_keeps_its_number_and_a_file_its_place_in_the_folder() -> None:
    item = left_out("/data/dicom/sub/reports.csv row 12", "empty")
    [hidden] = failure_records([item], [FOLDER], KEYS, show_phi=False)
    [named] = failure_records([item], [FOLDER], KEYS, show_phi=True)
    [elsewhere] = failure_records([item], [Path("/other")], KEYS, show_phi=True)
    assert (hidden.source, named.source, elsewhere.source) == (
        f"{key('reports.csv')} row 12",
        "sub/reports.csv row 12",
        "reports.csv row 12",
    )


def steps_for(count: int) -> int:
    """Count the bytecodes that are executed to show ``count`` failures, each with a name of its own."""
    items = [left_out(f"/data/dicom/Doe {n:06}.dcm", f"Doe {n:06}.dcm is cut short") for n in range(count)]
    steps = 0

    def count_steps(frame: FrameType, event: str, _argument: object) -> Callable | None:
        nonlocal steps
        frame.f_trace_opcodes = True
        steps += event == "opcode"
        return count_steps

    before = sys.gettrace()
    sys.settrace(count_steps)
    try:
        shown = failure_records(items, [FOLDER], KEYS, show_phi=False)
    finally:
        sys.settrace(before)
    assert "Doe" not in "".join(each.reason for each in shown)
    return steps


def test_many_files_take_no_more_work_a_file_than_few() -> None:
    """Looking for every name in every reason takes more than twice the steps a file here, and a minute for 20,000."""
    steps_for(10)  # what is only done once, as patterns are compiled
    few, many = steps_for(50), steps_for(250)
    assert many < 1.1 * 5 * few
