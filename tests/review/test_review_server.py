"""The server: whom it answers, what it serves, and how it starts and ends."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from made_up_review import ROOT, Client, Server, entry_of, lay_down, three_studies
from typer.testing import CliRunner

from audit.cli import app
from audit.review.guard import Sessions
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


def test_a_token_for_the_browser_opens_one_session():
    sessions = Sessions(["Ada"])
    token = sessions.token_for_once("Ada")
    secret = sessions.open(token)
    assert secret is not None
    assert sessions.reviewer(secret) == "Ada"
    assert sessions.open(token) is None
    lasting = sessions.lasting_tokens()["Ada"]
    assert sessions.open(lasting) != sessions.open(lasting)


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
