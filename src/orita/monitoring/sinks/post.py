"""JSON by POST: with a time limit, tried again when the other side may recover."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

import stamina

from orita.core.errors import OritaError, UserError

__all__ = ["RefusedError", "post_json"]

_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


class RefusedError(OritaError):
    """The other side answered, and the answer will be the same the next time."""


class _UnavailableError(OSError):
    """The other side did not answer, or asked to be tried again."""


class _NoRedirection(HTTPRedirectHandler):
    """Refuses redirections: followed, a POST would arrive as a GET, without the alerts."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def post_json(
    url: str, content: object, *, timeout_seconds: float, attempts: int, headers: Mapping[str, str] | None = None
) -> None:
    """Send *content* as JSON to *url*.

    Args:
        url: ``http`` or ``https``; it may hold a secret, so no error repeats more of it than the host.
        content: plain JSON values.
        timeout_seconds: limit of connecting and of each read.
        attempts: tries before it is given up.
        headers: beside, or instead of, the content's type.

    Raises:
        OSError: no answer, or one that asks to be tried again, at every attempt.
        RefusedError: any other answer than success, a redirection included.
        UserError: the URL is not one of the web.
    """
    if urlsplit(url).scheme not in {"http", "https"}:
        raise UserError("a webhook URL must start with https:// or http://: mend it under alerting.")
    body = json.dumps(content, ensure_ascii=False, allow_nan=False).encode()
    # A block rather than a decorated function: a retry is logged with the arguments of its function, the URL too.
    for attempt in stamina.retry_context(
        on=_UnavailableError, attempts=attempts, wait_initial=0.1, wait_max=2.0, wait_jitter=0.1, timeout=60.0
    ):
        with attempt:
            _post_once(url, body, {"Content-Type": "application/json", **(headers or {})}, timeout_seconds)


def _post_once(url: str, body: bytes, headers: dict[str, str], timeout_seconds: float) -> None:
    host = urlsplit(url).hostname
    request = Request(url, data=body, method="POST", headers=headers)  # noqa: S310 - scheme checked by post_json
    try:
        with build_opener(_NoRedirection).open(request, timeout=timeout_seconds) as answer:
            answer.read(65_536)
    except HTTPError as error:
        with error:
            said = error.read(200).decode("utf-8", "replace").strip()
        sentence = f"{host} answered {error.code} {error.reason}" + (f": {said}" if said else "")
        if error.code in _TRY_AGAIN:
            raise _UnavailableError(sentence) from None
        raise RefusedError(sentence) from None
    except (OSError, HTTPException) as error:
        reason: Any = getattr(error, "reason", None) or error
        raise _UnavailableError(f"{host} cannot be reached: {reason}") from None
