"""Searching runs by SQL over MLflow's tables: ids first, without the joins, the sorting and the DISTINCT of its own.

MLflow's search joins a subquery for each condition, sorts every match and removes duplicates, which there cannot be: a
run has a metric, a param or a tag of one name once. Here the ids come from an index, in order where that can be.

What is slow for a planner that guesses is decided by looking, the same on SQLite, which knows no distribution of
values, and on PostgreSQL, which does not know how conditions go together:

1. Each condition that an index answers is asked for its runs, up to 2,000. One that has fewer: all else is asked of
   these.
2. Otherwise many runs fulfil each condition, and those that fulfil all are likely near the top of the order: it is
   walked 5,000 runs down.
3. What the walk did not fill, since conditions exclude one another, is found by intersecting their runs: its time is
   that of reading each condition's runs once.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orita.core.extras import require
from orita.registry.indexes import INDEXED_CHARACTERS
from orita.registry.query import Condition, Order, Query

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, CompoundSelect, FromClause, Select
    from sqlalchemy.orm import Session

__all__ = ["RunSearch"]

_FEW, _WALK = 2000, 5000
_LAST = chr(0x10FFFF)  # no character comes after it
_RANGES = ("=", ">", ">=", "<", "<=")


@dataclass(frozen=True, slots=True)
class _Key:
    column: ColumnElement[Any]
    descending: bool = False

    @property
    def clause(self) -> ColumnElement[Any]:
        return self.column.desc() if self.descending else self.column.asc()


class _Ordered:
    """A selection of run ids, and what it is ordered by."""

    def __init__(self, selected: Select[Any], keys: tuple[_Key, ...]) -> None:
        self.statement, self.keys = selected.order_by(*(key.clause for key in keys)), keys


class RunSearch:
    """Finds the ids of active runs of one experiment, in MLflow's database."""

    def __init__(self, session: Session, experiment: str) -> None:
        self._session = session
        self._sql = require("sqlalchemy", extra="train")
        models = require("mlflow.store.tracking.dbmodels.models", extra="train")
        self._runs: FromClause = models.SqlRun.__table__
        self._metrics: FromClause = models.SqlLatestMetric.__table__
        self._texts: dict[str, FromClause] = {"param": models.SqlParam.__table__, "tag": models.SqlTag.__table__}
        self._experiment = int(experiment)
        self._on_sqlite = session.get_bind().dialect.name == "sqlite"
        if self._on_sqlite:  # pages are read from the system's cache, of any size, instead of SQLite's own of 2 MB
            session.execute(self._sql.text("PRAGMA mmap_size = 2147418112"))

    def ids(self, query: Query, order: Order, limit: int) -> list[str]:
        """Return up to *limit* run ids that fulfil *query*, in *order*; the newer first among equals."""
        few = self._few(query)
        if few == []:
            return []
        found = self._first(query, order, few, limit)
        if order.kind == "metric" and len(found) < limit and not _sure(query, order):
            for rest in (self._with_nan(order), self._without(order)):
                found += self._run(self._matching(rest, query, few), limit - len(found))
        return found

    def _first(self, query: Query, order: Order, few: Sequence[str] | None, limit: int) -> list[str]:
        """Return what has a value to be ordered by."""
        ordered = self._by_moment(order) if order.kind == "attribute" else self._by_metric(query, order)
        if few is not None or not _elsewhere(query):
            return self._run(self._matching(ordered.statement, query, few), limit)
        found = self._run(self._near_the_top(ordered, query), limit)
        if len(found) == limit:
            return found
        return self._run(self._matching(ordered.statement, query, self._intersection(query)), limit)

    def _run(self, statement: Select[Any], limit: int) -> list[str]:
        return list(self._session.execute(statement.limit(limit)).scalars()) if limit else []

    def _by_moment(self, order: Order) -> _Ordered:
        runs, moment = self._runs.c, self._runs.c[order.name]
        newest = (_Key(runs.start_time, True), _Key(runs.run_uuid))
        statement = self._active(runs.run_uuid)
        if order.name == "start_time":
            return _Ordered(statement, (_Key(moment, order.descending), newest[1]))
        return _Ordered(statement, (_Key(moment.is_(None)), _Key(moment, order.descending), *newest))

    def _by_metric(self, query: Query, order: Order) -> _Ordered:
        """Return the runs that have the metric as a number; its index gives their order."""
        metric, runs = self._metrics.alias("ordering").c, self._runs.c
        statement = self._active(metric.run_uuid, joined=metric.run_uuid)
        statement = statement.where(metric.key == order.name, metric.is_nan.is_(False))
        for condition in query.conditions:
            if (condition.kind, condition.name) == ("metric", order.name):
                statement = statement.where(_compared(metric.value, condition))
        if self._on_sqlite:  # always true, but a range: SQLite then begins at the metric's index
            statement = statement.where(metric.value >= -sys.float_info.max)
        keys = (_Key(metric.value, order.descending), _Key(runs.start_time, True), _Key(runs.run_uuid))
        return _Ordered(statement, keys)

    def _with_nan(self, order: Order) -> Select[Any]:
        metric = self._metrics.alias("ordering").c
        statement = self._active(metric.run_uuid, joined=metric.run_uuid)
        marked = (metric.key == order.name, metric.value == 0, metric.is_nan.is_(True))
        return statement.where(*marked).order_by(*self._newest())

    def _without(self, order: Order) -> Select[Any]:
        metric, run_id = self._metrics.alias("ordering").c, self._runs.c.run_uuid
        there = self._sql.select(metric.run_uuid).where(metric.run_uuid == run_id, metric.key == order.name)
        return self._active(run_id).where(~there.exists()).order_by(*self._newest())

    def _newest(self) -> tuple[ColumnElement[Any], ...]:
        return (self._runs.c.start_time.desc(), self._runs.c.run_uuid)

    def _active(self, selected: ColumnElement[str], joined: ColumnElement[str] | None = None) -> Select[Any]:
        """Select from the active runs of the experiment, joined to what has the run id *joined*."""
        runs = self._runs.c
        statement: Select[Any] = self._sql.select(selected)
        experiment: ColumnElement[Any] = runs.experiment_id
        if joined is not None:
            statement = statement.join(self._runs, runs.run_uuid == joined)
            if self._on_sqlite:
                experiment = experiment + 0  # no index is on that: SQLite begins at the other table
        return statement.where(experiment == self._experiment, runs.lifecycle_stage == "active")

    def _matching(self, statement: Select[Any], query: Query, few: Sequence[str] | CompoundSelect[Any] | None) -> Any:
        """Keep what fulfils *query*, of the runs *few* if they are given."""
        if few is not None:
            statement = statement.where(self._runs.c.run_uuid.in_(few))
        return statement.where(*self._on_run(query), *self._elsewhere(query, self._runs.c.run_uuid))

    def _near_the_top(self, ordered: _Ordered, query: Query) -> Select[Any]:
        """Keep what fulfils *query* among the first runs of an order."""
        labelled = [key.column.label(f"key_{number}") for number, key in enumerate(ordered.keys)]
        first = ordered.statement.add_columns(*labelled).where(*self._on_run(query)).limit(_WALK)
        top = first.subquery("top")
        found: Select[Any] = self._sql.select(top.c.run_uuid).where(*self._elsewhere(query, top.c.run_uuid))
        keys = [_Key(top.c[f"key_{number}"], key.descending) for number, key in enumerate(ordered.keys)]
        return found.order_by(*(key.clause for key in keys))

    def _intersection(self, query: Query) -> CompoundSelect[Any] | None:
        """Select the runs that fulfil every condition on a metric, a param or a tag but that it is null."""
        held = [self._having(condition) for condition in _elsewhere(query) if condition.comparison != "is null"]
        return self._sql.intersect(*held) if held else None

    def _on_run(self, query: Query) -> list[ColumnElement[bool]]:
        attributes = [condition for condition in query.conditions if condition.kind == "attribute"]
        return [_compared(self._runs.c[_column(condition.name)], condition) for condition in attributes]

    def _elsewhere(self, query: Query, run_id: ColumnElement[str]) -> list[ColumnElement[bool]]:
        """Return what other tables must say of the run *run_id*."""
        said = []
        for condition in _elsewhere(query):
            held = self._having(condition)
            exists = held.where(held.selected_columns.run_uuid == run_id).exists()
            said.append(~exists if condition.comparison == "is null" else exists)
        return said

    def _having(self, condition: Condition) -> Select[Any]:
        """Select the ids of the runs that fulfil a condition on a metric, a param or a tag."""
        metric = condition.kind == "metric"
        table = (self._metrics if metric else self._texts[condition.kind]).alias()
        statement: Select[Any] = self._sql.select(table.c.run_uuid).where(table.c.key == condition.name)
        if condition.value is None:
            return statement
        if not metric:
            return statement.where(*self._text_holds(table, condition))
        holds = _compared(table.c.value, condition)
        if condition.comparison == "!=":  # NaN, kept as a marked 0, differs from every number
            return statement.where(self._sql.or_(holds, table.c.is_nan.is_(True)))
        return statement.where(holds, table.c.is_nan.is_(False))

    def _text_holds(self, table: FromClause, condition: Condition) -> list[ColumnElement[bool]]:
        """Compare a text; one that shall be equal, or begin so, is found by the index of its beginning."""
        wanted, text = str(condition.value), self._sql.text  # numbers as texts: a bound parameter would miss the index
        head = self._sql.func.substr(table.c.value, text("1"), text(str(INDEXED_CHARACTERS)))
        if condition.comparison != "=":
            begun = self._beginning(condition)
            between = [head >= begun, head < begun + _LAST] if begun else []
            return [*between, _compared(table.c.value, condition)]
        if len(wanted) < INDEXED_CHARACTERS:
            return [head == wanted]
        # Compared as an expression: SQLite would put the value itself into the head, and miss the index as well.
        return [head == wanted[:INDEXED_CHARACTERS], table.c.value.concat("") == wanted]

    def _few(self, query: Query) -> list[str] | None:
        """Return the runs of the condition that fewest fulfil, if those are few enough to begin with."""
        few = None
        for condition in _elsewhere(query):
            if not (condition.comparison in _RANGES or self._beginning(condition)):
                continue  # no index tells its runs
            bound = _FEW if few is None else len(few)
            held = self._having(condition)
            if condition.kind == "metric":  # else PostgreSQL reads the whole table, hoping to meet enough of them soon
                held = held.order_by(held.get_final_froms()[0].c.value)
            found = self._run(held, bound)
            if len(found) < bound:
                few = found
        return few

    def _beginning(self, condition: Condition) -> str:
        """Return the letters before the first wild one of ``like``, where the index is in the order of letters."""
        if condition.comparison != "like" or not self._on_sqlite:
            return ""
        return re.split("[%_]", str(condition.value))[0][:INDEXED_CHARACTERS]


def _elsewhere(query: Query) -> list[Condition]:
    """Return the conditions on what other tables say of a run."""
    return [condition for condition in query.conditions if condition.kind != "attribute"]


def _sure(query: Query, order: Order) -> bool:
    """Return whether the conditions leave only runs that have what is ordered by, as a number."""
    return any(
        (condition.kind, condition.name) == (order.kind, order.name) and condition.comparison != "!="
        for condition in query.conditions
    )


def _column(name: str) -> str:
    return {"run_id": "run_uuid"}.get(name, name)


def _compared(column: ColumnElement[Any], condition: Condition) -> ColumnElement[bool]:
    compare: dict[str, Any] = {
        "=": column.__eq__,
        "!=": column.__ne__,
        ">": column.__gt__,
        ">=": column.__ge__,
        "<": column.__lt__,
        "<=": column.__le__,
        "like": column.like,
        "ilike": column.ilike,
    }
    compared: ColumnElement[bool] = compare[condition.comparison](condition.value)
    return compared
