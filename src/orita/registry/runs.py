"""Runs: what is kept of a training, written all at once or as it goes, and read again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, get_args

from orita.core.errors import NotFound, UserError
from orita.core.extras import require
from orita.registry.datasets import log_training_set
from orita.registry.store import Store

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

__all__ = ["Run", "RunLog", "RunStatus", "Runs", "moment_of"]

RunStatus = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]
_PARENT = "mlflow.parentRunId"  # MLflow's own tag: its pages draw the tree from it
_LONGEST_PARAM, _PARAMS_A_BATCH, _METRICS_A_BATCH = 6000, 100, 1000  # limits of MLflow


@dataclass(frozen=True, slots=True)
class RunLog:
    """What is kept of a training run: parameters, final metrics, metrics by step, lineage tags, the run above it."""

    name: str
    params: Mapping[str, object]
    metrics: Mapping[str, float]
    history: list[dict[str, float]] = field(default_factory=list)
    tags: Mapping[str, str] = field(default_factory=dict)
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One run, as it was read.

    Attributes:
        run_id: its id in MLflow, 32 hexadecimal digits.
        name: what it was called when it began.
        status: ``RUNNING`` until it is ended; a killed process leaves it so.
        started_at: UTC.
        ended_at: UTC; None while it is running.
        params: what it was run with, as texts.
        metrics: the latest value of each.
        tags: lineage, and MLflow's own tags.
        parent: the id of the run above it.
    """

    run_id: str
    name: str
    status: str
    started_at: datetime
    ended_at: datetime | None
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    parent: str | None = None

    @classmethod
    def of(cls, run: MlflowRun) -> Run:
        """Return MLflow's run as plain values."""
        info, data = run.info, run.data
        return cls(
            run_id=info.run_id,
            name=info.run_name or "",
            status=info.status,
            started_at=moment_of(info.start_time),
            ended_at=moment_of(info.end_time) if info.end_time else None,
            params=dict(sorted(data.params.items())),
            metrics=dict(sorted(data.metrics.items())),
            tags=dict(sorted(data.tags.items())),
            parent=data.tags.get(_PARENT),
        )


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
        """Begin a run of *system*, under the run *parent* if one is named; return its id."""
        client = self._store.client
        run = client.create_run(
            self._store.experiment(system),
            start_time=self._now(),
            run_name=name,
            tags={**self._store.source, **(tags or {}), **({} if parent is None else {_PARENT: parent})},
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
        self._log_rows(run_id, [(step, metrics)])

    def _log_rows(self, run_id: str, rows: list[tuple[int, Mapping[str, float]]]) -> None:
        entities, now = require("mlflow.entities", extra="train"), self._now()
        written = [entities.Metric(key, float(value), now, step) for step, row in rows for key, value in row.items()]
        for start in range(0, len(written), _METRICS_A_BATCH):
            self._store.client.log_batch(run_id, metrics=written[start : start + _METRICS_A_BATCH])

    def end(self, run_id: str, status: RunStatus = "FINISHED") -> None:
        """End a run.

        Raises:
            UserError: *status* is none that a run ends with.
        """
        ends = [name for name in get_args(RunStatus) if name != "RUNNING"]
        if status not in ends:
            raise UserError(f"status has the value {status!r}, a run ends with one of {', '.join(ends)}.")
        self._store.client.set_terminated(run_id, status, end_time=self._now())

    def log(self, system: str, log: RunLog) -> str:
        """Record a finished run of *system* and return its id."""
        run_id = self.begin(system, log.name, log.params, log.tags, log.parent)
        fits = [{f"fit_{key}": number for key, number in row.items()} for row in log.history]
        try:
            self._log_rows(run_id, [(0, log.metrics), *enumerate(fits)])
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

    def history(self, run_id: str) -> dict[str, list[tuple[int, float]]]:
        """Return (step, value) of every metric of a run, in the order of the steps."""
        client = self._store.client
        return {
            name: sorted((point.step, point.value) for point in client.get_metric_history(run_id, name))
            for name in sorted(self.get(run_id).metrics)
        }

    def _now(self) -> int:
        return int(self._store.clock.now().timestamp() * 1000)


def moment_of(milliseconds: int) -> datetime:
    """Return the UTC time of MLflow's milliseconds."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
