"""From logs to looks, for guardrails and drift: windows and columns in one pass, values once, features of a sample."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.delivery.rollouts.answering import LogOfServers

from orita.control.deployments import Deployments
from orita.core.clock import ManualClock, to_micros
from orita.core.home import Home
from orita.delivery.rollouts import (
    Checks,
    DriftCheck,
    GuardrailCheck,
    MetricCheck,
    Rollout,
    RolloutPlan,
    Rollouts,
    Step,
    feature_sample,
)
from orita.delivery.rollouts.evidence import Evidence
from orita.delivery.rollouts.looks import FirstItems, Look, MetricCounts, stages_of
from orita.events.lake import Lake
from orita.events.log.embedded import EmbeddedLog
from orita.events.prediction_segment import ScoredRequest

MICROS = pa.timestamp("us", tz="UTC")
NAMES = ("age", "item_ctr")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Return an empty home."""
    return Home(tmp_path)


@pytest.fixture
def clock() -> ManualClock:
    """Return the time: that of the file system, by which old files are told."""
    return ManualClock(datetime.now(UTC))


def begun(home: Home, clock: ManualClock, **checks: Any) -> Rollout:
    """Return a canary of b against a that has begun, at 20 %."""
    Deployments(home.control, clock=clock).deploy("feed", "a", actor="ann", reason="")
    plan = RolloutPlan(strategy="canary", versions=("b",), steps=(Step(20), Step(100)), checks=Checks(**checks))
    return Rollouts(home.control, clock=clock).start("feed", plan, actor="ann", reason="")


def looks_of(home: Home, rollout: Rollout, clock: ManualClock) -> list[Look]:
    """Return all looks so far, as a controller that begins now sees them."""
    stages = stages_of(Rollouts(home.control).history("feed"), rollout.id)
    return list(Evidence(home, rollout, EmbeddedLog(home)).looks(stages, clock.now()))


def answer(
    rollout: Rollout, second: float, user: int, *, version: str = "b", items: int = 2, **changed: Any
) -> ScoredRequest:
    """Return an answer of some items, the last of them ranked first."""
    at = to_micros(rollout.started_at + timedelta(seconds=second))
    given: dict[str, Any] = {
        "at_micros": at,
        "as_of_micros": at,
        "request_id": f"r{user}",
        "salt": user,
        "user_id": user,
        "item_ids": [10 + n for n in range(items)],
        "latency_ms": 5.0,
        "scores": np.arange(items, dtype=np.float32).tobytes(),
        "ranks": np.arange(items, 0, -1, dtype=np.int32).tobytes(),
        "features": b"",
        "rollout": rollout.id,
        "variant": version,
    }
    return ScoredRequest(**(given | changed))


def events(rollout: Rollout, *rows: tuple[int, int, float, float, int]) -> pa.Table:
    """Return events: user, item, seconds since the rollout began, price, click."""
    users, items, seconds, prices, clicks = zip(*rows, strict=True)
    return pa.table(
        {
            "interaction_id": [f"{n}" for n in range(len(rows))],
            "user_id": pa.array(users, pa.int64()),
            "item_id": pa.array(items, pa.int64()),
            "timestamp": pa.array([rollout.started_at + timedelta(seconds=each) for each in seconds], MICROS),
            "price": pa.array(prices, pa.float64()),
            "click": pa.array(clicks, pa.int8()),
            "request_id": [f"r{user}" for user in users],
        }
    )


def counted(looks: Sequence[Look], name: str) -> MetricCounts:
    """Return the sums of a guardrail over all looks, of the challenger."""
    batches = [batch for look in looks for batch in look.guardrails.get(name, ())]
    return sum((batch.counts["b"] for batch in batches if "b" in batch.counts), MetricCounts())


def test_values_add_up_and_each_event_counts_once(home: Home, clock: ManualClock) -> None:
    """Of two items three purchases, one of them sent twice, and in the table besides; what is owed is no value."""
    mean = GuardrailCheck(name="price", kind="mean", window_seconds=5)
    rollout = begun(home, clock, metric=None, guardrails=(mean, GuardrailCheck(name="click", window_seconds=5)))
    LogOfServers(home).write([answer(rollout, 0.5, 1), answer(rollout, 0.6, 2)])
    log = EmbeddedLog(home, clock)
    log.create("interactions", 1)
    of_10 = (1, 10, 1.0, 7.5, 1), (1, 10, 2.0, 2.5, 0)
    bought = events(rollout, *of_10, (1, 11, 2.0, 1.0, 1), (1, 11, 3.0, -4.0, 0), (1, 11, 4.0, 0.0, 1))
    clock.advance(timedelta(seconds=4))
    log.append("interactions", bought, key=["user_id"])
    log.append("interactions", bought.slice(0, 1), key=["user_id"])
    at = pa.array([clock.now()] * len(bought), MICROS)
    Lake(home).append("interactions", bought.append_column("ingested_at", at))
    clock.advance(timedelta(seconds=20))
    looks = looks_of(home, rollout, clock)
    price, click = counted(looks, "price"), counted(looks, "click")
    assert (price.users, price.shown, price.outcomes, price.squares) == (2, 4, 11.0, 121.0)
    assert (click.users, click.shown, click.outcomes) == (2, 4, 2)


