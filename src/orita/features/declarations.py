"""What a feature is made of: entities, sources, and expressions over them.

An expression says *what* is computed; the engines know *how*. All of them obey one rule: a feature as of time t sees
the events with time < t, never = t.

    user = Entity("user", key="user_id", table="users")
    item = Entity("item", key="item_id", table="items", attributes=[Column("topic", "category", choices=TOPICS)])
    shown = Source("interactions", INTERACTION)
    shown.mean("click").by(user)                         # click rate of a user, over all earlier events
    shown.mean("click").by(user, item["topic"])          # … among items of the candidate's topic
    shown.count().by(item).over("1d", "7d", hop="1h")    # two features, each over the last days
    shown.last_time().by(user, item).decay("3d")
"""

from __future__ import annotations

from orita.features.declaring.aggregates import Aggregate, Decay, Elapsed, Function, Prior, Several
from orita.features.declaring.conditions import Condition
from orita.features.declaring.context import Context, ContextColumn, HourOfDay, WeekDay
from orita.features.declaring.entities import Attribute, AttributeAge, Entity, Key
from orita.features.declaring.sources import EventColumn, Residual, Source
from orita.features.declaring.windows import LIFETIME, MICROS_PER_DAY, Window, duration_micros
from orita.features.transforms import Derived, OneHot

__all__ = [
    "LIFETIME",
    "MICROS_PER_DAY",
    "Aggregate",
    "Attribute",
    "AttributeAge",
    "Condition",
    "Context",
    "ContextColumn",
    "Decay",
    "Derived",
    "Elapsed",
    "Entity",
    "EventColumn",
    "Expression",
    "Function",
    "HourOfDay",
    "Key",
    "OneHot",
    "Prior",
    "Residual",
    "Several",
    "Source",
    "WeekDay",
    "Window",
    "duration_micros",
]

Expression = (
    Aggregate | Decay | Elapsed | AttributeAge | Attribute | HourOfDay | WeekDay | OneHot | ContextColumn | Derived
)
"""What can be a feature."""
