"""From logs to looks: each answer once, each outcome to its item, the same after a death as before."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs
from tests.delivery.rollouts.answering import ITEMS, Behaviour, LogOfServers, World, requests_of

from orita.control.deployments import Deployments
from orita.control.leases import LeaseLost
from orita.core.clock import ManualClock, to_micros
from orita.core.home import Home
from orita.core.ids import uuid7
from orita.delivery.rollouts import Checks, MetricCheck, Rollout, RolloutPlan, Rollouts, Step, shown_items
from orita.delivery.rollouts.analysis import Analysis
from orita.delivery.rollouts.evidence import PERIOD_SECONDS, Evidence
from orita.delivery.rollouts.looks import Look, MetricCounts, Stage, stages_of
from orita.delivery.rollouts.seen_users import CountedInPeriod, CountedInStep
from orita.events.lake import Lake
from orita.events.log.embedded import EmbeddedLog
from orita.events.prediction_files import convert_segment, segment_folder
from orita.events.prediction_segment import ScoredRequest, SegmentHeader, encode_frame, encode_header

WINDOW, GRACE = 4.0, 10.0


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Return an empty home."""
    return Home(tmp_path)


@pytest.fixture
def clock() -> ManualClock:
    """Return the time: that of the file system, by which old files are told."""
    return ManualClock(datetime.now(UTC))


@pytest.fixture
def rollout(home: Home, clock: ManualClock) -> Rollout:
    """Return a canary of b against a that has begun, at 20 %."""
    Deployments(home.control, clock=clock).deploy("feed", "a", actor="ann", reason="")
    checks = Checks(metric=MetricCheck(window_seconds=WINDOW))
    plan = RolloutPlan(strategy="canary", versions=("b",), steps=(Step(20), Step(60), Step(100)), checks=checks)
    return Rollouts(home.control, clock=clock).start("feed", plan, actor="ann", reason="")


@pytest.fixture
def world(home: Home, clock: ManualClock) -> World:
    """Return users of both versions."""
    return World(home, clock, {"a": Behaviour(click=0.2), "b": Behaviour(click=0.4, failing=0.1)}, per_second=100)


def stages(home: Home, rollout: Rollout) -> list[Stage]:
    """Return the stages so far."""
    return stages_of(Rollouts(home.control).history("feed"), rollout.id)


def looks_of(home: Home, rollout: Rollout, world: World) -> list[Look]:
    """Return all looks so far, as a controller that begins now sees them."""
    return list(Evidence(home, rollout, world.events).looks(stages(home, rollout), world.clock.now()))


def metric_of(looks: Sequence[Look], version: str) -> MetricCounts:
    """Return the sums of all batches."""
    counts = [batch.counts[version] for look in looks for batch in look.metric if version in batch.counts]
    return sum(counts, MetricCounts())


def answered(looks: Sequence[Look]) -> int:
    """Return how many answers were counted."""
    return sum(sum(look.answered.values()) for look in looks)


def test_each_answer_counts_once(home: Home, rollout: Rollout, world: World) -> None:
    """While a segment grows, becomes Parquet, and another begins; two servers write at the same time."""
    evidence = Evidence(home, rollout, world.events)
    looks: list[Look] = []
    for second in range(12):
        world.second(rollout)
        if second % 4 == 3:
            world.answers.rotate()
        looks += evidence.looks(stages(home, rollout), world.clock.now())
    assert len(looks) == 11  # the last second has not settled
    failed = sum(int(counts.failed_U.sum()) for look in looks for counts in look.guards.values())
    assert answered(looks) == 11 * 100 - failed
    assert [look.at for look in looks] == [rollout.started_at + timedelta(seconds=n) for n in range(1, 12)]
    guards = [counts for look in looks for version, counts in look.guards.items() if version == "b"]
    failing = np.concatenate([counts.failed_U for counts in guards])
    scores = np.concatenate([counts.score_U for counts in guards])
    assert 0 < failing.mean() < 0.3
    assert (np.isnan(scores) == failing).all()


