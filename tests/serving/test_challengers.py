"""Requests go where the rollout under way says, and the log says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any

import pytest
from starlette.applications import Starlette

from orita.control.deployments import Deployments
from orita.core.clock import ManualClock
from orita.core.home import Home
from orita.delivery.assignment.hashing import fraction
from orita.delivery.assignment.overrides import Override
from orita.delivery.flags import read_flags
from orita.delivery.rollouts import Rollout, RolloutPlan, Rollouts
from orita.events.predictions import prediction_log
from orita.features.stores.store import StoreAway
from orita.serving.models.champion import ChampionFollower
from orita.serving.predict.requests import Asked
from orita.serving.service import Service
from orita.testing.asgi import AsgiClient
from orita.testing.serving import HashedFeatures, HashedReader, publish_line_package

USERS = range(200)
NUMBERS = count()
WHO: dict[str, Any] = {"actor": "test", "reason": "test"}


@pytest.fixture
def rollouts(home: Home, clock: ManualClock) -> Rollouts:
    """The rollouts of the home."""
    return Rollouts(home.control, clock=clock)


@pytest.fixture
def served(make_app: Callable[..., Starlette], deploy: Callable[..., None], home: Home) -> Iterator[AsgiClient]:
    """A running app with ``v1.0.0`` deployed, and ``v1.1.0`` published."""
    deploy("v1.0.0")
    publish_line_package(home, "feed", "v1.1.0", ("item_ctr",))
    with AsgiClient(make_app(reload_seconds=1)) as client:
        yield client


def follower(client: AsgiClient) -> ChampionFollower:
    """Return what follows the deployment."""
    service: Service = client.app.state.service  # type: ignore[attr-defined]
    return service.follower


def canary(rollouts: Rollouts, share: float = 25, **given: Any) -> Rollout:
    """Begin an A/B test of ``v1.1.0`` with so much of the traffic."""
    plan = RolloutPlan(strategy="ab", versions=("v1.1.0",), shares=(share,), **given)
    return rollouts.start("feed", plan, **WHO)


def asked(client: AsgiClient, user: int | str, headers: dict[str, str] | None = None, **context: Any) -> str:
    """Return the version that answers a user."""
    body: dict[str, Any] = {"user_id": user, "item_ids": [1, 2, 3]}
    if context:
        body["context"] = context
    given = {"x-request-id": f"r{next(NUMBERS):06}", **(headers or {})}
    answer = client.post("/predict", json=body, headers=given)
    assert answer.status == 200, answer.text
    return str(answer.json()["model_version"])


def logged(
    client: AsgiClient, home: Home, columns: Sequence[str] = ("user_id", "model_version", "rollout", "variant")
) -> list[tuple[Any, ...]]:
    """Return user, version, rollout and variant, or *columns*, of each answer in the log, in the order asked."""
    service: Service = client.app.state.service  # type: ignore[attr-defined]
    assert service.log.flush()
    rows = prediction_log(home, columns=[*columns, "rank", "request_id"]).sort_by("request_id").to_pylist()
    return [tuple(row[name] for name in columns) for row in rows if row["rank"] == 1]


def test_users_are_split_by_the_documented_dice(served: AsgiClient, rollouts: Rollouts, home: Home) -> None:
    """Who gets the challenger is who the hash says, at each share; who has it keeps it; each row of the log says it."""
    rollout = canary(rollouts, 25)
    follower(served).look()
    before = {user: asked(served, user) for user in USERS}
    wanted = {user: "v1.1.0" if fraction(rollout.salt, user) < 0.25 else "v1.0.0" for user in USERS}
    assert before == wanted
    assert 20 < sum(version == "v1.1.0" for version in before.values()) < 80
    rows = logged(served, home)
    assert rows == [(str(user), version, rollout.id, version) for user, version in before.items()]
    counted = served.get("/metrics", headers={"accept": "text/plain"}).text
    challenger = sum(version == "v1.1.0" for version in before.values())
    assert f'rollout_requests_total{{version="v1.1.0"}} {challenger:.1f}' in counted
    rollouts.reweigh(rollout, {"v1.1.0": 60.0}, **WHO)
    follower(served).look()
    after = {user: asked(served, user) for user in USERS}
    assert after == {user: "v1.1.0" if fraction(rollout.salt, user) < 0.60 else "v1.0.0" for user in USERS}


def test_each_answer_says_by_which_split_it_was_routed(served: AsgiClient, rollouts: Rollouts, home: Home) -> None:
    """By when that began, as the server knew it; one that has not heard of another goes on with it. Overrides: none."""
    rollout = canary(rollouts, 25, overrides=(Override(attribute="user_id", values=(7,), variant="v1.1.0"),))
    follower(served).look()
    asked(served, 1)
    asked(served, 7)
    moved = Rollouts(home.control).reweigh(rollout, {"v1.1.0": 60.0}, **WHO)
    asked(served, 2)
    follower(served).look()
    asked(served, 2)
    assert moved.since > rollout.since
    rows = logged(served, home, ["rollout", "split_since"])
    began = [(rollout.id, since) for since in (rollout.since, rollout.since, moved.since)]
    assert rows == [began[0], (None, None), *began[1:]]


def test_without_a_rollout_the_log_has_no_variant(served: AsgiClient, rollouts: Rollouts, home: Home) -> None:
    """Before a rollout, and once it was aborted, everybody gets the champion and nothing is said of variants."""
    asked(served, 1)
    rollout = canary(rollouts, 100)
    follower(served).look()
    assert asked(served, 1) == "v1.1.0"
    rollouts.abort("feed", **WHO)
    follower(served).look()
    assert asked(served, 1) == "v1.0.0"
    told = [("v1.0.0", None, None), ("v1.1.0", rollout.id, "v1.1.0"), ("v1.0.0", None, None)]
    assert [row[1:] for row in logged(served, home)] == told


def test_a_promoted_challenger_answers_without_being_loaded_again(
    served: AsgiClient, rollouts: Rollouts, home: Home
) -> None:
    """Promotion makes the loaded challenger the champion; no request between sees the one of before."""
    canary(rollouts, 100)
    follower(served).look()
    assert follower(served).champion is not None
    promoted = rollouts.promote("feed", **WHO)
    assert promoted.winner == "v1.1.0"
    assert asked(served, 1) == "v1.1.0"
    publish_line_package(home, "feed", "v1.1.0", ("item_ctr",), fault="load")
    follower(served).look()
    champion = follower(served).champion
    assert champion is not None
    assert (champion.package.version, champion.sequence, follower(served).failure) == ("v1.1.0", 2, None)
    assert asked(served, 1) == "v1.1.0"


def test_overrides_by_user_device_and_header(served: AsgiClient, rollouts: Rollouts, home: Home) -> None:
    """Whoever is named gets the version whatever the dice say, and takes no part in comparisons."""
    overrides = (
        Override(attribute="user_id", values=(7,), variant="v1.1.0"),
        Override(attribute="device", values=("tablet",), variant="v1.1.0"),
        Override(attribute="header.X-Orita-Variant", values=("next",), variant="v1.1.0"),
    )
    canary(rollouts, 0, overrides=overrides)
    follower(served).look()
    assert [asked(served, user) for user in (7, 8)] == ["v1.1.0", "v1.0.0"]
    assert [asked(served, 8, device=device) for device in ("tablet", "mobile")] == ["v1.1.0", "v1.0.0"]
    assert asked(served, 8, {"x-orita-variant": "next"}) == "v1.1.0"
    assert asked(served, 8, {"x-orita-variant": "other"}) == "v1.0.0"
    assert asked(served, 8, attributes={"header.X-Orita-Variant": "next"}) == "v1.0.0"  # a body is no header
    rollouts_of = [(row[1], row[2] is None) for row in logged(served, home)]
    assert rollouts_of == [
        ("v1.1.0", True),
        ("v1.0.0", False),
        ("v1.1.0", True),
        ("v1.0.0", False),
        ("v1.1.0", True),
        ("v1.0.0", False),
        ("v1.0.0", False),
    ]


def test_an_audience_and_a_unit_of_ones_own(served: AsgiClient, rollouts: Rollouts, home: Home) -> None:
    """Attributes of the context say who is meant and who is kept together; no feature sees them."""
    text = "segments: {nordic: {is: in, attribute: country, values: [SE, NO]}}\nflags: []"
    audience = read_flags(text, "yaml").segments["nordic"]
    rollout = canary(rollouts, 50, audience=audience, by=("session",))
    follower(served).look()
    for session in map(str, range(40)):
        version = "v1.1.0" if fraction(rollout.salt, session) < 0.5 else "v1.0.0"
        found = {asked(served, user, attributes={"country": "SE", "session": session}) for user in (1, 2)}
        assert found == {version}
    assert asked(served, 1, attributes={"country": "NG", "session": "3"}) == "v1.0.0"
    assert asked(served, 1, attributes={"country": "SE"}) == "v1.0.0"
    assert [row[2] for row in logged(served, home)[-2:]] == [None, None]


def test_attributes_are_bounded(served: AsgiClient) -> None:
    """What is no attribute is refused with a sentence."""
    for wrong in ({"a": [1]}, {str(number): 1 for number in range(33)}, 5):
        body = {"user_id": 1, "item_ids": [1], "context": {"attributes": wrong}}
        answer = served.post("/predict", json=body)
        assert answer.status == 422
        assert "context.attributes" in answer.text


def test_a_challenger_that_does_not_load(served: AsgiClient, rollouts: Rollouts, home: Home) -> None:
    """Its requests are answered by the champion, and the log says whose they were: it counts as its failures."""
    publish_line_package(home, "feed", "v1.1.0", ("item_ctr",), fault="load")
    rollout = canary(rollouts, 100)
    follower(served).look()
    assert asked(served, 1) == "v1.0.0"
    assert logged(served, home) == [("1", "v1.0.0", rollout.id, "v1.1.0")]
    publish_line_package(home, "feed", "v1.1.0", ("item_ctr",))
    for _ in range(12):
        follower(served).look()
    assert asked(served, 1) == "v1.1.0"


def test_nobody_takes_part_before_all_are_loaded(served: AsgiClient, rollouts: Rollouts, home: Home) -> None:
    """While one of two challengers is loaded and the other is not yet, no answer is compared with another."""
    publish_line_package(home, "feed", "v1.2.0", ("item_ctr",))
    plan = RolloutPlan(strategy="ab", versions=("v1.1.0", "v1.2.0"), shares=(40, 40))
    rollout = rollouts.start("feed", plan, **WHO)
    follower(served).look()
    before = {user: asked(served, user) for user in range(30)}
    assert set(before.values()) == {"v1.0.0", "v1.1.0"}
    follower(served).look()
    after = {user: asked(served, user) for user in range(30)}
    assert set(after.values()) == {"v1.0.0", "v1.1.0", "v1.2.0"}
    assert all(after[user] == version for user, version in before.items() if version == "v1.1.0")
    taking_part = [row[2] for row in logged(served, home)]
    assert taking_part == [None] * 30 + [rollout.id] * 30


def test_another_version_is_deployed_by_hand(
    served: AsgiClient, rollouts: Rollouts, deploy: Callable[..., None], home: Home
) -> None:
    """The rollout compares with a champion that answers no more: everybody gets what was deployed."""
    canary(rollouts, 100)
    follower(served).look()
    deploy("v1.2.0")
    follower(served).look()
    assert asked(served, 1) == "v1.2.0"
    assert logged(served, home)[-1][2:] == (None, None)
    Deployments(home.control_db).rollback("feed", **WHO)
    follower(served).look()
    assert asked(served, 1) == "v1.1.0"


def test_who_asks_for_the_deployed_model_gets_it(served: AsgiClient, rollouts: Rollouts) -> None:
    """A question to the champion, as of ``/api/v1/models/{id}/predict``, is not routed."""
    canary(rollouts, 100)
    follower(served).look()
    service: Service = served.app.state.service  # type: ignore[attr-defined]
    one = Asked(1, [2], {}, None)
    assert service.predictor.question(one).model.package.version == "v1.1.0"
    assert service.predictor.question_to_champion(one).model.package.version == "v1.0.0"


def test_control_state_that_cannot_be_read(
    served: AsgiClient, rollouts: Rollouts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rollout of before goes on, and what changed is taken up as soon as it can be read."""
    canary(rollouts, 100)
    follower(served).look()
    rollouts.abort("feed", **WHO)

    def broken(*_: object) -> None:
        raise OSError("disk on fire")

    with monkeypatch.context() as patch:
        patch.setattr(Rollouts, "current", broken)
        follower(served).look()
    assert asked(served, 1) == "v1.1.0"
    follower(served).look()
    assert asked(served, 1) == "v1.0.0"


