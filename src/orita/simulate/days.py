"""Simulated days: users come, see page after page of what their policy ranks, react, go, and come back or do not.

Time goes by the hour. In each hour those who come are drawn; their sessions run side by side, a page of everybody at a
time; at its end what they did becomes events, from which features and popularity learn. So a session is ranked by what
was known when its hour began.

Legend: P pages, L items of a page, C candidates, S sessions of an hour, N rows, U users who take part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from orita.core.progress import SILENT, Progress
from orita.events.world import Impressions, Reactions
from orita.events.world.arrays import Integers, Stream, random_stream
from orita.events.world.history import interaction_rows
from orita.events.world.rhythm import share_of_day
from orita.events.world.timestrings import fixed_strings, uuid7_bytes
from orita.simulate.befalling import Befalling
from orita.simulate.life import Life, Pages
from orita.simulate.policies import ItemRates, Policy
from orita.simulate.sessions import Sessions, first_unseen
from orita.simulate.tally import Tally

__all__ = ["HOUR", "Days", "Feedback"]

HOUR = 3_600_000_000
_ALL_HOURS = 3


class Feedback(Protocol):
    """Takes what users did."""

    def take(self, rows: pa.Table, until: int, /) -> None:
        """Take rows of the Interaction schema, all of which happened before *until*."""
        ...


class Days:
    """Runs the days of one simulation.

    Args:
        life: the world and its users.
        policies: by index, as `Panel.arm_U` has it.
        rates: what popularity is; it learns.
        befalling: what happens, and when.
        feedback: takes the events of each hour.
        start: the first midnight, microseconds since the Unix epoch.
        days: how many.
        candidates: items that a page is chosen from.
        seed: fixes all that is drawn.
        passed: told the end of every hour, once its events were taken; microseconds since the Unix epoch.
    """

    def __init__(
        self,
        life: Life,
        policies: Sequence[Policy],
        rates: ItemRates,
        befalling: Befalling,
        feedback: Feedback,
        *,
        start: int,
        days: int,
        candidates: int,
        seed: int,
        passed: Callable[[int], None] = lambda until: None,
    ) -> None:
        self._life, self._policies, self._rates, self._befalling = life, policies, rates, befalling
        self._feedback, self._start, self._days, self._candidates, self._seed = feedback, start, days, candidates, seed
        self._passed = passed
        self.tally = Tally(days, len(life.panel))
        self._hour_shown: list[Impressions] = []
        self._hour_reactions: list[Reactions] = []
        self._hour_requests: list[pa.Array] = []

    def run(self, progress: Progress = SILENT) -> Tally:
        """Let all days pass; return what happened."""
        with progress.bar("Simulate days", self._days) as bar:
            for day in range(self._days):
                self._befalling.dawn(day, self._life)
                for hour in range(24):
                    self._hour(day, hour)
                    self._passed(self._start + (24 * day + hour + 1) * HOUR)
                staying = int((~self._life.loyalty.left_U).sum())
                clicks, shown = (self.tally.counts[name][day].sum() for name in ("clicks", "shown"))
                bar.describe(f"{staying:,} users stay, {clicks / max(shown, 1):.1%} clicked")
                bar.advance()
        return self.tally

    def _hour(self, day: int, hour: int) -> None:
        life, start = self._life, self._start + (24 * day + hour) * HOUR
        rng = random_stream(self._seed, Stream.LIFE, _ALL_HOURS, 24 * day + hour)
        share = float(share_of_day(np.array([start]))[0])
        rows_S = life.loyalty.coming(rng, share, life.panel.from_U <= start)
        sessions = Sessions.begun(rng, rows_S, life.world.rhythm, start, HOUR, life.habits.most_pages)
        for _ in range(life.habits.most_pages):
            if not sessions.going_S.any():
                break
            self._round(rng, day, hour, sessions)
        left_S = life.loyalty.ended(rng, rows_S, sessions.clicks_S / np.maximum(sessions.shown_S, 1))
        self.tally.sessions(day, rows_S, rows_S[left_S])
        self._feed_back(rng, start + HOUR)

    def _round(self, rng: np.random.Generator, day: int, hour: int, sessions: Sessions) -> None:
        """Show one more page to all whose session goes on."""
        life = self._life
        going = np.flatnonzero(sessions.going_S)
        going = going[np.argsort(sessions.time_S[going], kind="stable")]
        rows_P, time_P = sessions.rows_S[going], sessions.time_S[going]
        arm_P = life.panel.arm_U[rows_P]
        dark_P = self._befalling.shows_nothing(day, hour, arm_P)
        self.tally.failed(day, rows_P[dark_P])
        sessions.going_S[going[dark_P]] = False
        going, rows_P, time_P, arm_P = (values[~dark_P] for values in (going, rows_P, time_P, arm_P))
        if not len(going):
            return
        users_P = life.panel.ids_U[rows_P]
        candidates_PC = life.world.exposure.pages(rng, users_P, time_P, self._candidates)
        pages = Pages(rows_P, users_P, time_P, sessions.devices_S[going], candidates_PC)
        ranked_PC, requests_P = self._served(rng, day, hour, pages, arm_P)
        items_PL = first_unseen(ranked_PC, life.seen(pages, ranked_PC), life.habits.page_length)
        shown, reactions = life.shown(pages, items_PL), life.react(rng, pages, items_PL)
        self._note(day, pages, shown, reactions, requests_P)
        clicked_P, dwell_P = (
            values.reshape(items_PL.shape).sum(axis=1) for values in (reactions.click, reactions.dwell)
        )
        goes_on_P = life.loyalty.goes_on(rng, clicked_P / items_PL.shape[1])
        sessions.saw(going, items_PL.shape[1], clicked_P, dwell_P, goes_on_P)

    def _served(
        self, rng: np.random.Generator, day: int, hour: int, pages: Pages, arm_P: Integers
    ) -> tuple[Integers, pa.Array]:
        """Return the candidates as each page's policy ranks them, and the name of each answer."""
        ranked_PC = pages.candidates_PC.copy()
        names = fixed_strings(uuid7_bytes(rng, pages.time_P)).to_pylist()
        listed_P = self._befalling.shows_list(day, hour, arm_P)
        for arm, policy in enumerate(self._policies):
            which = np.flatnonzero((arm_P == arm) & ~listed_P)
            if not len(which):
                continue
            answer = policy.rank(rng, pages.some(which))
            ranked_PC[which] = self._befalling.spoiled(rng, day, arm, answer.items_PC)
            if answer.failed_P is not None:
                listed_P[which] |= answer.failed_P
            for page, name in zip(which.tolist(), answer.request_ids or (), strict=False):
                names[page] = name or names[page]
        listed = np.flatnonzero(listed_P)
        ranked_PC[listed] = self._befalling.popular_C[: ranked_PC.shape[1]]
        self.tally.failed(day, pages.rows_P[listed])
        return ranked_PC, pa.array(names, pa.string())

    def _note(self, day: int, pages: Pages, shown: Impressions, reactions: Reactions, requests_P: pa.Array) -> None:
        length = len(shown) // len(pages)
        self.tally.page(day, pages.rows_P, length, reactions)
        self._hour_shown.append(shown)
        self._hour_reactions.append(reactions)
        self._hour_requests.append(requests_P.take(pa.array(np.repeat(np.arange(len(pages)), length))))

    def _feed_back(self, rng: np.random.Generator, until: int) -> None:
        """Give the events of an hour to whoever learns from them."""
        if not self._hour_shown:
            return
        shown = Impressions(**_joined(self._hour_shown))
        reactions = Reactions(**_joined(self._hour_reactions))
        requests = pa.concat_arrays(self._hour_requests)
        self._rates.learn(shown, reactions)
        rows = interaction_rows(rng, shown, reactions, requests)
        self._feedback.take(rows.take(pa.array(np.argsort(shown.time_N, kind="stable"))), until)
        for kept in (self._hour_shown, self._hour_reactions, self._hour_requests):
            kept.clear()


def _joined(parts: Sequence[Impressions] | Sequence[Reactions]) -> dict[str, Any]:
    """Return the rows of all *parts*, column by column."""
    names = [field.name for field in fields(parts[0])]
    return {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