def test_each_check_has_its_window_and_places(home: Home, clock: ManualClock) -> None:
    """The metric is known after two seconds, a guardrail after eight; one counts the first item only."""
    guardrails = (
        GuardrailCheck(name="price", kind="mean", window_seconds=8),
        GuardrailCheck(name="click", window_seconds=2, top=1),
    )
    rollout = begun(home, clock, metric=MetricCheck(window_seconds=2), guardrails=guardrails)
    LogOfServers(home).write([answer(rollout, 0.5, 1)])
    log = EmbeddedLog(home, clock)
    log.create("interactions", 1)
    clock.advance(timedelta(seconds=6))
    log.append("interactions", events(rollout, (1, 10, 1.0, 1.0, 1), (1, 11, 5.0, 3.0, 0)), key=["user_id"])
    clock.advance(timedelta(seconds=20))
    looks = looks_of(home, rollout, clock)
    began = rollout.started_at
    assert [look.at for look in looks if look.metric] == [began + timedelta(seconds=1 + 2 + 10)]
    assert [look.at for look in looks if "price" in look.guardrails] == [began + timedelta(seconds=1 + 8 + 10)]
    assert counted(looks, "price").outcomes == 4.0
    assert sum(look.metric[0].counts["b"].outcomes for look in looks if look.metric) == 1
    assert (counted(looks, "click").shown, counted(looks, "click").outcomes) == (1, 0)


def features(random: np.random.Generator, items: int) -> bytes:
    """Return features of an answer's items: an age, missing for some users, and what differs between items."""
    x_NF = random.normal(size=(items, 2)).astype(np.float32)
    x_NF[:, 0] = np.nan if random.random() < 0.2 else x_NF[0, 0]
    return x_NF.tobytes()


def given(looks: Sequence[Look], version: str) -> list[FirstItems]:
    """Return the features of a version in each look."""
    found = [look.guards[version].features for look in looks if version in look.guards]
    return [each for each in found if each is not None]


def test_features_are_those_of_the_item_ranked_first(home: Home, clock: ManualClock) -> None:
    """In segments and in Parquet; answers that something stood in for have none, and it is seen what differs."""
    rollout, random = begun(home, clock, metric=None), np.random.default_rng(0)
    log = LogOfServers(home, features=NAMES)
    answers = [answer(rollout, n / 20, n, items=3, features=features(random, 3)) for n in range(40)]
    answers += [answer(rollout, 2.5, 100, level=2), answer(rollout, 2.6, 101, features=b"")]
    log.write(answers)
    clock.advance(timedelta(seconds=10))
    before = looks_of(home, rollout, clock)
    log.rotate()
    after = looks_of(home, rollout, clock)
    third = [np.frombuffer(each.features, np.float32).reshape(3, 2)[2] for each in answers[:40]]
    expected = np.array([*third, np.full(2, np.nan)], np.float32)  # a model's answer of which all is missing counts
    for looks in (before, after):
        x_UF = np.concatenate([each.x_UF for each in given(looks, "b")])
        assert np.array_equal(x_UF[np.lexsort(x_UF.T)], expected[np.lexsort(expected.T)], equal_nan=True)
        assert {each.names for each in given(looks, "b")} == {NAMES}
        assert np.any([each.varies_F for each in given(looks, "b")], axis=0).tolist() == [False, True]
    assert [len(each.x_UF) for each in given(before, "b")] == [len(each.x_UF) for each in given(after, "b")]


def test_features_are_kept_of_a_sample(home: Home, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of so many a second, or some times as many, whoever reads it."""
    monkeypatch.setattr(feature_sample, "_KEPT_A_SECOND", 10)
    rollout, random = begun(home, clock, metric=None, drift=DriftCheck()), np.random.default_rng(0)
    log = LogOfServers(home, features=NAMES)
    log.write([answer(rollout, n / 200, n, features=features(random, 2)) for n in range(2000)])
    clock.advance(timedelta(seconds=20))
    kept = [len(each.x_UF) for each in given(looks_of(home, rollout, clock), "b")]
    assert 40 < sum(kept[1:]) < 600  # of 1,800
    log.rotate()
    assert [len(each.x_UF) for each in given(looks_of(home, rollout, clock), "b")] == kept


def test_without_the_check_no_features_are_read(home: Home, clock: ManualClock) -> None:
    """Answers count all the same."""
    rollout, random = begun(home, clock, metric=None, drift=None), np.random.default_rng(0)
    LogOfServers(home, features=NAMES).write([answer(rollout, 0.5, n, features=features(random, 2)) for n in range(9)])
    clock.advance(timedelta(seconds=5))
    looks = looks_of(home, rollout, clock)
    assert (sum(look.answered["b"] for look in looks), given(looks, "b")) == (9, [])


def test_a_column_that_no_event_has_is_named_by_its_check(home: Home, clock: ManualClock) -> None:
    """The others go on."""
    rollout = begun(home, clock, metric=None, guardrails=(GuardrailCheck(name="click"), GuardrailCheck(name="prise")))
    log = EmbeddedLog(home, clock)
    log.create("interactions", 1)
    log.append("interactions", events(rollout, (1, 10, 0.0, 1.0, 1)), key=["user_id"])
    clock.advance(timedelta(seconds=5))
    evidence = Evidence(home, rollout, log)
    list(evidence.looks(stages_of(Rollouts(home.control).history("feed"), rollout.id), clock.now()))
    trouble = evidence.trouble(clock.now())
    assert trouble is not None
    assert "'prise' of checks.guardrails[1].name" in trouble.what
    assert "'price'" in trouble.what