def test_another_version_that_stands_in_is_a_failure(home: Home, rollout: Rollout, world: World) -> None:
    """A challenger that a server cannot load is answered for by the champion: the log has both names."""
    at = world.clock.now()
    answers = list(requests_of(rollout, at, range(100), {name: Behaviour() for name in "ab"}, np.random.default_rng(1)))
    chosen = [each for each in answers if each.variant == "b"]
    path = segment_folder(home) / f"{at.date()}-{uuid7(world.clock)}.wal"
    path.parent.mkdir(parents=True, exist_ok=True)
    header = SegmentHeader(path.stem, at.date(), "feed", "a", ())
    path.write_bytes(encode_header(header) + b"".join(map(encode_frame, chosen)))
    evidence = Evidence(home, rollout, world.events)
    world.clock.advance(timedelta(seconds=3))
    for convert in (False, True):
        if convert:
            convert_segment(home, path)
            evidence = Evidence(home, rollout, world.events)
        looks = list(evidence.looks(stages(home, rollout), world.clock.now()))
        failing = np.concatenate([look.guards["b"].failed_U for look in looks if "b" in look.guards])
        assert len(failing) == len(chosen) > 5
        assert failing.all()
        assert answered(looks) == 0


def test_a_controller_that_died_comes_to_the_same(home: Home, rollout: Rollout, world: World) -> None:
    """Look by look, whether files were segments or Parquet, through a change of step; so verdict and evidence."""
    rollouts = Rollouts(home.control, clock=world.clock)
    evidence, now = Evidence(home, rollout, world.events), rollout
    looks: list[Look] = []
    for second in range(30):
        if second == 12:
            now = rollouts.advance(now, actor="ann", reason="")
        world.second(now)
        if second in (5, 13, 28):
            world.answers.rotate()
        looks += evidence.looks(stages(home, rollout), world.clock.now())
    replayed = looks_of(home, rollout, world)
    assert len(replayed) == len(looks) == 29
    verdicts = []
    for each in (looks, replayed):
        analysis = Analysis(rollout.plan, "a")
        for look in each:
            analysis.take(look)
        verdicts.append(analysis.judge(now, world.clock.now()))
    assert verdicts[0] == verdicts[1]
    assert verdicts[0].checks[-1].evidence["champion_users"] > 100
    assert [look.answered for look in looks] == [look.answered for look in replayed]
    assert [look.metric for look in looks] == [look.metric for look in replayed]
    assert {look.stage.number for look in looks} == {0, 1}


def test_outcomes_find_their_items(home: Home, rollout: Rollout, world: World) -> None:
    """A user's outcome is known when window and grace are over, and is the rate that users click at."""
    for _ in range(int(WINDOW + GRACE) + 3):
        world.second(rollout)
    looks = looks_of(home, rollout, world)
    first = next(place for place, look in enumerate(looks) if look.metric)
    assert looks[first].at == rollout.started_at + timedelta(seconds=1 + WINDOW + GRACE)
    control, treated = metric_of(looks, "a"), metric_of(looks, "b")
    assert control.users + treated.users == 100 * 2
    assert control.shown + treated.shown == 100 * 2 * ITEMS
    assert control.rate == pytest.approx(0.2, abs=0.08)
    assert treated.rate == pytest.approx(0.4, abs=0.16)


def one_answer(of: Rollout, at: datetime, *, user: int = 1, request: str = "r1", **changed: object) -> ScoredRequest:
    """Return an answer of two items, the second of them ranked first."""
    given: dict[str, Any] = {
        "at_micros": to_micros(at),
        "as_of_micros": to_micros(at),
        "request_id": request,
        "salt": user,
        "user_id": user,
        "item_ids": [10, 11],
        "latency_ms": 5.0,
        "scores": np.array([0.1, 0.9], np.float32).tobytes(),
        "ranks": np.array([2, 1], np.int32).tobytes(),
        "features": b"",
        "rollout": of.id,
        "variant": "b",
    }
    return ScoredRequest(**(given | changed))


def clicks(log: EmbeddedLog, *rows: tuple[int, int, float, str | None], began: datetime) -> None:
    """Append clicks: user, item, seconds since *began*, request."""
    users, items, times, requests = zip(*rows, strict=True)
    log.append(
        "interactions",
        pa.table(
            {
                "interaction_id": [f"{n}" for n in range(len(rows))],
                "user_id": list(users),
                "item_id": list(items),
                "timestamp": [(began + timedelta(seconds=second)).isoformat() for second in times],
                "click": [1] * len(rows),
                "request_id": pa.array(requests, pa.string()),
            }
        ),
        key=["user_id"],
    )


