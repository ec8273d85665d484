"""``/openapi.json`` and ``/docs``: the description of the server, for programs and for people.

To make it takes longer than a hundred predictions, and most servers are never asked for it: it is made in a thread when
it is first asked for, and kept.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import anyio.to_thread
import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orita.serving.http.error_answers import request_id_of

__all__ = ["DocumentRoutes"]

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


class DocumentRoutes:
    """Answers what the server can be asked.

    Args:
        document: returns the OpenAPI document. Called from a thread.

    Attributes:
        routes: for a Starlette router.
    """

    def __init__(self, document: Callable[[], dict[str, Any]]) -> None:
        self._encoded = cache(lambda: msgspec.json.encode(document()))
        self._drawn = cache(lambda: _page(document()))
        self.routes = [Route("/openapi.json", self._json), Route("/docs", self._docs)]

    async def _json(self, request: Request) -> Response:
        content = await anyio.to_thread.run_sync(self._encoded)
        return Response(content, headers={"x-request-id": request_id_of(request)}, media_type="application/json")

    async def _docs(self, request: Request) -> Response:
        content = await anyio.to_thread.run_sync(self._drawn)
        headers = {"x-request-id": request_id_of(request), "content-security-policy": _POLICY}
        return Response(content, headers=headers, media_type="text/html")


def _page(document: dict[str, Any]) -> bytes:
    from orita.serving.documents.page import document_page  # few servers are ever asked for it

    return document_page(document).encode()
