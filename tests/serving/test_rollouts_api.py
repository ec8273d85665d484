"""``/api/v1/rollouts``: read and decided over HTTP, each answer in the envelope; what is wrong changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec
import pytest
from tests.serving.models_at_hand import FEATURES, StandInRegistry, model_app, publish_model, write_card

from orita.control.deployments import Deployments
from orita.control.leases import Leases
from orita.control.model_records import ModelRecords
from orita.core.clock import ManualClock
from orita.core.errors import Unavailable, UserError
from orita.core.home import Home
from orita.delivery.assignment.conditions import EndsWith
from orita.delivery.flags.declarations import FlagFile
from orita.delivery.flags.kept import Flags
from orita.delivery.rollouts import RolloutPlan, Rollouts
from orita.delivery.rollouts.notes import Look, Note
from orita.delivery.rollouts.rollouts import lease_name
from orita.delivery.rollouts.trouble import Trouble
from orita.testing.asgi import Answer, AsgiClient
from orita.testing.serving import publish_line_package

PREFIX = "/api/v1/rollouts"
HERE = {"host": "localhost:8080"}
CANARY = {"strategy": "canary", "versions": ["v1.1.0"]}


@pytest.fixture
def registry(home: Home) -> StandInRegistry:
    """A registry that publishes."""
    return StandInRegistry(home)


@pytest.fixture
def client(home: Home, clock: ManualClock, registry: StandInRegistry) -> Iterator[AsgiClient]:
    """A client of a server with ``v1.0.0`` deployed, and ``v1.1.0`` and ``v1.2.0`` published."""
    publish_model(home, "v1.0.0", deploy=True)
    publish_model(home, "v1.1.0")
    publish_model(home, "v1.2.0")
    with AsgiClient(model_app(home, clock, registry)) as client:
        yield client


def post(client: AsgiClient, path: str, body: object, headers: dict[str, str] = HERE) -> Answer:
    """Send a POST request of *body* as JSON."""
    return client.send("POST", f"{PREFIX}{path}", [json.dumps(body).encode()], headers, whole=True)


def begun(client: AsgiClient, **plan: object) -> dict[str, Any]:
    """Begin a rollout; return it."""
    answer = post(client, "", {"plan": CANARY | plan, "reason": "topics"})
    assert answer.status == 201, answer.body
    found: dict[str, Any] = answer.json()["data"]
    return found


def refused(answer: Answer, status: int, code: str, *words: str) -> None:
    """Check an error's envelope."""
    body = answer.json()
    assert (answer.status, body["status"], body["code"], body["data"]) == (status, "error", code, None), body
    assert body["request_id"] == answer.headers["x-request-id"]
    for word in words:
        assert word in body["message"]


def decided(home: Home) -> list[tuple[str, str, str]]:
    """Return what was decided of rollouts: what, who, why."""
    return [(each.type, each.actor, each.reason) for each in Rollouts(home.control_db).history("feed")]


def test_begun_decided_and_promoted(client: AsgiClient, home: Home, registry: StandInRegistry) -> None:
    """Each decision is one event with its caller and its reason; the registry is told of the end."""
    rollout = begun(client)
    assert (rollout["state"], rollout["step"], rollout["steps"]) == ("running", 1, 5)
    assert rollout["shares"] == {"v1.0.0": 99.0, "v1.1.0": 1.0}
    assert rollout["plan"] == CANARY
    one = f"/{rollout['id']}"
    assert client.get(f"{PREFIX}{one}").json()["data"] == rollout
    assert post(client, f"{one}/pause", {"reason": "lunch"}).json()["data"]["state"] == "paused"
    assert post(client, f"{one}/resume", {}).json()["data"]["state"] == "running"
    assert post(client, f"{one}/advance", {"step": 1}).json()["message"] == "running, step 2 of 5."
    refused(post(client, f"{one}/advance", {"step": 1}), 409, "rollout_refused", "at step 2 by now, not 1")
    promoted = post(client, f"{one}/promote", {"reason": "good", "version": "v1.1.0"}).json()
    assert (promoted["data"]["winner"], promoted["message"]) == ("v1.1.0", "v1.1.0 is the champion.")
    who = "a local caller over HTTP"
    assert decided(home) == [
        ("started", who, "topics"),
        ("paused", who, "lunch"),
        ("resumed", who, ""),
        ("advanced", who, ""),
        ("promoted", who, "good"),
    ]
    deployed = Deployments(home.control_db).current("feed")
    assert deployed is not None
    assert deployed.version == "v1.1.0"
    assert registry.asked == [("v1.1.0", "publish")]


