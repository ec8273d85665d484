"""``POST /predict/batch``: many requests in one body, answered in their order."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from orita.core.ids import uuid7
from orita.serving.batching.answering import Batch, BatchAnswers
from orita.serving.batching.requests import BatchDecoder, parts_of
from orita.serving.http.body import read_body
from orita.serving.http.decoding import check_request_id
from orita.serving.http.failure import failure
from orita.serving.http.refusal import Refused
from orita.serving.http.reply import Headers, refusal_reply
from orita.serving.predict.requests import RequestDecoder
from orita.serving.resilience.admitted import admission_headers, in_time, says_deadline
from orita.serving.service import Service

__all__ = ["MOST_ID", "PATH", "BatchRoute"]

PATH = "/predict/batch"
MOST_ID = 120
"""Characters of the id of a batch: those of its requests are longer, and an id has at most 128."""
_JSON = "application/json"
_HUNG_UP = 499


class BatchRoute:
    """Answers batches; every error has the form of ``POST /predict``."""

    def __init__(self, service: Service) -> None:
        self._clock, self._parts, self._metrics = service.clock, service.parts, service.metrics
        self._decode = BatchDecoder(service.config.batching, RequestDecoder(service.config))
        self._answers, self._most = BatchAnswers(service), service.config.batching.most
        self._encode = msgspec.json.Encoder().encode
        self._max_body = service.config.max_body_bytes

    async def answer(self, request: Request) -> Response:
        """Return the answer to one batch."""
        request_id = uuid7(self._clock)
        try:
            given = request.headers.get("x-request-id")
            request_id = request_id if given is None else _checked_id(given)
            body = await read_body(request.receive, request.headers.raw, self._max_body)
            if body is None:
                return Response(status_code=_HUNG_UP)  # nobody reads it
            answer = await self._answers.of(await self._batch(request, body, request_id))
            if answer is None:
                return Response(status_code=_HUNG_UP)
        except Refused as refused:
            return self._refused(refused, request_id, request.headers.raw)
        except Exception as error:  # the edge: whatever it is, the caller gets the documented form, the log the trace
            return self._refused(failure("batch_failed", error, request_id=request_id), request_id, request.headers.raw)
        return Response(self._encode(answer), media_type=_JSON, headers={"x-request-id": request_id})

    async def _batch(self, request: Request, body: bytes | bytearray, request_id: str) -> Batch:
        """Return what *body* asks, and until when: where the caller does not say, as long as its parts may take.

        Raises:
            Refused: 400 or 422, the body or a header is wrong; 503, there is no room.
        """
        arrived, headers = self._clock.monotonic(), request.headers.raw
        priority, deadline = admission_headers(self._parts, headers, arrived)
        self._parts.turnstile.check_room(priority)
        asked = await self._decode(body)
        parts = list(parts_of(asked, self._most))
        if not says_deadline(headers):
            deadline = self._parts.deadlines.unsaid(arrived, len(parts))
        return Batch(asked, parts, request_id, priority, deadline, headers, request.is_disconnected)

    def _refused(self, refused: Refused, request_id: str, asked: Headers) -> Response:
        self._metrics.refused(refused.status, in_time=in_time(refused, asked))
        reply = refusal_reply(refused, request_id)
        headers = {name.decode(): value.decode() for name, value in reply.headers}
        if refused.status == 413:
            headers["connection"] = "close"  # what is left of the body is not worth reading
        return Response(reply.content, reply.status, headers, media_type=_JSON)


def _checked_id(given: str) -> str:
    """Return the id that a batch gives itself.

    Raises:
        Refused: it holds other characters than it may, or more.
    """
    if len(given) > MOST_ID:
        message = f"the header X-Request-Id has {len(given)} characters, allowed are {MOST_ID} of a batch."
        raise Refused(422, "invalid_request_id", message)
    return check_request_id(given.encode("latin-1"))
