"""The contract of a component, on one screen.

A component is a step of a pipeline: it says what it reads and what it makes, each by name and type, and which part of
the configuration decides the result. Its *key* is a digest of these; what was made under a key is found again, and the
step is not done again. `orita.testing.check_component` checks any component, yours too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from orita.pipelines.components.artifact import Artifact, Made
from orita.pipelines.workspace import Workspace

__all__ = ["Call", "Component", "Watchful"]


@dataclass(frozen=True, slots=True)
class Call:
    """What a component is given to work with.

    Attributes:
        workspace: home, configuration, clock, progress.
        inputs: what it asked for, by name.
        folder: an empty folder for its files; it takes its place among the components' folders when the step has
            succeeded, and is gone when it has not.
        work: where work may be left that a killed step goes on with; not made yet, and deleted after success.
        key: under which the result is kept.
    """

    workspace: Workspace
    inputs: Mapping[str, Artifact]
    folder: Path
    work: Path
    key: str

    def path(self, name: str) -> Path:
        """Return where the input *name* is on disk."""
        return self.inputs[name].path(self.workspace.home)


class Component(Protocol):
    """A step of a pipeline.

    Attributes:
        name: unique in its graph; letters, digits, ``.``, ``_``, ``-``.
        version: raised when the same inputs and settings give something else than before; so is Orita's own version.
        inputs: the artifacts it reads: type by name.
        outputs: the artifacts it makes: type by name.
    """

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def version(self) -> int:
        """What is raised with its code."""
        ...

    @property
    def inputs(self) -> Mapping[str, str]:
        """Type of each input, by name."""
        ...

    @property
    def outputs(self) -> Mapping[str, str]:
        """Type of each output, by name."""
        ...

    def settings(self, workspace: Workspace) -> Mapping[str, Any]:
        """Return, as plain JSON values, all that decides the result beside the inputs, and nothing else.

        It is asked for at every run, so it must be quick; it changes nothing.
        """
        ...

    def run(self, call: Call) -> Mapping[str, Made]:
        """Do the work; return what was made for each name in *outputs*.

        Raises:
            OritaError: it cannot be done; nothing of it is kept.
        """
        ...


@runtime_checkable
class Watchful(Protocol):
    """A component whose results are not files alone: it looks whether they still hold."""

    def lost(self, workspace: Workspace, outputs: Mapping[str, Artifact]) -> str | None:
        """Return why *outputs* of an earlier run do not hold any more, in words; None where they do."""
        ...
