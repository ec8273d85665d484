"""The schedule of the contract: what is due when, what follows what, one at a time, also after a kill."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.monitoring.mailbox import running_mailbox, smtp_of
from tests.pipelines.graph.graphs import made_workspace

from orita.core.clock import ManualClock
from orita.core.errors import NotFound, UserError
from orita.monitoring.config import AlertingConfig, MonitoringConfig
from orita.pipelines.graph import Graph, RunOptions, RunReport, Task, run_graph
from orita.pipelines.graph.journal import open_journal
from orita.pipelines.runs import GRAPHS
from orita.pipelines.runs_config import RunsConfig
from orita.pipelines.schedule import Scheduler
from orita.pipelines.workspace import Workspace

SATURDAY = datetime(2024, 6, 1, 12, tzinfo=UTC)


class Killed(BaseException):
    """Stands for ``kill -9``: nothing that runs afterwards sees it."""


@dataclass
class Days:
    """A scheduler in simulated time, whose pipelines are one task each."""

    workspace: Workspace
    clock: ManualClock
    drift: bool = False
    broken: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    killed: str = ""
    stopped: bool = False
    ran: list[str] = field(default_factory=list)

    def scheduler(self) -> Scheduler:
        """Return a scheduler, as a process that starts has one."""
        journal = open_journal(self.workspace.home, self.workspace.system.name, self.clock)
        return Scheduler(self.workspace, journal, RunOptions, self.carry)

    def carry(self, pipeline: str, options: RunOptions) -> list[RunReport]:
        """Carry out a pipeline of one task."""

        def body(workspace: Workspace, results: Any) -> dict[str, Any]:
            if self.stopped:
                raise KeyboardInterrupt
            if pipeline in self.broken:
                raise UserError("no.")
            return {"retrain": self.drift}

        if pipeline in self.refused:
            raise UserError("the lake is of another version.")
        self.ran.append(f"{pipeline} {self.clock.now():%d %H:%M}")
        graph = Graph(GRAPHS[pipeline], None, (Task("generate_alerts", body),))
        report = run_graph(graph, self.workspace, options)
        if self.killed == pipeline:
            raise Killed
        return [report]

    def live(self, scheduler: Scheduler, hours: float) -> None:
        """Let so much time pass."""
        end = self.clock.now() + timedelta(hours=hours)
        while self.clock.now() < end:
            seconds = scheduler.step()
            left = (end - self.clock.now()).total_seconds()
            self.clock.advance(timedelta(seconds=min(seconds, left)))


@pytest.fixture
def days(tmp_path: Path) -> Days:
    """Return a Saturday noon."""
    clock = ManualClock(SATURDAY)
    return Days(replace(made_workspace(tmp_path), clock=clock), clock)


def test_a_week_is_that_of_the_contract(days: Days) -> None:
    """ETL at two, then training; monitoring at four; retraining on Sunday at midnight; all in UTC."""
    days.live(days.scheduler(), 60)
    assert days.ran == [
        "retraining 02 00:00",
        "etl 02 02:00",
        "training 02 02:00",
        "monitoring 02 04:00",
        "etl 03 02:00",
        "training 03 02:00",
        "monitoring 03 04:00",
    ]


def test_drift_asks_for_a_retraining(days: Days) -> None:
    """At once, and by the run that found it."""
    days.drift = True
    days.live(days.scheduler(), 17)
    assert days.ran[-2:] == ["monitoring 02 04:00", "retraining 02 04:00"]
    journal = open_journal(days.workspace.home, days.workspace.system.name, days.clock)
    retraining, monitoring = journal.runs(most=2)
    assert retraining.cause == f"monitoring {monitoring.run_id}"


def test_what_fails_gives_rise_to_nothing_and_the_rest_goes_on(days: Days) -> None:
    """No training without an ETL, and no monitoring: it needs one; the next day is another day."""
    days.broken = {"etl"}
    scheduler = days.scheduler()
    with capture_logs() as logs:
        days.live(scheduler, 24)
    assert days.ran == ["retraining 02 00:00", "etl 02 02:00"]
    assert [(log["event"], log.get("alert", False)) for log in logs if log["event"].startswith("scheduled")] == [
        ("scheduled_run_failed", True),
        ("scheduled_run_skipped", False),
    ]
    days.broken = set()
    days.live(scheduler, 24)
    assert days.ran[2:] == ["etl 03 02:00", "training 03 02:00", "monitoring 03 04:00"]


def test_what_is_refused_before_it_begins_is_told(days: Days) -> None:
    """Once for each time, to a sink that was away at first too, and over when the pipeline runs well again."""
    with running_mailbox() as box:
        alerting = AlertingConfig(email="a@example.org", smtp=smtp_of(box))
        days.workspace = replace(days.workspace, monitoring=MonitoringConfig(alerting=alerting))
        days.refused, box.refused = {"etl"}, True
        scheduler = days.scheduler()
        days.live(scheduler, 16)
        assert box.mails == []
        box.refused = False
        days.live(scheduler, 1)
        (mail,) = box.mails
        text = message_from_bytes(mail, policy=policy.default).get_content()
        assert "A run of etl did not begin (schedule 2024-06-02T02:00Z, etl): the lake is of another version." in text
        days.refused = set()
        days.live(scheduler, 24)
        assert len(box.mails) == 2
        assert "1 recovered: PIPELINE_FAILED" in str(message_from_bytes(box.mails[1], policy=policy.default)["Subject"])


def test_what_was_missed_is_not_caught_up_with(days: Days) -> None:
    """A scheduler that starts on Monday does not run Sunday's pipelines."""
    days.scheduler()
    days.clock.advance(timedelta(days=2))
    days.live(days.scheduler(), 15)
    assert days.ran == ["etl 04 02:00", "training 04 02:00"]


