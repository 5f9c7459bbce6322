"""Clients that are slow, many or half there, and cookies of others: none keeps a reviewer out."""

import asyncio
import contextlib
import json
import select
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from made_up_review import ROOT, Client, Server, entry_of, three_studies
from starlette.types import Message

from audit.review import serving
from audit.review.ledger import LEDGER_NAME, Ledger
from audit.review.serving import MOST_WAITING, REQUESTS_AT_ONCE, Watched

ONE, TWO, FOUR = three_studies()


@pytest.fixture
def server(serve_here, out: Path) -> Server:
    return serve_here(out)


def connected(server: Server, sent: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=120)
    connection.sendall(sent)
    return connection


def until_closed(connection: socket.socket) -> bytes:
    """Read what comes until the server ends the connection."""
    came = b""
    with connection, contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            came += part
    return came


def head(server: Server, cookie: str = "") -> bytes:
    return f"POST /api/entries HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nCookie: {cookie}\r\n".encode()


HALVES = {
    "nothing": b"",
    "half a line": b"GET /index.ht",
    "half a head": b"GET /index.html HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Part:",
    "half a body": b"POST /api/entries HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n\r\n{",
}


@pytest.mark.parametrize("half", HALVES)
def test_seventy_half_open_connections_keep_nobody_out(server: Server, half: str) -> None:
    client = server.client()
    with contextlib.ExitStack() as stack:
        for _ in range(70):
            stack.enter_context(connected(server, HALVES[half]))
        assert client.ask("/index.html").status == 200
        assert client.post(entry_of(TWO, 1)).status == 200


