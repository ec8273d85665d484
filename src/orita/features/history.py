"""The batch engine: features of every event as of its own time.

Events are read once, brought together by key, and folded; which of them a row sees is written in `kernel.ranges`.
Events of one instant (a page of a feed) do not see each other.

Legend: N events, E events that have a key, X pairs of an event and one of the several values of an attribute.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orita.features.declarations import MICROS_PER_DAY, Aggregate, Attribute, Entity, EventColumn, Residual
from orita.features.expressions import Evaluator, Reads, evaluators
from orita.features.frame import Frame, Relations, load_frame
from orita.features.kernel import folds
from orita.features.kernel.grouping import Codes, Groups, codes_of_integers, combine, group
from orita.features.kernel.ranges import LIFETIME, Ranges, Timeline, find_ranges
from orita.features.plan import Plan
from orita.features.schema import FeatureSchema

__all__ = ["History", "compute_history", "feature_rows", "state_rows"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class History:
    """The events with what each saw: ``values[name]`` is an aggregate or residual of the plan, NaN where missing."""

    frame: Frame
    values: dict[str, Floats]

    @property
    def at(self) -> Integers:
        """Time of each event."""
        return self.frame.time_N


def compute_history(
    plan: Plan, connection: duckdb.DuckDBPyConnection, relations: Relations, *, final: bool = False
) -> History:
    """Compute every aggregate of *plan* for every event, as of the event's own time.

    Args:
        plan: what to compute.
        connection: where *relations* can be read.
        relations: SQL of each table.
        final: only what the state after the last event needs: residuals and their means.
    """
    history = History(load_frame(plan, connection, relations), {})
    expected = {residual.expected for residual in plan.residuals}
    _compute(plan, history, [aggregate for aggregate in plan.aggregates if aggregate in expected])
    for residual in plan.residuals:
        column_N = history.frame.values[residual.column.column.name].astype(np.float64)
        history.values[plan.residual(residual)] = column_N - history.values[plan.name(residual.expected)]
    if not final:
        _compute(plan, history, [aggregate for aggregate in plan.aggregates if aggregate not in expected])
    return history


def _compute(plan: Plan, history: History, aggregates: Sequence[Aggregate]) -> None:
    """Compute *aggregates*, those of one kind of key together, several kinds at once."""
    kinds: dict[tuple[str, ...], list[Aggregate]] = {}
    for aggregate in aggregates:
        kinds.setdefault(tuple(key.name for key in aggregate.keys), []).append(aggregate)

    def of_kind(alike: list[Aggregate]) -> dict[str, Floats]:
        view = _view(history.frame, alike[0])
        return {plan.name(aggregate): _value(plan, history, aggregate, view) for aggregate in alike}

    with ThreadPoolExecutor(min(len(kinds), os.cpu_count() or 1) or 1) as pool:
        for computed in pool.map(of_kind, kinds.values()):
            history.values.update(computed)


def feature_rows(plan: Plan, history: History, schema: FeatureSchema) -> pa.Table:
    """Return one row an event: event_id, user_id, item_id, timestamp, target, then *schema*'s columns."""
    columns = evaluators(plan.system, _reads(plan))
    read = history.frame.table
    table = read.select(["event_id", "user_id", "item_id"])
    table = table.append_column("timestamp", pa.array(history.at).cast(pa.timestamp("us")))
    table = table.append_column("target", read["target"].cast(pa.int8()))
    for column in schema.columns:
        value_N = np.broadcast_to(np.asarray(columns[column.name](history), np.float64), len(history.frame))
        missing_N = np.isnan(value_N)
        kind = pa.type_for_alias(column.arrow)
        if pa.types.is_integer(kind):
            value_N = np.where(missing_N, 0, value_N)
        plain = value_N.astype(kind.to_pandas_dtype())
        table = table.append_column(column.name, pa.array(plain, kind, mask=missing_N))
    return table


def state_rows(plan: Plan, history: History) -> pa.Table:
    """Return the events with ids, time ``t``, attributes, values (``v_…``) and residuals, to be grouped into state."""
    frame = history.frame
    table = frame.table.select(["user_id", "item_id"]).append_column("t", pa.array(history.at))
    for attribute in plan.attributes:
        table = table.append_column(attribute.name, frame.table[attribute.name])
    for name, value_N in frame.values.items():
        missing_N = np.isnan(value_N) if value_N.dtype.kind == "f" else None
        table = table.append_column(f"v_{name}", pa.array(value_N, mask=missing_N))
    for residual in plan.residuals:
        value_N = history.values[plan.residual(residual)]
        table = table.append_column(plan.residual(residual), pa.array(value_N, mask=np.isnan(value_N)))
    return table


def _reads(plan: Plan) -> Reads[History]:
    def aggregate(wanted: Aggregate) -> Evaluator[History]:
        return lambda history: history.values[plan.name(wanted)]

    def equals(column: EventColumn, value: str) -> Evaluator[History]:
        def evaluate(history: History) -> Floats:
            found = pa.compute.equal(history.frame.context[column.column.name], value)
            return np.asarray(pa.compute.fill_null(found, False).to_numpy()).astype(np.float64)

        return evaluate

    return Reads(aggregate, lambda attribute: lambda history: _slots(history.frame, attribute), equals)


