"""The calls of the server itself: predictions and feeds, what was answered before, and how the server is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Unpack
from urllib.parse import quote, urlencode

from orita.client.answers import Configuration, FeedPage, Health, Metrics, Ranking
from orita.client.asking import CallOptions
from orita.client.batches import Batch
from orita.client.course import Asks, asked
from orita.client.exchange import Call, Course
from orita.client.explanations import Explanation, LoggedRequest
from orita.client.jobs import PredictRequest
from orita.client.json_form import read, read_data, under_its_id, written

__all__ = ["ServerCalls"]

_FEED, _PREDICTIONS = "/api/v1/feed", "/api/v1/predictions"

_ranking, _page = under_its_id(read(Ranking)), under_its_id(read_data(FeedPage))
_logged, _explanation = read_data(LoggedRequest), read_data(Explanation)
_health, _metrics, _config = read(Health), read(Metrics), read(Configuration)
_batch = read(Batch)


class ServerCalls(Asks):
    """What can be asked of a server."""

    @asked
    def predict(
        self,
        user_id: int | str,
        item_ids: Sequence[int | str],
        *,
        context: Mapping[str, object] | None = None,
        objective: Mapping[str, float] | None = None,
        **options: Unpack[CallOptions],
    ) -> Course[Ranking]:
        """Return *item_ids* ranked for *user_id*.

        Args:
            user_id: a non-negative integer or a text.
            item_ids: likewise, each once; arrays of numbers too.
            context: ``device``, and ``timestamp``, an aware time or ISO 8601; by default now.
            objective: what one unit of each head of the model is worth, within the bounds that the server declares; by
                default as the model declares.
            options: see `CallOptions`.

        Raises:
            Refused, Unreachable, TimedOut, Untrusted, BadAnswer: there is no answer; so of every method.
            UserError: a value cannot be sent.
        """
        body = written(user_id=user_id, item_ids=item_ids, context=context, objective=objective)
        return self._start(Call(b"POST", "/predict", _ranking, body), options)

    @asked
    def predict_many(self, requests: Sequence[PredictRequest], **options: Unpack[CallOptions]) -> Course[Batch]:
        """Return what became of each of *requests*, in their order; they are answered now, and together cost less.

        Args:
            requests: one or more; 1,000 at most, of 10,000 items in all, unless the server is configured otherwise.
            options: see `CallOptions`; the timeout is of all together. A ``request_id`` has 120 characters at most.

        Raises:
            Refused: a request is none, and the sentence says which; then none was answered.
        """
        return self._start(Call(b"POST", "/predict/batch", _batch, written(requests=list(requests))), options)

    @asked
    def feed(
        self,
        user_id: int | str,
        *,
        limit: int | None = None,
        context: Mapping[str, object] | None = None,
        objective: Mapping[str, float] | None = None,
        cursor: str | None = None,
        **options: Unpack[CallOptions],
    ) -> Course[FeedPage]:
        """Return a page of the feed of *user_id*.

        Args:
            user_id: a non-negative integer or a text.
            limit: most items of the page, from 1; by default as the server is configured.
            context: as of `predict`.
            objective: as of `predict`.
            cursor: of the page before; None: a new feed, from its beginning.
            options: see `CallOptions`.

        Raises:
            ExpiredCursor: the cursor is over; without one there is a new feed.
            Refused: with the code ``invalid_cursor``: it is of another user, or was changed.
        """
        body = written(user_id=user_id, limit=limit, context=context, objective=objective, cursor=cursor)
        return self._start(Call(b"POST", _FEED, _page, body), options)

    @asked
    def prediction(self, logged_id: str, **options: Unpack[CallOptions]) -> Course[LoggedRequest]:
        """Return a request as it was answered, with its features; the log has it some 0.1 s after the answer.

        Args:
            logged_id: the ``request_id`` of an answer, or the id of a prediction.
            options: see `CallOptions`; a ``request_id`` among them is this call's own.

        Raises:
            Refused: with the code ``not_found``: the log has no such request; ``explanations_hidden``: the server does
                not tell.
        """
        return self._start(Call(b"GET", _path(logged_id), _logged), options)

    @asked
    def explain(
        self,
        logged_id: str,
        items: Sequence[int | str] = (),
        *,
        top: int | None = None,
        lineage: bool = True,
        **options: Unpack[CallOptions],
    ) -> Course[Explanation]:
        """Return why a request was answered as it was; it takes seconds, so give it a ``timeout``.

        Args:
            logged_id: as of `prediction`.
            items: which items to explain, at most 10; none: the best *top*.
            top: how many of the best, 1 to 10; by default 1.
            lineage: whether features are traced to the events behind them.
            options: as of `prediction`.

        Raises:
            Refused: as of `prediction`; with the code ``not_explainable``: the version that answered cannot explain it.
        """
        asked_for: dict[str, object] = {"item": [str(item) for item in items]}
        asked_for |= {} if top is None else {"top": top}
        asked_for |= {} if lineage else {"lineage": "false"}
        query = urlencode(asked_for, doseq=True)
        path = f"{_path(logged_id)}/explanation" + (f"?{query}" if query else "")
        return self._start(Call(b"GET", path, _explanation), options)

    @asked
    def health(self, **options: Unpack[CallOptions]) -> Course[Health]:
        """Return how the server is; one without a model has the status ``no_model`` and is no error here."""
        call = Call(b"GET", "/health", _health, accepted=frozenset({200, 503}))
        return self._start(call, options)

    @asked
    def metrics(self, **options: Unpack[CallOptions]) -> Course[Metrics]:
        """Return what the server counted."""
        return self._start(Call(b"GET", "/metrics", _metrics), options)

    @asked
    def config(self, **options: Unpack[CallOptions]) -> Course[Configuration]:
        """Return what the model is made of; a server that does not tell refuses with ``config_hidden``."""
        return self._start(Call(b"GET", "/config", _config), options)


def _path(logged_id: str) -> str:
    return f"{_PREDICTIONS}/{quote(logged_id, safe='')}"
