"""Declarations fail where they are written, with a sentence that says what is wrong and what exists."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.features.typing_sample import PAYMENT, branch, card, fraud_system, payee, payments, refunds, shop

from orita import INTERACTION, Column, Entity, Source, System, TableSchema, feature, system
from orita.core.errors import NotFound, UserError
from orita.features.declarations import MICROS_PER_DAY, Aggregate, Expression, Window
from orita.features.declaring.meaning import meaning
from orita.features.declaring.windows import duration_micros, duration_text
from orita.features.keys import encode_id, encode_ids
from orita.features.plan import plan_of

HOUR = MICROS_PER_DAY // 24

USER = Entity("user", "user_id", "users", [Column("group", "category", choices=("a", "b")), Column("age", "float")])
ITEM = Entity("item", "item_id", "items", [Column("tags", "list", choices=("x", "y")), Column("made", "time")])
SHOWN = Source("interactions", INTERACTION)
NAN = float("nan")
WEEKS = SHOWN.count().over("1d", "7d")


def declared(**features: Any) -> System:
    """Return a system with *features*."""
    made = system("s", label=SHOWN.click, rank=ITEM, for_=USER)
    made.features(**features)
    return made


@pytest.mark.parametrize(
    ("declare", "says"),
    [
        (lambda: SHOWN.mean("clik"), "Did you mean 'click'"),
        (lambda: SHOWN.mean("device"), "a number is needed"),
        (lambda: SHOWN.last("timestamp"), "a number or a category is needed for last"),
        (lambda: SHOWN.first("request_id"), "is of type 'str'"),
        (lambda: Source("e", with_column("kind", "category")).last("kind"), "needs choices for last"),
        (lambda: Source("e", with_column("tags", "list")).count_distinct("tags"), "no list is needed"),
        (lambda: SHOWN.count_distinct("device", cap=0), "whole numbers from 1 to 100000; beyond, use approx_distinct"),
        (lambda: SHOWN.count_distinct("device", cap=2.5), r"cap=2.5\): allowed are whole numbers"),  # type: ignore[arg-type]
        (lambda: SHOWN.count_distinct("device", cap="5"), r"cap='5'\): allowed are whole numbers"),  # type: ignore[arg-type]
        (lambda: SHOWN.approx_distinct("device", lg_k=3), "allowed are whole numbers from 4 to 16"),
        (lambda: SHOWN.approx_distinct("device", lg_k=4.5), "allowed are whole numbers from 4 to 16"),  # type: ignore[arg-type]
        (lambda: SHOWN.quantile("dwell_time", 0), "more than 0, and 1 at most"),
        (lambda: SHOWN.quantile("dwell_time", "0.5"), "share='0.5'.: allowed is more than 0"),  # type: ignore[arg-type]
        (lambda: SHOWN.std("dwell_time", ddof=2), "allowed are 0"),
        (lambda: SHOWN.decayed_sum("dwell_time", "0d"), "half_life '0d' is not understood"),
        (lambda: USER["gruop"], "Did you mean 'group'"),
        (lambda: SHOWN.count().by(USER, USER), "names a key twice"),
        (lambda: SHOWN.count().by("user"), "by.. takes entities .* not str 'user'"),  # type: ignore[arg-type]
        (lambda: SHOWN.count().by(USER["age"]), "declared values"),
        (lambda: SHOWN.count().by(USER["group"], ITEM["tags"]), "one attribute at most"),
        (lambda: SHOWN.count().by(shop), "no column 'shop_id', the key of entity 'shop'.* renamed="),
        (lambda: SHOWN.last_time().by(ITEM["tags"]), "several values a row"),
        (lambda: SHOWN.count().over("7d").by(ITEM["tags"]), r"count\(\) over sliding cannot be keyed by 'item_tags'"),
        (lambda: SHOWN.count().by(ITEM["tags"]).over("7d"), "a window cannot be keyed by 'item_tags'"),
        (lambda: payments.count().by(card).for_(shop), r"kinds \['card'\], as in by\(\), got \['shop'\]"),
        (lambda: SHOWN.count().over("1d", hop="2d"), "may not be longer than the window"),
        (lambda: SHOWN.count().over("1d", hop="1h", cap=5), "needs no cap"),
        (lambda: SHOWN.count().over("1d", cap=0), "cap=0: allowed are whole numbers from 1 to 1000000"),
        (lambda: SHOWN.count().session("1d", cap=True), "cap=True: allowed are whole numbers from 1 to 1000000"),
        (lambda: SHOWN.count().over("1d", hop=""), "hop '' is not understood"),
        (lambda: SHOWN.count().over(7), "7 is not understood: write a positive number and s, m, h or d"),  # type: ignore[call-overload]
        (lambda: SHOWN.count().over("1d", "24h"), r"over\('1d', '24h'\): '1d' and '24h' are one window"),
        (lambda: SHOWN.count().over("1d", "1d"), "'1d' and '1d' are one window"),
        (lambda: SHOWN.count().over("1 day"), "such as '3d'"),
        (lambda: SHOWN.count().over("40000d"), "a hundred years at most"),
        (lambda: SHOWN.count().over(f"1{'0' * 400}d"), "a hundred years at most"),
        (lambda: SHOWN.count().over("1d", "week"), "'week' is not understood"),
        (lambda: SHOWN.count().session("0s"), r"session\(\) '0s' is not understood"),
        (lambda: SHOWN.count().tumbling("-1d"), r"tumbling\(\) '-1d' is not understood"),
        (lambda: SHOWN.count().delayed("soon"), r"delayed\(\) 'soon' is not understood"),
        (lambda: SHOWN.count().ttl("0d"), r"ttl\(\) '0d' is not understood"),
        (lambda: SHOWN.count().smooth(0.1, 2), "applies to mean"),
        (lambda: SHOWN.mean("click").smooth(0.1, 0), "weight > 0"),
        (lambda: SHOWN.mean("click").smooth(float("nan"), 1), "needs numbers"),
        (lambda: SHOWN.mean("click").smooth("a", 1), "needs numbers"),  # type: ignore[arg-type]
        (lambda: SHOWN.count().decay("3d"), "applies to last_time"),
        (lambda: SHOWN.last_time().decay("3 days"), "such as '3d'"),
        (lambda: SHOWN.count().age(), r"age\(\) applies to last_time\(\) and first_time\(\)"),
        (lambda: SHOWN.context.device.one_hot("moble"), "Did you mean 'mobile'"),
        (lambda: SHOWN.context.browser, "no column 'browser'"),
        (USER["age"].age, "needs a 'time' attribute"),
        (lambda: ITEM["made"].age(SHOWN.count()), "first_time"),
        (lambda: SHOWN.click - SHOWN.mean("click"), "smoothed mean"),
        (lambda: SHOWN.click - SHOWN.mean("click").by(ITEM["tags"]).smooth(0, 1), "holds several values a row"),
        (lambda: SHOWN.device > 3, "> compares a number with a number: column 'device'"),
        (lambda: SHOWN.dwell_time > NAN, "compares a number with a number: .* the value is nan"),
        (lambda: SHOWN.position < "3", "the value is '3'"),  # type: ignore[operator]
        (lambda: SHOWN.device.equals("mobil"), r"cannot be 'mobil': allowed is \['mobile', 'desktop', 'tablet'\]"),
        (lambda: SHOWN.click.equals("1"), "cannot be '1': allowed is a number"),
        (lambda: SHOWN.request_id.one_of("a", 1), "cannot be 1: allowed is text"),
        (SHOWN.device.one_of, "it takes values"),
        (lambda: SHOWN.timestamp.equals(0), "of type 'time'"),
        (lambda: (SHOWN.click > 0) and (SHOWN.position > 1), "combined with &"),
        (lambda: SHOWN.count().where(SHOWN.click == 1), "takes a condition .* not bool False"),  # type: ignore[arg-type,comparison-overlap]
        (lambda: SHOWN.count().where(payments.amount > 3), "source 'interactions' has no column 'amount'"),
        (lambda: system("s", label=SHOWN.dwell_time, rank=ITEM, for_=USER), "a flag"),
        (lambda: system("s", label="click", rank=ITEM, for_=USER), "label='click': a column of a source"),  # type: ignore[arg-type]
        (lambda: system("s", label=SHOWN.click, rank="item", for_=USER), "rank='item': an entity"),  # type: ignore[arg-type]
        (lambda: system("", label=SHOWN.click, rank=ITEM, for_=USER), "system '' is not a name: use 1 to 63"),
        (lambda: system("../up", label=SHOWN.click, rank=ITEM, for_=USER), "system '../up' is not a name"),
        (lambda: system("s", label=SHOWN.click, rank=USER, for_=USER), r"rank 'user' for itself.* user.role\("),
        (lambda: Entity("user", ""), "has the key '': name one column"),
        (lambda: Entity("user", ("a", 3)), "has the key .* name one column"),  # type: ignore[arg-type]
        (lambda: Entity("a user", "a"), "entity 'a user' is not a name: use letters, digits and '_'"),
        (lambda: payments.count().by(card).for_("payee"), r"takes entities, such as .*, not 'payee'"),  # type: ignore[arg-type]
        (lambda: WEEKS.by(USER).age(), r"age\(\) is of one window: write over\('1d'\).age\(…\), a feature each"),  # type: ignore[attr-defined]
        (lambda: WEEKS.session("1h"), r"session\(\) is of one window"),  # type: ignore[attr-defined]
        (lambda: WEEKS.by(USER).log(), r"log\(\) takes a number, not over\('1d', '7d'\), which are several"),
        (lambda: WEEKS / 2, "/ takes a number, not over"),
        (lambda: SHOWN.count() / WEEKS, "/ takes a number, not over"),
        (lambda: WEEKS.by(USER).is_missing(), r"is_missing\(\) takes a value of the row, not over"),
        (lambda: Source("users", USER.schema), "needs a schema with a time column"),
        (lambda: Source("interactions", INTERACTION, delay="later"), "source 'interactions': delay 'later'"),
        (lambda: Source("interactions", INTERACTION, renamed={"user_id": "usr"}), "has no column 'usr'"),
        (lambda: Entity("user", ()), "name one column, or several different"),
        (lambda: Entity("user", ("a", "a")), "name one column, or several different"),
        (lambda: Entity("user", ("a", "b"), "users"), "needs a key of one column"),
        (lambda: Entity("user", "a", attributes=[Column("age", "int")]), "has attributes and no table"),
        (lambda: branch.role("other", "bank"), "needs 2 key columns, got 'bank'"),
        (lambda: branch.schema, "no attribute table"),
        (lambda: feature(feature(SHOWN.count())), "takes an expression, not a feature"),  # type: ignore[arg-type]
        (lambda: feature(SHOWN.count(), fresh="now"), "fresh 'now' is not understood"),
        (lambda: feature(SHOWN.count(), fresh=""), "fresh '' is not understood"),
        (lambda: feature(SHOWN.count(), cost=4096), "cost 4096 is not understood"),  # type: ignore[arg-type]
        (lambda: feature(SHOWN.count(), cost="4 apples"), "cost '4 apples' is not understood"),
    ],
)
def test_a_wrong_declaration_says_what_is_wrong(declare: Callable[[], Any], says: str) -> None:
    """Each mistake is refused when it is written, with a sentence that says what is allowed."""
    with pytest.raises(UserError, match=says):
        declare()


def with_column(name: str, type_: Any) -> TableSchema:
    """Return the schema of interactions with one more column."""
    return INTERACTION.with_columns(Column(name, type_))


@pytest.mark.parametrize(
    ("features", "says"),
    [
        ({"x": 3}, "feature 'x' is 3: a feature is made of events, attributes or the request"),
        ({"x": "abc"}, "feature 'x' is 'abc'"),
        ({"x": SHOWN.click}, "feature 'x' is EventColumn"),
        ({"a@1": SHOWN.count()}, "feature 'a@1' is not a name: use letters, digits and '_'"),
        ({"a b": SHOWN.count()}, "feature 'a b' is not a name"),
        ({"x": SHOWN.last_time().by(USER)}, r"feature 'x' is a time; make a number of it with age\(\)"),
        ({"x": ITEM["made"]}, "feature 'x' is a time"),
        ({"x": SHOWN.context.request_id}, "feature 'x' is a column of type 'str'"),
        ({"x": SHOWN.count().by(Entity("hour", "position")), "y": payments.count().by(card)}, "entity 'card'"),
        ({"x": replace(SHOWN, delay="1h").count()}, "reads another declaration of source 'interactions'"),
        ({"x": payments.context.channel.one_hot("web")}, "no column 'channel'"),
        ({"d": SHOWN.context.device.one_hot("mobile"), "d_mobile": SHOWN.count()}, "'d_mobile', as 'd' does"),
        ({"n_7d": SHOWN.count(), "n": SHOWN.count().over("1d", "7d")}, "feature 'n_7d' is declared twice"),
        ({"target": SHOWN.count()}, "'target', as 'every training row' does"),
    ],
)
def test_a_system_refuses_what_its_rows_cannot_have(features: dict[str, Any], says: str) -> None:
    """What is no number, what rows do not name, and two columns of one name are refused."""
    with pytest.raises(UserError, match=says):
        declared(**features)


def test_a_feature_of_another_entity_is_refused() -> None:
    """A system knows its own user and item; another entity in a key is an error that names both."""
    made = declared(x=SHOWN.count())
    with pytest.raises(UserError, match="entity 'shop'"):
        made.features(y=SHOWN.count().by(Entity("shop", "shop_id")))
    with pytest.raises(UserError, match="declared twice"):
        made.features(x=SHOWN.count())
    with pytest.raises(NotFound, match=r"Did you mean 'x'|Known: x"):
        made.schema(["xx"])
    assert made.schema().names == ("x",)


@pytest.mark.parametrize(
    ("aggregate", "window"),
    [
        (SHOWN.count(), Window()),
        (SHOWN.count().over("7d"), Window("sliding", 7 * MICROS_PER_DAY, cap=10_000)),
        (SHOWN.count().over("7d", cap=3), Window("sliding", 7 * MICROS_PER_DAY, cap=3)),
        (SHOWN.count().over("7d", hop="1h"), Window("sliding", 7 * MICROS_PER_DAY, hop=HOUR)),
        (SHOWN.count().tumbling("1d"), Window("tumbling", MICROS_PER_DAY)),
        (SHOWN.count().session("30m"), Window("session", HOUR // 2, cap=10_000)),
        (SHOWN.count().delayed("1d").over("7d", hop="1h"), Window("sliding", 7 * MICROS_PER_DAY, HOUR, MICROS_PER_DAY)),
        (SHOWN.count().over("7d", hop="1h").delayed("1d"), Window("sliding", 7 * MICROS_PER_DAY, HOUR, MICROS_PER_DAY)),
        (SHOWN.count().delayed("1d"), Window(delay=MICROS_PER_DAY)),
    ],
)
def test_windows_are_what_was_written(aggregate: Aggregate, window: Window) -> None:
    """A window, its hop, delay and cap are kept in microseconds, in whichever order they were written."""
    assert aggregate.window == window


def test_several_windows_are_several_features() -> None:
    """One declaration over several windows makes a feature of each, named after it, and every method reaches all."""
    each = SHOWN.mean("click").over("1d", "7d", hop="1h").by(USER).where(SHOWN.position > 1)
    made = declared(rate=feature(each.delayed("1h").ttl("3d").smooth(0.5, 2), "A rate.", owner="team"), n=SHOWN.count())
    assert list(made.declared) == ["rate_1d", "rate_7d", "n"]
    one = SHOWN.mean("click").over("7d", hop="1h").by(USER).where(SHOWN.position > 1)
    assert made.declared["rate_7d"] == one.delayed("1h").ttl("3d").smooth(0.5, 2)
    assert {made.notes[name].owner for name in ("rate_1d", "rate_7d")} == {"team"}
    paid = payments.count().by(card).over("1d", "7d").for_(payee)
    assert paid.each[1][1] == payments.count().by(card).over("7d").for_(payee)


def test_conditions_are_joined() -> None:
    """A second where() narrows the first, and conditions combine with &, | and ~."""
    first, second = SHOWN.position > 1, ~SHOWN.device.equals("mobile") | (SHOWN.click >= 1)
    assert SHOWN.count().where(first).where(second) == SHOWN.count().where(first & second)


def test_notes_say_whose_it_is_and_change_nothing() -> None:
    """Owner, description, freshness and cost are kept with the feature, and no digest depends on them."""
    plain = SHOWN.count().by(USER)
    noted = declared(n=feature(plain, "Seen before.", owner="feed team", fresh="1.5s", cost="4KB"))
    notes = noted.notes["n"]
    assert (notes.description, notes.owner, notes.fresh, notes.most_bytes) == (
        "Seen before.", "feed team", 1_500_000, 4096,
    )  # fmt: skip
    assert noted.schema().columns[0].description == "Seen before."
    assert noted.schema().version == declared(n=plain).schema().version
    assert plan_of(noted).version == plan_of(declared(n=plain)).version
    assert declared(n=plain).notes["n"].most_bytes == 0


def test_a_schema_knows_sides_and_kinds() -> None:
    """The schema tells towers apart: user, item, pair and context columns, in declared order."""
    made = declared(
        a=SHOWN.count().by(USER),
        b=SHOWN.mean("click").by(ITEM),
        c=SHOWN.count().by(USER, ITEM["tags"]),
        d=SHOWN.context.device.one_hot("mobile", "tablet"),
        e=USER["group"],
        f=SHOWN.mean("click").by(ITEM["tags"]),
        g=ITEM["tags"],
        h=SHOWN.last("device").by(USER),
        i=SHOWN.context.day_of_week(),
    )
    columns = [(c.name, c.side, c.kind, c.cardinality, c.arrow) for c in made.schema().columns]
    assert columns == [
        ("a", "user", "count", 0, "int64"),
        ("b", "item", "number", 0, "float32"),
        ("c", "pair", "count", 0, "int64"),
        ("d_mobile", "context", "flag", 0, "int8"),
        ("d_tablet", "context", "flag", 0, "int8"),
        ("e", "user", "category", 2, "int16"),
        ("f", "item", "number", 0, "float32"),
        ("g_x", "item", "flag", 0, "int8"),
        ("g_y", "item", "flag", 0, "int8"),
        ("h", "user", "category", 3, "int16"),
        ("i", "context", "category", 7, "int8"),
    ]
    assert made.schema(["d_tablet", "a"]).names == ("d_tablet", "a")
    assert made.schema(["d", "a"]).names == ("d_mobile", "d_tablet", "a")


ROLLED = SHOWN.mean("dwell_time").by(USER, ITEM).over("7d", hop="1h").where(SHOWN.position > 1)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ROLLED, ROLLED.over("8d", hop="1h")),
        (ROLLED, ROLLED.over("7d", hop="2h")),
        (ROLLED, ROLLED.over("7d")),
        (ROLLED, ROLLED.tumbling("7d")),
        (ROLLED, ROLLED.delayed("1h")),
        (ROLLED, ROLLED.ttl("9d")),
        (ROLLED, ROLLED.where(SHOWN.click > 0)),
        (ROLLED, ROLLED.by(USER)),
        (ROLLED, ROLLED.smooth(0.5, 1)),
        (ROLLED.smooth(0.5, 1), ROLLED.smooth(0.5, 2)),
        (ROLLED, replace(ROLLED, function="max")),
        (ROLLED.over("7d", cap=5), ROLLED.over("7d", cap=6)),
        (SHOWN.sum("dwell_time"), SHOWN.sum("position")),
        (SHOWN.ratio("click"), SHOWN.ratio("click", "position")),
        (SHOWN.quantile("dwell_time", 0.5), SHOWN.quantile("dwell_time", 0.9)),
        (SHOWN.count(), replace(SHOWN, delay="1s").count()),
        (SHOWN.count(), Source("interactions", replace(INTERACTION, ingested=None)).count()),
        (payments.count().by(card), payments.count().by(card).for_(payee)),
        (payments.count().by(card), payments.count().by(payee)),
        (payments.count().by(card, payee).for_(payee, card), payments.count().by(card, payee)),
        (refunds.count().by(card), replace(refunds, renamed={"card_id": "refund_id"}).count().by(card)),
        (SHOWN.last_time().decay("3d"), SHOWN.last_time().decay("2d")),
        (SHOWN.last_time().age(), SHOWN.first_time().age()),
        (USER["group"], replace(USER, attributes=[Column("group", "category", choices=("b", "a"))])["group"]),
        (card["limit"], payee["limit"]),
        (ITEM["made"].age(), ITEM["made"].age(SHOWN.first_time())),
        (SHOWN.count().log(), SHOWN.count().log(floor=1)),
        (SHOWN.count().bucket(1, 2), SHOWN.count().bucket(1, 3)),
        (SHOWN.count() - 1, 1 - SHOWN.count()),
        (SHOWN.count() / SHOWN.sum("click"), SHOWN.sum("click") / SHOWN.count()),
        (SHOWN.context.device, SHOWN.context.time_of_day),
        (SHOWN.context.hour_of_day(), SHOWN.context.day_of_week()),
        (USER["group"].one_hot("a"), SHOWN.context.device.one_hot("mobile")),
    ],
)
def test_meaning_changes_with_what_values_depend_on(one: Expression, other: Expression) -> None:
    """Two declarations that may give different values never share a digest."""
    assert meaning(one) != meaning(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (SHOWN.count().by(USER, ITEM), SHOWN.count().by(ITEM, USER)),
        (SHOWN.count().by(USER), SHOWN.count().by(Entity("viewer", "user_id"))),
        (SHOWN.count().by(USER), Source("interactions", with_column("more", "int")).count().by(USER)),
        (refunds.count().by(card), replace(refunds, renamed={"card_id": "card", "shop_id": "card"}).count().by(card)),
        (SHOWN.count().delayed("1d").over("7d"), SHOWN.count().over("168h").delayed("24h")),
        (SHOWN.count().where(SHOWN.position > 1), SHOWN.count().where(SHOWN.position > 1.0)),
        (SHOWN.mean("click").smooth(1, 2), SHOWN.mean("click").smooth(1.0, 2.0)),
        (SHOWN.count().by(card.role("user", "user_id")), SHOWN.count().by(USER)),
        (SHOWN.count().log(floor=1), SHOWN.count().log(floor=1.0)),
        (SHOWN.context.device.one_hot("mobile"), SHOWN.context.device.one_hot("mobile", "tablet")),
    ],
)
def test_meaning_stays_where_values_do(one: Expression, other: Expression) -> None:
    """Names, order of keys, further columns and ways of writing do not change the digest."""
    assert meaning(one) == meaning(other)


def test_a_meaning_is_the_same_everywhere() -> None:
    """A digest of a fixed declaration is pinned: models that were trained on it must be found again."""
    assert meaning(SHOWN.count().by(USER)) == "0bb52c10b145"


def test_a_plan_has_a_record_for_each_kind_of_key() -> None:
    """Records hold slots without gaps, one a state; rows read them by their own ids, roles the same record."""
    plan = plan_of(fraud_system())
    assert [record.name for record in plan.records] == ["card", "shop", "branch", "card_shop", "refunds:card"]
    for record in plan.records:
        taken = [range(a.start, a.start + a.width) for a in record.attributes]
        taken += [range(a.start, a.start + a.width) for a in record.aggregates]
        assert [slot for each in taken for slot in each] == list(range(2, record.width))
    reads = [(read.record.name, tuple(entity.name for entity in read.entities)) for read in plan.reads]
    assert reads == [
        ("card", ("card",)),
        ("card", ("payee",)),
        ("shop", ("shop",)),
        ("branch", ("branch",)),
        ("card_shop", ("card", "shop")),
        ("refunds:card", ("card",)),
    ]


def test_every_aggregate_and_attribute_has_a_place() -> None:
    """What a feature reads is found in the record of its source and key, by the entities that rows look it up by."""
    plan = plan_of(fraud_system())
    for aggregate in plan.aggregates:
        position, slots = plan.place(aggregate)
        read = plan.reads[position]
        assert read.record.source == aggregate.source
        assert set(read.entities) == set(aggregate.looked_up)
        assert slots in read.record.aggregates and slots.aggregate.window == aggregate.window
        assert slots.groups == (2 if aggregate.attribute else 1)
    for attribute in plan.attributes:
        position, held = plan.attribute_place(attribute)
        assert plan.reads[position].entities == (attribute.entity,)
        assert held.attribute.column == attribute.column
    assert {entity.name for entity in plan.entities} == {"card", "shop", "payee", "branch"}


def test_state_is_shared_where_it_is_the_same() -> None:
    """Keys in another order, roles that look it up, priors and times to live do not make a second state."""
    count = payments.mean("amount").by(card, shop)
    made = system("s", label=payments.fraud, rank=shop, for_=card)
    made.features(
        a=count, b=payments.mean("amount").by(shop, card), c=count.smooth(1, 2), d=count.for_(payee, shop),
        e=count.ttl("1d"), f=count.ttl("2d"),
    )  # fmt: skip
    (record,) = plan_of(made).records
    assert [slots.name for slots in record.aggregates] == ["a0", "a4"]  # one keeps the time of the last event, too
    assert [tuple(e.name for e in read.entities) for read in plan_of(made).reads] == [
        ("card", "shop"),
        ("payee", "shop"),
    ]


def test_a_changed_declaration_has_another_plan_version() -> None:
    """State written for one set of declarations is never read by another."""
    versions = {
        plan_of(declared(a=SHOWN.mean("click").by(USER).smooth(0.5, 1))).version,
        plan_of(declared(a=SHOWN.mean("click").by(USER).smooth(0.5, 2))).version,
        plan_of(declared(a=SHOWN.mean("click").by(USER), b=SHOWN.count().by(USER))).version,
        plan_of(declared(b=SHOWN.count().by(USER), a=SHOWN.mean("click").by(USER))).version,
        plan_of(declared(a=SHOWN.mean("click").by(USER), b=USER["group"])).version,
    }
    assert len(versions) == 5


def test_a_residual_is_planned_after_its_mean() -> None:
    """What is left once a mean is accounted for needs the mean first, as of each event."""
    mean = SHOWN.mean("click").by(ITEM).smooth(0.1, 5)
    plan = plan_of(declared(beyond=SHOWN.mean(SHOWN.click - mean).by(USER), seen=SHOWN.count().by(USER)))
    left = next(a for a in plan.aggregates if a not in (mean, SHOWN.count().by(USER)))
    assert plan.aggregates.index(mean) < plan.aggregates.index(left) and len(plan.residuals) == 1


def test_tables_are_those_that_features_read() -> None:
    """A system names the tables of its sources and entities, with the id columns of the tables themselves."""
    tables = fraud_system().tables
    assert sorted(tables) == ["cards", "payments", "refunds", "shops"]
    assert tables["payments"] == PAYMENT and tables["cards"].key == "card_id"
    made = system("s", label=payments.fraud, rank=shop, for_=card)
    made.features(limit=payee["limit"])
    assert made.tables["cards"].key == "card_id"
    assert made.schema().columns[0].side == "context"


def test_keys_cannot_collide() -> None:
    """Ids are self-delimiting: neighbours, types and long names never share a key."""
    pairs: list[tuple[int | str, int | str]] = [
        (1, 11),
        (11, 1),
        ("a", "bc"),
        ("ab", "c"),
        ("1", "1"),
        (1, 1),
        ("x" * 300, "y"),
        ("x" * 301, "y"),
    ]
    keys = {b"".join(encode_ids(list(pair))) for pair in pairs}
    assert len(keys) == len(pairs)
    assert max(map(len, keys)) < 255
    assert encode_id(-1) < encode_id(0) < encode_id(1)


def test_durations() -> None:
    """Durations are numbers with a unit, and are told in the longest unit that is whole."""
    texts = ("1s", "90s", "2h", "3d", "0.5s")
    micros = [duration_micros(text) for text in texts]
    assert micros == [1_000_000, 90_000_000, 7_200_000_000, 259_200_000_000, 500_000]
    assert tuple(map(duration_text, micros)) == texts
    assert duration_micros("0s", zero=True) == 0
    with pytest.raises(UserError):
        duration_micros("0d")


def test_a_feature_that_means_something_else_is_refused() -> None:
    """A model is not fed another feature under the name that it knows, nor one whose categories have other codes."""
    topics = [("x", "y"), ("x", "y"), ("y", "x")]
    weights = [1.0, 1.0, 2.0]
    systems = []
    for choices, weight in zip(topics, weights, strict=True):
        item = Entity("item", "item_id", "items", [Column("topic", "category", choices=choices)])
        made = system("s", label=SHOWN.click, rank=item, for_=USER)
        made.features(topic=item["topic"], rate=SHOWN.mean("click").by(USER).smooth(0.5, weight))
        systems.append(made)
    first, same, other = systems
    same.check(first.schema(), "model v1.0.0")
    assert same.schema().version == first.schema().version != other.schema().version
    for name in ("topic", "rate"):
        with pytest.raises(UserError, match=f"model v1.0.0 was trained on another declaration of feature '{name}'"):
            other.check(first.schema([name]), "model v1.0.0")
    without = declared(rates=SHOWN.mean("click").by(USER))
    with pytest.raises(UserError, match=r"model v1.0.0 reads feature 'rate', which system 's' does not declare"):
        without.check(first.schema(["rate"]), "model v1.0.0")


def test_an_earlier_version_is_computed_for_who_reads_it() -> None:
    """A feature that changed is also computed as it was, under its version's name, for a model of that time."""
    before, after = declared(rate=SHOWN.ratio("click").by(USER)), declared(rate=SHOWN.ratio("share").by(USER))
    kept = after.keep_earlier({"rate@1": before.declared["rate"]})
    assert kept.check(before.schema(), "model v1.0.0") == ("rate@1",)
    assert kept.check(after.schema(), "model v2.0.0") == ("rate",)
    assert list(kept.kept) == ["rate", "rate@1"] and kept.schema().names == ("rate",)
    assert len(plan_of(kept).aggregates) == 2


def test_declaring_needs_no_numpy() -> None:
    """A system is declared, with transforms, by a process that never loads an array library."""
    sample = Path(__file__).parent.parent.parent / "systems" / "feed" / "implementation" / "data_models.py"
    code = (
        f"import sys, runpy; made = runpy.run_path({str(sample)!r})['feed'];"
        "made.features(x=(made.source.count() / 3).log().bucket(1)); made.schema();"
        "print(sorted({'numpy', 'pyarrow', 'duckdb', 'numba'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