@pytest.mark.parametrize(
    ("row", "top", "expected"),
    [
        ((1, 11, 1.0, "r1"), 0, 1),
        ((1, 11, 1.0, None), 0, 1),
        ((1, 10, 1.0, "r1"), 1, 0),
        ((1, 11, 1.0, "r1"), 1, 1),
        ((1, 11, 1.0, "other"), 0, 0),
        ((1, 12, 1.0, "r1"), 0, 0),
        ((2, 11, 1.0, None), 0, 0),
        ((1, 11, 0.2, None), 0, 0),
        ((1, 11, 0.5 + WINDOW + 0.1, "r1"), 0, 0),
    ],
)
def test_what_an_outcome_is(
    home: Home, rollout: Rollout, clock: ManualClock, row: tuple[int, int, float, str | None], top: int, expected: int
) -> None:
    """By request or by user, of a shown item at a place that counts, after the answer and within the window."""
    plan = RolloutPlan(
        strategy="canary", versions=("b",), checks=Checks(metric=MetricCheck(window_seconds=WINDOW, top=top))
    )
    log, began = EmbeddedLog(home, clock), rollout.started_at
    log.create("interactions", 1)
    LogOfServers(home).write([one_answer(rollout, began + timedelta(seconds=0.5))])
    clock.advance(timedelta(seconds=row[2]))
    clicks(log, row, row, began=began)
    clock.advance(timedelta(seconds=20))
    evidence = Evidence(home, replace(rollout, plan=plan), log)
    found = metric_of(list(evidence.looks(stages(home, rollout), clock.now())), "b")
    assert (found.users, found.shown, found.outcomes) == (1, 1 if top else 2, expected)


def test_what_is_ingested_into_the_table_counts_too(home: Home, rollout: Rollout, clock: ManualClock) -> None:
    """Events that never were in the log; one that became known too late does not count, now or in a replay."""
    began = rollout.started_at
    LogOfServers(home).write(
        [one_answer(rollout, began, user=n, request=f"r{n}", at_micros=to_micros(began) + n) for n in (1, 2)]
    )
    micros = pa.timestamp("us", tz="UTC")
    known = [began + timedelta(seconds=5), began + timedelta(seconds=30)]
    rows = pa.table(
        {
            "interaction_id": ["x1", "x2"],
            "user_id": pa.array([1, 2], pa.int64()),
            "item_id": pa.array([11, 11], pa.int64()),
            "timestamp": pa.array([began + timedelta(seconds=1)] * 2, micros),
            "click": pa.array([1, 1], pa.int8()),
            "request_id": ["r1", "r2"],
            "ingested_at": pa.array(known, micros),
        }
    )
    Lake(home).append("interactions", rows)
    clock.advance(timedelta(seconds=60))
    found = metric_of(list(Evidence(home, rollout, EmbeddedLog(home)).looks(stages(home, rollout), clock.now())), "b")
    assert (found.users, found.outcomes) == (2, 1)


@pytest.mark.parametrize("column", ["null", "absent"])
def test_events_without_a_time_of_ingestion_became_known_with_the_table(
    home: Home, rollout: Rollout, clock: ManualClock, column: str
) -> None:
    """So a replay counts what was counted while it happened; and that events come too late is told."""
    began = datetime.now(UTC) - timedelta(hours=1)  # the table's commits are dated by the machine
    rollout, users = replace(rollout, started_at=began, since=began), range(150)
    LogOfServers(home).write([one_answer(rollout, began, user=n, request=f"r{n}") for n in users])
    rows = pa.table(
        {
            "interaction_id": [f"x{n}" for n in users],
            "user_id": pa.array(users, pa.int64()),
            "item_id": pa.array([11] * len(users), pa.int64()),
            "timestamp": pa.array([began + timedelta(seconds=1)] * len(users), pa.timestamp("us", tz="UTC")),
            "click": pa.array([1] * len(users), pa.int8()),
            "request_id": [f"r{n}" for n in users],
        }
    )
    if column == "null":
        rows = rows.append_column("ingested_at", pa.nulls(len(users), pa.timestamp("us", tz="UTC")))
    Lake(home).append("interactions", rows)
    evidence = Evidence(home, rollout, EmbeddedLog(home))
    found = metric_of(list(evidence.looks([Stage(0, 0, began, rollout.shares)], datetime.now(UTC))), "b")
    assert (found.users, found.outcomes) == (150, 0)
    trouble = evidence.trouble(clock.now())
    assert trouble is not None and trouble.what.startswith("150 of 150 outcomes of 'click' became known after")


def test_a_look_tells_that_it_is_still_reading(home: Home, rollout: Rollout, clock: ManualClock) -> None:
    """After each piece, also before the first look: a lease can be renewed meanwhile, and a lost one ends the look."""
    LogOfServers(home).write([one_answer(rollout, rollout.started_at, user=n) for n in range(3)])
    clock.advance(timedelta(seconds=60))
    calls: list[int] = []

    def reading() -> None:
        calls.append(1)
        raise LeaseLost("somebody else acts")

    with pytest.raises(LeaseLost):
        next(Evidence(home, rollout, EmbeddedLog(home)).looks(stages(home, rollout), clock.now(), reading))
    assert calls == [1]


