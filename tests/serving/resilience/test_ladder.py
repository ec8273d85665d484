"""Every question is answered by the best level that can, which says so, and the best one comes back by itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import structlog

from orita.core.clock import ManualClock
from orita.core.errors import Unavailable, UserError
from orita.serving.http.refusal import Refused
from orita.serving.resilience.breaker import BreakerOpen
from orita.serving.resilience.bulkhead import BulkheadFull
from orita.serving.resilience.fallbacks import PopularityTable, StaticList, write_popularity
from orita.serving.resilience.ladder import Ladder, Level, Rung
from orita.serving.resilience.last_good import LastGood, LastGoodConfig

Floats = npt.NDArray[np.float32]
ITEMS = [1, 2, 3]


def scores(*values: float) -> Floats:
    """Return scores."""
    return np.array(values, np.float32)


class Model:
    """A first rung that fails, or takes its time, as it is told."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.error: Exception | None = None
        self.seconds = 0.0
        self.calls = 0

    def answer(self, items: list[int]) -> Floats | None:
        """Answer or fail."""
        self.calls += 1
        self.clock.advance(timedelta(seconds=self.seconds))
        if self.error is not None:
            raise self.error
        return scores(*(1 / item for item in items))


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock that stands still."""
    return ManualClock()


@pytest.fixture
def model(clock: ManualClock) -> Model:
    """Return a model that answers."""
    return Model(clock)


@pytest.fixture
def ladder(clock: ManualClock, model: Model) -> Ladder[list[int], Floats]:
    """Return a model, a memory that knows only items below 10, and a list."""
    return Ladder(
        [
            Rung(Level.FULL, "model", model.answer),
            Rung(Level.LAST_GOOD, "last_good", lambda items: scores(*items) if max(items) < 10 else None),
            Rung(Level.STATIC, "static", StaticList([3]).scores),
        ],
        clock,
    )


def ask(ladder: Ladder[list[int], Floats], clock: ManualClock, seconds: float, each: float = 0.01) -> list[Level]:
    """Ask every *each* seconds; return the levels."""
    levels = []
    for _ in range(round(seconds / each)):
        clock.advance(timedelta(seconds=each))
        levels.append(ladder.answer(ITEMS).level)
    return levels


def test_the_best_level_answers_while_it_can(ladder: Ladder[list[int], Floats]) -> None:
    """A healthy ladder answers by its first rung, and gives no reason."""
    answer = ladder.answer(ITEMS)
    assert (answer.level, answer.name, answer.reason) == (Level.FULL, "model", None)
    assert answer.value.tolist() == pytest.approx([1, 1 / 2, 1 / 3])


def test_each_failure_is_answered_from_below(ladder: Ladder[list[int], Floats], model: Model) -> None:
    """The next rung that knows something answers, and says why the first one did not."""
    model.error = OSError("the store is away")
    answer = ladder.answer(ITEMS)
    assert (answer.level, answer.reason) == (Level.LAST_GOOD, "failed")
    unknown = ladder.answer([1, 50])
    assert (unknown.level, unknown.name) == (Level.STATIC, "static")
    assert [ladder.answer(ITEMS).reason for _ in range(2)] == ["resting", "resting"]
    assert ladder.answers[Level.LAST_GOOD] == 3


@pytest.mark.parametrize(("error", "reason"), [(BreakerOpen("store"), "open"), (BulkheadFull("store"), "full")])
def test_nobody_rests_where_no_call_was_made(
    ladder: Ladder[list[int], Floats], model: Model, error: Exception, reason: str
) -> None:
    """A breaker and a bulkhead are asked by every request, for that costs nothing: level 1 is back with them."""
    model.error = error
    assert {ladder.answer(ITEMS).reason for _ in range(50)} == {reason}
    model.error = None
    assert ladder.answer(ITEMS).level is Level.FULL


def test_a_slow_failure_above_is_not_the_fault_of_the_level_below(
    ladder: Ladder[list[int], Floats], model: Model, clock: ManualClock
) -> None:
    """Where level 1 has used up the time the last level answers, and the one between them is asked the next time."""
    model.error, model.seconds = OSError("timed out"), 0.3
    assert ladder.answer(ITEMS, clock.monotonic() + 0.2).level is Level.STATIC
    model.seconds = 0.0
    assert ladder.answer(ITEMS, clock.monotonic() + 0.2).level is Level.LAST_GOOD


def test_a_level_that_fails_is_not_paid_for_by_every_request(
    ladder: Ladder[list[int], Floats], model: Model, clock: ManualClock
) -> None:
    """In ten seconds of outage at a hundred requests a second, a dozen try the level that is away."""
    model.error = OSError("away")
    assert set(ask(ladder, clock, 10.0)) == {Level.LAST_GOOD}
    assert model.calls <= 12


@pytest.mark.parametrize("outage", [0.05, 1.0, 30.0])
def test_it_recovers_within_five_seconds(
    ladder: Ladder[list[int], Floats], model: Model, clock: ManualClock, outage: float
) -> None:
    """Once the dependency is back, level 1 answers again within two seconds, and stays."""
    model.error = OSError("away")
    ask(ladder, clock, outage)
    model.error = None
    levels = ask(ladder, clock, 5.0)
    first = levels.index(Level.FULL)
    assert first * 0.01 <= 2.05
    assert set(levels[first:]) == {Level.FULL}


def test_a_flapping_dependency_is_tried_less_and_less(
    ladder: Ladder[list[int], Floats], model: Model, clock: ManualClock
) -> None:
    """One that is well for half a second at a time ends up resting two seconds; the log tells of it once."""
    with structlog.testing.capture_logs() as lines:
        changes = 0
        last = Level.FULL
        for n in range(120):
            model.error = OSError("flap") if n % 2 else None
            for level in ask(ladder, clock, 0.5):
                changes += level is not last
                last = level
    assert changes < 120 / 2 + 10, "every flap was followed"
    assert [line["event"] for line in lines].count("level_lost") == 1
    model.error = None
    with structlog.testing.capture_logs() as lines:
        ask(ladder, clock, 5.0)
    assert [line["event"] for line in lines] == ["level_regained"]


def test_one_hiccup_degrades_one_answer(ladder: Ladder[list[int], Floats], model: Model, clock: ManualClock) -> None:
    """A single failure between answers rests nobody."""
    ladder.answer(ITEMS)
    model.error = OSError("hiccup")
    assert ladder.answer(ITEMS).level is Level.LAST_GOOD
    model.error = None
    assert set(ask(ladder, clock, 0.1)) == {Level.FULL}


def test_a_level_too_slow_for_the_deadline_is_passed_over(
    ladder: Ladder[list[int], Floats], model: Model, clock: ManualClock
) -> None:
    """Who has less time than level 1 usually needs is answered by the next; once it is fast again it answers."""
    model.seconds = 0.2
    for _ in range(50):
        ladder.answer(ITEMS)
    calls = model.calls
    answer = ladder.answer(ITEMS, clock.monotonic() + 0.1)
    assert (answer.level, answer.reason, model.calls) == (Level.LAST_GOOD, "too_late", calls)
    assert ladder.answer(ITEMS).level is Level.FULL, "who has the time is answered by level 1 all the same"
    model.seconds = 0.001
    clock.advance(timedelta(seconds=2))
    assert [ladder.answer(ITEMS, clock.monotonic() + 0.1).level for _ in range(3)] == [Level.FULL] * 3


def test_a_condition_closes_a_level_in_a_word(clock: ManualClock, model: Model) -> None:
    """While a condition says why not, the level is not asked, and its word is the reason."""
    away: list[str] = []
    ladder: Ladder[list[int], Floats] = Ladder(
        [
            Rung(Level.FULL, "model", model.answer, lambda: away[0] if away else None),
            Rung(Level.STATIC, "static", StaticList([]).scores),
        ],
        clock,
    )
    assert ladder.answer(ITEMS).level is Level.FULL
    away.append("store_away")
    assert (ladder.answer(ITEMS).reason, model.calls) == ("store_away", 1)
    away.clear()
    assert ladder.answer(ITEMS).level is Level.FULL


def test_a_wrong_question_is_refused_not_degraded(ladder: Ladder[list[int], Floats], model: Model) -> None:
    """What the caller did wrong reaches the caller, and rests nobody; a refusal that is ours degrades."""
    for error in (UserError("timestamp is wrong."), Refused(422, "invalid_value", "timestamp is wrong.")):
        model.error = error
        for _ in range(5):
            with pytest.raises(type(error)):
                ladder.answer(ITEMS)
    model.error = Refused(503, "features_unavailable", "the features cannot be read.")
    assert ladder.answer(ITEMS).reason == "failed"
    model.error = None
    assert ladder.answer(ITEMS).level is Level.FULL


def test_a_ladder_without_an_answer_says_so(clock: ManualClock, model: Model) -> None:
    """Where no rung answers the caller is told that it is unavailable; rungs out of order are a programmer's error."""
    model.error = OSError("away")
    with pytest.raises(Unavailable):
        Ladder([Rung(Level.FULL, "model", model.answer)], clock).answer(ITEMS)
    with pytest.raises(ValueError, match="the best first"):
        Ladder([Rung(Level.STATIC, "b", model.answer), Rung(Level.FULL, "a", model.answer)], clock)


