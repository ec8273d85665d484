"""What the parity tests draw: streams of events with all that goes wrong with events, and rows that ask about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from typing import Any

from hypothesis import strategies as st
from tests.features.oracle_events import Event, known_of, time_of
from tests.features.shapes import GROUPS, TAGS
from tests.features.shapes_roles import RISKS

from orita.features.plan import Plan

__all__ = ["Scenario", "clicks", "in_order_of_knowledge", "transfers"]

MINUTE = 60_000_000
STEP = 30 * MINUTE

ORIGINS = (
    0,  # 1970: the times on both sides of zero
    1_729_987_200_000_000,  # 2024-10-27 00:00 UTC: Berlin has 02:30 twice
    1_711_843_200_000_000,  # 2024-03-31 00:00 UTC: Berlin has no 02:30
    -86_400_000_000 * 400 + 7,
)

TEXT_IDS = ("1", "11", "ẹ̀kọ́", "a|b", "a" * 60)
NUMBER_IDS = (0, 1, 11, 111)


@dataclass
class Scenario:
    """Events by source and attributes by table, as the oracle takes them, and rows with the time as of which they ask.

    Attributes:
        text_ids: whether ids are text.
        ids: of users and items, known and unknown.
        absent: columns that no file of events has yet.
        keys: by table, the column of its ids where the entities of the system are roles of its entity.
    """

    events: Mapping[str, Sequence[Event]]
    tables: Mapping[str, Mapping[Any, Mapping[str, Any]]]
    rows: Sequence[tuple[Event, int]]
    text_ids: bool
    ids: tuple[Any, ...] = ()
    absent: tuple[str, ...] = ()
    keys: Mapping[str, str] = field(default_factory=dict)

    def settled(self, plan: Plan) -> int:
        """Return the time by which every event had happened and was known."""
        sources = {plan.system.source.name: plan.system.source} | {a.source.name: a.source for a in plan.aggregates}
        known = [known_of(source, e) for name, source in sources.items() for e in self.events.get(name, ())]
        return max(known, default=0)


def _rarely(one: st.SearchStrategy[Any], other: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return *one*, and once in sixteen times *other*."""
    return st.sampled_from(range(16)).flatmap(lambda n: other if n == 7 else one)


