"""Sketches in state stay within what they state, over pieces, tiles and merges; history is exact."""

from __future__ import annotations

import math
import random
from functools import cache

from tests.features.engines_history import history_rows
from tests.features.engines_online import Streamed, answers
from tests.features.oracle_events import Event
from tests.features.scenarios import MINUTE, Scenario
from tests.features.shapes import ITEM, SHOWN, USER

from orita.features.plan import Plan, plan_of
from orita.features.system import system

EVENTS, PIECES = 12_000, 5
SHARES = (0.05, 0.5, 0.99)
KLL_RANK = 0.024  # 1.7 % with 99 % confidence; no chance to speak of goes beyond this
HLL_ERROR = 4 * 1.04 / math.sqrt(2**11)
AT = EVENTS * MINUTE // 10 + MINUTE


@cache
def sketched_plan() -> Plan:
    """Return the plan of sketches over all time and over a window of tiles, of exact windows, and of capped sets."""
    s = SHOWN
    declared = system("sketched", label=s.click, rank=ITEM, for_=USER)
    for share in SHARES:
        name = f"share_{round(share * 100)}"
        quantile = s.quantile("amount", share).by(USER)
        declared.features(**{name: quantile, f"{name}_hop": quantile.over("10h", hop="1h")})
    declared.features(
        words=s.approx_distinct("word").by(USER),
        words_hop=s.approx_distinct("word").by(USER).over("10h", hop="1h"),
        words_exact=s.count_distinct("word", cap=100_000).by(USER),
        words_capped=s.count_distinct("word", cap=1_000).by(USER).over("10h", hop="1h"),
        newest=s.count().by(USER).over("30d", cap=4_000),
        newest_sum=s.sum("units").by(USER).over("30d"),
    )
    return plan_of(declared)


@cache
def long_scenario() -> Scenario:
    """Return many events of one user: every tenth of a minute one, of words that often come again."""
    draw = random.Random(7)
    events: list[Event] = [
        {
            "event_id": f"e{i}", "user_id": 1, "item_id": 1, "at": i * MINUTE // 10, "seen_at": i * MINUTE // 10,
            "click": 0, "amount": draw.lognormvariate(0, 2), "word": f"w{draw.randrange(9_000)}", "units": 1,
        }
        for i in range(EVENTS)
    ]  # fmt: skip
    return Scenario({"shown": events}, {}, [({"user_id": 1, "item_id": 1}, AT)], text_ids=False)


def seen(name: str) -> list[Event]:
    """Return the events that a feature sees."""
    hour = 60 * MINUTE
    begin = (AT - 10 * hour) // hour * hour if "hop" in name or "capped" in name else 0
    return [event for event in long_scenario().events["shown"] if event["at"] >= begin]


@cache
def streamed_values() -> dict[str, float]:
    """Return the features of state into which the events were counted in pieces, out of order."""
    plan, scenario = sketched_plan(), long_scenario()
    streamed = Streamed(plan, scenario)
    for piece in (2, 0, 4, 1, 3):
        streamed.count({"shown": scenario.events["shown"][piece * EVENTS // PIECES : (piece + 1) * EVENTS // PIECES]})
    ((_, values),) = answers(streamed.reader(), plan, {"user_id": 1}, [1], AT)
    return values


def test_quantiles_are_within_their_rank_error() -> None:
    """The rank of a quantile in state is within the sketch's error of its share; history has the very value."""
    (history,) = history_rows(sketched_plan(), long_scenario())
    for share in SHARES:
        for name in (f"share_{round(share * 100)}", f"share_{round(share * 100)}_hop"):
            amounts = sorted(event["amount"] for event in seen(name))
            assert history[name] == amounts[math.ceil(share * len(amounts)) - 1]
            rank = sum(amount <= streamed_values()[name] for amount in amounts) / len(amounts)
            assert abs(rank - share) <= KLL_RANK, name


def test_distinct_counts_are_within_their_error() -> None:
    """HyperLogLog in state is within four standard errors; history and `count_distinct` are exact, up to the cap."""
    (history,) = history_rows(sketched_plan(), long_scenario())
    for name in ("words", "words_hop"):
        exact = len({event["word"] for event in seen(name)})
        assert history[name] == exact
        assert abs(streamed_values()[name] - exact) <= HLL_ERROR * exact, name
    for values in (history, streamed_values()):
        assert values["words_exact"] == len({event["word"] for event in seen("words_exact")})
        assert values["words_capped"] == 1_000


def test_windows_stop_at_their_caps_alike() -> None:
    """An exact window sees the latest 10,000 events where nothing else is said, offline and online."""
    (history,) = history_rows(sketched_plan(), long_scenario())
    for values in (history, streamed_values()):
        assert (values["newest"], values["newest_sum"]) == (4_000, 10_000)
