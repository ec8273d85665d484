"""One page view: what a user saw, did, and would have been expected to do under other orders.

Legend: N rows of the page, C candidates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from orita.events.world import Impressions, Reactions, World
from orita.events.world.arrays import Integers, Reals

__all__ = ["ExpectedClicks", "PageView", "expected_clicks", "look"]


@dataclass(frozen=True, eq=False, slots=True)
class PageView:
    """What was shown, and the reactions to it."""

    shown: Impressions
    reactions: Reactions
    request_id: str


@dataclass(frozen=True, slots=True)
class ExpectedClicks:
    """Clicks a page is expected to get, by the true probabilities: as ranked, in random order, in the best order."""

    ranked: float
    random: float
    best: float


def look(
    world: World, rng: np.random.Generator, visit: tuple[int, int, int], ranked_N: Integers, request_id: str
) -> PageView:
    """Let the user of *visit* (user, device, time in microseconds) see *ranked_N* from the top and react."""
    shown = _impressions(visit, ranked_N, np.arange(1, len(ranked_N) + 1))
    return PageView(shown, world.react(rng, shown), request_id)


def expected_clicks(
    world: World, visit: tuple[int, int, int], candidates_C: Integers, ranked_N: Integers
) -> ExpectedClicks:
    """Return how many clicks a page of *ranked_N*, chosen from *candidates_C*, is expected to get."""
    length = len(ranked_N)
    positions = np.arange(1, length + 1)
    every_CN = _chances(world, visit, np.repeat(candidates_C, length), np.tile(positions, len(candidates_C)))
    every_CN = every_CN.reshape(len(candidates_C), length)
    # Position lowers every item's log-odds alike, so the order at the top position is the order at all.
    best_N = candidates_C[np.argsort(-every_CN[:, 0], kind="stable")[:length]]
    return ExpectedClicks(
        float(_chances(world, visit, ranked_N, positions).sum()),
        float(every_CN.mean(axis=0).sum()),
        float(_chances(world, visit, best_N, positions).sum()),
    )


def _chances(world: World, visit: tuple[int, int, int], items_N: Integers, positions_N: Integers) -> Reals:
    shown = _impressions(visit, items_N, positions_N)
    chances_N = world.click_probability(shown.users_N, shown.items_N, shown.time_N, shown.devices_N, shown.positions_N)
    return chances_N.astype(np.float64)


def _impressions(visit: tuple[int, int, int], items_N: Integers, positions_N: Integers) -> Impressions:
    user, device, at_micros = (np.full(len(items_N), value, np.int64) for value in visit)
    return Impressions(user, items_N, at_micros, device, positions_N)
