"""The synthetic world: people with tastes, items with topics, and a history of what they did."""

from orita.events.world.config import DateRange, Effects, WorldConfig
from orita.events.world.fatigue import Fatigue
from orita.events.world.generation import Generated, generate, load_world
from orita.events.world.habits import Habits
from orita.events.world.history import interactions
from orita.events.world.loyalty import Loyalty
from orita.events.world.response import Impressions, Reactions
from orita.events.world.rhythm import DEVICES, TIMES_OF_DAY
from orita.events.world.world import World

__all__ = [
    "DEVICES",
    "TIMES_OF_DAY",
    "DateRange",
    "Effects",
    "Fatigue",
    "Generated",
    "Habits",
    "Impressions",
    "Loyalty",
    "Reactions",
    "World",
    "WorldConfig",
    "generate",
    "interactions",
    "load_world",
]
