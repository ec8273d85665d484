"""``POST /predict`` as a raw ASGI application: read, decode, answer, encode, send; nothing between."""

from __future__ import annotations

import traceback

import msgspec
import structlog
from starlette.types import Receive, Scope, Send

from orita.core.ids import uuid7
from orita.serving.body import read_body
from orita.serving.decoding import check_request_id
from orita.serving.refusal import Refused, encode_error
from orita.serving.requests import RequestDecoder
from orita.serving.service import Service

__all__ = ["PredictRoute", "send_error"]

_log = structlog.stdlib.get_logger("orita.serving")

_JSON = (b"content-type", b"application/json")


class PredictRoute:
    """Answers predict requests; every error has the documented form."""

    def __init__(self, service: Service) -> None:
        self._clock = service.clock
        self._metrics = service.metrics
        self._predictor = service.predictor
        self._decode = RequestDecoder(service.config)
        self._encode = msgspec.json.Encoder().encode
        self._max_body = service.config.max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request_id = ""
        try:
            request_id, length = self._read_headers(scope)
            body = await read_body(receive, length, self._max_body)
            if body is None:
                return  # the caller hung up before the request was whole
            started = self._clock.monotonic()
            answer = self._predictor.answer(self._decode(body), request_id, started)
            content = self._encode(answer)
        except Refused as refused:
            await self._refuse(send, refused, request_id or uuid7())
            return
        except Exception as error:  # the edge: whatever it is, the caller gets the documented form, the log the trace
            trace = "".join(traceback.format_exception(error))
            _log.error("predict_failed", alert=True, request_id=request_id, error=repr(error), trace=trace)
            failed = Refused(
                500, "internal_error", "the request could not be answered; the server's log has the reason."
            )
            await self._refuse(send, failed, request_id or uuid7())
            return
        self._metrics.answered(len(answer.predictions), answer.latency_ms)
        headers = [
            _JSON,
            (b"content-length", b"%d" % len(content)),
            (b"x-request-id", request_id.encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def _refuse(self, send: Send, refused: Refused, request_id: str) -> None:
        self._metrics.refused(refused.status)
        await send_error(send, refused, request_id)

    def _read_headers(self, scope: Scope) -> tuple[str, int]:
        request_id, length = "", 0
        for name, value in scope["headers"]:
            if name == b"x-request-id":
                request_id = check_request_id(value)
            elif name == b"content-length" and value.isdigit():
                length = int(value)
        return request_id or uuid7(self._clock), length


async def send_error(send: Send, refused: Refused, request_id: str) -> None:
    """Send *refused* as the documented error."""
    content = encode_error(refused.code, refused.message, request_id)
    headers = [
        _JSON,
        (b"content-length", b"%d" % len(content)),
        (b"x-request-id", request_id.encode()),
    ]
    if refused.retry_after is not None:
        headers.append((b"retry-after", b"%d" % refused.retry_after))
    if refused.status == 413:
        headers.append((b"connection", b"close"))  # what is left of the body is not worth reading
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
