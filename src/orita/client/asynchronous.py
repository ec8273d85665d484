"""The client for event loops; `blocking` has its twin for code that may block."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Unpack

from orita.client.answers import FeedPage
from orita.client.asking import Asker, CallOptions, ClientOptions
from orita.client.bandits import BanditCalls
from orita.client.course import Awaiting
from orita.client.feature_calls import FeatureCalls
from orita.client.jobs import JobCalls
from orita.client.models import ModelCalls
from orita.client.rollouts import RolloutCalls
from orita.client.server_calls import ServerCalls

__all__ = ["AsyncBandits", "AsyncClient", "AsyncFeatures", "AsyncJobs", "AsyncModels", "AsyncRollouts"]


class AsyncBandits(BanditCalls, Awaiting):
    """Arms that are picked by what was learnt of them, by `AsyncClient.bandits`."""


class AsyncFeatures(FeatureCalls, Awaiting):
    """The feature store, by `AsyncClient.features`."""


class AsyncJobs(JobCalls, Awaiting):
    """Predictions that are answered later, by `AsyncClient.jobs`."""


class AsyncModels(ModelCalls, Awaiting):
    """The models of the server, by `AsyncClient.models`."""


class AsyncRollouts(RolloutCalls, Awaiting):
    """How new versions reach users, by `AsyncClient.rollouts`."""


class AsyncClient(ServerCalls, Awaiting):
    """Asks the server at *url* from one event loop, keeps connections, and is closed by ``async with`` or `close`.

    Args:
        url: the server's address, such as ``http://127.0.0.1:8080``; nothing is sent yet.
        options: see `ClientOptions`.

    Attributes:
        bandits: arms that are picked by what was learnt of them.
        features: the feature store of the server.
        jobs: predictions that are answered later.
        models: the models of the server.
        rollouts: how new versions reach users.

    Raises:
        UserError: the address or an option is not allowed.
        MissingExtra: ``pip install 'orita[client]'`` was not done.
    """

    def __init__(self, url: str, **options: Unpack[ClientOptions]) -> None:
        asker = Asker.of(url, **options)
        from orita.client.transport import AsyncTransport  # it imports what the extra brings

        super().__init__(asker, AsyncTransport(asker.address, asker.tls, asker.connections))
        self.bandits = AsyncBandits(asker, self._transport)
        self.features = AsyncFeatures(asker, self._transport)
        self.jobs = AsyncJobs(asker, self._transport)
        self.models = AsyncModels(asker, self._transport)
        self.rollouts = AsyncRollouts(asker, self._transport)

    async def feed_pages(
        self,
        user_id: int | str,
        *,
        limit: int | None = None,
        context: Mapping[str, object] | None = None,
        objective: Mapping[str, float] | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncIterator[FeedPage]:
        """Yield the pages of a new feed, from its first to its last; each is asked for when it is wanted.

        Args:
            user_id, limit, context, objective, options: as of `feed`, and the same for every page.

        Raises:
            ExpiredCursor: the next page was wanted too late (``serving.feed.cursor.seconds`` of the server after the
                page before). What was yielded stays true; a new feed may show its items again.
        """
        cursor, more = None, True
        while more:
            page = await self.feed(user_id, limit=limit, context=context, objective=objective, cursor=cursor, **options)
            yield page
            cursor, more = page.cursor, page.cursor is not None

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
