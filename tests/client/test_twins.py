"""Both clients are one description: the same names, arguments and sentences; the types of each are its own."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, assert_type

import pytest

from orita.client import (
    AsyncClient,
    Client,
    Explanation,
    FeatureRows,
    FeedPage,
    Model,
    PredictionJob,
    Ranking,
)
from orita.client.asynchronous import AsyncBandits, AsyncFeatures, AsyncJobs, AsyncModels, AsyncRollouts
from orita.client.blocking import Bandits, Features, Jobs, Models, Rollouts

TWINS = [
    (Client, AsyncClient),
    (Bandits, AsyncBandits),
    (Features, AsyncFeatures),
    (Jobs, AsyncJobs),
    (Models, AsyncModels),
    (Rollouts, AsyncRollouts),
]
METHODS = {
    "Client": [
        "close",
        "config",
        "explain",
        "feed",
        "feed_pages",
        "health",
        "metrics",
        "predict",
        "predict_many",
        "prediction",
    ],
    "Bandits": ["choose", "reward"],
    "Features": ["job", "offline", "online", "push", "start_offline"],
    "Jobs": ["cancel", "get", "result", "submit", "wait"],
    "Models": ["get", "list", "page", "predict", "retire", "update"],
    "Rollouts": ["abort", "acknowledge", "advance", "get", "list", "pause", "promote", "resume", "start"],
}


def public(kind: type) -> list[str]:
    """Return the names of the public methods of *kind*."""
    return sorted(name for name, _ in inspect.getmembers(kind, callable) if not name.startswith("_"))


@pytest.mark.parametrize(("blocking", "awaited"), TWINS, ids=lambda kind: kind.__name__)
def test_what_one_has_the_other_has(blocking: type, awaited: type) -> None:
    """Methods, arguments and defaults are the same, and each has a sentence that help shows."""
    assert public(blocking) == public(awaited) == METHODS[blocking.__name__]
    for name in public(blocking):
        one, other = getattr(blocking, name), getattr(awaited, name)
        assert inspect.signature(one).parameters.keys() == inspect.signature(other).parameters.keys()
        assert inspect.getdoc(one), name
        assert inspect.getdoc(other), name


def test_a_method_is_named_as_it_is_called() -> None:
    """Tracebacks, help and editors show the name, the arguments and the sentence of the method itself."""
    with Client("http://127.0.0.1:9") as client:
        assert client.predict.__name__ == "predict"
        assert list(inspect.signature(client.predict).parameters)[:2] == ["user_id", "item_ids"]
        assert (client.jobs.wait.__doc__ or "").startswith("Return a job once it has ended")


def test_an_argument_that_is_none_is_a_type_error() -> None:
    """Options that do not exist are not passed over."""
    with Client("http://127.0.0.1:9") as client, pytest.raises(TypeError, match="unexpected keyword argument 'limits'"):
        client.feed(1, limits=3)  # type: ignore[call-arg]


if TYPE_CHECKING:  # what the type checker, and so an editor, sees of each

    def _blocking(client: Client) -> None:
        assert_type(client.predict(1, [7], context={"device": "mobile"}, timeout=1.0), Ranking)
        assert_type(client.feed(1, limit=3, priority="low"), FeedPage)
        assert_type(client.feed_pages(1), Iterator[FeedPage])
        assert_type(client.explain("r-1"), Explanation)
        assert_type(client.features.online(1, [7]), FeatureRows)
        assert_type(client.jobs.wait("j-1"), PredictionJob)
        assert_type(client.jobs.result("j-1"), tuple[Ranking, ...])
        assert_type(client.models.list(stage="retired"), tuple[Model, ...])
        client.predict(1)  # type: ignore[call-arg]
        client.feed(1, limit="3")  # type: ignore[arg-type]
        client.jobs.wait("j-1", retries=3)  # type: ignore[call-arg]

    async def _awaited(client: AsyncClient) -> None:
        waiting = assert_type(client.predict(1, [7]), Coroutine[Any, Any, Ranking])
        assert_type(await waiting, Ranking)
        assert_type(await client.feed(1), FeedPage)
        assert_type(client.feed_pages(1), AsyncIterator[FeedPage])
        assert_type(await client.jobs.result("j-1"), tuple[Ranking, ...])
        assert_type(await client.models.get("m-1"), Model)
