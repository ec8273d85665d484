"""``/api/v1/bandits`` over HTTP: picks get better as rewards come, and what they say of their chances is true."""

from __future__ import annotations

import asyncio
import errno
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from starlette.applications import Starlette
from tests.serving.bandits.conftest import BANDITS, Asked

from orita.core.clock import ManualClock
from orita.core.home import Home
from orita.core.ids import uuid7
from orita.delivery.bandits.choices import logged_choices
from orita.delivery.bandits.given import NotKept
from orita.delivery.bandits.kept import Bandits
from orita.delivery.bandits.learner import Learner
from orita.delivery.bandits.records import Rewards
from orita.delivery.bandits.served import ServedBandit
from orita.delivery.bandits.slate import Slate
from orita.delivery.bandits.snapshots import snapshot_file
from orita.events.log.embedded import EmbeddedLog
from orita.serving.access.permissions import permission_of
from orita.serving.bandits import answering
from orita.serving.bandits.writing import RecordWriter
from orita.serving.http.refusal import Refused
from orita.testing.asgi import AsgiClient

QUICK = {"learn_seconds": 0.02}
PATIENCE = 30.0
WRONG_REQUESTS: list[tuple[str, Any, int, str, str]] = [
    ("titel/choose", {}, 404, "bandit_not_found", "Did you mean 'title'?"),
    ("titel/reward", {"decision_id": uuid7(), "rewards": [1]}, 404, "bandit_not_found", "Did you mean 'title'?"),
    ("title/choose", {"k": 4}, 422, "invalid_value", "k 4: must be 1 to 3"),
    ("title/choose", {"k": 0}, 422, "invalid_value", "k has the value 0"),
    ("title/choose", {"arms": ["shrt"]}, 422, "invalid_value", "Did you mean 'short'?"),
    ("title/choose", {"arms": ["short", "short"]}, 422, "invalid_value", "twice"),
    ("title/choose", {"arms": []}, 422, "invalid_value", "arms has the value []"),
    ("title/choose", {"context": {"x": 1}}, 422, "invalid_value", "takes no context"),
    ("layout/choose", {}, 422, "invalid_value", "lacks the feature 'mobile'"),
    ("layout/choose", {"context": {"mobile": 1, "evning": 0}}, 422, "invalid_value", "Did you mean 'evening'?"),
    ("layout/choose", {"context": {"mobile": "1"}}, 422, "invalid_value", "expected float"),
    ("layout/choose", b'{"context": {"mobile": NaN}}', 400, "invalid_json", "context.mobile has the value NaN"),
    ("layout/choose", b'{"context": {"mobile": 1e999}}', 400, "invalid_json", "is beyond ±1.8e308"),
    ("layout/choose", {"context": {"mobile": 1e200, "evening": 1}}, 422, "invalid_value", "1e+200 for the feature"),
    ("title/choose", {"kk": 1}, 422, "unknown_field", "Did you mean 'k'?"),
    ("title/choose", b"{", 400, "invalid_json", "not valid JSON"),
    ("title/choose", b" " * 70_000, 413, "body_too_large", "65536"),
    ("title/reward", {"rewards": [1]}, 422, "missing_field", "decision_id"),
    ("title/reward", {"decision_id": "x", "rewards": [1]}, 422, "invalid_value", "that of the answer to a choice"),
    ("title/reward", {"decision_id": uuid7(), "rewards": []}, 422, "invalid_value", "rewards has none"),
    ("title/reward", {"decision_id": uuid7(), "rewards": [1]}, 422, "invalid_value", "s from now"),
    ("title/reward", {"decision_id": uuid7(), "rewards": {}}, 422, "invalid_value", "rewards has none"),
]
WRONG_REWARDS: list[tuple[Any, int, str]] = [
    (b"[NaN]", 400, "rewards[0] has the value NaN"),
    (b"[1e999]", 400, "is beyond ±1.8e308"),
    ([2], 422, "2 for 'position 1', allowed are finite numbers from 0 to 1"),
    ([-0.1], 422, "-0.1 for 'position 1'"),
    ([None], 422, "expected float"),
    ([1, 1], 422, "1 arms were chosen"),
    ({"other": 1}, 422, "'other', which was not chosen"),
    ("1", 422, "expected object"),
]


