"""``POST /predict``: decode, answer, encode; nothing between."""

from __future__ import annotations

import msgspec
from starlette.types import Receive, Scope, Send

from orita.core.ids import uuid7
from orita.serving.http.body import read_body
from orita.serving.http.decoding import given_request_id
from orita.serving.http.failure import failure
from orita.serving.http.refusal import Refused
from orita.serving.http.reply import Headers, QuickRoute, Reply, refusal_reply
from orita.serving.http.request_id import answering
from orita.serving.predict.answer import PredictAnswer
from orita.serving.predict.cached_predictor import CachedPredictor
from orita.serving.predict.requests import RequestDecoder
from orita.serving.resilience.admitted import admission_headers, in_time
from orita.serving.resilience.deadline import current_arrival, until
from orita.serving.resilience.turnstile import Company
from orita.serving.service import Service

__all__ = ["PredictRoute"]


class PredictRoute(QuickRoute):
    """Answers predict requests; every error has the documented form.

    It is called with a whole request by `ServingProtocol`, once its turn has come, or as an ASGI application: by any
    other server, and where there is a cache, which may have to be waited for.
    """

    def __init__(self, service: Service) -> None:
        self._clock = service.clock
        self._metrics = service.metrics
        self._predictor = service.predictor
        self._cached = service.cached
        self._parts = service.parts
        self._decode = RequestDecoder(service.config)
        self._joint = service.joint
        self._encode = msgspec.json.Encoder().encode
        self.max_body = service.config.max_body_bytes

    def reply(self, headers: Headers, body: bytes | bytearray) -> Reply:
        """Return the answer to a whole request, without the cache."""
        started, request_id = self._started(), ""
        try:
            request_id = self._request_id(headers)
            with answering(request_id):
                preview = self._predictor.preview(headers)
                question = self._joint.taken(body) if self._joint.found and preview is None else None
                if question is None:
                    question = self._predictor.question(self._decode(body), preview)
                return self._answered(self._predictor.answer_to(question, request_id, started), request_id)
        except Exception as error:
            return self._failed(error, request_id, headers)

    def company(self, body: bytes | bytearray) -> Company | None:
        """Return with whom a request may have its turn: other predictions that gain by it."""
        return None if self._joint.largest < 2 else Company(self._joint, self._joint, body)

    async def cached_reply(self, cached: CachedPredictor, headers: Headers, body: bytes | bytearray) -> Reply:
        """Return the answer to a whole request, from the cache where it is there."""
        started, request_id = self._started(), ""
        try:
            request_id = self._request_id(headers)
            preview = self._predictor.preview(headers)
            return self._answered(await cached.answer(self._decode(body), request_id, started, preview), request_id)
        except Exception as error:
            return self._failed(error, request_id, headers)

    def refuse(self, refused: Refused, headers: Headers) -> Reply:
        """Return the answer to a request that could not be had whole."""
        try:
            return self._refused(refused, self._request_id(headers), headers)
        except Refused:
            return self._refused(refused, uuid7(self._clock), headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request of ASGI, when its turn has come."""
        headers = scope["headers"]
        try:
            body = await read_body(receive, headers, self.max_body)
            if body is None:
                return  # the caller hung up before the request was whole
            reply = await self._in_turn(headers, body)
        except Refused as refused:
            reply = self.refuse(refused, headers)
        await _send(send, reply)

    async def _in_turn(self, headers: Headers, body: bytes | bytearray) -> Reply:
        """Return the answer to a whole request.

        Raises:
            Refused: it gets no turn.
        """
        arrived = self._clock.monotonic()
        priority, deadline = admission_headers(self._parts, headers, arrived)
        ticket = await self._parts.turnstile.enter(priority, deadline, arrived)
        answered = False
        try:
            with until(deadline, arrived):
                if self._cached is None:
                    reply = self.reply(headers, body)
                else:
                    reply = await self.cached_reply(self._cached, headers, body)
            answered = reply.status == 200
        finally:
            self._parts.turnstile.leave(ticket, answered=answered)
        return reply

    def _started(self) -> float:
        arrived = current_arrival()
        return self._clock.monotonic() if arrived is None else arrived

    def _answered(self, answer: PredictAnswer, request_id: str) -> Reply:
        content = self._encode(answer)
        self._metrics.answered(len(answer.predictions), answer.latency_ms)
        return Reply(200, [(b"x-request-id", request_id.encode())], content)

    def _failed(self, error: Exception, request_id: str, headers: Headers) -> Reply:
        """Return the documented form of an error: this is the edge, so whatever it is, there is one."""
        refused = error if isinstance(error, Refused) else failure("predict_failed", error, request_id=request_id)
        return self._refused(refused, request_id or uuid7(self._clock), headers)

    def _refused(self, refused: Refused, request_id: str, headers: Headers) -> Reply:
        self._metrics.refused(refused.status, in_time=in_time(refused, headers))
        return refusal_reply(refused, request_id)

    def _request_id(self, headers: Headers) -> str:
        return given_request_id(headers) or uuid7(self._clock)


async def _send(send: Send, reply: Reply) -> None:
    """Send *reply*."""
    headers = [
        (b"content-type", reply.content_type),
        (b"content-length", b"%d" % len(reply.content)),
        *reply.headers,
    ]
    if reply.status == 413:
        headers.append((b"connection", b"close"))  # what is left of the body is not worth reading
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.content})
