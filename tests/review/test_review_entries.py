"""What the review server keeps of reviewers' entries, refuses of them, and tells other reviewers."""

import http.client
import sqlite3

import pytest
from made_up_records import MadeUp
from made_up_review import Client, entry_of, three_studies

from audit.review.guard import MOST_BYTES
from audit.review.ledger import LEDGER_NAME

ONE, TWO, FOUR = three_studies()


@pytest.fixture
def client(serve_here, out) -> Client:
    return serve_here(out).client()


def test_an_entry_is_kept_and_told_again(client):
    entry = entry_of(FOUR, 10, comment="<b>small</b>", boxes=[{"x": 1, "y": 2, "width": 30, "height": 40}])
    answer = client.post(entry)
    assert answer.status == 200
    kept = answer.json["entry"]
    assert kept["moment"] != entry["moment"]  # the server's clock, not the browser's
    assert client.ask(f"/api/studies/{FOUR.record.key}").json["entries"] == [kept]


def test_a_tab_that_was_behind_gets_what_the_other_said(client):
    first = client.post(entry_of(FOUR, 20, place=1)).json["entry"]
    second = client.post(entry_of(FOUR, 21, place=1, replaces=first["id"], comment="newer")).json["entry"]
    behind = client.post(entry_of(FOUR, 22, place=1, replaces=first["id"]))
    assert behind.status == 409
    assert behind.json == {"latest": second}


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"reviewer": "Ben"}, 403),
        ({"verdict": "perhaps"}, 422),
        ({"reasons": ["because"]}, 422),
        ({"comment": "x" * 4001}, 422),
        ({"comment": "\ud800"}, 422),
        ({"boxes": [{"x": 0, "y": 0, "width": 0, "height": 5}]}, 422),
        ({"boxes": [{"x": -3, "y": 0, "width": 5, "height": 5}]}, 422),
        ({"boxes": [{"x": 1e9, "y": 0, "width": 5, "height": 5}]}, 422),
        ({"boxes": [{"x": 0, "y": 0, "width": 5, "height": 5}] * 51}, 422),
        ({"id": "../../etc"}, 422),
        ({"moment": "yesterday"}, 422),
        ({"extra": 1}, 422),
    ],
    ids=lambda value: "" if isinstance(value, int) else next(iter(value)),
)
def test_an_entry_that_is_not_as_it_should_be_is_refused(client, changes, status):
    answer = client.post(entry_of(FOUR, 30, place=2) | changes)
    assert answer.status == status
    assert answer.json["error"]


@pytest.mark.parametrize(
    "changes",
    [{"study": "d" * 16}, {"study": "../x"}, {"image": "other"}, {"heat": "other"}, {"audited": "2020-01-01T00:00Z"}],
    ids=str,
)
def test_an_entry_on_a_heat_that_is_not_there_is_refused(client, changes):
    entry = entry_of(FOUR, 31, place=2)
    assert client.post(entry | {"subject": entry["subject"] | changes}).status == 422


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"a": NaN}', b"\xff\xfe", b"[" * 60_000])
def test_what_is_no_entry_is_refused(client, body):
    assert client.ask("/api/entries", method="POST", raw=body).status in {400, 422}


def test_a_body_larger_than_any_entry_is_refused(client):
    assert client.ask("/api/entries", method="POST", raw=b"x" * (MOST_BYTES + 1)).status == 413


