"""A server of bytes: what a test writes goes out as it is, right or wrong, until the client has had enough."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Play = Callable[[socket.socket, str], None]
Sending = Callable[[socket.socket], None]


@contextmanager
def playing(
    play: Play, *, reads_a_request: bool = True, tls: ssl.SSLContext | None = None
) -> Iterator[tuple[int, list[str]]]:
    """Serve each connection with ``play(connection, path)``; gives the port, and the paths asked for so far."""
    listener = socket.create_server(("127.0.0.1", 0))
    asked: list[str] = []
    threads: list[threading.Thread] = []
    open_ones: list[socket.socket] = []

    def serve(connection: socket.socket) -> None:
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.suppress(OSError))  # the client goes: that is what tests wait for
            stack.enter_context(connection)
            if tls is not None:
                connection = stack.enter_context(tls.wrap_socket(connection, server_side=True))
                open_ones.append(connection)
            path = ""
            if reads_a_request:
                head = b""
                while b"\r\n\r\n" not in head:
                    part = connection.recv(65536)
                    if not part:
                        return
                    head += part
                path = head.split(b" ", 2)[1].decode()
                asked.append(path)
            play(connection, path)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                open_ones.append(connection)
                threads.append(threading.Thread(target=serve, args=(connection,)))
                threads[-1].start()

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield listener.getsockname()[1], asked
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join()
        for each in open_ones:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()  # who reads slowly would go on with what has come
        for thread in threads:
            thread.join()


def read_byte_by_byte(connection: socket.socket) -> None:
    """Read, so slowly that no large object is ever read to its end."""
    while connection.recv(1):
        time.sleep(0.01)


def endless(head: bytes, part: bytes) -> Sending:
    """Send ``part`` again and again after ``head``."""

    def play(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(part)

    return play


def dripping(head: bytes, part: bytes = b"x") -> Sending:
    """Send ``part`` again and again after ``head``, a hundred times a second."""

    def play(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(part)
            time.sleep(0.01)

    return play