@pytest.fixture
def asked(declared: Callable[[str], Bandits], make_app: Callable[..., Starlette]) -> Iterator[Asked]:
    """A server with three bandits."""
    declared(BANDITS)
    with AsgiClient(make_app(bandits=QUICK)) as client:
        yield Asked(client)


def until(holds: Callable[[], bool]) -> None:
    """Wait for what the server does in its own time."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.01)


def learnt(home: Home) -> Learner:
    """Return what the log teaches, read anew."""
    learner = Learner(Bandits(home.control_db), EmbeddedLog(home), snapshot_file(home), snapshot_rows=1_000_000)
    learner.look()
    return learner


def test_it_comes_to_the_better_arm(asked: Asked, home: Home) -> None:
    """Arms that earn 0, 0.2 and 0.9: of the last 40 of 120 picks nearly all are of the best."""
    rates, rng = {"short": 0.0, "long": 0.2, "question": 0.9}, np.random.default_rng(0)
    picked = []
    for number in range(120):
        chosen = asked.choose("title", unit=number)
        arm = chosen["arms"][0]
        picked.append(arm)
        asked.reward("title", chosen["decision_id"], {arm: float(rng.random() < rates[arm])})
        if number == 60:
            until(lambda: asked.choose("title")["state_version"] >= 100)
    assert Counter(picked[-40:])["question"] >= 34
    assert Counter(picked[:20])["question"] < 20
    ledger = learnt(home).ledgers["title"]
    assert {arm: each.rewarded for arm, each in ledger.arms.items()} == Counter(picked)


def test_propensities_are_frequencies(asked: Asked) -> None:
    """Of 200 slates of two among three, each comes as often as it says, within 4.5 standard errors, and is exact."""
    slates = [asked.choose("greedy", k=2, arms=["a", "b", "d"]) for _ in range(200)]
    counts = Counter(tuple(slate["arms"]) for slate in slates)
    chances = {tuple(slate["arms"]): float(np.prod(slate["propensities"])) for slate in slates}
    assert sum(chances.values()) == pytest.approx(1)
    for order, chance in chances.items():
        assert abs(counts[order] / 200 - chance) < 4.5 * np.sqrt(chance * (1 - chance) / 200)
    assert all(slate["errors"] == [0, 0] for slate in slates)


def test_a_context_decides(asked: Asked) -> None:
    """Grid earns on mobile, list elsewhere: after 40 rewards each context has its arm."""
    for number in range(40):
        mobile = number % 2
        chosen = asked.choose("layout", context={"mobile": mobile, "evening": 1 - mobile}, k=2)
        rewards = [float((arm == "grid") == bool(mobile)) for arm in chosen["arms"]]
        asked.reward("layout", chosen["decision_id"], rewards)
    until(lambda: asked.choose("layout", context={"mobile": 1, "evening": 0})["state_version"] >= 80)
    for mobile, best in ((1, "grid"), (0, "list")):
        picked = [asked.choose("layout", context={"mobile": mobile, "evening": 1 - mobile}) for _ in range(20)]
        assert Counter(each["arms"][0] for each in picked)[best] >= 18
        assert all(0 < each["propensities"][0] <= 1 and each["errors"][0] < 1e-6 for each in picked)


def test_rewards_count_once_and_in_any_order(asked: Asked, home: Home) -> None:
    """Told again, by position, by arm, one after the other, and before this worker has read its choice."""
    chosen = asked.choose("greedy", k=3)
    first, second, third = chosen["arms"]
    for rewards in ([2.0], {third: -1.0, first: 5.0}, {second: 0.5}, [2.0, 0.5, -1.0]):
        asked.reward("greedy", chosen["decision_id"], rewards)
    ledger = learnt(home).ledgers["greedy"]
    assert {arm: each.total for arm, each in ledger.arms.items()} == {first: 2.0, second: 0.5, third: -1.0}
    assert ledger.ignored == {"again": 1, "no_open_choice": 3}


def test_all_is_logged_before_it_is_answered(asked: Asked, home: Home) -> None:
    """The log has each choice with what was offered and its chances, as answered, and each reward."""
    chosen = asked.choose("greedy", k=2, arms=["a", "b", "c"], unit=12)
    asked.reward("greedy", chosen["decision_id"], {chosen["arms"][1]: 3})
    rows = logged_choices(EmbeddedLog(home), Bandits(home.control_db).get("greedy").state).to_pylist()
    assert [row["arm"] for row in rows] == chosen["arms"]
    assert [row["propensity"] for row in rows] == chosen["propensities"]
    assert [row["reward"] for row in rows] == [None, 3.0]
    assert {(row["decision"], row["unit"], tuple(row["offered"])) for row in rows} == {
        (chosen["decision_id"], "12", ("a", "b", "c"))
    }


def test_wrong_requests(asked: Asked) -> None:
    """Each is refused in the envelope, with a sentence."""
    for path, body, status, code, sentence in WRONG_REQUESTS:
        found, document = asked.post(path, body)
        assert (found, document["status"], document["code"]) == (status, "error", code), document
        assert sentence in document["message"]


def test_wrong_rewards(asked: Asked, home: Home) -> None:
    """What is no reward of the choice is refused, and not logged."""
    chosen, other = asked.choose("title"), asked.choose("title")
    asked.reward("title", other["decision_id"], [1])
    until(lambda: asked.choose("title")["state_version"] >= 3)  # so it has read the choices
    decision = chosen["decision_id"]
    for rewards, status, sentence in WRONG_REWARDS:
        body: Any = {"decision_id": decision, "rewards": rewards}
        if isinstance(rewards, bytes):
            body = b'{"decision_id": "%s", "rewards": %s}' % (decision.encode(), rewards)
        found, document = asked.post("title/reward", body)
        assert (found, document["status"]) == (status, "error"), document
        assert sentence in document["message"]
    ledger = learnt(home).ledgers["title"]
    assert sum(each.rewarded for each in ledger.arms.values()) == 1
    assert ledger.ignored == {}


def test_a_choice_of_long_ago_takes_no_rewards(asked: Asked) -> None:
    """Its id tells when it was made; what is refused is not logged."""
    old = "01000000-0640-7000-8000-000000000000"
    found, document = asked.post("title/reward", {"decision_id": old, "rewards": [1]})
    assert (found, document["code"]) == (410, "choice_closed")
    assert "86,400 s" in document["message"]


def test_a_choice_that_waits_too_long_takes_no_rewards(asked: Asked, home: Home, clock: ManualClock) -> None:
    """Also where nothing was logged since, so that the bandit still has it."""
    chosen, other = asked.choose("title"), asked.choose("title")
    asked.reward("title", other["decision_id"], [1])
    until(lambda: asked.choose("title")["state_version"] >= 3)
    clock.advance(timedelta(days=1, seconds=1))
    found, document = asked.post("title/reward", {"decision_id": chosen["decision_id"], "rewards": [1]})
    assert (found, document["code"]) == (410, "choice_closed")
    assert learnt(home).ledgers["title"].ignored == {}


def test_a_choice_of_another_bandit_takes_no_rewards(asked: Asked, home: Home) -> None:
    """Whoever mixes them up is told whose it is."""
    chosen = asked.choose("greedy")
    asked.reward("title", asked.choose("title")["decision_id"], [1])
    until(lambda: asked.choose("title")["state_version"] >= 3)
    found, document = asked.post("title/reward", {"decision_id": chosen["decision_id"], "rewards": [1]})
    assert (found, document["code"]) == (422, "invalid_value")
    assert "is of the bandit 'greedy'" in document["message"]
    assert learnt(home).ledgers["title"].ignored == {}


def test_a_choice_that_was_never_given_takes_no_rewards(asked: Asked, home: Home, clock: ManualClock) -> None:
    """However recent its id looks: 404, and nothing is logged; one that was given is taken, also when told again."""
    made_up = uuid7(clock)
    found, document = asked.post("title/reward", {"decision_id": made_up, "rewards": [1]})
    assert (found, document["code"]) == (404, "choice_not_found")
    assert f"{made_up!r} was never given" in document["message"]
    chosen = asked.choose("title")
    other = "greedy/reward", {"decision_id": chosen["decision_id"], "rewards": [1]}
    for _ in range(2):
        asked.reward("title", chosen["decision_id"], [1])
    until(lambda: asked.choose("title")["state_version"] >= 3)
    asked.reward("title", chosen["decision_id"], [1])
    assert asked.post("title/reward", {"decision_id": uuid7(clock), "rewards": [1]})[0] == 404
    found, document = asked.post(*other)  # it waits for no rewards any more, and is not this one's all the same
    assert (found, "is of the bandit 'title'" in document["message"]) == (422, True)
    wrong = {"decision_id": chosen["decision_id"], "rewards": {"other": 1}}
    assert "'other', which was not chosen" in asked.post("title/reward", wrong)[1]["message"]
    assert learnt(home).ledgers["title"].ignored == {"no_open_choice": 2}


def test_a_log_that_cannot_be_read_tells_of_no_choice(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is told that a choice was never given because a disk fails: 503; where rows were deleted it is taken."""
    asked.choose("title")
    chosen = asked.choose("title")
    for error, status in ((OSError(errno.EIO, "Input/output error"), 503), (NotKept(), 202)):

        def fails(*_: object, error: Exception = error) -> None:
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(answering, "given_choice", fails)
            patch.setattr(Learner, "choice", lambda *_: None)
            body = {"decision_id": chosen["decision_id"], "rewards": [1]}
            assert asked.post("title/reward", body)[0] == status


