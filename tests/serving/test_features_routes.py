"""The feature store over HTTP: its answers, its errors, its bounds, its jobs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from starlette.applications import Starlette
from tests.features.small_system import NOW, events, ingested, small_workspace
from tests.serving.patience import attempts

from orita.core.clock import ManualClock
from orita.core.errors import NotFound, UserError
from orita.core.home import Home
from orita.events.log.log import Appended, AppendFailed, Span
from orita.features.api.feature_store import FeatureStore
from orita.monitoring.skew_report import FeatureSkew, SkewReport, write_skew
from orita.pipelines.etl import publish_online
from orita.pipelines.feature_stream import stream_features
from orita.serving.app import create_app
from orita.serving.config import ServingConfig
from orita.testing.asgi import Answer, AsgiClient
from orita.testing.serving import HashedFeatures, load_line_package

PREFIX = "/api/v1/features"
ROW = {"user_id": 1, "item_id": 7, "timestamp": "2024-11-15T10:30:00Z"}


class StandInStore:
    """A feature store of one feature, ``length``: how many ids, rows or context columns it was asked with."""

    def __init__(self) -> None:
        self.asked: list[object] = []
        self.free = threading.Event()
        self.free.set()

    def get_online_features(
        self,
        user_id: int | str | tuple[int | str, ...],
        item_ids: Sequence[int | str | tuple[int | str, ...]],
        /,
        *,
        context: Mapping[str, object] | None = None,
        features: Sequence[str] | None = None,
        at: int | None = None,
    ) -> pa.Table:
        """Answer; refuse a user 404 and a feature ``nonsense``; fail for a user 500."""
        self.asked.append((user_id, list(item_ids), context, features, at))
        assert self.free.wait(30)
        if features and "nonsense" in features:
            raise NotFound("feature 'nonsense' is not declared. Known: length.")
        if user_id == 404:
            raise UserError("timestamp 1 is not after the latest event: send a later one.")
        if user_id == 500:
            raise RuntimeError("secret of the machine")
        return pa.table({"item_id": list(item_ids), "length": [float(len(item_ids)), *[None] * (len(item_ids) - 1)]})

    def get_offline_features(
        self, rows: Sequence[Mapping[str, object]], features: Sequence[str] | None = None, /, *, as_of: str = "known"
    ) -> pa.Table:
        """Answer once `free` is set; refuse rows of a user 404."""
        assert self.free.wait(30)
        self.asked.append((len(rows), features, as_of))
        if rows[0].get("user_id") == 404:
            raise UserError("row 0 has no 'timestamp'.")
        return pa.Table.from_pylist([{**row, "length": len(rows)} for row in rows])

    def push_features(self, events: Sequence[Mapping[str, object]], source: str | None = None, /) -> Appended:
        """Take events; the log is full for the source ``full``."""
        if source == "full":
            raise AppendFailed("the disk is full.", {})
        self.asked.append((len(events), source))
        return {0: Span(3, 3 + len(events))}


@pytest.fixture
def store() -> StandInStore:
    """A store."""
    return StandInStore()


@pytest.fixture
def make(home: Home, clock: ManualClock, store: StandInStore) -> Callable[..., Starlette]:
    """Make an app with *store* and the given settings; no model is deployed."""

    def app(**settings: object) -> Starlette:
        config = ServingConfig.model_validate(settings)
        features = HashedFeatures(("length",))
        return create_app(home, "feed", features, config, store=store, clock=clock, load=load_line_package)

    return app


@pytest.fixture
def client(make: Callable[..., Starlette]) -> Iterator[AsgiClient]:
    """A client of an app with small bounds."""
    limits = {"max_rows": 3, "at_once": 1, "waiting": 1, "jobs": 2, "job_seconds": 60}
    with AsgiClient(make(max_items=3, features=limits)) as client:
        yield client


def refused(answer: Answer, status: int, code: str, *words: str) -> None:
    """Check an error's envelope."""
    body = answer.json()
    assert (answer.status, body["status"], body["code"], body["data"]) == (status, "error", code, None)
    assert list(body) == ["status", "code", "data", "message", "timestamp", "request_id"]
    assert body["request_id"] == answer.headers["x-request-id"]
    for word in words:
        assert word in body["message"]


