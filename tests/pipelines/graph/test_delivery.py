"""What is told of runs: CloudEvents, at least once, by id; a listener that fails stops nobody."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.pipelines.graph.graphs import chain, made_workspace, marked

from orita.core.errors import UserError
from orita.pipelines.graph import CloudEvent, Graph, Occurrence, Result, Task, run_graph
from orita.pipelines.graph.delivery import Listener, deliver, events_file, greet
from orita.pipelines.graph.journal import Journal, open_journal
from orita.pipelines.runs_config import HandlerConfig, RunsConfig
from orita.pipelines.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Return surroundings without any state."""
    return made_workspace(tmp_path)


def journal(workspace: Workspace) -> Journal:
    """Open the journal."""
    return open_journal(workspace.home, workspace.system.name, workspace.clock)


def told(workspace: Workspace) -> list[CloudEvent]:
    """Return the events of the file."""
    return [CloudEvent.from_dict(json.loads(line)) for line in events_file(workspace).read_text().splitlines()]


def test_each_stage_is_told_as_a_cloud_event(workspace: Workspace) -> None:
    """Required attributes of CloudEvents 1.0 are there; ids are unique; what a task means is among them."""

    def trained(workspace: Workspace, results: Mapping[str, Result]) -> list[Occurrence]:
        return [("model.training.completed", {"version": "v1.1.0", "saw": sorted(results)})]

    run = run_graph(Graph("g", None, (marked("a"), marked("b", tells=trained))), workspace)
    events = told(workspace)
    assert [event.type for event in events] == [
        "pipeline.run.started",
        "pipeline.task.completed",
        "pipeline.task.completed",
        "model.training.completed",
        "pipeline.run.completed",
    ]
    assert len({event.id for event in events}) == len(events)
    line = json.loads(events_file(workspace).read_text().splitlines()[3])
    assert line["specversion"] == "1.0" and line["time"].endswith("Z")
    assert (line["source"], line["subject"]) == ("/orita/default/feed/g", f"{run.run_id}/b")
    assert line["data"] == {"run": run.run_id, "graph": "g", "task": "b", "version": "v1.1.0", "saw": ["a", "b"]}


def test_a_failure_is_told(workspace: Workspace) -> None:
    """With the task and the sentence."""

    def fails(workspace: Workspace, results: Mapping[str, Result]) -> Result:
        raise UserError("mend it.")

    with pytest.raises(UserError):
        run_graph(Graph("g", None, (Task("a", fails),)), workspace)
    assert [(event.type, event.data.get("error")) for event in told(workspace)] == [
        ("pipeline.run.started", None),
        ("pipeline.task.failed", "mend it."),
        ("pipeline.run.failed", "mend it."),
    ]


def test_a_listener_that_fails_does_not_stop_the_others(workspace: Workspace) -> None:
    """It is asked again with the same event, up to its attempts, and then the operator is told."""
    seen: list[str] = []
    tries: list[str] = []

    def broken(event: CloudEvent) -> None:
        tries.append(event.id)
        raise ConnectionError("away")

    listeners = (
        Listener("broken", broken, ("pipeline.run.*",), attempts=2),
        Listener("well", lambda event: seen.append(event.type), ("pipeline.run.*",)),
    )
    greet(journal(workspace), listeners)
    run_graph(chain("a"), workspace)
    with capture_logs() as logs:
        assert deliver(workspace, journal(workspace), listeners) == 2
        assert deliver(workspace, journal(workspace), listeners) == 0
        assert deliver(workspace, journal(workspace), listeners) == 0
    assert seen == ["pipeline.run.started", "pipeline.run.completed"]
    assert len(tries) == 4 and len(set(tries)) == 2
    assert [log["event"] for log in logs] == ["event_not_taken"] * 2 + ["event_given_up"] * 2
    assert logs[-1]["alert"] and logs[-1]["error"] == "ConnectionError: away"


def test_a_killed_delivery_hands_over_what_has_no_note_again(workspace: Workspace) -> None:
    """At least once: the event whose call was cut short comes again, with the same id; those before it do not."""
    seen: list[str] = []

    def killed_at_the_second(event: CloudEvent) -> None:
        seen.append(event.id)
        if len(seen) == 2:
            raise SystemExit

    listener = (Listener("l", killed_at_the_second),)
    greet(journal(workspace), listener)
    run_graph(chain("a"), workspace)
    with pytest.raises(SystemExit):
        deliver(workspace, journal(workspace), listener)
    assert deliver(workspace, journal(workspace), listener) == 2
    assert seen[1] == seen[2] and len(set(seen)) == 3


def test_a_new_listener_is_not_told_of_the_past(workspace: Workspace) -> None:
    """Who begins to listen today does not deploy the models of last month."""
    run_graph(chain("a"), workspace)
    seen: list[str] = []
    listener = (Listener("new", lambda event: seen.append(event.type)),)
    assert deliver(workspace, journal(workspace), listener) == 0
    run_graph(chain("a"), workspace)
    assert deliver(workspace, journal(workspace), listener) == 3


def test_a_function_of_the_project_is_called(workspace: Workspace, tmp_path: Path) -> None:
    """It is named in the configuration, with the types it is for; one that is not there is said to be so."""
    (tmp_path / "reactions.py").write_text(
        "from pathlib import Path\n"
        "def on_end(event):\n"
        "    with (Path(__file__).parent / 'reacted').open('a') as file:\n"
        "        file.write(event.type + '\\n')\n"
    )
    handlers = (
        HandlerConfig(call="reactions.py:on_end", types=("pipeline.run.completed",)),
        HandlerConfig(call="reactions.py:missing", attempts=1),
    )
    own = replace(workspace, runs=RunsConfig(handlers=handlers, events=False))
    with capture_logs() as logs:
        run_graph(chain("a"), own)
    assert (tmp_path / "reacted").read_text() == "pipeline.run.completed\n"
    assert {log["error"].split(", and ")[1].split(" has")[1] for log in logs} == {" no function 'missing'."}
    assert not events_file(own).exists()
    with pytest.raises(ValueError, match=r"expected FILE.py:FUNCTION"):
        HandlerConfig(call="reactions")


def test_both_forms_of_an_event_are_read() -> None:
    """That of CloudEvents, and the plain one of the contract; one without a type is refused."""
    plain = {"event_type": "model.training.completed", "event_id": "1", "timestamp": "2024-06-01T00:00:00Z"}
    event = CloudEvent.from_dict({**plain, "source": "/x", "data": {"version": "v1"}})
    assert CloudEvent.from_dict(event.to_dict()) == event
    assert (event.type, event.id, event.data) == ("model.training.completed", "1", {"version": "v1"})
    with pytest.raises(UserError, match="no 'source'"):
        CloudEvent.from_dict(plain)
    with pytest.raises(UserError, match=r"specversion is '0\.3'"):
        CloudEvent.from_dict({**event.to_dict(), "specversion": "0.3"})