def test_seconds_in_which_nothing_came_are_no_looks(home: Home, rollout: Rollout, clock: ManualClock) -> None:
    """A quiet week is passed over quickly; what came before and after it is looked at as ever."""
    week = timedelta(days=7)
    at = [rollout.started_at + timedelta(seconds=0.5), rollout.started_at + week]
    LogOfServers(home).write([one_answer(rollout, each, user=n) for n, each in enumerate(at)])
    clock.advance(week + timedelta(minutes=5))
    looks = list(Evidence(home, rollout, EmbeddedLog(home)).looks(stages(home, rollout), clock.now()))
    assert [look.period for look in looks if look.answered] == [0, 1]
    assert len(looks) == 4  # and the two in which the windows of what was shown end


def test_others_take_no_part(home: Home, rollout: Rollout, clock: ManualClock) -> None:
    """Answers of overrides, of another rollout, of before, and of versions that are none of the rollout's."""
    at = rollout.started_at + timedelta(seconds=0.5)
    LogOfServers(home).write(
        [
            one_answer(rollout, at, user=1),
            one_answer(rollout, at, user=2, rollout=None),
            one_answer(rollout, at, user=3, rollout="another"),
            one_answer(rollout, at, user=4, variant="z"),
        ]
    )
    LogOfServers(home, "other").write([one_answer(rollout, at, user=5)])
    clock.advance(timedelta(seconds=5))
    looks = list(Evidence(home, rollout, EmbeddedLog(home)).looks(stages(home, rollout), clock.now()))
    assert answered(looks) == 1


def test_late_rows_are_not_lost(home: Home, rollout: Rollout, clock: ManualClock) -> None:
    """An answer that reaches the log after its second was looked at counts in the next look."""
    log = LogOfServers(home)
    evidence = Evidence(home, rollout, EmbeddedLog(home))
    log.write([one_answer(rollout, rollout.started_at, user=1)])
    clock.advance(timedelta(seconds=4))
    assert answered(list(evidence.looks(stages(home, rollout), clock.now()))) == 1
    log.write([one_answer(rollout, rollout.started_at, user=2)])
    clock.advance(timedelta(seconds=1))
    assert answered(list(evidence.looks(stages(home, rollout), clock.now()))) == 1


def test_a_metric_that_is_no_column_leaves_the_guards_at_work(home: Home, rollout: Rollout, world: World) -> None:
    """It is told once, with the nearest; answers are counted all the same."""
    plan = RolloutPlan(strategy="canary", versions=("b",), checks=Checks(metric=MetricCheck(name="clik")))
    world.second(rollout)
    world.second(rollout)
    with capture_logs() as told:
        assert answered(looks_of(home, replace(rollout, plan=plan), world)) > 0
    unknown = [line for line in told if line["event"] == "metric_unknown"]
    assert [line["metric"] for line in unknown] == ["clik"]
    assert "'click'" in unknown[0]["reason"]


