"""Versions that were declared on other sources and entities are computed beside those of now, or it is said why not."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.features.small_system import NOW, events, ingested, small_workspace

from orita import INTERACTION, Column, Entity, Source, System, TableSchema, system
from orita.core.clock import to_micros
from orita.core.errors import UserError
from orita.features.api.feature_store import FeatureStore
from orita.features.declarations import Expression
from orita.features.declaring.meaning import meaning
from orita.features.plan import plan_of
from orita.features.registry.registry import FeatureRegistry
from orita.pipelines.etl import publish_online
from orita.pipelines.feature_stream import stream_features

TOPIC = Column("topic", "category", choices=("a", "b"))
MADE = Column("made", "time")
RATED = INTERACTION.with_columns(
    Column("rating", "float"), Column("click", "flag", required=True, description="whether it was opened")
)


def declared(
    width: str, schema: TableSchema = INTERACTION, topics: tuple[Column, ...] = (TOPIC, MADE), **source: Any
) -> System:
    """Return a system all of whose features but ``hour`` are over *width*."""
    user, item = Entity("user", "user_id"), Entity("item", "item_id", "items", topics)
    shown = Source("interactions", schema, **source)
    made = system("small", label=shown.click, rank=item, for_=user)
    recent = shown.count().by(user).over(width)
    made.features(
        n=recent,
        rate=shown.ratio("click").by(item).over(width, hop="1h"),
        pair=(shown.count().by(user, item).where(shown.dwell_time > 1).over(width) / recent).clip(0, 1),
        last=shown.last("device").by(user).over(width),
        ago=shown.last_time().by(user).over(width).age(),
        hour=shown.context.hour_of_day(),
        web=shown.context.device.one_hot("mobile"),
    )
    if any(column.name == "topic" for column in topics):
        made.features(topic=item["topic"].cross(shown.count().by(user).over(width), buckets=7))
    return made


def earlier(before: System) -> dict[str, Expression]:
    """Return the features of *before* as a registry gives them back: written down and read again."""
    return {f"{name}@1": expression for name, expression in before.declared.items() if name not in ("hour", "web")}


@pytest.mark.parametrize(
    "after",
    [
        declared("2h", RATED),
        declared("2h", topics=(replace(TOPIC, description="what it is about"), MADE, Column("price", "float"))),
        declared("2h", INTERACTION.with_columns(Column("dwell_time", "float", maximum=9))),
        declared("2h", renamed={"card_id": "user_id"}),
    ],
)
def test_versions_share_the_sources_and_entities_of_now(after: System) -> None:
    """Columns, descriptions, rules and names that a feature does not read change nothing of it: one record a key."""
    before = declared("1h")
    kept = after.keep_earlier(earlier(before))
    assert list(kept.earlier) == list(earlier(before)) and not kept.lost
    assert [meaning(each) for each in kept.earlier.values()] == [meaning(each) for each in earlier(before).values()]
    plan = plan_of(kept)
    assert [record.name for record in plan.records] == [record.name for record in plan_of(after).records]
    assert {record.source for record in plan.records} == {after.source}
    for aggregate in plan.aggregates:
        plan.place(aggregate)
    for attribute in plan.attributes:
        plan.attribute_place(attribute)
    assert kept.check(before.schema(), "model v1.0.0")[0] == "n@1"


WITHOUT = replace(INTERACTION, columns=tuple(c for c in INTERACTION.columns if c.name != "dwell_time"))


@pytest.mark.parametrize(
    ("after", "name", "says"),
    [
        (declared("2h", delay="5m"), "n", "source 'interactions' had delay='0s' then and has '5m' now: declare it as"),
        (declared("2h", topics=(MADE,)), "topic", "entity 'item' has no attribute 'topic' any more"),
        (declared("2h", topics=(replace(TOPIC, choices=("b", "a")),)), "topic", "type or choices of a column that it"),
        (declared("2h", replace(INTERACTION, ingested=None)), "rate", "the key, the times, or the type or choices"),
    ],
)
def test_what_would_mean_something_else_is_told_to_who_reads_it(after: System, name: str, says: str) -> None:
    """A version is never computed with another meaning: its reader is told what changed, and what to do."""
    before = declared("1h")
    kept = after.keep_earlier(earlier(before))
    assert f"{name}@1" not in kept.earlier
    plan_of(kept)
    with pytest.raises(UserError, match=f"model v1.0.0 was trained on another declaration of feature '{name}'") as told:
        kept.check(before.schema([name]), "model v1.0.0")
    assert says in str(told.value)
    assert str(told.value).endswith("or train a new model.")


def test_a_column_that_is_gone_is_told() -> None:
    """A filter of a column that the source does not declare any more cannot be computed."""
    before, shown = declared("1h"), Source("interactions", WITHOUT)
    after = system("small", label=shown.click, rank=before.item, for_=before.user)
    after.features(n=shown.count())
    kept = after.keep_earlier(earlier(before))
    assert set(earlier(before)) - set(kept.earlier) == {"pair@1"}
    with pytest.raises(UserError, match="'interactions' has no column 'dwell_time' any more"):
        kept.check(before.schema(["pair"]), "model v1.0.0")


def test_a_filter_of_a_column_of_another_type_is_told() -> None:
    """What was compared as a number cannot be compared with texts; such a version stops nothing else."""
    before = declared("1h")
    texts = replace(
        INTERACTION,
        columns=tuple(replace(c, type="str", minimum=None, maximum=None) if c.name == "dwell_time" else c
                      for c in INTERACTION.columns),
    )  # fmt: skip
    shown = Source("interactions", texts)
    after = system("small", label=shown.click, rank=before.item, for_=before.user)
    after.features(n=shown.count())
    kept = after.keep_earlier(earlier(before))
    assert set(earlier(before)) - set(kept.earlier) == {"pair@1"}
    with pytest.raises(UserError, match="type or choices of a column that it reads are others now"):
        kept.check(before.schema(["pair"]), "model v1.0.0")


def test_old_and_new_are_served_side_by_side(tmp_path: Path) -> None:
    """After a column was added and a window changed, both versions have their values: published, streamed, offline."""
    before, after = declared("1h"), declared("3h", RATED)
    workspace = small_workspace(tmp_path, before)
    ingested(workspace.home, tmp_path, events(40), before)
    registry = FeatureRegistry.of(workspace.home, "small")
    registry.record(before)
    registry.record(after)
    kept = registry.kept_for(after, [before.schema()])
    workspace = replace(workspace, system=kept)
    publish_online(workspace)
    stamp = (NOW - timedelta(minutes=1)).isoformat()
    with closing(FeatureStore(workspace.home, kept, clock=workspace.clock)) as store:
        store.push_features([{"interaction_id": "new", "user_id": 1, "item_id": 101, "timestamp": stamp, "click": 1,
                              "dwell_time": 2.0, "device": "tablet", "rating": 4.5, "ingested_at": stamp}])  # fmt: skip
    stream_features(workspace, until=lambda _: False, once=True)
    with closing(FeatureStore(workspace.home, kept, clock=workspace.clock)) as store:
        at, values = to_micros(NOW), {}
        for schema in (before.schema(), after.schema()):
            reader = store._online.reader(schema)
            values[schema.version] = dict(zip(schema.names, reader.values(1, [101], {}, at)[0].tolist(), strict=True))
        row = {"user_id": 1, "item_id": 101, "timestamp": NOW.isoformat()}
        (offline,) = store.get_offline_features([row]).to_pylist()
    old, new = values.values()
    assert (old["n"], new["n"], offline["n"]) == (1, 3, 3)
    assert old["rate"] == 1 and new["rate"] == pytest.approx(offline["rate"])
    assert old["last"] == new["last"] == offline["last"] == 2


def test_a_registry_keeps_one_feature_under_each_name(tmp_path: Path) -> None:
    """Two features that meant the same are two: who reads either finds it under its name, also once one is gone."""
    shown, user, item = Source("interactions", INTERACTION), Entity("user", "user_id"), Entity("item", "item_id")
    before, after = (system("small", label=shown.click, rank=item, for_=user) for _ in range(2))
    before.features(a=shown.count().by(user), b=shown.count().by(user), c=shown.count().by(user))
    after.features(a=shown.count().by(item), c=shown.count().by(user))
    registry = FeatureRegistry.of(small_workspace(tmp_path).home, "small")
    registry.record(before)
    registry.record(after)
    kept = registry.kept_for(after, [before.schema()])
    assert kept.check(before.schema(), "model v1.0.0") == ("a@1", "b@1", "c")
    assert json.loads(registry.file.read_text())["system"] == "small"