def eventually(client: AsgiClient, url: str, wanted: int) -> Answer:
    """Ask until the answer has the status *wanted*."""
    for _ in attempts():
        answer = client.get(url)
        if answer.status == wanted:
            return answer
    raise AssertionError(f"{url} still answers {answer.status}: {answer.text}")


def test_online_answers_in_the_envelope_without_any_model(client: AsgiClient, store: StandInStore) -> None:
    """A row an item in the order asked, missing values null, in the contract's envelope, though nothing is deployed."""
    asked = {
        "user_id": "u",
        "item_ids": [9, 7],
        "features": ["length"],
        "context": {"device": "mobile", "price": 2.5},
        "timestamp": "2024-11-15T10:30:00Z",
    }
    answer = client.post(f"{PREFIX}/online", json=asked, headers={"x-request-id": "mine"})
    assert answer.status == 200
    assert answer.json() == {
        "status": "success",
        "data": {"rows": [{"item_id": 9, "length": 2.0}, {"item_id": 7, "length": None}]},
        "message": "2 rows.",
        "timestamp": "2024-11-15T10:30:00Z",
        "request_id": "mine",
    }
    at = 1_731_666_600_000_000
    assert store.asked == [("u", [9, 7], {"device": "mobile", "price": 2.5}, ["length"], at)]


def test_an_id_of_several_parts_is_a_list(client: AsgiClient, store: StandInStore) -> None:
    """A key of several columns comes as a list and reaches the store as one id."""
    answer = client.post(f"{PREFIX}/online", json={"user_id": ["de", 7], "item_ids": [[1, 11], [11, 1]]})
    assert answer.status == 200
    assert store.asked[0] == (("de", 7), [(1, 11), (11, 1)], {}, None, None)


def test_a_real_store_behind_the_routes(tmp_path: Path) -> None:
    """Pushed over HTTP, streamed, and read over HTTP: online and offline agree on an event that was pushed."""
    workspace = small_workspace(tmp_path)
    ingested(workspace.home, tmp_path, events(20), workspace.system)
    publish_online(workspace)
    store = FeatureStore(workspace.home, workspace.system, clock=workspace.clock)
    app = create_app(workspace.home, "small", HashedFeatures(()), store=store, clock=workspace.clock)
    with closing(store), AsgiClient(app) as client:
        pushed = events(1, start=21)[0] | {"timestamp": (NOW - timedelta(minutes=1)).isoformat()}
        assert client.post(f"{PREFIX}/push", json={"events": [pushed]}).json()["data"]["taken"] == 1
        bad = client.post(f"{PREFIX}/push", json={"events": [pushed | {"click": 3}]})
        refused(bad, 422, "invalid_value", "row 0", "click is 3", "0 or 1")
        stream_features(workspace, until=lambda _: False, once=True)
        asked = {"user_id": pushed["user_id"], "item_ids": [pushed["item_id"]], "context": {"device": "mobile"}}
        online = client.post(f"{PREFIX}/online", json=asked).json()["data"]["rows"]
        row = {"user_id": pushed["user_id"], "item_id": pushed["item_id"], "timestamp": NOW.isoformat()}
        offline = client.post(f"{PREFIX}/offline", json={"rows": [{**row, "device": "mobile"}]}).json()["data"]["rows"]
        names = workspace.system.schema().names
        assert {name: online[0][name] for name in names} == {name: offline[0][name] for name in names}
        assert online[0]["user_clicks"] == 2
        mixed = client.post(f"{PREFIX}/online", json=asked | {"item_ids": [100, "101"]})
        assert [row["item_id"] for row in mixed.json()["data"]["rows"]] == [100, 101]
        several = client.post(f"{PREFIX}/online", json=asked | {"item_ids": [[100, 1]]})
        refused(several, 422, "invalid_value", "(100, 1)", "whole numbers or texts")
        for wrong in ({"user_id": "x"}, {"timestamp": "0001-01-01T00:00:00+14:00"}):
            ((name, value),) = wrong.items()
            answer = client.post(f"{PREFIX}/offline", json={"rows": [row | wrong]})
            refused(answer, 422, "invalid_value", "row 0", name, value)
        unknown = client.post(f"{PREFIX}/online", json=asked | {"features": ["user_click"]})
        refused(unknown, 422, "not_found", "'user_click'", "'user_clicks'")


