"""A run as plain values: what is kept of a training, and what is read again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

__all__ = ["PARENT", "Run", "RunLog", "RunStatus", "moment_of"]

RunStatus = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]
PARENT = "mlflow.parentRunId"
"""MLflow's own tag of the run above: its pages draw the tree from it."""


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
            parent=data.tags.get(PARENT),
        )


def moment_of(milliseconds: int) -> datetime:
    """Return the UTC time of MLflow's milliseconds."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
