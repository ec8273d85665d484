"""The online engine: one request (a user and up to 1,000 items) to one float32 matrix.

One read of the store, then array arithmetic on whole columns: no loop over items. It computes from state what
`history` computes from events, and refuses a time that the state has already passed.

Legend: N items of the request, F features, W slots of a record, G declared values of an attribute, S slots.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from orita.core.clock import from_micros
from orita.core.errors import OritaError, UserError
from orita.features.declarations import Aggregate, Attribute, EventColumn
from orita.features.expressions import Evaluator, Reads, evaluators
from orita.features.generation import Generation, current_generation
from orita.features.keys import encode_id
from orita.features.plan import SLOTS, AggregateSlots, AttributeSlots, Plan, Record
from orita.features.schema import FeatureSchema
from orita.features.stores.lmdb import LmdbStore
from orita.features.stores.rows import read_rows
from orita.features.stores.store import OnlineStore

__all__ = ["OnlineFeatures", "OnlineReader"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Request:
    """What evaluators see: state by record (rows: 1, or N where items are in the key), the context, the time."""

    state: Mapping[str, Array]
    context: Mapping[str, object]
    at: int


_Evaluator = Evaluator[_Request]


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

    def refresh(self) -> bool:
        """Switch to the newest generation; return whether there was a newer one. Not on the request's path.

        Raises:
            UserError: nothing was published yet, or it was published for other declarations.
        """
        newest = current_generation(self.folder)
        if newest is None:
            raise UserError(f"system {self.plan.system.name!r} has no online features yet: run 'orita run etl' first.")
        if self._open and self._open[0].name == newest.name:
            return False
        if newest.plan != self.plan.version:
            raise UserError(
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


class OnlineReader:
    """Computes feature matrices for one schema."""

    def __init__(self, features: OnlineFeatures, schema: FeatureSchema) -> None:
        self.schema = schema
        self._features = features
        plan = features.plan
        plan.system.check(schema, "the model")
        columns = evaluators(plan.system, _reads(plan))
        self._columns = [columns[name] for name in schema.names]
        self._empty = {record.name: _empty_record(record) for record in plan.records}

    def matrix(
        self, user_id: int | str, item_ids: Sequence[int | str], context: Mapping[str, object], at: int
    ) -> npt.NDArray[np.float32]:
        """Return ``x_NF``, a row an item, in the order of *item_ids*.

        Args:
            user_id: who asks; an unknown user has the features of one without events.
            item_ids: what to describe, N of them.
            context: request columns such as ``device``; a missing one is none of its declared values.
            at: the time of the request, microseconds since the Unix epoch; later than every event seen of its keys.

        Raises:
            UserError: *at* is not after the latest event of the user, of an item or of a pair.
        """
        request = _Request(self._read(user_id, item_ids, at), context, at)
        x_NF = np.empty((len(item_ids), len(self._columns)), np.float32)
        for position, column in enumerate(self._columns):
            x_NF[:, position] = column(request)
        return x_NF

    def _read(self, user_id: int | str, item_ids: Sequence[int | str], at: int) -> dict[str, Array]:
        plan = self._features.plan
        generation, store = self._features.current()
        user = _encoded(user_id, plan.system.user.name, generation)
        items = [_encoded(item, plan.system.item.name, generation) for item in item_ids]
        wanted: list[tuple[Sequence[bytes], bytes]] = []
        for number, record in enumerate(plan.records):
            prefix = bytes([number])
            match [entity == plan.system.user for entity in record.entities]:
                case []:
                    keys = [prefix]
                case [True]:
                    keys = [prefix + user]
                case [False]:
                    keys = [prefix + item for item in items]
                case _:
                    prefix += user
                    keys = [prefix + item for item in items]
            wanted.append((keys, self._empty[record.name]))
        found = read_rows(store, wanted)
        state = {record.name: rows_NW for record, (_, rows_NW) in zip(plan.records, found, strict=True)}
        _refuse_the_past(state, at)
        return state


def _encoded(value: int | str, entity: str, generation: Generation) -> bytes:
    """Return the key of an id in the type that the store has it in: '12' and 12 are the same user."""
    if entity in generation.string_ids:
        return encode_id(str(value))
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        return encode_id(int(value))
    return encode_id(value)


def _refuse_the_past(state: Mapping[str, Array], at: int) -> None:
    for name, rows in state.items():
        if name == "all" or not (rows[:, 0] >= at).any():
            continue
        latest = int(np.nanmax(rows[:, 0]))
        raise UserError(
            f"timestamp {from_micros(at).isoformat()} is not after the latest event of this request's "
            f"{name.replace('_', '-')} ({from_micros(latest).isoformat()}): "
            "send a later timestamp, or none for the present."
        )


def _empty_record(record: Record) -> bytes:
    row_W = np.full(record.width, np.nan)
    for slots in record.attributes:
        if slots.attribute.many:
            row_W[slots.start : slots.start + slots.width] = 0
    for aggregate in record.aggregates:
        names = SLOTS[aggregate.aggregate.function] * aggregate.groups
        row_W[aggregate.start : aggregate.start + aggregate.width] = [
            0.0 if name in ("n", "sum", "days") else np.nan for name in names
        ]
    return row_W.tobytes()


def _reads(plan: Plan) -> Reads[_Request]:
    def equals(column: EventColumn, value: str) -> _Evaluator:
        name = column.column.name
        return lambda request: float(request.context.get(name) == value)

    return Reads(lambda wanted: _aggregate(wanted, plan), lambda attribute: _attribute(attribute, plan), equals)


def _attribute(attribute: Attribute, plan: Plan) -> Callable[[_Request], Array]:
    """Return a function for an attribute's slots: [1 or N, width]."""
    record, slots = _attribute_slots(attribute, plan)
    name, start, end = record.name, slots.start, slots.start + slots.width
    return lambda request: request.state[name][:, start:end]


