"""Somebody who is called back: a server on a free port that keeps what it is told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.serving.patience import attempts

__all__ = ["Call", "Receiver", "receiver"]


@dataclass(frozen=True, slots=True)
class Call:
    """What came: path, headers by their names in lower case, body."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Receiver:
    """Who is called, and what it answers: the statuses in turn, the last one from then on.

    Attributes:
        port: where it listens, on 127.0.0.1.
        statuses: of its answers.
        calls: what came.
        free: an answer waits for it.
    """

    port: int = 0
    statuses: list[int] = field(default_factory=lambda: [200])
    calls: list[Call] = field(default_factory=list)
    free: threading.Event = field(default_factory=threading.Event)

    def wait(self, calls: int) -> list[Call]:
        """Return the calls once there are so many."""
        for _ in attempts():
            if len(self.calls) >= calls:
                return self.calls
        raise AssertionError(f"{len(self.calls)} calls came, not {calls}")


@contextmanager
def receiver(*statuses: int) -> Iterator[Receiver]:
    """Be called; the answers have *statuses*, by default 200."""
    told = Receiver()
    told.free.set()
    if statuses:
        told.statuses = list(statuses)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # its name is the method's
            body = self.rfile.read(int(self.headers["content-length"]))
            told.calls.append(Call(self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            assert told.free.wait(30)
            status = told.statuses.pop(0) if len(told.statuses) > 1 else told.statuses[0]
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("location", f"http://127.0.0.1:{told.port}/elsewhere")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield told
    finally:
        told.free.set()
        server.shutdown()
        thread.join()
        server.server_close()
