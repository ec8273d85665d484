"""``/api/v1/rollouts``: rollouts as resources, each answer in the envelope."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orita.core.clock import Clock
from orita.core.errors import UserError
from orita.core.ids import uuid7
from orita.delivery.rollouts.plan_files import plan_of
from orita.delivery.rollouts.rollout import Rollout
from orita.delivery.rollouts.rollouts import Rollouts
from orita.serving.access.gate import caller_of
from orita.serving.config import ServingConfig
from orita.serving.http.any_text import ANY
from orita.serving.http.body import read_body
from orita.serving.http.decoding import BodyDecoder, given_request_id
from orita.serving.http.envelope import Envelopes
from orita.serving.http.refusal import Refused
from orita.serving.rollouts.deciding import RolloutDecisions
from orita.serving.rollouts.messages import (
    GivenPlan,
    RolloutAcknowledgement,
    RolloutDecision,
    RolloutList,
    RolloutPromotion,
)

__all__ = ["COMMANDS", "PREFIX", "RolloutRoutes"]

PREFIX = "/api/v1/rollouts"
COMMANDS = ("pause", "resume", "advance", "abort")
_HIDDEN = (
    f"{PREFIX} is off on this server, since it tells of models and answers anybody: set serving.expose_models to true "
    "where only those can ask who may."
)

Work = Callable[[Request, str], Awaitable[Response]]
T = TypeVar("T", bound=Struct)


class RolloutRoutes:
    """Answers what is asked of rollouts.

    Args:
        decisions: reads and changes them.
        config: what is allowed; they are on where models are.
        clock: tells the time.
    """

    def __init__(self, decisions: RolloutDecisions, config: ServingConfig, clock: Clock) -> None:
        self._decisions, self._clock = decisions, clock
        self._on, self._max_body = config.models_exposed, config.max_body_bytes
        self._plan = BodyDecoder(GivenPlan, "a plan")
        self._decision = BodyDecoder(RolloutDecision, "an object")
        self._promotion = BodyDecoder(RolloutPromotion, "an object")
        self._acknowledgement = BodyDecoder(RolloutAcknowledgement, "a reason")
        self._envelopes = Envelopes(clock)

    @property
    def routes(self) -> list[Route]:
        """The routes, for a Starlette router."""
        one = f"{PREFIX}/{{rollout_id}}"
        named = [
            Route(PREFIX, partial(self._answered, self._list), methods=["GET"]),
            Route(PREFIX, partial(self._answered, self._start), methods=["POST"]),
            Route(one, partial(self._answered, self._get), methods=["GET"]),
            Route(f"{one}/promote", partial(self._answered, self._promote), methods=["POST"]),
            Route(f"{one}/acknowledge", partial(self._answered, self._acknowledge), methods=["POST"]),
        ]
        for name in COMMANDS:
            work = partial(self._answered, partial(self._decide, name))
            named.append(Route(f"{one}/{name}", work, methods=["POST"]))
        other = partial(self._answered, partial(self._other, named))
        methods = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "HEAD", "QUERY"]
        return [*named, *(Route(path, other, methods=methods) for path in (PREFIX, f"{PREFIX}/{{rest:{ANY}}}"))]

    async def _answered(self, work: Work, request: Request) -> Response:
        """Return what *work* answers, or the refusal in its documented form."""
        request_id = uuid7(self._clock)
        try:
            request_id = given_request_id(request.headers.raw) or request_id
            if not self._on:
                raise Refused(404, "rollouts_hidden", _HIDDEN)
            answer = await work(request, request_id)
        except Refused as refused:
            answer = self._envelopes.refused(refused, request_id)
        return answer

    async def _list(self, request: Request, request_id: str) -> Response:
        found = await self._decisions.all(request.query_params.get("system"))
        live = sum(each.ended_at is None for each in found)
        return self._envelopes.success(RolloutList(found), f"{live} under way, {len(found)} in all.", request_id)

    async def _get(self, request: Request, request_id: str) -> Response:
        found = await self._decisions.get(request.path_params["rollout_id"])
        return self._envelopes.success(
            found, f"{found.strategy} of {', '.join(found.versions)}, {found.state}.", request_id
        )

    async def _start(self, request: Request, request_id: str) -> Response:
        caller = caller_of(request.scope)
        given = await self._body(request, self._plan)
        if given is None:
            return Response(status_code=499)  # the caller hung up; nobody reads this
        try:
            plan = plan_of(given.plan)
        except UserError as error:
            raise Refused(422, "invalid_plan", str(error)) from None
        found = await self._decisions.start(plan, given.reason, caller)
        return self._envelopes.success(
            found, f"{found.strategy} of {', '.join(found.versions)} has begun.", request_id, 201
        )

    async def _decide(self, name: str, request: Request, request_id: str) -> Response:
        caller = caller_of(request.scope)
        given = await self._body(request, self._decision)
        if given is None:
            return Response(status_code=499)
        found = await self._decisions.change(request.path_params["rollout_id"], partial(_command, name, given), caller)
        return self._envelopes.success(found, f"{found.state}, step {found.step} of {found.steps}.", request_id)

    async def _acknowledge(self, request: Request, request_id: str) -> Response:
        caller = caller_of(request.scope)
        given = await self._body(request, self._acknowledgement)
        if given is None:
            return Response(status_code=499)
        id_ = request.path_params["rollout_id"]
        found = await self._decisions.acknowledge(id_, given.checks, given.reason, caller)
        held = dict.fromkeys(each.beyond.check for each in found.acknowledged)
        return self._envelopes.success(found, f"{', '.join(held)} acknowledged.", request_id)

    async def _promote(self, request: Request, request_id: str) -> Response:
        caller = caller_of(request.scope)
        given = await self._body(request, self._promotion)
        if given is None:
            return Response(status_code=499)
        id_ = request.path_params["rollout_id"]
        found = await self._decisions.promote(id_, given.version, given.reason, caller)
        return self._envelopes.success(found, f"{found.winner} is the champion.", request_id)

    async def _body(self, request: Request, decode: BodyDecoder[T]) -> T | None:
        body = await read_body(request.receive, request.headers.raw, self._max_body)
        return None if body is None else decode(body)

    async def _other(self, named: list[Route], request: Request, request_id: str) -> Response:
        """Refuse every other path, and every other method."""
        path, where = request.url.path, f"{request.method[:20]} {request.url.path[:200]}"
        methods = sorted({m for route in named if route.path_regex.match(path) for m in route.methods or ()})
        if not methods:
            raise Refused(404, "not_found", f"{where}: there is no such path.")
        message = f"{where}: allowed are {', '.join(methods)}."
        answer = self._envelopes.refused(Refused(405, "method_not_allowed", message), request_id)
        answer.headers["allow"] = ", ".join(methods)
        return answer


def _command(name: str, given: RolloutDecision, rollouts: Rollouts, rollout: Rollout, actor: str) -> Rollout:
    reason = given.reason
    if given.step is not None and given.step != rollout.step + 1:
        message = (
            f"rollout {rollout.id} is at step {rollout.step + 1} by now, not {given.step}: look, then decide again."
        )
        raise Refused(409, "rollout_refused", message)
    match name:
        case "pause":
            return rollouts.pause(rollout.system, rollout.id, actor=actor, reason=reason)
        case "resume":
            return rollouts.resume(rollout.system, rollout.id, actor=actor, reason=reason)
        case "advance":
            return rollouts.advance(rollout, actor=actor, reason=reason)
        case _:
            return rollouts.abort(rollout.system, rollout.id, actor=actor, reason=reason)
