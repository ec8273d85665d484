"""``/api/v1/predictions``: a logged request as it was answered, and why it was answered so.

Both read the log, and an explanation scores thousands of rows: one is made at a time, in a thread, and few wait in
line. How requests are explained is injected, as serving knows nothing of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orita.core.clock import Clock
from orita.core.errors import NotFound, Unavailable, UserError, closest
from orita.core.home import Home
from orita.core.ids import uuid7
from orita.serving.config import ServingConfig
from orita.serving.features.jobs import BoundedWork
from orita.serving.http.any_text import ANY
from orita.serving.http.decoding import check_request_id, given_request_id
from orita.serving.http.envelope import Envelopes
from orita.serving.http.failure import failure
from orita.serving.http.refusal import Refused

__all__ = ["MOST_ITEMS", "PREFIX", "ExplainRequest", "ExplainRoutes"]

PREFIX = "/api/v1/predictions"
MOST_ITEMS = 10
"""Most items that one explanation explains."""

_HIDDEN = (
    f"{PREFIX} is off on this server, since it tells what is known of users to anybody who asks: set "
    "serving.expose_explanations to true where only those can ask who may."
)
_PARAMETERS = ("item", "top", "lineage")


class ExplainRequest(Protocol):
    """Explains a logged request; `orita.explain.explain_request`, told of a home, is one. Called from a thread."""

    def __call__(self, identity: str, /, *, items: Sequence[str], top: int, lineage: bool) -> Mapping[str, Any]:
        """Return why a request was answered as it was, as plain values.

        Raises:
            NotFound: the log has no such request, or the request no such item.
            UserError: it cannot be explained here.
        """
        ...


class ExplainRoutes:
    """Answers what is asked of the prediction log.

    Args:
        home: whose log.
        system: whose requests.
        explain: explains them.
        config: what is allowed.
        clock: tells the time.
    """

    def __init__(self, home: Home, system: str, explain: ExplainRequest, config: ServingConfig, clock: Clock) -> None:
        self._home, self._system, self._explain, self._config, self._clock = home, system, explain, config, clock
        self._reading = BoundedWork(2, 16, "predictions_busy")
        self._explaining = BoundedWork(1, 4, "predictions_busy")
        self._envelopes = Envelopes(clock)
        one = f"{PREFIX}/{{request_id:{ANY}}}"  # a caller's own id may hold a slash
        self.routes = [
            Route(f"{one}/explanation", partial(self._answered, self._explained), methods=["GET"]),
            Route(one, partial(self._answered, self._logged), methods=["GET"]),
        ]

    async def _answered(self, work: Callable[[Request, str], Awaitable[Response]], request: Request) -> Response:
        """Return what *work* answers, or the refusal in its documented form."""
        own_id = uuid7(self._clock)
        try:
            own_id = given_request_id(request.headers.raw) or own_id
            if not self._config.explanations_exposed:
                raise Refused(404, "explanations_hidden", _HIDDEN)
            return await work(request, own_id)
        except Refused as refused:
            return self._envelopes.refused(refused, own_id)
        except NotFound as error:
            return self._envelopes.refused(Refused(404, "not_found", str(error)), own_id)
        except Unavailable as error:
            return self._envelopes.refused(Refused(503, "features_unavailable", str(error), retry_after=1), own_id)
        except UserError as error:
            return self._envelopes.refused(Refused(409, "not_explainable", str(error)), own_id)
        except Exception as error:  # the edge: the caller gets the documented form, the log the trace
            return self._envelopes.refused(failure("explaining_failed", error, request_id=own_id), own_id)

    async def _logged(self, request: Request, own_id: str) -> Response:
        _check_parameters(request, ())
        found = await self._reading.run(partial(self._read, _identity(request)))
        return self._envelopes.success(found, f"{len(found['items'])} items.", own_id)

    async def _explained(self, request: Request, own_id: str) -> Response:
        _check_parameters(request, _PARAMETERS)
        items, top = _items(request), _top(request)
        lineage = _flag(request, "lineage")
        identity = _identity(request)
        work = partial(self._explain, identity, items=items, top=top, lineage=lineage)
        found = await self._explaining.run(work)
        return self._envelopes.success(found, f"{len(found['items'])} of {found['rows']} items explained.", own_id)

    def _read(self, identity: str) -> dict[str, Any]:
        from orita.events.prediction_view import find_request  # its imports would delay every start of a server

        found = find_request(self._home, identity)
        if found.system != self._system:
            raise NotFound(f"request {identity} was answered by system {found.system!r}, this is {self._system!r}.")
        return found.to_dict()


def _identity(request: Request) -> str:
    given: str = request.path_params["request_id"]
    try:
        return check_request_id(given.encode("utf-8"))
    except Refused:
        shown = ascii(given[:128])
        message = f"the request id in the path is {shown}, allowed are 1 to 128 letters, digits and . _ : / + = -."
        raise Refused(422, "invalid_request_id", message) from None


def _check_parameters(request: Request, known: Sequence[str]) -> None:
    for name in request.query_params:
        if name not in known:
            message = f"the query has the unknown parameter {name[:80]!a}. {closest(name[:80], known)}"
            raise Refused(422, "unknown_field", message)


def _items(request: Request) -> list[str]:
    items: list[str] = request.query_params.getlist("item")
    if len(items) > MOST_ITEMS:
        message = f"item is given {len(items)} times, allowed are {MOST_ITEMS}: split the request."
        raise Refused(422, "too_many_items", message)
    if len(set(items)) != len(items):
        raise Refused(422, "duplicate_items", "item names an item twice: name each once.")
    return items


def _top(request: Request) -> int:
    given = request.query_params.get("top", "1")
    if not (given.isascii() and given.isdigit() and len(given) < 4 and 1 <= int(given) <= MOST_ITEMS):
        message = f"top has the value {given[:40]!a}, allowed are whole numbers from 1 to {MOST_ITEMS}."
        raise Refused(422, "invalid_value", message)
    return int(given)


def _flag(request: Request, name: str) -> bool:
    given = request.query_params.get(name, "true")
    if given not in {"true", "false"}:
        raise Refused(422, "invalid_value", f"{name} has the value {given[:40]!a}, allowed are true and false.")
    return given == "true"
