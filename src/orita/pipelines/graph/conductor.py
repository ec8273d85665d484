"""Carrying out the tasks of a run that is under way: each once those that it follows have ended well."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import structlog

from orita.core.clock import from_micros
from orita.core.errors import UserError
from orita.core.progress import Bar
from orita.pipelines.attempt import Attempt
from orita.pipelines.graph.beginning import Begun, found_row
from orita.pipelines.graph.declaration import Graph, Result, Retry, Task
from orita.pipelines.graph.events import CloudEvent, happened
from orita.pipelines.graph.failures import sentence_of
from orita.pipelines.graph.journal import Journal, TaskRow
from orita.pipelines.graph.keys import task_key
from orita.pipelines.graph.options import RunOptions
from orita.pipelines.graph.places import log_of
from orita.pipelines.graph.reports import RunReport, TaskReport, status_of
from orita.pipelines.graph.work import Inline, Outcome, Pool, Threads, Work
from orita.pipelines.workspace import Workspace

__all__ = ["Conductor"]

_log = structlog.stdlib.get_logger("orita.pipelines")


class Conductor:
    """Carries out tasks of one run.

    Args:
        graph: of which graph.
        workspace: its surroundings.
        options: how.
        journal: where everything is noted.
        begun: the run.
        fingerprint: of the workspace.
        only: the tasks to carry out; None: all.
    """

    def __init__(
        self,
        graph: Graph,
        workspace: Workspace,
        options: RunOptions,
        journal: Journal,
        begun: Begun,
        fingerprint: str,
        only: Collection[str] | None = None,
    ) -> None:
        self._graph, self._workspace, self._options, self._journal = graph, workspace, options, journal
        self._run, self._resumed, self._fingerprint = begun.row, begun.resumed, fingerprint
        self._results: dict[str, Result] = {name: row.result for name, row in begun.done.items()}
        self._waiting = [t.name for t in graph.tasks if t.name not in begun.done and (only is None or t.name in only)]
        self._follows, self._ancestors = graph.follows(), graph.ancestors()
        self._ready_at: dict[str, float] = {}
        self._failures: dict[str, int] = {}
        self._working: dict[str, tuple[int, float]] = {}
        self._cancelled = threading.Event()
        self.failed: tuple[str, Exception] | None = None

    @property
    def complete(self) -> bool:
        """Whether every task of the graph has ended well."""
        return all(task.name in self._results for task in self._graph.tasks)

    def conduct(self) -> None:
        """Carry out what can be; after a failure nothing more is begun, and what is at work ends."""
        pool = self._pool()
        try:
            with self._workspace.progress.bar(self._graph.id, total=len(self._waiting) or None) as bar:
                while self._waiting or self._working:
                    if not self._step(pool, bar):
                        break
        except BaseException:
            pool.cancel()
            self._note_cancelled()
            raise

    def report(self) -> RunReport:
        """Return what became of the tasks so far, in the order of their declaration."""
        rows = self._journal.tasks(self._run.run_id)
        told = tuple(
            TaskReport(
                name=row.name,
                status=row.status,
                seconds=row.seconds,
                result=self._results.get(row.name, {}),
                error=row.error,
                attempts=row.attempts,
            )
            for task in self._graph.tasks
            if (row := rows.get(task.name)) is not None
        )
        began = from_micros(self._run.began).isoformat()
        return RunReport(self._run.run_id, self._graph.id, self._workspace.system.name, began, told, self._resumed)

    def _step(self, pool: Pool, bar: Bar) -> bool:
        """Begin what can begin, and take in one outcome; return whether there is anything left to do."""
        for name in [] if self.failed else self._ready():
            if len(self._working) < self._options.parallel and name in self._waiting:
                bar.describe(name)
                self._begin(name, pool, bar)
        if self._working:
            free = len(self._working) < self._options.parallel
            outcome = pool.wait(self._next_retry() if free else None)
            if outcome is not None:
                self._take_in(outcome, bar)
            return True
        if self.failed or not self._waiting:
            return False
        if not self._ready() and (seconds := self._next_retry()) is not None:
            time.sleep(seconds)
            return True
        return bool(self._ready())

    def _ready(self) -> list[str]:
        now = time.monotonic()
        return [
            name
            for name in self._waiting
            if self._ready_at.get(name, 0.0) <= now and all(each in self._results for each in self._follows[name])
        ]

    def _next_retry(self) -> float | None:
        """Return the seconds until the next retry is due, None where none waits."""
        due = [at for name, at in self._ready_at.items() if name in self._waiting]
        return max(0.0, min(due) - time.monotonic()) if due and not self.failed else None

    def _begin(self, name: str, pool: Pool, bar: Bar) -> None:
        task = self._graph.task(name)
        results = {each: self._results[each] for each in self._ancestors[name] if each in self._results}
        self._waiting.remove(name)
        key = task_key(self._graph, task, self._workspace, results, self._fingerprint) if task.cache else None
        if key is not None and not self._options.force and self._options.start_at is None:
            found = self._found(task, key)
            if found is not None:
                self._journal.end_task(self._run.run_id, found_row(name, found, key))
                self._results[name] = found
                bar.advance()
                return
        number = self._journal.begin_task(self._run.run_id, name)
        attempt = Attempt(self._run.run_id, self._graph.id, name, number, self._cancelled.is_set)
        self._working[name] = (number, time.monotonic())
        log = log_of(self._workspace, self._run.run_id, name, number)
        timeout = task.timeout if task.timeout is not None else self._options.timeout
        pool.start(Work(task, replace(self._workspace, attempt=attempt), results, timeout, log))

    def _found(self, task: Task, key: str) -> Result | None:
        """Return the result of an earlier run under the same key, where it holds."""
        assert task.cache is not None
        found = self._journal.recall(key)
        if found is None or (task.cache.holds is not None and not task.cache.holds(self._workspace, found[1])):
            return None
        return found[1]

    def _take_in(self, outcome: Outcome, bar: Bar) -> None:
        number, _ = self._working.pop(outcome.task)
        if outcome.error is None:
            assert outcome.result is not None
            try:
                self._succeeded(outcome.task, number, outcome.result, outcome.seconds)
            except Exception as error:  # what it returned is no JSON, or what it means cannot be told
                self._fail(outcome.task, number, error, outcome.seconds)
            bar.advance()
        elif (wait := self._wait_before_retry(outcome.task, outcome.error)) is not None:
            sentence = sentence_of(outcome.error)
            _log.warning("task_tried_again", task=outcome.task, seconds=wait, error=sentence, run=self._run.run_id)
            self._journal.end_attempt(self._run.run_id, outcome.task, number, "failed", sentence, outcome.seconds)
            self._ready_at[outcome.task] = time.monotonic() + wait
            self._waiting.append(outcome.task)
        else:
            self._fail(outcome.task, number, outcome.error, outcome.seconds)

    def _succeeded(self, name: str, number: int, result: Result, seconds: float) -> None:
        task = self._graph.task(name)
        status = status_of(result)
        before = {each: self._results[each] for each in self._ancestors[name] if each in self._results}
        told = [self._event("pipeline.task.completed", name, {"status": status, "seconds": seconds})]
        if task.tells is not None and status == "success":
            meant = task.tells(self._workspace, {**before, name: result})
            told += [self._event(type_, name, data) for type_, data in meant]
        key = task_key(self._graph, task, self._workspace, before, self._fingerprint) if task.cache else None
        self._journal.end_task(
            self._run.run_id, TaskRow(name, status, number, 0, None, seconds, key, result, None), told
        )
        self._results[name] = result

    def _fail(self, name: str, number: int, error: Exception, seconds: float) -> None:
        sentence = sentence_of(error)
        told = [self._event("pipeline.task.failed", name, {"error": sentence, "attempts": number})]
        row = TaskRow(name, "failed", number, 0, None, seconds, None, {}, sentence)
        self._journal.end_task(self._run.run_id, row, told)
        self.failed = self.failed or (name, error)

    def _wait_before_retry(self, name: str, error: Exception) -> float | None:
        """Return the seconds until the task is begun again, None where it is not."""
        retry: Retry = self._graph.task(name).retry or self._options.retry
        self._failures[name] = self._failures.get(name, 0) + 1
        if isinstance(error, UserError) or self.failed or self._failures[name] > retry.times:
            return None
        return retry.wait(self._failures[name])

    def _note_cancelled(self) -> None:
        for name, (number, begun) in self._working.items():
            seconds = time.monotonic() - begun
            row = TaskRow(name, "cancelled", number, 0, None, seconds, None, {}, "the run was cancelled")
            self._journal.end_task(self._run.run_id, row)

    def _event(self, type_: str, task: str, data: Mapping[str, Any]) -> CloudEvent:
        told = {"run": self._run.run_id, "graph": self._graph.id, "task": task, **data}
        return happened(self._workspace, self._graph.id, f"{self._run.run_id}/{task}", type_, told)

    def _pool(self) -> Pool:
        if self._options.origin is not None:
            from orita.pipelines.graph.isolation import Isolated  # its imports are of use where it is asked for

            return Isolated(self._options.origin)
        return Threads(self._cancelled) if self._options.parallel > 1 else Inline()