def test_nothing_published_is_the_server_s_state_not_the_caller_s_mistake(tmp_path: Path) -> None:
    """Before the first publication online answers 503 with what to run, and pushes are taken all the same."""
    workspace = small_workspace(tmp_path)
    store = FeatureStore(workspace.home, workspace.system, clock=workspace.clock)
    app = create_app(workspace.home, "small", HashedFeatures(()), store=store, clock=workspace.clock)
    with closing(store), AsgiClient(app) as client:
        answer = client.post(f"{PREFIX}/online", json={"user_id": 1, "item_ids": [1]})
        refused(answer, 503, "not_published", "orita run etl")
        assert answer.headers["retry-after"] == "5"
        assert client.post(f"{PREFIX}/push", json={"events": events(3)}).status == 200


def test_push_tells_what_is_durable(client: AsgiClient, store: StandInStore) -> None:
    """A push answers how many events were taken, and up to which offset of each partition."""
    answer = client.post(f"{PREFIX}/push", json={"events": [ROW, ROW], "source": "clicks"})
    assert (answer.status, answer.json()["data"]) == (200, {"taken": 2, "offsets": {"0": 5}})
    assert store.asked == [(2, "clicks")]
    full = client.post(f"{PREFIX}/push", json={"events": [ROW], "source": "full"})
    refused(full, 503, "log_unavailable", "disk is full")
    assert full.headers["retry-after"] == "5"


def test_offline_answers_every_row(client: AsgiClient, store: StandInStore) -> None:
    """The rows come back with their own columns and the features, as of what was asked."""
    answer = client.post(f"{PREFIX}/offline", json={"rows": [ROW, {**ROW, "item_id": 8}], "as_of": "event"})
    assert answer.json()["data"]["rows"] == [{**ROW, "length": 2}, {**ROW, "item_id": 8, "length": 2}]
    assert store.asked == [(2, None, "event")]


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "words"),
    [
        ("online", {"user_id": 1}, 422, "missing_field", ["item_ids"]),
        ("online", {"user_id": -1, "item_ids": [1]}, 422, "invalid_value", ["user_id", "-1"]),
        ("online", {"user_id": 1, "item_ids": [9.5]}, 422, "invalid_value", ["item_ids[0]", "9.5"]),
        ("online", {"user_id": [1, True], "item_ids": [9]}, 422, "invalid_value", ["user_id[1]", "true"]),
        ("online", {"user_id": 1, "item_ids": [9.5]}, 422, "invalid_value", ["item_ids[0]", "9.5"]),
        ("online", {"user_id": [1, True], "item_ids": [9]}, 422, "invalid_value", ["user_id[1]", "true"]),
        ("online", {"user_id": 1, "item_ids": []}, 422, "invalid_value", ["item_ids is empty"]),
        ("online", {"user_id": 1, "item_ids": [1, 2, 3, 4]}, 422, "too_many_items", ["4", "3"]),
        ("online", {"user_id": 1, "item_ids": [1], "contxt": {}}, 422, "unknown_field", ["'contxt'", "'context'"]),
        ("online", {"user_id": 1, "item_ids": [1], "context": {"a": [1]}}, 422, "invalid_value", ["context"]),
        ("online", {"user_id": 1, "item_ids": [1], "features": []}, 422, "invalid_value", ["features is empty"]),
        ("online", {"user_id": 1, "item_ids": [1], "features": ["nonsense"]}, 422, "not_found", ["nonsense"]),
        ("online", {"user_id": 404, "item_ids": [1]}, 422, "invalid_value", ["not after"]),
        ("online", {"user_id": 1, "item_ids": [1], "timestamp": "soon"}, 422, "invalid_value", ["timestamp", "soon"]),
        ("offline", {"rows": []}, 422, "invalid_value", ["rows is empty"]),
        ("offline", {"rows": [ROW] * 4}, 422, "too_many_rows", ["4", "3"]),
        ("offline", {"rows": [ROW], "as_of": "then"}, 422, "invalid_value", ["as_of", "then", "'event' or 'known'"]),
        ("offline", {"rows": [ROW, {"a": {"b": 1}}]}, 422, "invalid_value", ["rows[1]"]),
        ("offline?wait=maybe", {"rows": [ROW]}, 422, "invalid_value", ["wait", "maybe"]),
        ("push", {"events": [ROW] * 4}, 422, "too_many_events", ["4", "3"]),
        ("push", {"events": ROW}, 422, "invalid_value", ["events"]),
    ],
)
def test_what_is_wrong_is_said_of_its_field(
    client: AsgiClient, path: str, body: object, status: int, code: str, words: list[str]
) -> None:
    """Every wrong request gets its status, a stable code and a sentence that names field, value and what is allowed."""
    refused(client.post(f"{PREFIX}/{path}", json=body), status, code, *words)


