"""What reviewers said leaves OUT as a table, JSON and boxes, and comes in from the files of pages."""

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from shutil import copytree

import pytest
from made_up_records import EFFUSION, make_study
from made_up_review import entry_of, lay_down, three_studies, two_sided_study
from typer.testing import CliRunner

from audit.cli import app
from audit.review.drawn import write_boxes
from audit.review.exporting import agreement_lines, agreement_table, export, text_of
from audit.review.importing import import_entries
from audit.review.ledger import LEDGER_NAME, Ledger
from pipelines.boxes import read_boxes
from pipelines.errors import InputError, OutputError
from reports.review_page import reason_words
from reports.review_record import LONGEST_COMMENT, REASONS, ReviewEntry

ONE, TWO, FOUR = three_studies()
SIDES = two_sided_study()
NOW = datetime(2026, 3, 6, 8, 0, tzinfo=UTC)
BOX = {"x": 100.0, "y": 200.5, "width": 300.0, "height": 50.0}


def say(out: Path, *entries: dict) -> None:
    ledger = Ledger(out / LEDGER_NAME)
    for entry in entries:
        ledger.append(ReviewEntry.model_validate(entry), now=NOW)
    ledger.close()


def saved(path: Path, *entries: dict, **changes: object) -> Path:
    content = {"format": "m2ib-audit review", "version": 1, "saved": "2026-03-05T11:00:00Z", "entries": list(entries)}
    path.write_text(json.dumps(content | changes), encoding="utf-8")
    return path


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture
def said(out: Path) -> Path:
    """Two reviewers on four heats of three patients, one of whom changed her mind and one of whom took back."""
    say(
        out,
        entry_of(ONE, 1, verdict="disagree"),
        entry_of(ONE, 2, verdict="agree", replaces=f"{1:032x}", comment="=1+1", reasons=["too-wide", "marker"]),
        entry_of(ONE, 3, reviewer="Ben", verdict="agree"),
        entry_of(TWO, 4, verdict="partly", boxes=[BOX]),
        entry_of(TWO, 5, reviewer="Ben", verdict="disagree"),
        entry_of(FOUR, 6, place=1, verdict="disagree"),
        entry_of(FOUR, 7, place=1, reviewer="Ben", verdict="disagree"),
        entry_of(FOUR, 8, place=0, verdict="agree"),
        entry_of(FOUR, 9, place=0, verdict=None, replaces=f"{8:032x}"),
    )
    return out


def test_a_damaged_study_is_left_out_of_table_and_boxes_and_named(said, tmp_path):
    record = said / "studies" / FOUR.record.key / "record.json"
    record.write_text("[" * 100_000)
    found = export(said)
    assert ({row["study"][0] for row in rows_of(text_of(found, as_json=False))}, found.foreign) == ({"a", "b"}, 0)
    (sentence,) = found.damaged
    assert f"{FOUR.record.key}/record.json is not a record" in sentence
    for words in (["export", str(said)], ["boxes", str(said), "--out", str(tmp_path / "b.csv"), "--with-run-boxes"]):
        told = CliRunner().invoke(app, ["review", *words])
        assert (told.exit_code, "record.json is not a record" in told.output) == (3, True), told.output


def test_the_table_holds_what_each_said_last(said):
    rows = rows_of(text_of(export(said), as_json=False))
    assert [(row["study"][0], row["reviewer"], row["verdict"]) for row in rows] == [
        ("a", "Ada", "agree"),
        ("a", "Ben", "agree"),
        ("b", "Ada", "partly"),
        ("b", "Ben", "disagree"),
        ("c", "Ada", "disagree"),
        ("c", "Ben", "disagree"),
    ]
    first = rows[0]
    assert first["phrase"] == "Small right pleural effusion."
    assert first["finding"] == "pleural effusion"
    assert first["comment"] == "'=1+1"
    assert first["reasons"] == "marker; too-wide"
    assert json.loads(rows[2]["boxes"]) == [BOX]


def test_the_history_holds_every_entry_in_order(said):
    rows = rows_of(text_of(export(said, history=True), as_json=False))
    assert [row["id"] for row in rows] == [f"{number:032x}" for number in range(1, 10)]
    assert [row["latest"] for row in rows] == ["no", "yes", "yes", "yes", "yes", "yes", "yes", "no", "yes"]
    assert rows[8]["replaces"] == f"{8:032x}"