def test_users_whom_nothing_can_count_are_told(
    home: Home, rollout: Rollout, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where too many items wait users are left out, and every finding says how many; else it says nothing of it."""
    for _ in range(6):
        world.second(rollout)
    assert {look.left_out for look in looks_of(home, rollout, world)} == {0}
    monkeypatch.setattr(shown_items, "_MOST_ITEMS", 2_000)
    looks = looks_of(home, rollout, world)
    assert 0 < looks[-1].left_out < answered(looks)
    analysis = Analysis(rollout.plan, rollout.champion)
    analysis.take(looks[0])
    now = world.clock.now()
    assert "left_out" not in analysis.judge(rollout, now).evidence
    for look in looks[1:]:
        analysis.take(look)
    assert analysis.judge(rollout, now).evidence["left_out"] == looks[-1].left_out


def test_segments_that_were_let_go_are_no_error(home: Home, rollout: Rollout, world: World) -> None:
    """Retention may delete what was read."""
    evidence = Evidence(home, rollout, world.events)
    world.second(rollout)
    world.answers.rotate()
    world.second(rollout)
    list(evidence.looks(stages(home, rollout), world.clock.now()))
    shutil.rmtree(home.predictions)
    world.clock.advance(timedelta(seconds=2))
    assert answered(list(evidence.looks(stages(home, rollout), world.clock.now()))) <= 100


def test_users_count_once_in_a_period_and_in_a_step() -> None:
    """A user who returns counts anew in the next period; one whom the version had before is left out of later steps."""
    guards, metric = CountedInPeriod(), CountedInStep()
    users = np.arange(1, 4, dtype=np.uint64) << np.uint64(50)
    assert guards.first(users[[0, 0, 1]], 0).tolist() == [0, 2]
    assert guards.first(users, 0).tolist() == [2]
    assert guards.first(users, 1).tolist() == [0, 1, 2]
    places, fresh = metric.first(users[:2], np.array([True, False]), 0)
    assert (places.tolist(), fresh.tolist()) == ([0, 1], [True, True])
    places, fresh = metric.first(users, np.array([True, True, True]), 1)
    assert (places.tolist(), fresh.tolist()) == ([1, 2], [False, True])
    assert metric.first(users, np.array([True, True, True]), 1)[0].tolist() == []


def test_periods_end_with_time_and_with_the_split(home: Home, rollout: Rollout, clock: ManualClock) -> None:
    """The analysis is told when users count anew."""
    clock.advance(timedelta(seconds=PERIOD_SECONDS + 10))
    rollouts = Rollouts(home.control, clock=clock)
    rollouts.advance(rollout, actor="ann", reason="")
    clock.advance(timedelta(seconds=10))
    seconds = (0, PERIOD_SECONDS - 1, PERIOD_SECONDS, PERIOD_SECONDS + 9, PERIOD_SECONDS + 10)
    at = [rollout.started_at + timedelta(seconds=second + 0.5) for second in seconds]
    LogOfServers(home).write([one_answer(rollout, each, user=n) for n, each in enumerate(at)])
    looks = list(Evidence(home, rollout, EmbeddedLog(home)).looks(stages(home, rollout), clock.now()))
    assert [look.period for look in looks if look.answered] == [0, 0, 1, 1, 2]
    assert looks[-1].stage.shares == {"b": 60.0, "a": 40.0}


def test_new_shares_of_a_bandit_begin_no_period(home: Home, clock: ManualClock) -> None:
    """Evidence goes on over them, so that a minute's users need not prove harm; a version that goes ends a period."""
    Deployments(home.control, clock=clock).deploy("feed", "a", actor="ann", reason="")
    rollouts = Rollouts(home.control, clock=clock)
    plan = RolloutPlan(strategy="bandit", versions=("b", "c"), shares=(20, 20))
    rollout = moved = rollouts.start("feed", plan, actor="ann", reason="")
    for weights in ({"b": 30.0, "c": 30.0}, {"b": 60.0, "c": 35.0}, {"b": 40.0, "c": 0.0}):
        clock.advance(timedelta(seconds=60))
        moved = rollouts.reweigh(moved, weights, actor="ann", reason="")
    clock.advance(timedelta(seconds=70))
    at = [rollout.started_at + timedelta(seconds=each + 0.5) for each in range(0, 240, 30)]
    LogOfServers(home).write([one_answer(rollout, each, user=n) for n, each in enumerate(at)])
    looks = list(Evidence(home, rollout, EmbeddedLog(home)).looks(stages(home, rollout), clock.now()))
    assert [look.stage.number for look in looks] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert [look.period for look in looks] == [0, 0, 0, 0, 0, 0, 1, 1]
    chances = np.concatenate([each.chance_U for look in looks for each in look.guards.values()])
    assert len(set(chances)) == len(at)
    assert ((chances >= 0) & (chances < 1)).all()


@pytest.mark.slow
def test_a_look_at_many_rows_takes_bounded_memory(home: Home, rollout: Rollout, clock: ManualClock) -> None:
    """A long history is read a minute at a time: what waits is as much as one segment spans, not all of it."""
    random, log = np.random.default_rng(0), LogOfServers(home)
    for minute in range(20):
        at = rollout.started_at + timedelta(minutes=minute)
        log.write(
            [
                one_answer(rollout, at + timedelta(seconds=n / 50), user=int(random.integers(1_000_000_000)))
                for n in range(3000)
            ]
        )
        log.rotate()
    clock.advance(timedelta(minutes=21))
    evidence = Evidence(home, rollout, EmbeddedLog(home))
    most, total = 0, 0
    for look in evidence.looks(stages(home, rollout), clock.now()):
        most = max(most, sum(map(len, evidence._held)))
        total += sum(look.answered.values())
    assert total == 20 * 3000
    assert most <= 4 * 3000
