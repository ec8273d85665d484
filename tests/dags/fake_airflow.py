"""As much of Airflow as the DAG files call, which writes down what they declare."""

from __future__ import annotations

import inspect
import runpy
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import pytest

__all__ = ["DAGS", "Dag", "Task", "declared"]

_RESERVED = {"conf", "dag", "dag_run", "inlets", "logical_date", "outlets", "params", "run_id", "task", "ti", "var"}
DAGS = Path(__file__).resolve().parents[2] / "dags"


@dataclass
class Task:
    """A task as a DAG file declares it.

    Attributes:
        task_id: its id.
        kind: ``python``, ``external``, ``sensor`` or ``trigger``.
        options: what was given beside.
        args: what the function is called with.
        after: ids of the tasks that it follows.
    """

    task_id: str
    kind: str
    options: dict[str, Any]
    args: tuple[Any, ...] = ()
    after: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Add itself to the DAG around it."""
        self.after |= {each.task_id for each in self.args if isinstance(each, Task)}
        Dag.current[-1].tasks.append(self)


class Dag:
    """A DAG as its file declares it."""

    current: ClassVar[list[Dag]] = []
    all: ClassVar[dict[str, Dag]] = {}

    def __init__(self, dag_id: str, **options: Any) -> None:
        self.dag_id, self.options, self.tasks = dag_id, options, list[Task]()

    def __enter__(self) -> Dag:
        self.current.append(self)
        self.all[self.dag_id] = self
        return self

    def __exit__(self, *_: object) -> None:
        self.current.pop()

    def __getitem__(self, task_id: str) -> Task:
        return next(each for each in self.tasks if each.task_id == task_id)

    def order(self) -> list[str]:
        """Return the ids of the tasks, each after those that it follows, where that is one row."""
        found: list[str] = []
        while len(found) < len(self.tasks):
            ready = [t.task_id for t in self.tasks if t.task_id not in found and t.after <= set(found)]
            assert len(ready) == 1, f"{self.dag_id}: {ready} follow {found}"
            found += ready
        return found


class Decorator:
    """``task`` of the SDK, with its variants."""

    def __call__(self, **options: Any) -> Callable[..., Callable[..., Task]]:
        return self._of("python", options)

    def external_python(self, **options: Any) -> Callable[..., Callable[..., Task]]:
        """Return the decorator of tasks in another interpreter."""
        return self._of("external", options)

    def sensor(self, **options: Any) -> Callable[..., Callable[..., Task]]:
        """Return the decorator of tasks that wait."""
        return self._of("sensor", options)

    def run_if(self, condition: Callable[[Any], bool], message: str) -> Callable[..., Callable[..., Task]]:
        """Return what skips a task unless *condition* holds."""

        def wrap(decorated: Callable[..., Task]) -> Callable[..., Task]:
            def make(*args: Any) -> Task:
                made = decorated(*args)
                made.options |= {"only_if": condition, "message": message}
                return made

            return make

        return wrap

    @staticmethod
    def _of(kind: str, options: dict[str, Any]) -> Callable[..., Callable[..., Task]]:
        def decorate(function: Callable[..., Any]) -> Callable[..., Task]:
            taken = set(inspect.signature(function).parameters) & _RESERVED
            assert kind == "sensor" or not taken, f"Airflow's context has {taken}: they cannot be arguments"
            name = options.get("task_id", function.__name__)
            return lambda *args: Task(name, kind, {**options, "function": function}, args)

        return decorate


def _trigger(task_id: str, **options: Any) -> Task:
    return Task(task_id, "trigger", options)


def _chain(*tasks: Task) -> None:
    for before, after in pairwise(tasks):
        after.after.add(before.task_id)


@dataclass(frozen=True)
class Asset:
    """An asset."""

    name: str
    uri: str


@dataclass(frozen=True)
class SmtpNotifier:
    """Who is told by e-mail."""

    to: list[str]


@dataclass(frozen=True)
class PokeReturnValue:
    """What a sensor found."""

    is_done: bool
    xcom_value: Any = None


@dataclass(frozen=True)
class Param:
    """A parameter of a DAG."""

    default: Any
    type: str
    description: str


class AirflowFailException(Exception):
    """Ends a task without another attempt."""


class AirflowSkipException(Exception):
    """Ends a task that had nothing to do."""


def declared(monkeypatch: pytest.MonkeyPatch, **settings: str) -> dict[str, Dag]:
    """Read the DAG files as Airflow does, under these settings of the environment, and return the DAGs by id."""
    for name in ("ORITA_PYTHON", "ORITA_PROJECT", "ORITA_SOURCE", "ORITA_POLL_SECONDS", "ORITA_ALERTING__EMAIL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    operators = "airflow.providers.standard.operators"
    modules: dict[str, dict[str, Any]] = {
        "airflow": {},
        "airflow.sdk": {
            "Asset": Asset,
            "DAG": Dag,
            "Param": Param,
            "PokeReturnValue": PokeReturnValue,
            "chain": _chain,
            "task": Decorator(),
        },
        "airflow.sdk.exceptions": {
            "AirflowFailException": AirflowFailException,
            "AirflowSkipException": AirflowSkipException,
        },
        "airflow.providers": {},
        "airflow.providers.standard": {},
        operators: {},
        f"{operators}.trigger_dagrun": {"TriggerDagRunOperator": _trigger},
        "airflow.providers.smtp": {},
        "airflow.providers.smtp.notifications": {},
        "airflow.providers.smtp.notifications.smtp": {"SmtpNotifier": SmtpNotifier},
    }
    for name, members in modules.items():
        made = types.ModuleType(name)
        vars(made).update(members)
        monkeypatch.setitem(sys.modules, name, made)
    for own in ("orita_dags", "orita_waiting"):
        monkeypatch.delitem(sys.modules, own, raising=False)
    monkeypatch.syspath_prepend(DAGS)
    Dag.all.clear()
    for file in sorted(DAGS.glob("*.py")):
        if not file.name.startswith("orita_"):
            runpy.run_path(str(file))
    for own in ("orita_dags", "orita_waiting"):
        monkeypatch.setitem(sys.modules, own, sys.modules[own])
    return dict(Dag.all)
