"""The online engine: one request (a user and up to 1,000 items) to one float32 matrix.

One read of the store, then array arithmetic on whole columns: no loop over items. It computes from state what
`history` computes from events, and refuses a time that the state has already passed.

Legend: N items of the request, F features, W numbers of a row.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from orita.core.clock import from_micros
from orita.core.errors import UserError
from orita.features.expressions import evaluators
from orita.features.online.aggregates import RequestAggregates
from orita.features.online.keys import Id
from orita.features.online.rows import RequestRows
from orita.features.online.values import Request, online_reads
from orita.features.plan import Plan
from orita.features.schema import FeatureSchema
from orita.features.state.asof import kind_of, rows_as_of
from orita.features.state.layout import WATERMARK, empty_row

__all__ = ["OnlineReader", "Published", "UnknownIds", "Whom", "empty_rows", "found_by_itself"]

Floats = npt.NDArray[np.float64]
Whom = Literal["user", "item"]

_SHOWN = 3

_found: ContextVar[frozenset[Whom]] = ContextVar("orita_found_ids", default=frozenset())


class UnknownIds(UserError):
    """A request names users or items of which the state knows nothing, and they are to be refused."""


@contextmanager
def found_by_itself(whom: Whom) -> Iterator[None]:
    """Let no id of *whom* be refused within the block: nobody gave them, they were found, and may be gone meanwhile."""
    token = _found.set(_found.get() | {whom})
    try:
        yield
    finally:
        _found.reset(token)


class Published(Protocol):
    """State that can be read; `following.OnlineFeatures` is one, which follows what is published."""

    @property
    def plan(self) -> Plan:
        """The plan that it was written for."""
        ...

    def current(self) -> RequestRows:
        """Return how its rows are read."""
        ...


class OnlineReader:
    """Computes feature matrices for one schema.

    Args:
        features: what it reads.
        schema: the columns.
        refuse: of whom an id that the state does not know, by an event or an attribute that a feature reads, is
            refused; of others it has the features of one without events.

    Raises:
        UserError: a column is not known, or who is to be refused is kept by nothing.
    """

    def __init__(self, features: Published, schema: FeatureSchema, refuse: Collection[Whom] = ()) -> None:
        self.schema = schema
        self._features = features
        self._plan = plan = features.plan
        names = plan.system.check(schema, "the model")
        single = [a for a in plan.aggregates if a.attribute is None or not a.attribute.many]
        self._together = RequestAggregates(plan, single)
        columns = evaluators(plan.system, online_reads(plan, self._together))
        held = [self._together.order.get(plan.system.kept.get(name)) for name in names]  # type: ignore[arg-type]
        others = [f for f, row in enumerate(held) if row is None]
        self._columns = [columns[names[f]] for f in others]
        row_of = dict(zip(others, range(self._together.rows, self._together.rows + len(others)), strict=True))
        self._row_F = np.array([row_of[f] if row is None else row for f, row in enumerate(held)], np.intp)
        self._kinds = [kind_of(plan, read.record) for read in plan.reads]
        self._dated = [(position, read.entities) for position, read in enumerate(plan.reads) if read.entities]
        self._ages = any(kind.expires for kind in self._kinds)
        self._refused = [(whom, empty_rows(plan, whom)) for whom in sorted(refuse)]

    def matrix(
        self, user_id: Id, item_ids: Sequence[Id], context: Mapping[str, object], at: int
    ) -> npt.NDArray[np.float32]:
        """Return ``x_NF``, a row an item, in the order of *item_ids*.

        Args:
            user_id: who asks; an unknown user has the features of one without events.
            item_ids: what to describe, N of them.
            context: request columns such as ``device``; a missing one is none of its declared values. The ids of other
                entities are among them, such as ``merchant_id``.
            at: the time of the request, microseconds since the Unix epoch; later than every event seen of its keys.

        Raises:
            UserError: *at* is not after the latest event of the user, of an item, of a pair, or of another entity; as
                `UnknownIds`, the user or an item is not known and to be refused.
        """
        return self._filled(user_id, item_ids, context, at, np.dtype(np.float32))

    def values(self, user_id: Id, item_ids: Sequence[Id], context: Mapping[str, object], at: int) -> Floats:
        """Return the same as `matrix` before it is rounded, ``x_NF``."""
        return self._filled(user_id, item_ids, context, at, np.dtype(np.float64))

    def _filled(
        self, user_id: Id, item_ids: Sequence[Id], context: Mapping[str, object], at: int, kind: np.dtype[Any]
    ) -> npt.NDArray[Any]:
        states = self._states(user_id, item_ids, context, at)
        value_CN = self._together.values(states, len(item_ids), at, spare=len(self._columns))
        request = Request(states, value_CN, context, at)
        for row, column in enumerate(self._columns, start=self._together.rows):
            value_CN[row] = column(request)
        return np.ascontiguousarray(value_CN.take(self._row_F, axis=0).T, kind)

    def _states(self, user_id: Id, item_ids: Sequence[Id], context: Mapping[str, object], at: int) -> list[Floats]:
        rows = self._features.current()
        keys, states = rows.read(user_id, item_ids, context)
        for whom, empties in self._refused:
            if whom not in _found.get():
                _check_known(whom, [user_id] if whom == "user" else item_ids, states, empties)
        if self._ages:
            states = rows_as_of(self._plan, rows.store.get_many, self._kinds, keys, states, at)
        self._refuse_the_past(states, at)
        return states

    def _refuse_the_past(self, states: Sequence[Floats], at: int) -> None:
        for position, entities in self._dated:
            state_NW = states[position]
            # One row is looked at as a number, which costs a tenth; a comparison with NaN, no event, is false.
            passed = (
                state_NW[0, WATERMARK] >= at if len(state_NW) == 1 else np.count_nonzero(state_NW[:, WATERMARK] >= at)
            )
            if not passed:
                continue
            latest = int(np.nanmax(state_NW[:, WATERMARK]))
            raise UserError(
                f"timestamp {from_micros(at).isoformat()} is not after the latest event of this request's "
                f"{'-'.join(entity.name for entity in entities)} ({from_micros(latest).isoformat()}): "
                "send a later timestamp, or none for the present."
            )


def empty_rows(plan: Plan, whom: Whom) -> dict[int, npt.NDArray[np.int64]]:
    """Return the rows, as bits, of who is not known, by the position of each read that is of *whom* alone.

    Raises:
        UserError: there is no such read.
    """
    entity = plan.system.user if whom == "user" else plan.system.item
    found = {
        position: empty_row(read.record).view(np.int64)
        for position, read in enumerate(plan.reads)
        if read.entities == (entity,)
    }
    if not found:
        raise UserError(
            f"nothing is kept of one {whom} alone, so whether it is known cannot be told: declare a feature of the "
            f"{whom}, or do not refuse unknown {whom}s."
        )
    return found


def _check_known(
    whom: Whom, ids: Sequence[Id], states: Sequence[Floats], empties: Mapping[int, npt.NDArray[np.int64]]
) -> None:
    unknown_N = np.ones(len(ids), np.bool_)
    for position, empty_W in empties.items():
        unknown_N &= (states[position].view(np.int64) == empty_W).all(axis=1)
    if not unknown_N.any():
        return
    unknown = [ids[place] for place in np.flatnonzero(unknown_N).tolist()]
    more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
    field = "user_id" if whom == "user" else "item_ids"
    raise UnknownIds(
        f"{field} has {', '.join(map(repr, unknown[:_SHOWN]))}{more}, of which nothing is known: allowed are {whom}s "
        "with an event, or an attribute that a feature reads."
    )
