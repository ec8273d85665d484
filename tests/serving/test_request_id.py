"""One id for a request: in its answer, in its lines of the log, and where it is stored."""

from __future__ import annotations

import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from structlog.contextvars import merge_contextvars

from orita.serving.http.error_answers import request_id_of
from orita.serving.http.request_id import RequestIdMiddleware, answering
from orita.testing.asgi import AsgiClient


def _logged() -> dict[str, object]:
    return dict(merge_contextvars(structlog.get_logger(), "info", {"event": "x"}))


def test_lines_name_the_request() -> None:
    """Within the block a line has the request's id, the inner one of two, and after it none."""
    with answering("a"):
        with answering("b"):
            assert _logged()["request_id"] == "b"
        assert _logged()["request_id"] == "a"
    assert "request_id" not in _logged()


def test_the_answer_and_the_log_agree() -> None:
    """The id that the caller gave, or the one that was made for it, is the same wherever it is asked for."""

    async def told(request: Request) -> JSONResponse:
        return JSONResponse([request_id_of(request), request_id_of(request), _logged().get("request_id")])

    app = Starlette(routes=[Route("/", told)], middleware=[Middleware(RequestIdMiddleware)])
    with AsgiClient(app) as client:
        first, second, logged = client.get("/").json()
        assert first == second == logged
        assert client.get("/", {"x-request-id": "mine-7"}).json() == ["mine-7"] * 3
        assert client.get("/", {"x-request-id": "not allowed!"}).json()[2] is None
