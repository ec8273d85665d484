"""The gate: before a request reaches its route it is asked whose page sent it, who its caller is, and whether they may.

It stands before every route of ASGI; `orita.serving.http.edge.EdgeRoute` looks at pages on the short way, which is
taken only where everybody may have predictions. Probes pass unasked.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from orita.core.clock import Clock
from orita.serving.access.callers import Caller, Callers, Visitor
from orita.serving.access.own_pages import OwnPages
from orita.serving.access.permissions import PROBES, permission_of
from orita.serving.http.error_answers import request_id_of
from orita.serving.http.refusal import Refused
from orita.serving.http.refusal_forms import RefusalForms
from orita.serving.http.turned_away import TurnedAway

__all__ = ["Gate", "caller_of", "visitor_of"]

_CALLER = "orita.caller"


class Gate:
    """Middleware of ASGI that lets through who may ask.

    Args:
        app: the application.
        callers: knows who asks.
        pages: knows whose pages ask.
        turned_away: counts who is refused.
        clock: tells the time.
    """

    def __init__(self, app: ASGIApp, callers: Callers, pages: OwnPages, turned_away: TurnedAway, clock: Clock) -> None:
        self.app = app
        self._callers, self._pages, self._turned_away = callers, pages, turned_away
        self._forms = RefusalForms(clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request of ASGI."""
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self.app(scope, receive, send)
            return
        try:
            scope[_CALLER] = await self._let_in(scope)
        except Refused as refused:
            self._turned_away.count(refused.code)
            answer = self._forms.answer(scope["path"], refused, request_id_of(Request(scope)))
            await answer(scope, receive, send)
            return
        await self.app(scope, receive, send)

    async def _let_in(self, scope: Scope) -> Caller:
        """Return who asks.

        Raises:
            Refused: 401 or 403, they may not; 403 or 415, a page of somebody else's asks.
        """
        method, path = scope["method"], scope["path"]
        refused = self._pages.refused(method, path, scope["headers"])
        if refused is not None:
            raise refused
        return await self._callers.caller(permission_of(method, path), visitor_of(scope))


def visitor_of(scope: Scope) -> Visitor:
    """Return what is known of who sent a request."""
    client = scope.get("client")
    return Visitor(scope["headers"], None if client is None else client[0])


def caller_of(scope: Scope) -> Caller:
    """Return who sent a request that the gate let through."""
    caller: Caller = scope[_CALLER]
    return caller
