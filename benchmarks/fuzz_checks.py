"""What every answer of a server must be; schemathesis loads this file and asks it of each case.

Two of its own checks are taken with less: an unknown header is no wrong request, and a wrong one is refused by whatever
error, a retired model's 410 too; and a request that says itself how soon it is too late may get 504.
"""

from __future__ import annotations

import json
import re
from typing import Any

import schemathesis
from schemathesis.core.failures import Failure
from schemathesis.specs.openapi.checks import negative_data_rejection

__all__ = ["before_call", "documented_errors", "no_server_error", "refuses_what_is_wrong"]

_PROBES = ("/health", "/v2/health/ready")
_CODE = re.compile(r"[a-z][a-z_]*")
_ANY_HEADER = "in header - object with unexpected properties"
_FLAG_CODES = ("FLAG_NOT_FOUND", "PARSE_ERROR", "INVALID_CONTEXT", "GENERAL", "PROVIDER_NOT_READY")
_DEADLINE = "x-request-timeout-ms"


def _told(response: Any) -> str:
    return (
        f"{response.request.method} {response.request.path_url} answered {response.status_code}: {response.text[:300]}"
    )


@schemathesis.hook
def before_call(ctx: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Ask for no deployment of a model that is there: a promotion takes seconds, and a run of it must not."""
    if case.method == "PUT" and isinstance(case.body, dict) and case.body.get("stage") == "production":
        case.body = {**case.body, "stage": "available"}


@schemathesis.check
def no_server_error(ctx: Any, response: Any, case: Any) -> None:
    """No request makes the server fail, or say that it is busy; one with a deadline of its own may pass it."""
    late = response.status_code == 504 and any(name.lower() == _DEADLINE for name in case.headers or ())
    assert response.status_code < 500 or late, _told(response)


@schemathesis.check
def refuses_what_is_wrong(ctx: Any, response: Any, case: Any) -> None:
    """What the document does not allow is refused."""
    try:
        negative_data_rejection(ctx, response, case)
    except Failure as failure:
        if _ANY_HEADER not in failure.message and response.status_code < 400:
            raise


@schemathesis.check
def documented_errors(ctx: Any, response: Any, case: Any) -> None:
    """Every answer has a request id, and every error has the documented form of its face."""
    request_id = response.headers.get("x-request-id", [""])[0]
    assert request_id, _told(response)
    probed = response.status_code == 503 and case.path.startswith(_PROBES)
    if response.status_code < 400 or probed or case.method.upper() == "HEAD":
        return
    try:
        body = json.loads(response.content)
    except ValueError:
        body = None
    assert isinstance(body, dict), _told(response)
    assert _is_error(body, case.path, request_id), _told(response)


def _is_error(body: dict[str, Any], path: str, request_id: str) -> bool:
    if "errors" in body:
        told = [_is_told(each, each.get("extensions", {}), request_id) for each in body["errors"]]
        return path == "/graphql" and bool(told) and all(told)
    if path.startswith("/v2") and "error" in body:
        return isinstance(body["error"], str) and bool(body["error"])
    if path.startswith("/ofrep") and "errorCode" in body:
        return body["errorCode"] in _FLAG_CODES and isinstance(body.get("errorDetails"), str)
    return body.get("status") == "error" and _is_told(body, body, request_id)


def _is_told(said: dict[str, Any], marks: dict[str, Any], request_id: str) -> bool:
    """Return whether an error has a sentence, a code and the id of its request."""
    coded = _CODE.fullmatch(str(marks.get("code", ""))) is not None
    return bool(said.get("message")) and coded and marks.get("request_id") == request_id
