"""The runs of a home: written all at once or as they go, read again, and searched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import get_args

from orita.core.errors import NotFound, UserError
from orita.core.extras import require
from orita.registry.datasets import log_training_set
from orita.registry.run import PARENT, Run, RunLog, RunStatus
from orita.registry.searching import find_finished, find_runs
from orita.registry.store import Store

__all__ = ["Runs"]

_LONGEST_PARAM, _PARAMS_A_BATCH, _METRICS_A_BATCH = 6000, 100, 1000  # limits of MLflow


class Runs:
    """The runs of one home and tenant."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(
        self,
        system: str,
        name: str,
        params: Mapping[str, object] | None = None,
        tags: Mapping[str, str] | None = None,
        parent: str | None = None,
    ) -> str:
        """Begin a run of *system*, under the run *parent* if one is named; return its id.

        It is ``RUNNING`` until `end`; a killed process leaves it so.
        """
        client = self._store.client
        run = client.create_run(
            self._store.experiment(system),
            start_time=self._now(),
            run_name=name,
            tags={**self._store.source, **(tags or {}), **({} if parent is None else {PARENT: parent})},
        )
        run_id: str = run.info.run_id
        log_training_set(self._store, run_id, system, tags or {})
        entities = require("mlflow.entities", extra="train")
        written = [entities.Param(key, str(value)[:_LONGEST_PARAM]) for key, value in (params or {}).items()]
        for start in range(0, len(written), _PARAMS_A_BATCH):
            client.log_batch(run_id, params=written[start : start + _PARAMS_A_BATCH])
        return run_id

    def log_metrics(self, run_id: str, metrics: Mapping[str, float], step: int = 0) -> None:
        """Add the values of *metrics* at *step* (≥ 0) to a run."""
        self.log_history(run_id, [(step, metrics)])

    def log_history(self, run_id: str, rows: Iterable[tuple[int, Mapping[str, float]]]) -> None:
        """Add many steps to a run in few writes: for each its number (≥ 0) and the values of its metrics."""
        entities, now = require("mlflow.entities", extra="train"), self._now()
        written = [entities.Metric(key, float(value), now, step) for step, row in rows for key, value in row.items()]
        for start in range(0, len(written), _METRICS_A_BATCH):
            self._store.client.log_batch(run_id, metrics=written[start : start + _METRICS_A_BATCH])

    def end(self, run_id: str, status: RunStatus = "FINISHED", tags: Mapping[str, str] | None = None) -> None:
        """End a run, ``FINISHED``, ``FAILED`` or ``KILLED``; *tags* are set before, so that an ended run has them.

        Raises:
            UserError: *status* is none that a run ends with.
        """
        ends = [name for name in get_args(RunStatus) if name != "RUNNING"]
        if status not in ends:
            raise UserError(f"status has the value {status!r}, a run ends with one of {', '.join(ends)}.")
        if tags:
            entities = require("mlflow.entities", extra="train")
            self._store.client.log_batch(run_id, tags=[entities.RunTag(key, value) for key, value in tags.items()])
        self._store.client.set_terminated(run_id, status, end_time=self._now())

    def log(self, system: str, log: RunLog) -> str:
        """Record a finished run of *system* and return its id."""
        run_id = self.begin(system, log.name, log.params, log.tags, log.parent)
        fits = [{f"fit_{key}": number for key, number in row.items()} for row in log.history]
        try:
            self.log_history(run_id, [(0, log.metrics), *enumerate(fits)])
        except Exception:
            self.end(run_id, "FAILED")
            raise
        self.end(run_id)
        return run_id

    def get(self, run_id: str) -> Run:
        """Return the run with this id.

        Raises:
            NotFound: there is none.
        """
        mlflow = require("mlflow.exceptions", extra="train")
        try:
            return Run.of(self._store.client.get_run(run_id))
        except mlflow.MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            raise NotFound(f"there is no run {run_id!r}: 'orita models search --runs' lists what exists.") from None

    def search(self, system: str, query: str = "", *, order: str | None = None, limit: int = 20) -> list[Run]:
        """Return the runs of *system* that *query* describes (`orita.registry.parsing` has the grammar).

        Args:
            system: whose runs.
            query: ``auc > 0.75 and type = 'lightgbm' and tag.team = 'ads'``; empty: all.
            order: a metric, ``started`` or ``ended``, the greatest first, or ``log_loss asc``; None: the newest first.
            limit: 1 to 1,000 runs.

        Raises:
            UserError: the query, the order or the limit is none.
        """
        return find_runs(self._store, system, query, order, limit)

    def finished(self, system: str, tag: str, value: str) -> str | None:
        """Return the id of the newest finished run of *system* whose *tag* has *value*, or None."""
        return find_finished(self._store, system, tag, value)

    def history(self, run_id: str) -> dict[str, list[tuple[int, float]]]:
        """Return (step, value) of every metric of a run, in the order of the steps."""
        client = self._store.client
        return {
            name: sorted((point.step, point.value) for point in client.get_metric_history(run_id, name))
            for name in sorted(self.get(run_id).metrics)
        }

    def _now(self) -> int:
        return int(self._store.clock.now().timestamp() * 1000)
