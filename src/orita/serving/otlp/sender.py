"""Sends messages of OTLP over HTTP; what cannot be sent in time is dropped, and counted."""

from __future__ import annotations

import gzip
import http.client
import os
import ssl
import threading
from collections import Counter
from typing import Any
from urllib.parse import unquote, urlsplit

from orita.core.errors import UserError
from orita.serving.background.told_once import ToldOnce
from orita.serving.otlp.config import TelemetryConfig
from orita.serving.otlp.encoding import Signal, encoder

__all__ = ["OtlpSender", "given_headers"]

_AGAIN = (429, 502, 503, 504)
"""Statuses after which the specification has a sender try again."""
_TRIES, _FIRST_PAUSE, _LONGEST_PAUSE = 3, 0.5, 5.0


class OtlpSender:
    """Sends to one collector; called by one thread.

    Args:
        config: where to, and how.
        stopping: once it is set, nothing is tried again.

    Attributes:
        sent, dropped: messages by signal.

    Raises:
        MissingExtra: protobuf is wanted and not installed.
        UserError: the headers are malformed.
    """

    def __init__(self, config: TelemetryConfig, stopping: threading.Event) -> None:
        assert config.endpoint is not None
        self._parts = urlsplit(config.endpoint)
        self._timeout, self._stopping = config.timeout_seconds, stopping
        self._encode, kind = encoder(config.encoding)
        given = given_headers(os.environ.get(config.headers_variable, ""), config.headers_variable)
        self._headers = {"content-type": kind, "content-encoding": "gzip", "user-agent": "orita", **given}
        self._told = ToldOnce(endpoint=config.endpoint)
        self.sent: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()

    def send(self, signal: Signal, message: dict[str, Any]) -> bool:
        """Send one message; return whether it arrived."""
        content = gzip.compress(self._encode(signal, message), compresslevel=1)
        for attempt in range(_TRIES):
            pause = self._tried(signal, content, min(_FIRST_PAUSE * 2**attempt, _LONGEST_PAUSE))
            if pause is None:
                self.sent[signal] += 1
                self._told.over("otlp_not_sent")
                return True
            if pause < 0 or attempt == _TRIES - 1 or self._stopping.wait(pause):
                break
        self.dropped[signal] += 1
        return False

    def _tried(self, signal: Signal, content: bytes, pause: float) -> float | None:
        """Try once; return None where it arrived, else for how long to wait, less than 0 where it is of no use."""
        try:
            status, after = self._posted(f"{self._parts.path}/v1/{signal}", content)
        except (OSError, http.client.HTTPException) as error:
            self._told.tell("otlp_not_sent", error, alert=False)
            return pause
        if status < 300:
            return None
        self._told.tell("otlp_not_sent", OSError(f"the collector answered {status} to {signal}"), alert=False)
        return (after or pause) if status in _AGAIN else -1.0

    def _posted(self, path: str, content: bytes) -> tuple[int, float | None]:
        host = self._parts.hostname or ""
        connection: http.client.HTTPConnection
        if self._parts.scheme == "https":
            context = ssl.create_default_context()
            connection = http.client.HTTPSConnection(host, self._parts.port, timeout=self._timeout, context=context)
        else:
            connection = http.client.HTTPConnection(host, self._parts.port, timeout=self._timeout)
        try:
            connection.request("POST", path, content, self._headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status, _seconds(answer.getheader("retry-after"))
        finally:
            connection.close()


def given_headers(text: str, variable: str) -> dict[str, str]:
    """Return the headers that an environment variable names: ``name=value``, percent-encoded, commas between them.

    Raises:
        UserError: it is malformed; the sentence does not repeat what may be a secret.
    """
    found = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            raise UserError(f"{variable} is no list of headers: write name=value, with commas between them.")
        found[name.strip().lower()] = unquote(value.strip())
    return found


def _seconds(text: str | None) -> float | None:
    try:
        return min(max(float(text), 0.0), _LONGEST_PAUSE) if text is not None else None
    except ValueError:  # a date
        return None
