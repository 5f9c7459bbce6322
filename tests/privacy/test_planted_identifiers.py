"""The acceptance: identifiers of a draw are planted everywhere, and no byte of any output holds one.

``DRAWS`` has the seeds. The first is drawn in every run of the tests, and leaves out the review server and results for
the archive, which take as long again; the slow tests draw the others, whole.
"""

import json
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest
from drawing import Draw, Kind
from made_up_review import Client
from pictures import LEGIBLE, legible_in, pictures_in
from planted_cohort import PlantedCohort, plant_draw
from pydicom import dcmread
from run_configs import FAST
from searching import files_in, found, more_than_in_control
from watching import Home, printed

from reports.board.checklists import CHECKLISTS
from reports.results_folder import read_record
from reports.review_record import moment_audited

DRAWS = (1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3, 4)))
IN_SHORT = DRAWS[0]
SHORT = (*FAST, "--controls", "1")
COMPARED = ("--model", "phantom", "--device", "cpu", "--methods", "rollout", "--faithfulness", "0")
IDENTITY = (  # what results of DICOM take from their original, to be filed with it
    *("PatientName", "PatientID", "PatientBirthDate", "PatientAge", "OtherPatientIDsSequence", "StudyInstanceUID"),
    *("StudyDate", "StudyID", "StudyDescription", "AccessionNumber", "ReferringPhysicianName"),
)

