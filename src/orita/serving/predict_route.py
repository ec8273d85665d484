"""``POST /predict``: decode, answer, encode; nothing between."""

from __future__ import annotations

import traceback

import msgspec
import structlog
from starlette.types import Receive, Scope, Send

from orita.core.ids import uuid7
from orita.serving.body import read_body
from orita.serving.decoding import check_request_id
from orita.serving.refusal import Refused, internal_error
from orita.serving.reply import Headers, Reply, refusal_reply
from orita.serving.requests import RequestDecoder
from orita.serving.service import Service

__all__ = ["PredictRoute"]

_log = structlog.stdlib.get_logger("orita.serving")


class PredictRoute:
    """Answers predict requests; every error has the documented form.

    It is called with a whole request by `ServingProtocol`, or as an ASGI application by any other server.
    """

    def __init__(self, service: Service) -> None:
        self._clock = service.clock
        self._metrics = service.metrics
        self._predictor = service.predictor
        self._decode = RequestDecoder(service.config)
        self._encode = msgspec.json.Encoder().encode
        self.max_body = service.config.max_body_bytes

    def reply(self, headers: Headers, body: bytes | bytearray) -> Reply:
        """Return the answer to a whole request."""
        started = self._clock.monotonic()
        request_id = ""
        try:
            request_id = self._request_id(headers)
            answer = self._predictor.answer(self._decode(body), request_id, started)
            content = self._encode(answer)
        except Refused as refused:
            return self._refused(refused, request_id or uuid7(self._clock))
        except Exception as error:  # the edge: whatever it is, the caller gets the documented form, the log the trace
            trace = "".join(traceback.format_exception(error))
            _log.error("predict_failed", alert=True, request_id=request_id, error=repr(error), trace=trace)
            return self._refused(internal_error(), request_id or uuid7(self._clock))
        self._metrics.answered(len(answer.predictions), answer.latency_ms)
        return Reply(200, [(b"x-request-id", request_id.encode())], content)

    def refuse(self, refused: Refused, headers: Headers) -> Reply:
        """Return the answer to a request that could not be had whole."""
        try:
            return self._refused(refused, self._request_id(headers))
        except Refused:
            return self._refused(refused, uuid7(self._clock))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request of ASGI."""
        headers = scope["headers"]
        try:
            body = await read_body(receive, headers, self.max_body)
        except Refused as refused:
            reply = self.refuse(refused, headers)
        else:
            if body is None:
                return  # the caller hung up before the request was whole
            reply = self.reply(headers, body)
        await _send(send, reply)

    def _refused(self, refused: Refused, request_id: str) -> Reply:
        self._metrics.refused(refused.status)
        return refusal_reply(refused, request_id)

    def _request_id(self, headers: Headers) -> str:
        for name, value in headers:
            if name == b"x-request-id":
                return check_request_id(value)
        return uuid7(self._clock)


async def _send(send: Send, reply: Reply) -> None:
    """Send *reply*."""
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(reply.content)),
        *reply.headers,
    ]
    if reply.status == 413:
        headers.append((b"connection", b"close"))  # what is left of the body is not worth reading
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.content})