def _slots(frame: Frame, attribute: Attribute) -> Floats:
    """Return the attribute's value of each event, [N, 1], or a flag for each of its values, [N, width]."""
    if not attribute.many:
        return frame.attributes[attribute.name][:, None]
    flags = np.zeros((len(frame), len(attribute.values)))
    many = frame.many[attribute.name]
    flags[many.row_X, many.code_X] = 1
    return flags


@dataclass(frozen=True, slots=True)
class _View:
    """The events by one kind of key.

    Attributes:
        row_X: which event each member of a group is.
        several: whether an event may be in several groups, as its attribute has several values.
        groups: the members by key.
        timeline: their times; every member is an event and a row that asks.
        ranges: what each sees, over all time.
    """

    row_X: Integers
    several: bool
    groups: Groups
    timeline: Timeline
    ranges: Ranges


def _view(frame: Frame, aggregate: Aggregate) -> _View:
    attribute = aggregate.attribute
    row_X = np.arange(len(frame))
    parts: list[Codes] = []
    if attribute is not None and attribute.many:
        row_X = frame.many[attribute.name].row_X
        parts.append(Codes(frame.many[attribute.name].code_X, len(attribute.values)))
    elif attribute is not None:
        code_N = frame.attributes[attribute.name]
        known_N = ~np.isnan(code_N)
        parts.append(codes_of_integers(np.where(known_N, code_N, 0).astype(np.int64), known_N))
    for key in aggregate.keys:
        if isinstance(key, Entity):
            codes = frame.keys[key.name]
            parts.append(Codes(codes.code_N[row_X], codes.groups))
    groups = group(combine(parts, len(row_X)))
    time_E = frame.time_N[row_X[groups.order_N]]
    timeline = Timeline(time_E, groups.start_K, time_E, groups.start_K)
    several = attribute is not None and attribute.many
    return _View(row_X, several, groups, timeline, find_ranges(timeline, LIFETIME))


def _value(plan: Plan, history: History, aggregate: Aggregate, view: _View) -> Floats:
    """Return the aggregate for each event."""
    rows = len(history.frame)
    member_E = view.row_X[view.groups.order_N]
    match aggregate.function:
        case "last_time" | "first_time":
            seen_E = folds.edge(view.timeline.time_E, view.ranges, last=aggregate.function == "last_time")
            return _spread(seen_E, member_E, rows, np.nan)
        case "distinct_days":
            codes = codes_of_integers(view.timeline.time_E // MICROS_PER_DAY)
            seen_E = folds.distinct(codes.code_N, codes.groups, view.ranges).astype(np.float64)
            return _spread(seen_E, member_E, rows, 0.0)
        case "count":
            return _gathered(folds.count(view.ranges), view, member_E, rows)
    value_E = _values(plan, history, aggregate)[member_E]
    value_E, ranges = _present(value_E, view.ranges)
    sum_N = _gathered(folds.total(value_E, ranges), view, member_E, rows)
    if aggregate.function == "sum":
        return sum_N
    n_N = _gathered(folds.count(ranges), view, member_E, rows)
    if aggregate.prior is not None:
        prior = aggregate.prior
        return np.asarray((sum_N + prior.mean * prior.weight) / (n_N + prior.weight))
    missing_N = np.full(rows, np.nan)
    return np.asarray(np.divide(sum_N, n_N, out=missing_N, where=n_N > 0))


def _values(plan: Plan, history: History, aggregate: Aggregate) -> npt.NDArray[np.generic]:
    if isinstance(aggregate.value, Residual):
        return history.values[plan.residual(aggregate.value)]
    assert aggregate.value is not None
    return history.frame.values[aggregate.value.column.name]


def _present(value_E: npt.NDArray[np.generic], ranges: Ranges) -> tuple[npt.NDArray[np.generic], Ranges]:
    """Return the values that are not missing, and the same ranges among them."""
    if value_E.dtype.kind != "f" or not (missing_E := np.isnan(value_E.astype(np.float64))).any():
        return value_E, ranges
    before_E = np.concatenate([np.zeros(1, np.int64), np.cumsum(~missing_E)])
    return value_E[~missing_E], Ranges(before_E[ranges.low_Q], before_E[ranges.high_Q])


def _spread(seen_E: npt.NDArray[np.generic], member_E: Integers, rows: int, otherwise: float) -> Floats:
    """Return what each event saw, *otherwise* where it has no key."""
    out_N = np.full(rows, otherwise)
    out_N[member_E] = seen_E
    return out_N


def _gathered(seen_E: npt.NDArray[np.generic], view: _View, member_E: Integers, rows: int) -> Floats:
    """Return the sum of what the members of each event saw, 0 where it has no key."""
    if view.several:
        return np.bincount(member_E, weights=seen_E.astype(np.float64), minlength=rows).astype(np.float64)
    return _spread(seen_E, member_E, rows, 0.0)
