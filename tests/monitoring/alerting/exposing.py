"""A server that exposes what a test says, and the samples that a loop would have read of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from orita.monitoring.alerting.scraping import Sample, Scrape
from orita.monitoring.alerting.series import SeriesFile

__all__ = ["Exposing", "exposing", "fill", "scraped"]


@dataclass
class Exposing:
    """A server: what it exposes, what it was posted, and how it answers."""

    text: str = ""
    status: int = 200
    posted: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    address: str = ""
    arrived: threading.Condition = field(default_factory=threading.Condition)


@contextmanager
def exposing(text: str = "") -> Iterator[Exposing]:
    """Run a server that exposes *text*, and takes what is posted."""
    told = Exposing(text)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.asked.append(dict(self.headers))
            self.send_response(told.status)
            self.end_headers()
            self.wfile.write(told.text.encode())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(told.status)
            self.end_headers()
            with told.arrived:
                told.posted.append((self.path, dict(self.headers), body))
                told.arrived.notify_all()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.address = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def scraped(values: Mapping[str, float], target: str = "a:1") -> Scrape:
    """Return a scrape of *values*, their labels in the name: ``requests_total{status="200"}``."""
    samples = []
    for series, value in values.items():
        name, _, inside = series.removesuffix("}").partition("{")
        pairs = [pair.partition("=") for pair in inside.split(",") if pair]
        labels = tuple(sorted((label, text.strip('"')) for label, _, text in pairs))
        samples.append(Sample(name, labels, value))
    return Scrape(target, tuple(samples))


def fill(file: SeriesFile, at: float, values: Mapping[str, float], target: str = "a:1") -> None:
    """Put one scrape of *values* into *file*."""
    file.add([scraped(values, target)], at)