def test_what_holds_it_is_acknowledged(client: AsgiClient, home: Home) -> None:
    """All that holds it, or what is named, with a reason; what does not hold it, or never could, is refused."""
    one = f"/{begun(client)['id']}/acknowledge"
    refused(post(client, one, {"reason": "meant"}), 409, "rollout_refused", "no check holds rollout")
    rollouts = Rollouts(home.control_db)
    checks = {f"{check} v1.1.0": {"says": "beyond", "why": "it differs"} for check in ("scores", "drift")}
    checks["errors v1.1.0"] = {"says": "fine", "why": "none failed"}
    rollouts.judge(rollouts.under_way("feed"), "hold", "look", actor="c", evidence={"checks": checks})
    refused(post(client, one, {}), 422, "missing_field", "reason")
    refused(post(client, one, {"reason": ""}), 422, "invalid_value", "reason")
    refused(post(client, one, {"reason": " "}), 409, "rollout_refused", "reason is empty")
    refused(post(client, one, {"reason": "meant", "checks": ["errors"]}), 422, "invalid_value", "only scores, drift")
    refused(post(client, one, {"reason": "meant", "checks": ["split"]}), 409, "rollout_refused", "scores and drift do")
    first = post(client, one, {"reason": "meant", "checks": ["drift"]}).json()
    assert first["message"] == "drift acknowledged."
    both = post(client, one, {"reason": "another scale"}).json()["data"]
    found = [(each["beyond"]["check"], each["by"], each["reason"]) for each in both["acknowledged"]]
    who = "a local caller over HTTP"
    assert found == [("drift", who, "meant"), ("scores", who, "another scale")]
    assert both["verdict"] == "not_looked_at"
    assert [each[0] for each in decided(home)] == ["started", "judged", "acknowledged", "acknowledged"]
    elsewhere = HERE | {"x-forwarded-for": "10.0.0.1"}
    refused(post(client, one, {"reason": "meant"}, elsewhere), 403, "forbidden")


def test_the_list(client: AsgiClient, home: Home, clock: ManualClock) -> None:
    """Those under way, then those that ended; of a system, or of all; with who acts."""
    first = begun(client)
    assert post(client, f"/{first['id']}/abort", {"reason": "enough"}).json()["data"]["why"] == "enough"
    second = begun(client, versions=["v1.2.0"])
    leases = Leases(home.control_db, clock=clock)
    lease = leases.take(lease_name("feed"), "host-1", 60)
    assert lease is not None
    trouble = Trouble(what="The log burns.", remedy="Put it out.", since=clock.now())
    since = datetime.fromisoformat(second["since"])
    look = Look(at=clock.now(), since=since, verdict="hold", why="No harm is proven.", evidence={"users": 7})
    leases.tell(lease, Note(rollout=second["id"], look=look, trouble=trouble).kept())
    told = client.get(f"{PREFIX}/{second['id']}").json()["data"]
    assert told["trouble"] == msgspec.to_builtins(trouble)
    assert (told["verdict"], told["why"], told["evidence"]) == ("hold", "No harm is proven.", {"users": 7})
    assert told["looked_at"] == msgspec.to_builtins(look.at)
    Deployments(home.control_db).deploy("ads", "v1", actor="test", reason="test")
    Rollouts(home.control_db).start(
        "ads", RolloutPlan(strategy="shadow", versions=("v2",)), actor="test", reason="test"
    )
    told = client.get(f"{PREFIX}?system=feed").json()
    assert told["message"] == "1 under way, 2 in all."
    found = [(each["id"], each["state"], each["controller"]) for each in told["data"]["rollouts"]]
    assert found == [(second["id"], "running", "host-1"), (first["id"], "aborted", None)]
    everything = client.get(PREFIX).json()["data"]["rollouts"]
    assert {each["system"] for each in everything} == {"feed", "ads"}
    assert client.get(f"{PREFIX}?system=none").json()["data"] == {"rollouts": []}
    other = next(each["id"] for each in everything if each["system"] == "ads")
    refused(post(client, f"/{other}/abort", {}), 409, "other_system", "'ads'")


