"""The events of a batch that an aggregate takes, by key and group.

Legend: N events, X members: pairs of an event that passes a filter and one of its groups.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from orita.features.batch import EventBatch
from orita.features.declarations import Attribute
from orita.features.declaring.conditions import Condition
from orita.features.state.fields import Columns, Field, read_field
from orita.features.state.keying import Keyed
from orita.features.state.lifting import id_words
from orita.features.state.ordering import stable_order

__all__ = ["Members", "Reader", "members_of", "reader_of"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

Reader = Callable[[Condition | None, Attribute | None], "Members"]


@dataclass(frozen=True, slots=True)
class Members:
    """Members in the order of their cells: key · groups + group.

    Attributes:
        row_X: which event.
        cell_X: its cell, never decreasing.
        groups: number of groups, 1 without an attribute.
    """

    row_X: Integers
    cell_X: Integers
    groups: int
    _batch: EventBatch
    _residuals: Mapping[str, Floats]
    _taken: dict[Field, tuple[Floats, ...]] = field(default_factory=dict)

    @property
    def times(self) -> Floats:
        """Time of each."""
        return self._batch.time_N[self.row_X].astype(np.float64)

    def words(self) -> list[Floats]:
        """Return the ids' bytes in pieces of 8, [X] each."""
        assert self._batch.id_N is not None
        return id_words(self._batch.id_N[self.row_X])

    def columns(self, *fields: Field) -> Columns:
        """Return what is read of each."""
        for wanted in fields:
            if wanted not in self._taken:
                columns = read_field(wanted, self._batch, self._residuals)
                self._taken[wanted] = tuple(column[self.row_X] for column in columns)
        return {wanted: self._taken[wanted] for wanted in fields}


def reader_of(keyed: Keyed, batch: EventBatch, residuals: Mapping[str, Floats]) -> Reader:
    """Return `members_of` for the events of one record, which finds each kind of members once."""
    found: dict[tuple[Condition | None, Attribute | None], Members] = {}

    def read(condition: Condition | None, attribute: Attribute | None) -> Members:
        if (condition, attribute) not in found:
            found[condition, attribute] = members_of(keyed, batch, residuals, condition, attribute)
        return found[condition, attribute]

    return read


def members_of(
    keyed: Keyed,
    batch: EventBatch,
    residuals: Mapping[str, Floats],
    condition: Condition | None,
    attribute: Attribute | None,
) -> Members:
    """Return the members of *batch*: of every key, those that *condition* lets through, by groups of *attribute*."""
    row_X, cell_X = keyed.row_E, keyed.key_E
    if condition is not None:
        through_E = batch.masks[condition][row_X]
        row_X, cell_X = row_X[through_E], cell_X[through_E]
    if attribute is None:
        return Members(row_X, cell_X, 1, batch, residuals)
    groups = len(attribute.values)
    if attribute.many:
        key_N = np.full(len(batch), -1)
        key_N[row_X] = cell_X
        many = batch.many[attribute.name]
        taken_X = key_N[many.row_X] >= 0
        row_X = many.row_X[taken_X]
        cell_X = key_N[row_X] * groups + many.code_X[taken_X]
    else:
        code_X = batch.attributes[attribute.name][row_X]
        known_X = ~np.isnan(code_X)
        row_X = row_X[known_X]
        cell_X = cell_X[known_X] * groups + code_X[known_X].astype(np.int64)
    order_X = stable_order(cell_X, max(keyed.count, 1) * groups)
    return Members(row_X[order_X], cell_X[order_X], groups, batch, residuals)