def test_json_holds_the_same_with_the_agreement(said):
    found = json.loads(text_of(export(said), as_json=True))
    assert len(found["verdicts"]) == 6
    assert found["verdicts"][0]["reasons"] == ["marker", "too-wide"]
    over_all = next(e for e in found["agreement"] if e["finding"] is None and e["statistic"] == "Cohen's kappa")
    # By hand: agree-agree, partly-disagree, disagree-disagree; observed 2/3, chance (1*1 + 1*0 + 1*2) / 9.
    assert over_all["kappa"] == pytest.approx((2 / 3 - 1 / 3) / (1 - 1 / 3))
    assert (over_all["heats"], over_all["patients"]) == (3, 3)


def test_agreement_is_given_for_each_finding_too(said):
    rows = rows_of(agreement_table(export(said)))
    assert {row["finding"] for row in rows} == {"", "pleural effusion", "nodule"}
    assert {row["reviewers"] for row in rows} == {"Ada; Ben"}
    nodule = next(row for row in rows if row["finding"] == "nodule")
    assert (nodule["heats"], nodule["agree"], nodule["kappa"]) == ("1", "1", "")


def test_what_was_said_of_an_earlier_audit_is_counted_and_left_out(said):
    record = said / "studies" / TWO.record.key / "record.json"
    record.write_text(TWO.record.model_copy(update={"created": NOW}).model_dump_json())
    found = export(said)
    assert found.foreign == 2
    assert {row["study"] for row in found.rows} == {ONE.record.key, FOUR.record.key}


def test_the_command_prints_the_table_and_tells_the_agreement_beside(said):
    done = CliRunner().invoke(app, ["review", "export", str(said)])
    assert done.exit_code == 0
    assert len(rows_of(done.stdout)) == 6
    assert "Cohen's kappa, Ada and Ben: 0.50" in done.stderr


def test_the_agreement_counts_one_heat_of_one_patient_in_the_singular(out):
    say(out, entry_of(ONE, 1, verdict="agree"), entry_of(ONE, 2, reviewer="Ben", verdict="agree"))
    lines = agreement_lines(export(out))
    assert lines[0].endswith("; 1 heat of 1 patient")
    say(out, entry_of(TWO, 3, verdict="agree"), entry_of(TWO, 4, reviewer="Ben", verdict="partly"))
    assert agreement_lines(export(out))[0].endswith("; 2 heats of 2 patients")


def test_the_command_writes_files(said, tmp_path):
    to = tmp_path / "verdicts.csv"
    done = CliRunner().invoke(app, ["review", "export", str(said), "--out", str(to), "--history"])
    assert done.stdout.split() == [str(to), str(tmp_path / "verdicts-agreement.csv")]
    assert len(rows_of(to.read_text())) == 9
    assert rows_of((tmp_path / "verdicts-agreement.csv").read_text())
    done = CliRunner().invoke(
        app, ["review", "export", str(said), "--format", "json", "--out", str(tmp_path / "v.json")]
    )
    assert json.loads((tmp_path / "v.json").read_text())["strange"] == 0


@pytest.mark.parametrize("command", [["export"], ["boxes", "--out", "x.csv"]], ids=["export", "boxes"])
def test_where_nobody_said_anything_the_command_says_so(out, command):
    done = CliRunner().invoke(app, ["review", command[0], str(out), *command[1:]])
    assert done.exit_code == 1
    assert "holds no verdicts: review it first" in done.stderr
    assert not (out / LEDGER_NAME).exists()


def test_drawn_boxes_are_a_box_file_that_names_images_by_their_keys(said, tmp_path):
    written = write_boxes(said, tmp_path / "boxes.csv")
    assert (written.drawn, written.kept, written.unnamed) == (1, 0, 0)
    read = read_boxes(tmp_path / "boxes.csv")
    assert read.left_out == ()
    (row,) = read.rows
    assert row.image == TWO.record.images[0].key
    assert (row.box.x, row.box.y, row.box.width, row.box.height) == tuple(BOX.values())
    assert (row.box.label, row.box.reader, row.box.phrase) == (
        "pleural effusion",
        "Ada",
        "Small right pleural effusion.",
    )


def test_the_runs_own_boxes_are_written_where_no_reviewer_drew(said, tmp_path):
    written = write_boxes(said, tmp_path / "boxes.csv", with_run_boxes=True)
    total = sum(len(image.boxes) for made in (ONE, TWO, FOUR) for image in made.record.images)
    replaced = len(TWO.record.images[0].boxes)
    assert (written.drawn, written.kept) == (1, total - replaced)
    rows = read_boxes(tmp_path / "boxes.csv").rows
    assert [row.box.reader for row in rows if row.image == TWO.record.images[0].key] == ["Ada"]


