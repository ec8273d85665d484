"""The rows of items, in memory: what most of a request's reads would fetch again and again.

A row is used only while the store has it as it is: who reads asks for the latest turn too, and one that is behind
catches up by the journal of changed items first. So a request sees one state, as if it had read all of it.

Legend: N items of a request, M of them that are not in memory, I rows in memory, R kinds of rows, W numbers of a row.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from orita.features.dense_ids import DenseIds
from orita.features.online.keys import Id, Items
from orita.features.state.journal import PLACES, changed_between, places_of
from orita.features.state.rows import GetMany

__all__ = ["MOST", "Looked", "PreparedItems"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

MOST = 500_000
"""So many items are learned ahead, and as many rows later; one of the feed system takes about 0.1 kilobytes."""

_FIRST = 1024
_NOWHERE = 0  # the row that stands for none


@dataclass(frozen=True, slots=True)
class _Columns:
    """What is known of each row.

    Attributes:
        states: the row itself, of each kind, [I, W].
        places_RI: the place in the journal, of each kind.
        turn_I: the turn as of which it was read.
    """

    states: tuple[Floats, ...]
    places_RI: Integers
    turn_I: Integers

    @classmethod
    def empty(cls, widths: Sequence[int]) -> _Columns:
        turn_I = np.zeros(_FIRST, np.int64)
        turn_I[_NOWHERE] = -1  # older than every change
        states = tuple(np.full((_FIRST, width), np.nan) for width in widths)
        return cls(states, np.zeros((len(widths), _FIRST), np.int64), turn_I)

    def grown(self, rows: int) -> _Columns:
        """Return them with room for as many rows at least."""
        more = max(rows, 2 * len(self.turn_I)) - len(self.turn_I)
        states = tuple(np.concatenate([state_IW, np.empty((more, state_IW.shape[1]))]) for state_IW in self.states)
        places_RI = np.pad(self.places_RI, ((0, 0), (0, more)))
        return _Columns(states, places_RI, np.pad(self.turn_I, (0, more)))


@dataclass(slots=True)
class _Memory:
    """Rows side by side. They are only added to, the place last, so that who reads needs no lock.

    Attributes:
        columns: what is known of each.
        rows: how many there are.
        number_B, position_B: the rows of items that were learned ahead, by number, which rise.
        dense: the same where numbers are close to one another.
        position: the rows of those that were learned since; they are the newer ones.
        since: the turn that no row is older than.
    """

    columns: _Columns
    rows: int = _NOWHERE + 1
    number_B: Integers = field(default_factory=lambda: np.zeros(1, np.int64))
    position_B: Integers = field(default_factory=lambda: np.zeros(1, np.int64))
    dense: DenseIds | None = None
    since: int = 0
    position: dict[Id, int] = field(default_factory=dict)

    def index(self, items: Items, position_M: Integers) -> None:
        """Let the rows of items that were learned ahead be found."""
        if items.number_N is None:
            self.position.update(zip(items.ids, position_M.tolist(), strict=True))
            return
        order_M = np.argsort(items.number_N)
        self.number_B, self.position_B = items.number_N[order_M], position_M[order_M]
        self.dense = DenseIds.of(self.number_B, self.position_B)

    def places(self, items: Items) -> Integers:
        """Return the row of each item among those that were learned ahead."""
        if items.number_N is None:
            return np.zeros(len(items.ids), np.int64)
        if self.dense is not None:
            return self.dense.rows(items.number_N)
        at_N = self.number_B.searchsorted(items.number_N)
        there_N = self.number_B.take(at_N, mode="clip") == items.number_N
        position_N: Integers = self.position_B.take(at_N, mode="clip") * there_N
        return position_N


@dataclass(frozen=True, slots=True)
class Looked:
    """What memory has of a request's items.

    Attributes:
        turn: the state as of which it is right.
        states: for each kind a row an item, [N, W]; those of *missing_M* are to be read.
        missing_M: which items are not there, or changed.
    """

    turn: int
    states: tuple[Floats, ...]
    missing_M: list[int]


class PreparedItems:
    """Rows of items, of one generation; threads may share it.

    Args:
        prefixes: how the keys of each kind of row begin.
        widths: W of each kind.
        most: so many items are learned ahead, and as many rows later; what would be more makes it forget all.
    """

    def __init__(self, prefixes: Sequence[bytes], widths: Sequence[int], most: int = MOST) -> None:
        self._prefixes, self._widths, self._most = tuple(prefixes), tuple(widths), most
        self._memory = _Memory(_Columns.empty(widths))
        self._turn = self._latest = 0  # the latest turn at which something changed
        self._changed_P = np.zeros(PLACES, np.int64)
        self._writing = threading.Lock()

    @property
    def turn(self) -> int:
        """The turn of the state that it is right as of."""
        return self._turn

    def look(self, items: Items) -> Looked:
        """Return what is there of *items*."""
        turn, memory = self._turn, self._memory
        position_N = memory.places(items)
        missing_M = self._old(memory, position_N)
        if missing_M and memory.position:
            found = memory.position.get
            position_N[missing_M] = [found(items.ids[m], _NOWHERE) for m in missing_M]
            missing_M = self._old(memory, position_N)
        return Looked(turn, tuple(state_IW.take(position_N, axis=0) for state_IW in memory.columns.states), missing_M)

    def _old(self, memory: _Memory, position_N: Integers) -> list[int]:
        """Return which rows are none, or changed since they were read."""
        columns = memory.columns
        if self._latest <= memory.since:  # nothing changed since all of it was read
            none_N = position_N == _NOWHERE
            return np.flatnonzero(none_N).tolist() if np.count_nonzero(none_N) else []
        old_RN = self._changed_P.take(columns.places_RI.take(position_N, axis=1)) > columns.turn_I.take(position_N)
        return np.flatnonzero(old_RN.any(axis=0)).tolist() if np.count_nonzero(old_RN) else []

    def catch_up(self, get_many: GetMany) -> None:
        """Learn which items changed up to the latest turn."""
        with self._writing:
            turn, changes = changed_between(get_many, self._turn)
            if changes is None:  # what other threads have read before, and learn after this, is old as well
                self._memory = _Memory(_Columns.empty(self._widths), since=turn)
                self._changed_P[:] = turn
            else:
                for number, places in changes:
                    self._changed_P[places] = number
            self._latest = turn if changes is None or changes else self._latest
            self._turn = turn

    def learn(self, items: Items, states: Sequence[Floats], turn: int) -> None:
        """Keep rows, one an item of each kind, that were read as of *turn* or later."""
        with self._writing:
            memory = self._roomy(len(items.ids))
            first = self._added(memory, items, states, turn)
            memory.position.update(zip(items.ids, range(first, memory.rows), strict=True))

    def fill(self, items: Items, states: Sequence[Floats], turn: int) -> None:
        """Keep the rows of all items, or of as many as there is room for, instead of what is there.

        One may be newer than *turn*: then the journal will name it, and it is read again.
        """
        with self._writing:
            memory = _Memory(_Columns.empty(self._widths).grown(len(items.ids) + 1), since=turn)
            first = self._added(memory, items, states, turn)
            memory.index(items, np.arange(first, memory.rows))
            self._memory = memory

    def _added(self, memory: _Memory, items: Items, states: Sequence[Floats], turn: int) -> int:
        """Add rows that nobody finds yet, and return the position of the first."""
        first, end = memory.rows, memory.rows + len(items.ids)
        columns = memory.columns
        for kept_IW, state_MW in zip(columns.states, states, strict=True):
            kept_IW[first:end] = state_MW
        for place_I, prefix in zip(columns.places_RI, self._prefixes, strict=True):
            place_I[first:end] = places_of(items.keys(prefix))
        columns.turn_I[first:end] = turn
        memory.since = min(memory.since, turn)
        memory.rows = end
        return first

    def _roomy(self, more: int) -> _Memory:
        """Return the memory, with room for *more* rows; a new one where it would be too much."""
        memory = self._memory
        if memory.rows + more > 2 * self._most:
            self._memory = memory = _Memory(_Columns.empty(self._widths), since=self._turn)
        if memory.rows + more > len(memory.columns.turn_I):
            memory.columns = memory.columns.grown(memory.rows + more)
        return memory
