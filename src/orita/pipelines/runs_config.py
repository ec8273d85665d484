"""The ``runs`` section of ``orita.yaml``: how pipelines are carried out, and how long their history stays."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from orita.core.config import Section

__all__ = ["HandlerConfig", "RunsConfig"]


def _place(function: str) -> str:
    file, colon, name = function.rpartition(":")
    if not (colon and file.endswith(".py") and name.isidentifier()):
        raise ValueError("expected FILE.py:FUNCTION, the file relative to the project's folder")
    return function


class HandlerConfig(Section):
    """A function of the project that is called with events.

    Attributes:
        call: ``FILE.py:FUNCTION``; the function takes one `CloudEvent`.
        types: which types of events, such as ``model.*``.
        attempts: how often an event is handed over where the function fails; then it is given up.
    """

    call: Annotated[str, AfterValidator(_place)]
    types: tuple[str, ...] = ("*",)
    attempts: int = Field(5, ge=1, le=100)


class RunsConfig(Section):
    """How ``orita run`` and ``orita schedule`` carry out graphs.

    Attributes:
        retries: of a task that failed by no fault of its user, in scheduled runs, unless the task says otherwise.
        retry_seconds: before the first retry.
        retry_factor: by which the wait grows with each further one.
        timeout_seconds: of one attempt of a task that names none; None: no limit.
        parallel: how many tasks of a run may be at work at once, where they do not follow each other.
        isolated: whether each task has a process of its own.
        resume_minutes: a run that was killed not longer ago is gone on with by the next one; 0: never by itself.
        keep: how many of the last runs of a graph stay in the history.
        keep_days: older runs leave the history, but for the last one of a graph.
        schedules: cron expressions, UTC, by pipeline, in the place of those of the contract; ``off``: none.
        events: whether events are appended to ``events.jsonl`` beside the history.
        handlers: functions that are called with events.
    """

    retries: int = Field(2, ge=0, le=100)
    retry_seconds: float = Field(300.0, ge=0, le=86_400)
    retry_factor: float = Field(1.0, ge=1, le=10)
    timeout_seconds: float | None = Field(None, gt=0)
    parallel: int = Field(1, ge=1, le=64)
    isolated: bool = False
    resume_minutes: float = Field(60.0, ge=0)
    keep: int = Field(200, ge=1)
    keep_days: float = Field(90.0, gt=0)
    schedules: dict[str, str] = {}
    events: bool = True
    handlers: tuple[HandlerConfig, ...] = ()