def _attribute_slots(attribute: Attribute, plan: Plan) -> tuple[Record, AttributeSlots]:
    for record in plan.records:
        for slots in record.attributes:
            if slots.attribute == attribute:
                return record, slots
    raise OritaError(f"attribute {attribute.name!r} has no place in the plan.")


def _aggregate(aggregate: Aggregate, plan: Plan) -> _Evaluator:
    record, slots = _aggregate_slots(aggregate, plan)
    name, start, end = record.name, slots.start, slots.start + slots.width
    width = len(SLOTS[aggregate.function])
    group = _group(aggregate, slots, plan)

    def evaluate(request: _Request) -> Array:
        state_NGS = request.state[name][:, start:end].reshape(-1, slots.groups, width)
        return _value(aggregate, group(state_NGS, request))

    return evaluate


def _aggregate_slots(aggregate: Aggregate, plan: Plan) -> tuple[Record, AggregateSlots]:
    for record in plan.records:
        for slots in record.aggregates:
            if slots.aggregate == aggregate:
                return record, slots
    raise OritaError(f"aggregate {aggregate!r} has no place in the plan.")


def _group(aggregate: Aggregate, slots: AggregateSlots, plan: Plan) -> Callable[[Array, _Request], Array]:
    """Return a function from the state of every declared value to the state that the row's own values select."""
    attribute = aggregate.attribute
    if attribute is None:
        return lambda state_NGS, request: state_NGS[:, 0, :]
    codes = _attribute(attribute, plan)
    empty_S = np.array([0.0 if name in ("n", "sum", "days") else np.nan for name in SLOTS[aggregate.function]])

    def many(state_NGS: Array, request: _Request) -> Array:
        return np.asarray((codes(request)[:, :, None] * state_NGS).sum(axis=1))

    def one(state_NGS: Array, request: _Request) -> Array:
        code_N = codes(request)[:, 0]
        known_N = ~np.isnan(code_N)
        index_N = np.where(known_N, code_N, 0).astype(np.intp)
        rows = max(len(index_N), len(state_NGS))
        index_N = np.broadcast_to(index_N, rows)
        picked_NS = np.broadcast_to(state_NGS, (rows, *state_NGS.shape[1:]))[np.arange(rows), index_N]
        return np.where(np.broadcast_to(known_N, rows)[:, None], picked_NS, empty_S)

    return many if attribute.many else one


def _value(aggregate: Aggregate, state_NS: Array) -> Array:
    match aggregate.function:
        case "mean" if aggregate.prior is not None:
            prior = aggregate.prior
            return np.asarray((state_NS[:, 1] + prior.mean * prior.weight) / (state_NS[:, 0] + prior.weight))
        case "mean":
            count = state_NS[:, 0]
            missing = np.full(len(state_NS), np.nan)
            return np.asarray(np.divide(state_NS[:, 1], count, out=missing, where=count > 0))
        case "sum":
            return state_NS[:, 1]
        case _:
            return state_NS[:, 0]
