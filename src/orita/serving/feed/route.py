"""``POST /api/v1/feed``."""

from __future__ import annotations

from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response

from orita.core.ids import uuid7
from orita.serving.feed.feed import Feed
from orita.serving.feed.requests import FeedAsked, FeedDecoder
from orita.serving.http.body import read_body
from orita.serving.http.decoding import given_request_id
from orita.serving.http.envelope import Envelopes
from orita.serving.http.failure import failure
from orita.serving.http.refusal import Refused
from orita.serving.http.reply import Headers
from orita.serving.resilience.admitted import admission_headers, in_time
from orita.serving.resilience.deadline import until
from orita.serving.service import Service

__all__ = ["PATH", "FeedRoute"]

PATH = "/api/v1/feed"
_HUNG_UP = 499


class FeedRoute:
    """Answers requests for pages of feeds, in the envelope; every error has its documented form.

    Args:
        feed: answers.
        service: says what is allowed and until when; counts these requests as it counts predictions.
    """

    def __init__(self, feed: Feed, service: Service) -> None:
        self._feed, self._parts, self._clock, self._metrics = feed, service.parts, service.clock, service.metrics
        self._decode, self._preview = FeedDecoder(service.config), service.predictor.preview
        self._envelopes = Envelopes(service.clock)
        self._max_body = service.config.max_body_bytes

    async def answer(self, request: Request) -> Response:
        """Return the answer to one request."""
        request_id = uuid7(self._clock)
        try:
            request_id = given_request_id(request.headers.raw) or request_id
            body = await read_body(request.receive, request.headers.raw, self._max_body)
            if body is None:
                return Response(status_code=_HUNG_UP)  # nobody reads it
            arrived = self._clock.monotonic()
            priority, deadline = admission_headers(self._parts, request.headers.raw, arrived)
            self._parts.turnstile.check_room(priority)
            with until(deadline, arrived):
                page = await self._feed.answer(self._asked(body, request.headers.raw), request_id, arrived, priority)
        except Refused as refused:
            return self._refused(request, refused, request_id)
        except Exception as error:  # the edge: whatever it is, the caller gets the documented form, the log the trace
            return self._refused(request, failure("feed_failed", error, request_id=request_id), request_id)
        self._metrics.answered(len(page.predictions), page.latency_ms)
        return self._envelopes.success(page, f"{len(page.predictions)} items.", request_id)

    def _asked(self, body: bytes | bytearray, headers: Headers) -> FeedAsked:
        """Return what *body* asks, with what *headers* say to a rollout.

        Raises:
            Refused: 400 or 422, the body is wrong.
        """
        asked, preview = self._decode(body), self._preview(headers)
        return asked if preview is None else replace(asked, attributes={**(asked.attributes or {}), **preview})

    def _refused(self, request: Request, refused: Refused, request_id: str) -> Response:
        self._metrics.refused(refused.status, in_time=in_time(refused, request.headers.raw))
        return self._envelopes.refused(refused, request_id)
