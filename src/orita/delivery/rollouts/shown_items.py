"""What users were shown: each item waits until its window is over, then it had an outcome or had none.

Legend: U users, N items shown to all of them, K outcomes, C columns of outcomes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orita.delivery.rollouts.answers import Answers
from orita.delivery.rollouts.checks import Checks
from orita.delivery.rollouts.hashing import hash_of
from orita.delivery.rollouts.looks import MetricBatch, MetricCounts
from orita.delivery.rollouts.outcomes import Outcomes

__all__ = ["METRIC", "Counted", "Shown", "ShownItems", "windows_of"]

Hashes = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

METRIC = ""
"""What is counted for the metric; no guardrail has this name."""

_GRACE_MICROS = 10_000_000
_MANY = 10_000
_MOST_ITEMS = 20_000_000
"""So many may wait; users who come then are not counted, whatever they do."""
_ALL = np.iinfo(np.int32).max


@dataclass(frozen=True, slots=True)
class Counted:
    """What is counted of a shown item.

    Attributes:
        name: of the check that asks.
        column: its place among the columns of outcomes.
        values: whether values of outcomes add up; otherwise an item had an outcome or had none.
    """

    name: str
    column: int
    values: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """One answer each of some users: what outcomes are found by, made once for all windows.

    Attributes:
        answers: one of each user.
        fresh_U: whether the rollout sees the user for the first time.
        user_N, rank_N: whose each item is, and its place from 1.
        by_request_N, by_user_N: hashes of request and item, of user and item.
    """

    answers: Answers
    fresh_U: Flags
    user_N: npt.NDArray[np.intp]
    rank_N: npt.NDArray[np.int32]
    by_request_N: Hashes
    by_user_N: Hashes

    @classmethod
    def of(cls, answers: Answers, fresh_U: Flags, top: int) -> Shown:
        """Return the items down to place *top*, 0: all."""
        wanted_N = answers.rank_N <= (top or _ALL)
        user_N = np.repeat(np.arange(len(answers)), answers.count_R)[wanted_N]
        items = answers.item_N[wanted_N].tolist()
        requests, ids = answers.request_R[user_N].tolist(), answers.user_R[user_N].tolist()
        by_request = [hash_of(request, item) for request, item in zip(requests, items, strict=True)]
        by_user = [hash_of(user, item, "") for user, item in zip(ids, items, strict=True)]
        hashes = (np.array(each, np.uint64) for each in (by_request, by_user))
        return cls(answers, fresh_U, user_N, answers.rank_N[wanted_N], *hashes)


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """Users of one look: whose version they had, how many items they were shown, and the keys of these."""

    stage: int
    end: int
    fresh_U: Flags
    variant_U: npt.NDArray[np.int64]
    count_U: npt.NDArray[np.int64]
    at_N: npt.NDArray[np.int64]
    by_request_N: Hashes
    by_user_N: Hashes


class ShownItems:
    """Items that wait for outcomes within one window.

    Args:
        versions: names, by the places of `Answers.variant_R`.
        counted: what is counted of them, one thing at least.
        window_micros: outcomes count until so long after the answer.
        grace_micros: what becomes known so much later still counts.
        top: only items at this place or above count; 0: all.
        part: of how many that share the memory this is one.

    Attributes:
        left_out: users who were not counted, as too many items waited.
        outcomes: how many were taken, by what is counted.
        late: how many of them became known after any item's window and grace were over.
    """

    def __init__(
        self,
        versions: tuple[str, ...],
        counted: Sequence[Counted],
        *,
        window_micros: int,
        grace_micros: int,
        top: int,
        part: int = 1,
    ) -> None:
        self._versions, self._window, self._grace = versions, window_micros, grace_micros
        self.counted, self._top, self._part = tuple(counted), top or _ALL, part
        self._waiting: deque[_Waiting] = deque()
        self._items = 0
        self._new: list[Outcomes] = []
        self._known: Outcomes | None = None
        self.left_out = 0
        self.outcomes, self.late = [0] * len(self.counted), [0] * len(self.counted)

    def show(self, shown: Shown, stage: int, end: int) -> None:
        """Let the items of one answer each of some users wait; all were given before *end*, in microseconds."""
        wanted_N, answers = shown.rank_N <= self._top, shown.answers
        items = int(wanted_N.sum())
        if self._items + items > _MOST_ITEMS // self._part:
            self.left_out += len(answers)
            return
        whole = items == len(wanted_N)  # then windows share the arrays
        user_N = shown.user_N[wanted_N]
        self._waiting.append(
            _Waiting(
                stage=stage,
                end=end,
                fresh_U=shown.fresh_U,
                variant_U=answers.variant_R,
                count_U=np.bincount(user_N, minlength=len(answers)),
                at_N=answers.at_R[user_N],
                by_request_N=shown.by_request_N if whole else shown.by_request_N[wanted_N],
                by_user_N=shown.by_user_N if whole else shown.by_user_N[wanted_N],
            )
        )
        self._items += items

    def add(self, outcomes: Outcomes) -> None:
        """Take what became known."""
        self._new.append(outcomes)
        late_K = outcomes.known_K - outcomes.at_K > self._window + self._grace
        for place, each in enumerate(self.counted):
            had_K = outcomes.value_KC[:, each.column] > 0
            self.outcomes[place] += int(had_K.sum())
            self.late[place] += int((had_K & late_K).sum())

    def due(self, until: int) -> bool:
        """Whether there is something to do at *until*, in microseconds: users whose time is over, or much to let go."""
        over = bool(self._waiting) and self._waiting[0].end + self._window + self._grace <= until
        return over or sum(map(len, self._new)) > _MANY

    def closed(self, until: int) -> Mapping[str, tuple[MetricBatch, ...]]:
        """Return, by what is counted, the users whose window and grace were over at *until*, in microseconds."""
        due = []
        while self._waiting and self._waiting[0].end + self._window + self._grace <= until:
            due.append(self._waiting.popleft())
        first = due[0] if due else self._waiting[0] if self._waiting else None
        oldest = until - self._window - self._grace if first is None else int(first.at_N.min(initial=first.end))
        if self._new and (due or sum(map(len, self._new)) > _MANY):
            known = Outcomes.joined([*self._new, *([] if self._known is None else [self._known])])
            self._known = known.where(known.at_K >= oldest)
            self._new = []
        found: dict[str, list[MetricBatch]] = {}
        for users in due:
            for name, batch in self._batches(users):
                found.setdefault(name, []).append(batch)
        return {name: tuple(batches) for name, batches in found.items()}

    def _batches(self, users: _Waiting) -> Iterator[tuple[str, MetricBatch]]:
        self._items -= len(users.at_N)
        user_N = np.repeat(np.arange(len(users.count_U)), users.count_U)
        row_K, known = self._found(users)
        for each in self.counted:
            value_N = _counted(each, row_K, known, len(users.at_N))
            outcomes_U = np.bincount(user_N, value_N, minlength=len(users.count_U))
            for fresh in (True, False):
                counts = {}
                for place, version in enumerate(self._versions):
                    of_U = (users.variant_U == place) & (users.fresh_U == fresh) & (users.count_U > 0)
                    if of_U.any():
                        counts[version] = MetricCounts.of(users.count_U[of_U], outcomes_U[of_U])
                if counts:
                    yield each.name, MetricBatch(users.stage, fresh, counts)

    def _found(self, users: _Waiting) -> tuple[npt.NDArray[np.intp], Outcomes | None]:
        """Return the outcomes of items that wait, and the place of each outcome's item."""
        nothing = np.empty(0, np.intp), None
        if self._known is None:
            return nothing
        closes = users.end + self._window + self._grace
        known = self._known.where((self._known.known_K <= closes) & (self._known.at_K < users.end + self._window))
        places, found = [], []
        for named, key_N in ((True, users.by_request_N), (False, users.by_user_N)):
            asked = known.where(known.named_K == named)
            if not len(asked) or not len(key_N):
                continue
            order_N = np.argsort(key_N, kind="stable")
            place_K = np.searchsorted(key_N, asked.key_K, sorter=order_N)
            row_K = order_N[np.minimum(place_K, len(key_N) - 1)]
            late_K = asked.at_K - users.at_N[row_K]
            found_K = (key_N[row_K] == asked.key_K) & (late_K >= 0) & (late_K < self._window)
            places.append(row_K[found_K])
            found.append(asked.where(found_K))
        return (np.concatenate(places), Outcomes.joined(found)) if found else nothing