def test_the_oldest_that_have_sent_nothing_go_when_too_many_wait(server: Server) -> None:
    first = connected(server)
    others = [connected(server) for _ in range(MOST_WAITING + 1)]
    assert until_closed(first) == b""
    others[-1].sendall(f"GET /index.html HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode())
    assert others[-1].recv(12) == b"HTTP/1.1 401"
    for each in others:
        each.close()


@pytest.mark.parametrize("half", HALVES)
def test_a_request_that_does_not_come_to_its_end_is_dropped(
    server: Server, half: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "REQUEST_S", 0.05)
    until_closed(connected(server, HALVES[half]))  # ends by itself, or this test never does


def test_a_head_that_drips_is_dropped(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "REQUEST_S", 0.2)
    with connected(server, b"GET / HTTP/1.1\r\nX-Endless: ") as connection, contextlib.suppress(ConnectionError):
        while not select.select([connection], [], [], 0.01)[0]:  # the server says nothing until it ends this
            connection.sendall(b"x")
        assert connection.recv(1) == b""


def test_a_second_request_of_a_connection_has_its_limit_too(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "REQUEST_S", 0.05)
    connection = connected(server, f"GET /favicon.ico HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode())
    assert connection.recv(12) == b"HTTP/1.1 204"
    connection.sendall(b"GET /index.html HT")
    until_closed(connection)


def test_a_client_that_takes_nothing_of_its_answer_is_dropped(
    server: Server, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "READING_S", 0.05)
    page = out / "index.html"
    page.write_bytes(page.read_bytes() + b" " * 2**24)
    client = server.client()
    asked = f"GET /index.html HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nCookie: {client.cookie}\r\n\r\n"
    connection = connected(server, asked.encode())
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    assert client.ask("/favicon.ico").status == 204
    poller = select.poll()
    poller.register(connection, 0)  # errors and hang-ups alone: nothing is read
    assert poller.poll(120_000)
    connection.close()


def test_a_body_of_two_megabytes_is_refused(server: Server) -> None:
    client = server.client()
    assert client.post(entry_of(TWO, 1, comment="x" * 2**21)).status == 413


def test_fifty_writers_at_once_are_all_kept(server: Server, out: Path) -> None:
    client = server.client()

    def write(number: int) -> int:
        return Client(server.port, client.cookie).post(entry_of(FOUR, number, place=number % 4)).status

    with ThreadPoolExecutor(50) as pool:
        statuses = list(pool.map(write, range(1, 51)))
    assert set(statuses) <= {200, 409}  # 409: somebody else was there first, and the page shows whose answer
    kept = {each.entry.id for each in Ledger(out / LEDGER_NAME).entries()}
    assert kept == {f"{number:032x}" for number, status in enumerate(statuses, start=1) if status == 200}
    assert len(kept) >= 4


def test_more_requests_than_some_are_turned_away_and_the_next_is_answered() -> None:
    async def play() -> list[int]:
        go = asyncio.Event()
        statuses: list[int] = []

        async def slow(_scope: object, _receive: object, send: object) -> None:
            await go.wait()
            statuses.append(200)

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        async def receive() -> Message:
            return {"type": "http.request"}

        app = Watched(slow)
        tasks = [asyncio.create_task(app({"type": "http"}, receive, send)) for _ in range(REQUESTS_AT_ONCE + 1)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        go.set()
        await asyncio.gather(*tasks)
        await app({"type": "http"}, receive, send)
        return statuses

    with ThreadPoolExecutor(1) as thread:  # where tests of pages came before, a loop runs in this one
        statuses = thread.submit(lambda: asyncio.run(play())).result()
    assert statuses == [503, *[200] * (REQUESTS_AT_ONCE + 1)]


@pytest.mark.parametrize(
    "foreign",
    [
        'a="b; ',
        "a=\\; b{}=1; ",
        "=; ;; ",
        "ключ=значение; ",
        "{own}=stolen; ",
        '{own}=""; {own}; ',
        "big=" + "x" * 200_000 + "; ",
    ],
    ids=["an open quote", "signs", "no names", "Cyrillic", "our name", "our name twice", "200 kB"],
)
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_foreign_cookie_does_not_lock_out(server: Server, foreign: str, *, before: bool) -> None:
    client = server.client()
    own, _, secret = client.cookie.partition("=")
    foreign = foreign.replace("{own}", own)
    cookie = f"{foreign}{own}={secret}" if before else f"{own}={secret}; {foreign.rstrip('; ')}"
    with connected(server) as connection:
        request = f"GET /index.html HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nCookie: {cookie}\r\n\r\n"
        connection.sendall(request.encode())
        assert connection.recv(12) == b"HTTP/1.1 200"


def test_a_foreign_cookie_alone_opens_nothing(server: Server) -> None:
    own = server.client().cookie.partition("=")[0]
    assert Client(server.port, f"{own}=stolen; other=1; {own}=").ask("/index.html").status == 401


def test_the_token_leaves_the_address_and_goes_into_no_referrer_and_no_log(out: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "audit.cli", "review", str(out), "--no-browser", "--idle-minutes", "30"]
    errors = tmp_path / "stderr"
    with (
        errors.open("wb") as stderr,
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=stderr, text=True) as process,
    ):
        try:
            address = process.stdout.readline().strip().rpartition(": ")[2]
            token = address.partition("token=")[2]
            client = Client(int(address.split(":")[2].partition("/")[0]))
            answer = client.enter(address)
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert answer.headers["cache-control"] == "no-store"
            assert 'content="0; url=/index.html"' in answer.body.decode()
            assert token not in json.dumps(answer.headers) + answer.body.decode()
            for path in (f"/nowhere?token={token}", f"/enter?token={token}x", f"/studies/{token}/index.html"):
                assert token not in client.ask(path).body.decode()
            with socket.create_connection(("127.0.0.1", client.port), timeout=120) as connection:
                connection.sendall(f"GET /enter?token={token} HTTP/9.9 x\r\n\r\n".encode())
                assert token.encode() not in connection.recv(4096)
        finally:
            process.terminate()
        said = process.stdout.read()
    assert token not in said + errors.read_text()
