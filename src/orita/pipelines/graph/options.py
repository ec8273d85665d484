"""How a run is carried out: once or again, here or isolated, from the beginning or from where another ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from orita.pipelines.graph.declaration import Retry
from orita.pipelines.runs_config import RunsConfig

__all__ = ["Origin", "Resume", "RunOptions"]

Resume = Literal["never", "killed", "stopped", "last"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a process of its own finds a graph and its workspace again: bodies are functions, and do not travel.

    Attributes:
        function: ``module:function``; it is called with the arguments, and returns the graph and the workspace.
        arguments: plain values.
    """

    function: str
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How one run is carried out.

    Attributes:
        retry: of tasks that say nothing of it.
        timeout: seconds of one attempt, of tasks that say nothing of it.
        parallel: how many tasks may be at work at once.
        origin: where isolated processes find the graph; None: tasks are carried out in this process.
        resume: whether to go on with the last run: ``never``; ``killed``, where its process was killed a short while
            ago on the same code, configuration and source; ``stopped``, also where it was cancelled; ``last``, whatever
            ended it.
        start_at: do this task and all that follow it; results of the others are of the last run that has them.
        force: begin anew, and do what an earlier run did already.
        cause: who or what asked for it, for the history.
    """

    retry: Retry = field(default_factory=Retry)
    timeout: float | None = None
    parallel: int = 1
    origin: Origin | None = None
    resume: Resume = "never"
    start_at: str | None = None
    force: bool = False
    cause: str = ""

    @classmethod
    def of(cls, config: RunsConfig, *, origin: Origin | None = None, **given: Any) -> RunOptions:
        """Return what the configuration says; *origin* is taken where tasks are to be isolated."""
        return cls(
            retry=Retry(config.retries, config.retry_seconds, config.retry_factor),
            timeout=config.timeout_seconds,
            parallel=config.parallel,
            origin=origin if config.isolated else None,
            **given,
        )