def test_what_is_no_json_or_too_long_is_refused(make: Callable[..., Starlette]) -> None:
    """A body that is not JSON gets 400; one that is too long 413, whether its header says so or not."""
    with AsgiClient(make(features={"max_body_bytes": 1024})) as client:
        refused(client.post(f"{PREFIX}/push", body=b"{"), 400, "invalid_json")
        refused(client.post(f"{PREFIX}/push", body=b"x" * 2000), 413, "body_too_large", "1024")
        refused(client.post(f"{PREFIX}/push", body=[b"x" * 600] * 3), 413, "body_too_large", "1024")


def test_a_failure_tells_nothing_of_the_machine(client: AsgiClient) -> None:
    """An error that nobody foresaw is a 500 in the envelope, without what it said."""
    answer = client.post(f"{PREFIX}/online", json={"user_id": 500, "item_ids": [1]})
    refused(answer, 500, "internal_error")
    assert "secret" not in answer.text


def test_a_job_answers_what_its_request_would_have(client: AsgiClient, store: StandInStore) -> None:
    """wait=false answers 202 at once; the job answers 202 while it is under way, then as the request itself."""
    store.free.clear()
    taken = client.post(f"{PREFIX}/offline?wait=false", json={"rows": [ROW]})
    job = taken.json()["data"]
    assert (taken.status, job["state"], job["url"]) == (202, "running", f"{PREFIX}/jobs/{job['job']}")
    assert client.get(job["url"]).status == 202
    store.free.set()
    done = eventually(client, job["url"], 200)
    assert done.json()["data"] == {"rows": [{**ROW, "length": 1}]}
    failed = client.post(f"{PREFIX}/offline?wait=false", json={"rows": [{"user_id": 404}]}).json()["data"]
    refused(eventually(client, failed["url"], 422), 422, "invalid_value", "row 0")


def test_jobs_are_bounded_and_say_when_they_are_gone(
    client: AsgiClient, store: StandInStore, clock: ManualClock
) -> None:
    """Only the last jobs are kept, and only for their time; what is gone, or never was, is told as such."""
    urls = []
    for _ in range(3):
        urls.append(client.post(f"{PREFIX}/offline?wait=false", json={"rows": [ROW]}).json()["data"]["url"])
        eventually(client, urls[-1], 200)
        clock.at = clock.at.replace(second=clock.at.second + 1)
    refused(client.get(urls[0]), 404, "job_not_found", "last 2", "60 s")
    assert client.get(urls[2]).status == 200
    clock.at = clock.at.replace(minute=clock.at.minute + 5)
    refused(client.get(urls[2]), 404, "job_not_found")
    refused(client.get(f"{PREFIX}/jobs/never"), 404, "job_not_found", "never")


