"""Checks that every component of a pipeline must pass, yours too."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from orita.core.progress import Bar
from orita.pipelines.components.artifact import Artifact, damage
from orita.pipelines.components.cache import carry_out, given, identity, recall
from orita.pipelines.components.component import Call, Component
from orita.pipelines.workspace import Workspace

__all__ = ["check_component"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class _Killed(BaseException):
    """What a check raises in the place of a kill: nothing catches it."""


def check_component(
    make: Callable[[], Component], workspace: Workspace, artifacts: Mapping[str, Artifact] | None = None
) -> None:
    """Carry out a component and check all that the contract promises.

    Args:
        make: returns the component, the same each time.
        workspace: its surroundings; its home receives what the component makes, and has nothing of the same yet.
        artifacts: what it reads, by name.

    Raises:
        AssertionError: a promise is broken; the sentence says which.
    """
    known = dict(artifacts or {})
    _shape_is_declared(make())
    _key_is_deterministic(make, workspace, known)
    _nothing_is_kept(make(), workspace, known)
    _a_kill_leaves_nothing(make, workspace, known)
    _outputs_are_there_and_kept(make, workspace, known)
    _damage_is_noticed(make, workspace, known)


def _shape_is_declared(component: Component) -> None:
    assert _NAME.fullmatch(component.name), f"the name {component.name!r} is no name of a folder"
    assert component.outputs, "a component makes at least one output"
    shared = component.inputs.keys() & component.outputs.keys()
    assert not shared, f"{sorted(shared)} are inputs and outputs: later components could not tell them apart"


def _key_is_deterministic(make: Callable[[], Component], workspace: Workspace, known: dict[str, Artifact]) -> None:
    told = make().settings(workspace)
    try:
        json.dumps(dict(told))
    except TypeError as error:
        raise AssertionError(f"settings are plain JSON values, and these are not: {error}") from None
    keys = {identity(each, workspace, given(each, known)).key for each in (make(), make())}
    assert len(keys) == 1, "two components of the same making have two keys: settings differ from call to call"
    moved = replace(workspace, actor="somebody else", progress=_Quiet())
    key = identity(make(), moved, given(make(), known)).key
    assert key in keys, "the key depends on who runs it or on how progress is drawn"


def _nothing_is_kept(component: Component, workspace: Workspace, known: dict[str, Artifact]) -> None:
    record, _ = recall(component, workspace, identity(component, workspace, given(component, known)))
    assert record is None, f"{component.name} was carried out in {workspace.home.root} before: check it in a new home"


def _a_kill_leaves_nothing(make: Callable[[], Component], workspace: Workspace, known: dict[str, Artifact]) -> None:
    try:
        carry_out(_KilledAtTheEnd(make()), workspace, known)
    except _Killed:
        pass
    else:
        raise AssertionError("it was not carried out, though nothing of it was there")
    wanted = identity(make(), workspace, given(make(), known))
    record, _ = recall(make(), workspace, wanted)
    assert record is None, "a component that was killed in the end counts as done"


def _outputs_are_there_and_kept(
    make: Callable[[], Component], workspace: Workspace, known: dict[str, Artifact]
) -> None:
    component = make()
    first = carry_out(component, workspace, known)
    assert first.status == "success", "it counts as done before it was carried out"
    assert set(first.outputs) == set(component.outputs), "it made other outputs than it promises"
    for name, type_ in component.outputs.items():
        made = first.outputs[name]
        assert (made.name, made.type) == (name, type_), f"{name} is {made.type}, and {type_} was promised"
        assert made.digest, f"{name} has no digest: nothing after it can tell whether it changed"
        assert damage(made, workspace.home) is None, f"{name} is not as it was made: {damage(made, workspace.home)}"
    second = carry_out(make(), workspace, known)
    assert second.status == "cached", f"the same again was carried out again: {second.why}"
    assert second.outputs == first.outputs, "what was found is not what was made"


def _damage_is_noticed(make: Callable[[], Component], workspace: Workspace, known: dict[str, Artifact]) -> None:
    """Delete each output's first file that lies among the component's own, where there is one."""
    made = carry_out(make(), workspace, known).outputs
    own = workspace.home.components
    for name, artifact in made.items():
        path = artifact.path(workspace.home)
        if not artifact.files or not path.is_relative_to(own):
            continue
        _file(path, artifact).unlink()
        again = carry_out(make(), workspace, known)
        assert again.status == "success", f"{name} lost a file, and the component counts as done"
        assert damage(again.outputs[name], workspace.home) is None, f"{name} was not made again as a whole"


def _file(path: Path, artifact: Artifact) -> Path:
    return path / artifact.files[0].path if artifact.files[0].path else path


class _KilledAtTheEnd:
    """A component that does its work and is then killed, before it could say so."""

    def __init__(self, component: Component) -> None:
        self._component = component
        self.name, self.version = component.name, component.version
        self.inputs, self.outputs = component.inputs, component.outputs

    def settings(self, workspace: Workspace) -> Mapping[str, Any]:
        return self._component.settings(workspace)

    def run(self, call: Call) -> Any:
        self._component.run(call)
        raise _Killed


class _Quiet:
    @contextmanager
    def bar(self, title: str, total: float | None = None) -> Iterator[Bar]:
        yield _QuietBar()


class _QuietBar:
    def advance(self, by: float = 1.0) -> None:
        """Draw nothing."""

    def describe(self, text: str) -> None:
        """Draw nothing."""