def test_a_body_that_does_not_say_its_length_is_counted(client):
    sender = http.client.HTTPConnection("127.0.0.1", client.port, timeout=120)
    headers = {
        "Content-Type": "application/json",
        "Origin": f"http://127.0.0.1:{client.port}",
        "Cookie": client.cookie,
    }
    chunks = (b"x" * 1024 for _ in range(MOST_BYTES // 1024 + 2))
    sender.request("POST", "/api/entries", body=chunks, headers=headers, encode_chunked=True)
    assert sender.getresponse().status == 413
    sender.close()


def test_reviewers_see_each_others_verdicts_unless_they_are_blinded(serve_here, out):
    open_server = serve_here(out)
    assert open_server.client("Ada").post(entry_of(TWO, 1)).status == 200
    path = f"/api/studies/{TWO.record.key}"
    assert [each["reviewer"] for each in open_server.client("Ben").ask(path).json["entries"]] == ["Ada"]
    blind = serve_here(out, blind=True)
    ben = blind.client("Ben")
    assert ben.ask(path).json == {"entries": []}
    assert ben.post(entry_of(TWO, 2, reviewer="Ben", verdict="disagree")).status == 200
    assert [each["reviewer"] for each in ben.ask(path).json["entries"]] == ["Ben"]
    page = ben.ask(f"/studies/{TWO.record.key}/index.html").body
    assert b"Ada" not in page
    assert [each["reviewer"] for each in blind.client("Ada").ask(path).json["entries"]] == ["Ada"]


def test_a_blinded_reviewer_who_tries_another_ones_id_or_place_learns_nothing(serve_here, out):
    server = serve_here(out, blind=True)
    secret = entry_of(TWO, 1, comment="what Ada thinks")
    server.client("Ada").post(secret)
    ben = server.client("Ben")
    stolen = ben.post(secret | {"reviewer": "Ben", "comment": "mine"})
    assert b"what Ada thinks" not in stolen.body
    assert b"what Ada thinks" not in ben.post(entry_of(TWO, 2, reviewer="Ben", replaces=f"{1:032x}")).body


def test_the_way_to_the_next_study_without_an_answer(serve_here, out):
    client = serve_here(out).client()

    def after(made: MadeUp) -> str:
        answer = client.ask(f"/open-after/{made.record.key}")
        assert answer.status == 303
        return answer.headers["location"]

    pages = [f"/studies/{made.record.key}/index.html#open" for made in (ONE, TWO, FOUR)]  # at its first open phrase
    assert after(ONE) == pages[1]
    client.post(entry_of(TWO, 1))
    assert after(ONE) == pages[2]
    assert after(FOUR) == pages[0]
    for place in range(4):
        client.post(entry_of(FOUR, 10 + place, place=place))
    assert after(ONE) == pages[0]
    for place, image in ((0, 0), (1, 0), (0, 1)):
        client.post(entry_of(ONE, 20 + place + 2 * image, place=place, image=image))
    assert after(ONE) == "/index.html"
    client.post(entry_of(TWO, 2, verdict=None, replaces=f"{1:032x}"))
    assert after(TWO) == pages[1]
    assert client.ask("/open-after/nothing").status == 404


def test_a_disk_that_takes_nothing_is_told_and_nothing_is_said_to_be_kept(serve_here, out):
    server = serve_here(out)
    client = server.client()
    assert client.post(entry_of(TWO, 1)).status == 200
    other = sqlite3.connect(out / LEDGER_NAME, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")  # another program that never ends its writing
    answer = client.post(entry_of(TWO, 2, replaces=f"{1:032x}"))
    assert answer.status == 503
    assert str(out) not in answer.body.decode()
    assert f"{out / LEDGER_NAME} cannot be used (database is locked)" in server.warnings[0]
    other.execute("ROLLBACK")
    other.close()
    assert client.post(entry_of(TWO, 2, replaces=f"{1:032x}")).status == 200


def test_a_comment_is_kept_with_its_names_masked(client):
    comment = "Dr. Vandermeer calls it an effusion, MRN 99471123; I see a 12 mm nodule."
    kept = client.post(entry_of(FOUR, 11, place=3, comment=comment)).json["entry"]
    assert kept["comment"] == "Dr. [name] calls it an effusion, MRN [number]; I see a 12 mm nodule."
    assert (
        client.post(entry_of(FOUR, 11, place=3, comment=comment)).json["entry"] == kept
    )  # sent again, as a lost answer is
