"""The clients and a real server of Orita agree: the feed, jobs, models and explanations, over a real socket."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.client.served import serving
from tests.serving.feed.published import features_of, published_feed
from tests.serving.jobs.receiver import Receiver, receiver
from tests.serving.models_at_hand import StandInRegistry, model_id, write_card
from tests.serving.patience import attempts

from orita.client import (
    ExpiredCursor,
    Explanation,
    JobFailed,
    LoggedRequest,
    PredictRequest,
    Refused,
    verify_callback,
)
from orita.control.deployments import Deployments
from orita.core.home import Home
from orita.serving.app import create_app
from orita.serving.config import ServingConfig
from orita.serving.explain.openapi import Explanation as ServedExplanation
from orita.testing.serving import load_line_package, publish_line_package

Opened = Callable[..., Any]
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MODEL = ("v1.0.0", "v1.1.0")


def explained(identity: str, /, *, items: Sequence[str], top: int, lineage: bool) -> Mapping[str, Any]:
    """Explain a request as the server describes it."""
    events = {"source": "interactions", "by": {"item_id": "7"}, "window": "lifetime", "filter": "", "count": 1}
    events |= {"first": "2024-11-15T10:30:00+00:00", "last": "2024-11-15T10:30:00+00:00", "latest": [{"click": 1}]}
    traced = {"declared": "a mean", "reads": ["interactions.click"], "events": [events], "attributes": []}
    traced |= {"request": [], "unknown": []}
    feature = {"feature": "item_ctr", "values": {"item_ctr": 0.5}, "contribution": 0.25, "error": 0.0}
    feature |= {"lineage": traced if lineage else None}
    found = [
        {"item_id": item, "score": 0.5, "rank": 1, "prediction_id": "p", "unexplained": 0.0, "features": [feature]}
        for item in items or ["best"] * top
    ]
    said: dict[str, Any] = {"request_id": identity, "system": "feed", "model_version": "v1.0.0", "user_id": "1"}
    said |= {"at": "2024-11-15T10:30:00+00:00", "as_of": "2024-11-15T10:30:00+00:00", "latency_ms": 1.5, "answers": 1}
    said |= {"level": 1, "cached": False, "objective": None, "model_type": "line", "baseline": 0.25, "rows": 3}
    said |= {"method": {"name": "Shapley", "reference": "rows", "orders": 8, "error": "one standard error"}}
    said |= {"rollout": None, "variant": None, "no_lineage": "", "items": found}
    assert set(said) == set(ServedExplanation.__struct_fields__)
    return said


class Ahead:
    """The system's time, and *by* so much more."""

    by = timedelta()

    def now(self) -> datetime:
        """Return the time."""
        return datetime.now(UTC) + self.by

    def monotonic(self) -> float:
        """Return seconds of no date."""
        return time.monotonic()


@pytest.fixture(scope="module")
def clock() -> Ahead:
    """The time of the server."""
    return Ahead()


