"""The systems of the parity tests: every function over every window; keys, filters and times to live take turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

from orita.events.schema import Column, TableSchema
from orita.features.declarations import Aggregate, Entity, Expression, Source
from orita.features.declaring.conditions import Condition
from orita.features.plan import Plan, plan_of
from orita.features.system import system

__all__ = ["FAMILIES", "GROUPS", "ITEM", "SHOWN", "TAGS", "TILL", "USER", "expressions_plan", "window_plan"]

GROUPS = ("red", "grün")
TAGS = ("a", "b'c", "d")
CHANNELS = ("web", "app", "épicerie")

USER = Entity(
    "user", "user_id", "users",
    [Column("group", "category", choices=GROUPS), Column("joined", "time"), Column("age", "float")],
)  # fmt: skip
ITEM = Entity("item", "item_id", "items", [Column("tags", "list", choices=TAGS), Column("made", "time")])
TILL = Entity("till", ("shop_id", "till_id"))
SHOWN = Source(
    "shown",
    TableSchema(
        "shown",
        key="event_id",
        time="at",
        ingested="seen_at",
        columns=(
            Column("event_id", "str", required=True),
            Column("user_id", "id"),
            Column("item_id", "id"),
            Column("shop_id", "id"),
            Column("till_id", "id"),
            Column("at", "time", required=True),
            Column("seen_at", "time"),
            Column("click", "flag", required=True),
            Column("amount", "float"),
            Column("units", "int"),
            Column("big", "int"),
            Column("channel", "category", choices=CHANNELS),
            Column("word", "str"),
        ),
    ),
    delay="30m",
)

Windowed = Callable[[Aggregate], Aggregate]
Finish = Callable[[Aggregate], Expression]

FAMILIES: dict[str, dict[str, Windowed]] = {
    "lifetime": {"all": lambda a: a, "all_late": lambda a: a.delayed("2h")},
    "sliding": {
        "exact": lambda a: a.over("3h"),
        "exact_late": lambda a: a.over("3h").delayed("2h"),
        "exact_cap": lambda a: a.over("6h", cap=2),
        "exact_long": lambda a: a.over("9000d").delayed("30m"),
    },
    "hop": {
        "hop": lambda a: a.over("5h", hop="2h"),
        "hop_late": lambda a: a.over("3h", hop="90m").delayed("2h"),
        "hop_whole": lambda a: a.over("1h", hop="1h"),
    },
    "tumbling": {"part": lambda a: a.tumbling("4h"), "part_late": lambda a: a.tumbling("90m").delayed("1h")},
    "session": {
        "visit": lambda a: a.session("1h"),
        "visit_late": lambda a: a.session("90m").delayed("2h"),
        "visit_cap": lambda a: a.session("90m", cap=2),
    },
}
"""Windows by family, which are a system each: a failure names its family."""


def _functions() -> Iterator[tuple[str, Aggregate, Finish]]:
    """Yield every function with what makes a feature of it."""
    s = SHOWN
    for name, aggregate in {
        "count": s.count(),
        "sum_click": s.sum("click"),
        "sum_units": s.sum("units"),
        "sum_big": s.sum("big"),
        "sum_amount": s.sum("amount"),
        "mean_amount": s.mean("amount"),
        "mean_smooth": s.mean("click").smooth(0.25, weight=4),
        "ratio_click": s.ratio("click"),
        "ratio_units": s.ratio("amount", "units"),
        "ratio_smooth": s.ratio("click").smooth(0.5, weight=3),
        "min_amount": s.min("amount"),
        "max_big": s.max("big"),
        "var_amount": s.var("amount"),
        "var_all": s.var("amount", ddof=0),
        "std_amount": s.std("amount"),
        "first_amount": s.first("amount"),
        "last_units": s.last("units"),
        "last_channel": s.last("channel"),
        "first_channel": s.first("channel"),
        "days": s.distinct_days(),
        "distinct_word": s.count_distinct("word"),
        "distinct_cap": s.count_distinct("big", cap=2),
        "distinct_amount": s.count_distinct("amount"),
        "distinct_item": s.count_distinct("item_id"),
        "distinct_channel": s.count_distinct("channel"),
        "distinct_click": s.count_distinct("click"),
        "approx_word": s.approx_distinct("word"),
        "approx_big": s.approx_distinct("big", lg_k=4),
        "median_amount": s.quantile("amount", 0.5),
        "high_units": s.quantile("units", 0.9),
        "faded_sum": s.decayed_sum("amount", "2h"),
        "faded_mean": s.decayed_mean("amount", "3h"),
    }.items():
        yield name, aggregate, lambda a: a
    yield "first_age", s.first_time(), lambda a: a.age()
    yield "last_age", s.last_time(), lambda a: a.age()
    yield "recency", s.last_time(), lambda a: a.decay("6h")


def _conditions() -> tuple[Condition | None, ...]:
    s = SHOWN
    return (
        None,
        s.amount > 1,
        None,
        s.channel.one_of("web", "épicerie"),
        ~(s.amount <= -100) & s.click.equals(0),
        None,
        ~s.channel.equals("app") | (s.units >= 2),
    )


_KEYS = (
    (USER,),
    (USER, ITEM),
    (TILL,),
    (),
    (ITEM,),
    (ITEM, USER["group"]),
    (USER, TILL),
    (USER["group"],),
)
_TTLS = ("", "", "6h", "", "90m")


@cache
def window_plan(family: str, shift: int = 0) -> Plan:
    """Return the plan of every function over the windows of *family*.

    Args:
        family: which windows.
        shift: below 3, who is first when keys, filters and times to live take turns; 3: all have one key, as features
            that share state have; 4: one key, filter and time to live.
    """
    declared = system("parity", label=SHOWN.click, rank=ITEM, for_=USER)
    step = shift
    for window, windowed in FAMILIES[family].items():
        for name, aggregate, finish in _functions():
            turn, key = (step, step) if shift < 3 else (0, 0) if shift == 3 else (4, 1)
            keyed = windowed(aggregate).by(*_KEYS[key % len(_KEYS)])
            condition = _conditions()[turn % 7]
            if condition is not None:
                keyed = keyed.where(condition)
            if age := _TTLS[turn % len(_TTLS)]:
                keyed = keyed.ttl(age)
            declared.features(**{f"{name}__{window}": finish(keyed)})
            step += 1
    return plan_of(declared)


@cache
def expressions_plan(*, residuals: bool = True) -> Plan:
    """Return the plan of what is made beside windows: attributes, residuals, transforms, the request."""
    s, user, item = SHOWN, USER, ITEM
    expected = s.mean("amount").by(item).smooth(3.0, weight=2)
    above = s.amount - expected
    declared = system("expressions", label=s.click, rank=item, for_=user)
    declared.features(
        item_age=item["made"].age(otherwise=s.first_time().by(item)),
        user_age=user["joined"].age(),
        age=user["age"],
        group=user["group"],
        tags=item["tags"],
        by_group=s.mean("click").by(item, user["group"]),
        group_last=s.last_time().by(item, user["group"]).decay("1d"),
        tag_count=s.count().by(user, item["tags"]),
        tag_mean=s.mean("amount").by(user, item["tags"]),
        tag_ratio=s.ratio("click").by(item["tags"]),
        tag_sum=s.sum("units").by(item["tags"]).where(s.click.equals(1)),
        tag_smooth=s.mean("click").by(user, item["tags"]).smooth(0.5, weight=1),
        mean_item=expected,
        hour=s.context.hour_of_day(),
        weekday=s.context.day_of_week(),
        channel=s.context.channel,
        by_channel=s.context.channel.one_hot("web", "épicerie"),
        by_group_of=user["group"].one_hot(*GROUPS),
        last_was=s.last("channel").by(user).one_hot("app", "web"),
        last_hour=s.last_time().by(user).hour(),
        logged=s.sum("amount").by(user).over("3h").log(),
        per_event=(s.sum("amount").by(user) / s.count().by(user)).clip(-100, 100),
        filled=s.mean("amount").by(item).impute(-1).bucket(-1, 0, 50),
        unknown=user["age"].is_missing(),
        crossed=user["group"].cross(s.last("channel").by(item), buckets=50),
        units=s.context.units,
    )
    if residuals:
        declared.features(
            above_user=s.mean(above).by(user),
            above_sum=s.sum(above).by(user),
            above_tags=s.mean(above).by(user, item["tags"]),
        )
    return plan_of(declared)
