"""``/graphql`` over HTTP: POST executes a document, GET shows a page to write one."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import anyio.to_thread
import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orita.core.clock import Clock
from orita.core.extras import require
from orita.core.ids import uuid7
from orita.serving.access.gate import visitor_of
from orita.serving.config import ServingConfig
from orita.serving.graphql.asker import Asker, GraphqlParts
from orita.serving.graphql.messages import GraphqlRefusal, GraphqlRequest
from orita.serving.http.body import read_body
from orita.serving.http.decoding import BodyDecoder, given_request_id
from orita.serving.http.failure import failure
from orita.serving.http.refusal import Refused

if TYPE_CHECKING:
    from orita.serving.graphql.execution import Executor

__all__ = ["PATH", "GraphqlRoute"]

PATH = "/graphql"
_EXTRA = "graphql"
_GRAPHQL_JSON = "application/graphql-response+json"
_JSON = "application/json"
_HIDDEN = (
    f"{PATH} is off on this server: set serving.expose_graphql to true where only those can ask who may, and install "
    "the part it needs: pip install 'orita[graphql]'."
)
_OTHERS = ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "QUERY"]


class GraphqlRoute:
    """Answers GraphQL.

    Args:
        parts: what answers.
        config: what is allowed.
        clock: the time.

    Attributes:
        on: whether it answers.

    Raises:
        MissingExtra: the configuration asks for it, and it is not installed.
    """

    def __init__(self, parts: GraphqlParts, config: ServingConfig, clock: Clock) -> None:
        if config.expose_graphql:
            require("strawberry", extra=_EXTRA)
        self.on = config.graphql_exposed and importlib.util.find_spec("strawberry") is not None
        self._parts, self._clock = parts, clock
        self._max_body = config.max_body_bytes
        self._decode = BodyDecoder(GraphqlRequest, "query, a document")
        self._encode = msgspec.json.Encoder().encode
        self._executor: Executor | None = None

    @property
    def routes(self) -> list[Route]:
        """The routes, for a Starlette router; the second one refuses what the first has not."""
        return [Route(PATH, self._answer, methods=["GET", "POST"]), Route(PATH, self._answer, methods=_OTHERS)]

    async def _answer(self, request: Request) -> Response:
        request_id = uuid7(self._clock)
        try:
            request_id = given_request_id(request.headers.raw) or request_id
            answer = await self._answered(request, request_id)
        except Refused as refused:
            answer = self._refused(refused, request_id)
        except Exception as error:  # the edge: the caller gets the documented form, the log the trace
            answer = self._refused(failure("graphql_failed", error, request_id=request_id), request_id)
        answer.headers["x-request-id"] = request_id
        return answer

    async def _answered(self, request: Request, request_id: str) -> Response:
        if not self.on:
            raise Refused(404, "graphql_hidden", _HIDDEN)
        if request.method == "GET":
            executor = await self._ready()
            return Response(executor.page(), media_type="text/html")
        if request.method != "POST":
            raise Refused(405, "method_not_allowed", f"{request.method[:20]} {PATH}: allowed are GET, POST.")
        self._check_type(request.headers.get("content-type", ""))
        body = await read_body(request.receive, request.headers.raw, self._max_body)
        if body is None:
            return Response(status_code=499)  # the caller hung up; nobody reads this
        asked = self._decode(body)
        executor = await self._ready()
        asker = Asker(self._parts, visitor_of(request.scope), request_id, asked.operationName)
        answer = await executor.execute(asked, asker)
        plain = _GRAPHQL_JSON not in request.headers.get("accept", "")
        status = 400 if isinstance(answer, GraphqlRefusal) and not plain else 200
        return Response(self._encode(answer), status, media_type=_JSON if plain else _GRAPHQL_JSON)

    async def _ready(self) -> Executor:
        """Return what executes documents; it takes half a second to import, so that is done when it is first asked."""
        executor = self._executor
        if executor is None:
            executor = self._executor = await anyio.to_thread.run_sync(_executor)
        return executor

    def _check_type(self, content_type: str) -> None:
        """Refuse what a page of another site could send without being asked whether it may."""
        if content_type.partition(";")[0].strip().lower() != _JSON:
            message = f"the header Content-Type has the value {content_type[:80]!r}, allowed is {_JSON}."
            raise Refused(415, "unsupported_media_type", message)

    def _refused(self, refused: Refused, request_id: str) -> Response:
        """Return *refused* in the form of GraphQL."""
        from orita.serving.graphql.telling import told

        answer = Response(self._encode(GraphqlRefusal([told(refused, request_id)])), refused.status, media_type=_JSON)
        if refused.status == 405:
            answer.headers["allow"] = "GET, POST"
        if refused.status == 413:
            answer.headers["connection"] = "close"  # what is left of the body is not worth reading
        return answer


def _executor() -> Executor:
    from orita.serving.graphql.execution import Executor

    return Executor()