def windows_of(checks: Checks, columns: Sequence[str], versions: tuple[str, ...]) -> tuple[ShownItems, ...]:
    """Return what waits for the outcomes that *checks* ask for: one for all checks of one window and the same places.

    Args:
        checks: of the rollout.
        columns: of outcomes, in their order.
        versions: names, by the places of `Answers.variant_R`.
    """
    counted: dict[tuple[float, int], list[Counted]] = {}
    if checks.metric is not None:
        key = checks.metric.window_seconds, checks.metric.top
        counted.setdefault(key, []).append(Counted(METRIC, columns.index(checks.metric.name)))
    for each in checks.guardrails:
        what = Counted(each.name, columns.index(each.name), values=each.kind == "mean")
        counted.setdefault((each.window_seconds, each.top), []).append(what)
    return tuple(
        ShownItems(
            versions,
            what,
            window_micros=round(window * 1_000_000),
            grace_micros=_GRACE_MICROS,
            top=top,
            part=len(counted),
        )
        for (window, top), what in counted.items()
    )


def _counted(what: Counted, row_K: npt.NDArray[np.intp], known: Outcomes | None, items: int) -> Floats:
    """Return what the outcomes of each item count."""
    value_N = np.zeros(items)
    if known is None:
        return value_N
    value_K = known.value_KC[:, what.column]
    had_K = value_K > 0
    if not what.values:
        value_N[row_K[had_K]] = 1.0
        return value_N
    # An event that the log and the table have, or that was sent twice, is of one item at one time: it counts once.
    row_K, at_K, value_K = row_K[had_K], known.at_K[had_K], value_K[had_K]
    order_K = np.lexsort((-value_K, at_K, row_K))
    row_K, at_K, value_K = row_K[order_K], at_K[order_K], value_K[order_K]
    first_K = np.ones(len(row_K), bool)
    first_K[1:] = (row_K[1:] != row_K[:-1]) | (at_K[1:] != at_K[:-1])
    np.add.at(value_N, row_K[first_K], value_K[first_K])
    return value_N
