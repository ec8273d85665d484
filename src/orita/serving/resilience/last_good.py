"""Level 2: the scores that a user was last given, and for other items what they last scored for anybody.

Bounded: so many users (the one longest not seen goes first) with the rows of their last answer each, and so many items
in two halves, of which the older is dropped whole when the younger is full or old. Remembering costs a tuple; only
every eighth answer is taken apart for its items.

    last_good = LastGood(LastGoodConfig(), clock)
    last_good.remember(user_id, item_ids, scores_N)         # after each answer of level 1
    recalled = last_good.recall(user_id, item_ids)          # None where too little is known

Legend: N items of one request.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from orita.core.clock import Clock
from orita.core.config import Section
from orita.core.whole_ids import spelt_as_in
from orita.features.id_list import numbers_of

__all__ = ["LastGood", "LastGoodConfig", "Recalled"]

_EVERY = 8

Id = int | str
Floats = npt.NDArray[np.float32]


class LastGoodConfig(Section):
    """What is remembered of good answers.

    Attributes:
        rows: scores of users that are kept, 12 bytes each with their ids where these are numbers, some 50 otherwise.
        items: items that are kept.
        seconds: how old a score may be.
        least_share: share of a request's items that must be known.
    """

    rows: Annotated[int, Field(ge=1, le=100_000_000)] = 200_000
    items: Annotated[int, Field(ge=2, le=10_000_000)] = 50_000
    seconds: Annotated[float, Field(gt=0)] = 3600.0
    least_share: Annotated[float, Field(gt=0, le=1)] = 0.5


@dataclass(frozen=True, slots=True)
class Recalled:
    """Scores of earlier answers: ``scores_N``, and how old the oldest of them may be, in seconds."""

    scores_N: Floats
    age: float


class _Last:
    """A user's last answer. Ids that are numbers are kept as such: a request's own would be freed long after they are
    in no cache any more, which takes longer than all the rest."""

    __slots__ = ("_ids", "at", "scores_N")

    def __init__(self, at: float, number_N: npt.NDArray[np.int64] | None, ids: Sequence[Id], scores_N: Floats) -> None:
        self.at, self.scores_N = at, scores_N
        self._ids = ids if number_N is None else number_N

    def scores(self) -> dict[Id, float]:
        """Return the score of each item."""
        ids = self._ids.tolist() if isinstance(self._ids, np.ndarray) else self._ids
        return dict(zip(ids, self.scores_N.tolist(), strict=True))


class LastGood:
    """Remembers answers; called by one thread.

    Attributes:
        rows: how many scores of users are kept.
    """

    def __init__(self, config: LastGoodConfig, clock: Clock) -> None:
        self._config = config
        self._monotonic = clock.monotonic
        self._users: OrderedDict[Id, _Last] = OrderedDict()
        self._young: dict[Id, float] = {}
        self._old: dict[Id, float] = {}
        self._young_from = self._old_from = clock.monotonic()
        self._answers = 0
        self.rows = 0

    @property
    def items(self) -> int:
        """How many scores of items are kept; one that is in both halves counts twice."""
        return len(self._young) + len(self._old)

    def remember(self, user_id: Id, item_ids: Sequence[Id], scores_N: Floats) -> None:
        """Take an answer of the full model; neither *item_ids* nor *scores_N* may be changed afterwards."""
        now = self._monotonic()
        user_id = spelt_as_in(self._users, user_id)
        before = self._users.pop(user_id, None)
        self._users[user_id] = _Last(now, numbers_of(item_ids), item_ids, scores_N)
        self.rows += len(scores_N) - (len(before.scores_N) if before is not None else 0)
        while self.rows > self._config.rows:
            self.rows -= len(self._users.popitem(last=False)[1].scores_N)
        if self._answers % _EVERY == 0:
            self._turn(now)
            self._young.update(zip(item_ids, scores_N.tolist(), strict=True))
        self._answers += 1

    def recall(self, user_id: Id, item_ids: Sequence[Id]) -> Recalled | None:
        """Return scores for *item_ids*, those of unknown items 0; None where fewer than *least_share* are known."""
        now, seconds = self._monotonic(), self._config.seconds
        self._turn(now)
        last = self._users.get(spelt_as_in(self._users, user_id))
        own, own_at = ({}, now) if last is None or now - last.at > seconds else (last.scores(), last.at)
        old = self._old if now - self._old_from <= seconds else {}
        age, missing, found = 0.0, 0, []
        for item in item_ids:
            for known, since in ((own, own_at), (self._young, self._young_from), (old, self._old_from)):
                if (spelt := spelt_as_in(known, item)) in known:
                    found.append(known[spelt])
                    age = max(age, now - since)
                    break
            else:
                found.append(0.0)
                missing += 1
        if len(found) - missing < self._config.least_share * len(found):
            return None
        return Recalled(np.array(found, np.float32), age)

    def _turn(self, now: float) -> None:
        """Let the younger half become the older one where it is full, or half as old as scores may be."""
        if 2 * len(self._young) >= self._config.items or now - self._young_from >= self._config.seconds / 2:
            self._old, self._old_from = self._young, self._young_from
            self._young, self._young_from = {}, now