def last_good(clock: ManualClock, **settings: object) -> LastGood:
    """Return an empty memory."""
    return LastGood(LastGoodConfig.model_validate(settings), clock)


def test_a_user_gets_the_scores_of_last_time(clock: ManualClock) -> None:
    """The same items have their own scores again, in whatever order, with their age."""
    memory = last_good(clock)
    memory.remember("a", ["x", "y"], scores(0.7, 0.2))
    memory.remember("b", ["x", "y"], scores(0.1, 0.9))
    clock.advance(timedelta(seconds=30))
    recalled = memory.recall("a", ["y", "x"])
    assert recalled is not None
    assert recalled.scores_N.tolist() == pytest.approx([0.2, 0.7])
    assert recalled.scores_N.dtype == np.float32
    assert recalled.age == pytest.approx(30)


def test_an_unknown_user_gets_what_others_were_given(clock: ManualClock) -> None:
    """Items known of others have their last score; where too few are known there is no answer."""
    memory = last_good(clock, least_share=0.5)
    memory.remember("a", ["x", "y"], scores(0.7, 0.2))
    recalled = memory.recall("new", ["x", "z"])
    assert recalled is not None
    assert recalled.scores_N.tolist() == pytest.approx([0.7, 0.0])
    assert memory.recall("new", ["x", "z", "w"]) is None