def test_a_version_that_was_never_published(
    client: AsgiClient, home: Home, registry: StandInRegistry, clock: ManualClock
) -> None:
    """The registry publishes it; without one, or where it cannot, it is refused, and nothing has begun."""
    folder = home.artifacts / "v1.3.0"
    write_card(folder, "v1.3.0")
    registry.registered["v1.3.0"] = folder
    registry.error = UserError("its package is damaged.")
    refused(post(client, "", {"plan": CANARY | {"versions": ["v1.3.0"]}}), 409, "version_not_ready", "is damaged")
    registry.error = Unavailable("it does not answer.")
    refused(post(client, "", {"plan": CANARY | {"versions": ["v1.3.0"]}}), 503, "rollouts_unavailable")
    assert decided(home) == []
    registry.error = None
    assert begun(client, versions=["v1.3.0"])["versions"] == ["v1.3.0"]
    assert (home.packages / "feed" / "v1.3.0").is_dir()


@pytest.mark.parametrize(
    ("plan", "status", "code", "word"),
    [
        ({"versions": ["v9"]}, 422, "invalid_value", "no such model"),
        ({"versions": ["../../feed/v1.1.0"]}, 422, "invalid_value", "no such model"),
        ({"versions": ["v1.0.0"]}, 422, "invalid_plan", "is the champion of 'feed' already"),
        ({"versions": ["v1.1.0", "v1.2.0"]}, 422, "invalid_plan", "is for one version, 2 are given"),
        ({"steps": [{"share": 7}, {"share": 3}]}, 422, "invalid_plan", "rising percentages"),
        ({"stepz": []}, 422, "invalid_plan", "has the unknown field 'stepz'. Did you mean 'steps'?"),
        ({"checks": {"metric": {"name": "clik"}}}, 422, "invalid_plan", "checks.metric.name is 'clik'"),
        ({"by": []}, 422, "invalid_plan", "by is []"),
        ({"steps": [{"share": 1, "least_requests": 10**23}, {"share": 100}]}, 422, "invalid_plan", "least_requests"),
        (
            {"overrides": [{"attribute": "a", "values": [1], "variant": "v9"}]},
            422,
            "invalid_plan",
            "the champion, v1.0",
        ),
        ({"audience": {"is": "segment", "name": "staff"}}, 422, "invalid_plan", "'staff' is not declared"),
        ({"audience": {"is": "time", "op": "after", "value": "2024-01-01T00:00:00Z"}}, 422, "invalid_plan", "time"),
        ({"audience": {"is": "matches", "attribute": "a", "pattern": "("}}, 422, "invalid_plan", "("),
        ({"versions": ["v1.4.0"]}, 409, "version_not_ready", "item_ctrr"),
        ({"versions": ["v1.5.0"]}, 409, "version_not_ready", "checksum"),
        ({"versions": ["v1.6.0"]}, 409, "version_not_ready", "retired"),
    ],
)
def test_a_plan_that_is_wrong(
    client: AsgiClient, home: Home, plan: dict[str, Any], status: int, code: str, word: str
) -> None:
    """It is refused in a sentence, and nothing has begun."""
    for version, features, fault in (("v1.4.0", ("item_ctrr",), ""), ("v1.5.0", FEATURES, "load")):
        write_card(publish_line_package(home, "feed", version, features, fault=fault), version)
    publish_model(home, "v1.6.0")
    ModelRecords(home.control_db).retire("feed", "v1.6.0", actor="test")
    refused(post(client, "", {"plan": CANARY | plan}), status, code, word)
    assert decided(home) == []


@pytest.mark.parametrize(
    ("plan", "code"),
    [
        ({"audience": {"is": "matches", "attribute": "a", "pattern": "(("}}, "invalid_plan"),
        ({"overrides": [{"attribute": "user_id", "values": [7], "variant": "v9"}]}, "invalid_plan"),
        ({"versions": ["v1.0.0"]}, "invalid_plan"),
        ({"checks": {"metric": {"name": "clik"}}}, "invalid_plan"),
        ({"strategy": "ab", "versions": ["v1.1.0", "v9"]}, "invalid_value"),
    ],
)
def test_what_is_cheap_to_tell_is_told_first(
    client: AsgiClient, monkeypatch: pytest.MonkeyPatch, plan: dict[str, Any], code: str
) -> None:
    """No package is verified for a plan that is wrong anyhow."""

    def verified(*_: object) -> None:
        raise AssertionError("a package was verified")

    monkeypatch.setattr("orita.serving.rollouts.deciding.load_beside_requests", verified)
    refused(post(client, "", {"plan": CANARY | plan}), 422, code)


