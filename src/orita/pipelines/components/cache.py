"""Carrying out a component, or finding what it made before of the same.

What a step made is one folder, ``components/<tenant>/<system>/<component>/<key>/``, with its files and ``record.json``:
key, inputs, settings, outputs. The folder appears whole, after everything else of the step is done, so that a kill
leaves a step done or not done. Of each component the three newest records stay.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from orita.core.errors import UserError, closest
from orita.core.files import atomic_directory, remove_leftovers
from orita.core.version import VERSION
from orita.pipelines.components.artifact import Artifact, artifact_of, damage, digest_of
from orita.pipelines.components.component import Call, Component, Watchful
from orita.pipelines.components.differences import first_difference
from orita.pipelines.workspace import Workspace

__all__ = ["KEPT", "Identity", "Record", "Step", "carry_out", "given", "identity", "recall", "records"]

KEPT = 3
"""How many records of a component stay, and of how many settings the work that was cut short."""
_RECORD = "record.json"


@dataclass(frozen=True, slots=True)
class Identity:
    """All that decides what a component makes: its key is a digest of this.

    Attributes:
        component: its name.
        version: its version, and Orita's.
        inputs: digest of each input.
        settings: what of the configuration it depends on.
    """

    component: str
    version: str
    inputs: Mapping[str, str]
    settings: Mapping[str, Any]

    @property
    def key(self) -> str:
        """The digest, 16 hexadecimal digits."""
        return digest_of(asdict(self))


@dataclass(frozen=True, slots=True)
class Record:
    """What a component made, and of what."""

    identity: Identity
    outputs: Mapping[str, Artifact]
    made_at: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Step:
    """What became of a component in a run.

    Attributes:
        component: its name.
        status: ``cached``: what it made before holds, nothing was done; ``success``: it was carried out.
        key: digest of inputs, settings and version.
        digest: of what it made.
        why: why it was carried out, or why not, in words.
        seconds: wall time.
        outputs: what it made.
    """

    component: str
    status: str
    key: str
    digest: str
    why: str
    seconds: float
    outputs: Mapping[str, Artifact] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return asdict(self)


def given(component: Component, artifacts: Mapping[str, Artifact]) -> dict[str, Artifact]:
    """Return what *component* reads of *artifacts*.

    Raises:
        UserError: an input is not there, or is of another type.
    """
    for name, type_ in component.inputs.items():
        if name not in artifacts:
            raise UserError(
                f"component {component.name!r} reads {name!r}, which is not there. {closest(name, artifacts)}"
            )
        if artifacts[name].type != type_:
            raise UserError(
                f"component {component.name!r} reads {name!r} as {type_}, and it is {artifacts[name].type}: "
                "name another input, or the right type."
            )
    return {name: artifacts[name] for name in component.inputs}


def identity(component: Component, workspace: Workspace, inputs: Mapping[str, Artifact]) -> Identity:
    """Return what decides the result of *component*."""
    settings = json.loads(json.dumps(dict(component.settings(workspace))))
    version = f"{VERSION}/{component.version}"
    return Identity(component.name, version, {name: each.digest for name, each in inputs.items()}, settings)


def recall(component: Component, workspace: Workspace, wanted: Identity) -> tuple[Record | None, str]:
    """Return what was made of *wanted* before, where it still holds; and in words why it is there, or is not."""
    folder = _folder(workspace, component.name) / wanted.key
    if not folder.exists():
        known = [record.identity for record in records(workspace, component.name)]
        return None, first_difference(asdict(wanted), [asdict(each) for each in known])
    record = _read(folder / _RECORD)
    if record is None:
        return None, f"{folder.relative_to(workspace.home.root) / _RECORD} is damaged: made again"
    broken = next(filter(None, (damage(each, workspace.home) for each in record.outputs.values())), None)
    if broken is None and isinstance(component, Watchful):
        broken = component.lost(workspace, record.outputs)
    return (None, f"{broken}: made again") if broken else (record, "nothing changed")


def carry_out(component: Component, workspace: Workspace, artifacts: Mapping[str, Artifact]) -> Step:
    """Return what *component* makes of *artifacts*: found, where the same was made before, else made now.

    Raises:
        UserError: an input is missing, or another process carries out the same component.
        OritaError: the component failed; nothing of it is kept.
    """
    begun = workspace.clock.monotonic()
    inputs = given(component, artifacts)
    wanted = identity(component, workspace, inputs)
    record, why = recall(component, workspace, wanted)
    status = "cached" if record else "success"
    if record is None:
        with workspace.alone(f"component-{component.name}"):
            record, meanwhile = recall(component, workspace, wanted)
            if record is None:
                record = _make(component, workspace, inputs, wanted)
            else:  # another process has made it since, and may be reading it
                status, why = "cached", meanwhile
    digest = digest_of({name: each.digest for name, each in record.outputs.items()})
    seconds = workspace.clock.monotonic() - begun
    return Step(component.name, status, wanted.key, digest, why, seconds, record.outputs)


def records(workspace: Workspace, component: str) -> list[Record]:
    """Return what is kept of *component*, the newest first."""
    found = [_read(file) for file in _folder(workspace, component).glob(f"[!.]*/{_RECORD}")]
    return sorted(filter(None, found), key=lambda record: record.made_at, reverse=True)


def _make(component: Component, workspace: Workspace, inputs: Mapping[str, Artifact], wanted: Identity) -> Record:
    begun, home = workspace.clock.monotonic(), workspace.home
    root = _folder(workspace, component.name)
    work = home.checkpoints / workspace.system.name / component.name
    remove_leftovers(root)
    with atomic_directory(root / wanted.key) as partial:
        made = component.run(Call(workspace, inputs, partial, work / wanted.key, wanted.key))
        if set(made) != set(component.outputs):
            raise UserError(
                f"component {component.name!r} made {sorted(made)}, and promises {sorted(component.outputs)}: "
                "hand back one Made for each output."
            )
        moved = (partial, root / wanted.key)
        outputs = {n: artifact_of(n, component.outputs[n], each, home, moved) for n, each in made.items()}
        now, seconds = workspace.clock.now().isoformat(), workspace.clock.monotonic() - begun
        record = Record(wanted, outputs, now, seconds)
        (partial / _RECORD).write_text(json.dumps(asdict(record), indent=1), encoding="utf-8")
    shutil.rmtree(work / wanted.key, ignore_errors=True)
    _forget_older_work(work)
    _forget_older(workspace, component.name, wanted.key)
    return record


def _forget_older_work(work: Path) -> None:
    """Keep the newest work that was cut short on other settings: hours of training may be in it."""
    left = sorted(work.iterdir(), key=lambda each: each.stat().st_mtime_ns) if work.is_dir() else []
    for each in left[:-KEPT]:
        shutil.rmtree(each, ignore_errors=True)


def _forget_older(workspace: Workspace, component: str, key: str) -> None:
    """Keep the newest records and the one that was made now."""
    for record in records(workspace, component)[KEPT:]:
        if record.identity.key != key:
            shutil.rmtree(_folder(workspace, component) / record.identity.key)


def _folder(workspace: Workspace, component: str) -> Path:
    return workspace.home.components / workspace.system.name / component


def _read(file: Path) -> Record | None:
    """Return the record in *file*; None where there is none, or none that can be read."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        outputs = {name: Artifact.from_dict(each) for name, each in content["outputs"].items()}
        return Record(Identity(**content["identity"]), outputs, content["made_at"], content["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