def test_old_scores_are_not_used(clock: ManualClock) -> None:
    """Past their time neither the user's nor the items' scores count, whether or not requests came meanwhile."""
    memory = last_good(clock, seconds=100)
    memory.remember("a", ["x"], scores(0.7))
    clock.advance(timedelta(seconds=99))
    assert memory.recall("a", ["x"]) is not None
    clock.advance(timedelta(seconds=2))
    assert memory.recall("a", ["x"]) is None
    memory.remember("b", ["x"], scores(0.5))
    for _ in range(20):
        clock.advance(timedelta(seconds=7))
        memory.recall("c", ["x"])
    assert memory.recall("b", ["x"]) is None


def test_memory_of_good_answers_is_bounded(clock: ManualClock) -> None:
    """Ten thousand users and items leave the bounds where they are, and the latest users known."""
    memory = last_good(clock, rows=1000, items=400)
    for n in range(10_000):
        memory.remember(n, list(range(n, n + 10)), scores(*[0.5] * 10))
    assert memory.rows <= 1000
    assert memory.items <= 400 + 2 * 10
    recalled = memory.recall(9999, list(range(9999, 10_009)))
    assert recalled is not None
    assert recalled.age == 0


def test_popularity_ranks_by_smoothed_click_rates(tmp_path: Path) -> None:
    """Few showings are drawn to the rate of all; unknown items have that rate; the file gives what was written."""
    path = tmp_path / "popularity.parquet"
    write_popularity(path, [1, 2, 3], np.array([1.0, 300, 99]), np.array([1.0, 1000, 1000]))
    table = PopularityTable.read(path)
    prior = 400 / 2001
    assert len(table) == 3
    assert table.scores([2, 1, 3, 99]).tolist() == pytest.approx(
        [(300 + 20 * prior) / 1020, (1 + 20 * prior) / 21, (99 + 20 * prior) / 1020, prior], rel=1e-5
    )


@pytest.mark.parametrize(
    ("items", "clicks", "shown"),
    [
        ([1, 1], [0, 0], [1, 1]),
        ([1], [0, 0], [1, 1]),
        ([1, "1"], [0, 0], [1, 1]),
        ([1], [2], [1]),
        ([1], [np.nan], [1]),
    ],
)
def test_a_table_that_cannot_be_is_not_written(
    tmp_path: Path, items: list[int | str], clicks: list[float], shown: list[float]
) -> None:
    """Ids that repeat or mix, and more clicks than showings, are refused; nothing is left behind."""
    with pytest.raises(UserError, match="popularity table"):
        write_popularity(tmp_path / "t.parquet", items, np.array(clicks, float), np.array(shown, float))
    assert list(tmp_path.iterdir()) == []


def _absent(path: Path) -> None:
    path.unlink(missing_ok=True)


def _garbage(path: Path) -> None:
    path.write_bytes(b"PAR1 nonsense")


def _other_columns(path: Path) -> None:
    pq.write_table(pa.table({"item": [1]}), path)


def _no_numbers(path: Path) -> None:
    table = pa.table({"item_id": [1], "score": [7.0]}).replace_schema_metadata({b"orita.prior": b"0.1"})
    pq.write_table(table, path)


@pytest.mark.parametrize("spoil", [_absent, _garbage, _other_columns, _no_numbers])
def test_a_table_that_is_none_is_refused_by_name(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    """An absent or broken file is a sentence with its path."""
    path = tmp_path / "popularity.parquet"
    spoil(path)
    with pytest.raises(UserError, match=r"popularity\.parquet"):
        PopularityTable.read(path)


def test_a_static_list_keeps_its_order() -> None:
    """Items of the list come first, in its order; a stable sort leaves the others as asked."""
    items: list[int | str] = [9, "b", 7, "a"]
    order = np.argsort(-StaticList(["a", "b"]).scores(items), kind="stable")
    assert [items[i] for i in order] == ["a", "b", 9, 7]
