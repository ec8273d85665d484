"""``…/infer`` on the short way through the server: small requests of models in memory, answered within the call.

A request that is long, or that asks for a model that would have to be loaded, goes the way of ASGI, where it may wait.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from orita.core.errors import NotFound, Unavailable
from orita.core.ids import uuid7
from orita.models.package import Package
from orita.serving.access.own_pages import OwnPages
from orita.serving.http.edge import EdgeRoute
from orita.serving.http.refusal import Refused
from orita.serving.http.reply import Headers, QuickRoute, QuickRoutes, Reply
from orita.serving.inference_protocol.answering import BINARY, JSON_LENGTH, failed, json_length, refusal, request_id_of
from orita.serving.inference_protocol.inference import infer
from orita.serving.inference_protocol.joint import JointInference
from orita.serving.inference_protocol.messages import answered, decoded
from orita.serving.inference_protocol.routes import InferenceRoutes
from orita.serving.resilience.turnstile import Company
from orita.serving.tracing.tracer import Tracer

__all__ = ["QUICK_BYTES", "InferenceQuick", "QuickPaths"]

QUICK_BYTES = 32 * 1024
"""The longest body that is answered within the call: some 400 rows of 16 features, which take a millisecond or two."""

_PREFIX = b"/v2/models/"
_PATTERN = "/v2/models/{model}/infer"
_PATH = re.compile(rb"/v2/models/([A-Za-z0-9._~-]{1,128})(?:/versions/([A-Za-z0-9._~-]{1,128}))?/infer")


class QuickPaths(QuickRoutes):
    """Quick routes whose paths never change, and beside them those of the models that are in memory now.

    Args:
        fixed: the former, by their path.
        routes: answer the protocol; None: nothing does.
        least: bytes; a shorter answer of these is not compressed. None: none is.
        pages: knows whose pages ask.
        joint: scores small requests to one model together; None: each is scored alone.
        tracer: records requests; None: none is recorded.
    """

    def __init__(
        self,
        fixed: Mapping[bytes, QuickRoute],
        routes: InferenceRoutes | None,
        least: int | None,
        pages: OwnPages,
        joint: JointInference | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self.fixed, self._pages, self._joint, self._tracer = fixed, pages, joint, tracer
        self._routes, self._least = routes, least
        self._longest = 0 if routes is None else min(QUICK_BYTES, routes.max_body)

    def route(self, path: bytes, headers: Headers) -> QuickRoute | None:
        """Return the route of a POST request that may be answered within the call, None where none may."""
        found = self.fixed.get(path)
        if found is not None or self._routes is None or not path.startswith(_PREFIX) or not self._is_short(headers):
            return found
        named = _named(path)
        if named is None:
            return None
        try:
            package = self._routes.source.loaded(*named)
        except (NotFound, Unavailable):
            return None  # the way of ASGI says so
        return (
            None if package is None else self._edge(path, InferenceQuick(self._routes, named[0], package, self._joint))
        )

    def _is_short(self, headers: Headers) -> bool:
        """Return whether a body is short, and says so beforehand."""
        for name, value in headers:
            if name == b"content-length":
                return len(value) < 10 and int(value) <= self._longest
        return False

    def _edge(self, path: bytes, route: QuickRoute) -> EdgeRoute:
        return EdgeRoute(route, self._least, self._pages, path.decode(), self._tracer, _PATTERN)


class InferenceQuick(QuickRoute):
    """Answers one request to a model that is at hand."""

    __slots__ = ("_joint", "_name", "_package", "_routes")
    max_body = QUICK_BYTES

    def __init__(
        self, routes: InferenceRoutes, name: str, package: Package, joint: JointInference | None = None
    ) -> None:
        self._routes, self._name, self._package, self._joint = routes, name, package, joint

    def company(self, body: bytes | bytearray) -> Company | None:
        """Return with whom a request may have its turn: others of this model that gain by it."""
        if self._joint is None or not self._joint.gains(self._package, body):
            return None
        return Company(self._joint, self._package, body)

    def reply(self, headers: Headers, body: bytes | bytearray) -> Reply:
        """Return the answer to a whole request."""
        request_id = ""
        try:
            request_id = request_id_of(headers)
            found = self._joint.taken(body) if self._joint is not None and self._joint.found else None
            json_bytes = json_length(headers)
            if found is None or json_bytes is not None:
                request, inputs = decoded(body, json_bytes)
                outputs = infer(self._package, inputs, [output.name for output in request.outputs])
            else:
                request, outputs = found
            content, json_bytes = answered(request, self._name, self._package.version, outputs)
        except Refused as refused:
            return self.refuse(refused, ((b"x-request-id", request_id.encode()),) if request_id else ())
        except Exception as error:  # the edge: `failed` tells the log
            status, content, more = failed(error, request_id)
            return self._replied(status, content, more, request_id)
        if json_bytes is None:
            return self._replied(200, content, [], request_id)
        more = [(JSON_LENGTH.lower().encode(), b"%d" % json_bytes)]
        return self._replied(200, content, more, request_id)._replace(content_type=BINARY)

    def refuse(self, refused: Refused, headers: Headers) -> Reply:
        """Return the answer to a request that cannot be had whole."""
        try:
            request_id = request_id_of(headers)
        except Refused:
            request_id = uuid7()
        status, content, more = refusal(refused)
        return self._replied(status, content, more, request_id)

    def _replied(self, status: int, content: bytes, more: list[tuple[bytes, bytes]], request_id: str) -> Reply:
        self._routes.requests["infer", status] += 1
        return Reply(status, [*more, (b"x-request-id", request_id.encode())], content)


@lru_cache(maxsize=256)
def _named(path: bytes) -> tuple[str, str | None] | None:
    """Return the model and the version that a path names; None where it is no path of inference, or written oddly."""
    match = _PATH.fullmatch(path)
    return None if match is None else (match[1].decode(), None if match[2] is None else match[2].decode())
