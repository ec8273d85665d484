"""The feature registry: every version of every declaration, kept as data."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from tests.features.small_system import DECLARED, NOW, declared_system

from orita import INTERACTION, Column, Entity, Source, System, feature, system
from orita.core.clock import ManualClock
from orita.core.errors import NotFound, OritaError, UserError
from orita.core.home import Home
from orita.features.declarations import Expression
from orita.features.declaring.functions import track_lineage
from orita.features.declaring.meaning import meaning
from orita.features.registry.registry import FeatureRegistry
from orita.features.registry.written import read_expression, written_expression

USER = Entity("user", key="user_id", table="users", attributes=[Column("joined", "time"), Column("age", "int")])
ITEM = Entity("item", key="item_id", table="items", attributes=[Column("topic", "category", choices=("a", "b"))])
SHOWN = Source("interactions", INTERACTION, delay="5m")

EVERY: dict[str, Expression] = {
    "aggregate": SHOWN.std("dwell_time", ddof=0).by(USER, ITEM["topic"]).over("7d", hop="1h").delayed("2d"),
    "filtered": SHOWN.count().by(ITEM).where((SHOWN.dwell_time > 3) & ~SHOWN.device.one_of("mobile")).ttl("9d"),
    "session": SHOWN.last("device").by(USER).session("30m", cap=7),
    "residual": SHOWN.mean(SHOWN.click - SHOWN.mean("click").by(ITEM).smooth(0.1, 3)).by(USER),
    "ratio": SHOWN.ratio("click", "dwell_time").by(USER).tumbling("1d"),
    "decay": SHOWN.last_time().by(USER, ITEM).decay("3d"),
    "elapsed": SHOWN.first_time().by(USER).age(),
    "age": USER["joined"].age(otherwise=SHOWN.first_time().by(USER)),
    "attribute": ITEM["topic"],
    "context": SHOWN.context.position,
    "hour": SHOWN.context.hour_of_day(),
    "day": SHOWN.context.day_of_week(),
    "one_hot": SHOWN.context.device.one_hot("mobile", "desktop"),
    "derived": (SHOWN.sum("click").by(USER) / SHOWN.count().by(USER)).log(),
    "bucketed": SHOWN.count().by(ITEM).bucket(1, 10, 100),
    "crossed": ITEM["topic"].cross(SHOWN.context.hour_of_day(), buckets=32),
}


@pytest.mark.parametrize("name", EVERY)
def test_every_expression_survives_being_written_down(name: str) -> None:
    """What was written as JSON and read again is the same expression with the same meaning."""
    expression = EVERY[name]
    again = read_expression(json.loads(json.dumps(written_expression(expression))))
    assert again == expression
    assert meaning(again) == meaning(expression)


def test_reading_makes_only_what_is_declared() -> None:
    """A kind that is none of the declarations is refused, whatever class has its name."""
    with pytest.raises(OritaError, match="'Path'"):
        read_expression({"is": "Path", "name": "/"})


def changed(text: str) -> System:
    """Return the small system with another meaning of ``item_ctr``."""
    return declared_system(DECLARED.replace('shown.ratio("click").by(item)', text))


def test_a_changed_meaning_is_a_new_version_and_the_old_one_is_kept(tmp_path: Path) -> None:
    """Versions grow with the meaning alone; a description changes none; who left is kept as not current."""
    clock = ManualClock(NOW)
    registry = FeatureRegistry.of(Home(tmp_path), "small")
    first = declared_system()
    assert set(registry.record(first, clock)) == set(first.declared)
    written = registry.file.read_bytes()
    assert registry.record(first, clock) == ()
    assert registry.file.read_bytes() == written
    clock.advance(timedelta(days=1))
    assert registry.record(changed('feature(shown.ratio("click").by(item), "Click rate.")'), clock) == ("item_ctr",)
    assert [v.number for v in registry.feature("item_ctr").versions] == [1]
    assert registry.feature("item_ctr").description == "Click rate."
    second = changed('shown.ratio("click").by(item).over("7d")')
    assert registry.record(second, clock) == ("item_ctr",)
    found = registry.feature("item_ctr")
    assert [(v.number, v.since) for v in found.versions] == [
        (1, NOW.isoformat()), (2, (NOW + timedelta(days=1)).isoformat())
    ]  # fmt: skip
    assert [v.expression for v in found.versions] == [first.declared["item_ctr"], second.declared["item_ctr"]]
    del second.declared["item_ctr"]
    registry.record(second, clock)
    assert (registry.feature("item_ctr").current, registry.feature("recent").current) == (False, True)


def test_an_earlier_version_is_kept_for_who_still_reads_it(tmp_path: Path) -> None:
    """A model that was trained on the old declaration finds it beside the new one; nobody's versions are not kept."""
    registry = FeatureRegistry.of(Home(tmp_path), "small")
    first, second = declared_system(), changed('shown.ratio("click").by(item).over("7d")')
    registry.record(first)
    registry.record(second)
    reader = first.schema(["item_ctr", "recent"])
    kept = registry.kept_for(second, [reader, second.schema()])
    assert kept.earlier == {"item_ctr@1": first.declared["item_ctr"]}
    assert kept.check(reader, "the model") == ("item_ctr@1", "recent")
    assert kept.schema().names == second.schema().names, "an earlier version is no feature of new models"
    with pytest.raises(UserError, match="another declaration of feature 'item_ctr'"):
        second.check(reader, "the model")
    assert registry.kept_for(second, [second.schema()]).earlier == {}
    assert registry.kept_for(first, [reader]).earlier == {}, "what is declared again needs no copy"


def test_a_function_is_known_but_not_kept(tmp_path: Path) -> None:
    """A feature of a Python function has versions, and no expression to serve an earlier one from."""

    @track_lineage
    def doubled(x: object) -> object:
        return x + x  # type: ignore[operator]

    clicks = SHOWN.sum("click").by(USER)
    tracked = system("tracked", label=SHOWN.click, rank=ITEM, for_=USER)
    tracked.features(twice=feature(doubled(clicks), owner="me"))
    registry = FeatureRegistry(tmp_path / "registry.json")
    registry.record(tracked)
    version = registry.feature("twice").version
    assert (registry.feature("twice").owner, version.number, version.declared, version.expression) == (
        "me", 1, None, None
    )  # fmt: skip


def test_an_unknown_feature_is_told_with_the_closest(tmp_path: Path) -> None:
    """Before and after the first record, an unknown name is an error that helps."""
    registry = FeatureRegistry.of(Home(tmp_path), "small")
    assert registry.features() == ()
    with pytest.raises(NotFound, match="None exist yet"):
        registry.feature("item_ctr")
    registry.record(declared_system())
    with pytest.raises(NotFound, match="'item_ctr'"):
        registry.feature("item_crt")
