"""Declarations fail where they are written, with a sentence that says what is wrong and what exists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from orita import INTERACTION, Column, Entity, Source, system
from orita.core.errors import NotFound, UserError
from orita.features.declarations import duration_micros
from orita.features.keys import encode_id, encode_ids
from orita.features.plan import plan_of

USER = Entity("user", "user_id", "users", [Column("group", "category", choices=("a", "b")), Column("age", "float")])
ITEM = Entity("item", "item_id", "items", [Column("tags", "list", choices=("x", "y")), Column("made", "time")])
SHOWN = Source("interactions", INTERACTION)


@pytest.mark.parametrize(
    ("declare", "says"),
    [
        (lambda: SHOWN.mean("clik"), "Did you mean 'click'"),
        (lambda: SHOWN.mean("device"), "a number is needed"),
        (lambda: USER["gruop"], "Did you mean 'group'"),
        (lambda: SHOWN.count().by(USER, USER), "names a key twice"),
        (lambda: SHOWN.count().by(USER["age"]), "declared values"),
        (lambda: SHOWN.count().by(USER["group"], ITEM["tags"]), "one attribute at most"),
        (lambda: SHOWN.last_time().by(ITEM["tags"]), "several values a row"),
        (lambda: SHOWN.count().smooth(0.1, 2), "applies to mean"),
        (lambda: SHOWN.mean("click").smooth(0.1, 0), "weight > 0"),
        (lambda: SHOWN.count().decay("3d"), "applies to last_time"),
        (lambda: SHOWN.last_time().decay("3 days"), "such as '3d'"),
        (lambda: SHOWN.context.device.one_hot("moble"), "allowed are"),
        (lambda: SHOWN.context.browser, "no column 'browser'"),
        (USER["age"].age, "needs a 'time' attribute"),
        (lambda: ITEM["made"].age(SHOWN.count()), "first_time"),
        (lambda: SHOWN.click - SHOWN.mean("click"), "smoothed mean"),
        (lambda: system("s", label=SHOWN.dwell_time, rank=ITEM, for_=USER), "a flag"),
    ],
)
def test_a_wrong_declaration_says_what_is_wrong(declare: Callable[[], Any], says: str) -> None:
    """Each mistake is refused when it is written, with a sentence that says what is allowed."""
    with pytest.raises(UserError, match=says):
        declare()


def test_a_feature_of_another_entity_is_refused() -> None:
    """A system knows its own user and item; another entity in a key is an error that names both."""
    stranger = Entity("shop", "shop_id")
    declared = system("s", label=SHOWN.click, rank=ITEM, for_=USER)
    with pytest.raises(UserError, match="entity 'shop'"):
        declared.features(x=SHOWN.count().by(stranger))
    declared.features(x=SHOWN.count())
    with pytest.raises(UserError, match="declared twice"):
        declared.features(x=SHOWN.count())
    with pytest.raises(NotFound, match=r"Did you mean 'x'|Known: x"):
        declared.schema(["xx"])


def test_a_schema_knows_sides_and_kinds() -> None:
    """The schema tells towers apart: user, item, pair and context columns, in declared order."""
    declared = system("s", label=SHOWN.click, rank=ITEM, for_=USER)
    declared.features(
        a=SHOWN.count().by(USER),
        b=SHOWN.mean("click").by(ITEM),
        c=SHOWN.count().by(USER, ITEM["tags"]),
        d=SHOWN.context.device.one_hot("mobile", "tablet"),
        e=USER["group"],
        f=SHOWN.mean("click").by(ITEM["tags"]),
    )
    columns = [(c.name, c.side, c.kind, c.cardinality) for c in declared.schema().columns]
    assert columns == [
        ("a", "user", "count", 0),
        ("b", "item", "number", 0),
        ("c", "pair", "count", 0),
        ("d_mobile", "context", "flag", 0),
        ("d_tablet", "context", "flag", 0),
        ("e", "user", "category", 2),
        ("f", "item", "number", 0),
    ]
    assert declared.schema(["d_tablet", "a"]).names == ("d_tablet", "a")


def test_a_changed_declaration_has_another_plan_version() -> None:
    """State written for one set of declarations is never read by another."""
    versions = set()
    for weight in (1.0, 2.0):
        declared = system("s", label=SHOWN.click, rank=ITEM, for_=USER)
        declared.features(a=SHOWN.mean("click").by(USER).smooth(0.5, weight))
        versions.add(plan_of(declared).version)
    assert len(versions) == 2


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
    """Durations are numbers with a unit."""
    assert [duration_micros(text) for text in ("1s", "1.5m", "2h", "3d")] == [
        1_000_000,
        90_000_000,
        7_200_000_000,
        259_200_000_000,
    ]
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
    without = system("s", label=SHOWN.click, rank=ITEM, for_=USER)
    without.features(rates=SHOWN.mean("click").by(USER))
    with pytest.raises(UserError, match=r"model v1.0.0 reads feature 'rate', which system 's' does not declare"):
        without.check(first.schema(["rate"]), "model v1.0.0")
