"""The client for code that may block; `asynchronous` has its twin for event loops."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Unpack

from orita.client.answers import FeedPage
from orita.client.asking import Asker, CallOptions, ClientOptions
from orita.client.bandits import BanditCalls
from orita.client.course import Blocking
from orita.client.feature_calls import FeatureCalls
from orita.client.jobs import JobCalls
from orita.client.models import ModelCalls
from orita.client.rollouts import RolloutCalls
from orita.client.server_calls import ServerCalls

__all__ = ["Bandits", "Client", "Features", "Jobs", "Models", "Rollouts"]


class Bandits(BanditCalls, Blocking):
    """Arms that are picked by what was learnt of them, by `Client.bandits`."""


class Features(FeatureCalls, Blocking):
    """The feature store, by `Client.features`."""


class Jobs(JobCalls, Blocking):
    """Predictions that are answered later, by `Client.jobs`."""


class Models(ModelCalls, Blocking):
    """The models of the server, by `Client.models`."""


class Rollouts(RolloutCalls, Blocking):
    """How new versions reach users, by `Client.rollouts`."""


class Client(ServerCalls, Blocking):
    """Asks the server at *url*; may be shared by threads, keeps connections, and is closed by ``with`` or `close`.

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
        from orita.client.transport import Transport  # it imports what the extra brings

        super().__init__(asker, Transport(asker.address, asker.tls, asker.connections))
        self.bandits = Bandits(asker, self._transport)
        self.features = Features(asker, self._transport)
        self.jobs = Jobs(asker, self._transport)
        self.models = Models(asker, self._transport)
        self.rollouts = Rollouts(asker, self._transport)

    def feed_pages(
        self,
        user_id: int | str,
        *,
        limit: int | None = None,
        context: Mapping[str, object] | None = None,
        objective: Mapping[str, float] | None = None,
        **options: Unpack[CallOptions],
    ) -> Iterator[FeedPage]:
        """Yield the pages of a new feed, from its first to its last; each is asked for when it is wanted.

        Args:
            user_id, limit, context, objective, options: as of `feed`, and the same for every page.

        Raises:
            ExpiredCursor: the next page was wanted too late (``serving.feed.cursor.seconds`` of the server after the
                page before). What was yielded stays true; a new feed may show its items again.
        """
        cursor, more = None, True
        while more:
            page = self.feed(user_id, limit=limit, context=context, objective=objective, cursor=cursor, **options)
            yield page
            cursor, more = page.cursor, page.cursor is not None

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