@pytest.mark.parametrize("fault", ["nan", "features"])
def test_a_broken_challenger_takes_nothing_from_the_champion(
    make_app: Callable[..., Starlette],
    deploy: Callable[..., None],
    home: Home,
    rollouts: Rollouts,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
) -> None:
    """Half of the users get a model whose every answer fails: theirs are stood in for, all others get level 1."""
    deploy("v1.0.0")
    publish_line_package(home, "feed", "v1.1.0", ("item_ctr",), fault="nan" if fault == "nan" else "")
    matrix = HashedReader.matrix

    def failing(reader: HashedReader, *asked: Any) -> Any:
        if reader.schema.names == ("item_ctr",):
            raise RuntimeError("no such table")
        return matrix(reader, *asked)

    if fault == "features":
        monkeypatch.setattr(HashedReader, "matrix", failing)
    with AsgiClient(make_app(reload_seconds=1)) as client:
        canary(rollouts, 50)
        follower(client).look()
        levels: dict[str, set[int]] = {"v1.0.0": set(), "v1.1.0": set()}
        for user in range(200):
            answer = client.post("/predict", json={"user_id": user, "item_ids": [1, 2, 3]}).json()
            levels[answer["model_version"]].add(answer["level"])
    assert levels["v1.0.0"] == {1}
    assert min(levels["v1.1.0"]) > 1


def test_what_a_challenger_needs_is_away(
    served: AsgiClient, rollouts: Rollouts, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is no failure of its own: nobody takes part until it is back."""
    rollout = canary(rollouts, 100)
    with monkeypatch.context() as patch:
        patch.setattr(HashedFeatures, "reader", _away)
        follower(served).look()
        assert asked(served, 1) == "v1.0.0"
    follower(served).look()
    assert asked(served, 1) == "v1.1.0"
    assert logged(served, home) == [("1", "v1.0.0", None, "v1.0.0"), ("1", "v1.1.0", rollout.id, "v1.1.0")]


def _away(*_: object) -> None:
    raise StoreAway("the store is away")
