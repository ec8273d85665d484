"""``/api/v1/features``: the feature store over HTTP, beside predictions and never in their way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import pyarrow as pa
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orita.core.clock import Clock
from orita.core.errors import NotFound, Unavailable, UserError
from orita.core.ids import uuid7
from orita.features.generations.generation import NotPublished
from orita.features.stores.store import StoreAway
from orita.serving.config import ServingConfig
from orita.serving.features.jobs import BoundedWork, Jobs
from orita.serving.features.requests import FeatureRequests, JobTaken, Pushed, RowsAnswer
from orita.serving.http.body import read_body
from orita.serving.http.decoding import given_request_id
from orita.serving.http.envelope import Envelopes
from orita.serving.http.failure import failure
from orita.serving.http.refusal import Refused
from orita.serving.predict.requests import checked_time
from orita.serving.protocols import FeatureService
from orita.serving.resilience.admitted import said_deadline
from orita.serving.resilience.bulkhead import BulkheadFull
from orita.serving.resilience.guarded_threads import GuardedThreads
from orita.serving.resilience.parts import Parts
from orita.serving.telemetry.metrics import ServingMetrics

__all__ = ["PREFIX", "FeatureRoutes"]

PREFIX = "/api/v1/features"
_HIDDEN = (
    f"{PREFIX} is off on this server, since it reads features and takes events from anybody who asks: set "
    "serving.expose_features to true where only those can ask who may."
)
_SHORT_AT_ONCE, _SHORT_WAITING = 4, 256
_LOG_SECONDS, _PUBLISH_SECONDS, _STORE_SECONDS, _BUSY_SECONDS = 5, 5, 1, 1

Answer = Callable[[Request, bytes | bytearray, str], Awaitable[Response]]
Run = Callable[[Callable[[], Response]], Awaitable[Response]]


class FeatureRoutes:
    """Answers what is asked of a feature store.

    Args:
        store: what knows.
        config: what is allowed.
        clock: tells the time.
        metrics: where requests are counted.
        parts: guard the event log, and say until when a caller waits.
    """

    def __init__(
        self, store: FeatureService, config: ServingConfig, clock: Clock, metrics: ServingMetrics, parts: Parts
    ) -> None:
        self._store, self._config, self._clock, self._metrics = store, config, clock, metrics
        self._requests = FeatureRequests(config)
        self._offline_work = BoundedWork(config.features.at_once, config.features.waiting)
        self._online_work = BoundedWork(_SHORT_AT_ONCE, _SHORT_WAITING)
        self._parts, self._pushes = parts, GuardedThreads(parts.broker, config.resilience.broker, clock)
        self._jobs = Jobs(config.features, clock)
        self._envelopes = Envelopes(clock)

    @property
    def routes(self) -> list[Route]:
        """The routes, for a Starlette router."""
        return [
            Route(f"{PREFIX}/online", partial(self._posted, "online", self._online), methods=["POST"]),
            Route(f"{PREFIX}/offline", partial(self._posted, "offline", self._offline), methods=["POST"]),
            Route(f"{PREFIX}/push", partial(self._posted, "push", self._push), methods=["POST"]),
            Route(f"{PREFIX}/jobs/{{job}}", self._job, methods=["GET"]),
        ]

    async def close(self) -> None:
        """Stop the jobs, and what waits for the event log."""
        await self._jobs.close()
        self._pushes.close()

    async def _posted(self, name: str, answer: Answer, request: Request) -> Response:
        async def read_and_answer(request_id: str) -> Response:
            body = await read_body(request.receive, request.headers.raw, self._config.features.max_body_bytes)
            return Response(status_code=499) if body is None else await answer(request, body, request_id)

        return await self._answered(name, request, read_and_answer)

    async def _job(self, request: Request) -> Response:
        async def find(request_id: str) -> Response:
            job = self._jobs.find(request.path_params["job"])
            return job.answer or self._taken(job.id, request_id)

        return await self._answered("jobs", request, find)

    async def _answered(self, name: str, request: Request, work: Callable[[str], Awaitable[Response]]) -> Response:
        """Return what *work* answers, or the refusal in its documented form."""
        request_id = uuid7(self._clock)
        try:
            request_id = given_request_id(request.headers.raw) or request_id
            if not self._config.features_exposed:
                raise Refused(404, "features_hidden", _HIDDEN)
            answer = await work(request_id)
        except Refused as refused:
            answer = self._envelopes.refused(refused, request_id)
        self._metrics.feature_request(name, answer.status_code)
        return answer

    async def _online(self, _: Request, body: bytes | bytearray, request_id: str) -> Response:
        asked = self._requests.online(body)
        at = checked_time(asked.timestamp, "timestamp")

        def read() -> Response:
            store, context = self._store, asked.context or {}
            user, items = _key(asked.user_id), [_key(item) for item in asked.item_ids]
            table = store.get_online_features(user, items, context=context, features=asked.features, at=at)
            return self._rows(table, request_id)

        return await self._done(self._online_work.run, read, request_id)

    async def _offline(self, request: Request, body: bytes | bytearray, request_id: str) -> Response:
        asked = self._requests.offline(body)
        wait = request.query_params.get("wait", "true")
        if wait not in ("true", "false"):
            raise Refused(422, "invalid_value", f"wait has the value {wait!r}, allowed are true and false.")

        def compute() -> Response:
            table = self._store.get_offline_features(asked.rows, asked.features, as_of=asked.as_of)
            return self._rows(table, request_id)

        if wait == "true":
            return await self._done(self._offline_work.run, compute, request_id)
        self._offline_work.check_room()
        job = self._jobs.start(lambda: self._kept(compute, request_id))
        return self._taken(job.id, request_id)

    async def _kept(self, compute: Callable[[], Response], request_id: str) -> Response:
        """Return the answer of a job, a refusal too."""
        try:
            return await self._done(self._offline_work.run, compute, request_id)
        except Refused as refused:
            return self._envelopes.refused(refused, request_id)

    async def _push(self, request: Request, body: bytes | bytearray, request_id: str) -> Response:
        asked = self._requests.push(body)
        deadline = said_deadline(self._parts, request.headers.raw, self._clock.monotonic())

        def append() -> Response:
            appended = self._store.push_features(asked.events, asked.source)
            offsets = {str(partition): span.next for partition, span in sorted(appended.items())}
            pushed = Pushed(len(asked.events), offsets)
            return self._envelopes.success(pushed, f"{pushed.taken} events are in the log.", request_id)

        async def run(work: Callable[[], Response]) -> Response:
            try:
                return await self._pushes.run(work, deadline)
            except BulkheadFull as error:
                raise Refused(503, "features_busy", str(error), retry_after=_BUSY_SECONDS) from None
            except Unavailable as error:
                raise Refused(503, "log_unavailable", str(error), retry_after=_LOG_SECONDS) from None

        return await self._done(run, append, request_id)

    async def _done(self, run: Run, work: Callable[[], Response], request_id: str) -> Response:
        """Return what *work* answers in a thread where *run* runs it.

        Raises:
            Refused: the store refuses it, or fails.
        """
        try:
            return await run(work)
        except NotFound as error:
            raise Refused(422, "not_found", str(error)) from None
        except NotPublished as error:
            raise Refused(503, "not_published", str(error), retry_after=_PUBLISH_SECONDS) from None
        except UserError as error:
            raise Refused(422, "invalid_value", str(error)) from None
        except StoreAway as error:
            raise Refused(503, "features_unavailable", str(error), retry_after=_STORE_SECONDS) from None
        except Refused:
            raise
        except Exception as error:  # the edge: the caller gets the documented form, the log the trace
            raise failure("features_failed", error, request_id=request_id) from None

    def _rows(self, table: pa.Table, request_id: str) -> Response:
        return self._envelopes.success(RowsAnswer(table.to_pylist()), f"{len(table)} rows.", request_id)

    def _taken(self, job: str, request_id: str) -> Response:
        taken = JobTaken(job, "running", f"{PREFIX}/jobs/{job}")
        return self._envelopes.success(taken, f"job {job} is under way: ask for it at its url.", request_id, 202)


def _key(given: int | str | list[int | str]) -> int | str | tuple[int | str, ...]:
    """Return an id as the store takes it."""
    return tuple(given) if isinstance(given, list) else given
