"""The client for event loops; `blocking` has its twin for code that may block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Literal, Protocol, TypeVar, Unpack

from orita.client import calls
from orita.client.answers import Configuration, FeatureRows, Health, Job, Metrics, Pushed, Ranking
from orita.client.asking import Asker, CallOptions, ClientOptions
from orita.client.exchange import Attempt, Broken, Call, Reply

__all__ = ["AsyncClient", "AsyncFeatures"]

T = TypeVar("T")


class _Run(Protocol):
    async def __call__(self, call: Call[T], options: CallOptions) -> T: ...


class AsyncClient:
    """Asks the server at *url* from one event loop, keeps connections, and is closed by ``async with`` or `close`.

    Args:
        url: the server's address, such as ``http://127.0.0.1:8080``; nothing is sent yet.
        options: see `ClientOptions`.

    Attributes:
        features: the feature store of the server.

    Raises:
        UserError: the address or an option is not allowed.
        MissingExtra: ``pip install 'orita[client]'`` was not done.
    """

    def __init__(self, url: str, **options: Unpack[ClientOptions]) -> None:
        self._asker = Asker.of(url, **options)
        from orita.client.transport import AsyncTransport  # it imports what the extra brings

        self._transport = AsyncTransport(self._asker.address, self._asker.tls, self._asker.connections)
        self.features = AsyncFeatures(self._run)

    async def predict(
        self,
        user_id: int | str,
        item_ids: Sequence[int | str],
        *,
        context: Mapping[str, object] | None = None,
        **options: Unpack[CallOptions],
    ) -> Ranking:
        """Return *item_ids* ranked for *user_id*.

        Args:
            user_id: a non-negative integer or a text.
            item_ids: likewise, each once; arrays of numbers too.
            context: ``device``, and ``timestamp``, an aware time or ISO 8601; by default now.
            options: see `CallOptions`.

        Raises:
            Refused, Unreachable, TimedOut, Untrusted, BadAnswer: there is no answer; so of every method.
            UserError: a value cannot be sent.
        """
        return await self._run(calls.predict(user_id, item_ids, context), options)

    async def health(self, **options: Unpack[CallOptions]) -> Health:
        """Return how the server is; one without a model has the status ``no_model`` and is no error here."""
        return await self._run(calls.health(), options)

    async def metrics(self, **options: Unpack[CallOptions]) -> Metrics:
        """Return what the server counted."""
        return await self._run(calls.metrics(), options)

    async def config(self, **options: Unpack[CallOptions]) -> Configuration:
        """Return what the model is made of; a server that does not tell refuses with ``config_hidden``."""
        return await self._run(calls.config(), options)

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _run(self, call: Call[T], options: CallOptions) -> T:
        course = self._asker.start(call, **options)
        step = next(course)
        while True:
            outcome: Reply | Broken | None = None
            if isinstance(step, Attempt):
                outcome = await self._transport.send(step)
            else:
                await self._transport.pause(step.seconds)
            try:
                step = course.send(outcome)
            except StopIteration as end:
                answer: T = end.value
                return answer


class AsyncFeatures:
    """The feature store, by `AsyncClient.features`."""

    def __init__(self, run: _Run) -> None:
        self._run = run

    async def online(
        self,
        user_id: calls.Key,
        item_ids: Sequence[calls.Key],
        features: Sequence[str] | None = None,
        *,
        context: Mapping[str, object] | None = None,
        at: datetime | None = None,
        **options: Unpack[CallOptions],
    ) -> FeatureRows:
        """Return a row an item with *features*, by default all, of the user and the item as of *at*, by default now."""
        return await self._run(calls.features_online(user_id, item_ids, features, context, at), options)

    async def offline(
        self,
        rows: Sequence[Mapping[str, object]],
        features: Sequence[str] | None = None,
        *,
        as_of: Literal["known", "event"] = "known",
        **options: Unpack[CallOptions],
    ) -> FeatureRows:
        """Return *rows* with *features* of each as of its own time; it takes seconds, so give it a ``timeout``."""
        return await self._run(calls.features_offline(rows, features, as_of), options)

    async def start_offline(
        self,
        rows: Sequence[Mapping[str, object]],
        features: Sequence[str] | None = None,
        *,
        as_of: Literal["known", "event"] = "known",
        **options: Unpack[CallOptions],
    ) -> Job:
        """Begin what `offline` waits for, and return its job."""
        return await self._run(calls.start_features_offline(rows, features, as_of), options)

    async def job(self, job: str, **options: Unpack[CallOptions]) -> FeatureRows | Job:
        """Return the rows of a job, or the job while it is under way."""
        return await self._run(calls.features_job(job), options)

    async def push(
        self, events: Sequence[Mapping[str, object]], source: str | None = None, **options: Unpack[CallOptions]
    ) -> Pushed:
        """Append *events* to the log of *source*; all are durable then. One that is pushed again counts once."""
        return await self._run(calls.features_push(events, source), options)
