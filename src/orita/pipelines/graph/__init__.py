"""What a pipeline is, and the runner that carries it out: declarations, journal, retries, cache, resumption, events."""

from orita.pipelines.attempt import Attempt, append_once
from orita.pipelines.graph.declaration import Body, Cache, Graph, Occurrence, Result, Retry, Task
from orita.pipelines.graph.events import CloudEvent
from orita.pipelines.graph.failures import TaskFailed, TaskLost, TaskTimeout
from orita.pipelines.graph.options import Origin, RunOptions
from orita.pipelines.graph.reports import RunReport, TaskReport
from orita.pipelines.graph.runner import run_graph, run_task

__all__ = [
    "Attempt",
    "Body",
    "Cache",
    "CloudEvent",
    "Graph",
    "Occurrence",
    "Origin",
    "Result",
    "Retry",
    "RunOptions",
    "RunReport",
    "Task",
    "TaskFailed",
    "TaskLost",
    "TaskReport",
    "TaskTimeout",
    "append_once",
    "run_graph",
    "run_task",
]
