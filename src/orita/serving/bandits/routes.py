"""``/api/v1/bandits/{key}/choose`` and ``/reward``, as routes for a Starlette router."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orita.core.clock import Clock
from orita.core.ids import uuid7
from orita.serving.bandits.answering import BanditAnswers
from orita.serving.bandits.messages import ChooseRequest, RewardRequest
from orita.serving.http.body import read_body
from orita.serving.http.decoding import BodyDecoder, given_request_id
from orita.serving.http.envelope import Envelopes
from orita.serving.http.failure import failure
from orita.serving.http.refusal import Refused

__all__ = ["MOST_BYTES", "PREFIX", "BanditRoutes"]

PREFIX = "/api/v1/bandits"
MOST_BYTES = 65_536
_HUNG_UP = 499
_TAKEN = 202


class BanditRoutes:
    """Answers in the envelope; every error has its documented form.

    Args:
        answers: picks and takes rewards.
        clock: the time.
        max_body: the longest body of any request, in bytes; here it is 64 KiB at most.
    """

    def __init__(self, answers: BanditAnswers, clock: Clock, *, max_body: int) -> None:
        self._answers, self._clock, self._max_body = answers, clock, min(max_body, MOST_BYTES)
        self._envelopes = Envelopes(clock)
        self._asked = BodyDecoder(ChooseRequest, "context, arms, k or nothing")
        self._told = BodyDecoder(RewardRequest, "decision_id and rewards")
        self.routes = [
            Route(f"{PREFIX}/{{key}}/choose", partial(self._answered, self._choose), methods=["POST"]),
            Route(f"{PREFIX}/{{key}}/reward", partial(self._answered, self._reward), methods=["POST"]),
        ]

    async def _answered(
        self, work: Callable[[str, bytes | bytearray, str], Awaitable[Response]], request: Request
    ) -> Response:
        request_id = uuid7(self._clock)
        try:
            request_id = given_request_id(request.headers.raw) or request_id
            body = await read_body(request.receive, request.headers.raw, self._max_body)
            if body is None:
                return Response(status_code=_HUNG_UP)  # nobody reads it
            return await work(request.path_params["key"], body, request_id)
        except Refused as refused:
            return self._envelopes.refused(refused, request_id)
        except Exception as error:  # the edge: the log gets the trace
            return self._envelopes.refused(failure("bandit_failed", error, request_id=request_id), request_id)

    async def _choose(self, key: str, body: bytes | bytearray, request_id: str) -> Response:
        chosen = await self._answers.choose(key, self._asked(body or b"{}"))
        return self._envelopes.success(chosen, f"{', '.join(chosen.arms)}.", request_id)

    async def _reward(self, key: str, body: bytes | bytearray, request_id: str) -> Response:
        rewarded = await self._answers.reward(key, self._told(body))
        return self._envelopes.success(rewarded, f"{rewarded.rewards} rewards taken.", request_id, _TAKEN)
