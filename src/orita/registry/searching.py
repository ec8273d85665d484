"""Searching the catalogue: which words a query knows, and by which way it is answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orita.core.errors import UserError
from orita.core.extras import require
from orita.registry.mlflow_filter import mlflow_filter, mlflow_order
from orita.registry.parsing import parse_order, parse_query
from orita.registry.query import NEWEST, Condition, Order, Query, Word
from orita.registry.run import Run
from orita.registry.run_rows import read_run_rows
from orita.registry.run_search import RunSearch
from orita.registry.store import Store

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

__all__ = ["MOST", "RUN_WORDS", "checked_limit", "find_finished", "find_runs", "order_of", "read_runs"]

_ALL = 3  # MLflow's ViewType: deleted runs too
MOST, _AT_ONCE = 1000, 100  # runs or versions an answer; runs a question to a server, whose address lines are short
RUN_WORDS: Mapping[str, Word] = {
    "status": Word("attribute", "status", allowed=("RUNNING", "FINISHED", "FAILED", "KILLED", "SCHEDULED")),
    "name": Word("tag", "mlflow.runName"),
    "type": Word("param", "type"),
    "parent": Word("tag", "mlflow.parentRunId"),
    "run_id": Word("attribute", "run_id"),
    "started": Word("attribute", "start_time", "moment"),
    "ended": Word("attribute", "end_time", "moment"),
}


def find_runs(store: Store, system: str, text: str, order: str | None, limit: int) -> list[Run]:
    """Return the runs of *system* that the query *text* describes, in *order*, by default the newest first.

    Raises:
        UserError: the query, the order or the limit is none.
    """
    query, ordered = parse_query(text, RUN_WORDS), order_of(order, RUN_WORDS)
    return _found(store, system, query, ordered, checked_limit(limit))


def find_finished(store: Store, system: str, tag: str, value: str) -> str | None:
    """Return the id of the newest finished run of *system* whose *tag* has *value*, or None."""
    finished = Condition("attribute", "status", "=", "FINISHED")
    found = _found(store, system, Query((Condition("tag", tag, "=", value), finished)), NEWEST, 1)
    return found[0].run_id if found else None


def _found(store: Store, system: str, query: Query, order: Order, limit: int) -> list[Run]:
    experiment = store.find_experiment(system) if store.exists else None
    if experiment is None:
        return []
    sql_store = store.sql_store
    if sql_store is None:
        return [Run.of(run) for run in _by_mlflow(store, experiment, query, order, limit)]
    with sql_store.ManagedSessionMaker() as session:
        ids = RunSearch(session, experiment).ids(query, order, limit)
        found = read_run_rows(session, ids)
    return [found[run_id] for run_id in ids if run_id in found]  # one deleted in between is left out


def read_runs(store: Store, system: str, ids: Sequence[str]) -> dict[str, Run]:
    """Return the runs of *system* with these ids, in a few questions however many they are."""
    if store.sql_store is not None:
        with store.sql_store.ManagedSessionMaker() as session:
            return read_run_rows(session, ids)
    found: dict[str, Run] = {}
    for start in range(0, len(ids), _AT_ONCE):
        some = ", ".join(f"'{run_id}'" for run_id in ids[start : start + _AT_ONCE])
        runs = store.client.search_runs(
            [store.experiment(system)], f"attributes.run_id IN ({some})", run_view_type=_ALL, max_results=_AT_ONCE
        )
        found |= {run.info.run_id: Run.of(run) for run in runs}
    return found


def order_of(text: str | None, words: Mapping[str, Word]) -> Order:
    """Return the order that *text* writes, the newest first where it writes none."""
    return NEWEST if text is None else parse_order(text, words)


def checked_limit(limit: int) -> int:
    """Return *limit*.

    Raises:
        UserError: it is not between 1 and `MOST`.
    """
    if not 1 <= limit <= MOST:
        raise UserError(f"limit has the value {limit}, allowed is 1 to {MOST}.")
    return limit


def _by_mlflow(store: Store, experiment: str, query: Query, order: Order, limit: int) -> list[MlflowRun]:
    mlflow = require("mlflow.exceptions", extra="train")
    try:
        found: Any = store.client.search_runs(
            [experiment], mlflow_filter(query), max_results=limit, order_by=mlflow_order(order)
        )
    except mlflow.MlflowException as error:
        if error.error_code != "INVALID_PARAMETER_VALUE":
            raise
        raise UserError(f"query is refused by the MLflow server: {error.message}") from None
    return list(found)
