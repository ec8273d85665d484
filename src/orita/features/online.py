"""The online engine: one request (a user and up to 1,000 items) to one float32 matrix.

One read of the store, then array arithmetic on whole columns: no loop over items. It computes from state what
`history` computes from events, and refuses a time that the state has already passed.

Legend: N items of the request, F features, W numbers of a row.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from orita.core.clock import from_micros
from orita.core.errors import UserError
from orita.features.expressions import evaluators
from orita.features.generation import Generation, NotPublished, current_generation
from orita.features.plan import Plan
from orita.features.request_aggregates import RequestAggregates
from orita.features.request_values import Request, online_reads
from orita.features.requests import Id, RequestKeys
from orita.features.schema import FeatureSchema
from orita.features.state.asof import kind_of, rows_as_of
from orita.features.state.layout import WATERMARK, empty_row
from orita.features.stores.lmdb import LmdbStore
from orita.features.stores.rows import read_rows
from orita.features.stores.store import OnlineStore

__all__ = ["OnlineFeatures", "OnlineReader", "Published"]

Floats = npt.NDArray[np.float64]


class OnlineFeatures:
    """The online store of one system, following its newest generation.

    Args:
        plan: the system's plan.
        folder: the online store of the system (`Home.online` / name).
    """

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self.folder = folder
        self._open: tuple[Generation, OnlineStore] | None = None
        self._retired: tuple[Generation, OnlineStore] | None = None
        self._refreshing = threading.Lock()  # a server's follower and its feature store both refresh

    def refresh(self) -> bool:
        """Switch to the newest generation; return whether there was a newer one. Not on the request's path.

        Raises:
            NotPublished: nothing was published yet, or it was published for other declarations.
        """
        with self._refreshing:
            return self._refreshed()

    def _refreshed(self) -> bool:
        newest = current_generation(self.folder)
        if newest is None:
            raise NotPublished(
                f"system {self.plan.system.name!r} has no online features yet: run 'orita run etl' first."
            )
        if self._open and self._open[0].name == newest.name:
            return False
        if newest.plan != self.plan.version:
            raise NotPublished(
                f"the online features of {self.plan.system.name!r} were published for other declarations "
                f"({newest.plan}, now {self.plan.version}): run 'orita run etl' to publish them anew."
            )
        if self._retired and self._retired[0].name == newest.name:  # LMDB opens a store once in a process
            self._open, self._retired = self._retired, self._open
            return True
        store = LmdbStore(self.folder / newest.name, readonly=True)
        # A request may still read the one before; the one before that has had a whole generation's time to finish.
        if self._retired:
            self._retired[1].close()
        self._retired, self._open = self._open, (newest, store)
        return True

    def close(self) -> None:
        """Let the stores go; a process that wants one again opens another of these."""
        for held in (self._open, self._retired):
            if held is not None:
                held[1].close()
        self._open = self._retired = None

    def current(self) -> tuple[Generation, OnlineStore]:
        """Return the generation in use and its store."""
        if self._open is None:
            self.refresh()
        assert self._open is not None
        return self._open

    def reader(self, schema: FeatureSchema) -> OnlineReader:
        """Return a reader whose matrices have the columns of *schema*.

        Raises:
            NotFound: the system declares no such feature.
            UserError: it declares another one under its name.
        """
        return OnlineReader(self, schema)


class Published(Protocol):
    """State that can be read; `OnlineFeatures` is one, which follows what is published."""

    @property
    def plan(self) -> Plan:
        """The plan that it was written for."""
        ...

    def current(self) -> tuple[Generation, OnlineStore]:
        """Return what is in use, and its store."""
        ...


class OnlineReader:
    """Computes feature matrices for one schema."""

    def __init__(self, features: Published, schema: FeatureSchema) -> None:
        self.schema = schema
        self._features = features
        self._plan = plan = features.plan
        names = plan.system.check(schema, "the model")
        single = [a for a in plan.aggregates if a.attribute is None or not a.attribute.many]
        self._together = RequestAggregates(plan, single)
        columns = evaluators(plan.system, online_reads(plan, self._together))
        plain = {f: self._together.order.get(plan.system.kept.get(name)) for f, name in enumerate(names)}  # type: ignore[arg-type]
        self._copied = np.array([f for f, position in plain.items() if position is not None], np.intp)
        self._from = np.array([position for position in plain.values() if position is not None], np.intp)
        self._columns = [(f, columns[name]) for f, name in enumerate(names) if plain[f] is None]
        self._kinds = [kind_of(plan, read.record) for read in plan.reads]
        self._missing = [empty_row(read.record).tobytes() for read in plan.reads]
        self._ages = any(kind.expires for kind in self._kinds)
        self._keys: tuple[str, RequestKeys] | None = None

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
            UserError: *at* is not after the latest event of the user, of an item, of a pair, or of another entity.
        """
        return self._filled(user_id, item_ids, context, at, np.dtype(np.float32))

    def values(self, user_id: Id, item_ids: Sequence[Id], context: Mapping[str, object], at: int) -> Floats:
        """Return the same as `matrix` before it is rounded, ``x_NF``."""
        return self._filled(user_id, item_ids, context, at, np.dtype(np.float64))

    def _filled(
        self, user_id: Id, item_ids: Sequence[Id], context: Mapping[str, object], at: int, kind: np.dtype[Any]
    ) -> npt.NDArray[Any]:
        states = self._states(user_id, item_ids, context, at)
        values_NC = self._together.values(states, len(item_ids), at)
        request = Request(states, values_NC, context, at)
        x_NF = np.empty((len(item_ids), len(self.schema)), kind)
        x_NF[:, self._copied] = values_NC.take(self._from, axis=1)
        numbers: dict[int, float] = {}
        for position, column in self._columns:
            value = column(request)
            if isinstance(value, float):
                numbers[position] = value
            else:
                x_NF[:, position] = value
        x_NF[:, list(numbers)] = list(numbers.values())
        return x_NF

    def _states(self, user_id: Id, item_ids: Sequence[Id], context: Mapping[str, object], at: int) -> list[Floats]:
        generation, store = self._features.current()
        if self._keys is None or self._keys[0] != generation.name:
            self._keys = generation.name, RequestKeys(self._plan, generation.string_ids)
        keys = self._keys[1].of(user_id, item_ids, context)
        states = read_rows(store, list(zip(keys, self._missing, strict=True)))
        if self._ages:
            states = rows_as_of(self._plan, store.get_many, self._kinds, keys, states, at)
        self._refuse_the_past(states, at)
        return states

    def _refuse_the_past(self, states: Sequence[Floats], at: int) -> None:
        for read, state_NW in zip(self._plan.reads, states, strict=True):
            latest = np.fmax.reduce(state_NW[:, WATERMARK], initial=-np.inf)
            if latest < at or not read.entities:
                continue
            raise UserError(
                f"timestamp {from_micros(at).isoformat()} is not after the latest event of this request's "
                f"{'-'.join(entity.name for entity in read.entities)} ({from_micros(int(latest)).isoformat()}): "
                "send a later timestamp, or none for the present."
            )
