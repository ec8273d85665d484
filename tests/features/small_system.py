"""A small system with every part that the feature store has a face for: a file of declarations, events, a home."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from orita.core.clock import ManualClock
from orita.core.home import Home
from orita.events.config import ValidationConfig
from orita.events.ingest import ingest
from orita.features.system import System
from orita.pipelines.workspace import Workspace

__all__ = ["DECLARED", "NOW", "declared_system", "events", "ingested", "small_workspace", "write_jsonl"]

NOW = datetime(2024, 11, 20, 12, tzinfo=UTC)
"""The present, an hour after the last of `events`."""

DECLARED = """
from orita import INTERACTION, Entity, Source, feature, system

user = Entity("user", key="user_id")
item = Entity("item", key="item_id")
shown = Source("interactions", INTERACTION)
feed = system("small", label=shown.click, rank=item, for_=user)
feed.features(
    user_clicks=feature(shown.sum("click").by(user), "Clicks so far.", owner="growth", fresh="0.001s"),
    item_ctr=shown.ratio("click").by(item),
    recent=feature(shown.count().by(item).over("1d"), "Shown of late.", cost="64KB"),
    device=shown.context.device.one_hot("mobile", "desktop", "tablet"),
    hour=shown.context.hour_of_day(),
    never=shown.mean("position").by(user),
)
"""


def declared_system(text: str = DECLARED) -> System:
    """Return the system that *text* declares."""
    names: dict[str, Any] = {}
    exec(text, names)
    (found,) = [value for value in names.values() if isinstance(value, System)]
    return found


def events(count: int, *, start: int = 0, last: datetime = NOW - timedelta(hours=1)) -> list[dict[str, Any]]:
    """Return *count* events of seven users and five items, ten minutes apart, the newest at *last*."""
    return [
        {
            "interaction_id": f"e{n}",
            "user_id": n % 7,
            "item_id": 100 + n % 5,
            "timestamp": (last - timedelta(minutes=10 * (start + count - 1 - n))).isoformat(),
            "click": int(n % 3 == 0),
            "dwell_time": 1.5,
            "device": ("mobile", "desktop", "tablet")[n % 3],
        }
        for n in range(start, start + count)
    ]


def write_jsonl(file: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write *rows* as JSON lines and return the file."""
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return file


def ingested(home: Home, folder: Path, rows: Iterable[Mapping[str, Any]], system: System) -> None:
    """Put *rows* into the lake of *home*."""
    file = write_jsonl(folder / "interactions.jsonl", rows)
    ingest(
        home,
        file,
        config=ValidationConfig(),
        schemas=system.tables,
        origin={"system": system.name},
        clock=ManualClock(NOW),
    )


def small_workspace(folder: Path, system: System | None = None) -> Workspace:
    """Return the surroundings of a run in *folder*, at the time `NOW`."""
    return Workspace(home=Home(folder / "home"), system=system or declared_system(), clock=ManualClock(NOW))
