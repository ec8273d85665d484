"""A server that does as it is told, on a real socket: what clients meet on bad days, one act a request."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

__all__ = ["Act", "Wire", "answer", "breaks_off", "drips", "enveloped", "hangs_up", "refusal", "wire"]

Act = Callable[[socket.socket, threading.Event], bool]
"""Answers one request on a connection; returns whether the connection stays open."""


@dataclass(slots=True)
class Wire:
    """What the server saw.

    Attributes:
        url: where it is.
        requests: the heads of requests, each a first line and headers by lower-case name, in order.
        bodies: of the same requests.
        connections: how many were made.
        failed: handshakes that the other side gave up.
    """

    url: str
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    connections: int = 0
    failed: int = 0


def answer(body: str, status: str = "200 OK", headers: str = "") -> Act:
    """Answer, and keep the connection."""

    def act(connection: socket.socket, _: threading.Event) -> bool:
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body.encode())}\r\nX-Request-Id: r-1\r\n{headers}\r\n"
        connection.sendall(head.encode() + body.encode())
        return True

    return act


def enveloped(data: str, status: str = "200 OK", headers: str = "") -> Act:
    """Answer with *data* in the envelope of the versioned API."""
    return answer(f'{{"status":"success","data":{data},"message":"so it is."}}', status, headers)


def refusal(code: str, status: str, headers: str = "") -> Act:
    """Refuse in the envelope of the versioned API."""
    return answer(
        f'{{"status":"error","code":"{code}","data":null,"message":"not so.","request_id":"r-9"}}', status, headers
    )


def hangs_up(connection: socket.socket, _: threading.Event) -> bool:
    """Close without a byte of an answer."""
    return False


def breaks_off(connection: socket.socket, _: threading.Event) -> bool:
    """Close in the middle of an answer."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    return False


def drips(connection: socket.socket, over: threading.Event) -> bool:
    """Answer with a byte every 20 ms, without an end."""
    with suppress(OSError):
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while not over.wait(0.02):
            connection.sendall(b"a")
    return False


@contextmanager
def wire(acts: Sequence[Act], tls: ssl.SSLContext | None = None) -> Iterator[Wire]:
    """Serve *acts*, one a request in the order of arrival, the last again and again."""
    listener = socket.create_server(("127.0.0.1", 0))
    seen = Wire(f"{'https' if tls else 'http'}://127.0.0.1:{listener.getsockname()[1]}")
    over, threads = threading.Event(), []

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            seen.connections += 1
            threads.append(threading.Thread(target=talk, args=(connection,)))
            threads[-1].start()

    def talk(connection: socket.socket) -> None:
        connection.settimeout(10)
        with connection:
            try:
                if tls is not None:
                    connection = tls.wrap_socket(connection, server_side=True)
                with connection:
                    while _answered(connection, seen, acts, over):
                        pass
            except OSError:  # ssl.SSLError is one
                seen.failed += 1

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield seen
    finally:
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join()
        for thread in threads:
            thread.join()


def _answered(connection: socket.socket, seen: Wire, acts: Sequence[Act], over: threading.Event) -> bool:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return False
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        piece = connection.recv(65536)
        if not piece:
            return False
        body += piece
    seen.requests.append((first, headers))
    seen.bodies.append(body)
    return acts[min(len(seen.requests), len(acts)) - 1](connection, over)