Named = list[tuple[str, bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """A cohort with all that came of it."""

    cohort: PlantedCohort
    out: Path
    home: Home
    beside: Path  # what was exported
    pages: Named  # what the review server answered

    @property
    def whole(self) -> bool:
        return self.cohort.draw.seed != IN_SHORT

    @property
    def outputs(self) -> Iterator[tuple[str, bytes]]:
        yield from files_in(self.out)
        yield from files_in(self.beside)
        yield from self.pages
        yield from printed(self.home)
        yield from self.home.left()

    @property
    def searched(self) -> Iterator[tuple[str, bytes]]:
        """All outputs; of results of DICOM what they do not need to be filed with their originals."""
        for name, data in self.outputs:
            yield name, without_identity(data) if data[128:132] == b"DICM" else data


def audited(folder: Path, draw: Draw) -> Audited:
    """Run, review, import, export and push, as users do; in short, without review server and push."""
    cohort, home = plant_draw(folder / "cohort", draw), Home(folder / "own")
    done = Audited(cohort=cohort, out=folder / "out", home=home, beside=folder / "beside", pages=[])
    done.beside.mkdir()
    assert home.call("run", *cohort.given, "--out", str(done.out), *SHORT) == 3, home.said[-1][1].decode()
    saved, table, results = folder / "saved.json", str(done.beside / "verdicts.csv"), str(done.beside / "dicom")
    made = [str(done.beside / name) for name in ("board.pdf", "items.csv", "card.json")]
    checklists = [word for name in CHECKLISTS for word in ("--checklist", name)]
    commands = [("report", str(done.out), "--pdf", made[0], *checklists, "--table", made[1], "--model-card", made[2])]
    if done.whole or not draw.control:
        commands += [
            ("review", "import", str(done.out), str(saved)),
            ("review", "export", str(done.out), "--history", "--out", table),
        ]
    if done.whole:
        serve = ("review", "serve", str(done.out), "--no-browser", "--reviewer", "AB")
        home.call(*serve, during=lambda server: review(done, server))
        commands += [
            ("review", "export", str(done.out), "--format", "json"),
            ("push", str(done.out), "--dicom-dir", cohort.given[1], "--to-folder", results, "--board"),
        ]
    saved.write_text(json.dumps(saved_file(done)), "utf-8")
    for words in commands:
        assert home.call(*words) == 0, home.said[-1][1].decode()
    return done


def entries(done: Audited, comments: tuple[str, ...], reviewer: str) -> list[dict]:
    """Entries on the first phrases of a study, with comments."""
    record = read_record(min((done.out / "studies").iterdir()))
    image = record.images[0]
    said = zip(image.phrases, comments, strict=False)
    return [
        {
            "id": f"{number + 1:032x}",
            "subject": {
                "study": record.key,
                "audited": moment_audited(record).isoformat(),
                "image": image.key,
                "heat": phrase.heat,
            },
            "reviewer": reviewer,
            "moment": datetime.now(UTC).isoformat(),
            "verdict": "partly",
            "reasons": [],
            "comment": comment,
            "boxes": [],
            "replaces": None,
        }
        for number, (phrase, comment) in enumerate(said)
    ]


def review(done: Audited, server: subprocess.Popen[bytes]) -> None:
    """Comment on phrases through the server, ask for its pages, and keep OUT as it is while the server stands."""
    line = server.stdout.readline()
    address = re.search(rb"http://127\.0\.0\.1:(\d+)\S*", line)
    client = Client(int(address[1]))
    assert client.enter(address[0].decode()).status == 200
    answers = [client.post(entry) for entry in entries(done, done.cohort.comments[:2], "AB")]
    assert [answer.status for answer in answers] == [200, 200]
    key = entries(done, done.cohort.comments, "AB")[0]["subject"]["study"]
    asked = ("/index.html", f"/studies/{key}/index.html", f"/api/studies/{key}", f"/studies/{key}/none")
    answers += [client.ask(path) for path in asked]
    done.pages.extend((f"answer {number}", answer.body) for number, answer in enumerate(answers))
    done.pages.extend((f"{path.name}, served", path.read_bytes()) for path in done.out.glob("review.sqlite*"))


def saved_file(done: Audited) -> dict:
    said = entries(done, done.cohort.comments[2 if done.whole else 0 :], "CD")
    return {"format": "m2ib-audit review", "version": 1, "saved": "2026-03-05T11:00:00Z", "entries": said}


@pytest.fixture(scope="module", params=DRAWS, ids=lambda seed: f"draw {seed}")
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Audited, Audited]:
    """The outputs of a draw and of its control."""
    draws = (Draw(request.param), Draw(request.param, control=True))
    return tuple(audited(tmp_path_factory.mktemp("draw"), draw) for draw in draws)


def without_identity(data: bytes) -> bytes:
    """A result of DICOM without what says whose it is, which it takes from its original."""
    found_in = dcmread(BytesIO(data))
    for keyword in IDENTITY:
        if keyword in found_in:
            delattr(found_in, keyword)
    if "PixelData" in found_in:
        del found_in.PixelData
    return str(found_in).encode()


def test_a_draw_plants_120_identifiers_and_more_of_every_kind_in_8_languages_and_more(both) -> None:
    planted = both[0].cohort.draw.planted
    values = {each.value for each in planted}
    assert len(values) >= 120
    assert {each.kind for each in planted} == set(Kind)
    assert len({each.language for each in planted} - {"any"}) >= 8
    assert len({each.place for each in planted}) >= 40


def test_a_control_has_other_numbers_dates_and_words_and_all_else_the_same(both) -> None:
    one, other = (done.cohort.draw for done in both)
    assert one.secrets == other.secrets
    changed = [a for a, b in zip(one.planted, other.planted, strict=True) if a.words and a.value != b.value]
    assert len(changed) >= 60
    assert Counter(each.place for each in one.planted) == Counter(each.place for each in other.planted)


def test_all_four_studies_were_audited_and_the_rest_listed(both) -> None:
    for done in both:
        assert len(list((done.out / "studies").glob("*/record.json"))) == 4
        assert (done.out / "failures.csv").read_text().count("\n") >= 6
        assert (len(list((done.beside / "dicom").rglob("*.dcm"))) >= 12) is done.whole
    assert len((both[0].beside / "verdicts.csv").read_text().splitlines()) == 5


def test_no_word_of_a_draw_is_in_any_output(both) -> None:
    """Results of DICOM name their originals by UIDs, as they must."""
    done = both[0]
    uids = {secret for each in done.cohort.draw.planted if each.kind is Kind.UID for secret in each.secrets}
    hits = found(done.cohort.draw.secrets, done.searched)
    assert [(word, place) for word, place in hits if word not in uids or not place.startswith("dicom/")] == []


def test_no_date_year_age_number_or_name_that_is_a_word_comes_with_a_draw(both) -> None:
    done, control = both
    assert more_than_in_control(done.cohort.draw.words, done.searched, control.searched) == []


def test_the_document_for_a_board_is_searched_by_its_words(both) -> None:
    pdf = (both[0].beside / "board.pdf").read_bytes()
    assert found(["Verdict and its rule"], [("board.pdf", pdf)])
    assert len(pdf) < 2 << 20


def test_no_burned_in_text_is_legible_in_any_picture(both) -> None:
    done = both[0]
    looked_at = {place: legible_in(picture, done.cohort.inks) for place, picture in pictures_in(done.outputs)}
    assert {place.split("/")[0] for place in looked_at} >= {"studies", *(("dicom",) if done.whole else ())}
    assert len([place for place in looked_at if "index.html > " in place and place.endswith("> base64")]) >= 4
    assert {place: value for place, value in looked_at.items() if value > LEGIBLE} == {}


def test_the_index_of_headers_is_its_owners_alone(both) -> None:
    (index,) = both[0].home.index_files()
    assert index.stat().st_mode & 0o777 == 0o600
    assert found(both[0].cohort.draw.secrets, [("index", index.read_bytes())])


@pytest.mark.slow
def test_nothing_comes_with_checking_scoring_again_rendering_or_comparing(both) -> None:
    for done in both:
        out, own_boxes = str(done.out), done.cohort.given[4:]
        for words in (
            ("check", *done.cohort.given, "--csv", str(done.beside / "check.csv")),
            ("check", *done.cohort.given, "--json"),
            ("score", out, *own_boxes),
            ("render", out),
            ("compare", *done.cohort.given, "--out", str(done.beside / "compared"), *COMPARED),
            ("log", "show", out),
            ("log", "verify", out, "--files"),
        ):
            assert done.home.call(*words) in {0, 3}, (words, done.home.said[-1][1].decode())
    test_no_word_of_a_draw_is_in_any_output(both)
    test_no_date_year_age_number_or_name_that_is_a_word_comes_with_a_draw(both)
    test_no_burned_in_text_is_legible_in_any_picture(both)


@pytest.mark.slow
def test_what_is_hidden_is_there_to_be_found(both, tmp_path: Path) -> None:
    """With patient data shown and burned-in text kept, the same search finds words, numbers and letters."""
    done, control = both
    shown = Home(tmp_path / "own")
    given = (
        *done.cohort.given,
        "--out",
        str(tmp_path / "out"),
        *SHORT,
        "--show-phi",
        "--set",
        "inputs.burned-in=keep",
        "--set",
        "inputs.index=none",
    )
    assert shown.call("run", *given) == 3
    outputs, draw = [*files_in(tmp_path / "out"), *printed(shown)], done.cohort.draw
    met = {word for word, _ in found(draw.secrets, outputs)}
    reported = [each for each in draw.planted if each.place in {"report", "report, a phrase"}]
    assert {word for each in reported for word in each.secrets} - met == set()
    more = {word for word, _ in more_than_in_control(draw.words, outputs, control.searched)}
    assert [each.value for each in reported if each.words and not more & set(each.words)] == []
    pictures = {place: legible_in(picture, done.cohort.inks) for place, picture in pictures_in(outputs)}
    assert len([place for place, value in pictures.items() if "image-1.jpg" in place and value > LEGIBLE]) == 4
