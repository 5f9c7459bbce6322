"""The server: whom it answers, what it serves, and what it keeps."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from made_up_records import MadeUp
from made_up_review import ROOT, Client, Server, entry_of, lay_down, three_studies
from typer.testing import CliRunner

from audit.cli import app
from audit.review.guard import MOST_BYTES, Sessions
from audit.review.ledger import LEDGER_NAME, Ledger

ONE, TWO, FOUR = three_studies()


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory) -> Path:
    """An OUT that this module's server stands over; tests use different heats or reviewers of it."""
    out = tmp_path_factory.mktemp("reviewed") / "out"
    out.mkdir()
    lay_down(out, ONE, TWO, FOUR)
    (out / "secret.txt").write_text("no part of the audit")
    (out.parent / "outside.txt").write_text("outside")
    (out / "studies" / "linked").symlink_to(out / "studies" / ONE.record.key)
    return out


@pytest.fixture(scope="module")
def server(start_server, reviewed) -> Server:
    return start_server(reviewed)


@pytest.fixture
def client(server) -> Client:
    return server.client()


def test_the_address_in_the_terminal_opens_a_session(server):
    client = Client(server.port)
    answer = client.enter(server.addresses["Ada"])
    assert answer.status == 200
    token = urlsplit(server.addresses["Ada"]).query.partition("=")[2]
    assert token.encode() not in answer.body
    cookie = answer.headers["set-cookie"]
    assert token not in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert client.ask("/index.html").status == 200


@pytest.mark.parametrize("path", ["/", "/index.html", f"/studies/{ONE.record.key}/index.html", "/api/studies/a"])
@pytest.mark.parametrize(
    "cookie", [None, "nonsense", "m2ib-audit-review-1=x", '"'], ids=["none", "other", "stale", "broken"]
)
def test_nothing_is_told_without_a_session(server, path, cookie):
    answer = Client(server.port, cookie).ask(path)
    assert answer.status == 401
    assert ONE.record.key.encode() not in answer.body


@pytest.mark.parametrize("token", ["", "x", "%00", "a" * 5000])
def test_a_wrong_token_opens_nothing(server, token):
    answer = Client(server.port).enter(f"http://127.0.0.1:{server.port}/enter?token={token}")
    assert answer.status == 401
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1", "127.0.0.1.evil.example", "[::1]", "", "127.0.0.2"]
)
def test_a_name_that_was_made_to_point_here_is_refused(client, host):
    assert client.ask("/index.html", Host=host).status in {400, 421}
    assert client.post(entry_of(ONE, 1), Host=host).status in {400, 421}


def test_localhost_is_this_server_too(client):
    assert client.ask("/index.html", Host=f"localhost:{client.port}").status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
    ],
    ids=lambda headers: " ".join(*headers.items()),
)
def test_an_entry_that_another_sites_page_sends_is_refused(reviewed, client, headers):
    answer = client.post(
        entry_of(ONE, 2, image=1), **{name.replace("-", "_"): value for name, value in headers.items()}
    )
    assert answer.status in {403, 415}
    assert f"{2:032x}" not in {each.entry.id for each in Ledger(reviewed / LEDGER_NAME).entries()}


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_are_not_known(client, method):
    assert client.ask("/index.html", method=method).status == 405


@pytest.mark.parametrize(
    "path",
    [
        "/secret.txt",
        "/run.json",
        "/review.sqlite",
        "/../outside.txt",
        "/studies/../secret.txt",
        "/studies/..%2f..%2foutside.txt/index.html",
        "/studies/%2e%2e/index.html",
        "/studies/linked/index.html",
        f"/studies/{ONE.record.key}/record.json",
        f"/studies/{ONE.record.key}/heat.npz",
        f"/studies/{ONE.record.key}/../{ONE.record.key}/index.html",
        "//etc/passwd",
        "/studies/\\..\\index.html",
        "/docs",
        "/openapi.json",
        "/api/studies/..",
        "/api/entries",
    ],
)
def test_only_the_pages_are_served(client, path):
    assert client.ask(path).status in {404, 405}


def test_a_page_that_is_a_link_is_not_served(serve_here, out, tmp_path):
    (tmp_path / "elsewhere.html").write_text("elsewhere")
    (out / "index.html").unlink()
    (out / "index.html").symlink_to(tmp_path / "elsewhere.html")
    answer = serve_here(out).client().ask("/index.html")
    assert answer.status == 404
    assert b"elsewhere" not in answer.body


def test_a_thumbnail_beside_a_page_is_served_and_a_link_is_not(serve_here, out, tmp_path):
    own, link = (out / "studies" / each.record.key / "thumbnail.png" for each in (ONE, TWO))
    own.write_bytes(b"\x89PNG small")
    (tmp_path / "elsewhere.png").write_bytes(b"elsewhere")
    link.symlink_to(tmp_path / "elsewhere.png")
    client = serve_here(out).client()
    answer = client.ask(f"/studies/{ONE.record.key}/thumbnail.png")
    assert (answer.status, answer.headers["content-type"], answer.body) == (200, "image/png", b"\x89PNG small")
    for key in (TWO.record.key, FOUR.record.key, "nothing", ".."):
        answer = client.ask(f"/studies/{key}/thumbnail.png")
        assert answer.status == 404
        assert b"elsewhere" not in answer.body