def test_the_other_sides_box_stays_where_a_reviewer_drew_for_one_side(tmp_path):
    out = lay_down(tmp_path / "out", SIDES)
    say(out, entry_of(SIDES, boxes=[BOX]))
    write_boxes(out, tmp_path / "boxes.csv", with_run_boxes=True)
    rows = read_boxes(tmp_path / "boxes.csv").rows
    right = SIDES.record.images[0].boxes[1]
    assert [(row.box.reader, row.box.x) for row in rows] == [("Ada", BOX["x"]), (None, pytest.approx(right.x))]


def test_a_broader_label_is_replaced_where_a_reviewer_drew_for_the_narrower(tmp_path):
    made = make_study("e" * 16, (EFFUSION,))
    (image,) = made.record.images
    lesion = replace(image.boxes[0], label="lung lesion")
    nodule = replace(image.phrases[0], finding="nodule")
    image = replace(image, boxes=(lesion,), phrases=(nodule,))
    made.record = made.record.model_copy(update={"images": (image,)})
    out = lay_down(tmp_path / "out", made)
    say(out, entry_of(made, boxes=[BOX]))
    assert write_boxes(out, tmp_path / "boxes.csv", with_run_boxes=True).kept == 0


def test_boxes_that_were_taken_back_are_not_written(said, tmp_path):
    say(said, entry_of(TWO, 20, replaces=f"{4:032x}"))
    with pytest.raises(OutputError, match="nobody drew a box"):
        write_boxes(said, tmp_path / "boxes.csv")


def test_boxes_of_one_reviewer_alone(said, tmp_path):
    say(said, entry_of(TWO, 20, reviewer="Ben", replaces=f"{5:032x}", boxes=[BOX, BOX]))
    assert write_boxes(said, tmp_path / "all.csv").drawn == 3
    assert write_boxes(said, tmp_path / "one.csv", reviewer="Ben").drawn == 2


def test_boxes_for_a_phrase_without_a_known_finding_are_counted_and_left_out(said, tmp_path):
    say(said, entry_of(FOUR, 30, place=3, boxes=[BOX]))
    assert write_boxes(said, tmp_path / "boxes.csv").unnamed == 1


def test_a_saved_file_is_brought_in_once(out, tmp_path):
    file = saved(tmp_path / "saved.json", entry_of(ONE, 1), entry_of(ONE, 2, replaces=f"{1:032x}", verdict="partly"))
    found = import_entries(out, [file], now=NOW)
    assert (found.new, found.known, found.left_out) == (2, 0, ())
    again = import_entries(out, [file, file], now=NOW)
    assert (again.new, again.known) == (0, 4)
    rows = export(out).rows
    assert [(row["verdict"], row["moment"]) for row in rows] == [("partly", "2026-03-05T10:00:00+00:00")]


def test_comments_of_saved_files_are_masked_as_the_server_masks_them(out, tmp_path):
    comment = "Dr. Vandermeer calls it an effusion, MRN 99471123; I see a 12 mm nodule."
    file = saved(tmp_path / "saved.json", entry_of(ONE, 1, comment=comment))
    assert import_entries(out, [file], now=NOW).new == 1
    masked = "Dr. [name] calls it an effusion, MRN [number]; I see a 12 mm nodule."
    assert [row["comment"] for row in export(out).rows] == [masked]
    assert b"Vandermeer" not in b"".join(path.read_bytes() for path in out.glob("review.sqlite*"))
    assert import_entries(out, [file], now=NOW).known == 1


def test_a_comment_that_masking_makes_longer_than_entries_may_be_stays_readable(out, tmp_path):
    import_entries(out, [saved(tmp_path / "saved.json", entry_of(ONE, 1, comment="é. " * 1333))], now=NOW)
    (row,) = export(out).rows
    assert len(row["comment"]) == LONGEST_COMMENT
    assert row["comment"].startswith("[masked]. [masked]. ")


def test_comments_stay_as_they_are_where_the_study_shows_patient_data(tmp_path):
    made = make_study("e" * 16, (EFFUSION,), patient="p9")
    made.record = made.record.model_copy(update={"patient_data_shown": True})
    out = lay_down(tmp_path / "out", made)
    import_entries(out, [saved(tmp_path / "saved.json", entry_of(made, 1, comment="Dr. Vandermeer"))], now=NOW)
    assert [row["comment"] for row in export(out).rows] == ["Dr. Vandermeer"]


