"""What a model makes of items alone, kept: a request pays only for items that are new to it or have changed.

A vector is kept with the numbers that it was made of, rounded as the model reads them, and is used only where a request
comes with the same ones. So nobody has to tell this that an item changed, and no answer is made of an old vector.

Legend: N items of a request, M of them whose vector has to be made, F features, I those that belong to the item, V rows
of the model's table of items (row 0 is the unknown id), K places for vectors, P numbers of a vector.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.features.schema import FeatureSchema
from orita.models.graph import ITEM_VECTORS, ROUNDED_FEATURES, run_graph
from orita.models.rounding import Rounding

__all__ = ["ItemVectors"]

Ids = Sequence[Any] | npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Bits = npt.NDArray[np.uint32]

_UNKNOWN = 16_384  # so many items that the model does not know are kept
_NUMBERS = 1 << 22  # those with an id below are found by it; the table takes memory where there are some
_MOST_BYTES = 1 << 30


_NEVER = np.uint32(0xFFFFFFFF)  # stands for a number that no item has


@dataclass(frozen=True, slots=True)
class _Kept:
    """Vectors that were made, and the numbers that each was made of."""

    number_KI: Bits
    vector_KP: Floats


class _Unknown:
    """Where items are kept that the model does not know.

    Args:
        first: the place of the first.
    """

    def __init__(self, first: int) -> None:
        self._first = first
        self._place: dict[int | str, int] = {}
        self._place_T = np.zeros(_NUMBERS + 2, np.int64)  # by id + 1; it begins and ends with a place that is none

    def places(self, asked: Ids) -> Integers | None:
        """Return the places of items; None where one has none."""
        asked_M = np.asarray(asked)
        if asked_M.dtype.kind == "i":
            place_M: Integers = self._place_T.take(asked_M + 1, mode="clip")
            if np.count_nonzero(place_M) == len(place_M):
                return place_M
        try:
            return np.array([self._place[each] for each in _listed(asked)], np.int64)
        except (KeyError, TypeError):  # one is new, or is a list
            return None

    def admit(self, asked: Ids) -> tuple[Integers, bool] | None:
        """Give items a place that have none; return all places, and whether those of before were forgotten for it.

        None: there are more than there is room for.
        """
        keys = [each if isinstance(each, int | str) else str(each) for each in _listed(asked)]
        new = dict.fromkeys(key for key in keys if key not in self._place)
        full = len(self._place) + len(new) > _UNKNOWN
        if full:
            new = dict.fromkeys(keys)
            if len(new) > _UNKNOWN:
                return None
            self._place_T[_in_table(self._place)] = 0
            self._place.clear()
        begin = self._first + len(self._place)
        self._place.update(zip(new, range(begin, begin + len(new)), strict=True))
        at_M = _in_table(new)
        self._place_T[at_M] = [self._place[at - 1] for at in at_M]
        return np.array([self._place[key] for key in keys], np.int64), full


def _listed(ids: Ids) -> Sequence[Any]:
    return ids.tolist() if isinstance(ids, np.ndarray) else ids


def _in_table(keys: Iterable[int | str]) -> list[int]:
    return [key + 1 for key in keys if isinstance(key, int) and 0 <= key < _NUMBERS]


class ItemVectors:
    """The vectors of a model's items; threads may share it.

    Args:
        graph: the first half of the model's graph, a session (`orita.models.graph.open_graph`).
        schema: the model's features; some belong to items.
        items: V.
    """

    def __init__(self, graph: Any, schema: FeatureSchema, items: int) -> None:
        self._graph, self._reads = graph, frozenset(given.name for given in graph.get_inputs())
        self._columns, self._features, self._items = np.array(schema.of_side("item"), np.intp), len(schema), items
        is_category_I = np.array([schema.columns[f].kind == "category" for f in self._columns])
        self._rounding = Rounding(~is_category_I)
        self._unknown = _Unknown(items)
        self._using = threading.Lock()
        self._kept = self._room()

    def of(self, item_ids: Ids, row_N: Integers, x_NF: Floats) -> Floats:
        """Return ``vector_NP``.

        Args:
            item_ids: the items, N of them.
            row_N: their rows in the model's table.
            x_NF: their features, after the package's own steps.
        """
        number_NI = x_NF.take(self._columns, axis=1).view(np.uint32)
        self._rounding.apply(number_NI)
        if not self._using.acquire(blocking=False):  # whoever comes second makes its own, rather than wait
            return self._make(row_N, number_NI)
        try:
            return self._looked_up(item_ids, row_N, number_NI)
        finally:
            self._using.release()

    def _looked_up(self, item_ids: Ids, row_N: Integers, number_NI: Bits) -> Floats:
        known = np.count_nonzero(row_N) == len(row_N)
        place_N, kept = row_N if known else self._with_unknown(item_ids, row_N), self._kept
        if kept is None or place_N is None:
            return self._make(row_N, number_NI)
        same_NI = kept.number_KI.take(place_N, axis=0) == number_NI
        vector_NP = kept.vector_KP.take(place_N, axis=0)
        if np.count_nonzero(same_NI) != same_NI.size:
            (new_M,) = np.nonzero(~same_NI.all(axis=1))
            place_M, number_MI = place_N[new_M], number_NI[new_M]
            vector_NP[new_M] = kept.vector_KP[place_M] = self._make(row_N[new_M], number_MI)
            kept.number_KI[place_M] = number_MI
        return vector_NP

    def _with_unknown(self, item_ids: Ids, row_N: Integers) -> Integers | None:
        """Return where each item is kept, those that the model does not know behind the others; None: too many."""
        (new_M,) = np.nonzero(row_N == 0)
        asked = item_ids[new_M] if isinstance(item_ids, np.ndarray) else [item_ids[m] for m in new_M.tolist()]
        place_M = self._unknown.places(asked)
        if place_M is None:
            admitted = self._unknown.admit(asked)
            if admitted is None:
                return None
            place_M, forgotten = admitted
            if forgotten and self._kept is not None:
                self._kept.number_KI[self._items :] = _NEVER
        place_N = row_N.copy()
        place_N[new_M] = place_M
        return place_N

    def _make(self, row_M: Integers, number_MI: Bits) -> Floats:
        x_MF = np.zeros((len(row_M), self._features), np.float32)  # the half sees nothing but what belongs to the item
        x_MF[:, self._columns] = number_MI.view(np.float32)
        feeds: dict[str, npt.NDArray[Any]] = {ROUNDED_FEATURES: x_MF, "items": row_M}
        given = {name: value for name, value in feeds.items() if name in self._reads}
        return run_graph(self._graph, given, ITEM_VECTORS)

    def _room(self) -> _Kept | None:
        """Return room for all items, of memory that is taken when it is written to; None: it would be too much."""
        rows, columns = self._items + _UNKNOWN, len(self._columns)
        width = self._make(np.zeros(1, np.int64), np.zeros((1, columns), np.uint32)).shape[1]
        if rows * (width + columns) * 4 > _MOST_BYTES:
            return None
        return _Kept(np.full((rows, columns), _NEVER), np.empty((rows, width), np.float32))
