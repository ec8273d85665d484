"""The loop of ``orita schedule``: what is due is asked for, and carried out one at a time.

ETL's success asks for a training, monitoring that wants a new model for a retraining; monitoring runs only after an ETL
that ended well. Times that passed while nothing watched are not caught up with. What a killed process was at is gone on
with: the request is in the queue, the run in the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import structlog

from orita.core.errors import NotFound, closest
from orita.pipelines.graph import RunOptions, RunReport
from orita.pipelines.graph.failed_runs import tell_refused
from orita.pipelines.graph.failures import sentence_of
from orita.pipelines.graph.journal import Journal, RunRow
from orita.pipelines.runs import GRAPHS, pipeline_graph, run_pipeline
from orita.pipelines.schedule.cron import Cron
from orita.pipelines.schedule.requests import Request, Requests
from orita.pipelines.workspace import Workspace

__all__ = ["Planned", "Scheduler"]

_log = structlog.stdlib.get_logger("orita.pipelines")

Carry = Callable[[str, RunOptions], list[RunReport]]
_AFTER = {"training": "after each etl that ends well", "retraining": "and when monitoring asks for a new model"}
_OFF = "off"


@dataclass(frozen=True, slots=True)
class Planned:
    """When a pipeline runs.

    Attributes:
        pipeline: which one.
        cron: its expression; empty: it has none.
        next: when it is due next, UTC; None where it has no expression.
        after: what else begins it, in words.
        last: its latest run, if any.
    """

    pipeline: str
    cron: str
    next: datetime | None
    after: str
    last: RunRow | None


class Scheduler:
    """Runs the pipelines of a workspace when they are due.

    Args:
        workspace: the surroundings.
        journal: of its system.
        options: how each is run; cause and resumption are added.
        carry: carries out a pipeline; by default `run_pipeline`.

    Raises:
        UserError: the configuration names a schedule that is none.
    """

    def __init__(
        self, workspace: Workspace, journal: Journal, options: Callable[..., RunOptions], carry: Carry | None = None
    ) -> None:
        self._workspace, self._journal, self._options = workspace, journal, options
        self._carry = carry or (lambda name, chosen: run_pipeline(name, workspace, options=chosen))
        self.requests = Requests(journal, workspace.clock)
        self._crons = _crons(workspace)
        now = workspace.clock.now()
        self._next = {name: cron.after(now) for name, cron in self._crons.items()}

    def plan(self) -> list[Planned]:
        """Return when each pipeline runs."""
        return [
            Planned(
                name,
                self._crons[name].text if name in self._crons else "",
                self._next.get(name),
                _AFTER.get(name, ""),
                self._last(name),
            )
            for name in GRAPHS
        ]

    def step(self) -> float:
        """Ask for what is due, carry out one request if there is one; return the seconds until there may be more."""
        self._ask_for_what_is_due()
        request = self.requests.next()
        if request is None:
            self._tell_again()
            now = self._workspace.clock.now()
            return max(0.0, min(((at - now).total_seconds() for at in self._next.values()), default=60.0))
        self._carry_out(request)
        return 0.0

    def _ask_for_what_is_due(self) -> None:
        now = self._workspace.clock.now()
        for name, at in self._next.items():
            if at <= now:
                self.requests.ask(name, f"schedule {at:%Y-%m-%dT%H:%MZ}, {name}")
                self._next[name] = self._crons[name].after(now)

    def _carry_out(self, request: Request) -> None:
        if request.status == "waiting" and (why := self._held_back(request)):
            _log.warning("scheduled_run_skipped", pipeline=request.pipeline, cause=request.cause, why=why)
            self.requests.end(request, "skipped", why)
            return
        begun_before = request.status == "running"
        self.requests.begin(request)
        done = self._ended_already(request) if begun_before else None
        if done is None:
            latest = self._last(request.pipeline)
            try:
                resume = "stopped" if begun_before else "killed"
                (report,) = self._carry(request.pipeline, self._options(cause=request.cause, resume=resume))
            except Exception as error:  # whatever a task raises: the other pipelines run all the same
                sentence = sentence_of(error)
                _log.error("scheduled_run_failed", alert=True, pipeline=request.pipeline, error=sentence)
                self.requests.end(request, "failed", sentence)
                if self._last(request.pipeline) == latest:  # else it tells of itself
                    graph, cause = GRAPHS[request.pipeline], request.cause
                    self._telling(partial(tell_refused, self._workspace, graph, cause, sentence))
                return
            done = report.run_id, report.results
        run_id, results = done
        self.requests.end(request, "done", run_id, _following(request.pipeline, run_id, results))

    def _tell_again(self) -> None:
        """Tell sinks what they missed."""
        alerting = self._workspace.monitoring.alerting
        if alerting.book(self._workspace.home.reports).exists():
            from orita.pipelines.telling import tell_again  # it brings SciPy

            self._telling(partial(tell_again, self._workspace))

    def _telling(self, tell: Callable[[], None]) -> None:
        """Tell people; that it cannot be done stops no pipeline."""
        try:
            tell()
        except Exception as error:  # a file of alerts that is damaged, busy, or on a full disk
            _log.error("alerts_not_told", error=sentence_of(error))

    def _held_back(self, request: Request) -> str:
        """Return why a request is not carried out, empty where it is."""
        if request.pipeline != "monitoring":
            return ""
        etl = self._last("etl", ended=True)
        if etl is None:
            return "no etl has run yet, and monitoring needs one"
        return "" if etl.status == "success" else f"the last etl, run {etl.run_id}, ended as {etl.status}"

    def _ended_already(self, request: Request) -> tuple[str, dict[str, dict[str, object]]] | None:
        """Return the run of a request that a killed process had carried out to its end, with its results."""
        for row in self._journal.runs(GRAPHS[request.pipeline], most=20):
            if row.cause == request.cause and row.status == "success":
                return row.run_id, {name: task.result for name, task in self._journal.tasks(row.run_id).items()}
        return None

    def _last(self, name: str, *, ended: bool = False) -> RunRow | None:
        rows = self._journal.runs(GRAPHS[name], most=50)
        return next((row for row in rows if row.parent is None and not (ended and row.ended is None)), None)


def _following(pipeline: str, run_id: str, results: dict[str, dict[str, object]]) -> Iterator[tuple[str, str]]:
    """Yield what a run that ended well gives rise to, with the cause."""
    if pipeline == "etl":
        yield "training", f"etl {run_id}"
    if pipeline == "monitoring" and results.get("generate_alerts", {}).get("retrain"):
        yield "retraining", f"monitoring {run_id}"


def _crons(workspace: Workspace) -> dict[str, Cron]:
    given = workspace.runs.schedules
    for name in given:
        if name not in GRAPHS:
            raise NotFound(f"runs.schedules names {name!r}, which is no pipeline. {closest(name, GRAPHS)}")
    texts = {name: given.get(name, pipeline_graph(name, workspace).schedule or _OFF) for name in GRAPHS}
    return {name: Cron(text) for name, text in texts.items() if text != _OFF}