@pytest.fixture(scope="module")
def called() -> Iterator[Receiver]:
    """Who is called back."""
    with receiver() as told:
        yield told


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, called: Receiver, clock: Ahead) -> Iterator[str]:
    """A server with two models, one of them deployed, a feed, jobs with callbacks, and explanations."""
    home = Home(tmp_path_factory.mktemp("home"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORITA_CALLBACK_SECRET", SECRET)
        yield from _served(home, called, clock)


def _served(home: Home, called: Receiver, clock: Ahead) -> Iterator[str]:
    published_feed(home)
    for version in MODEL:
        write_card(publish_line_package(home, "feed", version, ("item_ctr",)), version)
    Deployments(home.control_db).deploy("feed", MODEL[0], actor="test", reason="test")
    callbacks = {"hosts": [f"127.0.0.1:{called.port}"], "networks": ["127.0.0.0/8"]}
    settings = {"jobs": {"poll_seconds": 0.01, "callbacks": callbacks}}
    config = ServingConfig.model_validate(settings)
    more: dict[str, Any] = {"load": load_line_package, "registry": StandInRegistry(home), "explain": explained}
    app = create_app(home, "feed", features_of(home), config, clock=clock, **more)
    with serving(app) as address:
        yield address


def first_page(ask: Callable[..., Any], **options: Any) -> Any:
    """Return a first page, once the server has read the items."""
    return ask("feed", 1, timeout=20, **options)


def test_a_feed_in_pages(opened: Opened, url: str) -> None:
    """Every item once, ranked from the first page to the last."""
    with opened(url, retries=10) as ask:
        first_page(ask)
        pages = list(ask("feed_pages", 1, limit=15, context={"device": "mobile"}))
    assert [len(page.predictions) for page in pages] == [15, 15, 10]
    assert [item.rank for page in pages for item in page.predictions] == list(range(1, 41))
    assert len({item for page in pages for item in page.item_ids}) == 40
    assert {(page.user_id, page.model_version, page.level) for page in pages} == {(1, "v1.0.0", 1)}
    assert len({page.request_id for page in pages}) == 3


def test_a_cursor_that_is_over_and_one_that_is_not_the_user_s(
    opened: Opened, url: str, clock: Ahead, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first has an error of its own, which says what to do."""
    with opened(url, retries=10) as ask:
        cursor = first_page(ask, limit=15).cursor
        with pytest.raises(Refused) as caught:
            ask("feed", 2, cursor=cursor)
        assert caught.value.code == "invalid_cursor"
        monkeypatch.setattr(clock, "by", timedelta(hours=1))
        with pytest.raises(ExpiredCursor, match="ask without a cursor for a new feed"):
            ask("feed", 1, cursor=cursor)


def test_a_job_from_its_submission_to_its_answers(opened: Opened, url: str) -> None:
    """In the order of the requests; the same key is the same job, and other requests may not have it."""
    requests = [PredictRequest(1, [7, 8]), PredictRequest(2, [9], {"device": "mobile"})]
    with opened(url) as ask:
        key = f"key-{time.monotonic_ns()}"
        job = ask("jobs.submit", requests, idempotency_key=key)
        assert ask("jobs.submit", requests, idempotency_key=key).job == job.job
        with pytest.raises(Refused) as caught:
            ask("jobs.submit", requests[:1], idempotency_key=key)
        assert caught.value.code == "idempotency_key_reused"
        one, two = ask("jobs.result", job)
        ended = ask("jobs.get", job.job)
        with pytest.raises(Refused) as caught:
            ask("jobs.cancel", job)
    assert caught.value.code == "job_begun"
    assert (sorted(one.item_ids), two.item_ids) == ([7, 8], [9])
    assert one.request_id != two.request_id
    assert (ended.state, ended.requests, ended.ended) == ("succeeded", 2, True)


def test_a_job_that_failed(opened: Opened, url: str) -> None:
    """It is taken in, and its end says why; what no prediction could be of is refused before."""
    early = PredictRequest(1, [7], {"timestamp": "1971-01-01T00:00:00Z"})
    with opened(url) as ask:
        with pytest.raises(Refused, match=r"requests\[1\]: item_ids is empty"):
            ask("jobs.submit", [PredictRequest(1, [7]), PredictRequest(1, [])])
        job = ask("jobs.submit", [early])
        with pytest.raises(JobFailed) as caught:
            ask("jobs.result", job, timeout=20)
    assert (caught.value.job, caught.value.code) == (job.job, "invalid_value")


def test_a_callback_that_is_verified(opened: Opened, url: str, called: Receiver) -> None:
    """Who is called can tell that it is genuine, and has the answers without asking."""
    before = len(called.calls)
    with opened(url) as ask:
        job = ask("jobs.submit", [PredictRequest(1, [7])], callback_url=f"http://127.0.0.1:{called.port}/done")
        call = called.wait(before + 1)[before]
        ended = verify_callback(SECRET, call.headers, call.body)
        assert (ended.type, ended.data.job) == ("job.succeeded", job.job)
        assert ended.data.results is not None
        assert tuple(result.answer for result in ended.data.results) == ask("jobs.result", job)
        with pytest.raises(Refused, match="callback_url"):
            ask("jobs.submit", [PredictRequest(1, [7])], callback_url="https://elsewhere.example.org/")


def test_models(opened: Opened, url: str) -> None:
    """Listed, read, described, put out of use and back, and asked though another one is deployed."""
    with opened(url) as ask:
        assert [(found.version, found.stage) for found in ask("models.list")] == [
            ("v1.1.0", "available"),
            ("v1.0.0", "production"),
        ]
        other = ask("models.get", model_id("v1.1.0"))
        assert (other.name, other.type, other.metrics["auc"]) == ("feed", "line", 0.75)
        assert ask("models.predict", other.id, 1, [7, 8]).model_version == "v1.1.0"
        told = ask("models.update", other.id, description="the second", tags={"team": "ads"})
        assert (told.description, told.tags) == ("the second", {"team": "ads"})
        assert ask("models.retire", other.id).stage == "retired"
        with pytest.raises(Refused) as caught:
            ask("models.predict", other.id, 1, [7])
        assert (caught.value.status, caught.value.code) == (410, "model_retired")
        assert [found.version for found in ask("models.list", stage="retired")] == ["v1.1.0"]
        assert ask("models.update", other.id, description="", tags={}, stage="available").stage == "available"
        with pytest.raises(Refused) as caught:
            ask("models.retire", model_id("v1.0.0"))
        assert (caught.value.status, caught.value.code) == (409, "model_deployed")
        assert ask("models.page", limit=1).next_offset == 1


def test_a_request_as_it_was_and_why(opened: Opened, url: str) -> None:
    """By the request id of an answer, also one with slashes."""
    with opened(url) as ask:
        answered = ask("predict", 1, [7, 8], request_id=f"mine/a+b={time.monotonic_ns()}")
        logged = _logged(ask, answered.request_id)
        assert (logged.request_id, logged.user_id, logged.level) == (answered.request_id, "1", 1)
        assert [item.item_id for item in logged.items] == [str(item) for item in answered.item_ids]
        assert set(logged.items[0].features) == {"item_ctr"}
        why = ask("explain", answered.request_id, [7, "a b"])
        assert isinstance(why, Explanation)
        assert [item.item_id for item in why.items] == ["7", "a b"]
        lineage = why.items[0].features[0].lineage
        assert lineage is not None and lineage.events[0].latest == ({"click": 1},)
        assert why.at == logged.at.replace(year=2024, month=11, day=15, hour=10, minute=30, second=0, microsecond=0)
        best = ask("explain", answered.request_id, top=2, lineage=False)
        assert [item.features[0].lineage for item in best.items] == [None, None]
        with pytest.raises(Refused, match="top has the value '11'"):
            ask("explain", answered.request_id, top=11)


def _logged(ask: Callable[..., Any], request_id: str) -> LoggedRequest:
    for _ in attempts():  # until the log's next group commit
        try:
            found: LoggedRequest = ask("prediction", request_id)
        except Refused as refused:
            assert refused.code == "not_found"
        else:
            return found
    raise AssertionError(f"{request_id} is not in the log")


def test_weights_of_a_request(opened: Opened, url: str) -> None:
    """They are passed on: a server without bounds for them refuses them by name."""
    with opened(url, retries=10) as ask:
        asked = (("predict", (1, [7])), ("feed", (1,)), ("models.predict", (model_id("v1.0.0"), 1, [7])))
        for name, arguments in asked:
            with pytest.raises(Refused) as caught:
                ask(name, *arguments, objective={"like": 2.0})
            assert (caught.value.status, caught.value.code) == (422, "objective_not_allowed")
