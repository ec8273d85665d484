"""What a simulated feed is asked for, what it needs of a project, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from orita.core.clock import from_micros
from orita.core.errors import UserError
from orita.events.config import ValidationConfig
from orita.events.world import Habits, World
from orita.events.world.arrays import Reals
from orita.features.generations.generations import Generations
from orita.features.system import System
from orita.serving.protocols import ScoringPackage
from orita.simulate.figures import Figures
from orita.simulate.scenario import Scenario

__all__ = ["FeedParts", "FeedPlan", "FeedSimulation"]

_DAYS, _USERS, _CANDIDATES = 60, 1_000_000, 1_000
_OWN = ("popularity", "random", "oracle")


@dataclass(frozen=True, slots=True)
class FeedPlan:
    """What is to be simulated.

    Attributes:
        policy, vs: who ranks for the one half of the users and for the other: ``popularity``, ``random``, ``oracle``,
            or a model by its version or alias.
        days, users: how long, and how many users of the world.
        candidates: items that each page is chosen from.
        ceiling: whether the oracle ranks for a third group.
        seed: fixes all that is drawn.
        http: address of a server that ranks for the models and takes the events; None: this process does.
        scenario: what happens.
        habits: how users live with the feed.
    """

    policy: str = "champion"
    vs: str = "popularity"
    days: int = 30
    users: int = 2000
    candidates: int = 100
    ceiling: bool = False
    seed: int = 0
    http: str | None = None
    scenario: Scenario = field(default_factory=Scenario)
    habits: Habits = field(default_factory=Habits)

    @property
    def policies(self) -> tuple[str, ...]:
        """Who ranks, by arm."""
        return (self.policy, self.vs, *(("oracle",) if self.ceiling else ()))

    @property
    def models(self) -> tuple[str, ...]:
        """Those of them that are models."""
        return tuple(policy for policy in self.policies if policy not in _OWN)

    def checked(self, world: World) -> FeedPlan:
        """Return this where it fits *world*.

        Raises:
            UserError: a size is out of bounds, the scenario does not fit, or a server is to rank by other than its
                champion.
        """
        if self.http is not None and self.models != ("champion",):
            told = " and ".join(self.models) or "no model"
            raise UserError(
                f"http is {self.http}, and the policies name {told}: a server ranks by its champion, so compare "
                "champion with popularity, random or oracle, or leave http out."
            )
        items = len(world.catalogue.alive(world.rhythm.end))
        sizes = (
            ("days", self.days, 1, _DAYS),
            ("users", self.users, 4, _USERS),
            ("candidates", self.candidates, self.habits.page_length, min(_CANDIDATES, items // 2)),
        )
        for name, value, least, most in sizes:
            if not least <= value <= most:
                where = f", as a page shows {least} items and the world has {items:,}" if name == "candidates" else ""
                raise UserError(f"{name} is {value:,}: allowed are {least:,} to {most:,}{where}.")
        self.scenario.checked(days=self.days, topics=world.config.topics)
        return self


@dataclass(frozen=True, slots=True)
class FeedParts:
    """What a simulation needs of a project.

    Attributes:
        world: whose users they are.
        system: the declarations.
        generations: opens what is published of the online state.
        package: opens a model by version or alias.
        counts: shown_I and clicks_I of the items so far.
        validation: how strictly events are judged.
    """

    world: World
    system: System
    generations: Callable[[], Generations]
    package: Callable[[str], ScoringPackage]
    counts: tuple[Reals, Reals]
    validation: ValidationConfig


@dataclass(frozen=True, slots=True)
class FeedSimulation:
    """What was simulated, and found.

    Attributes:
        plan: what was asked for.
        start: the first day, microseconds since the Unix epoch.
        figures: what was found.
        events: rows that came back into the features.
        seconds: how long it took.
    """

    plan: FeedPlan
    start: int
    figures: Figures
    events: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        plan = self.plan
        return {
            "days": plan.days,
            "users": plan.users,
            "candidates": plan.candidates,
            "seed": plan.seed,
            "http": plan.http,
            "start": from_micros(self.start).isoformat(),
            "scenario": plan.scenario.model_dump(exclude_none=True),
            "habits": plan.habits.model_dump(),
            "events": self.events,
            "seconds": round(self.seconds, 1),
            **self.figures.to_dict(),
        }