def test_a_shadow_is_not_promoted(client: AsgiClient, home: Home) -> None:
    """Nobody has seen its answers: the sentence has the command that lets some see them."""
    shadow = begun(client, strategy="shadow")
    answer = post(client, f"/{shadow['id']}/promote", {"version": "v1.1.0"})
    refused(answer, 409, "rollout_refused", "is a shadow", "orita deploy v1.1.0 --strategy canary")
    refused(post(client, f"/{shadow['id']}/advance", {}), 409, "rollout_refused", "has no steps")
    assert [each[0] for each in decided(home)] == ["started"]


def test_an_audience_by_segment(client: AsgiClient, home: Home) -> None:
    """Segments are those that flags declare."""
    staff = FlagFile(segments={"staff": EndsWith(attribute="mail", values=("@example.com",))})
    Flags(home.control_db).declare(staff, actor="test", reason="test")
    rollout = begun(client, strategy="segment", audience={"is": "segment", "name": "staff"})
    assert rollout["plan"]["audience"] == {"is": "segment", "name": "staff"}


def test_a_decision_that_cannot_be_made(client: AsgiClient, home: Home) -> None:
    """It is refused with what is so now, and is no event."""
    first = begun(client)
    one = f"/{first['id']}"
    refused(post(client, "", {"plan": CANARY}), 409, "rollout_under_way", first["id"])
    refused(post(client, f"{one}/resume", {}), 409, "rollout_refused", "is running, not paused")
    refused(post(client, f"{one}/promote", {"version": "v7"}), 409, "rollout_refused", "allowed are v1.1.0")
    refused(post(client, f"{one}/pause", {"version": "v7"}), 422, "unknown_field", "version")
    refused(post(client, f"{one}/pause", {"reason": 7}), 422, "invalid_value", "reason")
    refused(post(client, "/nothing/pause", {}), 404, "rollout_not_found", "GET /api/v1/rollouts")
    refused(post(client, f"/{first['id'][:13]}/pause", {}), 404, "rollout_not_found")
    assert [each[0] for each in decided(home)] == ["started"]
    post(client, f"{one}/pause", {})
    refused(post(client, f"{one}/advance", {}), 409, "rollout_refused", "is paused", "resume it first")
    post(client, f"{one}/abort", {})
    refused(post(client, f"{one}/abort", {}), 409, "rollout_refused", "it is aborted since")
    refused(post(client, f"{one}/advance", {}), 409, "rollout_refused")


def test_who_may(client: AsgiClient, home: Home, clock: ManualClock) -> None:
    """Changes come from this machine; a server that others reach tells nothing unless it is told to."""
    elsewhere = HERE | {"x-forwarded-for": "10.0.0.1"}
    refused(post(client, "", {"plan": CANARY}, elsewhere), 403, "forbidden")
    one = begun(client)["id"]
    refused(post(client, f"/{one}/abort", {}, elsewhere), 403, "forbidden")
    with AsgiClient(model_app(home, clock, None, host="0.0.0.0")) as public:
        refused(public.get(PREFIX), 404, "rollouts_hidden", "serving.expose_models")


def test_other_paths_and_methods(client: AsgiClient) -> None:
    """They are refused in the same form."""
    refused(client.send("DELETE", PREFIX, [], HERE), 405, "method_not_allowed", "GET, HEAD, POST")
    refused(client.get(f"{PREFIX}/a/b/c"), 404, "not_found")
    refused(client.get(f"{PREFIX}/nothing"), 404, "rollout_not_found")
    refused(client.send("POST", PREFIX, [b"{"], HERE, whole=True), 400, "invalid_json")


def test_control_state_that_is_away(client: AsgiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is 503, with when to come again."""

    def away(_: object) -> None:
        raise Unavailable("the database is away.")

    monkeypatch.setattr(Rollouts, "all", away)
    answer = client.get(PREFIX)
    refused(answer, 503, "rollouts_unavailable")
    assert answer.headers["retry-after"] == "1"
