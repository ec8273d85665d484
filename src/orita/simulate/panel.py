"""Who takes part in a simulation, and which policy each of them is served by.

Legend: U users who take part, V users of the world, K topics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from orita.core.clock import from_micros
from orita.core.errors import UserError
from orita.delivery.assignment import Experiment, Split
from orita.events.world import World, WorldConfig
from orita.events.world.arrays import Floats, Integers, Reals, Stream, random_stream
from orita.events.world.people import People, make_people
from orita.simulate.scenario import Scenario

__all__ = ["Panel", "choose_panel", "with_new_users"]

_DAY = 86_400_000_000
_POINTS = 1_000_000


@dataclass(frozen=True, eq=False, slots=True)
class Panel:
    """The users who take part, numbered from 0 in the order of these arrays.

    Attributes:
        ids_U: their ids.
        arm_U: index of the policy that serves each.
        from_U: from when on each may come, microseconds since the Unix epoch.
        activity_U: how active each is; only proportions matter.
    """

    ids_U: Integers
    arm_U: Integers
    from_U: Integers
    activity_U: Reals

    def __len__(self) -> int:
        return len(self.ids_U)


def choose_panel(world: World, *, users: int, arms: Sequence[str], start: int, seed: int) -> Panel:
    """Return *users* drawn from those of the world who had joined by *start*, and all that a scenario brings.

    Users are assigned by `orita.delivery.assignment`, to arms of equal size, salted by the seed.

    Raises:
        UserError: so many had not joined.
    """
    people = world.people
    joined = np.flatnonzero(people.joined_U[: world.config.num_users] < start)
    if users > len(joined):
        raise UserError(
            f"users is {users:,}, and {len(joined):,} users of the world had joined by {from_micros(start):%Y-%m-%d}: "
            "simulate fewer, or generate a larger world (data_generation.num_users)."
        )
    chosen = np.sort(random_stream(seed, Stream.LIFE, 0).choice(joined, users, replace=False))
    activity_V = np.empty(len(people.joined_U))
    activity_V[people.by_join_U] = np.diff(people.activity_U, prepend=0.0)
    new = np.arange(world.config.num_users, len(people.joined_U))
    ids_U = np.concatenate([chosen, new])
    return Panel(
        ids_U, _arms(ids_U, arms, seed), np.maximum(people.joined_U[ids_U], start), activity_V[ids_U].astype(np.float64)
    )


def _arms(ids_U: Integers, arms: Sequence[str], seed: int) -> Integers:
    even = _POINTS // len(arms)
    weights = dict.fromkeys(arms[:-1], even / 10000)
    weights[arms[-1]] = (_POINTS - even * (len(arms) - 1)) / 10_000
    names_U = Experiment(f"simulation-{seed}", Split.of(weights), by=("user_id",)).variants(ids_U)
    arm_U: Integers = np.argmax(names_U[:, None] == np.array(list(arms)), axis=1)
    return arm_U


def with_new_users(world: World, scenario: Scenario, *, start: int, seed: int) -> World:
    """Return *world* with the users whom the *scenario* brings, after those it has; they join on their day.

    They are drawn as people of another world: what users of one kind have in common is another thing among them.
    """
    for number, happening in enumerate(scenario.happenings):
        audience = happening.new_audience
        if audience is None:
            continue
        config = world.config
        drawn = make_people(
            WorldConfig(
                num_users=audience.users,
                topics=config.topics,
                styles=config.styles,
                activity_spread=config.activity_spread,
                date_range=config.date_range,
                seed=int(random_stream(seed, Stream.LIFE, 1, number).integers(2**31)),
            )
        )
        taste_UK = drawn.taste_UK.copy()
        for topic, shift in audience.topics.items():
            taste_UK[:, topic] += np.float32(shift)
        joined_U = np.full(audience.users, start + (happening.day - 1) * _DAY)
        usual = float(world.people.activity_U[-1]) / len(world.people.joined_U)
        own = np.diff(drawn.activity_U, prepend=0.0)
        active_U = own / own.mean() * usual * audience.activity
        world = replace(world, people=_joined(world.people, drawn, taste_UK, joined_U, active_U))
    return world


def _joined(people: People, drawn: People, taste_UK: Floats, joined_U: Integers, active_U: Reals) -> People:
    before = len(people.joined_U)
    return People(
        taste_UK=np.concatenate([people.taste_UK, taste_UK]),
        style_US=np.concatenate([people.style_US, drawn.style_US]),
        leaning_U=np.concatenate([people.leaning_U, drawn.leaning_U]),
        region_U=np.concatenate([people.region_U, drawn.region_U]),
        joined_U=np.concatenate([people.joined_U, joined_U]),
        by_join_U=np.concatenate([people.by_join_U, before + np.arange(len(joined_U))]),
        activity_U=np.concatenate([people.activity_U, people.activity_U[-1] + np.cumsum(active_U)]),
    )
