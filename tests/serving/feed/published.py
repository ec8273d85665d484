"""A small system like the shipped feed, its online state of known events, and a server's app over it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa

from orita import INTERACTION, Column, Entity, Source, system
from orita.core.home import Home
from orita.features.generations.folder import FolderGenerations
from orita.features.generations.publish import publish
from orita.features.online.following import OnlineFeatures
from orita.features.plan import plan_of
from orita.features.system import System

__all__ = ["ITEMS", "NOW", "TOPICS", "features_of", "feed_system", "published_feed"]

NOW = datetime(2024, 11, 20, 12, tzinfo=UTC)
TOPICS = ("art", "food", "news", "sport")
ITEMS = 40
_MINUTE = timedelta(minutes=1)


def feed_system(*, plain: bool = False) -> System:
    """Return the system; a *plain* one knows of items only how often they were shown."""
    user = Entity("user", key="user_id")
    columns = [
        Column("created_at", "time"),
        Column("topic", "category", choices=TOPICS),
        Column("tags", "list", choices=("old", "round")),
    ]
    item = Entity("item", key="item_id", table="items", attributes=columns)
    shown = Source("interactions", INTERACTION)
    feed = system("feed", label=shown.click, rank=item, for_=user)
    if plain:
        feed.features(times=shown.count().by(item))
        return feed
    feed.features(
        user_ctr=shown.mean("click").by(user),
        item_popularity=shown.count().by(item),
        item_ctr=shown.mean("click").by(item),
        item_age_days=item["created_at"].age(otherwise=shown.first_time().by(item)),
        device=shown.context.device.one_hot("mobile", "desktop", "tablet"),
        pairs=shown.count().by(user, item),
        user_topic_ctr=shown.mean("click").by(user, item["topic"]).smooth(0.2, weight=5),
        user_topics=shown.count().by(user, item["topic"]),
        item_tags=item["tags"],
    )
    return feed


def _events(texts: bool, items: int) -> list[dict[str, Any]]:
    """Return events: item i was shown 40 − i times, clicked each other time; user 1 clicked on news, not on food."""
    shown = [(99, item) for item in range(items) for _ in range(ITEMS - item)]
    shown += [(1, item) for item in (1, 5, 6, 10, 14)]
    return [
        {
            "interaction_id": f"e{n}",
            "user_id": str(user) if texts else user,
            "item_id": f"i{item:02d}" if texts else item,
            "timestamp": (NOW - timedelta(days=1) - (len(shown) - n) * _MINUTE).replace(tzinfo=None),
            "click": int(item % 4 == 2 if user == 1 else n % 2),
            "dwell_time": 1.0,
            "device": "mobile",
        }
        for n, (user, item) in enumerate(shown)
    ]


def _items(texts: bool, items: int) -> list[dict[str, Any]]:
    """Return attributes: an item is a day younger than the one before; 38 has no topic, 39 no time."""
    return [
        {
            "item_id": f"i{item:02d}" if texts else item,
            "created_at": None if item == 39 else (NOW - timedelta(days=100 - item)).replace(tzinfo=None),
            "topic": None if item == 38 else TOPICS[item % 4],
            "tags": ["old"] * (item < 20) + ["round"] * (item % 2 == 0),
        }
        for item in range(items)
    ]


def published_feed(home: Home, *, texts: bool = False, declared: System | None = None, items: int = ITEMS) -> None:
    """Publish the online state of the first *items*; ids are numbers, or *texts*."""
    plan = plan_of(declared or feed_system())
    with duckdb.connect() as connection:
        connection.register("interactions", pa.Table.from_pylist(_events(texts, items)))
        connection.register("items", pa.Table.from_pylist(_items(texts, items)))
        relations = {"interactions": "interactions", "items": "items"}
        publish(plan, connection, relations, FolderGenerations(home.online / "feed"), tables={})


def features_of(home: Home, declared: System | None = None, *, names: Sequence[str] = ()) -> OnlineFeatures:
    """Return what reads the online state; who asks for it closes it."""
    return OnlineFeatures(plan_of(declared or feed_system()), FolderGenerations(home.online / "feed"), ahead=True)
