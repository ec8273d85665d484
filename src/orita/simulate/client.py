"""Asks a ranking server for predictions over one kept-alive connection, as a user's device would."""

from __future__ import annotations

import http.client
import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from orita.core.errors import UserError

__all__ = ["Answer", "RankingClient"]

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        outcome: ``ok``, the HTTP status of a refusal, ``malformed`` or ``unreachable``.
        latency_ms: from sending to the last byte, as the client saw it.
        items: ranked item ids, best first; empty unless ``ok``.
        request_id: how the server named the answer; empty unless ``ok``.
    """

    outcome: str
    latency_ms: float
    items: tuple[int | str, ...] = ()
    request_id: str = ""


class RankingClient:
    """A connection to one server; one request at a time."""

    def __init__(self, base_url: str, *, timeout_seconds: float = 10.0) -> None:
        """Take the address, such as ``http://127.0.0.1:8080``; nothing is sent yet.

        Raises:
            UserError: the address is not an HTTP one.
        """
        try:
            parts = urlsplit(base_url)
            host, port = parts.hostname, parts.port
        except ValueError:
            parts, host, port = urlsplit(""), None, None
        if parts.scheme not in {"http", "https"} or not host:
            raise UserError(f"server address {base_url!r} is not a URL: write it like http://127.0.0.1:8080.")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(host, port, timeout=timeout_seconds)
        self._prefix = parts.path.rstrip("/")

    def predict(
        self, user: int | str, items: Sequence[int | str], device: str | None, timestamp: str | None = None
    ) -> Answer:
        """Ask for *items* ranked for *user*, on *device* (None: not known) at *timestamp* (ISO 8601; None: now)."""
        body = {"user_id": user, "item_ids": list(items), "context": _context(device, timestamp)}
        return self._asked("/predict", body, lambda answer: _ranked(answer, frozenset(items)))

    def feed(self, user: int | str, length: int, device: str | None, timestamp: str | None = None) -> Answer:
        """Ask for the first *length* items of the feed of *user*, chosen by the server; the rest as in `predict`."""
        body = {"user_id": user, "limit": length, "context": _context(device, timestamp)}
        return self._asked("/api/v1/feed", body, lambda answer: _ranked(answer["data"], None))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _asked(self, path: str, body: dict[str, Any], ranked: Callable[[Any], tuple[int | str, ...]]) -> Answer:
        began = time.perf_counter()
        try:
            response, text = self._exchange(path, json.dumps(body).encode())
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return Answer("unreachable", 1000 * (time.perf_counter() - began))
        latency_ms = 1000 * (time.perf_counter() - began)
        if response.status != http.client.OK:
            return Answer(str(response.status), latency_ms)
        request_id = response.getheader("X-Request-Id") or ""
        try:
            items = ranked(json.loads(text))
        except (ValueError, KeyError, TypeError):
            items = ()
        if not items or not _REQUEST_ID.fullmatch(request_id):
            return Answer("malformed", latency_ms)
        return Answer("ok", latency_ms, items, request_id)

    def _exchange(self, path: str, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        fresh = self._connection.sock is None
        try:
            return self._send(path, body)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            # A server may close an idle connection at any time; a new one tells whether it is there.
            self._connection.close()
            if fresh:
                raise
            return self._send(path, body)

    def _send(self, path: str, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        self._connection.request("POST", self._prefix + path, body, {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        return response, response.read()


def _context(device: str | None, timestamp: str | None) -> dict[str, str]:
    given = {"device": device, "timestamp": timestamp}
    return {name: value for name, value in given.items() if value is not None}


def _ranked(answer: Any, asked: frozenset[int | str] | None) -> tuple[int | str, ...]:
    """Return the item ids by rank; none where one comes twice, or is not one of those *asked* (None: any).

    Raises:
        KeyError, TypeError: it is no answer.
    """
    rows = sorted(answer["predictions"], key=lambda row: row["rank"])
    items = tuple(row["item_id"] for row in rows)
    known = asked is None or asked.issuperset(items)
    return items if known and len(set(items)) == len(items) else ()