def test_too_much_at_once_is_refused_not_kept_waiting(client: AsgiClient, store: StandInStore) -> None:
    """One request runs, one waits; the third gets 503 with Retry-After; predictions of the present go on meanwhile."""
    store.free.clear()
    jobs = [client.post(f"{PREFIX}/offline?wait=false", json={"rows": [ROW]}) for _ in range(2)]
    assert [job.status for job in jobs] == [202, 202]
    for path in ("offline?wait=false", "offline"):
        busy = client.post(f"{PREFIX}/{path}", json={"rows": [ROW]})
        refused(busy, 503, "features_busy", "2 requests")
        assert busy.headers["retry-after"] == "1"
    assert client.post(f"{PREFIX}/push", json={"events": [ROW]}).status == 200
    store.free.set()
    for job in jobs:
        eventually(client, job.json()["data"]["url"], 200)


@pytest.mark.parametrize(
    ("settings", "status"),
    [
        ({"host": "127.0.0.1"}, 200),
        ({"host": "::1"}, 200),
        ({"host": "localhost"}, 200),
        ({"host": "0.0.0.0"}, 404),
        ({"host": "10.0.0.1"}, 404),
        ({"host": "0.0.0.0", "expose_features": True}, 200),
        ({"host": "127.0.0.1", "expose_features": False}, 404),
    ],
)
def test_it_is_off_the_public_listener_unless_somebody_wants_it(
    make: Callable[..., Starlette], settings: dict[str, object], status: int
) -> None:
    """By default only a loopback listener answers; the key decides otherwise; OpenAPI tells what is there."""
    with AsgiClient(make(**settings)) as client:
        answer = client.post(f"{PREFIX}/online", json={"user_id": 1, "item_ids": [1]})
        assert answer.status == status
        if status == 404:
            refused(answer, 404, "features_hidden", "serving.expose_features")
        assert (f"{PREFIX}/online" in client.get("/openapi.json").json()["paths"]) == (status == 200)


def test_openapi_describes_what_is_decoded_and_answered(client: AsgiClient) -> None:
    """Every reference of the document leads somewhere, and limits are those of the configuration."""
    document = client.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    references = [text.split('"')[0] for text in client.get("/openapi.json").text.split("#/components/schemas/")[1:]]
    assert references and set(references) <= set(schemas)
    assert schemas["OfflineRequest"]["properties"]["rows"]["maxItems"] == 3
    assert schemas["OnlineRequest"]["properties"]["item_ids"]["maxItems"] == 3
    offline = document["paths"][f"{PREFIX}/offline"]["post"]
    assert {"200", "202", "422", "503"} <= set(offline["responses"])


def test_requests_are_counted_apart_from_predictions(client: AsgiClient) -> None:
    """The exposition counts feature requests by route and status, and none of them as a prediction."""
    client.post(f"{PREFIX}/push", json={"events": [ROW]})
    client.post(f"{PREFIX}/push", json={"events": []})
    families = exposed(client)
    counted = {(s.labels["route"], s.labels["status"]): s.value for s in families["feature_requests"]}
    assert counted == {("push", "200"): 1, ("push", "422"): 1}
    assert not families["requests"]


def test_the_newest_skew_report_is_a_metric(client: AsgiClient, home: Home, tmp_path: Path) -> None:
    """The share of each feature comes from the newest report of this system; a broken file changes nothing."""
    assert "feature_skew_share" not in exposed(client)
    for minute, share in ((1, 0.5), (2, 0.25)):
        found = FeatureSkew("item_ctr", 8, round(8 * share), share, 1.0, None)
        at = f"2024-11-15T10:0{minute}:00+00:00"
        path = write_skew(home, SkewReport(8, (found,), {}, "feed", "v1", at))
    families = exposed(client)
    assert [(s.labels, s.value) for s in families["feature_skew_share"]] == [({"feature": "item_ctr"}, 0.25)]
    assert [s.value for s in families["feature_skew_rows"]] == [8]
    path.with_name("feed-20300101T000000000000.json").write_text("{")
    assert [s.value for s in exposed(client)["feature_skew_share"]] == [0.25]


def exposed(client: AsgiClient) -> dict[str, list[Sample]]:
    """Return the samples of the exposition by family."""
    text = client.get("/metrics", headers={"accept": "text/plain"}).text
    return {family.name: family.samples for family in text_string_to_metric_families(text)}
