"""Asks a ranking server for predictions over one kept-alive connection, as a user's device would."""

from __future__ import annotations

import http.client
import json
import re
import time
from collections.abc import Sequence
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
        self._path = f"{parts.path.rstrip('/')}/predict"

    def predict(self, user: int | str, items: Sequence[int | str], device: str | None, timestamp: str) -> Answer:
        """Ask for *items* ranked for *user*, who holds *device* (None: not known) at *timestamp* (ISO 8601)."""
        context = {"timestamp": timestamp} if device is None else {"device": device, "timestamp": timestamp}
        body = json.dumps({"user_id": user, "item_ids": list(items), "context": context}).encode()
        began = time.perf_counter()
        try:
            response, text = self._exchange(body)
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return Answer("unreachable", 1000 * (time.perf_counter() - began))
        latency_ms = 1000 * (time.perf_counter() - began)
        if response.status != http.client.OK:
            return Answer(str(response.status), latency_ms)
        request_id = response.getheader("X-Request-Id") or ""
        ranked = _ranked(text, frozenset(items))
        if ranked is None or not _REQUEST_ID.fullmatch(request_id):
            return Answer("malformed", latency_ms)
        return Answer("ok", latency_ms, ranked, request_id)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _exchange(self, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        fresh = self._connection.sock is None
        try:
            return self._send(body)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            # A server may close an idle connection at any time; a new one tells whether it is there.
            self._connection.close()
            if fresh:
                raise
            return self._send(body)

    def _send(self, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        self._connection.request("POST", self._path, body, {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        return response, response.read()


def _ranked(text: bytes, asked: frozenset[int | str]) -> tuple[int | str, ...] | None:
    """Return the item ids by rank, or None where the text is not an answer to what was *asked*."""
    try:
        rows: Any = json.loads(text)["predictions"]
        items = tuple(row["item_id"] for row in sorted(rows, key=lambda row: row["rank"]))
        known = asked.issuperset(items) and len(set(items)) == len(items)
    except (ValueError, KeyError, TypeError):
        return None
    return items if items and known else None
