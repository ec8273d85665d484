"""Which items a page shows: the recommender that was there before ours.

It picks topics by the user's taste, the week's trend and what is popular, then items of the topic by pull and
freshness, all as of the page's time, and orders them by a noisy guess of the user's interest.

Legend: P page views, L items of a page, I items, K topics.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from orita.events.world.arrays import Bools, Floats, Integers, Reals
from orita.events.world.catalogue import Catalogue
from orita.events.world.config import WorldConfig
from orita.events.world.people import People
from orita.events.world.rhythm import Rhythm

__all__ = ["Exposure"]

_DAY = 86_400_000_000
_TASTE, _TREND, _POPULARITY, _EXPLORE = 0.8, 0.6, 0.7, 0.1
_OLD_PULL = 0.04  # what is left of an item's pull when it is no longer fresh
_GUESS = 0.4  # weight of taste beside the noise in the order of a page


@dataclass(frozen=True, eq=False, slots=True)
class Exposure:
    """Draws pages of distinct items that exist at the page's time."""

    config: WorldConfig
    people: People
    catalogue: Catalogue
    rhythm: Rhythm

    def pages(self, rng: np.random.Generator, users_P: Integers, time_P: Integers, length: int) -> Integers:
        """Return ``items_PL``: the items of each page from the top position; *time_P* ascends.

        *length* is at most half the number of items alive at the first time.
        """
        items_PL = np.empty((len(users_P), length), np.int64)
        ends_PK = self._ends(time_P)
        # Popularity moves once a day: one running sum of weights serves all pages of the day.
        edges = np.flatnonzero(np.diff(time_P // _DAY, prepend=-1, append=-1))
        for first, last in pairwise(edges):
            day = slice(int(first), int(last))
            items_PL[day] = self._day(rng, users_P[day], time_P[day], ends_PK[day], length)
        self._make_distinct(rng, items_PL, time_P)
        return self._ordered(rng, users_P, items_PL)

    def _day(
        self, rng: np.random.Generator, users_P: Integers, time_P: Integers, ends_PK: Integers, length: int
    ) -> Integers:
        shelf, pages = self.catalogue, len(users_P)
        running_I = self._running_weight(int(time_P[0]) // _DAY * _DAY)
        low_K = running_I[shelf.first_K[:-1]]
        high_PK = running_I[ends_PK]
        topics_PL = self._topics(rng, users_P, time_P, high_PK - low_K, length)
        page_P1 = np.arange(pages)[:, None]
        low_PL = low_K[topics_PL]
        target_PL = low_PL + rng.random((pages, length)) * (high_PK[page_P1, topics_PL] - low_PL)
        place_PL = np.searchsorted(running_I[1:], target_PL, side="right")
        place_PL = np.clip(place_PL, shelf.first_K[topics_PL], ends_PK[page_P1, topics_PL] - 1)
        items_PL: Integers = shelf.shelf_I[place_PL]
        return items_PL

    def _running_weight(self, day: int) -> Reals:
        age_I = np.maximum(day - self.catalogue.shelf_created_I, 0) / (_DAY * self.config.fresh_days)
        weight_I = self.catalogue.shelf_pull_I * (_OLD_PULL + np.exp(-age_I))
        return np.concatenate([[0.0], np.cumsum(weight_I)])

    def _ends(self, time_P: Integers) -> Integers:
        """Return where, in the order of the shelf, each topic's items alive at each time end."""
        shelf = self.catalogue
        spans = zip(shelf.first_K[:-1], shelf.first_K[1:], strict=True)
        return np.stack(
            [a + np.searchsorted(shelf.shelf_created_I[a:b], time_P, side="right") for a, b in spans], axis=1
        )

    def _topics(
        self, rng: np.random.Generator, users_P: Integers, time_P: Integers, mass_PK: Reals, length: int
    ) -> Integers:
        trend_PK = self.rhythm.trend_WK[self.rhythm.week_of(time_P)]
        odds_PK = np.exp(_TASTE * self.people.taste_UK[users_P] + _TREND * trend_PK) * mass_PK**_POPULARITY
        odds_PK /= odds_PK.sum(axis=1, keepdims=True)
        exists_PK = mass_PK > 0
        odds_PK = (1 - _EXPLORE) * odds_PK + _EXPLORE * exists_PK / exists_PK.sum(axis=1, keepdims=True)
        running_PK = np.cumsum(odds_PK, axis=1)
        running_PK /= running_PK[:, -1:]
        # All pages in one search: page p's running sum lies in (p, p + 1].
        pages, topics = running_PK.shape
        page_P1 = np.arange(pages)[:, None]
        draw_PL = np.minimum(rng.random((pages, length)), 1 - 1e-9)
        found_PL = np.searchsorted((running_PK + page_P1).ravel(), draw_PL + page_P1, side="right")
        topics_PL: Integers = found_PL - page_P1 * topics
        return topics_PL

    def _make_distinct(self, rng: np.random.Generator, items_PL: Integers, time_P: Integers) -> None:
        """Replace repeats within a page, in place, by items alive at its time, each as likely."""
        catalogue = self.catalogue
        alive_P = np.searchsorted(catalogue.created_I[catalogue.by_birth_I], time_P, side="right")
        pages = _with_repeats(items_PL, np.arange(len(items_PL)))
        while len(pages):
            some_PL = items_PL[pages]
            repeat_PL = _repeats(some_PL)
            place_PL = rng.random(some_PL.shape) * alive_P[pages][:, None]
            items_PL[pages] = np.where(repeat_PL, catalogue.by_birth_I[place_PL.astype(np.int64)], some_PL)
            pages = _with_repeats(items_PL, pages)

    def _ordered(self, rng: np.random.Generator, users_P: Integers, items_PL: Integers) -> Integers:
        guess_PL: Floats = rng.standard_normal(items_PL.shape, dtype=np.float32)
        guess_PL -= np.float32(_GUESS) * self.people.taste_UK[users_P[:, None], self.catalogue.topic_I[items_PL]]
        ordered_PL: Integers = np.take_along_axis(items_PL, np.argsort(guess_PL, axis=1), axis=1)
        return ordered_PL


def _with_repeats(items_PL: Integers, pages: Integers) -> Integers:
    ordered_PL = np.sort(items_PL[pages], axis=1)
    found: Integers = pages[(ordered_PL[:, 1:] == ordered_PL[:, :-1]).any(axis=1)]
    return found


def _repeats(items_PL: Integers) -> Bools:
    order_PL = np.argsort(items_PL, axis=1, kind="stable")
    ordered_PL = np.take_along_axis(items_PL, order_PL, axis=1)
    repeat_PL = np.zeros(items_PL.shape, np.bool_)
    np.put_along_axis(repeat_PL, order_PL[:, 1:], ordered_PL[:, 1:] == ordered_PL[:, :-1], axis=1)
    return repeat_PL