def test_a_name_in_place_of_the_files(out, tmp_path):
    import_entries(out, [saved(tmp_path / "saved.json", entry_of(ONE, 1))], now=NOW, reviewer="Cleo")
    assert [row["reviewer"] for row in export(out).rows] == ["Cleo"]


def test_entries_on_other_audits_are_left_out_with_a_sentence(out, tmp_path):
    strange = entry_of(ONE, 1)
    strange["subject"] |= {"study": "f" * 16}
    older = entry_of(ONE, 2)
    older["subject"] |= {"audited": "2020-01-01T00:00:00Z"}
    outside = entry_of(ONE, 3, boxes=[{"x": 1100, "y": 0, "width": 100, "height": 10}])
    file = saved(tmp_path / "saved.json", strange, older, outside, entry_of(TWO, 4))
    done = CliRunner().invoke(app, ["review", "import", str(out), str(file)])
    assert done.exit_code == 3
    assert done.stdout == "1 new, 0 known already\n"
    assert "is not part of this audit" in done.stderr
    assert "audited again" in done.stderr
    assert "lies outside its image of 1150 x 1400 px" in done.stderr


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("study", "a study with an invalid key is not part of this audit"),
        ("image", "has no heat map with the name and image of an entry"),
        ("heat", "has no heat map with the name and image of an entry"),
    ],
)
def test_what_an_entry_names_wrongly_is_not_repeated(out, tmp_path, field, said):
    strange = entry_of(ONE, 1)
    strange["subject"] |= {field: "Anna_Kowalska"}
    done = CliRunner().invoke(app, ["review", "import", str(out), str(saved(tmp_path / "saved.json", strange))])
    assert done.exit_code == 3
    assert said in done.stderr
    assert "Kowalska" not in done.output


def test_a_field_that_no_page_saves_is_not_repeated(out, tmp_path):
    file = saved(tmp_path / "saved.json", entry_of(ONE, 1) | {"Anna Kowalska": 1})
    done = CliRunner().invoke(app, ["review", "import", str(out), str(file)])
    assert done.exit_code == 1
    assert r"at entries.0...." in done.stderr
    assert "Kowalska" not in done.output


@pytest.mark.parametrize("names", ["hide", "show"])
def test_a_folder_of_another_name_is_named_to_its_owner_alone(said, tmp_path, monkeypatch, names):
    monkeypatch.setenv("M2IB_AUDIT_NAMES", names)
    copytree(said / "studies" / ONE.record.key, said / "studies" / "Anna Kowalska")
    for words in (("export", str(said)), ("boxes", str(said), "--out", str(tmp_path / "b.csv"), "--with-run-boxes")):
        done = CliRunner().invoke(app, ["review", *words])
        assert done.exit_code == 3
        assert "is not a study of a run, because its name is not a study's key" in done.stderr
        assert ("Anna Kowalska" in done.stderr) is (names == "show")
        assert "Kowalska" not in done.stdout
    assert "Kowalska" not in (tmp_path / "b.csv").read_text()


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"format": "other", "version": 1, "saved": "2026-03-05T11:00:00Z", "entries": []}', "\x00\xff"],
    ids=["empty", "broken", "list", "other format", "binary"],
)
def test_a_file_that_no_page_saved_is_refused_and_nothing_is_kept(out, tmp_path, content):
    good, bad = saved(tmp_path / "good.json", entry_of(ONE, 1)), tmp_path / "bad.json"
    bad.write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError, match=r"bad\.json was not saved by a page"):
        import_entries(out, [good, bad], now=NOW)
    assert not (out / LEDGER_NAME).exists()


@pytest.mark.parametrize("field", ["verdict", "reasons", "id", "reviewer", "subject", "boxes"])
def test_a_damaged_entry_is_named_by_its_place(out, tmp_path, field):
    file = saved(tmp_path / "saved.json", entry_of(ONE, 1), entry_of(ONE, 2) | {field: "?" * 200})
    with pytest.raises(InputError, match=rf"entries\.1\.{field}"):
        import_entries(out, [file], now=NOW)


def test_reasons_have_a_code_and_words_each():
    assert all(code == code.lower() and " " not in code for code in REASONS)
    assert len(set(reason_words().values())) == len(REASONS)