@pytest.mark.parametrize("pipeline", ["etl", "training"])
def test_a_killed_scheduler_loses_nothing_and_doubles_nothing(days: Days, pipeline: str) -> None:
    """Killed after a run's end and before its note, the next one does not run it again, and what follows it comes."""
    days.killed = pipeline
    with pytest.raises(Killed):
        days.live(days.scheduler(), 15)
    days.killed = ""
    days.live(days.scheduler(), 1)
    assert days.ran == ["retraining 02 00:00", "etl 02 02:00", "training 02 02:00"]


def test_a_stopped_scheduler_goes_on_with_the_run_it_was_at(days: Days) -> None:
    """Stopped as services are, in the middle of a run: the next one does not begin it anew."""
    days.stopped = True
    with pytest.raises(KeyboardInterrupt):
        days.live(days.scheduler(), 15)
    days.stopped = False
    days.live(days.scheduler(), 1)
    journal = open_journal(days.workspace.home, days.workspace.system.name, days.clock)
    assert [(run.graph, run.status) for run in journal.runs()] == [(GRAPHS["retraining"], "success")]


def test_what_waits_is_carried_out_after_a_start(days: Days) -> None:
    """A request that a killed process had taken in is in the queue; the same pipeline does not wait twice."""
    scheduler = days.scheduler()
    assert scheduler.requests.ask("training", "by hand 1")
    assert not scheduler.requests.ask("training", "by hand 2")
    days.live(days.scheduler(), 1)
    assert days.ran == ["training 01 12:00"]
    assert not scheduler.requests.ask("training", "by hand 1"), "a cause counts once"


def test_schedules_are_configured(days: Days) -> None:
    """Another time, or none; what is no pipeline or no time is refused when it is read."""

    def planned(schedules: dict[str, str]) -> dict[str, datetime | None]:
        days.workspace = replace(days.workspace, runs=RunsConfig(schedules=schedules))
        return {each.pipeline: each.next for each in days.scheduler().plan()}

    assert planned({}) == {
        "etl": datetime(2024, 6, 2, 2, tzinfo=UTC),
        "training": None,
        "monitoring": datetime(2024, 6, 2, 4, tzinfo=UTC),
        "retraining": datetime(2024, 6, 2, tzinfo=UTC),
    }
    found = planned({"etl": "30 12 * * *", "monitoring": "off"})
    assert (found["etl"], found["monitoring"]) == (SATURDAY.replace(minute=30), None)
    with pytest.raises(NotFound, match=r"'elt', which is no pipeline\. Did you mean 'etl'"):
        planned({"elt": "0 2 * * *"})
    with pytest.raises(UserError, match="has 1 fields"):
        planned({"etl": "daily"})