def test_a_choice_that_took_too_long_is_not_given(
    asked: Asked, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that stood still for minutes: the log could not be searched for its id, so nobody gets it."""
    append = EmbeddedLog.append

    def slow(*given: Any, **named: Any) -> Any:
        clock.advance(timedelta(seconds=61))
        return append(*given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(EmbeddedLog, "append", slow)
        found, document = asked.post("title/choose", {})
    assert (found, document["code"]) == (503, "bandit_log_unavailable")
    assert asked.choose("title")["arms"]


def test_long_picks_leave_the_loop_alone(
    declared: Callable[[str], Bandits], make_app: Callable[..., Starlette]
) -> None:
    """What takes a quadrature is computed in a thread, one pick of a bandit at a time, in the order in which they came.

    So a bandit with a seed picks as it did, whoever else is answered meanwhile.
    """
    declared(BANDITS)
    threads: list[int] = []
    slate = ServedBandit.slate

    def noted(bandit: ServedBandit, *given: Any) -> Slate:
        threads.append(threading.get_ident())
        return slate(bandit, *given)

    loop: list[int] = []
    context = ServedBandit.context

    def noting(bandit: ServedBandit, given: Any) -> Any:
        loop.append(threading.get_ident())
        return context(bandit, given)

    picks = []
    for _ in range(2):
        with pytest.MonkeyPatch.context() as patch, AsgiClient(make_app(bandits=QUICK)) as client:
            patch.setattr(ServedBandit, "slate", noted)
            patch.setattr(ServedBandit, "context", noting)
            asked = Asked(client)
            of_layout = [asked.choose("layout", context={"mobile": 1, "evening": 0})["arms"] for _ in range(8)]
            of_titles = [asked.choose("title", k=k)["arms"] for k in (1, 2, 1, 3, 1, 2)]
            picks.append((of_layout, of_titles))
        on_loop = [thread == own for thread, own in zip(threads, loop, strict=True)]
        assert on_loop == [False] * 8 + [True, False, True, False, True, False]
        threads.clear()
        loop.clear()
    assert picks[0] == picks[1]


def test_as_many_long_picks_wait_as_may(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next is refused: 503, ask again; quick picks of other bandits are answered meanwhile."""
    entered, goes_on = threading.Event(), threading.Event()
    slate = ServedBandit.slate

    def waits(bandit: ServedBandit, *given: Any) -> Slate:
        if bandit.declaration.key == "layout":
            entered.set()
            assert goes_on.wait(120)
        return slate(bandit, *given)

    monkeypatch.setattr(ServedBandit, "slate", waits)
    monkeypatch.setattr(answering, "_PICKING", 0)
    body = {"context": {"mobile": 1, "evening": 0}}
    answers: list[int] = []
    first = threading.Thread(target=lambda: answers.append(asked.post("layout/choose", body)[0]))
    first.start()
    try:
        assert entered.wait(120)
        found, document = asked.post("layout/choose", body)
        assert (found, document["code"]) == (503, "bandit_busy")
        assert asked.choose("title")["arms"]
    finally:
        goes_on.set()
        first.join()
    assert answers == [200]


def test_chances_that_are_no_numbers_are_not_answered(
    asked: Asked, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor logged: whoever evaluates would weigh by them."""
    wrong = Slate(("short",), np.array([np.nan]), np.zeros(1))
    monkeypatch.setattr(ServedBandit, "slate", lambda *_: wrong)
    found, document = asked.post("title/choose", {})
    assert (found, document["code"]) == (500, "internal_error")
    assert learnt(home).next == 0


def test_an_empty_body_asks_for_one_arm(asked: Asked) -> None:
    """Nothing needs to be said where a bandit has no features."""
    found, document = asked.post("title/choose", b"")
    assert (found, len(document["data"]["arms"])) == (200, 1)


def test_declared_and_removed_while_it_runs(asked: Asked, declared: Callable[[str], Bandits]) -> None:
    """A new bandit answers within a look or two, one that is removed is not found any more."""
    declared("bandits: [{key: new, policy: {type: ucb1}, arms: [x, y]}]")
    until(lambda: asked.post("new/choose", {})[0] == 200)
    assert asked.post("title/choose", {})[0] == 404


def test_before_anything_was_read(home: Home, make_app: Callable[..., Starlette]) -> None:
    """Nobody is told that there is no bandit while nobody knows: 503."""
    home.root.mkdir(parents=True)
    home.control_db.write_bytes(b"this is no database" * 100)
    with AsgiClient(make_app()) as client:
        found, document = Asked(client).post("title/choose", {})
        assert (found, document["code"]) == (503, "bandits_not_read")


def test_a_log_that_takes_nothing(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be logged is not answered: 503, and once there is room it goes on."""
    append = EmbeddedLog.append

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    asked.choose("title")
    monkeypatch.setattr(EmbeddedLog, "append", full)
    found, document = asked.post("title/choose", {})
    assert (found, document["code"]) == (503, "bandit_log_unavailable")
    monkeypatch.setattr(EmbeddedLog, "append", append)
    asked.choose("title")


def test_as_many_wait_for_the_disk_as_may(home: Home) -> None:
    """One more is told to come back."""
    record, writer = Rewards("title", uuid7(), 0, None, [1.0]), RecordWriter(EmbeddedLog(home), most_waiting=1)

    async def two_at_once() -> None:
        first = asyncio.ensure_future(writer.written(record))
        await asyncio.sleep(0)
        with pytest.raises(Refused, match="too many") as refused:
            await writer.written(record)
        assert (refused.value.code, refused.value.retry_after) == ("bandit_log_full", 1)
        first.cancel()

    asyncio.run(two_at_once())


def test_it_may_be_off(declared: Callable[[str], Bandits], make_app: Callable[..., Starlette]) -> None:
    """Then there is no such path, and nothing is described."""
    declared(BANDITS)
    with AsgiClient(make_app(bandits={"enabled": False})) as client:
        assert Asked(client).post("title/choose", {})[0] == 404
        assert not [path for path in client.get("/openapi.json").json()["paths"] if "bandits" in path]


def test_it_is_counted(asked: Asked) -> None:
    """Choices and rewards of each bandit, for Prometheus."""
    chosen = asked.choose("greedy", k=2)
    asked.reward("greedy", chosen["decision_id"], [1, 2])
    told = asked.client.get("/metrics", {"accept": "text/plain"}).text
    assert 'bandit_choices_total{bandit="greedy"} 1.0' in told
    assert 'bandit_rewards_total{bandit="greedy"} 2.0' in told


def test_it_is_described(asked: Asked) -> None:
    """Paths, answers and errors; who may predict may choose."""
    paths = asked.client.get("/openapi.json").json()["paths"]
    choose = paths["/api/v1/bandits/{key}/choose"]["post"]["responses"]
    reward = paths["/api/v1/bandits/{key}/reward"]["post"]["responses"]
    assert {"200", "400", "404", "413", "422", "500", "503"} <= set(choose)
    assert {"202", "400", "404", "410", "413", "422", "500", "503"} <= set(reward)
    assert permission_of("POST", "/api/v1/bandits/title/choose") == "model:predict"


def test_a_restart_goes_on(home: Home, declared: Callable[[str], Bandits], make_app: Callable[..., Starlette]) -> None:
    """What was learnt is there again, from the snapshot that an orderly stop leaves."""
    declared(BANDITS)
    with AsgiClient(make_app(bandits=QUICK)) as client:
        asked = Asked(client)
        for _ in range(10):
            chosen = asked.choose("title")
            asked.reward("title", chosen["decision_id"], [float(chosen["arms"] == ["long"])])
        until(lambda: asked.choose("title")["state_version"] >= 20)
    assert snapshot_file(home).exists()
    with AsgiClient(make_app(bandits=QUICK)) as client:
        assert Asked(client).choose("title")["state_version"] >= 20