def test_every_answer_forbids_frames_caches_and_guessing(client):
    for path in ("/index.html", f"/studies/{ONE.record.key}/index.html", "/nothing", f"/api/studies/{ONE.record.key}"):
        headers = client.ask(path).headers
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "server" not in headers
        assert not any(name.startswith("access-control") for name in headers)


def test_a_study_page_knows_its_reviewer_and_may_speak_to_this_server_alone(client):
    page = client.ask(f"/studies/{TWO.record.key}/index.html").body.decode()
    assert "connect-src &#39;self&#39;" in page
    assert "default-src &#39;none&#39;" in page
    assert "<bdi>Ada</bdi>, study 2 of 3" in page


def test_the_server_listens_on_loopback_alone(server):
    with socket.socket() as other:
        other.settimeout(2)
        # An address of this machine's loopback network that is not 127.0.0.1: 0.0.0.0 would answer there.
        assert other.connect_ex(("127.0.0.2", server.port)) != 0


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


def test_a_token_for_the_browser_opens_one_session():
    sessions = Sessions(["Ada"])
    token = sessions.token_for_once("Ada")
    secret = sessions.open(token)
    assert secret is not None
    assert sessions.reviewer(secret) == "Ada"
    assert sessions.open(token) is None
    lasting = sessions.lasting_tokens()["Ada"]
    assert sessions.open(lasting) != sessions.open(lasting)


def test_a_disk_that_takes_nothing_is_told_and_nothing_is_said_to_be_kept(serve_here, out):
    server = serve_here(out)
    client = server.client()
    assert client.post(entry_of(TWO, 1)).status == 200
    held = Ledger(out / LEDGER_NAME)
    held._db.execute("BEGIN IMMEDIATE")  # another program that never ends its writing
    answer = client.post(entry_of(TWO, 2, replaces=f"{1:032x}"))
    assert answer.status == 503
    assert str(out) not in answer.body.decode()
    assert f"{out / LEDGER_NAME} cannot be used (database is locked)" in server.warnings[0]
    held._db.execute("ROLLBACK")
    assert client.post(entry_of(TWO, 2, replaces=f"{1:032x}")).status == 200


def test_the_browser_is_opened_with_an_address_that_works_once(out, tmp_path):
    told = tmp_path / "told"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {told}.part && mv {told}.part {told}\n')
    browser.chmod(0o755)
    command = [sys.executable, "-m", "audit.cli", "review", str(out), "--reviewer", "Ada"]
    environment = os.environ | {"BROWSER": f"{browser} %s"}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            printed = process.stdout.readline().strip().removeprefix("Ada: ")
            while not told.exists():
                assert process.poll() is None, process.stderr.read()
                time.sleep(0.05)
            address = told.read_text().strip()
            assert address != printed
            client = Client(urlsplit(address).port)
            assert client.enter(address).status == 200
            assert client.ask("/index.html").status == 200
            assert Client(client.port).enter(address).status == 401
            assert Client(client.port).enter(printed).status == 200
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait() == 0


def test_all_ends_when_nobody_asks(start_server, out):
    server = start_server(out, "--idle-minutes", "0.01")
    assert server.process.wait() == 0


@pytest.mark.parametrize("name", ["", "  ", "x" * 81], ids=["empty", "blank", "long"])
def test_a_reviewer_needs_a_name(out, name):
    done = CliRunner().invoke(app, ["review", str(out), "--reviewer", name, "--no-browser"])
    assert done.exit_code == 1
    assert "give a name or initials" in done.stderr


def test_a_folder_without_a_run_is_refused_and_stays_as_it_is(tmp_path):
    done = CliRunner().invoke(app, ["review", str(tmp_path), "--no-browser"])
    assert done.exit_code == 1
    assert "holds no finished study" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_called_as_a_command_is_reached_by_its_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "export").mkdir()
    assert "Missing argument" in CliRunner().invoke(app, ["review", "export"]).stderr
    assert "holds no finished study" in CliRunner().invoke(app, ["review", "./export"]).stderr


def test_options_may_stand_before_the_folder(tmp_path):
    done = CliRunner().invoke(app, ["review", "--blind", "--no-browser", str(tmp_path)])
    assert "holds no finished study" in done.stderr


def test_an_interrupt_ends_it_without_a_trace_and_leaves_one_file(start_server, out):
    server = start_server(out)
    server.client().post(entry_of(TWO, 1))
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait() == 0
    assert sorted(path.name for path in out.glob("review*")) == [LEDGER_NAME]


def test_a_port_that_is_taken_is_named(server, out):
    done = CliRunner().invoke(app, ["review", str(out), "--no-browser", "--port", str(server.port)])
    assert done.exit_code == 1
    assert f"--port {server.port} cannot be used" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_comment_is_kept_with_its_names_masked(client):
    comment = "Dr. Vandermeer calls it an effusion, MRN 99471123; I see a 12 mm nodule."
    kept = client.post(entry_of(FOUR, 11, place=3, comment=comment)).json["entry"]
    assert kept["comment"] == "Dr. [name] calls it an effusion, MRN [number]; I see a 12 mm nodule."
    assert (
        client.post(entry_of(FOUR, 11, place=3, comment=comment)).json["entry"] == kept
    )  # sent again, as a lost answer is
