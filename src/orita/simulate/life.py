"""The world as it is now: its users with their tastes, how tired and how attached they are, and what befalls them.

Legend: N rows, P pages, L items of a page, C candidates, U users who take part.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from orita.events.world import Fatigue, Habits, Impressions, Loyalty, Reactions, World
from orita.events.world.arrays import Bools, Floats, Integers, Stream, random_stream
from orita.events.world.response import Odds
from orita.simulate.panel import Panel
from orita.simulate.scenario import Drift

__all__ = ["Life", "Pages"]


@dataclass(frozen=True, eq=False, slots=True)
class Pages:
    """Pages that are to be filled, each of another user, in order of time.

    Attributes:
        rows_P: number of the user in the panel.
        users_P: id of the user.
        time_P: microseconds since the Unix epoch.
        devices_P: index into `DEVICES`.
        candidates_PC: items to choose from.
    """

    rows_P: Integers
    users_P: Integers
    time_P: Integers
    devices_P: Integers
    candidates_PC: Integers

    def __len__(self) -> int:
        return len(self.rows_P)

    def some(self, which: Integers) -> Pages:
        """Return the pages at the places *which*."""
        fields = (self.rows_P, self.users_P, self.time_P, self.devices_P, self.candidates_PC)
        return Pages(*(values[which] for values in fields))


class Life:
    """A world with the state of those who take part.

    Attributes:
        world: it changes as tastes do.
        panel: who takes part.
        fatigue: what they are tired of.
        loyalty: how attached they are.
    """

    def __init__(self, world: World, panel: Panel, habits: Habits) -> None:
        self.world, self.panel, self.habits = world, panel, habits
        self.fatigue = Fatigue(habits, len(panel), world.catalogue.topic_I, world.config.topics)
        self.loyalty = Loyalty(habits, world.config.click_rate, panel.activity_U)

    def shown(self, pages: Pages, items_PL: Integers) -> Impressions:
        """Return *items_PL* as they are seen, from the top, page after page."""
        length = items_PL.shape[1]
        return Impressions(
            np.repeat(pages.users_P, length),
            items_PL.ravel(),
            np.repeat(pages.time_P, length),
            np.repeat(pages.devices_P, length),
            np.tile(np.arange(1, length + 1), len(pages)),
        )

    def odds(self, pages: Pages, items_PL: Integers) -> Odds:
        """Return the odds of a click on each of *items_PL* as they are seen, row by row: those of the world, less
        what users are tired of."""
        shown = self.shown(pages, items_PL)
        fresh = self.world.response.odds(shown, self.world.base)
        rows_N = np.repeat(pages.rows_P, items_PL.shape[1])
        return Odds(fresh.click_N - self.fatigue.penalty(rows_N, shown.items_N, shown.time_N), fresh.interest_N)

    def appeal(self, pages: Pages) -> Floats:
        """Return ``odds_PC``: the log-odds of a click on each candidate if it stood at the top; who orders by them
        errs nowhere, as position lowers all alike."""
        length = pages.candidates_PC.shape[1]
        alone = pages.some(np.repeat(np.arange(len(pages)), length))
        flat = replace(alone, candidates_PC=pages.candidates_PC.reshape(-1, 1))
        odds_PC: Floats = self.odds(flat, flat.candidates_PC).click_N.reshape(pages.candidates_PC.shape)
        return odds_PC

    def seen(self, pages: Pages, items_PC: Integers) -> Bools:
        """Return which of *items_PC* the user of each page was shown of late."""
        rows_N = np.repeat(pages.rows_P, items_PC.shape[1])
        return self.fatigue.seen(rows_N, items_PC.ravel()).reshape(items_PC.shape)

    def react(self, rng: np.random.Generator, pages: Pages, items_PL: Integers) -> Reactions:
        """Draw what users do with the pages that they see, and let them remember these."""
        reactions = self.world.response.react(rng, self.odds(pages, items_PL))
        self.fatigue.saw(pages.rows_P, items_PL, pages.time_P)
        return reactions

    def drift(self, drift: Drift, *, seed: int, number: int) -> None:
        """Let tastes move."""
        people = self.world.people
        taste_UK = people.taste_UK.copy()
        rng = random_stream(seed, Stream.LIFE, 2, number)
        moved = np.flatnonzero(rng.random(len(taste_UK)) < drift.redrawn)
        taste_UK[moved] = taste_UK[rng.permutation(moved)]
        for topic, shift in drift.topics.items():
            taste_UK[:, topic] += np.float32(shift)
        self.world = replace(self.world, people=replace(people, taste_UK=taste_UK))
