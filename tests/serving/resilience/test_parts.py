"""The parts of a server, as configured and put together: every request is answered, by the level that it should be."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from orita.core.clock import ManualClock, SystemClock
from orita.core.config import load
from orita.core.errors import UserError
from orita.serving.http.refusal import Refused
from orita.serving.predict.requests import Asked
from orita.serving.resilience.breaker import BreakerState
from orita.serving.resilience.contracts import Priority
from orita.serving.resilience.fallbacks import write_popularity
from orita.serving.resilience.ladder import Ladder, Level
from orita.serving.resilience.parts import Question, ResilienceConfig, Scored, build_parts

ASKED = Asked(7, [1, 2, 3], {}, None)


def test_the_four_levels_answer_in_turn(tmp_path: Path) -> None:
    """The model; what the user was given last; popularity for who is not known; the list where there is no table."""
    table = tmp_path / "popularity.parquet"
    write_popularity(table, [1, 2, 3], np.array([1.0, 5, 3]), np.array([100.0, 100, 100]))
    clock = ManualClock()
    config = ResilienceConfig(popularity=table, static_items=(3, 1))
    parts = build_parts(config, clock)
    away = False

    def full(question: Question) -> Scored:
        if away:
            raise OSError("the store is away")
        return Scored(np.array([0.1, 0.2, 0.9], np.float32), np.zeros((3, 1), np.float32))

    ladder = parts.ladder(full)
    first = ladder.answer(ASKED)
    assert (first.level, first.value.age) == (Level.FULL, 0.0)
    parts.last_good.remember(ASKED.user_id, ASKED.item_ids, first.value.scores_N)
    away = True
    clock.advance(timedelta(seconds=9))
    second = ladder.answer(ASKED)
    assert (second.level, second.value.age, second.value.x_NF) == (Level.LAST_GOOD, 9.0, None)
    assert second.value.scores_N.tolist() == pytest.approx([0.1, 0.2, 0.9])
    clock.advance(timedelta(hours=2))
    third = ladder.answer(ASKED)
    assert third.level is Level.RULES
    assert np.argsort(-third.value.scores_N).tolist() == [1, 2, 0]
    fourth = build_parts(config.model_copy(update={"popularity": None}), clock).ladder(full).answer(ASKED)
    assert fourth.level is Level.STATIC
    assert np.argsort(-fourth.value.scores_N, kind="stable").tolist() == [2, 0, 1]


@pytest.mark.parametrize("texts", [True, False])
@pytest.mark.parametrize("level", [Level.LAST_GOOD, Level.RULES, Level.STATIC])
def test_an_id_is_one_however_it_is_spelt(tmp_path: Path, level: Level, texts: bool) -> None:
    """What is known of the item 2 is found for "2", and the other way round; 02 is another item."""
    known: list[int | str] = ["1", "2", "3"] if texts else [1, 2, 3]
    table = tmp_path / "popularity.parquet"
    write_popularity(table, known, np.array([1.0, 5, 3]), np.array([100.0, 100, 100]))
    config = ResilienceConfig(popularity=table if level is Level.RULES else None, static_items=("2", 3, "1"))
    parts = build_parts(config, ManualClock())
    if level is Level.LAST_GOOD:
        parts.last_good.remember("7" if texts else 7, known, np.array([0.1, 0.9, 0.4], np.float32))

    def away(question: Question) -> Scored:
        raise OSError("the store is away")

    spellings: list[list[int | str]] = [[1, 2, 3, "02"], ["1", "2", "3", "02"], [1, "2", 3, "02"]]
    for asked in spellings:
        for user in (7, "7"):
            answer = parts.ladder(away).answer(Asked(user, asked, {}, None))
            assert answer.level is level
            best_first = [asked[place] for place in np.argsort(-answer.value.scores_N, kind="stable")]
            assert [str(item) for item in best_first][:2] == ["2", "3"]
            assert answer.value.scores_N[3] < answer.value.scores_N[1]


def test_a_user_is_remembered_once_however_it_is_spelt() -> None:
    """The last answer counts, and takes the place of the one before."""
    last_good = build_parts(ResilienceConfig(), ManualClock()).last_good
    last_good.remember("7", [1, 2], np.array([0.1, 0.2], np.float32))
    last_good.remember(7, [1, 2], np.array([0.9, 0.8], np.float32))
    assert last_good.rows == 2
    for user in (7, "7"):
        recalled = last_good.recall(user, [1, 2])
        assert recalled is not None
        assert recalled.scores_N.tolist() == pytest.approx([0.9, 0.8])


def test_defaults_are_those_of_the_contract() -> None:
    """Five failures open a breaker, a minute later it is half open; the state of each dependency can be told."""
    config = ResilienceConfig()
    assert (config.store.failures, config.store.seconds) == (5, 60.0)
    parts = build_parts(config, ManualClock())
    assert [(state.name, state.state) for state in parts.states] == [
        ("store", BreakerState.CLOSED),
        ("broker", BreakerState.CLOSED),
        ("jobs", BreakerState.CLOSED),
    ]


def test_it_is_read_from_yaml(tmp_path: Path) -> None:
    """Keys come from a file and from the command line, a wrong one is told by name with the closest."""
    file = tmp_path / "orita.yaml"
    file.write_text("admission: {wait_ms: 5}\nstore: {failures: 3, failure_rate: 0.5}\nstatic_items: [9, b]\n")
    config = load(ResilienceConfig, file, overrides=["deadline.default_ms=200"], environment={}).value
    assert (config.admission.wait_ms, config.store.failures, config.static_items) == (5.0, 3, (9, "b"))
    assert (config.store.slow_ms, config.model.slow_ms) == (100, None), "what is not set of a section keeps its default"
    assert config.deadline.default_ms == 200
    file.write_text("admission: {least: 9, most: 5}\n")
    with pytest.raises(UserError, match=r"least is 9, allowed are values up to most \(5\)"):
        load(ResilienceConfig, file, environment={})
    file.write_text("store: {failure: 3}\n")
    with pytest.raises(UserError, match="Did you mean 'failures'"):
        load(ResilienceConfig, file, environment={})


def test_a_table_that_is_not_there_is_told_at_the_start(tmp_path: Path) -> None:
    """A server does not start with a level that it does not have."""
    with pytest.raises(UserError, match="does not exist"):
        build_parts(ResilienceConfig(popularity=tmp_path / "none.parquet"), ManualClock())


def test_a_request_goes_the_whole_way() -> None:
    """As the module shows it: headers, door, levels, memory; past the limit it is refused with a time to come back."""
    parts = build_parts(ResilienceConfig(), SystemClock())
    ladder: Ladder[Asked, Scored] = parts.ladder(lambda asked: Scored(np.ones(len(asked.item_ids), np.float32)))

    async def answered(header: bytes | None) -> Level:
        arrived = parts.clock.monotonic()
        deadline = parts.deadlines.read(b"5000", None, arrived)
        ticket = await parts.turnstile.enter(parts.priorities.read(header, Priority.NORMAL), deadline, arrived)
        try:
            answer = ladder.answer(ASKED, deadline)
        finally:
            parts.turnstile.leave(ticket)
        parts.last_good.remember(ASKED.user_id, ASKED.item_ids, answer.value.scores_N)
        return answer.level

    async def storm() -> list[object]:
        return await asyncio.gather(*(answered(b"low" if n % 2 else None) for n in range(100)), return_exceptions=True)

    outcomes = asyncio.run(storm())
    refused = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
    assert outcomes.count(Level.FULL) + len(refused) == 100
    assert outcomes.count(Level.FULL) == 1 + 32, "who is answered at once, and the limit that a server starts with"
    assert {outcome for outcome in outcomes[2::2] if outcome is Level.FULL}, "normal ones go before low ones"
    assert all(one.status == 503 and one.retry_after for one in refused)