def _sometimes(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return the strategy, or now and then a missing value."""
    return _rarely(strategy, st.none())


def _few(ids: Sequence[Any], draw: st.DrawFn) -> st.SearchStrategy[Any]:
    """Return ids of which most are the same, so that there is much to see by key."""
    return st.sampled_from([ids[1]] * 9 + list(ids[: draw(st.integers(1, 3))]))


def _lists(one: st.SearchStrategy[Any], size: int) -> st.SearchStrategy[list[Any]]:
    """Return lists that are often long, as most is to be seen among many events."""
    sizes = st.sampled_from([size] * 6 + [size // 2, 3, 1, 0])
    return sizes.flatmap(lambda count: st.lists(one, min_size=count, max_size=count))


def _times(origin: int, first: int = -7) -> st.SearchStrategy[int]:
    """Return times that often are equal, or just a window apart, from *first* half hours after *origin* on."""
    jitter = st.sampled_from([0] * 8 + [-1, 1])
    return st.builds(lambda step, off: origin + step * STEP + off, st.integers(first, first + 10), jitter)


_DELAYS = st.sampled_from([0, 0, 0, None, 0, 10 * MINUTE, 3 * 60 * MINUTE, 26 * 60 * MINUTE, -60 * MINUTE])
_HUNDREDTHS = st.integers(-30_000, 30_000).map(lambda hundredths: hundredths / 100)
_FLOATS = st.one_of(st.sampled_from([1.0, 3.5, 0.0, -0.0, 0.1, -2.5, nan, None]), _HUNDREDTHS, st.floats(1e-9, 1e12))
_BIG = st.sampled_from([2**62, None, 2**62 + 1, 2**62 - 1, -(2**62), 3, 2**53 + 1, 1])


def _identified(events: list[dict[str, Any]], key: str, order: Sequence[int]) -> list[Event]:
    """Return the events with ids whose order is not that of the list."""
    marks = ("", "Z", "é", "a", "😀")
    return [{**event, key: f"{marks[order[i % len(order)]]}{i}"} for i, event in enumerate(events)]


def _redelivered(draw: st.DrawFn, events: list[Event], time: str, ingested: str) -> list[Event]:
    """Return the events with some once more: as they were or, known later, with another content."""
    again = []
    for i in draw(st.lists(st.integers(0, len(events) - 1), max_size=2)) if events else []:
        event = events[i]
        said = event.get(ingested)
        if said is not None and said >= event[time] and draw(st.booleans()):
            event = {**event, "click": 1 - event.get("click", 0), "amount": 7.0, "units": 9, ingested: said + STEP}
        again.append(event)
    return events + again


def _attributes(ids: Sequence[Any], draw: st.DrawFn, made: Mapping[str, st.SearchStrategy[Any]]) -> dict[Any, Any]:
    """Draw the attributes of all ids or of some."""
    known = draw(st.sampled_from([ids, ids, ids[1:2], ()]))
    return draw(st.fixed_dictionaries({key: st.fixed_dictionaries(dict(made)) for key in known}))


@st.composite
def clicks(draw: st.DrawFn, size: int = 20, *, redelivery: bool = True) -> Scenario:
    """Draw events of `shapes.SHOWN`, and rows."""
    text = draw(st.booleans())
    ids: tuple[Any, ...] = TEXT_IDS if text else NUMBER_IDS
    one = _few(ids, draw)
    origin = draw(st.sampled_from(ORIGINS))
    key = {name: _sometimes(one) for name in ("user_id", "item_id", "shop_id", "till_id")}
    told: dict[str, st.SearchStrategy[Any]] = {
        "channel": st.sampled_from(["web", None, "app", "épicerie", "fax"]), "units": _sometimes(st.integers(-3, 3)),
    }  # fmt: skip
    event = st.fixed_dictionaries(key | told | {
        "at": _times(origin), "late": _DELAYS, "click": st.integers(0, 1), "amount": _FLOATS,
        "big": _BIG, "word": st.sampled_from(["word", None, "", "é", "e"]),
    })  # fmt: skip
    events = draw(_lists(event, size))
    for each in events:
        late = each.pop("late")
        each["seen_at"] = None if late is None else each["at"] + late
    shown = _identified(events, "event_id", draw(st.permutations(range(5))))
    if redelivery:
        shown = _redelivered(draw, shown, "at", "seen_at")
    asked = st.fixed_dictionaries({name: _rarely(_sometimes(one), st.just(ids[-1])) for name in key} | told)
    rows = draw(st.lists(st.tuples(asked, _times(origin, -3)), min_size=3, max_size=6))
    rows.append(rows[0])
    tables = {
        "users": _attributes(ids, draw, {
            "group": _sometimes(st.sampled_from(GROUPS)), "joined": _sometimes(_times(origin)),
            "age": _sometimes(st.integers(1, 90).map(float)),
        }),
        "items": _attributes(ids, draw, {
            "tags": _sometimes(st.lists(st.sampled_from(TAGS), max_size=3)), "made": _sometimes(_times(origin)),
        }),
    }  # fmt: skip
    return Scenario({"shown": shown}, tables, rows, text, ids)


@st.composite
def transfers(draw: st.DrawFn, size: int = 14) -> Scenario:
    """Draw events of `shapes_roles.TRANSFERS` and `LOGINS`, and rows."""
    text = draw(st.booleans())
    ids: tuple[Any, ...] = TEXT_IDS if text else NUMBER_IDS
    one = _few(ids, draw)
    origin = draw(st.sampled_from(ORIGINS))
    keys = {name: _sometimes(one) for name in ("payer_id", "payee_id", "bank", "branch")}
    transfer = st.fixed_dictionaries({
        **keys, "moment": _times(origin), "fraud": st.integers(0, 1), "amount": _FLOATS,
    })  # fmt: skip
    login = st.fixed_dictionaries({
        "holder_id": _sometimes(one), "bank_code": _sometimes(one), "branch": _sometimes(one),
        "entered": _times(origin), "late": _DELAYS, "failed": _sometimes(st.integers(0, 1)),
        "device": st.sampled_from([None, "é", "e"]),
    })  # fmt: skip
    paid = draw(_lists(transfer, size))
    entered = draw(_lists(login, size))
    for each in entered:
        late = each.pop("late")
        each["noted"] = None if late is None else each["entered"] + late
    order = draw(st.permutations(range(5)))
    rows = draw(st.lists(st.tuples(st.fixed_dictionaries(keys), _times(origin, -3)), min_size=3, max_size=6))
    accounts = _attributes(ids, draw, {
        "risk": _sometimes(st.sampled_from(RISKS)), "opened": _sometimes(_times(origin)),
    })  # fmt: skip
    streams = {"transfers": _identified(paid, "transfer_id", order), "logins": _identified(entered, "login_id", order)}
    return Scenario(streams, {"accounts": accounts}, rows, text, ids, keys={"accounts": "account_id"})


def in_order_of_knowledge(source: Any, events: Sequence[Event]) -> list[Event]:
    """Return the events as a log brings them: in the order in which they became known."""
    return sorted(events, key=lambda event: (known_of(source, event), time_of(source, event)))
