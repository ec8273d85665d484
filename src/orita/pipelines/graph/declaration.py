"""What a pipeline is: named tasks, what each follows, and a result of each in plain JSON.

Data pass between tasks on disk; what a task returns is small and says where they are. So a graph runs the same in one
process and with a process for each task. Most tasks are made of components (`orita.pipelines.components`), whose steps
are part of the task's result.

The contract of a task's author: a task may be begun again after its effect (a retry, a kill before the journal has its
end), with the same `Attempt.token`. Its effect is idempotent, or bound to the token. A task whose end is in the journal
is not begun again in that run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orita.core.errors import UserError, closest
from orita.pipelines.workspace import Workspace

if TYPE_CHECKING:
    from orita.pipelines.components.component import Component

__all__ = ["Body", "Cache", "Graph", "Occurrence", "Result", "Retry", "Task"]

Result = dict[str, Any]
Body = Callable[[Workspace, Mapping[str, Result]], Result]
Occurrence = tuple[str, Mapping[str, Any]]
"""Something that happened, for those who listen: a type such as ``model.training.completed``, and its data."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a failed task is begun again, and when.

    What its user must mend (`UserError`) is not tried again: waiting does not mend it.

    Attributes:
        times: attempts after the first, 0 or more.
        seconds: before the second attempt, 0 or more.
        factor: by which the wait grows with each further one, at least 1.
        longest_seconds: no wait is longer.
    """

    times: int = 0
    seconds: float = 300.0
    factor: float = 1.0
    longest_seconds: float = 3600.0

    def __post_init__(self) -> None:
        if self.times < 0 or self.seconds < 0 or self.factor < 1 or self.longest_seconds < 0:
            raise UserError(f"{self} cannot be: times and seconds are 0 or more, factor is at least 1.")

    def wait(self, failures: int) -> float:
        """Return the seconds to wait after so many failures, 1 or more."""
        grown: float = self.seconds * self.factor ** min(failures - 1, 60)
        return min(grown, self.longest_seconds)


@dataclass(frozen=True, slots=True)
class Cache:
    """What decides the result of a task, so that it is not done again while nothing of that changed.

    The key is a digest of the names of graph and task, of *version*, of Orita's version and the project's code, and of
    what *inputs* returns.

    Attributes:
        inputs: returns plain JSON: digests of what is read, and the settings that matter; None: the results of the
            tasks it follows, the whole configuration, and sizes and times of the files to ingest.
        version: raised when the same inputs give something else than before.
        holds: tells whether what an earlier run made is still there; None: its result says all.
    """

    inputs: Callable[[Workspace, Mapping[str, Result]], Any] | None = None
    version: int = 1
    holds: Callable[[Workspace, Result], bool] | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """One step.

    Attributes:
        name: what it is called; letters, digits, ``_``, ``.``, ``-``.
        body: a function of the workspace and the results of the tasks that it follows, directly or not.
        components: what it is made of, given the workspace; None: it is one piece.
        after: the tasks it follows; None: the one before it in the graph; ``()``: none.
        retry: when it is begun again; None: as the run says.
        timeout: seconds of one attempt, above 0; None: no limit.
        cache: when it is not done again; None: always done, and its components may find what they made.
        tells: what it means to those who listen that this was done, of the results of what it follows and its own; not
            asked where it was found, or there was nothing to do.
    """

    name: str
    body: Body
    components: Callable[[Workspace], Sequence[Component]] | None = None
    after: tuple[str, ...] | None = None
    retry: Retry | None = None
    timeout: float | None = None
    cache: Cache | None = None
    tells: Callable[[Workspace, Mapping[str, Result]], Iterable[Occurrence]] | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise UserError(f"task {self.name!r} has no usable name: give 1 to 100 letters, digits, '_', '.', '-'.")
        if self.timeout is not None and not self.timeout > 0:
            raise UserError(f"task {self.name!r} has a timeout of {self.timeout} s: give more than 0, or None.")


@dataclass(frozen=True, slots=True)
class Graph:
    """A pipeline.

    Attributes:
        id: its name.
        schedule: cron, UTC; None: only on request.
        tasks: its steps, each after those that it follows.
        alone: whether only one run of it may be at work in a home and system, as its tasks share files.
        subject: what it is about beside its workspace, such as a version of a model; a run about another is not gone on
            with.
    """

    id: str
    schedule: str | None
    tasks: tuple[Task, ...]
    alone: bool = False
    subject: str = ""

    def __post_init__(self) -> None:
        before: list[str] = []
        for task in self.tasks:
            if task.name in before:
                raise UserError(f"graph {self.id!r} has two tasks {task.name!r}: give each a name of its own.")
            for name in task.after or ():
                if name not in before:
                    raise UserError(
                        f"task {task.name!r} of graph {self.id!r} follows {name!r}, which is not declared before it. "
                        f"{closest(name, before)}"
                    )
            before.append(task.name)

    def task(self, name: str) -> Task:
        """Return the task of that name.

        Raises:
            UserError: there is none.
        """
        for task in self.tasks:
            if task.name == name:
                return task
        known = [task.name for task in self.tasks]
        raise UserError(f"graph {self.id!r} has no task {name!r}. {closest(name, known)}")

    def follows(self) -> dict[str, tuple[str, ...]]:
        """Return the tasks that each task follows directly."""
        found: dict[str, tuple[str, ...]] = {}
        previous: tuple[str, ...] = ()
        for task in self.tasks:
            found[task.name] = previous if task.after is None else task.after
            previous = (task.name,)
        return found

    def ancestors(self) -> dict[str, tuple[str, ...]]:
        """Return the tasks that each task follows, directly or not, in the order of their declaration."""
        found: dict[str, set[str]] = {}
        for name, parents in self.follows().items():
            found[name] = {*parents, *(each for parent in parents for each in found[parent])}
        order = [task.name for task in self.tasks]
        return {name: tuple(each for each in order if each in above) for name, above in found.items()}
