"""The OpenFeature Remote Evaluation Protocol (OFREP 0.1, service/openapi.yaml): from decoded requests to documents.

    answer = evaluate_flag(flags, key, body, now=None)             # POST /ofrep/v1/evaluate/flags/{key}
    answer = evaluate_flags(flags, body, if_none_match, now=None)  # POST /ofrep/v1/evaluate/flags

A route decodes the body, calls one of them, and sends status, ETag and document. What a body may hold besides
``context`` is left alone, as the protocol may grow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import msgspec

from orita.delivery.flags.evaluation import ErrorCode, Evaluation, Reason
from orita.delivery.flags.flag_set import FlagSet

__all__ = ["OfrepAnswer", "evaluate_flag", "evaluate_flags"]


@dataclass(frozen=True, slots=True)
class OfrepAnswer:
    """An answer of the protocol.

    Attributes:
        status: of HTTP.
        document: what is sent as JSON, None with 304.
        etag: of a bulk answer: a digest of its document, so it changes with the flags, the context and the schedules.
    """

    status: int
    document: dict[str, Any] | None
    etag: str | None = None


def evaluate_flag(flags: FlagSet, key: str, body: object, *, now: float | None = None) -> OfrepAnswer:
    """Return what one flag serves: 200, 404 where there is none, 400 where the request is wrong."""
    context = _context(body)
    if isinstance(context, _Wrong):
        return OfrepAnswer(400, {"key": key, **context.document()})
    found = flags.evaluate(key, context, now=now)
    return OfrepAnswer(404 if found.error_code is ErrorCode.FLAG_NOT_FOUND else 200, _document(found))


def evaluate_flags(
    flags: FlagSet, body: object, if_none_match: str | None = None, *, now: float | None = None
) -> OfrepAnswer:
    """Return what all flags serve: 200, 304 where *if_none_match* names what the caller would get, 400."""
    context = _context(body)
    if isinstance(context, _Wrong):
        return OfrepAnswer(400, context.document())
    document = {"flags": [_document(found) for found in flags.evaluate_all(context, now=now)]}
    digest = blake2b(msgspec.json.encode(document, order="deterministic"), digest_size=16).hexdigest()
    etag = f'"{digest}"'
    if if_none_match is not None and _names(if_none_match, etag):
        return OfrepAnswer(304, None, etag)
    return OfrepAnswer(200, document, etag)


@dataclass(frozen=True, slots=True)
class _Wrong:
    code: ErrorCode
    sentence: str

    def document(self) -> dict[str, Any]:
        return {"errorCode": self.code.value, "errorDetails": self.sentence}


def _context(body: object) -> Mapping[str, object] | _Wrong:
    if not isinstance(body, Mapping):
        return _Wrong(ErrorCode.PARSE_ERROR, 'the body is no JSON object: send {"context": {...}}.')
    context = body.get("context", {})
    if not isinstance(context, Mapping):
        return _Wrong(
            ErrorCode.INVALID_CONTEXT, f"context is of type {type(context).__name__}: send an object of attributes."
        )
    return context


def _document(found: Evaluation) -> dict[str, Any]:
    if found.reason is Reason.ERROR:
        assert found.error_code is not None
        return {"key": found.flag, "errorCode": found.error_code.value, "errorDetails": found.error_message}
    metadata = {"metadata": {"rule": found.rule}} if found.rule else {}
    answer = {"key": found.flag, "reason": found.reason.value, "variant": found.variant, "value": found.value}
    return answer | metadata


def _names(if_none_match: str, etag: str) -> bool:
    """Tell whether the header names *etag*, by weak comparison (RFC 9110, sections 8.8.3.2 and 13.1.2)."""
    named = [one.strip().removeprefix("W/") for one in if_none_match.split(",")]
    return etag in named or named == ["*"]
